from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import ComprehensiveSRStorage, CTImageStorage

from dicom_node.demo import free_port
from dicom_node.errors import DeliveryFailed
from dicom_node.reporting.structured_report import build_structured_report
from dicom_node.sending.delivery import echo, send
from dicom_node.settings.node import Destination
from tests.assessment_builders import assessment
from tests.dicom_builders import plain_series
from tests.node_process import Pacs


def destination(port: int, **changes: Any) -> Destination:
    values = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": port}
    return Destination(**{**values, "timeout_seconds": 5, **changes})


@pytest.fixture
def report(tmp_path: Path) -> Path:
    plain_series(tmp_path / "series")
    path = tmp_path / "report.dcm"
    build_structured_report(assessment(tmp_path / "series"), "id").save_as(
        path, enforce_file_format=True
    )
    return path


def test_report_arrives_and_its_status_is_returned(report: Path) -> None:
    with Pacs() as pacs:
        assert send(report.read_bytes(), destination(pacs.port), "OSTEONODE") == 0x0000
        assert len(pacs.stored) == 1


@pytest.mark.parametrize("status", [0xB000, 0x0111], ids=["warning", "already there"])
def test_warning_and_duplicate_count_as_taken(report: Path, status: int) -> None:
    with Pacs(lambda _count: status) as pacs:
        assert send(report.read_bytes(), destination(pacs.port), "OSTEONODE") == status


def test_refusal_is_a_failure_with_its_status(report: Path) -> None:
    with (
        Pacs(lambda _count: 0xA700) as pacs,
        pytest.raises(DeliveryFailed, match="0xA700"),
    ):
        send(report.read_bytes(), destination(pacs.port), "OSTEONODE")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "changes",
    [{}, {"host": "no-such-host.invalid"}],
    ids=["nobody listens", "name does not resolve"],
)
def test_peer_that_is_not_there_is_a_failure_that_may_be_retried(
    report: Path, changes: dict[str, str]
) -> None:
    peer = destination(free_port(), **changes)
    with pytest.raises(DeliveryFailed, match="cannot be reached"):
        send(report.read_bytes(), peer, "OSTEONODE")
    with pytest.raises(DeliveryFailed, match="cannot be reached"):
        echo(peer, "OSTEONODE")


def test_what_is_no_report_is_a_failure_and_not_a_crash() -> None:
    with pytest.raises(DeliveryFailed, match="cannot be read"):
        send(b"no DICOM", destination(free_port()), "OSTEONODE")


def test_the_same_document_built_again_does_not_name_itself_as_predecessor(
    report: Path, tmp_path: Path
) -> None:
    again = build_structured_report(assessment(tmp_path / "series"), "id", [report])
    assert "PredecessorDocumentsSequence" not in again
    later = build_structured_report(assessment(tmp_path / "series"), "other", [report])
    assert "PredecessorDocumentsSequence" in later


def test_peer_that_takes_implicit_vr_only_gets_the_same_document(report: Path) -> None:
    stored: list[Dataset] = []

    def keep(event: Event) -> int:
        stored.append(event.dataset)
        return 0

    ae = AE(ae_title="PACS")
    ae.add_supported_context(ComprehensiveSRStorage, ImplicitVRLittleEndian)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    assert server is not None
    assert server.socket is not None
    before = report.read_bytes()
    try:
        port = server.socket.getsockname()[1]
        assert send(report.read_bytes(), destination(port), "OSTEONODE") == 0x0000
    finally:
        ae.shutdown()
    assert stored == [pydicom.dcmread(report)]
    assert report.read_bytes() == before


@pytest.mark.parametrize(
    ("sop_class", "reason"),
    [
        (
            ComprehensiveSRStorage,
            "does not offer Comprehensive SR Storage in Explicit VR Little Endian or Implicit VR",
        ),
        (CTImageStorage, "does not offer Comprehensive SR Storage$"),
    ],
    ids=["encoding", "SOP class"],
)
def test_refused_presentation_context_is_named(report: Path, sop_class: str, reason: str) -> None:
    ae = AE(ae_title="PACS")
    ae.add_supported_context(sop_class, ExplicitVRBigEndian)
    port = free_port()
    ae.start_server(("127.0.0.1", port), block=False)
    try:
        with pytest.raises(DeliveryFailed, match=reason):
            send(report.read_bytes(), destination(port), "OSTEONODE")
    finally:
        ae.shutdown()
