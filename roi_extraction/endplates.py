"""Endplates of a vertebral body, seen along its axis."""

import numpy as np
import numpy.typing as npt
import scipy

from roi_extraction.anatomy import SpineLandmarks
from roi_extraction.sites import Level
from roi_extraction.volume import CtVolume

__all__ = ["across_and_ahead", "disc_distances_mm", "endplates_mm"]

# Numbers without a source of their own were chosen on the development scans (docs/roi.md).

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

LEAST_FALL_HU = 10.0
"""Least fall of HU from a body into a disc."""

LEVELS_WITHIN_MM = 5.0
"""How far on each side of an endplate the levels of bone and disc are read, mm."""

OUTERMOST_SHARE = 0.6
"""An endplate is the outermost fall of HU that has at least this share of the largest fall:
sclerosis inside a body falls as much, but further in."""

PROFILE_CLIP_HU = (-50.0, 450.0)
"""HU are clipped to this: gas in a disc and cement must not count for more."""

FloatArray = npt.NDArray[np.float64]


def across_and_ahead(axis: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Unit vectors to the left and forward in the plane across an axis, shape (3,) each."""
    side = np.array([1.0, 0.0, 0.0]) - axis[0] * axis
    side /= np.linalg.norm(side)
    return side, np.cross(side, axis)


def disc_distances_mm(spine: SpineLandmarks, level: Level) -> tuple[float, float] | None:
    """How far below and above a body's centre the discs' centres lie along its axis, mm.

    A disc that was not found is taken to lie as far as the other; None when neither was found.
    """
    body = spine.bodies[level]
    along = {
        name: float((disc.centre_lps_mm - body.centre_lps_mm) @ body.axis)
        for name, disc in spine.discs.items()
    }
    below = [-mm for name, mm in along.items() if name.above == level]
    above = [mm for name, mm in along.items() if name.below == level]
    if not below and not above:
        return None
    return (below or above)[0], (above or below)[0]


def endplates_mm(
    volume: CtVolume, place_lps_mm: FloatArray, axis: FloatArray, discs_mm: tuple[float, float]
) -> tuple[float, float]:
    """How far below and above a place in a body its endplates end, mm.

    Parameters
    ----------
    volume
        The scan.
    place_lps_mm
        Between the endplates, shape (3,), LPS mm.
    axis
        Unit vector of the body's axis towards the head, shape (3,).
    discs_mm
        How far below and above the place the discs' centres lie along the axis, mm.

    Returns
    -------
    (below_mm, above_mm)
        Both positive; NaN where no endplate was seen.
    """
    side, ahead = across_and_ahead(axis)
    along = np.arange(-discs_mm[0] - 6.0, discs_mm[1] + 6.1, PROFILE_STEP_MM)
    points = (
        place_lps_mm
        + along[:, None, None, None] * axis
        + ACROSS_MM[:, None, None] * side
        + AHEAD_MM[:, None] * ahead
    )
    index = np.moveaxis(volume.to_index(points), -1, 0)
    hu = scipy.ndimage.map_coordinates(volume.hu, index, np.float32, order=1, mode="nearest")
    profile = np.clip(hu, *PROFILE_CLIP_HU).mean(axis=(1, 2))
    below = _endplate(profile[::-1], -along[::-1], discs_mm[0])
    return below, _endplate(profile, along, discs_mm[1])


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
    top = fall == scipy.ndimage.maximum_filter1d(fall, 2 * depth + 1)
    least_hu = max(LEAST_FALL_HU, OUTERMOST_SHARE * float(fall.max()))
    chosen = allowed & top & (fall >= least_hu)
    if not chosen.any():
        return float("nan")
    steepest = int(at[chosen][-1])
    reach = round(LEVELS_WITHIN_MM / PROFILE_STEP_MM)
    first = steepest - reach
    bone = first + int(profile[first : steepest + 1].argmax())
    disc = steepest + int(profile[steepest : steepest + reach + 1].argmin())
    half = (profile[bone] + profile[disc]) / 2
    before = bone + int((profile[bone : disc + 1] < half).argmax()) - 1
    step = (profile[before] - half) / (profile[before] - profile[before + 1])
    return float(along_mm[before] + step * (along_mm[before + 1] - along_mm[before]))
