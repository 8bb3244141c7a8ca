"""The height of the iliac crests along the spine: the count's check from below."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage

from roi_extraction.builtin.straighten import (
    BESIDE_SMOOTH_MM,
    BESIDE_STEP_MM,
    StraightSpine,
    sample_beside,
)
from roi_extraction.kernels import gaussian_smoothed
from roi_extraction.sites import Side
from roi_extraction.volume import CtVolume

__all__ = ["iliac_crests_mm"]

CREST_BESIDE_MM = np.arange(40.0, 130.1, BESIDE_STEP_MM)
"""Where the ilium is looked for, lateral of the spine's line, mm."""

CREST_AHEAD_MM = np.arange(-76.0, 40.1, BESIDE_STEP_MM)
"""Where the ilium is looked for, forward of the line, mm."""

CREST_BELOW_MM = 14.0
"""How far below the L5-S1 disc the search for the ilium begins, mm."""

CREST_HU = 130.0
"""Least HU of the crest, smoothed: its cortex even in osteoporosis."""

LEAST_VOXELS = (100, 6)
"""Least voxels of the ilium beside the sacrum, and in the highest plane that counts."""


def iliac_crests_mm(
    volume: CtVolume, straight: StraightSpine, places: Sequence[int]
) -> Mapping[Side, float]:
    """Find the highest point of each iliac crest.

    Parameters
    ----------
    volume, straight
        The scan, laid straight.
    places
        Places of the named discs along the line, from L5-S1 upwards.

    Returns
    -------
    mapping
        Height along the line, mm, by side; a side on which no ilium is seen is left out.
    """
    heights = np.arange(places[0] - CREST_BELOW_MM, places[-1], BESIDE_STEP_MM)
    found = {}
    for side in Side:
        hu = sample_beside(volume, straight, heights, CREST_AHEAD_MM, CREST_BESIDE_MM, side)
        bone = gaussian_smoothed(hu, BESIDE_SMOOTH_MM / BESIDE_STEP_MM) > CREST_HU
        components, count = ndimage.label(bone, np.ones((3, 3, 3)))
        foot = components[: round(CREST_BELOW_MM / BESIDE_STEP_MM) + 1]
        sizes = np.bincount(foot.ravel(), minlength=count + 1)
        sizes[0] = 0
        ilium = components == int(sizes.argmax())
        if sizes.max() < LEAST_VOXELS[0] or ilium[-1].any():
            continue
        wide = np.flatnonzero(ilium.sum(axis=(1, 2)) >= LEAST_VOXELS[1])
        found[side] = float(heights[wide[-1]])
    return found
