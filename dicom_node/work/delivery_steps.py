"""The steps of a report's delivery: send it, and ask the destination to commit to keeping it."""

import hashlib
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pydicom
from pydicom.errors import InvalidDicomError

from dicom_node.errors import (
    DeliveryFailed,
    IdentityUnclear,
    OperationalError,
    QueryFailed,
    ReportInvalid,
)
from dicom_node.logs import log
from dicom_node.records.audit import AuditTrail, Peer
from dicom_node.records.security_alerts import SecurityAlerts
from dicom_node.sending.commitment import Commitments, request_commitment
from dicom_node.sending.delivery import send
from dicom_node.sending.pacs_query import PacsQuery
from dicom_node.settings.node import Destination, NodeSettings
from dicom_node.work.sharing.outgoing import OutgoingObjects
from dicom_node.work.work_queues import object_file, object_work

__all__ = ["DeliverySteps"]


class DeliverySteps:
    """Steps that may each be done again after a crash.

    Parameters
    ----------
    settings
        Of the node.
    audit
        Where each attempt is recorded.
    query
        The PACS that is asked whose study it is, or None.
    outgoing
        Where the objects are.
    confirm
        Returns if the work is still this worker's own; called just before something is sent.
    transmit
        Sends a DICOM file's bytes to a destination from an AE title, and returns its status.
    """

    def __init__(
        self,
        settings: NodeSettings,
        audit: AuditTrail,
        query: PacsQuery | None,
        outgoing: OutgoingObjects,
        confirm: Callable[[], None],
        transmit: Callable[[bytes, Destination, str], int] = send,
    ) -> None:
        self._outgoing = outgoing
        self._confirm = confirm
        self._ae_title = settings.listener.ae_title
        self._commitments = Commitments(settings.data_dir)
        waited = [destination.commitment_seconds for destination in settings.destinations]
        self._longest_wait_seconds = max(waited, default=0.0)
        self._audit = audit
        self._alerts = SecurityAlerts(audit)
        self._query = query
        self._transmit = transmit

    def send(
        self, report: dict[str, str], destination: Destination, attempt: int
    ) -> dict[str, Any]:
        """Send one object of a report, if its file is still the one that was checked.

        Parameters
        ----------
        report
            The object: ``identity``, ``study``, ``study_uid`` and ``folder`` of its report, and
            its ``file`` and ``sha256``.
        destination
            The peer to send it to.
        attempt
            Number of the attempt, from 1.

        Returns
        -------
        dict
            ``state`` is ``delivered``, ``retrying``, ``failed``, or ``withdrawn`` for a report
            that was found to stand under another patient; with ``code``, and ``reason`` unless
            it was delivered.
        """
        identity = report["identity"]
        if self._outgoing.withdrawn(report):
            log().warning(
                "not sent",
                assessment=identity,
                destination=destination.name,
                object=object_file(report),
            )
            reason = "the report stands under another patient and was withdrawn"
            return {"state": "withdrawn", "code": "report.withdrawn", "reason": reason}
        try:
            content = self._outgoing.read(report)
            if hashlib.sha256(content).hexdigest() != report["sha256"]:
                return {
                    "state": "failed",
                    "code": "report.changed",
                    "reason": "the file is not the one that was checked",
                }
            self._check_identity(content)
            self._confirm()
            status = self._transmit(content, destination, self._ae_title)
        except ReportInvalid as error:
            return {"state": "failed", "code": error.code, "reason": str(error)}
        except FileNotFoundError:
            reason = "the file is no longer on the disk"
            return {"state": "failed", "code": "report.gone", "reason": reason}
        except (DeliveryFailed, IdentityUnclear, QueryFailed, OSError) as error:
            code = getattr(error, "code", OperationalError.code)
            reason = str(error) if isinstance(error, OperationalError) else type(error).__name__
            self._audit_delivery(report, destination, reason)
            log().warning(
                "delivery attempt failed",
                assessment=identity,
                destination=destination.name,
                object=object_file(report),
                attempt=attempt,
                code=code,
                reason=reason,
            )
            return {"state": "retrying", "code": code, "reason": reason}
        log().info(
            "delivered",
            assessment=identity,
            destination=destination.name,
            object=object_file(report),
            attempt=attempt,
            status=f"0x{status:04X}",
        )
        self._audit_delivery(report, destination, None)
        return {"state": "delivered", "code": f"0x{status:04X}"}

    def commitment(
        self,
        report: dict[str, str],
        destination: Destination,
        attempt: int,
        look: int,
        since: float,
    ) -> dict[str, Any]:
        """Ask for storage commitment at the first look, then see whether the answer has come.

        Parameters
        ----------
        report, destination, attempt
            As for `send`.
        look
            Number of the look, from 0.
        since
            When commitment was asked for, in seconds since the epoch.

        Returns
        -------
        dict
            ``state`` is ``committed``, ``waiting`` or, if the report must be sent again,
            ``retrying``; with ``code``, and ``reason`` for the last.
        """
        identity = report["identity"]
        request = _request(report, destination, attempt)
        reason = ""
        try:
            if look == 0 and self._commitments.answer(request) is None:
                self._commitments.remove_leftovers(self._longest_wait_seconds)
                document = pydicom.dcmread(BytesIO(self._outgoing.read(report)))
                self._confirm()
                request_commitment(
                    document,
                    request,
                    destination,
                    self._ae_title,
                    self._commitments,
                    self._alerts,
                )
            answer = self._commitments.answer(request)
            if answer is not None and answer.committed:
                log().info(
                    "committed",
                    assessment=identity,
                    destination=destination.name,
                    object=object_file(report),
                )
                return {"state": "committed", "code": None}
            if answer is not None:
                reason = f"the peer does not keep the report {answer.reason}".strip()
            elif time.time() - since > destination.commitment_seconds:
                reason = f"no commitment within {destination.commitment_seconds:g} s"
        except (DeliveryFailed, OSError, InvalidDicomError) as error:
            reason = str(error) if isinstance(error, DeliveryFailed) else type(error).__name__
        if not reason:
            return {"state": "waiting", "code": None}
        log().warning(
            "not committed",
            assessment=identity,
            destination=destination.name,
            object=object_file(report),
            attempt=attempt,
            reason=reason,
        )
        return {"state": "retrying", "code": "node.not_committed", "reason": reason}

    def forget_commitment(
        self, report: dict[str, str], destination: Destination, attempt: int
    ) -> None:
        """Remove the request of an attempt, once its outcome is on record."""
        self._commitments.forget(_request(report, destination, attempt))

    def _audit_delivery(
        self, report: dict[str, str], destination: Destination, failure: str | None
    ) -> None:
        peer = Peer(destination.ae_title, f"{destination.host}:{destination.port}")
        self._audit.delivered(peer, report["study_uid"], report["identity"], failure)

    def _check_identity(self, content: bytes) -> None:
        """Compare patient and study with what the PACS says now, if there is one to ask."""
        if self._query is None:
            return
        document = pydicom.dcmread(BytesIO(content), stop_before_pixels=True)
        theirs = None
        try:
            theirs = self._query.identity(str(document.StudyInstanceUID))
            theirs.require_patient_id(document)
        except (QueryFailed, IdentityUnclear) as error:
            if self._query.holds(error):
                raise
            log().warning("identity not checked", code=error.code, reason=str(error))
        differing = theirs.differs(document) if theirs is not None else ()
        if differing:
            raise ReportInvalid(
                "report.pacs_identity",
                f"the PACS has another {', '.join(differing)} for this study: the report must "
                "not be sent",
            )


def _request(report: dict[str, str], destination: Destination, attempt: int) -> str:
    """The name of a request for storage commitment."""
    return f"{object_work(report, destination.name)}:{attempt}"
