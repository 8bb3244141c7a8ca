"""Measuring of placed ROIs: exact pixel coverage, means, and the checks that refuse a site."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy

from roi_extraction.anatomy import Anatomy, Finding, Missing, MissingReason
from roi_extraction.checks.body_quality import body_findings
from roi_extraction.features import FeatureVector, Roi, SiteMeasurement
from roi_extraction.kernels import ellipse_shares, gaussian_smoothed
from roi_extraction.placement import BONE_IN_MUSCLE_HU, DENSE_ABOVE_MEDIAN_HU, EllipseRoi
from roi_extraction.sites import SITES, Muscle, Site
from roi_extraction.slices import ROI_AREA_MM2, central_slices
from roi_extraction.volume import CtVolume

__all__ = ["coverage", "measure", "measure_roi"]

METAL_HU = 1500.0
"""Above it a pixel may be metal, HU: half of what a screw shows. Of the cortex of the real scans at
most 1.5 mm2 in a slice is denser, of facets up to 88 mm2 lie above 1000 HU (docs/roi.md)."""

METAL_CERTAIN_HU = 2000.0
"""Above it a single pixel counts as metal, HU: no bone reaches it."""

METAL_AREA_MM2 = 10.0
"""Connected area above `METAL_HU` that counts as metal, mm2: a 4 mm screw has 12 mm2. Smaller spots
are cortex, vessel plaques and stones, which cast no streaks."""

METAL_DISTANCE_MM = 20.0
"""Nearest metal at which a site is refused, mm: within it metal moved bodies by up to 36 HU."""

METAL_NEAR = Missing(
    MissingReason.METAL,
    f"more than {METAL_HU:.0f} HU, as metal has, within {METAL_DISTANCE_MM:.0f} mm",
)

SPREAD_HU = 25.0
"""Difference between the three slices' means above which the reader is told, HU."""

DENSE_SHARE = 0.05
"""Share of a vertebral ROI over `DENSE_ABOVE_MEDIAN_HU` above which the reader is told."""

BONE_SHARE = 0.05
"""Share of pixels above `BONE_IN_MUSCLE_HU` above which a muscle's ROI is refused: 0.08 where a
spinous process raised the mean by 10 HU, at most 0.02 by noise of 30 HU in pixels of 3 mm
(`bench.roi`)."""

DISAGREEMENT_HU = {True: 120.0, False: 60.0}
"""Difference between the three slices' means above which the site is refused, HU, for bodies
and for muscles: the ROIs then lie in different tissues."""

PLAUSIBLE_HU = {True: (-60.0, 600.0), False: (-105.0, 150.0)}
"""Means that bodies and muscles may have, HU: wider than the published cohort's central 99 %
(Wang 2025), whose muscle reaches from -97 (wholly fatty) to 89."""

FAT_HU = -30.0
"""Below it a pixel is mostly fat, HU."""

FAT_SHARE = {Muscle.PSOAS_MAJOR: 0.25, Muscle.LONGISSIMUS: 0.6}
"""Share of fat above which a ROI is refused: psoas hardly turns fatty, so the ROI has left it;
longissimus does. Transversospinalis is measured however fatty it is, as in the cohort."""

CONTOUR_POINTS = 60
"""Corners of the polygon that draws an ellipse; its area is 0.2 % below the ellipse's."""

_SUBPIXEL_MM = 0.1


def measure(
    volume: CtVolume,
    anatomy: Anatomy,
    placed: Mapping[str, Sequence[EllipseRoi] | Missing],
) -> FeatureVector:
    """Measure the placed ROIs.

    Parameters
    ----------
    volume
        The scan.
    anatomy
        What the segmenter found; its landmarks and findings are handed on.
    placed
        Three ellipses or a reason, by site name, as `placement.place` returns them.

    Returns
    -------
    features
        All 36 sites, NaN with a reason where missing.
    """
    measurements = []
    for site in SITES:
        rois = placed.get(site.name, Missing(MissingReason.NOT_FOUND))
        if isinstance(rois, Missing):
            metal = rois.reason is MissingReason.TOO_SMALL and _metal_in_body(volume, anatomy, site)
            measurements.append(_missing(site, METAL_NEAR if metal else rois))
        else:
            measurements.append(_measure_site(volume, site, rois))
    more = body_findings(volume, anatomy, measurements)
    measurements = [
        replace(m, findings=(*m.findings, *more.get(m.site.name, ()))) for m in measurements
    ]
    findings = dict.fromkeys((*anatomy.spine.findings, *anatomy.findings))
    return FeatureVector(tuple(measurements), anatomy.segmenter, anatomy.spine, tuple(findings))


def measure_roi(volume: CtVolume, roi: EllipseRoi) -> Roi:
    """Measure one ellipse in its effective slice."""
    hu = volume.effective_slice(roi.slice_index)
    weights, rows, columns = coverage(volume, roi)
    mean, sd = _weighted(hu[rows, columns], weights)
    pixel_mm2 = float(volume.spacing_mm[1] * volume.spacing_mm[2])
    t = np.linspace(0, 2 * np.pi, CONTOUR_POINTS, endpoint=False)
    x, y = _outline_mm(roi, np.cos(t), np.sin(t))
    contour = np.stack(
        [
            np.full(CONTOUR_POINTS, float(roi.slice_index)),
            roi.row + y / volume.spacing_mm[1],
            roi.column + x / volume.spacing_mm[2],
        ],
        axis=1,
    )
    return Roi(
        slice_index=roi.slice_index,
        centre_lps_mm=volume.to_lps([roi.slice_index, roi.row, roi.column]),
        contour_lps_mm=volume.to_lps(contour),
        area_mm2=float(weights.sum()) * pixel_mm2,
        mean_hu=mean,
        sd_hu=sd,
    )


def coverage(volume: CtVolume, roi: EllipseRoi) -> tuple[npt.NDArray[np.float64], slice, slice]:
    """The share of each pixel that an ellipse covers.

    Returns
    -------
    weights
        float64, shape (rows, columns) of the box, 0 to 1.
    rows, columns
        The box in the slice.
    """
    spacing = float(volume.spacing_mm[1]), float(volume.spacing_mm[2])
    return _covered(spacing, volume.shape[1:], roi)


@lru_cache(maxsize=8)
def _covered(
    spacing_mm: tuple[float, float], shape: tuple[int, int], roi: EllipseRoi
) -> tuple[npt.NDArray[np.float64], slice, slice]:
    """Kept for the few regions of one site, which several questions are asked of."""
    spacing = np.array(spacing_mm)
    reach = roi.semi_axes_mm[0] / spacing
    centre = np.array([roi.row, roi.column])
    low = np.maximum(np.floor(centre - reach).astype(int), 0)
    high = np.minimum(np.ceil(centre + reach).astype(int) + 1, shape)
    fine = np.maximum(np.ceil(spacing / _SUBPIXEL_MM).astype(int), 4)
    weights = ellipse_shares(
        (low, high - low, fine), spacing, (roi.row, roi.column), roi.semi_axes_mm, roi.angle_rad
    )
    weights.setflags(write=False)
    return weights, slice(low[0], high[0]), slice(low[1], high[1])


def _outline_mm(
    roi: EllipseRoi, cos_t: npt.NDArray[np.float64], sin_t: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    along, across = roi.semi_axes_mm[0] * cos_t, roi.semi_axes_mm[1] * sin_t
    cos, sin = np.cos(roi.angle_rad), np.sin(roi.angle_rad)
    return along * cos - across * sin, along * sin + across * cos


def _weighted(hu: npt.NDArray[np.float32], weights: npt.NDArray[np.float64]) -> tuple[float, float]:
    total = weights.sum()
    mean = float((hu * weights).sum() / total)
    return mean, float(np.sqrt((weights * (hu - mean) ** 2).sum() / total))


def _missing(site: Site, missing: Missing) -> SiteMeasurement:
    return SiteMeasurement(site, float("nan"), float("nan"), (), missing)


def _measure_site(volume: CtVolume, site: Site, ellipses: Sequence[EllipseRoi]) -> SiteMeasurement:
    if any(_metal_nearby(volume, roi) for roi in ellipses):
        return _missing(site, METAL_NEAR)
    rois = tuple(measure_roi(volume, roi) for roi in ellipses)
    means = np.array([roi.mean_hu for roi in rois])
    mean, spread = float(means.mean()), float(np.ptp(means))
    lowest, highest = PLAUSIBLE_HU[site.is_vertebra]
    if not lowest <= mean <= highest:
        detail = f"mean {mean:.0f} HU, outside {lowest:.0f} to {highest:.0f}"
        return _missing(site, Missing(MissingReason.IMPLAUSIBLE, detail))
    if spread > DISAGREEMENT_HU[site.is_vertebra]:
        detail = f"the slices' means are {', '.join(f'{m:.0f}' for m in means)} HU"
        return _missing(site, Missing(MissingReason.SLICES_DISAGREE, detail))
    if not site.is_vertebra:
        fat, bone = np.mean([_fat_and_bone(volume, roi) for roi in ellipses], axis=0)
        if site.muscle in FAT_SHARE and fat > FAT_SHARE[site.muscle]:
            return _missing(site, Missing(MissingReason.FATTY, f"{fat:.0%} of the ROI is fat"))
        if bone > BONE_SHARE:
            detail = f"{bone:.0%} of the ROI is bone"
            return _missing(site, Missing(MissingReason.IMPLAUSIBLE, detail))
    findings = []
    if spread > SPREAD_HU:
        text = f"{site.label}: the three slices differ by {spread:.0f} HU"
        findings.append(Finding("roi.slices_spread", text))
    if site.is_vertebra:
        dense = float(np.mean([_dense_share(volume, roi) for roi in ellipses]))
        if dense > DENSE_SHARE:
            text = f"{site.label}: {dense:.0%} of the ROI is much denser than the rest"
            findings.append(Finding("roi.focal_density", text))
    sd = float(np.sqrt(np.mean([roi.sd_hu**2 for roi in rois])))
    return SiteMeasurement(site, mean, sd, rois, None, tuple(findings))


def _metal_in_body(volume: CtVolume, anatomy: Anatomy, site: Site) -> bool:
    """Whether metal lies in or near a vertebra's central slices, where no region was placed."""
    body = anatomy.spine.bodies.get(site.level) if site.level else None
    if body is None:
        return False
    indices = central_slices(volume, body.centre_lps_mm)
    if isinstance(indices, Missing):
        return False
    _, row, column = volume.to_index(body.centre_lps_mm)
    radius_mm = float(np.sqrt(ROI_AREA_MM2 / np.pi))
    return any(
        _metal_nearby(volume, EllipseRoi(k, row, column, (radius_mm, radius_mm), 0.0, 0.0))
        for k in indices
    )


def _metal_nearby(volume: CtVolume, roi: EllipseRoi) -> bool:
    spacing = volume.spacing_mm[1:]
    reach = np.ceil((METAL_DISTANCE_MM + roi.semi_axes_mm[0]) / spacing).astype(int)
    row, column = round(roi.row), round(roi.column)
    top, left = max(0, row - reach[0]), max(0, column - reach[1])
    hu = volume.effective_slice(roi.slice_index)
    box = hu[top : row + reach[0] + 1, left : column + reach[1] + 1]
    if box.max() <= METAL_HU:
        return False
    y = (np.arange(box.shape[0]) + top - roi.row) * spacing[0]
    x = (np.arange(box.shape[1]) + left - roi.column) * spacing[1]
    cos, sin = np.cos(roi.angle_rad), np.sin(roi.angle_rad)
    along = x[None, :] * cos + y[:, None] * sin
    across = y[:, None] * cos - x[None, :] * sin
    widened = [axis + METAL_DISTANCE_MM for axis in roi.semi_axes_mm]
    near = (along / widened[0]) ** 2 + (across / widened[1]) ** 2 <= 1.0
    if (box[near] > METAL_CERTAIN_HU).any():
        return True
    components, count = scipy.ndimage.label(box > METAL_HU)
    pixel_mm2 = float(spacing[0] * spacing[1])
    areas = np.bincount(components.ravel(), minlength=count + 1) * pixel_mm2
    touching = np.unique(components[near & (components > 0)])
    return bool((areas[touching] >= METAL_AREA_MM2).any())


def _fat_and_bone(volume: CtVolume, roi: EllipseRoi) -> tuple[float, float]:
    """Shares of fat and of bone in a muscle's ROI, after smoothing by 1 mm."""
    weights, rows, columns = coverage(volume, roi)
    hu = gaussian_smoothed(
        volume.effective_slice(roi.slice_index)[rows, columns], 1.0 / volume.spacing_mm[1:]
    )
    fat, bone = ((weights * part).sum() for part in (hu < FAT_HU, hu > BONE_IN_MUSCLE_HU))
    return float(fat / weights.sum()), float(bone / weights.sum())


def _dense_share(volume: CtVolume, roi: EllipseRoi) -> float:
    weights, rows, columns = coverage(volume, roi)
    hu = gaussian_smoothed(
        volume.effective_slice(roi.slice_index)[rows, columns], 1.0 / volume.spacing_mm[1:]
    )
    median = float(np.median(hu[weights > 0.5]))
    return float((weights * (hu > median + DENSE_ABOVE_MEDIAN_HU)).sum() / weights.sum())
