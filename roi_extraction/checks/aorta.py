"""The HU of blood in the abdominal aorta: whether iodine is in it, seen from the image alone."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from roi_extraction.anatomy import SpineLandmarks
from roi_extraction.checks.body_line import centres_and_forward
from roi_extraction.grid import OUTSIDE_HU, sample_planes
from roi_extraction.kernels import darker_ring, disc_means, gaussian_smoothed
from roi_extraction.sites import Level
from roi_extraction.volume import CtVolume

__all__ = ["ENHANCED_BLOOD_HU", "Aorta", "AortaNotFound", "find_aorta"]

ENHANCED_BLOOD_HU = 80.0
"""Blood above it holds iodine, HU: without, the descending aorta's middle half lies at 29-45 HU, in
people without anaemia at 39-50 (325 unenhanced chest CT, doi 10.21203/rs.3.rs-1420003/v1), and
even at the highest haematocrits stays below; in the portal venous phase it has 100-180."""

AORTA_LEVELS = (Level.L1, Level.L2, Level.L3, Level.L4)
"""Bodies in front of which the aorta is followed; it divides at L4."""

AORTA_STEP_MM = 3.0
"""Distance of the planes in which it is sought, mm."""

BEYOND_BODIES_MM = 12.0
"""How far above and below the outer bodies' centres it is sought, mm."""

CENTRE_FORWARD_MM = np.arange(22.0, 56.0)
CENTRE_LATERAL_MM = np.arange(-7.0, 33.0)
"""Where the aorta's centre may lie, mm forward and to the left of the body's centre; the inferior
vena cava lies to the right of it."""

MARGIN_MM = 22
"""Extent of the image around these places, mm: the largest radius and what lies behind the wall."""

USUAL_MM = (33.0, 10.0)
"""The aorta's usual place, mm forward and left (9-13 left, 32-36 forward on a labelled scan)."""

PULL_MM = 60.0
"""Distance from there at which a place loses as much as a perfect fit gains, mm."""

RADII_MM = np.array([6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.5, 14.0, 16.0])
"""Radii, mm: from a slim woman's to an ectatic aorta's; an aneurysm may be missed."""

CORE_MM = 2.5
"""The outermost part of the lumen that is not read, mm: wall, plaque and partial volume."""

AORTA_RAYS = 24
BEYOND_WALL_MM = (2.5, 5.0)
"""Directions in which, and the distances behind the wall at which, fat is looked for; plaque in the
wall hides the nearer one."""

EDGE_HU = (15.0, 60.0)
"""How much darker than blood the outside must be to count as an edge at all, and wholly."""

AORTA_SMOOTH_MM = 1.2
"""Gaussian sigma in plane, mm: noise must not pass for a lack of homogeneity."""

LUMEN_SD_HU = (12.0, 45.0)
"""SD inside the smoothed lumen up to which it counts as homogeneous, and from which not at all."""

BLOOD_HU = (5.0, 700.0)
"""Means that a lumen may have, HU."""

CLIPPED_HU = (-200.0, 1000.0)
"""HU are clipped to this before the lumen's SD is taken."""

AORTA_MOVE_MM = 3
"""Most that the aorta moves sideways from one plane to the next, mm."""

AORTA_MOVE_COST = 0.01
"""What a move costs per square millimetre, in units of a perfect fit."""

MIN_SCORE = 0.35
"""Least share of a plane's ring and lumen that must fit."""

MIN_AORTA_MM = 36.0
"""Least length over which it must fit, mm: longer than bowel that crosses it."""

MIN_AORTA_SHARE = 0.65
"""Least share of the planes in which it must fit."""

MAX_SPREAD_HU = 40.0
"""Largest distance of the quartiles of the planes' HU."""

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Aorta:
    """The abdominal aorta in front of the spine.

    Parameters
    ----------
    mean_hu
        HU of the blood: the median over the planes of the median within the lumen's core.
    length_mm
        Length over which the aorta was seen, mm.
    """

    mean_hu: float
    length_mm: float

    @property
    def enhanced(self) -> bool:
        """Whether there is iodine in it."""
        return self.mean_hu > ENHANCED_BLOOD_HU


@dataclass(frozen=True)
class AortaNotFound:
    """Why blood could not be measured."""

    reason: str


def find_aorta(volume: CtVolume, spine: SpineLandmarks) -> Aorta | AortaNotFound:
    """Follow the aorta in front of the lumbar bodies and measure its blood.

    A round, homogeneous region of the right size, darker tissue round it, is sought in planes
    every 3 mm and joined to one tube by dynamic programming.

    Parameters
    ----------
    volume
        The scan.
    spine
        Its landmarks, found by any segmenter.

    Returns
    -------
    Aorta or AortaNotFound
        The blood's HU, or why it could not be measured.
    """
    planes = _planes(volume, spine)
    if planes is None:
        return AortaNotFound("fewer than two of L1 to L4 are in the scan")
    hu = gaussian_smoothed(planes, (0.0, AORTA_SMOOTH_MM, AORTA_SMOOTH_MM))
    score, number = _fit(hu)
    path = _path(score)
    index = np.arange(len(path))
    fits = score[index, path[:, 0], path[:, 1]] >= MIN_SCORE
    length = float(fits.sum()) * AORTA_STEP_MM
    if length < MIN_AORTA_MM or fits.mean() < MIN_AORTA_SHARE:
        return AortaNotFound(
            f"no vessel was followed in front of the spine (best fit: {length:.0f} mm)"
        )
    radii = RADII_MM[number[index, path[:, 0], path[:, 1]]][fits]
    values = [
        _core_hu(planes[k], path[k] + MARGIN_MM, radius)
        for k, radius in zip(index[fits], radii, strict=True)
    ]
    low, high = np.percentile(values, (25, 75))
    if high - low > MAX_SPREAD_HU:
        return AortaNotFound(f"HU in front of the spine vary from {low:.0f} to {high:.0f}")
    return Aorta(float(np.median(values)), length)


def _planes(volume: CtVolume, spine: SpineLandmarks) -> npt.NDArray[np.float32] | None:
    """HU, float32, shape (planes, forward, lateral), from feet to head."""
    found = centres_and_forward(spine, AORTA_LEVELS)
    if found is None:
        return None
    centres, forward = found
    left = np.array([-forward[1], forward[0], 0.0])
    z = np.arange(
        centres[0, 2] - BEYOND_BODIES_MM, centres[-1, 2] + BEYOND_BODIES_MM, AORTA_STEP_MM
    )
    middle = np.stack([_along(z, centres[:, 2], centres[:, k]) for k in (0, 1)], axis=1)
    ahead, aside = (
        np.arange(places[0] - MARGIN_MM, places[-1] + MARGIN_MM + 1)
        for places in (CENTRE_FORWARD_MM, CENTRE_LATERAL_MM)
    )
    axes = [np.tile(direction, (len(z), 1)) for direction in (forward, left)]
    total = np.zeros((len(z), len(ahead), len(aside)), np.float32)
    thirds = (-AORTA_STEP_MM / 3, 0.0, AORTA_STEP_MM / 3)
    for offset in thirds:
        origins = np.column_stack([middle, z + offset])
        total += sample_planes(volume, origins, (ahead, axes[0]), (aside, axes[1]))
    return np.asarray(total / np.float32(len(thirds)), dtype=np.float32)


def _along(z: FloatArray, known_z: FloatArray, known: FloatArray) -> FloatArray:
    """Linear through the bodies' centres, and on beyond the outer ones."""
    inner = np.interp(z, known_z, known)
    for end, two in ((0, slice(0, 2)), (-1, slice(-2, None))):
        slope = float(np.diff(known[two])[0] / np.diff(known_z[two])[0])
        outer = z < known_z[0] if end == 0 else z > known_z[-1]
        inner[outer] = known[end] + slope * (z[outer] - known_z[end])
    return np.asarray(inner, dtype=np.float64)


def _core_hu(
    plane: npt.NDArray[np.float32], centre: npt.NDArray[np.intp], radius_mm: float
) -> float:
    """Median of the lumen without its rim."""
    rows, columns = np.ogrid[: plane.shape[0], : plane.shape[1]]
    inside = np.hypot(rows - centre[0], columns - centre[1]) <= radius_mm - CORE_MM
    return float(np.median(plane[inside]))


def _fit(hu: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
    """How well a lumen fits at each centre, 0 to 1, and the number of the best radius.

    Centres whose surroundings leave the scan do not fit.
    """
    rows, columns = len(CENTRE_FORWARD_MM), len(CENTRE_LATERAL_MM)
    middle = hu[:, MARGIN_MM : MARGIN_MM + rows, MARGIN_MM : MARGIN_MM + columns]
    seen = middle > OUTSIDE_HU + 1
    best = np.zeros(seen.shape, np.float32)
    number = np.zeros(seen.shape, np.intp)
    for which, radius in enumerate(RADII_MM):
        mean, sd = _lumen(hu, radius - CORE_MM)
        ring = np.array([
            [_first_seen(radius + outside, angle) for outside in BEYOND_WALL_MM]
            for angle in np.arange(AORTA_RAYS) * 2 * np.pi / AORTA_RAYS
        ])  # fmt: skip
        edge, around = darker_ring(hu, mean, ring, EDGE_HU, OUTSIDE_HU + 1)
        seen &= around
        even = np.clip((LUMEN_SD_HU[1] - sd) / (LUMEN_SD_HU[1] - LUMEN_SD_HU[0]), 0, 1)
        fit = even * edge / AORTA_RAYS
        fit[(mean < BLOOD_HU[0]) | (mean > BLOOD_HU[1]) | ~seen] = 0
        better = fit > best
        best[better], number[better] = fit[better], which
    return best, number


def _first_seen(reach_mm: float, angle: float) -> tuple[int, int]:
    """Row and column of what lies ``reach_mm`` from the first possible centre in one direction."""
    row = MARGIN_MM + round(reach_mm * np.sin(angle))
    return row, MARGIN_MM + round(reach_mm * np.cos(angle))


def _lumen(
    hu: npt.NDArray[np.float32], radius_mm: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Mean and SD within a disc round each possible centre."""
    reach = int(radius_mm)
    across = np.arange(-reach, reach + 1)
    half_widths = (np.hypot(across[:, None], across[None]) <= radius_mm).sum(axis=1) // 2
    kept = slice(MARGIN_MM - reach, -(MARGIN_MM - reach))
    near = np.clip(hu[:, kept, kept], *CLIPPED_HU)
    mean, square = disc_means(near, half_widths)
    sd = np.sqrt(np.maximum(square - mean**2, 0))
    return mean.astype(np.float32), sd.astype(np.float32)


def _path(score: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    """(row, column) in each plane of the tube that fits best, shape (planes, 2)."""
    away = np.hypot(
        (CENTRE_FORWARD_MM[:, None] - USUAL_MM[0]) / PULL_MM,
        (CENTRE_LATERAL_MM[None, :] - USUAL_MM[1]) / PULL_MM,
    )
    gain = score - away**2
    moves = [
        (row, column)
        for row in range(-AORTA_MOVE_MM, AORTA_MOVE_MM + 1)
        for column in range(-AORTA_MOVE_MM, AORTA_MOVE_MM + 1)
    ]
    costs = np.array([AORTA_MOVE_COST * (row**2 + column**2) for row, column in moves])
    total = gain[0]
    came = np.zeros(score.shape, np.intp)
    size = total.shape
    for k in range(1, len(gain)):
        padded = np.pad(total, AORTA_MOVE_MM, constant_values=-np.inf)
        options = np.stack([
            padded[AORTA_MOVE_MM + row : AORTA_MOVE_MM + row + size[0],
                   AORTA_MOVE_MM + column : AORTA_MOVE_MM + column + size[1]] - cost
            for (row, column), cost in zip(moves, costs, strict=True)
        ])  # fmt: skip
        came[k] = options.argmax(axis=0)
        total = options.max(axis=0) + gain[k]
    row, column = np.unravel_index(int(total.argmax()), size)
    path = [(int(row), int(column))]
    for k in range(len(gain) - 1, 0, -1):
        down, across = moves[came[k][path[-1]]]
        path.append((path[-1][0] + down, path[-1][1] + across))
    return np.array(path[::-1], dtype=np.intp)
