"""Builders of assessments without a segmenter: known numbers at known places."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dicom_node.assessment.assessment import Assessment
from dicom_node.assessment.image_checks import ImageFacts
from dicom_node.series.instances import scan_folder
from dicom_node.series.selection import EligibleSeries, check_series
from dicom_node.settings.node import Acquisition
from modeling import Contribution, Stage, StagePrediction
from modeling.calibration import Osteoporosis
from roi_extraction.anatomy import (
    Finding,
    Missing,
    MissingReason,
    SegmenterIdentity,
    SpineLandmarks,
)
from roi_extraction.checks.contrast_phase import ContrastPhase
from roi_extraction.checks.fat import Fat, FatPlace
from roi_extraction.checks.vena_cava import VenaCava, VenaCavaNotFound
from roi_extraction.features import FeatureVector, Roi, SiteMeasurement
from roi_extraction.sites import SITES, Site

MISSING = ("L1-L2_3", "L5-S1_2")


def circle(z_mm: float, slice_index: int) -> Roi:
    """A circle of 150 mm2 round (-10, -20)."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radius = np.sqrt(150 / np.pi)
    centre = np.array([-10.0, -20.0, z_mm])
    ring = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(24)]) * radius
    return Roi(slice_index, centre, centre + ring, 150.0, 120.0, 20.0)


def measurement(site: Site, index: int, mean_hu: float | None = None) -> SiteMeasurement:
    """A site that was measured in three slices, or one of the two missing ones."""
    if site.name in MISSING:
        reason = Missing(MissingReason.TOO_SMALL, "does not fit")
        return SiteMeasurement(site, float("nan"), float("nan"), (), reason)
    rois = tuple(circle(100.0 + 3 * k, k) for k in range(index % 30, index % 30 + 3))
    return SiteMeasurement(site, 100.0 + index if mean_hu is None else mean_hu, 20.0, rois)


def image_facts(
    aorta_hu: float | None = None, phase: ContrastPhase | None = None, fat_hu: float = -102.0
) -> ImageFacts:
    """A scan with subcutaneous fat, and with blood in both vessels if it has an aorta."""
    native = ContrastPhase.UNDETERMINED if aorta_hu is None else ContrastPhase.UNENHANCED
    return ImageFacts(
        noise_sd_hu=12.0,
        noise_standard_error_hu=0.8,
        aorta_hu=float("nan") if aorta_hu is None else aorta_hu,
        aorta_missing="no aorta" if aorta_hu is None else None,
        vein=VenaCavaNotFound("no vein") if aorta_hu is None else VenaCava(41.0, 12),
        fat=Fat(fat_hu, 14.0, 5000.0, FatPlace.SUBCUTANEOUS),
        phase=phase or native,
    )


def assessment(folder: Path, *, abstained: str | None = None) -> Assessment:
    """An assessment of a written series (`dicom_builders.plain_series`)."""
    found, _ = scan_folder(folder.iterdir())
    findings = (Finding("acquisition.contrast", "a contrast agent is stated"),)
    return assessment_of(check_series(found, Acquisition()), findings, abstained=abstained)


def assessment_of(
    series: EligibleSeries,
    findings: Sequence[Finding] = (),
    *,
    abstained: str | None = None,
    mean_hu: float | None = None,
) -> Assessment:
    """The same of a series that was read already."""
    features = FeatureVector(
        tuple(measurement(site, index, mean_hu) for index, site in enumerate(SITES)),
        SegmenterIdentity("builtin", "1"),
        SpineLandmarks(np.zeros((0, 3)), {}, {}, 0.9),
    )
    prediction = StagePrediction(
        Stage.C,
        {Stage.A: 0.1, Stage.B: 0.2, Stage.C: 0.5, Stage.D: 0.2},
        {"A/B": 0.7},
        (Stage.C, Stage.D),
        "model-1",
        osteoporosis=Osteoporosis.YES,
        at_minus_10_hu=Stage.D,
        at_plus_10_hu=Stage.C,
        prevalence={Stage.A: 0.23, Stage.B: 0.29, Stage.C: 0.18, Stage.D: 0.3},
    )
    if abstained:
        prediction = StagePrediction(None, {}, {}, (), "model-1", abstained)
    return Assessment(
        series=series,
        features=features,
        prediction=prediction,
        contributions=(Contribution("L5", 104.0, 0.2, ("L5",)),),
        places={},
        findings=tuple(findings),
        timings_s={"segment": 1.0, "measure": 0.5, "stage": 0.1},
        image=image_facts(),
    )
