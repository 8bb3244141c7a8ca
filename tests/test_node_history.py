"""One report a study: which series is taken, what supersedes what, what is kept and removed."""

import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_node.analysis import analysis
from dicom_node.analysis.analysis import analyse
from dicom_node.analysis.outcome import Outcome
from dicom_node.assessment.assessment import Assessment
from dicom_node.assessment.segmenters import SegmenterPlan
from dicom_node.errors import ReportInvalid, SeriesRefused
from dicom_node.reporting.report_history import REPORT_FILE, kept_reports, standing_reports
from dicom_node.series.selection import EligibleSeries
from dicom_node.settings.node import Acquisition, NodeSettings
from dicom_node.settings.work import Retention
from dicom_node.spool.spool import Spool
from dicom_node.work.retention import Retainer
from tests.dicom_builders import plain_series
from tests.quick_assessment import QuickStager, quick_assessment

RULES = Acquisition(min_coverage_mm=90)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "assess", quick_assessment)


def run(paths: Sequence[Path], out: Path) -> Outcome:
    return analyse(paths, out, RULES, QuickStager(), None, SegmenterPlan(), out.parent)


def second_series(folder: Path, **header: Any) -> list[Path]:
    """Another series of the study of `plain_series`."""
    paths = plain_series(folder, **header)
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID += ".2"
        dataset.SOPInstanceUID += ".2"
        dataset.save_as(path)
    return paths


def tracking(path: Path) -> list[str]:
    found = []

    def walk(item: Dataset) -> None:
        if item.get("ValueType") == "UIDREF":
            found.append(str(item.UID))
        for child in item.get("ContentSequence", ()):
            walk(child)

    walk(pydicom.dcmread(path))
    return found


def predecessors(path: Path) -> list[str]:
    return [
        str(item.ReferencedSOPInstanceUID)
        for study in pydicom.dcmread(path).get("PredecessorDocumentsSequence", ())
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    ]


def test_late_slice_gives_a_report_that_supersedes_with_the_same_tracking(tmp_path: Path) -> None:
    paths = plain_series(tmp_path / "ct")
    first = run(paths[:-1], tmp_path / "study" / "a")
    second = run(paths, tmp_path / "study" / "b")
    one, two = (tmp_path / "study" / name / REPORT_FILE for name in "ab")
    assert first.identity != second.identity
    assert predecessors(one) == []
    assert predecessors(two) == [str(pydicom.dcmread(one).SOPInstanceUID)]
    assert tracking(one) == tracking(two)
    [standing] = standing_reports(kept_reports(tmp_path / "study"))
    assert standing.folder == "b"


def test_chain_is_told_by_the_documents_and_not_by_the_clock(tmp_path: Path) -> None:
    paths = plain_series(tmp_path / "ct")
    for name, count in zip("abc", (38, 39, 40), strict=True):
        run(paths[:count], tmp_path / "study" / name)
    for index, name in enumerate("cba"):
        os.utime(tmp_path / "study" / name / REPORT_FILE, (index + 1, index + 1))
    [standing] = standing_reports(kept_reports(tmp_path / "study"))
    assert standing.folder == "c"


def test_same_series_in_a_larger_study_keeps_its_report(tmp_path: Path) -> None:
    paths = plain_series(tmp_path / "ct")
    first = run(paths, tmp_path / "study" / "a")
    sharp = second_series(tmp_path / "sharp", kernel="EDGE")
    second = run([*paths, *sharp], tmp_path / "study" / "b")
    assert (second.identity, second.folder, second.sha256) == (
        first.identity, "a", first.sha256,
    )  # fmt: skip
    assert not (tmp_path / "study" / "b" / REPORT_FILE).exists()


def test_repeated_assessment_resends_the_very_document(tmp_path: Path) -> None:
    paths = plain_series(tmp_path / "ct")
    out = tmp_path / "study" / "a"
    first = run(paths, out)
    content = (out / REPORT_FILE).read_bytes()
    time.sleep(0.01)
    assert run(paths, out).sha256 == first.sha256
    assert (out / REPORT_FILE).read_bytes() == content


def test_next_series_is_taken_when_the_best_is_refused_on_its_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = plain_series(tmp_path / "ct")
    other = second_series(tmp_path / "other")
    best_uid = str(pydicom.dcmread(best[0]).SeriesInstanceUID)

    def refuse_the_best(series: EligibleSeries, *rest: Any) -> Assessment:
        if series.series_uid == best_uid:
            raise SeriesRefused("image.noise", "too noisy")
        return quick_assessment(series, *rest)

    monkeypatch.setattr(analysis, "assess", refuse_the_best)
    outcome = run([*best, *other], tmp_path / "study" / "a")
    assert outcome.reported
    assert outcome.series_uid == best_uid + ".2"
    assert "input.better_series_refused" in outcome.warnings
    assert outcome.others == (best_uid,)


def test_others_are_named_and_all_refused_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [*plain_series(tmp_path / "ct"), *second_series(tmp_path / "other")]
    outcome = run(paths, tmp_path / "study" / "a")
    assert "input.other_eligible_series" in outcome.warnings
    text = (tmp_path / "study" / "a" / "report.json").read_text()
    assert outcome.others[0] in text

    def refuse(_series: EligibleSeries, *_rest: object) -> None:
        raise SeriesRefused("image.noise", "too noisy")

    monkeypatch.setattr(analysis, "assess", refuse)
    refused = run(paths, tmp_path / "other-study" / "a")
    assert (refused.reported, refused.code) == (False, "image.noise")
    assert not (tmp_path / "other-study" / "a" / REPORT_FILE).exists()


def test_report_that_fails_its_check_is_kept_aside_and_never_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analysis, "assess", partial(quick_assessment, mean_hu=9999.0))
    with pytest.raises(ReportInvalid) as caught:
        run(plain_series(tmp_path / "ct"), tmp_path / "study" / "a")
    assert caught.value.code == "report.value"
    assert {path.name for path in (tmp_path / "study" / "a").iterdir()} == {"report.invalid.dcm"}


def spool_of(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "data", durable=False)
    spool.prepare()
    for path in plain_series(tmp_path / "ct"):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        spool.store(
            path.read_bytes(), header.SeriesInstanceUID, header.SOPInstanceUID,
            study_uid=header.StudyInstanceUID,
        )  # fmt: skip
    return spool


@pytest.mark.parametrize("failed", [False, True], ids=["all done", "work failed"])
def test_instances_then_reports_are_removed_when_all_work_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failed: bool
) -> None:
    spool = spool_of(tmp_path)
    [study] = spool.arrivals()
    reports = tmp_path / "data" / "reports"
    folder = reports / study.key / "a"
    folder.mkdir(parents=True)
    settings = NodeSettings(
        data_dir=tmp_path / "data",
        retention=Retention(instance_days=0, report_days=0, overwrite=True),
    )
    monkeypatch.setattr(
        "dicom_node.work.retention.open_studies", lambda: {study.key} if failed else set()
    )
    fetched = settings.earlier_dir / study.key / "a" / REPORT_FILE
    fetched.parent.mkdir(parents=True)
    fetched.write_bytes(b"another study's")
    Retainer(settings, spool, reports).look()
    assert list(spool.arrivals()), "not assessed yet"
    (folder / "report.json").write_text("{}")
    Retainer(settings, spool, reports).look()
    assert bool(list(spool.arrivals())) is failed
    assert folder.exists() is failed
    assert fetched.exists() is failed


def test_nothing_is_removed_without_a_policy(tmp_path: Path) -> None:
    spool = spool_of(tmp_path)
    Retainer(NodeSettings(data_dir=tmp_path / "data"), spool, tmp_path / "data").look()
    assert list(spool.arrivals())
