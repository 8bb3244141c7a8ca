"""Studies of one patient in several years, assessed at once, for comparisons of their reports."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom

from dicom_node.analysis.analysis import analyse
from dicom_node.analysis.earlier_reports import ReportArchive
from dicom_node.analysis.outcome import Outcome
from dicom_node.assessment.assessment import Assessment
from dicom_node.assessment.segmenters import SegmenterPlan
from dicom_node.series.selection import EligibleSeries
from dicom_node.settings.node import Acquisition
from roi_extraction.anatomy import Finding, Missing, MissingReason
from tests.assessment_builders import assessment_of, image_facts
from tests.dicom_builders import edit, plain_series
from tests.quick_assessment import QuickStager

NATIVE = image_facts(aorta_hu=40.0)
"""A scan whose aorta holds no contrast agent."""

PATIENT = {"PatientID": "P1", "PatientBirthDate": "19500101", "PatientName": "Ann^A"}


def vertebrae_alone(
    series: EligibleSeries,
    _volume: object,
    _segmenter: object,
    _stager: object,
    _network: object,
    given: Sequence[Finding] = (),
    *_rules: object,
) -> Assessment:
    """An assessment of vertebrae, without contrast: 130 HU before 2025, then 100 HU."""
    day = str(pydicom.dcmread(series.first.path).StudyDate)
    found = assessment_of(series, mean_hu=130.0 if day < "20250101" else 100.0)
    missing = Missing(MissingReason.TOO_SMALL, "does not fit")
    measurements = tuple(
        m if m.site.is_vertebra else replace(m, rois=(), mean_hu=float("nan"),
                                             sd_hu=float("nan"), missing=missing)
        for m in found.features.measurements
    )  # fmt: skip
    features = replace(found.features, measurements=measurements)
    return replace(found, features=features, image=NATIVE, findings=(*found.findings, *given))


def study(folder: Path, number: int, day: str, **patient: str) -> list[Path]:
    """A series of a study of its own, without a stated contrast agent."""
    paths = plain_series(folder)
    for k, path in enumerate(paths):
        edit(
            path, StudyInstanceUID=f"1.2.{number}", SeriesInstanceUID=f"1.2.{number}.1",
            SOPInstanceUID=f"1.2.{number}.1.{k + 1}", StudyDate=day, **{**PATIENT, **patient},
        )  # fmt: skip
    return paths


def run(paths: Sequence[Path], out: Path, archive: ReportArchive | None = None) -> Outcome:
    return analyse(
        paths, out, Acquisition(), QuickStager(), None, SegmenterPlan(), out.parent, archive=archive
    )


def comparison(out: Path) -> dict[str, Any] | None:
    found: dict[str, Any] | None = json.loads((out / "report.json").read_text())["comparison"]
    return found
