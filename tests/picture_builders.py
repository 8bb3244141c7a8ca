"""A spine of known numbers at known places, and its report, for tests of what is drawn of it."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from dicom_node.reporting.report import report
from dicom_node.reporting.report_model import Report
from dicom_node.reporting.structured_report import evidence_header
from roi_extraction.anatomy import Landmark, Missing, MissingReason, SpineLandmarks
from roi_extraction.features import FeatureVector, Roi, SiteMeasurement
from roi_extraction.sites import DiscLevel, Level, Muscle, Side, Site
from roi_extraction.volume import CtVolume
from tests.assessment_builders import assessment
from tests.dicom_builders import plain_series
from tests.roi_builders import flat_volume

__all__ = ["Drawn", "drawn_case", "spine_volume", "turned", "without"]

STEP_MM = 6.0

SLICES = {level: 36 - 6 * k for k, level in enumerate(Level)}
DISC_SLICES = {disc: 33 - 6 * k for k, disc in enumerate(DiscLevel)}

MUSCLE_PLACES_MM = {
    Muscle.TRANSVERSOSPINALIS: (14.0, 48.0),
    Muscle.LONGISSIMUS: (40.0, 50.0),
    Muscle.PSOAS_MAJOR: (45.0, -5.0),
}
"""Beside and behind the spine's line, mm."""


@dataclass(frozen=True)
class Drawn:
    """What a picture is drawn from."""

    report: Report
    header: Dataset
    volume: CtVolume
    features: FeatureVector


def spine_volume() -> CtVolume:
    """Soft tissue, 40 slices of 6 mm, with a denser column along the spine's line."""
    volume = flat_volume(50.0, size=160, slices=40, step_mm=STEP_MM)
    hu = volume.hu.copy()
    hu[:, 60:100, 60:100] = 150.0
    return CtVolume(hu, volume.affine, STEP_MM)


def drawn_case(folder: Path, mean_hu: float = 97.0) -> Drawn:
    """A case whose vertebrae and muscles all have a value."""
    plain_series(folder)
    volume = spine_volume()
    made = assessment(folder)
    features = replace(
        made.features,
        measurements=tuple(
            _measurement(volume, m.site, mean_hu - 2.0 * k)
            for k, m in enumerate(made.features.measurements)
        ),
        spine=SpineLandmarks(
            np.array([[0.0, 30.0, 0.0], [0.0, 30.0, 234.0]]),
            {level: _landmark(volume, index) for level, index in SLICES.items()},
            {disc: _landmark(volume, index) for disc, index in DISC_SLICES.items()},
            0.9,
        ),
    )
    made = replace(made, features=features)
    header = evidence_header(made.series.first.path)
    return Drawn(report(made, {}), header, volume, features)


def without(case: Drawn, reasons: dict[str, MissingReason]) -> Drawn:
    """The case without the values of some sites."""
    measurements = [
        replace(m, mean_hu=np.nan, sd_hu=np.nan, rois=(), missing=Missing(reasons[m.site.name]))
        if m.site.name in reasons
        else m
        for m in case.features.measurements
    ]
    nothing = {"mean_hu": None, "sd_hu": None, "status": "missing", "rois": ()}
    sites = [
        site.model_copy(update={**nothing, "reason": reasons[site.name], "detail": ""})
        if site.name in reasons
        else site
        for site in case.report.sites
    ]
    l1 = case.report.l1_threshold
    if "L1" in reasons:
        l1 = l1.model_copy(update={"mean_hu": None, "category": None})
    return replace(
        case,
        report=case.report.model_copy(update={"sites": tuple(sites), "l1_threshold": l1}),
        features=replace(case.features, measurements=tuple(measurements)),
    )


def turned(case: Drawn, degrees: float) -> Drawn:
    """The case of a patient whose body is turned about the left-right axis."""
    angle = np.radians(degrees)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]

    def moved(lps_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(lps_mm @ turn[:3, :3].T)

    volume = CtVolume(case.volume.hu, turn @ case.volume.affine, STEP_MM)
    measurements = tuple(
        replace(m, rois=tuple(
            replace(roi, centre_lps_mm=moved(roi.centre_lps_mm),
                    contour_lps_mm=moved(roi.contour_lps_mm))
            for roi in m.rois
        ))
        for m in case.features.measurements
    )  # fmt: skip
    spine = case.features.spine
    bodies = {k: replace(v, centre_lps_mm=moved(v.centre_lps_mm)) for k, v in spine.bodies.items()}
    discs = {k: replace(v, centre_lps_mm=moved(v.centre_lps_mm)) for k, v in spine.discs.items()}
    features = replace(
        case.features, measurements=measurements, spine=replace(spine, bodies=bodies, discs=discs)
    )
    return replace(case, volume=volume, features=features)


def _landmark(volume: CtVolume, index: int) -> Landmark:
    _, rows, columns = volume.shape
    centre = volume.to_lps([index, (rows - 1) / 2, (columns - 1) / 2])
    return Landmark(centre, np.array([0.0, 0.0, 1.0]), 1.0)


def _measurement(volume: CtVolume, site: Site, mean_hu: float) -> SiteMeasurement:
    if site.level is not None:
        middle, beside, behind = SLICES[site.level], 0.0, 0.0
    else:
        assert site.disc is not None
        assert site.muscle is not None
        middle = DISC_SLICES[site.disc]
        beside, behind = MUSCLE_PLACES_MM[site.muscle]
        beside *= -1.0 if site.side is Side.RIGHT else 1.0
    rois = tuple(_circle(volume, middle + k, beside, behind, mean_hu + 5.0 * k) for k in (-1, 0, 1))
    return SiteMeasurement(site, mean_hu, 20.0, rois)


def _circle(volume: CtVolume, index: int, beside: float, behind: float, mean_hu: float) -> Roi:
    centre = _landmark(volume, index).centre_lps_mm + np.array([beside, behind, 0.0])
    angle = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
    ring = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(24)]) * np.sqrt(150.0 / np.pi)
    return Roi(index, centre, centre + ring, 150.0, mean_hu, 20.0)
