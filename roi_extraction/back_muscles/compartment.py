"""The compartment behind the spine in one slice: bounded by fascia, facets and mid-line."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roi_extraction.sites import DiscLevel

__all__ = [
    "BACK_BEHIND_MM",
    "BACK_BONE_HU",
    "BACK_LATERAL_MM",
    "MIDLINE_GAP_MM",
    "back_of_bone",
    "compartment_of",
    "largest_part",
    "medial_of_ilium",
]

FloatArray = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

BACK_BEHIND_MM = np.arange(-15.0, 110.0)
"""Grid behind the canal's centre, mm."""

BACK_LATERAL_MM = np.arange(-6.0, 85.0)
"""Grid lateral of the mid-line, mm."""

BACK_BONE_HU = 170.0
"""Above it bone, HU, in an image smoothed by 1 mm."""

OUTSIDE_SKIN_HU = -400.0
"""Below it air, HU."""

FASCIA_HU = -30.0
"""The outermost tissue above it inside the skin is the thoracolumbar fascia, HU."""

SKIN_MM = 4.0
"""Thickness of the skin that is passed over, mm."""

COMPARTMENT_END_MM = {
    DiscLevel.L1_L2: 62.0,
    DiscLevel.L2_L3: 60.0,
    DiscLevel.L3_L4: 58.0,
    DiscLevel.L4_L5: 52.0,
    DiscLevel.L5_S1: 42.0,
}
"""How far lateral of the mid-line the compartment is followed, mm."""

FRONT_SLOPE = 0.12
"""Slope of the compartment's front beyond the facets, backwards per lateral mm: it keeps
quadratus lumborum out."""

FRONT_GAP_MM = 2.0
"""Gap between the back of the facets and the compartment's front beyond them, mm."""

ILIUM_FROM_MM = 30.0
"""Bone of the ilium begins this far lateral of the mid-line, mm."""

ILIUM_GAP_MM = 4.5
"""Gap kept from bone lateral of the compartment, mm: fat and tendons lie between the muscle and
the ilium."""

MIDLINE_GAP_MM = 3.0
"""Gap kept from the mid-line: interspinous ligament and fat, mm."""


def compartment_of(image: npt.NDArray[np.float32], disc: DiscLevel) -> Mask:
    """The compartment on one side of one slice.

    Parameters
    ----------
    image
        float32, shape (behind, lateral): HU on the grid of `BACK_BEHIND_MM` and `BACK_LATERAL_MM`.
    disc
        The disc at whose height the slice lies.

    Returns
    -------
    mask
        bool, the image's shape.
    """
    front, _ = back_of_bone(image)
    fascia = _fascia(image)
    behind = BACK_BEHIND_MM[:, None]
    lateral = BACK_LATERAL_MM[None, :]
    mask = (behind > front) & (behind <= fascia - 0.5)
    mask &= (lateral >= MIDLINE_GAP_MM) & (lateral <= COMPARTMENT_END_MM[disc])
    mask &= image < BACK_BONE_HU
    return largest_part(ndimage.binary_opening(mask, iterations=2))


def medial_of_ilium(image: npt.NDArray[np.float32], compartment: Mask) -> Mask:
    """Points that no bone separates from the spinous side in their own row.

    Bone between transversospinalis and longissimus is the ilium, behind which lie the glutei;
    what lies close to it is left out as well.
    """
    bone = (image > BACK_BONE_HU) & (BACK_LATERAL_MM > 8.0)
    begun = np.maximum.accumulate(compartment & (BACK_LATERAL_MM > MIDLINE_GAP_MM), axis=1)
    beyond = np.maximum.accumulate(bone & begun, axis=1)
    near_ilium = (
        ndimage.distance_transform_edt(~(beyond & (BACK_LATERAL_MM > ILIUM_FROM_MM))) < ILIUM_GAP_MM
    )
    return np.asarray(~beyond & ~near_ilium)


def back_of_bone(image: npt.NDArray[np.float32]) -> tuple[FloatArray, float]:
    """How far back the facets and laminae reach in each lateral column, and their outer edge.

    Returns
    -------
    back_mm
        float64, shape (lateral,): behind the canal's centre, mm.
    edge_mm
        Lateral edge of the facets, mm.
    """
    searched = (BACK_BEHIND_MM > -12) & (BACK_BEHIND_MM < 32)
    bone = (image > BACK_BONE_HU) & searched[:, None]
    last = np.where(bone.any(axis=0), BACK_BEHIND_MM[::-1][np.argmax(bone[::-1], axis=0)], np.nan)
    facets = (BACK_LATERAL_MM >= 7) & (BACK_LATERAL_MM <= 30) & np.isfinite(last)
    back = float(np.percentile(last[facets], 70)) if facets.any() else 10.0
    edge = float(BACK_LATERAL_MM[facets].max()) if facets.any() else 20.0
    medial = np.where(np.isfinite(last), last, back - 3.0)
    medial = np.where(BACK_LATERAL_MM < 7, back - 3.0, medial)
    beyond_edge = edge < BACK_LATERAL_MM
    beyond = back + FRONT_GAP_MM + FRONT_SLOPE * (BACK_LATERAL_MM - edge)
    return np.where(beyond_edge, beyond, np.maximum(medial, back - 8.0)), edge


def _fascia(image: npt.NDArray[np.float32]) -> FloatArray:
    """How far back tissue reaches inside the skin in each lateral column, mm."""
    smooth = ndimage.gaussian_filter(image, 1.0)
    fascia = np.full(BACK_LATERAL_MM.size, np.nan)
    start = int(np.searchsorted(BACK_BEHIND_MM, 15.0))
    for j in range(BACK_LATERAL_MM.size):
        column = smooth[:, j]
        air = np.flatnonzero(column[start:] < OUTSIDE_SKIN_HU)
        skin = start + (int(air[0]) if air.size else column.size - start - 1)
        inner = skin - int(SKIN_MM)
        fat = np.flatnonzero(column[max(start, inner - 8) : inner] < FASCIA_HU)
        if fat.size:
            inner = max(start, inner - 8) + int(fat[-1])
        tissue = np.flatnonzero(column[start:inner] > FASCIA_HU)
        if tissue.size:
            fascia[j] = BACK_BEHIND_MM[start + int(tissue[-1])]
    if not np.isfinite(fascia).any():
        return np.full(BACK_LATERAL_MM.size, BACK_BEHIND_MM[0])
    found = np.flatnonzero(np.isfinite(fascia))
    fascia = np.interp(np.arange(fascia.size), found, fascia[found])
    fascia = ndimage.median_filter(fascia, 7, mode="nearest")
    return ndimage.grey_closing(fascia, 17, mode="nearest")


def largest_part(mask: Mask) -> Mask:
    """The largest connected part of a mask."""
    components, count = ndimage.label(mask)
    if count < 2:
        return mask
    return np.asarray(components == 1 + np.argmax(np.bincount(components.ravel())[1:]))
