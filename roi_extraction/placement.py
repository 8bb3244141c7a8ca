"""Placing of three 150 mm2 ellipses per site inside the tissue that a segmenter found."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from roi_extraction.anatomy import (
    Anatomy,
    Landmark,
    Missing,
    MissingReason,
    Plane,
    Region,
    SpineLandmarks,
)
from roi_extraction.kernels import (
    distance_inside,
    gaussian_smoothed,
    interpolate_grid,
    least_over_offsets,
)
from roi_extraction.sites import SITES, DiscLevel, Muscle, Site
from roi_extraction.slices import ENDPLATE_MARGIN_MM, ROI_AREA_MM2
from roi_extraction.volume import CtVolume

__all__ = [
    "BONE_IN_MUSCLE_HU",
    "DENSE_ABOVE_MEDIAN_HU",
    "HALF_DISC_MM",
    "EllipseRoi",
    "place",
    "place_site",
]

FloatArray = npt.NDArray[np.floating[Any]]

# Numbers without a source of their own were chosen on the development scans (docs/roi.md).

CORTEX_MARGIN_MM = 4.0
"""Least gap between a vertebral ROI and the outer wall of the body, mm: cortex of 1-2 mm, its
blur in 3 mm slices, and the contour's own error."""

FORWARD_MM = 2.5
"""How far in front of the body's centroid a vertebral ROI aims, mm: away from the entry of the
basivertebral vein at the middle of the rear wall."""

MUSCLE_MARGIN_MM = {
    Muscle.TRANSVERSOSPINALIS: 1.0,
    Muscle.LONGISSIMUS: 1.5,
    Muscle.PSOAS_MAJOR: 1.0,
}
"""Least gap between a muscle ROI and the muscle's wall, mm; smaller muscles count as too small.
Less for transversospinalis, whose long walls are bone with a margin of its own, and for psoas,
which is thin and lies in fat."""

PELVIC_PSOAS_MARGIN_MM = 1.5
"""The same for psoas at L5-S1, where it lies against vessels and iliacus, mm."""

WANTED_MARGIN_MM = 3.0
"""Gap beyond which a muscle ROI earns nothing by being further from the wall, mm."""

BONE_MARGIN_MM = 2.5
"""Least gap between a muscle ROI and bone, mm (partial volume of cortical bone in 3 mm slices)."""

BONE_NEAR_MUSCLE_HU = 180.0
"""Above it a pixel near a muscle counts as bone, HU: above enhanced muscle and vessels' walls."""

BONE_IN_MUSCLE_HU = 140.0
"""Above it there is bone among the muscles of the back, HU: enhanced muscle has 90. Cortex of a
spinous process between fat and fatty marrow has 200 to 300 in pixels of 1 mm, and does not stand
out of the blur in which `BONE_NEAR_MUSCLE_HU` is told."""

THIN_BONE_MARGIN_MM = 1.0
"""Least gap between a muscle ROI and bone told that way, mm: less than `BONE_MARGIN_MM`, since the
wider blur makes bone 1 mm thicker."""

THIN_BONE_MM2 = 10.0
"""Smaller patches of it are noise, mm2."""

THIN_BONE_BLUR_MM = 0.75
"""Gaussian sigma with which HU are smoothed before thin bone is told, mm."""

TISSUE_BLUR_MM = 1.5
"""Gaussian sigma with which HU are smoothed before bone, fat and dense spots are told, mm."""

FAT_BELOW_MEDIAN_HU = 45.0
"""A pixel this far below the muscle's own median counts as a fat plane, HU: half the way from
muscle (50 HU) to fat (-100 HU) is 75, less the blur of thin planes."""

FAT_WEIGHT = 3.0
"""Price of a ROI made of fat planes only, in the score's mm. Low: the ROI lies in the muscle as
it is, and seeking the brightest place would bias fatty muscle upwards."""

FATTY_TO_LEAN_HU = (0.0, 30.0)
"""Median of transversospinalis from which on fat in it begins to cost, and from which on it costs
all of `FAT_WEIGHT`, HU: fat beside the spinous process is no part of a lean muscle, but is of a
fatty one, whose ROI would be drawn upwards by seeking what is left of muscle."""

DENSE_ABOVE_MEDIAN_HU = 100.0
"""Bone this far above a body's own median is a bone island, sclerosis or endplate, HU."""

DENSE_WEIGHT = 30.0
"""Price of a vertebral ROI made of dense spots only, in the score's mm: a ROI moves aside for a
bone island as a reader's would."""

TYPICAL_WEIGHT = 1.0
"""Price of each HU between the mean of a vertebra's ROIs and that of all its trabecular bone in
the same slices, in the score's mm: trabecular bone is uneven, and a ROI that stands for the body
lies where it is as the whole, as little as possible off the centre."""

UNEVEN_WEIGHT = 0.2
"""The same for each slice by itself: its bone is less, its noise more."""

CENTRAL_MM = 8.0
"""Distance from the aim at which a vertebral ROI's place costs as many mm, mm; the price is
quadratic, so that places near the middle of a body cost little."""

CENTRE_WEIGHT = 0.12
"""Price of each mm between the ROI and the muscle's centroid."""

ELONGATION_WEIGHT = 0.6
"""Price of one unit of aspect ratio beyond the circle, in the score's mm."""

NEIGHBOUR_MM = 32.0
"""A disc whose centre is nearer to a body's centre bounds that body, mm."""

HALF_DISC_MM = 4.0
"""Half the height of a disc, mm, where its endplates were not measured; `ENDPLATE_MARGIN_MM`
comes on top."""

REFERENCE_DEPTH_MM = 5.5
"""Depth from wall and endplates beyond which a body's bone is trabecular only, mm."""

SHIFT_LIMIT_MM = 8.0
"""How far ROIs in neighbouring slices may lie apart, mm, where no common place fits."""

MUSCLE_ASPECTS = (1.0, 1.3, 1.6, 2.0, 2.5)
"""Ratios of the long to the short axis that are tried in muscles."""

BODY_ASPECTS = (1.0, 1.3, 1.6)
"""Ratios of the long to the short axis that are tried in vertebral bodies."""

AXIS_ANGLES = 8
"""How many directions of the long axis are tried, evenly over half a turn."""

FINE_MM = 0.5
"""Step of the grid on which places are tried, mm."""

MARGIN_SAMPLES = ((1.0, 24), (0.5, 10))
"""Where the distance to the wall is read in an ellipse: on outlines scaled by the first number, at
so many points."""

MEAN_SAMPLES = ((0.92, 16), (0.65, 11), (0.3, 5))
"""Where the mean over an ellipse is read, likewise; points are spread evenly over its area."""

_FAR_OUTSIDE_MM = -1e3
"""Depth given to places beyond the grid, mm: no ROI fits there."""


@dataclass(frozen=True)
class EllipseRoi:
    """An ellipse in one slice.

    Parameters
    ----------
    slice_index
        The slice's index in the volume.
    row, column
        The centre in fractional pixels of the slice.
    semi_axes_mm
        Long and short semi-axis, mm.
    angle_rad
        Of the long axis, from the column axis (patient's left) towards the row axis (posterior).
    margin_mm
        Least distance to the tissue's wall.
    """

    slice_index: int
    row: float
    column: float
    semi_axes_mm: tuple[float, float]
    angle_rad: float
    margin_mm: float


@dataclass(frozen=True, eq=False)
class _Grid:
    """A fine grid in the slice plane over the region's bounding box."""

    rows: FloatArray
    columns: FloatArray
    depth_mm: FloatArray
    """(3, n, m): distance to the wall; below zero outside, no matter how far."""
    odd: FloatArray
    """(3, n, m): 1 in a muscle's fat planes, in a body's sclerotic spots."""
    deviation_hu: FloatArray
    """(3, n, m): HU above the mean of the body's trabecular bone in the slice; 0 for muscles."""


@dataclass(frozen=True)
class _Template:
    aspect: float
    angle_rad: float
    semi_axes_mm: tuple[float, float]


def place(
    volume: CtVolume, anatomy: Anatomy
) -> Mapping[str, tuple[EllipseRoi, EllipseRoi, EllipseRoi] | Missing]:
    """Place the ROIs of all 36 sites.

    Parameters
    ----------
    volume
        The scan.
    anatomy
        Where each site's tissue lies in its three central slices.

    Returns
    -------
    mapping
        Three ellipses, or the reason why there are none, by site name.
    """
    placed: dict[str, tuple[EllipseRoi, EllipseRoi, EllipseRoi] | Missing] = {}
    for site in SITES:
        region = anatomy.regions.get(site.name)
        if region is None:
            placed[site.name] = Missing(MissingReason.NOT_FOUND, "no region was delivered")
        elif isinstance(region, Missing):
            placed[site.name] = region
        else:
            body = anatomy.spine.bodies.get(site.level) if site.level else None
            if body is not None and not region.ends:
                region = replace(region, ends=_ends(anatomy.spine, body))
            placed[site.name] = place_site(volume, site, region, body)
    return placed


def place_site(
    volume: CtVolume, site: Site, region: Region, body: Landmark | None = None
) -> tuple[EllipseRoi, EllipseRoi, EllipseRoi] | Missing:
    """Place one site's three ellipses, at the same position where the three slices allow it.

    Parameters
    ----------
    volume
        The scan.
    site
        The vertebra or muscle.
    region
        Where its tissue lies in its three central slices.
    body
        The vertebra's landmark, or None: then the ellipses aim at the region's centroid.

    Returns
    -------
    ellipses or Missing
        From feet to head, or the reason why there are none.
    """
    try:
        slices = [volume.effective_slice(part.index) for part in region.slices]
    except IndexError as error:
        return Missing(MissingReason.OUTSIDE_SCAN, str(error))
    empty = [part.index for part in region.slices if not part.mask.any()]
    if empty:
        return Missing(MissingReason.TOO_SMALL, f"no tissue in slices {empty}")
    spacing_mm = (float(volume.spacing_mm[1]), float(volume.spacing_mm[2]))
    grid = _fine_grid(volume, site, region, slices)
    aim = None if body is None else _aim(grid, body)
    templates = _templates(BODY_ASPECTS if site.is_vertebra else MUSCLE_ASPECTS)
    common = _best(site, grid, slice(None), templates, aim, None)
    if common is not None:
        chosen = [common] * 3
    else:
        middle = _best(site, grid, slice(1, 2), templates, aim, None)
        if middle is None:
            return _too_small(site, grid, templates)
        near = (middle[0], middle[1])
        others = [_best(site, grid, slice(i, i + 1), templates, aim, near) for i in (0, 2)]
        if others[0] is None or others[1] is None:
            return _too_small(site, grid, templates)
        chosen = [others[0], middle, others[1]]
    rois = tuple(
        EllipseRoi(
            slice_index=part.index,
            row=float(grid.rows[i]) / spacing_mm[0],
            column=float(grid.columns[j]) / spacing_mm[1],
            semi_axes_mm=template.semi_axes_mm,
            angle_rad=template.angle_rad,
            margin_mm=margin_mm,
        )
        for part, (i, j, template, margin_mm) in zip(region.slices, chosen, strict=True)
    )
    return rois[0], rois[1], rois[2]


def _least_margin_mm(site: Site) -> float:
    if site.muscle is None:
        return CORTEX_MARGIN_MM
    if site.muscle is Muscle.PSOAS_MAJOR and site.disc is DiscLevel.L5_S1:
        return PELVIC_PSOAS_MARGIN_MM
    return MUSCLE_MARGIN_MM[site.muscle]


def _aim(grid: _Grid, body: Landmark) -> FloatArray:
    """Grid position, shape (2,), in front of the middle of what lies deep in all three slices.

    In a tilted body it lies less far in front: forward in the slice leads to the upper endplate.
    """
    deep = np.argwhere(grid.depth_mm.min(axis=0) >= CORTEX_MARGIN_MM)
    if not len(deep):
        deep = np.argwhere(grid.depth_mm.min(axis=0) > 0)
    level = float(body.axis[2]) ** 2
    aim: FloatArray = deep.mean(axis=0) - [FORWARD_MM * level / FINE_MM, 0.0]
    return aim


def _ends(spine: SpineLandmarks, body: Landmark) -> tuple[Plane, ...]:
    """The planes of a body's endplates from the discs beside it."""
    planes = []
    for disc in spine.discs.values():
        away = body.centre_lps_mm - disc.centre_lps_mm
        if np.linalg.norm(away) < NEIGHBOUR_MM:
            normal = disc.axis * np.sign(float(away @ disc.axis))
            planes.append(Plane(disc.centre_lps_mm + HALF_DISC_MM * normal, normal))
    return tuple(planes)


def _too_small(site: Site, grid: _Grid, templates: list[_Template]) -> Missing:
    least_mm = _least_margin_mm(site)
    slender = max(templates, key=lambda template: template.aspect)
    long_mm, short_mm = (2 * (axis + least_mm) for axis in slender.semi_axes_mm)
    round_mm = 2 * (float(np.sqrt(ROI_AREA_MM2 / np.pi)) + least_mm)
    wanted = (
        f"a region of {ROI_AREA_MM2:.0f} mm2 that stays {least_mm:.1f} mm inside needs "
        f"{short_mm:.1f} mm by {long_mm:.1f} mm, or {round_mm:.1f} mm as a circle"
    )
    across = _listed(f"{2 * max(float(depth.max()), 0.0):.1f}" for depth in grid.depth_mm)
    area = _listed(f"{(depth > 0).sum() * FINE_MM**2:.0f}" for depth in grid.depth_mm)
    room = f"the {site.muscle or 'body'} has room for {across} mm across and {area} mm2"
    fits = sum(_widest_margin(depth, templates) >= least_mm for depth in grid.depth_mm)
    if fits == len(grid.depth_mm):
        found = f"it fits in each slice, but not within {SHIFT_LIMIT_MM:.0f} mm of the same place"
    else:
        found = f"it fits in {fits or 'none'} of the three slices"
    return Missing(MissingReason.TOO_SMALL, f"{wanted}; from feet to head {room}: {found}")


def _listed(values: Iterable[str]) -> str:
    *first, last = values
    return f"{', '.join(first)} and {last}"


def _templates(aspects: tuple[float, ...]) -> list[_Template]:
    templates = []
    for aspect in aspects:
        short = float(np.sqrt(ROI_AREA_MM2 / np.pi / aspect))
        for k in range(1 if aspect == 1.0 else AXIS_ANGLES):
            templates.append(_Template(aspect, k * np.pi / AXIS_ANGLES, (short * aspect, short)))
    return templates


def _fine_grid(
    volume: CtVolume, site: Site, region: Region, slices: list[npt.NDArray[np.float32]]
) -> _Grid:
    spacing_mm = (float(volume.spacing_mm[1]), float(volume.spacing_mm[2]))
    union = np.logical_or.reduce([part.mask for part in region.slices])
    rows, columns = (np.flatnonzero(union.any(axis=axis)) for axis in (1, 0))
    row_mm = np.arange(
        (rows[0] - 1) * spacing_mm[0], (rows[-1] + 1) * spacing_mm[0] + FINE_MM, FINE_MM
    )
    column_mm = np.arange(
        (columns[0] - 1) * spacing_mm[1], (columns[-1] + 1) * spacing_mm[1] + FINE_MM, FINE_MM
    )
    at = (row_mm / spacing_mm[0], column_mm / spacing_mm[1])
    depths, odds, deviations = [], [], []
    for part, hu in zip(region.slices, slices, strict=True):
        mask = interpolate_grid(part.mask.astype(np.float32), *at) >= 0.5
        for axis, places in enumerate(at):
            outside = (places < 0) | (places > part.mask.shape[axis] - 1)
            np.moveaxis(mask, axis, 0)[outside] = False
        depth = _depth_mm(mask)
        sharp = interpolate_grid(hu, *at)
        fine = gaussian_smoothed(sharp, TISSUE_BLUR_MM / FINE_MM)
        if site.is_vertebra:
            rows_at, columns_at = np.meshgrid(*at, indexing="ij")
            index = np.stack([np.full_like(rows_at, part.index), rows_at, columns_at], axis=-1)
            points = volume.to_lps(index)
            for plane in region.ends:
                height = plane.height_mm(points) - (ENDPLATE_MARGIN_MM - CORTEX_MARGIN_MM)
                depth = np.minimum(depth, height)
            inside = fine[depth >= CORTEX_MARGIN_MM]
            median = float(np.median(inside)) if inside.size else 0.0
            dense = fine - median > DENSE_ABOVE_MEDIAN_HU
            odd = dense.astype(np.float64)
            inside = sharp[(depth >= REFERENCE_DEPTH_MM) & ~dense]
            deviation = sharp - (float(inside.mean()) if inside.size else median)
        else:
            bone = fine > BONE_NEAR_MUSCLE_HU
            depth = _off(bone, BONE_MARGIN_MM, depth, site)
            if site.muscle is not Muscle.PSOAS_MAJOR:
                thin = _thin_bone(sharp)
                depth = _off(thin, THIN_BONE_MARGIN_MM, depth, site)
                bone |= thin
            inside = fine[mask & ~bone]
            median = float(np.median(inside)) if inside.size else 0.0
            deviation = np.zeros_like(fine)
            odd = (fine < median - FAT_BELOW_MEDIAN_HU).astype(np.float64)
            if site.muscle is Muscle.TRANSVERSOSPINALIS:
                odd *= np.interp(median, FATTY_TO_LEAN_HU, (0.0, 1.0))
        depths.append(depth)
        odds.append(odd)
        deviations.append(deviation)
    return _Grid(row_mm, column_mm, np.stack(depths), np.stack(odds), np.stack(deviations))


def _off(
    bone: npt.NDArray[np.bool_], margin_mm: float, depth_mm: FloatArray, site: Site
) -> FloatArray:
    """Depth in a muscle that is its least margin where bone is as far away as it must be, mm."""
    if not bone.any():
        return depth_mm
    gap_mm = distance_inside(~bone) * FINE_MM
    return np.minimum(depth_mm, gap_mm - (margin_mm - _least_margin_mm(site)))


def _thin_bone(sharp: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Bone behind the spine that may be as thin as its cortex, on the fine grid."""
    dense = gaussian_smoothed(sharp, THIN_BONE_BLUR_MM / FINE_MM) > BONE_IN_MUSCLE_HU
    patches, _ = scipy.ndimage.label(dense)
    large = np.bincount(patches.ravel()) * FINE_MM**2 >= THIN_BONE_MM2
    large[0] = False
    return np.asarray(large[patches])


def _depth_mm(mask: npt.NDArray[np.bool_]) -> FloatArray:
    """Distance of each grid point to the mask's wall, mm; below zero outside."""
    inside = distance_inside(np.pad(mask, 1))[1:-1, 1:-1]
    return (inside - 0.5) * FINE_MM


@cache
def _offsets(template: _Template, outlines: tuple[tuple[float, int], ...]) -> npt.NDArray[np.int64]:
    """Grid steps (row, column) from an ellipse's centre to points on scaled outlines, read-only."""
    steps = np.concatenate([_on_outline(template, share, count) for share, count in outlines])
    steps.setflags(write=False)
    return steps


def _on_outline(template: _Template, share: float, count: int) -> npt.NDArray[np.int64]:
    t = np.linspace(0, 2 * np.pi, count, endpoint=False)
    along, across = (axis * share for axis in template.semi_axes_mm)
    x = along * np.cos(t) * np.cos(template.angle_rad)
    x -= across * np.sin(t) * np.sin(template.angle_rad)
    y = along * np.cos(t) * np.sin(template.angle_rad)
    y += across * np.sin(t) * np.cos(template.angle_rad)
    return np.rint(np.stack([y, x], axis=1) / FINE_MM).astype(np.int64)


def _widest_margin(depth: FloatArray, templates: list[_Template]) -> float:
    """The largest margin to the wall that any place leaves, mm; 0 where no ellipse fits."""
    inside = _box_of(depth >= 0)
    if inside is None:
        return 0.0
    found = [_allowed_places(depth, inside, template, 0.0)[1] for template in templates]
    return max((float(margin.max()) for margin in found if margin.size), default=0.0)


def _allowed_places(
    depth: FloatArray, deep: tuple[slice, slice], template: _Template, least_mm: float
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Where an ellipse keeps a margin to the wall, row by row, and that margin.

    Parameters
    ----------
    depth
        float64, shape (n, m): distance to the wall, mm.
    deep
        The box of places where it is at least ``least_mm``; no outline leaves it.
    template
        The ellipse.
    least_mm
        The least margin, mm.

    Returns
    -------
    places, margin_mm
        int64, shape (k, 2), and float64, shape (k,).
    """
    offsets = _offsets(template, MARGIN_SAMPLES)
    low = np.array([box.start for box in deep]) - offsets.min(axis=0)
    height, width = np.array([box.stop for box in deep]) - offsets.max(axis=0) - low
    if min(height, width) <= 0:
        return np.empty((0, 2), np.int64), np.empty(0)
    margin = least_over_offsets(depth, low, (height, width), offsets)
    allowed = margin >= least_mm
    return np.argwhere(allowed) + low, margin[allowed]


def _mean_inside(
    values: FloatArray, places: npt.NDArray[np.int64], template: _Template
) -> FloatArray:
    """Mean of the values in an ellipse centred on each of some grid points."""
    steps = np.array([values.shape[1], 1])
    index = (_offsets(template, MEAN_SAMPLES) @ steps)[:, None] + places @ steps
    mean: FloatArray = values.take(index).mean(axis=0)
    return mean


def _best(
    site: Site,
    grid: _Grid,
    slices: slice,
    templates: list[_Template],
    aim: FloatArray | None,
    near: tuple[int, int] | None,
) -> tuple[int, int, _Template, float] | None:
    """The best place that serves all of the ``slices``: row, column, template and margin in mm."""
    depth = grid.depth_mm[slices].min(axis=0)
    odd = grid.odd[slices].max(axis=0) if site.is_vertebra else grid.odd[slices].mean(axis=0)
    inside = np.argwhere(depth > 0)
    if inside.size == 0:
        return None
    centre = inside.mean(axis=0)
    if aim is not None:
        centre = aim
    elif site.is_vertebra:
        centre = centre - [FORWARD_MM / FINE_MM, 0.0]
    least_mm = _least_margin_mm(site)
    deep = _box_of(depth >= least_mm)
    if deep is None:
        return None
    some_odd = bool(odd.any())
    best: tuple[int, int, _Template, float] | None = None
    best_score = -np.inf
    for template in templates:
        elongation_mm = ELONGATION_WEIGHT * (template.aspect - 1.0)
        if (0.0 if site.is_vertebra else WANTED_MARGIN_MM) - elongation_mm <= best_score:
            continue
        places, margin = _allowed_places(depth, deep, template, least_mm)
        if near is not None:
            close = np.hypot(*(places - near).T) * FINE_MM <= SHIFT_LIMIT_MM
            places, margin = places[close], margin[close]
        away_mm = np.hypot(*(places - centre).T) * FINE_MM
        price_mm = away_mm**2 / CENTRAL_MM if site.is_vertebra else CENTRE_WEIGHT * away_mm
        score = -price_mm - elongation_mm
        if not site.is_vertebra:
            score = score + np.minimum(margin, WANTED_MARGIN_MM)
        # all that follows lowers the score
        hopeful = score > best_score
        if not hopeful.any():
            continue
        places, margin, score = places[hopeful], margin[hopeful], score[hopeful]
        if some_odd:
            price = DENSE_WEIGHT if site.is_vertebra else FAT_WEIGHT
            score = score - price * _mean_inside(odd, places, template)
        if site.is_vertebra:
            unlike_hu = [_mean_inside(hu, places, template) for hu in grid.deviation_hu[slices]]
            score = score - TYPICAL_WEIGHT * abs(np.mean(unlike_hu, axis=0))
            score = score - UNEVEN_WEIGHT * np.mean(np.abs(unlike_hu), axis=0)
        k = int(np.argmax(score))
        if score[k] > best_score:
            best_score = float(score[k])
            best = (int(places[k, 0]), int(places[k, 1]), template, float(margin[k]))
    return best


def _box_of(mask: npt.NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """The smallest box that holds a mask; None if it is empty."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
