"""The scan on a coarse isotropic grid, and sampling of the scan at any point."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roi_extraction.volume import CtVolume

__all__ = ["GRID_MM", "OUTSIDE_HU", "Grid", "coarse_grid", "sample_hu"]

GRID_MM = 2.0
"""Voxel edge of the coarse grid, mm: fine enough for a canal of 15-25 mm."""

OUTSIDE_HU = -1024.0
"""HU given to points outside the scan."""

FloatArray = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Grid:
    """HU on an isotropic grid along the LPS axes.

    Parameters
    ----------
    hu
        float32, shape (z, y, x).
    origin_lps_mm
        float64, shape (3,): LPS mm of voxel (0, 0, 0).
    """

    hu: npt.NDArray[np.float32]
    origin_lps_mm: npt.NDArray[np.float64]

    def to_lps(self, index: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Convert (z, y, x) indices, shape (..., 3), to LPS mm, shape (..., 3)."""
        points = np.asarray(index, dtype=np.float64)[..., ::-1]
        return points * GRID_MM + self.origin_lps_mm


def coarse_grid(volume: CtVolume) -> Grid:
    """Resample a volume to `GRID_MM` along the LPS axes, averaging finer voxels first."""
    factors = np.maximum(1, np.floor(GRID_MM / volume.spacing_mm + 0.01)).astype(int)
    blocks = _block_mean(volume.hu, (int(factors[0]), int(factors[1]), int(factors[2])))
    scale = np.eye(4)
    scale[:3, :3] = np.diag(factors)
    scale[:3, 3] = (factors - 1) / 2
    block_to_lps = volume.affine @ scale
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in blocks.shape], indexing="ij"), axis=-1)
    lps = corners.reshape(-1, 3) @ block_to_lps[:3, :3].T + block_to_lps[:3, 3]
    low, high = lps.min(axis=0), lps.max(axis=0)
    shape_xyz = np.maximum(1, np.floor((high - low) / GRID_MM + 1e-6).astype(int) + 1)
    grid_to_lps = np.eye(4)
    grid_to_lps[:3, :3] = GRID_MM * np.eye(3)[::-1].T
    grid_to_lps[:3, 3] = low
    to_block = np.linalg.inv(block_to_lps) @ grid_to_lps
    shape = (int(shape_xyz[2]), int(shape_xyz[1]), int(shape_xyz[0]))
    hu = ndimage.affine_transform(
        blocks, to_block[:3, :3], to_block[:3, 3], shape, order=1, cval=OUTSIDE_HU
    )
    return Grid(hu, low)


def sample_hu(volume: CtVolume, lps_mm: FloatArray) -> npt.NDArray[np.float32]:
    """HU at LPS points, shape (..., 3), by linear interpolation of the scan's own voxels."""
    index = np.moveaxis(volume.to_index(lps_mm), -1, 0)
    sampled = ndimage.map_coordinates(volume.hu, index, output=np.float32, order=1, cval=OUTSIDE_HU)
    return np.asarray(sampled, dtype=np.float32)


def _block_mean(hu: npt.NDArray[Any], factors: tuple[int, int, int]) -> npt.NDArray[np.float32]:
    kept = [
        slice(0, max(1, n // f) * f) if n >= f else slice(0, n)
        for n, f in zip(hu.shape, factors, strict=True)
    ]
    blocks: npt.NDArray[Any] = hu[tuple(kept)]
    for axis, factor in enumerate(factors):
        if factor == 1 or blocks.shape[axis] < factor:
            continue
        shape = list(blocks.shape)
        shape[axis : axis + 1] = [shape[axis] // factor, factor]
        blocks = blocks.reshape(shape).mean(axis=axis + 1, dtype=np.float32)
    return np.ascontiguousarray(blocks, dtype=np.float32)
