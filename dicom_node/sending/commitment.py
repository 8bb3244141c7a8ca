"""Storage commitment: ask a peer to confirm that it keeps a report, and take its answer.

The answer (N-EVENT-REPORT) comes on the association of the request or, as a rule, on one that the
peer opens to the listener, often before the worker waits for it. So each request is written to a
file before it is sent, the process that receives the answer writes it beside the request, and the
worker looks there.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from dicom_node.errors import DeliveryFailed
from dicom_node.files import write_atomically
from dicom_node.logs import fault_fields, log
from dicom_node.sending.delivery import associate
from dicom_node.settings.work import Destination
from dicom_node.spool.spool import spool_name
from dicom_node.statuses import (
    INVALID_OBJECT,
    NO_SUCH_EVENT_TYPE,
    PROCESSING_FAILURE,
    SUCCESS,
)

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
    """The requests that are not settled, one file each, and the answers beside them.

    Parameters
    ----------
    data_dir
        The node's data folder.
    """

    def __init__(self, data_dir: Path) -> None:
        self.root = data_dir / "commitments"

    def expect(self, transaction_uid: str, sop_instance_uid: str) -> None:
        """Note a request, on the disk, before it is sent."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write(self._path(transaction_uid, "request"), {"uid": sop_instance_uid})

    def receive(self, information: Dataset) -> int:
        """Keep the answer of a peer.

        Any peer that may associate can send one: an answer counts only for a transaction UID that
        was requested, and only for the report of that request.

        Parameters
        ----------
        information
            Event Information of the N-EVENT-REPORT.

        Returns
        -------
        int
            The status of the response.
        """
        transaction_uid = str(information.get("TransactionUID") or "")
        request = self._path(transaction_uid, "request")
        if not transaction_uid or not request.is_file():
            return INVALID_OBJECT
        expected = json.loads(request.read_text())["uid"]
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
        return SUCCESS

    def answer(self, transaction_uid: str) -> CommitmentAnswer | None:
        """The answer to a request; None until it has come."""
        path = self._path(transaction_uid, "answer")
        if not path.is_file():
            return None
        return CommitmentAnswer(**json.loads(path.read_text()))

    def forget(self, transaction_uid: str) -> None:
        """Remove a request that is settled."""
        for kind in ("request", "answer"):
            self._path(transaction_uid, kind).unlink(missing_ok=True)

    def _path(self, transaction_uid: str, kind: str) -> Path:
        return self.root / f"{spool_name(transaction_uid)}.{kind}.json"

    def _write(self, path: Path, content: dict[str, Any]) -> None:
        write_atomically(path, json.dumps(content).encode(), durable=True)


def request_commitment(
    document: Dataset,
    transaction_uid: str,
    destination: Destination,
    calling_ae: str,
    commitments: Commitments,
) -> None:
    """Ask for commitment of one document (N-ACTION); the answer goes to ``commitments``.

    Parameters
    ----------
    document
        Of which only class and instance UID are sent.
    transaction_uid
        UID of this request alone.
    destination
        The peer.
    calling_ae
        AE title of this node.
    commitments
        Takes the request, and the answer if it comes on the same association.

    Raises
    ------
    DeliveryFailed
        The peer cannot be reached, does not offer storage commitment or refuses the request.
    """
    commitments.expect(transaction_uid, str(document.SOPInstanceUID))
    answered = threading.Event()

    def answer(event: Event) -> tuple[int, None]:
        status = _receive(event, commitments)
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
    ae.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)


def commitment_handlers(commitments: Commitments) -> list[tuple[Any, Callable[[Event], Any]]]:
    """The event handlers, to be bound by a listener, that keep the answers of peers."""
    return [(evt.EVT_N_EVENT_REPORT, lambda event: _receive(event, commitments))]


def _receive(event: Event, commitments: Commitments) -> tuple[int, None]:
    try:
        if event.event_type not in REPORTED_EVENTS:
            return NO_SUCH_EVENT_TYPE, None
        status = commitments.receive(event.event_information)
    except Exception as error:  # a peer may send anything, and the disk may be full
        log().warning("commitment answer not kept", **fault_fields(error))
        return PROCESSING_FAILURE, None
    if status != SUCCESS:
        log().warning("commitment answer refused", reason="unknown transaction")
    return status, None
