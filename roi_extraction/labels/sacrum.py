"""S1 cut out of a sacrum that is labelled as a whole."""

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from roi_extraction.volume import CtVolume

__all__ = ["S1_NUMBER", "SACRUM_NUMBER", "with_s1"]

FloatArray = npt.NDArray[np.float64]
LabelArray = npt.NDArray[np.integer[Any]]

SACRUM_NUMBER, S1_NUMBER = 25, 26
"""Numbers of TotalSegmentator v2, task ``total`` (Wasserthal 2023, doi 10.1148/ryai.230024)."""

S1_HEIGHT_MM = 28.0
"""Height of the S1 body, mm: on one labelled patient and on phantoms the cut at this height agrees
best with the label S1."""

MIDDLE_MM = 12.0
"""Half-width of the strip of sacrum in which the disc's gap is measured, mm."""

CANAL_MM = 4.0
"""How far in front of the canal's line that strip ends, mm."""


def with_s1(
    volume: CtVolume, labels: LabelArray, canal: FloatArray, l5: npt.NDArray[Any]
) -> LabelArray:
    """Label as S1 what of the sacrum lies within one vertebra's height of the L5-S1 disc.

    The distance is that from the body of L5, less the disc's gap: the cut follows the tilt of the
    endplate, which needs no axis.

    Parameters
    ----------
    volume, labels
        The scan and the labels on its grid.
    canal
        float64, shape (n, 3): the canal's line, LPS mm.
    l5
        bool, shape of the volume: the body of L5.

    Returns
    -------
    labels
        A copy with S1, or the labels themselves if there is no sacrum in front of the canal.
    """
    sacrum = labels == SACRUM_NUMBER
    found = np.argwhere(sacrum | l5)
    if not sacrum.any() or not l5.any():
        return labels
    low, high = found.min(axis=0), found.max(axis=0) + 1
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    from_l5_mm = scipy.ndimage.distance_transform_edt(~l5[box], sampling=volume.spacing_mm)
    voxels = np.argwhere(sacrum[box])
    points = volume.to_lps(voxels + low)
    at = np.stack([np.interp(points[:, 2], canal[:, 2], canal[:, k]) for k in (0, 1)], axis=1)
    strip = np.abs(points[:, 0] - at[:, 0]) < MIDDLE_MM
    strip &= at[:, 1] - points[:, 1] > CANAL_MM
    if not strip.any():
        return labels
    distance_mm = from_l5_mm[tuple(voxels.T)]
    gap_mm = float(np.percentile(distance_mm[strip], 2))
    upper = voxels[distance_mm <= gap_mm + S1_HEIGHT_MM] + low
    result = labels.copy()
    result[tuple(upper.T)] = S1_NUMBER
    return result
