"""How far bone encloses each place of the coarse grid, as an arch encloses the canal."""

from functools import cache

import numpy as np
import numpy.typing as npt

from roi_extraction.grid import GRID_MM

__all__ = ["RAY_MM", "enclosed_share"]

# All numbers of this module were chosen on the development scans (docs/roi.md).

CANAL_RAYS = 24
"""In-plane directions in which the wall is looked for."""

PLANE_PITCH_DEG = (0.0, 35.0)
"""Planes of the rays, degrees that the back is higher than the front: the second is across the
sacral canal."""

RAY_MM = (4.0, 18.0)
"""Nearest and farthest distance of the wall from the canal's centre, mm."""


def enclosed_share(bone: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """The share of rays from each voxel that meet bone at `RAY_MM`, in the better plane.

    Eight slices are looked at together, as the bits of a byte.

    Parameters
    ----------
    bone
        bool, shape (z, y, x): the canal's possible walls on the coarse grid.

    Returns
    -------
    share
        float32, the same shape, 0 to 1; 0 in bone and beside it.
    """
    distances = np.arange(RAY_MM[0], RAY_MM[1] + 0.1, GRID_MM) / GRID_MM
    reach = int(np.ceil(distances[-1]))
    padded = np.pad(bone, reach)
    slices, rows, columns = bone.shape
    packed = _packed(padded)
    layers = -(-slices // 8)

    @cache
    def from_slice(first: int) -> npt.NDArray[np.uint8]:
        layer, bit = divmod(first, 8)
        low = packed[layer : layer + layers] >> np.uint8(bit)
        return low | packed[layer + 1 : layer + 1 + layers] << np.uint8(8 - bit)

    def shifted(dz: int, dy: int, dx: int) -> npt.NDArray[np.uint8]:
        y, x = reach + dy, reach + dx
        return from_slice(reach + dz)[:, y : y + rows, x : x + columns]

    best = np.zeros(bone.shape, np.uint8)
    for pitch in np.tan(np.deg2rad(PLANE_PITCH_DEG)):
        hits = []
        for angle in np.arange(CANAL_RAYS) * 2 * np.pi / CANAL_RAYS:
            steps = {(round(d * np.sin(angle)), round(d * np.cos(angle))) for d in distances}
            hit = np.zeros_like(shifted(0, 0, 0))
            for dy, dx in steps:
                hit |= shifted(round(dy * pitch), dy, dx)
            hits.append(hit)
        np.maximum(best, _count_of_bits(hits, slices), out=best)
    beside = np.zeros_like(shifted(0, 0, 0))
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            beside |= shifted(0, dy, dx)
    best[_count_of_bits([beside], slices) > 0] = 0
    return np.asarray(np.arange(CANAL_RAYS + 1) / CANAL_RAYS, dtype=np.float32)[best]


def _packed(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """A mask with every eight slices as the bits of a byte, and an empty layer of them behind."""
    slices, rows, columns = mask.shape
    packed = np.zeros((-(-slices // 8) + 1, rows, columns), np.uint8)
    for bit in range(min(8, slices)):
        layer = mask[bit::8].view(np.uint8)
        packed[: len(layer)] |= layer << np.uint8(bit)
    return packed


def _count_of_bits(bits: list[npt.NDArray[np.uint8]], slices: int) -> npt.NDArray[np.uint8]:
    """In how many of the arrays, eight slices a byte, each bit is set: shape (slices, y, x)."""
    digits: list[npt.NDArray[np.uint8]] = []
    for carry in bits:
        for place, digit in enumerate(digits):
            digits[place], carry = digit ^ carry, digit & carry
        if len(digits) < len(bits).bit_length():
            digits.append(carry)
    count = np.zeros((slices, *bits[0].shape[1:]), np.uint8)
    for bit in range(min(8, slices)):
        layer = count[bit::8]
        for place, digit in enumerate(digits):
            layer += ((digit[: len(layer)] >> np.uint8(bit)) & np.uint8(1)) << np.uint8(place)
    return count
