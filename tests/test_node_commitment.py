"""Storage commitment: the answer on either association, or none in time."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import ComprehensiveSRStorage, StorageCommitmentPushModel

from dicom_node.demo import free_port
from dicom_node.errors import DeliveryFailed
from dicom_node.receiving.listener import start_listener
from dicom_node.reporting.structured_report import build_structured_report
from dicom_node.sending.commitment import Commitments, request_commitment
from dicom_node.settings.node import Destination, Listener
from dicom_node.spool.spool import Spool
from tests.assessment_builders import assessment
from tests.dicom_builders import plain_series

T = TypeVar("T")

INSTANCE = "1.2.840.10008.1.20.1.1"


class Committing:
    """A peer that answers requests for commitment, on ``answer_port`` or the same association."""

    def __init__(self, answer_port: int | None = None, *, keeps: bool = True) -> None:
        self.port = free_port()
        self.statuses: list[int] = []
        self._answer_port = answer_port
        self._keeps = keeps

    def __enter__(self) -> "Committing":
        ae = AE(ae_title="PACS")
        ae.add_supported_context(ComprehensiveSRStorage)
        ae.add_supported_context(StorageCommitmentPushModel)
        self._server = ae.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_N_ACTION, self._asked)]
        )
        return self

    def __exit__(self, *_details: object) -> None:
        assert self._server is not None
        self._server.shutdown()

    def _asked(self, event: evt.Event) -> tuple[int, None]:
        asked = event.action_information
        answer = Dataset()
        answer.TransactionUID = asked.TransactionUID
        if self._keeps:
            answer.ReferencedSOPSequence = asked.ReferencedSOPSequence
        else:
            failed = Dataset()
            failed.update(asked.ReferencedSOPSequence[0])
            failed.FailureReason = 0x0112
            answer.FailedSOPSequence = [failed]
        threading.Thread(target=self._answer, args=(event.assoc, answer)).start()
        return 0x0000, None

    def _answer(self, association: Association, answer: Dataset) -> None:
        kind = 1 if self._keeps else 2
        if self._answer_port is not None:
            ae = AE(ae_title="PACS")
            ae.add_requested_context(StorageCommitmentPushModel)
            association = ae.associate(
                "127.0.0.1",
                self._answer_port,
                ae_title="OSTEONODE",
                ext_neg=[build_role(StorageCommitmentPushModel, scp_role=True)],
            )
        status, _ = association.send_n_event_report(
            answer, kind, StorageCommitmentPushModel, INSTANCE
        )
        self.statuses.append(status.get("Status", -1))
        if self._answer_port is not None:
            association.release()


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("committed")
    plain_series(folder / "series")
    path = folder / "report.dcm"
    build_structured_report(assessment(folder / "series"), "id").save_as(
        path, enforce_file_format=True
    )
    return pydicom.dcmread(path)


def peer(port: int) -> Destination:
    return Destination(
        name="pacs", ae_title="PACS", host="127.0.0.1", port=port, timeout_seconds=20
    )


def wait_for(condition: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def test_answer_on_the_same_association_is_kept(document: Dataset, tmp_path: Path) -> None:
    commitments = Commitments(tmp_path)
    with Committing() as pacs:
        request_commitment(document, "1.2.3", peer(pacs.port), "OSTEONODE", commitments)
        assert wait_for(lambda: commitments.answer("1.2.3")).committed
        assert wait_for(lambda: pacs.statuses) == [0x0000]
    commitments.forget("1.2.3")
    assert not list(commitments.root.iterdir())


@pytest.mark.parametrize("service", ["direct", "pynetdicom"])
@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "not kept"])
def test_answer_on_an_association_of_the_peer_reaches_the_listener(
    document: Dataset, tmp_path: Path, keeps: bool, service: Literal["direct", "pynetdicom"]
) -> None:
    settings = Listener(port=0, min_free_mb=0, store_service=service)
    server = start_listener(settings, Spool(tmp_path))
    commitments = Commitments(tmp_path)
    with Committing(server.port, keeps=keeps) as pacs:
        request_commitment(document, "1.2.3", peer(pacs.port), "OSTEONODE", commitments)
        answer = wait_for(lambda: commitments.answer("1.2.3"))
        assert answer.committed is keeps
        assert answer.reason == ("" if keeps else "0x0112")
        assert wait_for(lambda: pacs.statuses) == [0x0000]
    server.shutdown()


def test_answer_that_nobody_asked_for_is_refused(tmp_path: Path) -> None:
    commitments = Commitments(tmp_path)
    forged = Dataset()
    forged.TransactionUID = "1.2.3"
    assert commitments.receive(forged) == 0x0117
    assert commitments.answer("1.2.3") is None


def test_answer_that_does_not_name_the_report_is_no_commitment(tmp_path: Path) -> None:
    commitments = Commitments(tmp_path)
    commitments.expect("1.2.3", "1.2.4")
    other = Dataset()
    other.ReferencedSOPInstanceUID = "1.2.5"
    answer = Dataset()
    answer.TransactionUID = "1.2.3"
    answer.ReferencedSOPSequence = [other]
    assert commitments.receive(answer) == 0x0000
    kept = commitments.answer("1.2.3")
    assert kept is not None
    assert not kept.committed


def test_peer_without_commitment_is_a_failure_that_says_so(
    document: Dataset, tmp_path: Path
) -> None:
    ae = AE(ae_title="PACS")
    ae.add_supported_context(ComprehensiveSRStorage)
    port = free_port()
    server = ae.start_server(("127.0.0.1", port), block=False)
    assert server is not None
    with pytest.raises(DeliveryFailed, match="does not offer Storage Commitment"):
        request_commitment(document, "1.2.3", peer(port), "OSTEONODE", Commitments(tmp_path))
    server.shutdown()
