"""The plane between transversospinalis and longissimus: the path of least HU in their fat."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

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

SPLIT_CONTRAST_HU = 30.0
"""Depth of a fat plane worth a unit of cost, HU."""


def fat_plane(image: npt.NDArray[np.float32], compartment: Mask, disc: DiscLevel) -> FloatArray:
    """Lateral position of the plane between the muscles for each row behind the canal, mm."""
    rows = np.flatnonzero(compartment.any(axis=1))
    end_mm = SPLIT_END_MM[disc]
    _, edge_mm = back_of_bone(image)
    start_mm = float(np.clip(edge_mm, end_mm - 2.0, end_mm + 4.0))
    share = np.linspace(0.0, 1.0, rows.size)
    prior = start_mm + (end_mm - start_mm) * share
    inside = compartment[rows]
    tissue = image[rows]
    muscle = tissue[inside & (tissue < BACK_BONE_HU)]
    level = float(np.median(muscle)) if muscle.size else 0.0
    contrast = np.clip((tissue - level) / SPLIT_CONTRAST_HU, -2.5, 1.0)
    near_bone = ndimage.distance_transform_edt(image < BACK_BONE_HU)[rows] < 4.0
    cost = np.where(inside, np.where(near_bone, 1.0, contrast), 0.0)
    cost = cost + ((BACK_LATERAL_MM[None, :] - prior[:, None]) / SPLIT_SIGMA_MM) ** 2
    path = _cheapest_path(cost)
    plane = np.full(BACK_BEHIND_MM.size, end_mm)
    plane[rows] = ndimage.gaussian_filter1d(BACK_LATERAL_MM[path], 1.5)
    plane[: rows[0]] = plane[rows[0]]
    plane[rows[-1] :] = plane[rows[-1]]
    return plane


def _cheapest_path(cost: FloatArray) -> npt.NDArray[np.int64]:
    """Column per row of the cheapest path that moves at most one column per row."""
    total = cost.copy()
    came = np.zeros(cost.shape, dtype=np.int64)
    for i in range(1, cost.shape[0]):
        padded = np.pad(total[i - 1], 1, constant_values=np.inf)
        options = np.stack([padded[:-2] + 0.15, padded[1:-1], padded[2:] + 0.15])
        step = np.argmin(options, axis=0)
        came[i] = np.arange(cost.shape[1]) + step - 1
        total[i] += options.min(axis=0)
    path = np.empty(cost.shape[0], dtype=np.int64)
    path[-1] = int(np.argmin(total[-1]))
    for i in range(cost.shape[0] - 1, 0, -1):
        path[i - 1] = came[i, path[i]]
    return path
