"""A CT volume to paint anatomy on, with partial volume at every edge."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["Array", "Box", "Canvas", "Patch"]

Array = npt.NDArray[np.floating[Any]]
"""Coordinates, distances and HU: float32 wherever a whole patch is concerned."""

EDGE_MM = 1.0
"""In-plane width of an edge of a soft kernel at least, mm."""

Box = tuple[float, float, float, float, float, float]
"""A region in LPS mm: x from, x to, y from, y to, z from, z to."""


@dataclass(frozen=True, eq=False)
class Patch:
    """A region of the canvas with the coordinates of its voxels.

    Parameters
    ----------
    index
        The slices of the canvas's arrays.
    x, y, z
        float32, LPS mm, shapes (1, 1, columns), (1, rows, 1) and (slices, 1, 1).
    """

    index: tuple[slice, slice, slice]
    x: Array
    y: Array
    z: Array


class Canvas:
    """HU and labels on one grid.

    Parameters
    ----------
    origin_mm
        (x, y, z) of the first voxel's centre, LPS mm.
    shape
        (slices, rows, columns).
    step_mm, pixel_mm, thickness_mm
        Distance of slices, edge of a pixel, thickness of a slice.
    """

    def __init__(
        self,
        origin_mm: tuple[float, float, float],
        shape: tuple[int, int, int],
        step_mm: float,
        pixel_mm: float,
        thickness_mm: float,
    ) -> None:
        x0, y0, z0 = origin_mm
        self.pixel_mm = pixel_mm
        self.step_mm = step_mm
        self.thickness_mm = thickness_mm
        self.edge_mm = max(EDGE_MM, pixel_mm)
        self.x = (x0 + pixel_mm * np.arange(shape[2])).astype(np.float32)
        self.y = (y0 + pixel_mm * np.arange(shape[1])).astype(np.float32)
        self.z = (z0 + step_mm * np.arange(shape[0])).astype(np.float32)
        self.hu = np.full(shape, -1000.0, np.float32)
        self.labels = np.zeros(shape, np.uint8)
        self.body_labels = np.zeros(shape, np.uint8)
        self.muscle_labels = np.zeros(shape, np.uint8)

    def patch(self, box: Box) -> Patch | None:
        """Return the part of the canvas inside ``box``, None if there is none."""
        parts = []
        for axis, low, high in (
            (self.z, box[4] - self.thickness_mm, box[5] + self.thickness_mm),
            (self.y, box[2], box[3]),
            (self.x, box[0], box[1]),
        ):
            first, last = np.searchsorted(axis, (low, high))
            if last <= first:
                return None
            parts.append(slice(int(first), int(last)))
        kz, ky, kx = parts
        return Patch(
            (kz, ky, kx),
            self.x[None, None, kx],
            self.y[None, ky, None],
            self.z[kz, None, None],
        )

    def alpha(self, sdf: Array) -> Array:
        """Return the share of each voxel inside a shape, from its signed distance in mm.

        The edge is as wide as a pixel in plane and as the slice is thick along z.
        """
        if sdf.shape[0] > 1:
            slope = np.gradient(sdf, axis=0)
            slope *= self.thickness_mm / self.step_mm
            np.clip(slope, -self.thickness_mm, self.thickness_mm, out=slope)
            slope *= slope
            slope += self.edge_mm**2
            width: Any = np.sqrt(slope, out=slope)
        else:
            width = self.edge_mm
        share = np.clip(0.5 - sdf / width, 0.0, 1.0)
        return share.astype(np.float32, copy=False)

    def blend(self, patch: Patch, share: Array, hu: float | Array) -> None:
        """Mix tissue of ``hu`` into the patch, ``share`` of each voxel."""
        view = self.hu[patch.index]
        view += share * (hu - view)

    def paint(self, patch: Patch, sdf: Array, hu: float | Array) -> None:
        """Mix in the inside of a shape given by its signed distance."""
        self.blend(patch, self.alpha(sdf), hu)

    def texture(
        self,
        shape: tuple[int, ...],
        rng: np.random.Generator,
        fine_mm: float,
        coarse_mm: float,
        along_mm: float,
    ) -> Array:
        """Return noise of unit SD without any share coarser than ``coarse_mm``, float32.

        Parameters
        ----------
        fine_mm, coarse_mm
            In-plane smoothing that is kept and that is taken away, mm (Gaussian sigma).
        along_mm
            Smoothing along z.
        """
        field = rng.standard_normal(shape, dtype=np.float32)
        fine = max(fine_mm / self.pixel_mm, 0.4)
        coarse = max(coarse_mm / self.pixel_mm, 1.2)
        along = along_mm / self.step_mm
        field = ndimage.gaussian_filter(field, (along, fine, fine), truncate=3.0)
        field -= ndimage.gaussian_filter(field, (0.0, coarse, coarse), truncate=3.0)
        return (field / max(float(field.std()), 1e-6)).astype(np.float32)
