"""Ribs taken away from a real scan, shortened in it, or painted into it."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from roi_extraction import CtVolume

__all__ = ["ERASED_HU", "part_of_course", "with_rib", "without_bone_along"]

ERASED_HU, ERASED_SD_HU, ERASED_MM = 45.0, 12.0, 9.0
"""What takes a rib's place, its noise, HU, and how far around the rib's middle, mm."""

BONE_HU = 70.0
"""Above it a voxel near a rib's middle is taken away, HU."""

CORTEX_HU, MARROW_HU, RADIUS_MM, CORTEX_MM = 420.0, 180.0, 4.5, 2.0
"""A painted rib: HU of its shell and inside, its radius and the shell's thickness, mm."""

Course = npt.NDArray[np.float64]


def part_of_course(course_lps_mm: Course, first_mm: float, last_mm: float) -> Course:
    """The part of a course, shape (n, 3), between two lengths from its beginning."""
    steps = np.linalg.norm(np.diff(course_lps_mm, axis=0), axis=1)
    before = np.concatenate([[0.0], np.cumsum(steps)])
    return course_lps_mm[(before >= first_mm) & (before <= last_mm)]


def without_bone_along(volume: CtVolume, course_lps_mm: Course, seed: int) -> CtVolume:
    """The scan with muscle in place of the bone along a course."""
    box, away = _distance(volume, course_lps_mm, ERASED_MM)
    hu = volume.hu.copy()
    bone = (away < ERASED_MM) & (hu[box] > BONE_HU)
    noise = np.random.default_rng(seed).normal(0.0, ERASED_SD_HU, int(bone.sum()))
    hu[box][bone] = np.rint(ERASED_HU + noise).astype(hu.dtype)
    return CtVolume(hu, volume.affine, volume.slice_thickness_mm)


def with_rib(volume: CtVolume, course_lps_mm: Course) -> CtVolume:
    """The scan with a rib painted along a course."""
    box, away = _distance(volume, course_lps_mm, RADIUS_MM)
    hu = volume.hu.astype(np.float32)
    weight = np.clip((RADIUS_MM - away) / 1.5 + 0.5, 0.0, 1.0)
    tissue = np.where(away < RADIUS_MM - CORTEX_MM, MARROW_HU, CORTEX_HU)
    hu[box] = (1 - weight) * hu[box] + weight * np.maximum(tissue, hu[box])
    return CtVolume(np.rint(hu).astype(np.int16), volume.affine, volume.slice_thickness_mm)


def _distance(
    volume: CtVolume, course_lps_mm: Course, reach_mm: float
) -> tuple[tuple[slice, slice, slice], npt.NDArray[np.float64]]:
    """A box around a course, and the distance of its voxels from the course, mm."""
    index = volume.to_index(course_lps_mm)
    pad = np.ceil(reach_mm / volume.spacing_mm) + 1
    low = np.maximum(0, np.floor(index.min(axis=0) - pad)).astype(int)
    high = np.minimum(volume.shape, np.ceil(index.max(axis=0) + pad) + 1).astype(int)
    grid = np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij")
    fine = np.concatenate([np.linspace(a, b, 6) for a, b in pairwise(course_lps_mm)])
    away, _ = cKDTree(fine).query(volume.to_lps(np.stack(grid, axis=-1)))
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return (box[0], box[1], box[2]), np.asarray(away)
