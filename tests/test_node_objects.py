"""The objects beside the Structured Report: made, sent, committed and withdrawn each by itself."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
)

from dicom_node.analysis import analysis
from dicom_node.analysis.analysis import analyse
from dicom_node.analysis.outcome import Outcome
from dicom_node.assessment.segmenters import SegmenterPlan
from dicom_node.reporting.objects.files import destination_files, wanted_kinds, wanted_pages
from dicom_node.reporting.objects.kinds import NotAnalysed, ObjectKind
from dicom_node.settings.node import Acquisition
from dicom_node.settings.work import Destination
from tests.dicom_builders import edit, plain_series
from tests.fault_node import FaultNode, send_until_taken
from tests.node_process import Pacs
from tests.quick_assessment import QuickStager, quick_assessment

SHORT = Acquisition(min_coverage_mm=90)


def change(paths: list[Path], **values: Any) -> None:
    for path in paths:
        edit(path, **values)


def destination(**settings: Any) -> Destination:
    return Destination(name="pacs", ae_title="PACS", host="h", port=104, **settings)


def test_destination_gets_the_files_of_its_settings() -> None:
    assert destination_files(destination()) == ("report.sr.dcm", "report.sc.dcm")
    planar = destination(objects=["sr", "pdf", "seg", "slices"], sr_profile="planar")
    assert destination_files(planar) == (
        "report.planar.dcm", "report.pdf.dcm", "report.seg.dcm", "report.slices.dcm",
    )  # fmt: skip
    pictures = destination(objects=["sc"], not_analysed="pdf")
    assert wanted_kinds((planar, pictures)) == set(ObjectKind)
    assert wanted_pages((planar, pictures)) == {NotAnalysed.PDF}
    with pytest.raises(ValueError, match="sent once, found twice: \\['sc'\\]"):
        destination(objects=["sc", "sc"])
    with pytest.raises(ValueError, match="at least 1 item"):
        destination(objects=[])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "assess", quick_assessment)


def run(
    paths: list[Path],
    out: Path,
    objects: tuple[ObjectKind, ...] = (),
    pages: tuple[NotAnalysed, ...] = (),
) -> Outcome:
    return analyse(
        paths,
        out,
        SHORT,
        QuickStager(),
        None,
        SegmenterPlan(),
        objects=objects,
        refusal_pages=pages,
    )


@pytest.mark.usefixtures("quick")
def test_object_that_cannot_be_made_is_named_and_the_others_are_there(tmp_path: Path) -> None:
    outcome = run(plain_series(tmp_path / "ct"), tmp_path / "out", tuple(ObjectKind))
    made = {"report.planar.dcm", "report.sc.dcm", "report.slices.dcm", "report.pdf.dcm"}
    assert outcome.reported
    assert set(outcome.objects) == made
    assert outcome.unmade == {"seg": "unforeseen ValueError"}  # the quick regions overlap
    assert {path.name for path in (tmp_path / "out").glob("*.dcm")} == {*made, "report.sr.dcm"}
    patients = {str(pydicom.dcmread(tmp_path / "out" / name).PatientID) for name in made}
    assert patients == {str(pydicom.dcmread(next((tmp_path / "ct").iterdir())).PatientID)}


@pytest.mark.usefixtures("quick")
def test_picture_that_fails_leaves_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("dicom_node.analysis.report_objects.reading_picture", broken)
    outcome = run(plain_series(tmp_path / "ct"), tmp_path / "out", (ObjectKind.SC, ObjectKind.PDF))
    assert outcome.reported
    assert outcome.objects == {}
    reason = "unforeseen ZeroDivisionError"
    assert outcome.unmade == {"sc": reason, "pdf": reason, "picture": reason}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "report.json", "report.txt", "report.sr.dcm",
    }  # fmt: skip


@pytest.mark.usefixtures("quick")
def test_objects_that_are_not_asked_for_any_more_go(tmp_path: Path) -> None:
    paths = plain_series(tmp_path / "ct")
    run(paths, tmp_path / "out", (ObjectKind.SC,))
    assert run(paths, tmp_path / "out", (ObjectKind.PDF,)).objects.keys() == {"report.pdf.dcm"}
    assert not (tmp_path / "out" / "report.sc.dcm").exists()


def test_page_is_made_of_what_was_meant_for_the_node_only(tmp_path: Path) -> None:
    both = (NotAnalysed.SC, NotAnalysed.PDF)
    paths = plain_series(tmp_path / "ct", kvp=140.0)
    first = run(paths, tmp_path / "out", pages=both)
    assert (first.code, first.unmade) == ("series.kvp", {})
    assert set(first.objects) == {"refusal.sc.dcm", "refusal.pdf.dcm"}
    again = run(paths, tmp_path / "again", pages=both)
    assert page_uids(tmp_path / "again") == page_uids(tmp_path / "out")
    assert again.objects.keys() == first.objects.keys()
    assert run(paths, tmp_path / "out").objects == {}
    assert not list((tmp_path / "out").glob("*.dcm"))
    change(paths, Modality="MR")
    assert run(paths, tmp_path / "mr", pages=both).objects == {}


def page_uids(folder: Path) -> dict[str, str]:
    return {
        path.name: str(pydicom.dcmread(path).SOPInstanceUID) for path in folder.glob("refusal.*")
    }


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    with Pacs() as found:
        yield found


def of_class(pacs: Pacs, uid: str) -> list[Dataset]:
    return [dataset for dataset in pacs.stored if dataset.SOPClassUID == uid]


REPORTS = (ComprehensiveSRStorage, SecondaryCaptureImageStorage, EncapsulatedPDFStorage)


def test_each_object_is_sent_and_withdrawn_by_itself(tmp_path: Path, pacs: Pacs) -> None:
    paths = plain_series(tmp_path / "ct")
    change(paths, PatientID="WRONG-1")
    settings = 'objects = ["sr", "sc", "pdf"]'
    with FaultNode(tmp_path / "node", [pacs.port], destination=settings) as node:
        send_until_taken(node.port, paths, random.Random(1))
        node.wait_for(lambda: len(node.events("delivered")) == 3)
        wrong = {str(dataset.SOPInstanceUID) for dataset in pacs.stored}
        assert [len(of_class(pacs, uid)) for uid in REPORTS] == [1, 1, 1]
        assert len({dataset.SeriesInstanceUID for dataset in pacs.stored}) == 3
        change(paths, PatientID="RIGHT-7")
        send_until_taken(node.port, paths, random.Random(1))
        node.wait_for(lambda: len(node.events("withdrawn")) == 3)
        node.wait_for(lambda: len(node.events("delivered")) == 6)
    assert [len(of_class(pacs, uid)) for uid in REPORTS] == [2, 2, 2]
    notes = of_class(pacs, KeyObjectSelectionDocumentStorage)
    assert {note.PatientID for note in notes} == {"WRONG-1"}
    assert {rejected for note in notes for rejected in references(note)} == wrong


def references(note: Dataset) -> list[str]:
    return [
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for item in note.ContentSequence
        if "ReferencedSOPSequence" in item
    ]


def test_object_that_is_not_taken_is_tried_again_without_the_others(
    tmp_path: Path, pacs: Pacs
) -> None:
    pacs.refused = {SecondaryCaptureImageStorage, EncapsulatedPDFStorage}
    settings = 'objects = ["sr", "sc", "pdf"]\nmax_attempts = 1'
    with FaultNode(tmp_path / "node", [pacs.port], destination=settings) as node:
        send_until_taken(node.port, plain_series(tmp_path / "ct"), random.Random(1))
        node.wait_for(lambda: len(node.events("delivery failed")) == 2)
        failed = {event["object"] for event in node.events("delivery failed")}
        assert failed == {"report.sc.dcm", "report.pdf.dcm"}
        node.wait_for(lambda: node.events("delivered"))
        ids = ("report.sc:1", "report.pdf:1")
        node.wait_for(lambda: all(any(id in work.id for work in node.failed()) for id in ids))
        pacs.refused = set()
        assert node.command("retry", "--all").returncode == 0
        node.wait_for(lambda: len(node.events("delivered")) == 3)
        assert node.command("failed").stdout == "no failed work\n"
    assert [len(of_class(pacs, uid)) for uid in REPORTS] == [1, 1, 1]


def test_refused_scan_leaves_its_page_in_the_pacs(tmp_path: Path, pacs: Pacs) -> None:
    with FaultNode(tmp_path / "node", [pacs.port], destination='not_analysed = "sc"') as node:
        paths = plain_series(tmp_path / "ct", kvp=140.0)
        send_until_taken(node.port, paths, random.Random(1))
        [event] = node.wait_for(lambda: node.events("delivered"))
        assert event["object"] == "refusal.sc.dcm"
    [page] = pacs.stored
    assert page.SOPClassUID == SecondaryCaptureImageStorage
    assert page.SeriesDescription
