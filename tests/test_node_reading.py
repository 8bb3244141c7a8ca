"""A reader's word: verified and superseding reports, rejections, and what is refused."""

import json
import random
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydantic import ValidationError
from pydicom.dataset import Dataset
from pydicom.uid import ComprehensiveSRStorage, KeyObjectSelectionDocumentStorage

from dicom_node.analysis import analysis
from dicom_node.analysis.analysis import analyse
from dicom_node.analysis.outcome import Outcome
from dicom_node.assessment.segmenters import SegmenterPlan
from dicom_node.errors import ReadingRefused, WorkFailed
from dicom_node.records.database import open_database
from dicom_node.records.listed_studies import study_of
from dicom_node.records.reading import MovedRegion, Reading, Rejection
from dicom_node.records.study_events import events_of
from dicom_node.reporting.objects.kinds import ObjectKind
from dicom_node.reporting.report_history import (
    REPORT_FILE,
    kept_reports,
    mark_withdrawn,
    standing_reports,
)
from dicom_node.reporting.words.reading_words import reading_words
from dicom_node.settings.node import Acquisition, load_settings
from dicom_node.study_facts import StudyHeader
from dicom_node.work.listing.kept_readings import kept_readings
from dicom_node.work.listing.read_study import read_study
from dicom_node.work.listing.study_records import StudyRecords
from dicom_node.work.readings import reject_report, send_reading
from roi_extraction import Correction, MovedRoi
from tests.dicom_builders import plain_series
from tests.fault_node import FaultNode, send_until_taken
from tests.node_process import Pacs
from tests.quick_assessment import QuickStager, quick_assessment
from tests.test_node_history import predecessors, second_series, tracking

RULES = Acquisition(min_coverage_mm=90)
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def reading_of(report: Path, **said: Any) -> Reading:
    """A reader's word on a Structured Report."""
    content = json.loads((report.parent / "report.json").read_bytes())
    return Reading(
        **{
            "verdict": "accepted",
            "reader": "Doe^Jane",
            "organization": "General Hospital",
            "moment": MOMENT,
            "report_uid": str(pydicom.dcmread(report).SOPInstanceUID),
            "series_uid": content["series_uid"],
            **said,
        }
    )


def run(
    paths: list[Path],
    out: Path,
    reading: Reading | None = None,
    objects: tuple[ObjectKind, ...] = (),
) -> Outcome:
    return analyse(
        paths,
        out,
        RULES,
        QuickStager(),
        None,
        SegmenterPlan(),
        out.parent,
        objects=objects,
        reading=reading,
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Known numbers in place of the measuring; holds the corrections that it was given."""
    corrections: list[Any] = []

    def assess(*arguments: Any) -> Any:
        corrections.append(arguments[8])
        return quick_assessment(*arguments)

    monkeypatch.setattr(analysis, "assess", assess)
    return corrections


def test_accepted_report_is_superseded_by_one_that_its_reader_verifies(
    tmp_path: Path, quick: list[Any]
) -> None:
    paths, study = plain_series(tmp_path / "ct"), tmp_path / "study"
    run(paths, study / "a")
    reading = reading_of(study / "a" / REPORT_FILE)
    outcome = run(paths, study / "b", reading, (ObjectKind.PLANAR, ObjectKind.PDF))
    assert (outcome.reported, outcome.unmade) == (True, {})
    document = pydicom.dcmread(study / "b" / REPORT_FILE)
    assert (document.VerificationFlag, document.PreliminaryFlag) == ("VERIFIED", "FINAL")
    [observer] = document.VerifyingObserverSequence
    assert observer.VerifyingObserverName == "Doe^Jane"
    assert observer.VerifyingOrganization == "General Hospital"
    assert observer.VerificationDateTime == "20260102030405+0000"
    assert predecessors(study / "b" / REPORT_FILE) == [reading.report_uid]
    assert tracking(study / "a" / REPORT_FILE) == tracking(study / "b" / REPORT_FILE)
    planar = pydicom.dcmread(study / "b" / "report.planar.dcm")
    assert planar.VerificationFlag == "VERIFIED"
    assert quick == [None, Correction()]
    words = "Read by Jane Doe, 2026-01-02 03:04 UTC: accepted as measured."
    assert words in (study / "b" / "report.txt").read_text()
    assert words in texts(document)
    again = run(paths, study / "c", reading)
    assert (again.folder, again.sha256) == ("b", outcome.sha256)
    # the study assessed once more: the reader's version counts, nothing takes its place
    assert run(paths, study / "d").folder == "b"


def texts(item: Dataset) -> set[str]:
    own = {str(item.TextValue)} if "TextValue" in item else set()
    return own.union(*(texts(child) for child in item.get("ContentSequence", ())))


def test_corrections_reach_the_measuring_and_are_told(tmp_path: Path, quick: list[Any]) -> None:
    paths, study = plain_series(tmp_path / "ct"), tmp_path / "study"
    run(paths, study / "a")
    report = study / "a" / REPORT_FILE
    content = json.loads((study / "a" / "report.json").read_bytes())
    [l3] = [site for site in content["sites"] if site["name"] == "L3"]
    image = l3["rois"][1]["sop_instance_uid"]
    slices = sorted(
        (pydicom.dcmread(path, stop_before_pixels=True) for path in paths),
        key=lambda header: header.ImagePositionPatient[2],
    )
    index = [str(header.SOPInstanceUID) for header in slices].index(image)
    moved = (MovedRegion(site="L3", sop_instance_uid=image, right_mm=2.0, down_mm=-1.5),)
    reading = reading_of(
        report, verdict="corrected", levels_down=1, left_out=("L1-L2_3",), moved=moved
    )
    run(paths, study / "b", reading)
    assert quick[-1] == Correction(1, frozenset({"L1-L2_3"}), (MovedRoi("L3", index, 2.0, -1.5),))
    told = json.loads((study / "b" / "report.json").read_bytes())["reading"]
    assert Reading.model_validate(told) == reading
    assert reading_words(reading) == (
        "Read by Jane Doe, 2026-01-02 03:04 UTC: corrected, with all levels named one lower; "
        "left out right psoas major at L1-L2; moved regions of L3; measured by this program."
    )
    foreign = reading_of(
        study / "b" / REPORT_FILE,
        moved=(MovedRegion(site="L3", sop_instance_uid="1.2", right_mm=1, down_mm=0),),
    )
    with pytest.raises(ReadingRefused, match="not of the series"):
        run(paths, study / "c", foreign)


@pytest.mark.usefixtures("quick")
def test_word_on_a_report_that_does_not_stand_is_refused_and_changes_nothing(
    tmp_path: Path,
) -> None:
    paths, study = plain_series(tmp_path / "ct"), tmp_path / "study"
    run(paths[:-1], study / "a")
    first = reading_of(study / "a" / REPORT_FILE)
    run(paths, study / "b")
    with pytest.raises(ReadingRefused) as caught:
        run(paths, study / "c", first)
    assert caught.value.code == "reading.outdated"
    assert not list((study / "c").iterdir())
    second = reading_of(study / "b" / REPORT_FILE)
    mark_withdrawn(study / "b" / REPORT_FILE, "x")
    with pytest.raises(ReadingRefused):
        run(paths, study / "c", second)
    with pytest.raises(ReadingRefused, match="cannot be assessed any more"):
        run(second_series(tmp_path / "other"), study / "c", second)


@pytest.mark.usefixtures("quick")
def test_late_slice_after_a_reading_says_that_nobody_has_read_the_new_report(
    tmp_path: Path,
) -> None:
    paths, study = plain_series(tmp_path / "ct"), tmp_path / "study"
    run(paths[:-1], study / "a")
    run(paths[:-1], study / "b", reading_of(study / "a" / REPORT_FILE))
    outcome = run(paths, study / "c")
    assert "reading.superseded" in outcome.warnings
    assert pydicom.dcmread(study / "c" / REPORT_FILE).VerificationFlag == "UNVERIFIED"
    [standing] = standing_reports(kept_reports(study))
    assert standing.folder == "c"


@pytest.mark.usefixtures("quick")
def test_second_correction_supersedes_the_first_and_counts_when_sent_again(
    tmp_path: Path,
) -> None:
    paths, study = plain_series(tmp_path / "ct"), tmp_path / "study"
    run(paths, study / "a")
    first = reading_of(study / "a" / REPORT_FILE, verdict="corrected", left_out=("L4",))
    run(paths, study / "b", first)
    second = reading_of(
        study / "b" / REPORT_FILE, verdict="corrected", left_out=("L4", "L5"), reader="Roe^Richard"
    )
    run(paths, study / "c", second)
    assert predecessors(study / "c" / REPORT_FILE) == [second.report_uid]
    assert tracking(study / "a" / REPORT_FILE) == tracking(study / "c" / REPORT_FILE)
    assert run(paths, study / "d").folder == "c"
    # the first reader's word once more, as a worker repeats it after a crash
    assert run(paths, study / "e", first).folder == "b"
    assert [report.folder for report in standing_reports(kept_reports(study))] == ["c"]
    kept = read_study(study / "c")
    assert kept is not None
    assert (kept.work, kept.own, kept.reader) == ("c", "a", "Roe^Richard")
    assert kept.moment == round(MOMENT.timestamp() * 1000)
    assert kept.before == measured_in(study / "a")
    assert kept.after == measured_in(study / "c")


def measured_in(folder: Path) -> dict[str, float]:
    sites = json.loads((folder / "report.json").read_bytes())["sites"]
    return {site["name"]: site["mean_hu"] for site in sites if site["mean_hu"] is not None}


@pytest.mark.usefixtures("quick")
def test_rejected_study_that_is_sent_again_stays_rejected_and_counts_once(tmp_path: Path) -> None:
    paths, study = plain_series(tmp_path / "ct"), tmp_path / "reports" / "s"
    outcome = run(paths, study / "a")
    assert read_study(study / "a") is None
    report = study / "a" / REPORT_FILE
    said = Rejection(
        report_uid=str(pydicom.dcmread(report).SOPInstanceUID),
        reader="Doe^Jane",
        reason="wrong levels",
        moment=MOMENT,
    )
    mark_withdrawn(report, said.identity, said)
    engine = open_database(f"sqlite:///{tmp_path / 'node.db'}", make=True)
    records = StudyRecords(engine, tmp_path / "reports", "", threading.Event())
    records.reported("s", "a", "a")
    for _ in range(2):
        records.rejected("s", "a", said)
    records.unchanged("s", StudyHeader(), 1.0, "a", "reported")
    row = study_of(engine, outcome.study_uid)
    assert row is not None
    assert (row.state, row.verdict, row.reader) == ("reported", "rejected", "Doe^Jane")
    [kept] = kept_readings(engine)
    engine.dispose()
    assert (kept.work, kept.own, kept.reason) == (said.identity, "a", "wrong levels")
    assert kept.after == {}
    # a word on it is refused, and other images have a report of their own that supersedes none
    with pytest.raises(ReadingRefused):
        run(paths, study / "c", reading_of(report))
    fewer = run(paths[:-1], study / "d")
    assert fewer.folder == "d"
    assert predecessors(study / "d" / REPORT_FILE) == []


@pytest.mark.usefixtures("quick")
def test_word_that_is_not_carried_out_leaves_the_study_as_it_was_listed(tmp_path: Path) -> None:
    study = tmp_path / "reports" / "s"
    outcome = run(plain_series(tmp_path / "ct"), study / "a")
    engine = open_database(f"sqlite:///{tmp_path / 'node.db'}", make=True)
    records = StudyRecords(engine, tmp_path / "reports", "", threading.Event())
    records.reported("s", "a", "a")
    records.assessing("s", "word")
    for _ in range(2):
        records.not_carried_out("s", "word", "superseded meanwhile")
    row = study_of(engine, outcome.study_uid)
    assert row is not None
    assert (row.state, row.code, row.folder) == ("reported", "", "a")
    events = [(event.event, event.detail) for event in events_of(engine, "s")]
    engine.dispose()
    assert events[1:] == [("assessing", ""), ("failed", "superseded meanwhile")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"reader": "Doe=Jane"},
        {"reader": ""},
        {"reader": "Doe\\Jane"},
        {"organization": "x" * 65},
        {"moment": datetime(2026, 1, 2)},
        {"report_uid": "../1"},
        {"verdict": "rejected"},
        {"levels_down": 2},
    ],
    ids=[
        "name of two scripts",
        "no name",
        "two names",
        "long organization",
        "no time zone",
        "no UID",
        "no such verdict",
        "two levels",
    ],
)
def test_word_that_no_reader_can_say_is_refused(
    tmp_path: Path, quick: list[Any], wrong: dict[str, Any]
) -> None:
    run(plain_series(tmp_path / "ct"), tmp_path / "study" / "a")
    assert quick
    with pytest.raises(ValidationError):
        reading_of(tmp_path / "study" / "a" / REPORT_FILE, **wrong)


def test_reading_then_rejection_go_through_the_node_to_the_pacs(tmp_path: Path) -> None:
    with Pacs() as pacs, FaultNode(tmp_path / "node", [pacs.port]) as node:
        paths = plain_series(tmp_path / "ct")
        send_until_taken(node.port, paths, random.Random(1))
        node.wait_for(lambda: len(node.events("delivered")) == 1)
        settings = load_settings(node.config)
        [first] = settings.reports_dir.glob(f"*/*/{REPORT_FILE}")
        assessment = first.parent.name
        reading = reading_of(first)
        work = send_reading(settings, assessment, reading)
        assert send_reading(settings, assessment, reading) == work
        node.wait_for(lambda: len(node.events("delivered")) == 2)
        read = settings.reports_dir / first.parent.parent.name / work / REPORT_FILE
        # the second of two readers, who saw the same report
        late = reading_of(first, reader="Roe^Richard")
        send_reading(settings, assessment, late)
        node.wait_for(lambda: "reading.outdated" in node.command("failed").stdout)
        # the same images once more change nothing
        send_until_taken(node.port, paths, random.Random(1))
        said = Rejection(
            report_uid=str(pydicom.dcmread(read).SOPInstanceUID),
            reader="Doe^Jane",
            reason="wrong levels",
            moment=MOMENT,
        )
        # it cannot be carried out while the report that was read is not there
        away = read.with_name("away")
        read.rename(away)
        reject_report(settings, assessment, said)
        node.wait_for(lambda: "rejection" in node.command("failed").stdout)
        [failed] = [work for work in node.failed() if work.kind == "rejection"]
        assert (failed.id, failed.study) == (said.identity, first.parent.parent.name)
        assert (failed.code, failed.destination) == ("reading.outdated", None)
        assert "superseded or withdrawn" in failed.reason
        assert not node.events("withdrawn")
        away.rename(read)
        node.command("retry", said.identity)
        node.wait_for(lambda: len(node.events("withdrawn")) == 2)
        assert said.identity not in node.command("failed").stdout
        with pytest.raises(WorkFailed, match="record of the assessment is gone"):
            send_reading(settings, "unknown", reading)
        send_until_taken(node.port, paths, random.Random(1))
        arriving = settings.data_dir / "spool" / "arriving"
        node.wait_for(lambda: not list(arriving.iterdir()))
    reports = [d for d in pacs.stored if d.SOPClassUID == ComprehensiveSRStorage]
    assert [report.VerificationFlag for report in reports] == ["UNVERIFIED", "VERIFIED"]
    notes = [d for d in pacs.stored if d.SOPClassUID == KeyObjectSelectionDocumentStorage]
    assert {note.ConceptNameCodeSequence[0].CodeValue for note in notes} == {"113001"}
    assert len(notes) == 2
