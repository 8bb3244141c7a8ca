"""The scan on a coarse isotropic grid, and sampling of the scan at any point."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from roi_extraction.kernels import (
    block_means,
    interpolate_between,
    interpolate_planes,
    interpolate_volume,
)
from roi_extraction.volume import CtVolume

__all__ = ["GRID_MM", "OUTSIDE_HU", "Grid", "coarse_grid", "sample_hu", "sample_planes"]

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
    blocks = _Blocks(volume.hu, (int(factors[0]), int(factors[1]), int(factors[2])))
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
    matrix, offset = to_block[:3, :3], to_block[:3, 3]
    if np.count_nonzero(matrix - np.diag(np.diag(matrix))):
        planes = np.stack([blocks.plane(number) for number in range(blocks.shape[0])])
        hu = scipy.ndimage.affine_transform(planes, matrix, offset, shape, order=1, cval=OUTSIDE_HU)
    else:
        places = [matrix[k, k] * np.arange(shape[k]) + offset[k] for k in range(3)]
        hu = _at_places(blocks, places)
    return Grid(hu, low)


def sample_hu(volume: CtVolume, lps_mm: FloatArray) -> npt.NDArray[np.float32]:
    """HU at LPS points, shape (..., 3), by linear interpolation of the scan's own voxels."""
    return _interpolated(volume, np.moveaxis(volume.to_index(lps_mm), -1, 0))


def sample_planes(
    volume: CtVolume,
    origins_lps_mm: FloatArray,
    down: tuple[FloatArray, FloatArray],
    across: tuple[FloatArray, FloatArray],
) -> npt.NDArray[np.float32]:
    """HU on grids in planes, by linear interpolation of the scan's own voxels.

    Parameters
    ----------
    volume
        The scan.
    origins_lps_mm
        Shape (n, 3): the origin of each plane, LPS mm.
    down, across
        Places of the grid's rows, shape (p,), and columns, shape (q,), mm from the origin, each
        with the direction of its axis in each plane, shape (n, 3), unit vectors.

    Returns
    -------
    hu
        float32, shape (n, p, q).
    """
    start = volume.to_index(origins_lps_mm)
    steps = [volume.to_index(origins_lps_mm + axis) - start for _, axis in (down, across)]
    return interpolate_planes(
        volume.hu, start, (down[0], steps[0]), (across[0], steps[1]), OUTSIDE_HU
    )


def _interpolated(volume: CtVolume, index: FloatArray) -> npt.NDArray[np.float32]:
    return interpolate_volume(volume.hu, index, OUTSIDE_HU)


class _Blocks:
    """Means over blocks of voxels; what is left over at an axis' end is left out."""

    def __init__(self, hu: npt.NDArray[Any], factors: tuple[int, int, int]) -> None:
        self._hu = hu
        self._blocks = tuple(
            (n // factor, factor) if n >= factor else (n, 1)
            for n, factor in zip(hu.shape, factors, strict=True)
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """How many blocks there are along each axis."""
        return tuple(count for count, _ in self._blocks)

    def plane(self, number: int) -> npt.NDArray[np.float32]:
        """The means of one layer of blocks, shape (rows, columns) of blocks."""
        (_, deep), rows, columns = self._blocks
        slab = self._hu[number * deep : (number + 1) * deep]
        if slab.dtype == np.int16:
            return block_means(slab, rows, columns)
        layer = _mean_of_every(slab, 0, (1, deep))[0]
        means = _mean_of_every(_mean_of_every(layer, 0, rows), 1, columns)
        return means.astype(np.float32, copy=False)


def _mean_of_every(
    values: npt.NDArray[Any], axis: int, block: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Means along an axis over blocks, given as their number and their length."""
    count, length = block
    if length == 1:
        return values
    along = np.moveaxis(values, axis, 0)[: count * length]
    total = np.add(along[::length], along[1::length], dtype=np.float32)
    for step in range(2, length):
        total += along[step::length]
    total /= np.float32(length)
    return np.moveaxis(total, 0, axis)


def _at_places(blocks: _Blocks, places: list[npt.NDArray[np.float64]]) -> npt.NDArray[np.float32]:
    """Linear interpolation where the axes of grid and blocks are parallel: axis by axis."""
    last = blocks.shape[0] - 1
    hu = np.empty([len(at) for at in places], dtype=np.float32)

    @lru_cache(maxsize=2)
    def plane(number: int) -> npt.NDArray[np.float32]:
        return interpolate_between(blocks.plane(number), places[1], places[2])

    for number, place in enumerate(places[0]):
        low = min(max(int(np.floor(place)), 0), max(0, last - 1))
        np.subtract(plane(min(low + 1, last)), plane(low), out=hu[number])
        hu[number] *= np.float32(place - low)
        hu[number] += plane(low)
    for axis, at in enumerate(places):
        outside = (at < 0) | (at > blocks.shape[axis] - 1)
        np.moveaxis(hu, axis, 0)[outside] = OUTSIDE_HU
    return hu
