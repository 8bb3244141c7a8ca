"""The spine laid straight: planes across the line of the vertebral bodies."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roi_extraction.builtin.canal import Canal
from roi_extraction.grid import GRID_MM, OUTSIDE_HU, Grid, sample_hu, sample_planes
from roi_extraction.kernels import interpolate_planes, mirror_likeness
from roi_extraction.sites import Side
from roi_extraction.volume import CtVolume

__all__ = [
    "BESIDE_SMOOTH_MM",
    "BESIDE_STEP_MM",
    "BODY_FORWARD_MM",
    "LINE_STEP_MM",
    "PLANE_AHEAD_MM",
    "PLANE_SIDE_MM",
    "StraightSpine",
    "sample_beside",
    "straighten",
]

# All numbers of this module were chosen on the development scans (docs/roi.md).

BODY_FORWARD_MM = 22.0
"""Distance from the canal's centre forward to the line of the bodies, mm."""

CANAL_SMOOTH_MM = 10.0
"""Standard deviation of the smoothing of the canal's centre line, mm."""

LINE_SMOOTH_MM = 20.0
"""Standard deviation of the smoothing of the bodies' line, mm."""

LINE_STEP_MM = 1.0
"""Distance of the planes along the line, mm."""

END_MM = 8.0
"""A canal that ends within this distance of the scan's end reaches it, mm."""

PLANE_AHEAD_MM = np.arange(-60.0, 30.1, 2.0)
"""Sample positions within a plane, forward of the line, mm."""

PLANE_SIDE_MM = np.arange(-76.0, 76.1, 2.0)
"""Sample positions within a plane, to the patient's left of the line, mm."""

BESIDE_STEP_MM = 2.0
"""Step of the grids on which ribs and ilium are followed beside the spine, mm."""

BESIDE_SMOOTH_MM = 1.6
"""Standard deviation of the smoothing against noise on these grids, mm."""

SYMMETRY_ROUNDS = 2
"""How often roll and line are estimated from each other."""

ROLL_DEG = np.arange(-20.0, 20.1, 4.0)
"""Angles by which the patient may be rolled about the line, degrees."""

SHIFT_MM = np.arange(-10.0, 10.1, 2.0)
"""Sideways errors of the canal's line that mirror symmetry may correct, mm."""

SYMMETRY_PLANES = (4, 8)
"""First plane, and number of planes from one to the next, in which symmetry is looked at."""

SYMMETRY_AHEAD_MM = np.arange(-44.0, 24.1, 4.0)
"""Sample positions of symmetry, forward of the line, mm."""

SYMMETRY_SIDE_MM = np.arange(-50.0, 50.1, 2.0)
"""Sample positions of symmetry to the left of the line, mm: as far apart as the shifts of
`SHIFT_MM`, so that each shift is a whole number of positions."""

SYMMETRY_CLIP_HU = (-150.0, 300.0)
"""HU are clipped to this before halves are compared: gas and contrast agent must not dominate."""

SYMMETRY_SMOOTH = (3.0, 2.0)
"""Gaussian sigma, in looked-at planes, with which likeness and then the shift are smoothed."""

SHIFT_PRICE = 0.0005
"""Price of a squared mm of shift, in units of correlation."""

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StraightSpine:
    """Planes across the bodies' line from feet to head, `LINE_STEP_MM` apart.

    Parameters
    ----------
    line_lps_mm
        float64, shape (n, 3): the origin of each plane, LPS mm.
    along, ahead, side
        float64, shape (n, 3): unit vectors towards the head, forward, and to the patient's left.
    hu
        float32, shape (n, len(PLANE_AHEAD_MM), len(PLANE_SIDE_MM)), HU.
    canal_lps_mm
        float64, shape (n, 3): the canal's centre in each plane, LPS mm.
    canal_score
        float64, shape (n,), 0 to 1.
    reaches_bottom
        Whether the canal was followed to the scan's lower end.
    """

    line_lps_mm: FloatArray
    along: FloatArray
    ahead: FloatArray
    side: FloatArray
    hu: npt.NDArray[np.float32]
    canal_lps_mm: FloatArray
    canal_score: FloatArray
    reaches_bottom: bool

    def to_lps(self, s_mm: float, ahead_mm: float, side_mm: float) -> FloatArray:
        """LPS mm, shape (3,), of a point given along the line (mm from its start) and in-plane."""
        place = min(max(s_mm / LINE_STEP_MM, 0.0), len(self.line_lps_mm) - 1.0)
        low = min(int(place), len(self.line_lps_mm) - 2)
        part = place - low

        def between(rows: FloatArray) -> FloatArray:
            return (1 - part) * rows[low] + part * rows[low + 1]

        beyond = s_mm - place * LINE_STEP_MM
        return (
            between(self.line_lps_mm)
            + beyond * between(self.along)
            + ahead_mm * between(self.ahead)
            + side_mm * between(self.side)
        )


def straighten(volume: CtVolume, grid: Grid, canal: Canal) -> StraightSpine:
    """Lay the spine straight along the line of its bodies."""
    curve = _smooth(canal.centre_lps_mm, CANAL_SMOOTH_MM / GRID_MM)
    roll, line, along_canal = 0.0, curve, np.zeros(0)
    for _ in range(SYMMETRY_ROUNDS):
        # which way is forward depends on the roll, and the roll is seen around the line
        _, forward, _ = _frames(curve, roll)
        line = _smooth(curve + BODY_FORWARD_MM * forward, LINE_SMOOTH_MM / GRID_MM)
        line, along_canal = _even(line)
        roll, shift = _symmetry(grid, line)
    order = np.arange(len(curve))
    curve = np.stack([np.interp(along_canal, order, curve[:, k]) for k in range(3)], axis=1)
    score = np.interp(along_canal, order, canal.score)
    _, _, side = _frames(line, roll)
    line, curve = line + shift[:, None] * side, curve + shift[:, None] * side
    along, forward, side = _frames(line, roll)
    lowest = curve[0] - END_MM * along[0]
    reaches = bool(sample_hu(volume, lowest[None])[0] <= OUTSIDE_HU + 1)
    hu = sample_planes(volume, line, (PLANE_AHEAD_MM, forward), (PLANE_SIDE_MM, side))
    return StraightSpine(line, along, forward, side, hu, curve, score, reaches)


def _frames(line: FloatArray, roll_deg: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Unit vectors along the line, forward and to the left, each of shape (n, 3)."""
    along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    roll = np.deg2rad(roll_deg)
    left = np.array([np.cos(roll), np.sin(roll), 0.0])
    side = left - (along @ left)[:, None] * along
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    return along, np.cross(side, along), side


def sample_beside(
    volume: CtVolume,
    straight: StraightSpine,
    heights_mm: FloatArray,
    ahead_mm: FloatArray,
    beside_mm: FloatArray,
    side: Side,
) -> npt.NDArray[np.float32]:
    """HU on a grid of one side, shape (heights, ahead, beside), also beyond the line's ends.

    Parameters
    ----------
    heights_mm, ahead_mm, beside_mm
        Places along the line, forward of it and lateral of it, mm.
    """
    plane = np.clip(np.rint(heights_mm / LINE_STEP_MM).astype(int), 0, len(straight.along) - 1)
    line = np.array([straight.to_lps(float(height), 0.0, 0.0) for height in heights_mm])
    sign = 1.0 if side is Side.LEFT else -1.0
    ahead, beside = straight.ahead[plane], straight.side[plane]
    return sample_planes(volume, line, (ahead_mm, ahead), (sign * beside_mm, beside))


def _smooth(curve: FloatArray, sigma: float) -> FloatArray:
    """Gaussian smoothing that neither shortens a curve nor bends its ends."""
    pad = min(len(curve) - 1, int(np.ceil(3 * sigma)))
    before = 2 * curve[0] - curve[pad:0:-1]
    after = 2 * curve[-1] - curve[-2 : -pad - 2 : -1]
    padded = np.concatenate([before, curve, after])
    smooth = ndimage.gaussian_filter1d(padded, sigma, axis=0, mode="nearest")
    return np.asarray(smooth[pad : pad + len(curve)])


def _even(line: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Points `LINE_STEP_MM` apart on the line, and the fractional row of ``line`` of each."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    wanted = np.arange(0.0, length[-1], LINE_STEP_MM)
    rows = np.interp(wanted, length, np.arange(len(line)))
    even = np.stack([np.interp(wanted, length, line[:, k]) for k in range(3)], axis=1)
    return even, rows


def _symmetry(grid: Grid, line: FloatArray) -> tuple[float, FloatArray]:
    """The roll (degrees) and the sideways shift of each point (mm) that make the halves alike."""
    first, every = SYMMETRY_PLANES
    picked = np.arange(first, len(line), every)
    ahead, side = SYMMETRY_AHEAD_MM, SYMMETRY_SIDE_MM
    step_mm = float(side[1] - side[0])
    spare = round(float(SHIFT_MM[-1]) / step_mm)
    firsts = spare + np.rint(SHIFT_MM / step_mm).astype(np.int64)
    likeness = np.zeros((len(ROLL_DEG), len(SHIFT_MM), len(picked)))
    for number, roll in enumerate(ROLL_DEG):
        _, forward, left = (rows[picked] for rows in _frames(line, float(roll)))
        starts, down, across = (
            (part / GRID_MM)[:, ::-1] for part in (line[picked] - grid.origin_lps_mm, forward, left)
        )
        planes = interpolate_planes(grid.hu, starts, (ahead, down), (side, across), OUTSIDE_HU)
        np.clip(planes, *SYMMETRY_CLIP_HU, out=planes)
        likeness[number] = mirror_likeness(planes, firsts, planes.shape[2] - 2 * spare)
    pooled = ndimage.gaussian_filter1d(likeness, SYMMETRY_SMOOTH[0], axis=2, mode="nearest")
    by_roll = pooled.max(axis=1).mean(axis=1)
    roll = _peak(ROLL_DEG, by_roll)
    nearest = int(np.abs(ROLL_DEG - roll).argmin())
    price = SHIFT_PRICE * SHIFT_MM**2
    at_best = np.array([_peak(SHIFT_MM, column - price) for column in pooled[nearest].T])
    at_best = ndimage.gaussian_filter1d(at_best, SYMMETRY_SMOOTH[1], mode="nearest")
    return roll, np.interp(np.arange(len(line)), picked, at_best)


def _peak(places: FloatArray, values: FloatArray) -> float:
    """The place of the highest value, refined by a parabola through its neighbours."""
    top = int(values.argmax())
    if top in (0, len(values) - 1):
        return float(places[top])
    low, mid, high = values[top - 1 : top + 2]
    bend = low - 2 * mid + high
    part = 0.5 * (low - high) / bend if bend < 0 else 0.0
    return float(places[top] + part * (places[1] - places[0]))
