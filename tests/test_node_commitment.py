"""Storage commitment: the answer on either association, or none in time."""

import json
import os
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
from dicom_node.records.audit import AuditTrail, Peer
from dicom_node.records.security_alerts import SecurityAlerts
from dicom_node.reporting.structured_report import build_structured_report
from dicom_node.sending.commitment import Commitments, request_commitment
from dicom_node.settings.edge import ClientTls
from dicom_node.settings.node import Destination, Listener, NodeSettings
from dicom_node.spool.spool import Spool
from dicom_node.work.delivery_steps import DeliverySteps
from dicom_node.work.sharing.outgoing import OutgoingObjects
from tests.assessment_builders import assessment
from tests.dicom_builders import plain_series

T = TypeVar("T")

INSTANCE = "1.2.840.10008.1.20.1.1"

NOBODY = SecurityAlerts(AuditTrail(None))

PACS = Peer("PACS", "127.0.0.1")


class Committing:
    """A peer that answers requests for commitment, on ``answer_port`` or the same association."""

    def __init__(
        self, answer_port: int | None = None, *, keeps: bool = True, title: str = "PACS"
    ) -> None:
        self._title = title
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
            ae = AE(ae_title=self._title)
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
        request_commitment(document, "first", peer(pacs.port), "OSTEONODE", commitments, NOBODY)
        assert wait_for(lambda: commitments.answer("first")).committed
        assert wait_for(lambda: pacs.statuses) == [0x0000]
    commitments.forget("first")
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
        request_commitment(document, "first", peer(pacs.port), "OSTEONODE", commitments, NOBODY)
        answer = wait_for(lambda: commitments.answer("first"))
        assert answer.committed is keeps
        assert answer.reason == ("" if keeps else "0x0112")
        assert wait_for(lambda: pacs.statuses) == [0x0000]
    server.shutdown()


def answer_to(transaction_uid: str, instance_uid: str) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPInstanceUID = instance_uid
    answer = Dataset()
    answer.TransactionUID = transaction_uid
    answer.ReferencedSOPSequence = [reference]
    return answer


def test_answer_that_nobody_asked_for_is_refused(tmp_path: Path) -> None:
    commitments = Commitments(tmp_path)
    assert commitments.receive(answer_to("1.2.3", "1.2.4"), PACS) == "commitment_unknown"
    assert not commitments.root.exists()


def test_answer_that_does_not_name_the_report_is_no_commitment(tmp_path: Path) -> None:
    commitments = Commitments(tmp_path)
    transaction = commitments.expect("first", "1.2.4", peer(104))
    assert commitments.receive(answer_to(transaction, "1.2.5"), PACS) is None
    kept = commitments.answer("first")
    assert kept is not None
    assert not kept.committed


def test_transaction_uid_is_random_and_survives_a_crash_of_the_worker(tmp_path: Path) -> None:
    first = Commitments(tmp_path).expect("first", "1.2.4", peer(104))
    assert Commitments(tmp_path).expect("first", "1.2.4", peer(104)) == first
    others = {Commitments(tmp_path).expect(str(n), "1.2.4", peer(104)) for n in range(20)}
    assert len(others | {first}) == 21
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in others)
    assert Commitments(tmp_path / "other").expect("first", "1.2.4", peer(104)) != first
    assert (tmp_path / "commitments").stat().st_mode & 0o777 == 0o700


def test_answer_of_another_peer_than_the_destination_is_refused(tmp_path: Path) -> None:
    commitments = Commitments(tmp_path)
    transaction = commitments.expect("first", "1.2.4", peer(104))
    forged = answer_to(transaction, "1.2.4")
    assert commitments.receive(forged, Peer("OTHER", "127.0.0.1")) == "commitment_ae_title"
    assert commitments.answer("first") is None
    assert commitments.receive(forged, PACS) is None


def test_answer_by_tls_needs_the_name_of_the_destination(tmp_path: Path) -> None:
    tls = ClientTls(ca=Path("ca.pem"), server_name="pacs.hospital")
    commitments = Commitments(tmp_path, tls=True)
    transaction = commitments.expect("first", "1.2.4", peer(104).model_copy(update={"tls": tls}))
    answer = answer_to(transaction, "1.2.4")
    for names in ((), ("ct1.hospital",)):
        assert commitments.receive(answer, Peer("PACS", "x", names)) == "commitment_certificate"
    assert commitments.receive(answer, Peer("PACS", "x", ("pacs.hospital",))) is None


def test_refused_answer_is_a_security_alert(document: Dataset, tmp_path: Path) -> None:
    audit = AuditTrail(tmp_path / "audit")
    server = start_listener(Listener(port=0, min_free_mb=0), Spool(tmp_path), audit=audit)
    stranger = Committing(server.port, title="STRANGER")
    commitments = Commitments(tmp_path)
    with stranger:
        request_commitment(document, "first", peer(stranger.port), "OSTEONODE", commitments, NOBODY)
        assert wait_for(lambda: stranger.statuses) == [0x0117]
    server.shutdown()
    assert commitments.answer("first") is None
    [path] = (tmp_path / "audit").iterdir()
    [record] = [json.loads(line) for line in path.read_text().splitlines()]
    about = record["EventIdentification"]
    assert about["EventID"]["originalText"] == "Security Alert"
    assert about["EventOutcomeDescription"] == "commitment_ae_title"
    assert record["ActiveParticipant"][0]["UserID"] == "STRANGER"


def test_requests_whose_workflow_is_gone_are_removed(tmp_path: Path) -> None:
    commitments = Commitments(tmp_path)
    for attempt in ("old", "new"):
        commitments.receive(answer_to(commitments.expect(attempt, "1", peer(104)), "1"), PACS)
        if attempt == "old":
            year_ago = time.time() - 365 * 86_400
            for path in commitments.root.iterdir():
                os.utime(path, (year_ago, year_ago))
    commitments.remove_leftovers(3600.0)
    assert commitments.answer("old") is None
    assert commitments.answer("new") is not None
    assert len(list(commitments.root.iterdir())) == 3


@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "not kept"])
def test_settled_request_leaves_no_file_and_a_repeated_look_the_same_result(
    document: Dataset, tmp_path: Path, keeps: bool
) -> None:
    folder = tmp_path / "reports" / "study" / "folder"
    folder.mkdir(parents=True)
    document.save_as(folder / "report.sr.dcm", enforce_file_format=True)
    report = {"identity": "id", "study": "study", "study_uid": "1.2", "folder": "folder"}
    steps = DeliverySteps(
        NodeSettings(data_dir=tmp_path),
        AuditTrail(None),
        None,
        OutgoingObjects(tmp_path / "reports"),
        lambda: None,
    )
    with Committing(keeps=keeps) as pacs:
        looks = [
            steps.commitment(report, peer(pacs.port), 1, look, time.time())["state"]
            for look in (0, 1, 1, 0)  # a crash lets steps run again
        ]
    assert set(looks) == {"committed" if keeps else "retrying"}
    steps.forget_commitment(report, peer(104), 1)
    assert not list((tmp_path / "commitments").iterdir())


def test_peer_without_commitment_is_a_failure_that_says_so(
    document: Dataset, tmp_path: Path
) -> None:
    ae = AE(ae_title="PACS")
    ae.add_supported_context(ComprehensiveSRStorage)
    port = free_port()
    server = ae.start_server(("127.0.0.1", port), block=False)
    assert server is not None
    with pytest.raises(DeliveryFailed, match="does not offer Storage Commitment"):
        request_commitment(
            document, "first", peer(port), "OSTEONODE", Commitments(tmp_path), NOBODY
        )
    server.shutdown()
