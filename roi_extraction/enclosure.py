"""How far bone encloses each place of the coarse grid, as an arch encloses the canal."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from roi_extraction.grid import GRID_MM
from roi_extraction.kernels import enclosed_rays

__all__ = ["RAY_MM", "enclosed_share"]

# All numbers of this module were chosen on the development scans (docs/roi.md).

CANAL_RAYS = 24
"""In-plane directions in which the wall is looked for."""

PLANE_PITCH_DEG = (0.0, 35.0)
"""Planes of the rays, degrees that the back is higher than the front: the second is across the
sacral canal."""

RAY_MM = (4.0, 18.0)
"""Nearest and farthest distance of the wall from the canal's centre, mm."""


def enclosed_share(walls: Sequence[npt.NDArray[np.bool_]]) -> npt.NDArray[np.float32]:
    """The share of rays from each voxel that meet bone at `RAY_MM`, in the better plane.

    Eight slices are looked at together, as the bits of a byte.

    Parameters
    ----------
    walls
        bool, shape (z, y, x) each: the canal's possible walls on the coarse grid, by one threshold
        of bone or several.

    Returns
    -------
    share
        float32, the same shape, 0 to 1, by the wall that gives most; 0 in bone and beside it.
    """
    met = np.maximum.reduce([_rays_met(bone) for bone in walls])
    return np.asarray(np.arange(CANAL_RAYS + 1) / CANAL_RAYS, dtype=np.float32)[met]


def _rays_met(bone: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """How many rays meet bone, in the better plane."""
    distances = np.arange(RAY_MM[0], RAY_MM[1] + 0.1, GRID_MM) / GRID_MM
    reach = int(np.ceil(distances[-1]))
    padded = np.pad(bone, reach)
    slices = len(bone)
    packed = _packed(padded)
    layers = -(-slices // 8)

    def met(rays: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        lowest, highest = int(rays[..., 0].min()), int(rays[..., 0].max())
        shifted = np.stack([
            _from_slice(packed, reach + dz, layers) for dz in range(lowest, highest + 1)
        ])  # fmt: skip
        return enclosed_rays(shifted, rays - np.array([lowest, 0, 0]), reach, slices)

    angles = np.arange(CANAL_RAYS) * 2 * np.pi / CANAL_RAYS
    best = np.zeros(bone.shape, np.uint8)
    for pitch in np.tan(np.deg2rad(PLANE_PITCH_DEG)):
        rays = [
            [
                (round(round(d * np.sin(angle)) * pitch), round(d * np.sin(angle)),
                 round(d * np.cos(angle)))
                for d in distances
            ]
            for angle in angles
        ]  # fmt: skip
        np.maximum(best, met(np.array(rays)), out=best)
    around = np.array([[(0, dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]])
    best[met(around) > 0] = 0
    return best


def _packed(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """A mask with every eight slices as the bits of a byte, and an empty layer of them behind."""
    slices, rows, columns = mask.shape
    packed = np.zeros((-(-slices // 8) + 1, rows, columns), np.uint8)
    for bit in range(min(8, slices)):
        layer = mask[bit::8].view(np.uint8)
        packed[: len(layer)] |= layer << np.uint8(bit)
    return packed


def _from_slice(packed: npt.NDArray[np.uint8], first: int, layers: int) -> npt.NDArray[np.uint8]:
    """A packed mask from a slice on."""
    layer, bit = divmod(first, 8)
    low = packed[layer : layer + layers] >> np.uint8(bit)
    return low | packed[layer + 1 : layer + 1 + layers] << np.uint8(8 - bit)
