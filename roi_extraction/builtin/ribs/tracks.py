"""Ribs and transverse processes, followed from the spine outwards beside the straightened line."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roi_extraction.builtin.ribs.rib_track import RibTrack
from roi_extraction.builtin.straighten import (
    BESIDE_SMOOTH_MM,
    BESIDE_STEP_MM,
    LINE_STEP_MM,
    StraightSpine,
    sample_beside,
)
from roi_extraction.kernels import gaussian_smoothed
from roi_extraction.sites import Side
from roi_extraction.volume import CtVolume

__all__ = ["PROMINENCE_HU", "RIB_CLIP_HU", "RIB_HU", "rib_tracks", "tracks_beside"]

# All numbers of this module were chosen on the development scans (docs/roi.md).

TRACK_BESIDE_MM = np.arange(20.0, 76.1, BESIDE_STEP_MM)
"""Where bones are followed column by column, lateral of the spine's line, mm."""

TRACK_AHEAD_MM = np.arange(-84.0, 0.1, BESIDE_STEP_MM)
"""Where they are followed, forward of the line, mm."""

BEYOND_LINE_MM = 10.0
"""So far above the line's upper end they are followed too, mm."""

SEED_MM = (38.0, 44.0, 54.0, 64.0)
"""Columns in which a track may begin, mm: outside the vertebral arch."""

RIB_HU = 90.0
"""Least HU of a rib, smoothed: above muscle and unenhanced organs."""

PROMINENCE_HU = 40.0
"""How much a rib is denser than all that is wider than `WIDEST_RIB_MM`, HU: enhanced kidneys and
filled bowel are not."""

WIDEST_RIB_MM = 18.0
"""Width of the widest rib with its blur, mm."""

RIB_CLIP_HU = (-50.0, 400.0)
"""HU are clipped to this before what is wider than a rib is taken away."""

COLUMN_MOVE_MM = 6.0
"""How far from the predicted place a bone may lie in the next column, mm."""

COLUMN_MOVE_PRICE_HU = 8.0
"""Price of each mm of that distance, in HU of prominence."""

COLUMN_GAP_MM = 10.0
"""Longest gap across which a track is taken up again, mm."""

COLUMN_GAP_MOVE = 0.5
"""How much farther it is looked for with each mm of gap, mm."""

PREDICTED_FROM = 6
"""Places from whose straight line the next is predicted."""

FIRST_FALL = 0.4
"""Fall of a rib outwards that is expected before any was seen, mm per mm."""

STEEPEST = 2.0
"""Steepest course along or across the line that is predicted, mm per mm."""

SAME_MM = (7.0, 14.0)
"""Tracks closer to each other than this along the line and forward of it are one bone, mm."""

FEWEST_PLACES = 4
"""Places below which a track is noise."""

FloatArray = npt.NDArray[np.float64]


def rib_tracks(
    volume: CtVolume, straight: StraightSpine, lowest_mm: float, side: Side
) -> list[RibTrack]:
    """Follow every rib and transverse process of one side.

    Takes about 0.1 CPU seconds for 400 mm of spine.

    Parameters
    ----------
    volume, straight
        The scan, laid straight.
    lowest_mm
        Height along the line above which they are looked for, mm.
    side
        The side.

    Returns
    -------
    tracks
        From feet to head.
    """
    top_mm = len(straight.line_lps_mm) * LINE_STEP_MM + BEYOND_LINE_MM
    heights = np.arange(lowest_mm, top_mm, BESIDE_STEP_MM)
    hu = sample_beside(volume, straight, heights, TRACK_AHEAD_MM, TRACK_BESIDE_MM, side)
    return tracks_beside(hu, heights, side)


def tracks_beside(
    hu: npt.NDArray[np.float32], heights_mm: FloatArray, side: Side
) -> list[RibTrack]:
    """Follow every rib and transverse process through the columns beside the line.

    Parameters
    ----------
    hu
        float32, shape (heights, len(TRACK_AHEAD_MM), len(TRACK_BESIDE_MM)), HU.
    heights_mm
        float64, shape (heights,): along the line.
    side
        The side that ``hu`` shows.

    Returns
    -------
    tracks
        From feet to head.
    """
    smooth = gaussian_smoothed(hu, BESIDE_SMOOTH_MM / BESIDE_STEP_MM)
    prominence = _prominence(smooth)
    tracks: list[RibTrack] = []
    for column in (int(np.abs(TRACK_BESIDE_MM - seed).argmin()) for seed in SEED_MM):
        sheet = prominence[:, :, column]
        top = (sheet == ndimage.maximum_filter(sheet, 5)) & (sheet > 0)
        for height, ahead in np.argwhere(top):
            seed = (float(height), float(ahead))
            if any(_passes(track, column, seed, heights_mm) for track in tracks):
                continue
            places = _followed(prominence, column, seed)
            if len(places) < FEWEST_PLACES:
                continue
            index = np.rint(places).astype(int)
            course = np.stack(
                [
                    heights_mm[0] + places[:, 0] * BESIDE_STEP_MM,
                    TRACK_AHEAD_MM[0] + places[:, 1] * BESIDE_STEP_MM,
                    TRACK_BESIDE_MM[index[:, 2]],
                ],
                axis=1,
            )
            tracks.append(RibTrack(side, course, float(smooth[tuple(index.T)].mean())))
    return sorted(_distinct(tracks), key=lambda track: track.root_mm)


def _prominence(smooth: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """How much denser than its surroundings each place of a column is, HU; 0 where no bone is."""
    size = round(WIDEST_RIB_MM / BESIDE_STEP_MM)
    clipped = np.clip(smooth, *RIB_CLIP_HU)
    above = smooth - ndimage.grey_opening(clipped, size=(size, size, 1))
    return np.where((smooth > RIB_HU) & (above > PROMINENCE_HU), above, 0).astype(np.float32)


def _followed(
    prominence: npt.NDArray[np.float32], column: int, seed: tuple[float, float]
) -> FloatArray:
    """The places of a bone in index units, shape (n, 3), medial first."""
    outwards = _one_way(prominence, [(*seed, float(column))], 1)
    return np.array(_one_way(prominence, outwards[::-1], -1)[::-1])


def _one_way(
    prominence: npt.NDArray[np.float32], places: list[tuple[float, float, float]], step: int
) -> list[tuple[float, float, float]]:
    """The places continued in steps of a column, until the bone ends or leaves the columns."""
    found = list(places)
    column = round(found[-1][2]) + step
    while 0 <= column < prominence.shape[2]:
        gap_mm = (abs(column - found[-1][2]) - 1) * BESIDE_STEP_MM
        if gap_mm > COLUMN_GAP_MM:
            break
        place = _nearest_bone(
            prominence[:, :, column],
            _predicted(found, column),
            COLUMN_MOVE_MM + COLUMN_GAP_MOVE * gap_mm,
        )
        if place is not None:
            found.append((*place, float(column)))
        column += step
    return found


def _predicted(places: Sequence[tuple[float, float, float]], column: int) -> tuple[float, float]:
    """Where a bone should lie in a column, by a straight line through its last places."""
    last = np.array(places[-PREDICTED_FROM:])
    slope = np.array([-FIRST_FALL, 0.0])
    if len(last) >= FEWEST_PLACES:
        beside = last[:, 2] - last[:, 2].mean()
        slope = beside @ last[:, :2] / (beside @ beside)
    step = np.clip(slope, -STEEPEST, STEEPEST) * (column - last[-1, 2])
    return float(last[-1, 0] + step[0]), float(last[-1, 1] + step[1])


def _nearest_bone(
    sheet: npt.NDArray[np.float32], guess: tuple[float, float], reach_mm: float
) -> tuple[float, float] | None:
    """The most prominent place near a guess, refined to the centre of its surroundings."""
    reach = reach_mm / BESIDE_STEP_MM
    low = [max(0, int(np.floor(g - reach))) for g in guess]
    high = [int(np.ceil(g + reach)) + 1 for g in guess]
    window = sheet[low[0] : max(high[0], 0), low[1] : max(high[1], 0)]
    if not window.size or window.max() <= 0:
        return None
    rows = np.arange(window.shape[0])[:, None] + low[0] - guess[0]
    columns = np.arange(window.shape[1])[None, :] + low[1] - guess[1]
    away = np.hypot(rows, columns)
    gain = np.where(
        (window > 0) & (away <= reach),
        window - COLUMN_MOVE_PRICE_HU * BESIDE_STEP_MM * away,
        -np.inf,
    )
    i, j = np.unravel_index(int(gain.argmax()), gain.shape)
    if not np.isfinite(gain[i, j]):
        return None
    near = window[max(0, i - 1) : i + 2, max(0, j - 1) : j + 2]
    ys, xs = np.indices(near.shape)
    return (
        float((near * ys).sum() / near.sum()) + max(0, int(i) - 1) + low[0],
        float((near * xs).sum() / near.sum()) + max(0, int(j) - 1) + low[1],
    )


def _passes(
    track: RibTrack, column: int, seed: tuple[float, float], heights_mm: FloatArray
) -> bool:
    """Whether a track passes close to a place of a column."""
    number = int(np.searchsorted(track.course[:, 2], TRACK_BESIDE_MM[column]))
    if number == len(track.course) or track.course[number, 2] != TRACK_BESIDE_MM[column]:
        return False
    height, ahead, _ = track.course[number]
    return bool(
        abs(height - heights_mm[0] - seed[0] * BESIDE_STEP_MM) < SAME_MM[0]
        and abs(ahead - TRACK_AHEAD_MM[0] - seed[1] * BESIDE_STEP_MM) < SAME_MM[1]
    )


def _distinct(tracks: list[RibTrack]) -> list[RibTrack]:
    """The tracks without those that join a longer one."""
    kept: list[RibTrack] = []
    for track in sorted(tracks, key=lambda track: -len(track.course)):
        if not any(_joins(track, other) for other in kept):
            kept.append(track)
    return kept


def _joins(track: RibTrack, other: RibTrack) -> bool:
    _, own, others = np.intersect1d(track.course[:, 2], other.course[:, 2], return_indices=True)
    apart = np.abs(track.course[own, :2] - other.course[others, :2])
    return bool((apart < SAME_MM).all(axis=1).sum() > len(track.course) / 4)
