"""Storage commitment: ask a peer to confirm that it keeps a report, and take its answer.

The answer (N-EVENT-REPORT) comes on the association of the request or, as a rule, on one that the
peer opens to the listener, often before the worker waits for it. So each request is written to a
file before it is sent, the process that receives the answer writes it beside the request, and the
worker looks there. It is a file and not a record of the workflow database because the listener,
which faces the network, has no access to that database.

Any peer that may associate can send an answer. It counts only if it names a transaction UID that
was drawn at random for this request, comes from the destination that was asked, and names the
report; every other is refused and recorded as a Security Alert.
"""

import json
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from dicom_node.errors import DeliveryFailed
from dicom_node.files import write_atomically
from dicom_node.logs import fault_fields, log
from dicom_node.records.audit import Peer
from dicom_node.records.security_alerts import SecurityAlerts
from dicom_node.sending.delivery import PLAIN_SYNTAXES, associate
from dicom_node.sending.statuses import (
    INVALID_OBJECT,
    NO_SUCH_EVENT_TYPE,
    PROCESSING_FAILURE,
    SUCCESS,
)
from dicom_node.settings.work import Destination
from dicom_node.spool.spool import spool_name

__all__ = [
    "CommitmentAnswer",
    "Commitments",
    "accept_commitment_reports",
    "commitment_handlers",
    "request_commitment",
]

REQUEST_ACTION = 1
"""Action Type ID of a request for storage commitment (PS3.4, table J.3-1)."""

REPORTED_EVENTS = (1, 2)
"""Event Type IDs of an answer: all is kept, or failures exist (PS3.4, table J.3-2)."""

SAME_ASSOCIATION_SECONDS = 2.0
"""How long the association of a request stays open for an answer on it."""

FORGOTTEN_SECONDS = 30 * 86_400.0
"""Age above which a request is one that no workflow will ask for again."""


@dataclass(frozen=True)
class CommitmentAnswer:
    """What a peer answered.

    Parameters
    ----------
    committed
        Whether it keeps the report.
    reason
        Its Failure Reason (0008,1197) in hexadecimal, empty if it gave none.
    """

    committed: bool
    reason: str = ""


class Commitments:
    """The requests that are not settled and their answers, as files.

    Parameters
    ----------
    data_dir
        The node's data folder; ``commitments/`` is made inside it with mode 0700.
    tls
        Whether peers reach the listener by TLS: then an answer from a destination that is reached
        by TLS too must come with a certificate of its name.
    """

    def __init__(self, data_dir: Path, *, tls: bool = False) -> None:
        self.root = data_dir / "commitments"
        self._tls = tls

    def expect(self, attempt: str, sop_instance_uid: str, destination: Destination) -> str:
        """Note a request, on the disk, before it is sent.

        Parameters
        ----------
        attempt
            Name of this request alone. One that was noted before, by a process that died since,
            keeps its transaction UID.
        sop_instance_uid
            Of the report.
        destination
            The peer that is asked.

        Returns
        -------
        str
            The transaction UID, random.
        """
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        uid = self._transaction(attempt)
        if uid is None:
            uid = f"2.25.{uuid.uuid4().int}"
            self._write(self._path(attempt, "attempt"), {"transaction_uid": uid})
        request = {
            "uid": sop_instance_uid,
            "ae_title": destination.ae_title.strip(),
            "certificate_name": _certificate_name(destination),
        }
        self._write(self._path(uid, "request"), request)
        return uid

    def receive(self, information: Dataset, sender: Peer) -> str | None:
        """Keep the answer of a peer.

        Parameters
        ----------
        information
            Event Information of the N-EVENT-REPORT.
        sender
            Who sent it.

        Returns
        -------
        str or None
            Why it is refused; None if it is kept.
        """
        transaction_uid = str(information.get("TransactionUID") or "")
        path = self._path(transaction_uid, "request")
        if not transaction_uid or not path.is_file():
            return "commitment_unknown"
        request = json.loads(path.read_text())
        if sender.ae_title != request["ae_title"]:
            return "commitment_ae_title"
        name = request["certificate_name"]
        if self._tls and name is not None and name not in sender.certificate_names:
            return "commitment_certificate"
        expected = request["uid"]
        kept = {
            str(item.get("ReferencedSOPInstanceUID"))
            for item in information.get("ReferencedSOPSequence") or ()
        }
        failed = {
            str(item.get("ReferencedSOPInstanceUID")): item.get("FailureReason")
            for item in information.get("FailedSOPSequence") or ()
        }
        committed = expected in kept and expected not in failed
        reason = failed.get(expected)
        self._write(
            self._path(transaction_uid, "answer"),
            {
                "committed": committed,
                "reason": f"0x{reason:04X}" if isinstance(reason, int) else "",
            },
        )
        return None

    def answer(self, attempt: str) -> CommitmentAnswer | None:
        """The answer to a request; None until it has come."""
        transaction_uid = self._transaction(attempt)
        if transaction_uid is None:
            return None
        path = self._path(transaction_uid, "answer")
        return CommitmentAnswer(**json.loads(path.read_text())) if path.is_file() else None

    def forget(self, attempt: str) -> None:
        """Remove a request that is settled."""
        transaction_uid = self._transaction(attempt)
        if transaction_uid is not None:
            for kind in ("request", "answer"):
                self._path(transaction_uid, kind).unlink(missing_ok=True)
        self._path(attempt, "attempt").unlink(missing_ok=True)

    def remove_leftovers(self, longest_seconds: float) -> None:
        """Remove requests whose workflow is gone, as when its destination left the settings.

        Parameters
        ----------
        longest_seconds
            The longest time, in s, that any request is waited for.
        """
        oldest = time.time() - longest_seconds - FORGOTTEN_SECONDS
        for path in self.root.glob("*.json"):
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)

    def _transaction(self, attempt: str) -> str | None:
        path = self._path(attempt, "attempt")
        return str(json.loads(path.read_text())["transaction_uid"]) if path.is_file() else None

    def _path(self, name: str, kind: str) -> Path:
        return self.root / f"{spool_name(name)}.{kind}.json"

    def _write(self, path: Path, content: dict[str, Any]) -> None:
        write_atomically(path, json.dumps(content).encode(), durable=True)


def request_commitment(
    document: Dataset,
    attempt: str,
    destination: Destination,
    calling_ae: str,
    commitments: Commitments,
    alerts: SecurityAlerts,
) -> None:
    """Ask for commitment of one document (N-ACTION); the answer goes to ``commitments``.

    Parameters
    ----------
    document
        Of which only class and instance UID are sent.
    attempt
        As for `Commitments.expect`.
    destination
        The peer.
    calling_ae
        AE title of this node.
    commitments
        Takes the request, and the answer if it comes on the same association.
    alerts
        Takes answers that are refused.

    Raises
    ------
    DeliveryFailed
        The peer cannot be reached, does not offer storage commitment or refuses the request.
    """
    transaction_uid = commitments.expect(attempt, str(document.SOPInstanceUID), destination)
    # its address is the one that was called, and TLS has compared its name
    name = _certificate_name(destination)
    peer = Peer(destination.ae_title.strip(), destination.host, () if name is None else (name,))
    answered = threading.Event()

    def answer(event: Event) -> tuple[int, None]:
        status = _receive(event, commitments, peer, alerts)
        answered.set()
        return status

    asked = Dataset()
    asked.TransactionUID = transaction_uid
    reference = Dataset()
    reference.ReferencedSOPClassUID = document.SOPClassUID
    reference.ReferencedSOPInstanceUID = document.SOPInstanceUID
    asked.ReferencedSOPSequence = [reference]
    association = associate(
        calling_ae,
        destination,
        [StorageCommitmentPushModel],
        [(evt.EVT_N_EVENT_REPORT, answer)],
    )
    try:
        if not association.accepted_contexts:
            raise DeliveryFailed(f"{destination.name} does not offer storage commitment")
        status, _ = association.send_n_action(
            asked, REQUEST_ACTION, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        code = status.get("Status")
        if code != SUCCESS:
            said = "no answer" if code is None else f"status 0x{code:04X}"
            raise DeliveryFailed(f"{destination.name} answered the commitment request with {said}")
        answered.wait(SAME_ASSOCIATION_SECONDS)
    except (ValueError, RuntimeError) as error:
        raise DeliveryFailed(f"{destination.name}: {error}") from error
    finally:
        if association.is_established:
            association.release()


def accept_commitment_reports(ae: AE) -> None:
    """Let a listener accept associations on which peers send their answers."""
    ae.add_supported_context(
        StorageCommitmentPushModel, list(PLAIN_SYNTAXES), scu_role=False, scp_role=True
    )


def commitment_handlers(
    commitments: Commitments, alerts: SecurityAlerts, peer_of: Callable[[Association], Peer]
) -> list[tuple[Any, Callable[[Event], Any]]]:
    """The event handlers, to be bound by a listener, that keep the answers of peers.

    Parameters
    ----------
    commitments
        Takes the answers.
    alerts
        Takes those that are refused.
    peer_of
        Says who requested an association.
    """

    def receive(event: Event) -> tuple[int, None]:
        return _receive(event, commitments, peer_of(event.assoc), alerts)

    return [(evt.EVT_N_EVENT_REPORT, receive)]


def _receive(
    event: Event, commitments: Commitments, sender: Peer, alerts: SecurityAlerts
) -> tuple[int, None]:
    status = INVALID_OBJECT
    refused: str | None
    try:
        if event.context.abstract_syntax != StorageCommitmentPushModel:
            # a peer may name the class on any context, such as one for images
            refused = "commitment_context"
        elif event.event_type in REPORTED_EVENTS:
            refused = commitments.receive(event.event_information, sender)
        else:
            status, refused = NO_SUCH_EVENT_TYPE, "commitment_event_type"
    except Exception as error:  # a peer may send anything, and the disk may be full
        log().warning("commitment answer not kept", **fault_fields(error))
        status, refused = PROCESSING_FAILURE, "commitment_not_kept"
    if refused is None:
        return SUCCESS, None
    log().warning(
        "commitment answer refused",
        reason=refused,
        calling_ae=sender.ae_title,
        peer=sender.address,
    )
    alerts.refused(sender, refused)
    return status, None


def _certificate_name(destination: Destination) -> str | None:
    """The name in a destination's certificate; None if it is reached without TLS."""
    if destination.tls is None:
        return None
    return destination.tls.server_name or destination.host
