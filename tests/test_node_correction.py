"""A node that receives corrections, mixed patients and contradictions (quick assessments)."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    ComprehensiveSRStorage,
    CTImageStorage,
    KeyObjectSelectionDocumentStorage,
)

from dicom_node.demo import free_port
from dicom_node.reporting.report_history import REPORT_FILE
from tests.dicom_builders import edit, plain_series
from tests.fault_node import FaultNode

REJECTION = KeyObjectSelectionDocumentStorage


@contextmanager
def archive(got: list[pydicom.Dataset]) -> Iterator[int]:
    """An archive for reports and rejections; yields its port."""
    ae = AE(ae_title="PACS")
    ae.add_supported_context(ComprehensiveSRStorage)
    ae.add_supported_context(REJECTION)
    port = free_port()

    def keep(event: Any) -> int:
        got.append(event.dataset)
        return 0x0000

    server = ae.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)]
    )
    assert server is not None
    try:
        yield port
    finally:
        server.shutdown()


def send(node: FaultNode, paths: Sequence[Path]) -> None:
    ae = AE(ae_title="SCANNER")
    ae.add_requested_context(CTImageStorage, "1.2.840.10008.1.2.1")

    def established() -> Any:
        found = ae.associate("127.0.0.1", node.port, ae_title="OSTEONODE")
        return found if found.is_established else None

    association = node.wait_for(established)
    for path in paths:
        assert association.send_c_store(pydicom.dcmread(path)).Status == 0x0000
    association.release()


def change(paths: Sequence[Path], **values: Any) -> None:
    for path in paths:
        edit(path, **values)


def reports(got: Sequence[pydicom.Dataset]) -> list[pydicom.Dataset]:
    return [document for document in got if document.SOPClassUID == ComprehensiveSRStorage]


def rejected(got: Sequence[pydicom.Dataset]) -> list[str]:
    return [
        str(instance.ReferencedSOPInstanceUID)
        for document in got
        if document.SOPClassUID == REJECTION
        for study in document.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    ]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # sockets of tries before the node listens
def test_corrected_patient_then_other_study_each_get_a_report_and_the_wrong_ones_are_withdrawn(
    tmp_path: Path,
) -> None:
    paths = plain_series(tmp_path / "ct")
    got: list[pydicom.Dataset] = []
    with archive(got) as port, FaultNode(tmp_path, [port]) as node:
        change(paths, PatientID="WRONG-1")
        send(node, paths)
        node.wait_for(lambda: node.events("delivered"))
        change(paths, PatientID="RIGHT-7")
        send(node, paths)
        node.wait_for(lambda: node.events("withdrawn"))
        node.wait_for(lambda: len(reports(got)) == 2)
        change(paths, StudyInstanceUID="1.2.3.99")
        send(node, paths)
        node.wait_for(lambda: len(node.events("withdrawn")) == 2)
        node.wait_for(lambda: len(reports(got)) == 3)
        wrong, right, moved = reports(got)
        assert [r.PatientID for r in (wrong, right, moved)] == ["WRONG-1", "RIGHT-7", "RIGHT-7"]
        assert len({r.SOPInstanceUID for r in (wrong, right, moved)}) == 3
        assert moved.StudyInstanceUID == "1.2.3.99"
        assert "PredecessorDocumentsSequence" not in right
        assert rejected(got) == [wrong.SOPInstanceUID, right.SOPInstanceUID]
        again = len(got)
        send(node, paths)
        node.wait_for(lambda: node.events("received again"))
        status = node.command("status")
        assert status.stdout.count("withdrawn") == 1
        standing = [event["others"][0] for event in named(node)]
        assert all(report in status.stdout for report in standing)
        assert len(standing) == 2
        assert len(got) == again
        audit = "".join(p.read_text() for p in (node.data / "audit").glob("*.jsonl"))
        assert audit.count("report stands under another patient") == 2
        assert '"different","value":"40"' in audit
        assert "RIGHT-7" not in audit + node.log_path.read_text()


def named(node: FaultNode) -> list[dict[str, Any]]:
    return node.events("report stands under another patient")


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_conflict_is_held_until_one_side_is_discarded(tmp_path: Path) -> None:
    paths = plain_series(tmp_path / "ct")
    got: list[pydicom.Dataset] = []
    with archive(got) as port, FaultNode(tmp_path, [port]) as node:
        other = tmp_path / "other.dcm"
        shutil.copy(paths[5], other)
        edit(other, RescaleIntercept="-1000")
        send(node, [*paths, other])
        [event] = node.wait_for(lambda: node.events("assessment failed"))
        assert event["code"] == "input.conflicting_instance"
        # the event is logged before the workflow ends, and only then is it listed
        node.wait_for(lambda: any("different images" in work.reason for work in node.failed()))
        failed = node.command("failed").stdout
        assert "1 instances were received with different images" in failed
        study = failed.splitlines()[0].rpartition(" ")[2]
        listed = node.command("discard", study).stdout.splitlines()
        assert listed[0].split("\t")[1:] == ["conflict", "1 instances", "from SCANNER"]
        items = [line.split("\t")[0] for line in listed[::2]]
        assert len(items) == 2
        assert node.command("discard", study, "no-such-item").returncode == 2
        assert node.command("discard", study, items[1]).stdout == "1 instances removed\n"
        node.wait_for(lambda: node.events("delivered"))
        assert len(got) == 1
        assert node.command("failed").stdout == "no failed work\n"
        assert "nothing was set aside" in node.command("discard", study).stdout
        audit = "".join(p.read_text() for p in (node.data / "audit").glob("*.jsonl"))
        assert f'"{items[1]}"' in audit


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_retry_without_instances_says_so_and_keeps_the_report(tmp_path: Path) -> None:
    paths = plain_series(tmp_path / "ct")
    got: list[pydicom.Dataset] = []
    with archive(got) as port, FaultNode(tmp_path, [port]) as node:
        send(node, paths)
        node.wait_for(lambda: node.events("delivered"))
        [event] = node.events("assessed")
        folder = node.data / "reports" / event["study"] / event["assessment"]
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        [series] = (node.data / "spool" / "series").iterdir()
        shutil.rmtree(series)
        result = node.command("retry", event["assessment"])
        assert result.returncode == 3
        assert "no longer in the spool" in result.stderr
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        assert REPORT_FILE in before


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_study_of_two_patients_is_refused_and_a_foreign_series_is_left_out(
    tmp_path: Path,
) -> None:
    mixed = plain_series(tmp_path / "mixed")
    change(mixed[:20], PatientID="A-1")
    change(mixed, StudyInstanceUID="1.2.3.1")
    paths, odd = plain_series(tmp_path / "ct"), plain_series(tmp_path / "odd")
    for number, path in enumerate(odd):
        edit(path, PatientID="B-2", SeriesInstanceUID="1.2.4", SOPInstanceUID=f"1.2.4.{number}")
    got: list[pydicom.Dataset] = []
    settings = "max_wait_seconds = 3.0"
    with archive(got) as port, FaultNode(tmp_path, [port], settings) as node:
        send(node, mixed)
        [refused] = node.wait_for(lambda: node.events("refused"))
        assert refused["code"] == "input.patient_mismatch"
        send(node, [*odd[:10], *paths])
        [assessed] = node.wait_for(lambda: node.events("assessed"))
        assert "input.foreign_instances" in assessed["warnings"]
        node.wait_for(lambda: node.events("delivered"))
        [report] = got
        assert report.PatientID != "B-2"
