"""Builders of small volumes, regions and anatomies for tests of placement and measurement."""

import numpy as np
import numpy.typing as npt

from roi_extraction.anatomy import (
    Anatomy,
    Missing,
    MissingReason,
    Region,
    RegionSlice,
    SegmenterIdentity,
    SpineLandmarks,
)
from roi_extraction.sites import SITES
from roi_extraction.volume import CtVolume

__all__ = ["anatomy_of", "disk_mask", "flat_volume", "region_of"]


def flat_volume(
    hu: float = 50.0,
    *,
    size: int = 120,
    pixel_mm: float = 1.0,
    slices: int = 9,
    step_mm: float = 3.0,
) -> CtVolume:
    """A volume of one HU, centred in x and y."""
    affine = np.eye(4)
    affine[:3, :3] = np.diag((pixel_mm, pixel_mm, step_mm)) @ np.eye(3)[::-1]
    affine[:2, 3] = -pixel_mm * (size - 1) / 2
    array = np.full((slices, size, size), hu, dtype=np.float32)
    return CtVolume(array, affine, step_mm)


def disk_mask(
    volume: CtVolume, x_mm: float, y_mm: float, radii_mm: tuple[float, float]
) -> npt.NDArray[np.bool_]:
    """An ellipse with half-axes along x and y."""
    rows, columns = np.indices(volume.shape[1:])
    points = volume.to_lps(np.stack([np.zeros_like(rows), rows, columns], axis=-1))
    x, y = points[..., 0] - x_mm, points[..., 1] - y_mm
    return np.asarray((x / radii_mm[0]) ** 2 + (y / radii_mm[1]) ** 2 <= 1.0)


def region_of(*masks: npt.NDArray[np.bool_], first: int = 3) -> Region:
    """One mask for all of three slices, or three masks."""
    three = masks * 3 if len(masks) == 1 else masks
    parts = [RegionSlice(first + k, mask) for k, mask in enumerate(three)]
    return Region((parts[0], parts[1], parts[2]))


def anatomy_of(regions: dict[str, Region | Missing]) -> Anatomy:
    """An anatomy of these regions; all other sites were not found."""
    absent = Missing(MissingReason.NOT_FOUND, "not in this test")
    spine = SpineLandmarks(np.array([[0.0, 30.0, 0.0], [0.0, 30.0, 90.0]]), {}, {}, 1.0)
    filled = {site.name: regions.get(site.name, absent) for site in SITES}
    return Anatomy(SegmenterIdentity("test", "0"), spine, filled)
