"""A rib followed from its root along its whole course to the tip."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roi_extraction.builtin.ribs.rib_track import RibTrack
from roi_extraction.builtin.ribs.tracks import PROMINENCE_HU, RIB_CLIP_HU, RIB_HU
from roi_extraction.builtin.straighten import StraightSpine
from roi_extraction.grid import OUTSIDE_HU, sample_hu
from roi_extraction.kernels import gaussian_smoothed
from roi_extraction.sites import Side
from roi_extraction.volume import CtVolume

__all__ = ["MEASURED_FROM_MM", "RibLength", "rib_length"]

# All numbers of this module were chosen on the development scans (docs/roi.md).

COURSE_STEP_MM = 2.5
"""Distance of the places along a rib, mm."""

SECTION_STEP_MM = 2.0
"""Step of the grid across a rib, mm."""

SECTION_MM = np.arange(-12.0, 12.1, SECTION_STEP_MM)
"""Places of that grid on both axes, mm from the expected centre."""

SECTION_MOVE_MM, SECTION_MOVE_RISE = 2.0, 0.6
"""How far aside of the expected place a rib may lie, mm, and how much farther for each mm ahead."""

SECTION_MOVE_PRICE_HU = 8.0
"""Price of each mm of that distance, HU."""

RIB_CENTRE_MM = 5.0
"""Radius around the densest place within which the rib's centre is taken, mm."""

RIB_GAP_MM = 15.0
"""Longest gap across which a rib is taken up again, mm."""

DOUBTED_MM = 30.0
"""A tip beyond which bone is seen within this distance is no tip, mm."""

DOUBTED_ASIDE_MM = 9.0
"""How far aside of the rib's direction such bone lies at most, mm."""

BEYOND_TIP_MM = 5.0
"""So much beyond a tip must lie in the scan, with what is `AROUND_RIB_MM` around it, mm."""

AROUND_RIB_MM = 6.0
"""What lies around a rib's middle must be in the scan up to here, mm: where the scan cuts into a
rib, the middle of what is left of it lies elsewhere, and the course bends along the cut."""

CROSSES_MM, CROSSES_COS = 8.0, float(np.cos(np.deg2rad(25.0)))
"""Bone so near to the course of the rib above, mm, is that rib's, where its direction there has
this cosine or less with that of the tip: the lost end of the same rib would go on straight."""

DIRECTION_FROM = 7
"""Places from which a rib's direction is taken."""

LONGEST_COURSE_MM = 330.0
"""Length at which following ends, mm: no rib is longer."""

MEASURED_FROM_MM = 20.0
"""Lengths are measured from here, lateral of the line, mm."""

COURSE_SMOOTH = 1.5
"""Gaussian sigma with which the first part of a course is smoothed, in places."""

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RibLength:
    """How long a rib is, as far as it was seen.

    Parameters
    ----------
    mm
        Length along the rib from `MEASURED_FROM_MM` lateral of the spine's line, mm.
    to_tip
        Whether its tip was seen for certain: it ends in the scan, and no bone follows.
    path_lps_mm
        float64, shape (n, 3): its course, LPS mm.
    """

    mm: float
    to_tip: bool
    path_lps_mm: FloatArray


def rib_length(
    volume: CtVolume, straight: StraightSpine, track: RibTrack, next_above: RibLength | None = None
) -> RibLength:
    """Follow a rib to its tip.

    Parameters
    ----------
    volume, straight
        The scan, laid straight.
    track
        The rib's first part, beside the spine.
    next_above
        The rib above it, if that was followed: where it crosses beyond the tip it is no part of
        this one.

    Returns
    -------
    length
        Its length, and whether the tip was seen.
    """
    sign = 1.0 if track.side is Side.LEFT else -1.0
    first = np.array(
        [straight.to_lps(height, ahead, sign * beside) for height, ahead, beside in track.course]
    )
    path = list(ndimage.gaussian_filter1d(first, COURSE_SMOOTH, axis=0, mode="nearest"))
    gap_mm = 0.0
    while gap_mm < RIB_GAP_MM and len(path) * COURSE_STEP_MM < LONGEST_COURSE_MM:
        gap_mm += COURSE_STEP_MM
        direction = _direction(path)
        expected = path[-1] + gap_mm * direction
        if not _seen(volume, expected, direction):
            break
        place = _bone_near(
            volume, expected, direction, SECTION_MOVE_MM + SECTION_MOVE_RISE * gap_mm
        )
        if place is not None:
            path.append(place)
            gap_mm = 0.0
    course = np.array(path)
    steps = np.linalg.norm(np.diff(course, axis=0), axis=1).sum()
    medial = track.course[0, 2] - MEASURED_FROM_MM
    slant = float(np.sqrt(1.0 + track.fall**2))
    return RibLength(float(steps + medial * slant), _is_tip(volume, path, next_above), course)


def _direction(path: list[FloatArray]) -> FloatArray:
    """Unit vector along the last places of a course."""
    last = np.array(path[-DIRECTION_FROM:])
    order = np.arange(len(last)) - (len(last) - 1) / 2
    along = order @ last
    return np.asarray(along / np.linalg.norm(along))


def _seen(volume: CtVolume, place: FloatArray, direction: FloatArray) -> bool:
    """Whether the scan shows what is around a place of a rib, in the section across it."""
    across, upwards = _across(direction)
    around = np.concatenate(
        [[0.0 * across], AROUND_RIB_MM * np.array([across, -across, upwards, -upwards])]
    )
    return bool((sample_hu(volume, place + around) > OUTSIDE_HU + 1).all())


def _across(direction: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Two unit vectors across a direction, the first level, the second upwards."""
    across = np.cross(direction, [0.0, 0.0, 1.0])
    across /= np.linalg.norm(across)
    return across, np.cross(across, direction)


def _bone_near(
    volume: CtVolume, expected: FloatArray, direction: FloatArray, reach_mm: float
) -> FloatArray | None:
    """The centre of the bone in the section across a direction, LPS mm; None without bone."""
    across, upwards = _across(direction)
    points = expected + SECTION_MM[:, None, None] * upwards + SECTION_MM[None, :, None] * across
    smooth = gaussian_smoothed(sample_hu(volume, points), 1.0, mode="nearest")
    least = max(RIB_HU, float(np.median(np.clip(smooth, *RIB_CLIP_HU))) + PROMINENCE_HU)
    away = np.hypot(SECTION_MM[:, None], SECTION_MM[None, :])
    gain = np.where(
        (smooth > least) & (away <= reach_mm), smooth - SECTION_MOVE_PRICE_HU * away, -np.inf
    )
    i, j = np.unravel_index(int(gain.argmax()), gain.shape)
    if not np.isfinite(gain[i, j]):
        return None
    near = np.hypot(SECTION_MM[:, None] - SECTION_MM[i], SECTION_MM[None, :] - SECTION_MM[j])
    weight = np.where(near <= RIB_CENTRE_MM, np.maximum(smooth - least, 0.0), 0.0)
    weight /= weight.sum()
    return np.asarray((weight[..., None] * points).sum(axis=(0, 1)))


def _is_tip(volume: CtVolume, path: list[FloatArray], next_above: RibLength | None) -> bool:
    """Whether a course ends in the scan and no bone follows beyond its end."""
    direction = _direction(path)
    if not all(
        _seen(volume, path[-1] + ahead_mm * direction, direction)
        for ahead_mm in np.arange(0.0, BEYOND_TIP_MM + 0.1, COURSE_STEP_MM)
    ):
        return False
    if len(path) * COURSE_STEP_MM >= LONGEST_COURSE_MM:
        return False
    beyond = [
        _bone_near(volume, path[-1] + ahead_mm * direction, direction, DOUBTED_ASIDE_MM)
        for ahead_mm in np.arange(RIB_GAP_MM + COURSE_STEP_MM, DOUBTED_MM, COURSE_STEP_MM)
    ]
    return all(
        place is None
        or (next_above is not None and _crosses(next_above.path_lps_mm, place, direction))
        for place in beyond
    )


def _crosses(course: FloatArray, place: FloatArray, direction: FloatArray) -> bool:
    """Whether a course runs through a place in another direction than the given one."""
    away = np.linalg.norm(course - place, axis=1)
    nearest = int(away.argmin())
    first, last = max(0, nearest - DIRECTION_FROM // 2), nearest + DIRECTION_FROM // 2 + 1
    there = _direction(list(course[first:last]))
    return bool(away[nearest] <= CROSSES_MM and there @ direction <= CROSSES_COS)
