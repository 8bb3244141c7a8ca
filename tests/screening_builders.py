"""A screening in which nothing takes time: an archive in memory, and reports from a template."""

import json
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, cast

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian

from dicom_node.analysis.outcome import Outcome
from dicom_node.archive.answers import series_wanted
from dicom_node.archive.bookkeeping.screenings import (
    Question,
    Screening,
    ScreeningPlan,
    Screenings,
)
from dicom_node.archive.bookkeeping.tables import open_screenings
from dicom_node.archive.sources import (
    ListedSeries,
    SeriesFilter,
    SeriesIncomplete,
    SourceUnavailable,
)
from dicom_node.archive.work.manners import Clock, local_time
from dicom_node.archive.work.running import run_screening
from dicom_node.errors import AssessmentFailed
from dicom_node.files import make_private_folder, write_atomically
from dicom_node.reporting.report import refusal_report, report
from dicom_node.reporting.report_history import REPORT_FILE
from dicom_node.reporting.report_model import report_json
from dicom_node.series.instances import scan_folder
from dicom_node.series.selection import check_series
from dicom_node.settings.node import Acquisition, NodeSettings, load_settings
from dicom_node.work.assessment_pool import AssessmentPool
from tests.assessment_builders import assessment_of
from tests.dicom_builders import plain_series

PATIENCE_SECONDS = 60.0


def settings_in(folder: Path, text: str = "") -> NodeSettings:
    """Settings of a node with one process, also on the disk."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    config = folder / "node.toml"
    config.write_text(f"data_dir = {json.dumps(str(folder / 'data'))}\n{text}\n")
    return load_settings(config)


def make_screening(
    settings: NodeSettings,
    questions: Sequence[Question] = (Question(SeriesFilter()),),
    **plan: Any,
) -> Screening:
    """A screening of an archive in memory."""
    screenings = Screenings(open_screenings(settings.database))
    made = ScreeningPlan(**{"source": "folder:/nowhere", **plan})
    return screenings.create("trial", made, questions)


def listed(number: int, **changes: Any) -> ListedSeries:
    """A series that its archive lists with all that its rules ask for."""
    plain = ListedSeries(
        f"1.2.{number}", f"1.2.{number}.1", accession=f"A{number}", patient_id=f"P{number}",
        study_date="20240131", age_years=50.0 + number % 40, sex="FM"[number % 2], modality="CT",
        manufacturer="GE", model="Revolution", kernel="STANDARD", kvp=120.0,
        slice_thickness_mm=3.0, image_type=("ORIGINAL", "PRIMARY", "AXIAL"), instances=80,
    )  # fmt: skip
    return replace(plain, **changes)


class MemorySource:
    """An archive in memory; every fetch is a line in ``journal``.

    Parameters
    ----------
    series
        What it holds.
    journal
        File of the fetched series' UIDs.
    headers
        What one instance of a series states, by Series Instance UID.
    """

    def __init__(
        self,
        series: Sequence[ListedSeries],
        journal: Path,
        headers: dict[str, list[Dataset]] | None = None,
        seconds: float = 0.0,
    ) -> None:
        self.series = list(series)
        self.journal = journal
        self.headers = headers or {}
        self.seconds = seconds
        self.incomplete: set[str] = set()
        self.unlisted: set[str] = set()
        self.down = False
        self.asked: list[str] = []

    def find(self, wanted: SeriesFilter) -> Iterator[ListedSeries]:
        self._answer("find")
        exact = ("study_uid", "accession", "patient_id")
        for series in self.series:
            named = (getattr(wanted, name) in (None, getattr(series, name)) for name in exact)
            if all(named) and series_wanted(series, wanted):
                yield series

    def instances(self, series: ListedSeries) -> tuple[str, ...]:
        self._answer("instances")
        if series.series_uid in self.unlisted:
            raise SeriesIncomplete("the archive lists 1 of 80 instances")
        count = len(self._headers(series)) or self._listed(series).instances or 3
        return tuple(f"{series.series_uid}.{k}" for k in range(count))

    def header(self, series: ListedSeries, instances: Sequence[str]) -> Dataset | None:
        self._answer("header")
        headers = self._headers(series)
        if not headers:
            return None
        return headers[int(instances[len(instances) // 2].rpartition(".")[2])]

    def fetch(self, series: ListedSeries, instances: Sequence[str], folder: Path) -> list[Path]:
        self._answer("fetch")
        with self.journal.open("a") as file:
            file.write(f"{series.series_uid}\n")
        time.sleep(self.seconds)
        if series.series_uid in self.incomplete:
            raise SeriesIncomplete(f"1 of {len(instances)} instances came")
        path = folder / "1.dcm"
        path.write_text(json.dumps([series.study_uid, series.series_uid]))
        return [path]

    def close(self) -> None:
        self._answer("close", always=True)

    def fetched(self) -> list[str]:
        """UIDs of the series in the order in which they were fetched."""
        return self.journal.read_text().split() if self.journal.exists() else []

    def _listed(self, series: ListedSeries) -> ListedSeries:
        return next(held for held in self.series if held.series_uid == series.series_uid)

    def _headers(self, series: ListedSeries) -> list[Dataset]:
        return self.headers.get(series.series_uid, [])

    def _answer(self, question: str, *, always: bool = False) -> None:
        self.asked.append(question)
        if self.down and not always:
            raise SourceUnavailable("connection refused")


class TemplateReports:
    """Stands for the pool: every assessment gives the same report under the series' own UIDs.

    Parameters
    ----------
    template
        A report that `template_report` wrote.
    refused, failing
        Series that are refused, and those whose child dies.
    """

    def __init__(
        self,
        template: Path,
        refused: Sequence[str] = (),
        failing: Sequence[str] = (),
        seconds: float = 0.0,
    ) -> None:
        self._template = json.loads(template.read_text())
        self._refused = refused
        self._failing = failing
        self._seconds = seconds

    def __call__(self, _settings: NodeSettings) -> AssessmentPool:
        return cast(AssessmentPool, self)

    def __enter__(self) -> "TemplateReports":
        return self

    def __exit__(self, *_details: object) -> None:
        return None

    def load_model(self) -> "Future[str]":
        loaded: Future[str] = Future()
        loaded.set_result("model-1")
        return loaded

    def assess(self, paths: list[Path], out: Path, history: Path) -> Outcome:
        study, series = json.loads(paths[0].read_text())
        time.sleep(self._seconds)
        if series in self._failing:
            raise AssessmentFailed("the child ended with code -9")
        make_private_folder(out)
        if series in self._refused:
            refusal = refusal_report(study, series, "series.missing_slices", "2 slices are missing")
            write_atomically(out / "report.json", report_json(refusal), durable=False)
            return Outcome(False, study, series, "series.missing_slices", "", (), None, {})
        own = {**self._template, "study_uid": study, "series_uid": series}
        write_atomically(out / "report.json", json.dumps(own).encode(), durable=False)
        write_atomically(out / REPORT_FILE, document(study, series), durable=False)
        return Outcome(True, study, series, None, None, (), "C", {}, folder=history.name)


def document(study: str, series: str) -> bytes:
    """A file of the SOP class and modality of a report, with UIDs that follow from the series."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = ComprehensiveSRStorage, f"{series}.1"
    dataset.Modality = "SR"  # a screening for CT passes over it, should it be listed with its study
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, f"{series}.2"
    written = BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return written.getvalue()


def template_report(folder: Path) -> Path:
    """Write the JSON of a report with known numbers."""
    found, _ = scan_folder(plain_series(folder / "template"))
    assessment = assessment_of(check_series(found, Acquisition()))
    path = folder / "template.json"
    path.write_bytes(report_json(report(assessment, {"read": 0.1})))
    shutil.rmtree(folder / "template")
    return path


def run_trial(
    settings: NodeSettings,
    source: MemorySource,
    reports: TemplateReports,
    stop: threading.Event | None = None,
    clock: Clock = local_time,
) -> None:
    """Run the screening in this process until nothing is left, or ``stop`` is set."""
    run_screening(
        settings, "trial", stop or threading.Event(), reports, clock, lambda *_names: source
    )
