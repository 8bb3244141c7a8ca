"""The plane between transversospinalis and longissimus: the path of least HU in their fat."""

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from roi_extraction.back_muscles.compartment import (
    BACK_BEHIND_MM,
    BACK_BONE_HU,
    BACK_LATERAL_MM,
    back_of_bone,
)
from roi_extraction.sites import DiscLevel

__all__ = ["fat_plane"]

FloatArray = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

# Numbers without a source of their own were chosen on the development scans (docs/roi.md).

SPLIT_END_MM = {
    DiscLevel.L1_L2: 18.0,
    DiscLevel.L2_L3: 21.0,
    DiscLevel.L3_L4: 27.0,
    DiscLevel.L4_L5: 33.0,
    DiscLevel.L5_S1: 38.0,
}
"""Where the plane between multifidus and longissimus meets the fascia, mm lateral of the
mid-line (two labelled patients)."""

SPLIT_SIGMA_MM = 6.0
"""How far the plane may stray from its expected line before it costs a unit, mm."""

SPLIT_START_MM = (-2.0, 4.0)
"""The plane starts at the facets' edge, at most so far medial and lateral of its end, mm."""

SPLIT_CONTRAST_HU = 30.0
"""Depth of a fat plane worth a unit of cost, HU."""

SPLIT_CONTRAST_LIMITS = (-2.5, 1.0)
"""Least and greatest cost of a place by its HU, units of `SPLIT_CONTRAST_HU`."""

BONE_BLUR_MM = 4.0
"""Nearer to bone than this HU tell nothing of fat, mm; such a place costs `NEAR_BONE_COST`."""

NEAR_BONE_COST = 1.0
"""Cost of a place near bone, in units."""

SPLIT_MOVE_COST = 0.15
"""Cost of moving one column from a row to the next, in units."""

SPLIT_SMOOTH_ROWS = 1.5
"""Gaussian sigma with which the path is smoothed, rows of 1 mm."""


def fat_plane(image: npt.NDArray[np.float32], compartment: Mask, disc: DiscLevel) -> FloatArray:
    """Where the plane between the two muscles lies in each row behind the canal.

    Parameters
    ----------
    image
        float32, shape (behind, lateral): HU on the grid of `BACK_BEHIND_MM` and `BACK_LATERAL_MM`.
    compartment
        bool, the image's shape: both muscles together.
    disc
        The disc at whose height the slice lies.

    Returns
    -------
    plane_mm
        float64, shape (behind,): lateral of the mid-line, mm.
    """
    rows = np.flatnonzero(compartment.any(axis=1))
    end_mm = SPLIT_END_MM[disc]
    _, edge_mm = back_of_bone(image, disc)
    start_mm = float(np.clip(edge_mm, end_mm + SPLIT_START_MM[0], end_mm + SPLIT_START_MM[1]))
    share = np.linspace(0.0, 1.0, rows.size)
    prior = start_mm + (end_mm - start_mm) * share
    inside = compartment[rows]
    tissue = image[rows]
    muscle = tissue[inside & (tissue < BACK_BONE_HU)]
    level = float(np.median(muscle)) if muscle.size else 0.0
    contrast = np.clip((tissue - level) / SPLIT_CONTRAST_HU, *SPLIT_CONTRAST_LIMITS)
    near_bone = scipy.ndimage.distance_transform_edt(image < BACK_BONE_HU)[rows] < BONE_BLUR_MM
    cost = np.where(inside, np.where(near_bone, NEAR_BONE_COST, contrast), 0.0)
    cost = cost + ((BACK_LATERAL_MM[None, :] - prior[:, None]) / SPLIT_SIGMA_MM) ** 2
    path = _cheapest_path(cost)
    plane = np.full(BACK_BEHIND_MM.size, end_mm)
    plane[rows] = scipy.ndimage.gaussian_filter1d(BACK_LATERAL_MM[path], SPLIT_SMOOTH_ROWS)
    plane[: rows[0]] = plane[rows[0]]
    plane[rows[-1] :] = plane[rows[-1]]
    return plane


def _cheapest_path(cost: FloatArray) -> npt.NDArray[np.int64]:
    """Column per row of the cheapest path that moves at most one column per row."""
    total = cost.copy()
    came = np.zeros(cost.shape, dtype=np.int64)
    for i in range(1, cost.shape[0]):
        padded = np.pad(total[i - 1], 1, constant_values=np.inf)
        aside = padded + SPLIT_MOVE_COST
        options = np.stack([aside[:-2], padded[1:-1], aside[2:]])
        step = np.argmin(options, axis=0)
        came[i] = np.arange(cost.shape[1]) + step - 1
        total[i] += options.min(axis=0)
    path = np.empty(cost.shape[0], dtype=np.int64)
    path[-1] = int(np.argmin(total[-1]))
    for i in range(cost.shape[0] - 1, 0, -1):
        path[i - 1] = came[i, path[i]]
    return path
