"""A study that was received, measured and listed, as the pages find it."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pydicom
from fastapi import FastAPI

from dicom_node.assessment.assessment import Assessment
from dicom_node.records.listed_studies import ListedStudy, StudyState, study_of
from dicom_node.records.study_listing import StudyResult, list_result, list_study
from dicom_node.reporting.report import report
from dicom_node.reporting.report_model import Report, report_json
from dicom_node.settings.node import NodeSettings
from dicom_node.spool.spool import series_key, spool_name
from dicom_node.study_facts import StudyHeader
from tests.assessment_builders import assessment
from tests.dicom_builders import plain_series

FOLDER = "f" * 40

HEADER = StudyHeader(
    accession="ACC-1", patient_id="P-1", patient_name="Roe^Rita", birth_date="19550102", sex="F",
    study_date="20260301", manufacturer="GE", model="Revolution", kernel="STANDARD",
)  # fmt: skip


@dataclass(frozen=True)
class MadeStudy:
    """A study on the disk and in the list."""

    settings: NodeSettings
    row: ListedStudy
    report: Report
    paths: list[Path]
    """Its images in the spool, from feet to head."""

    @property
    def report_folder(self) -> Path:
        return self.settings.reports_dir / self.row.study / self.row.folder

    @property
    def address(self) -> str:
        return f"/studies/{self.row.study_uid}"


def plain_assessment(work: Path) -> Assessment:
    """A small series with known numbers at known places."""
    plain_series(work)
    return assessment(work)


def make_study(
    app: FastAPI,
    work: Path,
    header: StudyHeader = HEADER,
    assess: Callable[[Path], Assessment] = plain_assessment,
    changed: int | None = None,
) -> MadeStudy:
    """Receive, measure and list a study; its images are older than its report.

    ``assess`` writes the series into the folder that it is given, and measures it.
    """
    settings: NodeSettings = app.state.settings
    assessed = assess(work)
    written = [instance.path for instance in assessed.series.slices]
    first = pydicom.dcmread(written[0], stop_before_pixels=True)
    study_uid, series_uid = str(first.StudyInstanceUID), str(first.SeriesInstanceUID)
    folder = settings.data_dir / "spool" / "series" / series_key(study_uid, series_uid)
    folder.mkdir(parents=True)
    paths = []
    for path in written:
        uid = pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID
        paths.append(folder / f"{spool_name(str(uid))}.dcm")
        shutil.copyfile(path, paths[-1])
        os.utime(paths[-1], (1_000_000_000, 1_000_000_000))
    made = report(assessed, {"read": 1.0}, ())
    study = spool_name(study_uid)
    reports = settings.reports_dir / study / FOLDER
    reports.mkdir(parents=True)
    (reports / "report.json").write_bytes(report_json(made))
    engine = app.state.database.engine
    result = StudyResult(
        "a" * 40, FOLDER, StudyState.REPORTED, result=made.result,
        l1_hu=made.l1_threshold.mean_hu, l1_category=made.l1_threshold.category or "",
        stage=made.stage.predicted or "", osteoporosis=made.stage.osteoporosis or "",
        warnings=tuple(warning.code for warning in made.warnings),
    )  # fmt: skip
    with engine.begin() as connection:
        list_study(connection, study, replace(header, study_uid=study_uid), 1_700_000_000_000)
        list_result(connection, study, result, changed)
    row = study_of(engine, study_uid)
    assert row is not None
    return MadeStudy(settings, row, made, paths)
