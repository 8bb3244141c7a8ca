"""Heights of vertebral bodies: how far the endplates lie apart in front, in the middle, behind."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roi_extraction.anatomy import Anatomy, Landmark, Region, SpineLandmarks
from roi_extraction.sites import Level
from roi_extraction.volume import CtVolume

__all__ = ["BodyHeights", "body_heights", "height_loss"]

PROFILE_STEP_MM = 0.5
"""Step along a body's axis, mm."""

NEAREST_MM = 3.0
"""Least distance of an endplate from the body's centre, mm: half a collapsed body."""

BEYOND_DISC_MM = 2.0
"""How far beyond the disc's centre an endplate is looked for, mm."""

FALL_MM = 3.0
"""Depth on each side of an endplate over which HU are compared, mm."""

ACROSS_MM, AHEAD_MM = np.arange(-8.0, 8.1, 2.0), np.arange(-4.0, 4.1, 2.0)
"""Where a profile is averaged, sideways and forward of its place, mm: the slices of a tilted body
cross the parts at different heights, so that together they show more than one slice."""

LEVEL_MM = 5.0
"""How far on each side of an endplate the levels of bone and disc are read, mm."""

OFF_CENTRE = 0.72
"""Where the front and the rear profile lie, as a share of half the body's depth."""

OUTERMOST_SHARE = 0.6
"""An endplate is the outermost fall of HU that has at least this share of the largest fall:
sclerosis inside a body falls as much, but further in."""

PROFILE_CLIP_HU = (-50.0, 450.0)
"""HU are clipped to this: gas in a disc and cement must not count for more."""


@dataclass(frozen=True)
class BodyHeights:
    """Heights of a body between its endplates, mm."""

    front_mm: float
    middle_mm: float
    rear_mm: float

    @property
    def largest_mm(self) -> float:
        """The largest of the three."""
        return max(self.front_mm, self.middle_mm, self.rear_mm)


def body_heights(volume: CtVolume, anatomy: Anatomy) -> Mapping[Level, BodyHeights]:
    """Measure the lumbar bodies that lie between two known discs.

    Parameters
    ----------
    volume
        The scan.
    anatomy
        Landmarks, and the bodies' outlines.

    Returns
    -------
    mapping
        By level; a body whose endplates were not found is left out.
    """
    found = {}
    for level in (Level.L1, Level.L2, Level.L3, Level.L4, Level.L5):
        body, region = anatomy.spine.bodies.get(level), anatomy.regions.get(str(level))
        if body is None or not isinstance(region, Region):
            continue
        limits = _limits_mm(anatomy.spine, level, body)
        if limits is None:
            continue
        heights = _heights(volume, body, region, limits)
        if heights is not None:
            found[level] = heights
    return found


def height_loss(heights: Mapping[Level, BodyHeights], level: Level) -> tuple[float, str]:
    """Largest loss of height of a body, as a share, and its kind: wedge, biconcave or crush.

    The front is held against the rear wall, the middle against both, the whole against the
    neighbours (Genant 1993, doi 10.1002/jbmr.5650080915).
    """
    own = heights[level]
    order = list(Level)
    at = order.index(level)
    beside = [
        heights[order[k]].largest_mm for k in (at - 1, at + 1) if k >= 0 and order[k] in heights
    ]
    losses = {
        "wedge": 1 - own.front_mm / own.rear_mm,
        "biconcave": 1 - own.middle_mm / (0.5 * (own.front_mm + own.rear_mm)),
    }
    if beside:
        losses["crush"] = 1 - own.largest_mm / float(np.mean(beside))
    kind = max(losses, key=lambda name: losses[name])
    return losses[kind], kind


def _limits_mm(spine: SpineLandmarks, level: Level, body: Landmark) -> tuple[float, float] | None:
    """How far below and above the centre the discs' centres lie along the axis, mm."""
    below = [d for name, d in spine.discs.items() if name.above == level]
    above = [d for name, d in spine.discs.items() if name.below == level]
    if not below:
        return None
    down = float((body.centre_lps_mm - below[0].centre_lps_mm) @ body.axis)
    up = float((above[0].centre_lps_mm - body.centre_lps_mm) @ body.axis) if above else down
    return down, up


def _heights(
    volume: CtVolume, body: Landmark, region: Region, limits_mm: tuple[float, float]
) -> BodyHeights | None:
    side = np.array([1.0, 0.0, 0.0]) - body.axis[0] * body.axis
    side /= np.linalg.norm(side)
    ahead = np.cross(side, body.axis)
    middle = region.slices[1]
    rows = np.flatnonzero(middle.mask.any(axis=1))
    half_depth = 0.5 * (rows[-1] - rows[0] + 1) * float(volume.spacing_mm[1])
    heights = []
    for forward in (OFF_CENTRE, 0.0, -OFF_CENTRE):
        along = np.arange(-limits_mm[0] - 6.0, limits_mm[1] + 6.1, PROFILE_STEP_MM)
        points = (
            body.centre_lps_mm
            + along[:, None, None, None] * body.axis
            + ACROSS_MM[:, None, None] * side
            + (forward * half_depth + AHEAD_MM)[:, None] * ahead
        )
        index = np.moveaxis(volume.to_index(points), -1, 0)
        hu = ndimage.map_coordinates(volume.hu, index, np.float32, order=1, mode="nearest")
        profile = np.clip(hu, *PROFILE_CLIP_HU).mean(axis=(1, 2))
        lower = _endplate(profile[::-1], -along[::-1], limits_mm[0])
        upper = _endplate(profile, along, limits_mm[1])
        heights.append(lower + upper)
    return BodyHeights(*heights) if np.isfinite(heights).all() else None


def _endplate(
    profile: npt.NDArray[np.floating], along_mm: npt.NDArray[np.float64], disc_mm: float
) -> float:
    """Where HU lie half-way between the body's end and the disc, mm from the centre.

    The steepest fall alone would lie in the middle between two slices, wherever the endplate is.
    """
    depth = round(FALL_MM / PROFILE_STEP_MM)
    total = np.concatenate([[0.0], np.cumsum(profile)])
    at = np.arange(depth, len(profile) - depth)
    inside = (total[at] - total[at - depth]) / depth
    outside = (total[at + depth] - total[at]) / depth
    fall = inside - outside
    place = along_mm[at]
    allowed = (place >= NEAREST_MM) & (place <= disc_mm + BEYOND_DISC_MM)
    fall = np.where(allowed, fall, -np.inf)
    top = fall == ndimage.maximum_filter1d(fall, 2 * depth + 1)
    chosen = allowed & top & (fall >= OUTERMOST_SHARE * fall.max())
    if not chosen.any():
        return float("nan")
    steepest = int(at[chosen][-1])
    reach = round(LEVEL_MM / PROFILE_STEP_MM)
    first = steepest - reach
    bone = first + int(profile[first : steepest + 1].argmax())
    disc = steepest + int(profile[steepest : steepest + reach + 1].argmin())
    half = (profile[bone] + profile[disc]) / 2
    before = bone + int((profile[bone : disc + 1] < half).argmax()) - 1
    step = (profile[before] - half) / (profile[before] - profile[before + 1])
    return float(along_mm[before] + step * (along_mm[before + 1] - along_mm[before]))
