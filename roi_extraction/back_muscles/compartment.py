"""The compartment behind the spine in one slice: bounded by fascia, facets and mid-line."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from roi_extraction.kernels import gaussian_smoothed
from roi_extraction.sites import DiscLevel

__all__ = [
    "BACK_BEHIND_MM",
    "BACK_BONE_HU",
    "BACK_LATERAL_MM",
    "MIDLINE_GAP_MM",
    "back_of_bone",
    "compartments_of",
    "largest_part",
    "medial_of_ilium",
]

FloatArray = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

# Numbers without a source of their own were chosen on the development scans (docs/roi.md).

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

FATTY_HU = (-75.0, FASCIA_HU)
"""Between these the muscle beside the spinous process is so fatty that `FASCIA_HU` would end the
compartment inside it, HU: more than a third of the cohort at L5-S1 (Wang 2025). Less is fat."""

FAT_UNDER_SKIN_HU = -100.0
"""Fat, HU. Fascia of fatty muscle is half-way between the two."""

BESIDE_SPINOUS_MM = (8.0, 20.0)
"""Where that muscle is looked at lateral of the mid-line, mm."""

BEHIND_LAMINA_MM = (3.0, 13.0)
"""And behind the compartment's front, mm."""

SKIN_MM = 4.0
"""Thickness of the skin that is passed over, mm."""

FASCIA_SEARCH_MM = 8
"""Depth inside the skin in which fat is passed over before the fascia is looked for, mm."""

FASCIA_FROM_MM = 15.0
"""Nothing nearer to the canal's centre is the fascia, mm behind it."""

FASCIA_SMOOTH_MM = (7, 17)
"""Widths over which the fascia's line is smoothed by a median, and then its gaps closed, mm."""

FACET_ROWS_MM = (-12.0, 32.0)
"""Where facets and laminae lie, behind the canal's centre, mm."""

FACET_LATERAL_MM = (7.0, 30.0)
"""Where facets lie, lateral of the mid-line, mm; laminae lie nearer to it."""

FACET_PERCENTILE = 70
"""Percentile of the facets' rear ends that counts as their back."""

UNSEEN_FACET_MM = (10.0, 20.0)
"""Back of the facets behind the canal's centre, and their lateral edge, where none is seen, mm."""

PELVIC_FACET_MM = (25.0, 30.0)
"""Least and usual lateral edge of the facets at L5-S1, mm (two patients: 24 to 30 in level scans).
Bone that ends nearer to the mid-line is the lamina alone, below the facets."""

LAMINA_GAP_MM = 3.0
"""The compartment's front lies so far in front of the facets' back where no bone is seen, mm."""

LAMINA_REACH_MM = 8.0
"""The compartment's front lies at most so far in front of the facets' back, mm."""

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

SPINOUS_END_MM = 8.0
"""Bone nearer to the mid-line is the spinous process, mm."""

ILIUM_FROM_MM = 30.0
"""Bone of the ilium begins this far lateral of the mid-line, mm."""

ILIUM_GAP_MM = 4.5
"""Gap kept from bone lateral of the compartment, mm: fat and tendons lie between the muscle and
the ilium."""

MIDLINE_GAP_MM = 3.0
"""Gap kept from the mid-line: interspinous ligament and fat, mm."""


def compartments_of(images: Sequence[npt.NDArray[np.float32]], disc: DiscLevel) -> list[Mask]:
    """The compartment on one side in some neighbouring slices.

    Parameters
    ----------
    images
        float32, shape (behind, lateral) each: HU on the grid of `BACK_BEHIND_MM` and
        `BACK_LATERAL_MM`.
    disc
        The disc at whose height the slices lie.

    Returns
    -------
    masks
        bool, the images' shape, for each.
    """
    fronts = [back_of_bone(image, disc)[0] for image in images]
    fascia_hu = _fascia_hu(images, fronts)
    return [
        _compartment(image, front, disc, fascia_hu)
        for image, front in zip(images, fronts, strict=True)
    ]


def _compartment(
    image: npt.NDArray[np.float32], front: FloatArray, disc: DiscLevel, fascia_hu: float
) -> Mask:
    behind = BACK_BEHIND_MM[:, None]
    lateral = BACK_LATERAL_MM[None, :]
    fascia = _fascia(image, fascia_hu)
    mask = (behind > front) & (behind <= fascia - 0.5)
    mask &= (lateral >= MIDLINE_GAP_MM) & (lateral <= COMPARTMENT_END_MM[disc])
    mask &= image < BACK_BONE_HU
    return largest_part(scipy.ndimage.binary_opening(mask, iterations=2))


def medial_of_ilium(image: npt.NDArray[np.float32], compartment: Mask) -> Mask:
    """Points that no bone separates from the spinous side in their own row.

    Bone lateral of the spinous process is the ilium, behind which lie the glutei; what lies close
    to it is left out as well.

    Parameters
    ----------
    image
        float32, shape (behind, lateral), as for `compartments_of`.
    compartment
        bool, the image's shape.

    Returns
    -------
    mask
        bool, the image's shape.
    """
    bone = (image > BACK_BONE_HU) & (BACK_LATERAL_MM > SPINOUS_END_MM)
    begun = np.maximum.accumulate(compartment & (BACK_LATERAL_MM > MIDLINE_GAP_MM), axis=1)
    beyond = np.maximum.accumulate(bone & begun, axis=1)
    near_ilium = (
        scipy.ndimage.distance_transform_edt(~(beyond & (BACK_LATERAL_MM > ILIUM_FROM_MM)))
        < ILIUM_GAP_MM
    )
    return np.asarray(~beyond & ~near_ilium)


def back_of_bone(image: npt.NDArray[np.float32], disc: DiscLevel) -> tuple[FloatArray, float]:
    """How far back the facets and laminae reach in each lateral column, and their outer edge.

    Parameters
    ----------
    image, disc
        As for `compartments_of`.

    Returns
    -------
    back_mm
        float64, shape (lateral,): behind the canal's centre, mm.
    edge_mm
        Lateral edge of the facets, mm.
    """
    first, last_row = FACET_ROWS_MM
    searched = (first < BACK_BEHIND_MM) & (last_row > BACK_BEHIND_MM)
    bone = (image > BACK_BONE_HU) & searched[:, None]
    last = np.where(bone.any(axis=0), BACK_BEHIND_MM[::-1][np.argmax(bone[::-1], axis=0)], np.nan)
    inner, outer = FACET_LATERAL_MM
    facets = (inner <= BACK_LATERAL_MM) & (outer >= BACK_LATERAL_MM) & np.isfinite(last)
    back, edge = UNSEEN_FACET_MM
    if facets.any():
        back = float(np.percentile(last[facets], FACET_PERCENTILE))
        edge = float(BACK_LATERAL_MM[facets].max())
    least_mm, usual_mm = PELVIC_FACET_MM
    if disc is DiscLevel.L5_S1 and edge < least_mm:
        edge = usual_mm
    facet = np.isfinite(last) & (inner <= BACK_LATERAL_MM)
    medial = np.where(facet, last, back - LAMINA_GAP_MM)
    beyond_edge = edge < BACK_LATERAL_MM
    beyond = back + FRONT_GAP_MM + FRONT_SLOPE * (BACK_LATERAL_MM - edge)
    return np.where(beyond_edge, beyond, np.maximum(medial, back - LAMINA_REACH_MM)), edge


def _fascia_hu(images: Sequence[npt.NDArray[np.float32]], fronts: Sequence[FloatArray]) -> float:
    """HU above which tissue is inside the fascia: lower where the muscle itself is fatty."""
    inner, outer = BESIDE_SPINOUS_MM
    first, last = BEHIND_LAMINA_MM
    near = (inner <= BACK_LATERAL_MM) & (outer >= BACK_LATERAL_MM)
    muscle = []
    for image, front in zip(images, fronts, strict=True):
        behind_mm = BACK_BEHIND_MM[:, None] - front
        beside = near & (first <= behind_mm) & (last >= behind_mm) & (image < BACK_BONE_HU)
        muscle.append(image[beside])
    found = np.concatenate(muscle)
    level = float(np.median(found)) if found.size else 0.0
    lowest, highest = FATTY_HU
    return (level + FAT_UNDER_SKIN_HU) / 2 if lowest < level < highest else FASCIA_HU


def _fascia(image: npt.NDArray[np.float32], least_hu: float) -> FloatArray:
    """How far back tissue reaches inside the skin in each lateral column, mm."""
    smooth = gaussian_smoothed(image, 1.0)
    start = int(np.searchsorted(BACK_BEHIND_MM, FASCIA_FROM_MM))
    row = np.arange(BACK_BEHIND_MM.size)[:, None]
    air = (smooth < OUTSIDE_SKIN_HU) & (row >= start)
    skin = np.where(air.any(axis=0), air.argmax(axis=0), BACK_BEHIND_MM.size - 1)
    inner = skin - int(SKIN_MM)
    outermost = np.maximum(start, inner - FASCIA_SEARCH_MM)
    fat = (smooth < least_hu) & (row >= outermost) & (row < inner)
    # the blur of thin skin is no denser than fatty muscle: it is passed over with the fat
    passed = fat.argmax(axis=0) if least_hu < FASCIA_HU else _last(fat)
    inner = np.where(fat.any(axis=0), passed, inner)
    tissue = _last((smooth > least_hu) & (row >= start) & (row < inner))
    fascia = np.where(tissue >= 0, BACK_BEHIND_MM[tissue], np.nan)
    if not np.isfinite(fascia).any():
        return np.full(BACK_LATERAL_MM.size, BACK_BEHIND_MM[0])
    found = np.flatnonzero(np.isfinite(fascia))
    fascia = np.interp(np.arange(fascia.size), found, fascia[found])
    fascia = scipy.ndimage.median_filter(fascia, FASCIA_SMOOTH_MM[0], mode="nearest")
    return scipy.ndimage.grey_closing(fascia, FASCIA_SMOOTH_MM[1], mode="nearest")


def _last(mask: Mask) -> npt.NDArray[np.intp]:
    """The last row of each column of a mask; -1 where there is none."""
    last = len(mask) - 1 - mask[::-1].argmax(axis=0)
    return np.where(mask.any(axis=0), last, -1)


def largest_part(mask: Mask) -> Mask:
    """The largest connected part of a mask."""
    components, count = scipy.ndimage.label(mask)
    if count < 2:
        return mask
    return np.asarray(components == 1 + np.argmax(np.bincount(components.ravel())[1:]))
