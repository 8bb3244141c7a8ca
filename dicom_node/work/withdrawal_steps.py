"""The steps of the withdrawal of a report that stands under another patient."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dicom_node.errors import DeliveryFailed
from dicom_node.logs import log
from dicom_node.records.audit import AuditTrail, Peer
from dicom_node.reporting.report_history import withdrawal_file
from dicom_node.sending.delivery import send
from dicom_node.settings.node import Destination, NodeSettings
from dicom_node.work.sharing.outgoing import OutgoingObjects
from dicom_node.work.work_queues import object_file, object_path

__all__ = ["WithdrawalSteps", "kept_note"]


class WithdrawalSteps:
    """Steps that may each be done again after a crash.

    Parameters
    ----------
    settings
        Of the node.
    audit
        Where each attempt is recorded.
    outgoing
        Where the objects are.
    confirm
        Returns if the work is still this worker's own; called just before something is sent.
    """

    def __init__(
        self,
        settings: NodeSettings,
        audit: AuditTrail,
        outgoing: OutgoingObjects,
        confirm: Callable[[], None],
    ) -> None:
        self._reports = settings.reports_dir
        self._outgoing = outgoing
        self._confirm = confirm
        self._ae_title = settings.listener.ae_title
        self._audit = audit

    def send(
        self, report: dict[str, str], destination: Destination, attempt: int
    ) -> dict[str, Any]:
        """Send the note that an object of a report is withdrawn.

        The parameters are those of `DeliverySteps.send`; ``report`` is the one that is withdrawn.

        Returns
        -------
        dict
            ``state`` is ``delivered``, ``retrying`` or ``failed``; with ``code``, and ``reason``
            unless it was delivered.
        """
        identity = report["identity"]
        peer = Peer(destination.ae_title, f"{destination.host}:{destination.port}")
        try:
            note = self._note(report)
            self._confirm()
            status = send(note, destination, self._ae_title)
        except FileNotFoundError:
            reason = "the report is no longer on the disk"
            return {"state": "failed", "code": "report.gone", "reason": reason}
        except (DeliveryFailed, OSError) as error:
            code = getattr(error, "code", DeliveryFailed.code)
            reason = str(error) if isinstance(error, DeliveryFailed) else type(error).__name__
            self._audit.withdrawn(peer, report["study_uid"], identity, reason)
            log().warning(
                "withdrawal attempt failed",
                assessment=identity,
                destination=destination.name,
                object=object_file(report),
                attempt=attempt,
                code=code,
                reason=reason,
            )
            return {"state": "retrying", "code": code, "reason": reason}
        self._audit.withdrawn(peer, report["study_uid"], identity, None)
        log().warning(
            "withdrawn",
            assessment=identity,
            destination=destination.name,
            object=object_file(report),
            attempt=attempt,
            status=f"0x{status:04X}",
        )
        return {"state": "delivered", "code": f"0x{status:04X}"}

    def _note(self, report: dict[str, str]) -> bytes:
        """The note, the same each time: from the database, else from the disk, where it is made."""
        stored = self._outgoing.stored({**report, "file": withdrawal_file(object_file(report))})
        if stored is not None:
            return stored
        return kept_note(object_path(self._reports, report)).read_bytes()


def kept_note(report: Path) -> Path:
    """The file of the note that an object of a report is withdrawn, made if it is missing."""
    # imports what assesses, which a worker without withdrawals never needs
    from dicom_node.reporting.withdrawal import write_withdrawal

    return write_withdrawal(report)
