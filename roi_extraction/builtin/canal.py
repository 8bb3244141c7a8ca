"""The vertebral canal: a tube of soft tissue that bone encloses, followed through the scan."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roi_extraction.builtin.bone import BONE_RAMP_HU, bone_share
from roi_extraction.enclosure import RAY_MM, enclosed_share
from roi_extraction.errors import SpineNotFound
from roi_extraction.grid import GRID_MM, Grid
from roi_extraction.kernels import box_mean, canal_gain, columns_above

__all__ = ["Canal", "find_canal"]

# All numbers of this module were chosen on the development scans (docs/roi.md).

SOFT_HU = (-40.0, 110.0)
"""Local mean HU of the canal's content: fat, dura and cord, with noise."""

ARCH_BONE_HU = (100.0, 150.0)
"""Thresholds of the canal's bony wall, HU; the lower one serves osteoporotic arches."""

MIDLINE_STRIP_MM = 30.0
"""Half width of the strip around the body's mid-line in which the canal is sought, mm, beyond
the part within which no penalty is due."""

FREE_MIDLINE_MM = 20.0
"""Distance from the body's mid-line without penalty, mm."""

BODY_BOX_MM = (18.0, 16.0, 20.0)
"""Box in the body in front of the canal whose share of bone counts: (z, y, x), mm."""

BODY_BOX_AHEAD_MM = 24.0
"""Distance from the canal's centre forward to the centre of that box, mm."""

BODY_BONE_SHARE = 0.6
"""Share of bone in that box that counts in full."""

POOLED_MM = 26.0
"""Length along z over which enclosure is averaged, mm: arches leave gaps between them."""

ENCLOSURE_WEIGHT = 0.45
"""Weight in the score of the share of rays that meet bone in the slice itself."""

POOLED_WEIGHT = 0.35
"""Weight in the score of that share averaged over `POOLED_MM`."""

BODY_WEIGHT = 0.2
"""Weight in the score of the body in front."""

NOT_SOFT_FACTOR = 0.5
"""Factor on the score of a voxel that is no soft tissue."""

OWN_WEIGHT, AROUND_WEIGHT = 0.7, 0.3
"""Weights of a voxel's own score and of the mean score of the 5 by 5 voxels around it."""

SCORE_BLUR_VOXELS = 5
"""Side of the square in the slice over which a voxel's surroundings are averaged."""

TRUNK_HU = -200.0
"""Above it a voxel, smoothed, belongs to the trunk and not to the air around it, HU."""

TRUNK_COLUMN_SHARE = 0.3
"""A column belongs to the trunk that holds this share of the fullest column's tissue."""

FEWEST_TRUNK_COLUMNS = 10
"""A slice with fewer columns of trunk does not tell the mid-line."""

MIDLINE_SLICES = 31
"""Number of slices over which the median of the mid-line is taken."""

STEP_COST = 0.08
"""Price of each slice, in units of squared score: the path ends where the score is below it."""

GAP_SCORE = 0.15
"""Scores below this are no canal at all: such slices end the path unless they are few."""

GAP_COST = 3.0
"""Additional price of such a slice."""

CANAL_MOVE_COST = (0.004, 0.03)
"""Price of a squared grid step backwards or forwards, and sideways, from slice to slice."""

CANAL_MOVE_VOXELS = (3, 1)
"""Most grid steps backwards or forwards, and sideways, from slice to slice."""

CERTAIN_SCORE = 0.7
"""Score above which a point surely lies in the canal."""

MIN_CANAL_MM = 60.0
"""Shortest canal that is believed, mm: two lumbar segments."""

MIN_MEAN_SCORE = 0.5
"""Lowest mean score of a canal that is believed."""


@dataclass(frozen=True, eq=False)
class Canal:
    """The canal's centre line.

    Parameters
    ----------
    centre_lps_mm
        float64, shape (n, 3): from feet to head, one point a grid slice, LPS mm.
    score
        float32, shape (n,): 0 to 1, how canal-like each point is.
    """

    centre_lps_mm: npt.NDArray[np.float64]
    score: npt.NDArray[np.float32]


def find_canal(grid: Grid) -> Canal:
    """Follow the canal from feet to head.

    Raises
    ------
    SpineNotFound
        No path is long and canal-like enough.
    """
    midline = _midline_columns(grid.hu)
    reach = round((FREE_MIDLINE_MM + MIDLINE_STRIP_MM + RAY_MM[1]) / GRID_MM)
    centre = round(float(np.median(midline)))
    left, right = max(0, centre - reach), min(grid.hu.shape[2], centre + reach + 1)
    hu = grid.hu[:, :, left:right]
    front, back = _rows_with_tissue(hu)
    hu = hu[:, front:back]
    score = canal_score(hu)
    path, values = _best_path(score - _off_midline(midline - left, score.shape))
    certain = path[values > CERTAIN_SCORE]
    if len(certain) * GRID_MM > MIN_CANAL_MM:
        # a leaning spine leaves the trunk's mid-line: follow its own line instead
        slope, start = np.polyfit(certain[:, 0], certain[:, 2], 1)
        own = start + slope * np.arange(len(score))
        path, values = _best_path(score - _off_midline(own, score.shape))
    length = (len(path) - 1) * GRID_MM
    if length < MIN_CANAL_MM or float(values.mean()) < MIN_MEAN_SCORE:
        raise SpineNotFound(
            f"no vertebral canal could be followed (best candidate: {max(length, 0):.0f} mm long, "
            f"score {float(values.mean()) if len(values) else 0:.2f})"
        )
    index = path.astype(np.float64) + np.array([0, front, left])
    return Canal(grid.to_lps(index), values)


def canal_score(hu: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """How canal-like each voxel is.

    Parameters
    ----------
    hu
        float32, shape (z, y, x): HU on the coarse grid.

    Returns
    -------
    score
        float32, the same shape, 0 to 1.
    """
    local = box_mean(hu, (1, 3, 3))
    other = (local <= SOFT_HU[0]) | (local >= SOFT_HU[1])
    # arches are thin: look for them in the brighter of two neighbouring slices' blur
    local = box_mean(hu, (1, 2, 2))
    walls = [local > threshold for threshold in ARCH_BONE_HU]
    del local
    enclosure = enclosed_share(walls)
    del walls
    np.multiply(enclosure, 0, out=enclosure, where=other)
    pooled = ndimage.uniform_filter1d(enclosure, round(POOLED_MM / GRID_MM), axis=0)
    score = np.multiply(enclosure, ENCLOSURE_WEIGHT, out=enclosure)
    pooled *= POOLED_WEIGHT
    score += pooled
    del pooled
    box_voxels = tuple(round(mm / GRID_MM) for mm in BODY_BOX_MM)
    box = box_mean(bone_share(hu), box_voxels)
    shift = round(BODY_BOX_AHEAD_MM / GRID_MM)
    box /= BODY_BONE_SHARE
    body = np.minimum(np.maximum(box, 0, out=box), 1, out=box)
    body *= BODY_WEIGHT
    score[:, shift:] += body[:, :-shift]
    del box, body
    np.multiply(score, NOT_SOFT_FACTOR, out=score, where=other)
    # the middle of the canal scores like its rim: blur within the slice to prefer the middle
    centred = box_mean(score, (1, SCORE_BLUR_VOXELS, SCORE_BLUR_VOXELS))
    score *= OWN_WEIGHT
    centred *= AROUND_WEIGHT
    score += centred
    return score


def _rows_with_tissue(hu: npt.NDArray[np.float32]) -> tuple[int, int]:
    """The rows from where on, and up to where, a score may be above zero."""
    tissue = np.flatnonzero((hu > BONE_RAMP_HU[0]).any(axis=(0, 2)))
    if not tissue.size:
        return 0, hu.shape[1]
    box_mm, wall_mm = BODY_BOX_AHEAD_MM + BODY_BOX_MM[1], RAY_MM[1]
    spare = round((max(box_mm, wall_mm)) / GRID_MM) + SCORE_BLUR_VOXELS
    return max(0, int(tissue[0]) - spare), min(hu.shape[1], int(tissue[-1]) + spare + 1)


def _off_midline(
    midline: npt.NDArray[np.float64], shape: tuple[int, ...]
) -> npt.NDArray[np.float32]:
    """Price of each voxel's distance from a line of columns, shape (z, 1, x)."""
    away = np.abs(np.arange(shape[2])[None] - midline[:, None]) * GRID_MM - FREE_MIDLINE_MM
    price = np.clip(away, 0, None) / MIDLINE_STRIP_MM
    return np.asarray(price[:, None, :], dtype=np.float32)


def _midline_columns(hu: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The column halfway between the trunk's flanks in each slice, smoothed."""
    per_column = [columns_above(plane, TRUNK_HU) for plane in hu]
    middle = np.full(hu.shape[0], (hu.shape[2] - 1) / 2)
    for z, counts in enumerate(per_column):
        inside = np.flatnonzero(counts > TRUNK_COLUMN_SHARE * max(1, counts.max()))
        if len(inside) > FEWEST_TRUNK_COLUMNS:
            middle[z] = (inside[0] + inside[-1]) / 2
    return np.full(hu.shape[0], np.median(middle)) * 0.5 + 0.5 * ndimage.median_filter(
        middle, min(MIDLINE_SLICES, len(middle)), mode="nearest"
    )


def _best_path(
    score: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The connected path of highest summed gain; it starts and ends where the score dies."""
    _, rows, columns = score.shape
    far, wide = CANAL_MOVE_VOXELS
    padding = ((0, 0), (far, far), (wide, wide))
    padded = np.pad(score, padding, constant_values=-1e9)
    gain = padded[:, far : far + rows, wide : wide + columns]
    np.square(np.maximum(gain, 0, out=gain), out=gain)
    gain -= STEP_COST
    np.subtract(gain, GAP_COST, out=gain, where=score < GAP_SCORE)
    moves = [(dy, dx) for dy in range(-far, far + 1) for dx in range(-wide, wide + 1)]
    price = {
        (dy, dx): CANAL_MOVE_COST[0] * dy * dy + CANAL_MOVE_COST[1] * dx * dx for dy, dx in moves
    }
    moves.sort(key=lambda m: price[m])
    prices = np.array([price[move] for move in moves], np.float32)
    total = canal_gain(padded, np.array(moves), prices)
    inner = total[:, far : far + rows, wide : wide + columns]
    z, y, x = (int(place) for place in np.unravel_index(int(inner.argmax()), inner.shape))
    path: list[tuple[int, int, int]] = [(z, y, x)]
    while z > 0:
        came = [total[z - 1, y + far + dy, x + wide + dx] - price[dy, dx] for dy, dx in moves]
        best = int(np.argmax(came))
        if came[best] <= 0:
            break
        z, y, x = z - 1, y + moves[best][0], x + moves[best][1]
        path.append((z, y, x))
    points = np.array(path[::-1])
    return points, score[points[:, 0], points[:, 1], points[:, 2]]
