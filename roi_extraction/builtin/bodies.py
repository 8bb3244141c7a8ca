"""The outline of a vertebral body in its three central slices."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roi_extraction.anatomy import (
    Landmark,
    Missing,
    MissingReason,
    Plane,
    Region,
    RegionSlice,
    SpineLandmarks,
)
from roi_extraction.builtin.contour import RADIUS_MM, RAY_ANGLES, closed_contour
from roi_extraction.endplates import disc_distances_mm, endplates_mm
from roi_extraction.grid import OUTSIDE_HU
from roi_extraction.kernels import interpolate_plane
from roi_extraction.placement import HALF_DISC_MM
from roi_extraction.sites import Level
from roi_extraction.slices import central_slices, slices_in_body
from roi_extraction.volume import CtVolume

__all__ = ["body_region"]

ENDPLATE_MM = 2.5
"""How far inside the half-way fall of HU to the disc the middle of an endplate lies, mm."""

S1_HALF_HEIGHT_MM = 15.0
"""Part of S1 below its centre: as much as above it; its lower end is not a disc, mm."""

CANAL_WALL_MM = np.arange(-8.0, 20.1, 0.5)
"""Distances forward of the canal's centre at which its front wall is sought, mm; at S1, where the
canal bends, the wall may lie behind what was taken for the centre."""

INSIDE_CANAL_MM = 10.0
"""Up to here forward of that centre the lowest HU is the canal's, mm."""

CANAL_RISE_HU = 50.0
"""Rise of HU from the canal to its front wall, at least: the wall is the first such rise, the
steepest may be where dense bone begins inside a body."""

WALL_RANGE_HU = (-100.0, 400.0)
"""HU are clipped to this when a wall is sought."""

S1_RADIUS_MM = 24.0
"""Largest sideways radius of S1, mm: no wall divides its body from the alae."""

MIN_BACK_MM = 6.0
"""Smallest distance of a body's back wall from the contour's centre, mm."""

REAR_COSINE = 0.94
"""Rays within 20 degrees of straight back end at the canal's front wall."""

REAR_PRICE_HU = 15.0
"""Price of one mm away from that wall, HU: dense bone inside a body must not pass for the wall."""

SLICES_DIFFER_MM = 1.5
"""How much farther than in the other slices the wall may lie, mm."""

MIN_WALL_STEP_HU = 15.0
"""Mean step of HU across the wall below which no body was found."""

MIN_AREA_MM2 = 450.0
"""Smallest believable section of a lumbar body, mm2."""

FloatArray = npt.NDArray[np.float64]


def body_region(volume: CtVolume, spine: SpineLandmarks, level: Level) -> Region | Missing:
    """Outline a body: its own bone only, without discs, canal and pedicles.

    Returns
    -------
    Region or Missing
        Missing when the level was not found, when a central slice leaves the scan, or when no
        wall could be followed.
    """
    body = spine.bodies.get(level)
    if body is None:
        return Missing(MissingReason.OUTSIDE_SCAN, f"{level} is not whole in the scan")
    slab = _between_endplates(volume, spine, level)
    # S1's front wall lies almost in the slices: those next to its centre come too close to it
    whole = level is not Level.S1
    indices = (
        slices_in_body(volume, body, slab) if whole else central_slices(volume, body.centre_lps_mm)
    )
    if isinstance(indices, Missing):
        return indices
    outlines = [_outline(volume, spine, body, level, index) for index in indices]
    if float(np.mean([outline.step_hu for outline in outlines])) < MIN_WALL_STEP_HU:
        return Missing(MissingReason.NOT_FOUND, f"the wall of {level} does not stand out")
    # a pedicle shows in one or two of the slices: what only one slice has is not the body
    most = np.median([outline.radius_mm for outline in outlines], axis=0) + SLICES_DIFFER_MM
    masks = []
    for index, outline in zip(indices, outlines, strict=True):
        mask = _mask(volume, index, outline, np.minimum(outline.radius_mm, most))
        if mask is None:
            return Missing(MissingReason.OUTSIDE_SCAN, f"{level} reaches the side of the scan")
        masks.append(mask & _inside_slab(volume, mask, index, slab))
    pixel_mm2 = float(volume.spacing_mm[1] * volume.spacing_mm[2])
    if min(mask.sum() for mask in masks) * pixel_mm2 < MIN_AREA_MM2:
        return Missing(
            MissingReason.TOO_SMALL, f"{level} is cut by its endplates in the central slices"
        )
    first, second, third = (
        RegionSlice(index, mask) for index, mask in zip(indices, masks, strict=True)
    )
    return Region((first, second, third), slab)


def _between_endplates(volume: CtVolume, spine: SpineLandmarks, level: Level) -> tuple[Plane, ...]:
    """The planes of a body's endplates."""
    body = spine.bodies[level]
    discs_mm = disc_distances_mm(spine, level)
    if discs_mm is None:
        raise ValueError(f"no disc beside {level}")
    above = [disc for name, disc in spine.discs.items() if name.below == level]
    below = [disc for name, disc in spine.discs.items() if name.above == level]
    if level is Level.S1:
        discs_mm = (S1_HALF_HEIGHT_MM, discs_mm[1])
    seen_mm = endplates_mm(volume, body.centre_lps_mm, body.axis, discs_mm)
    planes = []
    for sign, discs, seen, disc_mm in zip((-1, 1), (below, above), seen_mm, discs_mm, strict=True):
        axis = discs[0].axis if discs else body.axis
        reach = seen - ENDPLATE_MM if np.isfinite(seen) else disc_mm - HALF_DISC_MM
        if level is Level.S1 and not discs:
            reach = S1_HALF_HEIGHT_MM
        planes.append(Plane(body.centre_lps_mm + sign * reach * body.axis, -sign * axis))
    return tuple(planes)


def _inside_slab(
    volume: CtVolume,
    mask: npt.NDArray[np.bool_],
    index: int,
    slab: tuple[Plane, ...],
) -> npt.NDArray[np.bool_]:
    rows, columns = np.divmod(np.flatnonzero(mask), mask.shape[1])
    points = volume.to_lps(np.stack([np.full(len(rows), index), rows, columns], axis=1))
    inside = np.ones(len(rows), bool)
    for plane in slab:
        inside &= plane.height_mm(points) > 0
    kept = np.zeros_like(mask)
    kept[rows[inside], columns[inside]] = True
    return kept


@dataclass(frozen=True, eq=False)
class _Outline:
    """A polar contour in one slice: its centre in pixels, radii in mm, mean step in HU."""

    row: float
    column: float
    radius_mm: FloatArray
    step_hu: float


def _outline(
    volume: CtVolume, spine: SpineLandmarks, body: Landmark, level: Level, index: int
) -> _Outline:
    """The body's wall in one slice."""
    image = volume.effective_slice(index)
    pixel_mm = (float(volume.spacing_mm[1]), float(volume.spacing_mm[2]))
    # the body's axis meets a neighbouring slice a little further forward or back
    start = volume.to_index(body.centre_lps_mm)
    along = volume.to_index(body.centre_lps_mm + body.axis) - start
    centre = start + along * (index - start[0]) / along[0]
    canal = _canal_in_slice(volume, spine, index)
    forward = np.array([(centre[1] - canal[0]) * pixel_mm[0], (centre[2] - canal[1]) * pixel_mm[1]])
    reach = float(np.linalg.norm(forward))
    forward /= reach
    back = max(reach - _canal_front_mm(image, canal, forward, pixel_mm), MIN_BACK_MM)
    row, column = float(centre[1]), float(centre[2])
    rear, price = _rear(forward, back)
    limit = _limits(forward, back, level)
    radius, _ = closed_contour(image, (row, column), pixel_mm, limit, rear, price)
    # repeated around the centre of the contour found, near that contour when smoothed
    aside, down = _centroid(radius)
    row, column = row + down / pixel_mm[0], column + aside / pixel_mm[1]
    back = max(back + float(forward @ (down, aside)), MIN_BACK_MM)
    rear, price = _rear(forward, back)
    usual = np.where(price > 0, rear, ndimage.median_filter(radius, 9, mode="wrap"))
    limit = _limits(forward, back, level)
    radius, step = closed_contour(
        image, (row, column), pixel_mm, limit, usual, np.maximum(price, 1.0)
    )
    return _Outline(row, column, radius, float(step.mean()))


def _mask(
    volume: CtVolume, index: int, outline: _Outline, radius_mm: FloatArray
) -> npt.NDArray[np.bool_] | None:
    """The pixels inside a contour; None where it leaves the scan."""
    _, count_rows, count_columns = volume.shape
    row_mm, column_mm = volume.spacing_mm[1:]
    rows = outline.row + radius_mm * np.sin(RAY_ANGLES) / row_mm
    columns = outline.column + radius_mm * np.cos(RAY_ANGLES) / column_mm
    if min(rows.min(), columns.min()) < 0 or rows.max() > count_rows - 1:
        return None
    if columns.max() > count_columns - 1:
        return None
    box = tuple(
        slice(max(0, int(np.floor(centre - reach))), int(np.ceil(centre + reach)) + 1)
        for centre, reach in (
            (outline.row, radius_mm.max() / row_mm),
            (outline.column, radius_mm.max() / column_mm),
        )
    )
    grid_rows, grid_columns = np.ogrid[:count_rows, :count_columns]
    grid_rows, grid_columns = grid_rows[box[0]], grid_columns[:, box[1]]
    down = (grid_rows - outline.row) * row_mm
    left = (grid_columns - outline.column) * column_mm
    angle = np.mod(np.arctan2(down, left), 2 * np.pi)
    wall_mm = np.interp(angle, np.append(RAY_ANGLES, 2 * np.pi), np.append(radius_mm, radius_mm[0]))
    mask = np.zeros((count_rows, count_columns), dtype=bool)
    mask[box] = np.hypot(down, left) <= wall_mm
    if (volume.hu[index][mask] <= OUTSIDE_HU + 100).any():
        return None
    return mask


def _limits(forward: FloatArray, back_mm: float, level: Level) -> FloatArray:
    """Largest radius on each ray: in front of the canal and, in S1, short of the alae."""
    directions = np.stack([np.sin(RAY_ANGLES), np.cos(RAY_ANGLES)], axis=1)
    backward = -(directions @ forward)
    limit = np.full(len(RAY_ANGLES), RADIUS_MM[-1])
    behind = backward > 0.05
    limit[behind] = np.minimum(limit[behind], back_mm / backward[behind])
    if level is Level.S1:
        sideways = np.abs(directions @ np.array([forward[1], -forward[0]]))
        wide = sideways > 0.05
        limit[wide] = np.minimum(limit[wide], S1_RADIUS_MM / sideways[wide])
    return limit


def _rear(forward: FloatArray, back_mm: float) -> tuple[FloatArray, FloatArray]:
    """Where rays meet the canal's front wall, mm, and the price of ending elsewhere, HU per mm."""
    backward = -(np.stack([np.sin(RAY_ANGLES), np.cos(RAY_ANGLES)], axis=1) @ forward)
    rear = backward > REAR_COSINE
    wall = back_mm / np.where(rear, backward, 1.0)
    return wall, np.where(rear, REAR_PRICE_HU, 0.0)


def _canal_in_slice(volume: CtVolume, spine: SpineLandmarks, index: int) -> FloatArray:
    """(row, column) of the canal's centre in a slice."""
    points = volume.to_index(spine.canal_lps_mm)
    order = np.argsort(points[:, 0], kind="stable")
    return np.array(
        [float(np.interp(index, points[order, 0], points[order, axis])) for axis in (1, 2)]
    )


def _canal_front_mm(
    image: npt.NDArray[np.float32],
    canal: FloatArray,
    forward: FloatArray,
    pixel_mm: tuple[float, float],
) -> float:
    """Distance of the canal's front wall from its centre, mm."""
    sideways = np.array([-forward[1], forward[0]])
    offsets = np.arange(-6.0, 6.1, 1.0)
    places = (
        CANAL_WALL_MM[:, None, None] * forward + offsets[None, :, None] * sideways
    ) / np.array(pixel_mm)
    sampled = interpolate_plane(
        image, canal[0] + places[..., 0], canal[1] + places[..., 1], limits=WALL_RANGE_HU
    )
    profile = ndimage.gaussian_filter1d(np.median(sampled, axis=1), 2.0)
    low = int(profile[CANAL_WALL_MM <= INSIDE_CANAL_MM].argmin())
    rise = np.maximum.accumulate(profile[low:]) - profile[low]
    beyond = np.flatnonzero(rise >= CANAL_RISE_HU)
    if not len(beyond):
        return float(CANAL_WALL_MM[int(np.gradient(profile).argmax())])
    top = low + int(beyond[0])
    while top + 1 < len(profile) and profile[top + 1] > profile[top]:
        top += 1
    return float(CANAL_WALL_MM[low + int((rise >= (profile[top] - profile[low]) / 2).argmax())])


def _centroid(radius_mm: FloatArray) -> tuple[float, float]:
    """The centroid (column, row), mm from the centre, of the area inside a polar contour."""
    weight = (radius_mm**2).sum()
    cubed = radius_mm**3 * 2 / 3
    return (
        float((cubed * np.cos(RAY_ANGLES)).sum() / weight),
        float((cubed * np.sin(RAY_ANGLES)).sum() / weight),
    )
