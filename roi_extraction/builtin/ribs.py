"""The lowest ribs, followed to where they are attached: the count's check from above."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roi_extraction.builtin.straighten import (
    BESIDE_SMOOTH_MM,
    BESIDE_STEP_MM,
    StraightSpine,
    sample_beside,
)
from roi_extraction.grid import OUTSIDE_HU, sample_hu
from roi_extraction.sites import Side
from roi_extraction.volume import CtVolume

__all__ = ["LowestRib", "lowest_ribs", "way_seen"]

# All numbers of this module were chosen on the development scans (docs/roi.md).

RIB_BESIDE_MM = np.arange(28.0, 112.1, BESIDE_STEP_MM)
"""Where ribs are followed, lateral of the spine's line, mm: outside the vertebral arch."""

RIB_AHEAD_MM = np.arange(-66.0, -13.9, BESIDE_STEP_MM)
"""Where ribs are followed, forward of the line, mm."""

RIB_HU = 90.0
"""Least HU of a rib, smoothed: above muscle and unenhanced organs."""

PROMINENCE_HU = 40.0
"""How much a rib is denser than all that is wider than `WIDEST_MM`, HU: enhanced kidneys and
filled bowel are not."""

WIDEST_MM = 18.0
"""Width of the widest rib with its blur, mm."""

RIB_CLIP_HU = (-50.0, 400.0)
"""HU are clipped to this before what is wider than a rib is taken away."""

REACH_MM = 58.0
"""A rib extends at least this far lateral of the line, mm: a transverse process does not."""

LENGTH_MM = 22.0
"""Least lateral extent of a rib that is believed, mm."""

LEAST_FALL = 0.15
"""Least fall of a rib outwards, mm per mm."""

THICKEST_MM = 22.0
"""Largest height of a rib's section, mm, in `THICK_PERCENTILE` of its course: the bright rim of an
enhanced kidney is higher."""

THICK_PERCENTILE = 75
"""Share of a rib's course that must be thin enough, percent."""

BACK_MM = -32.0
"""Every rib somewhere runs at least this far behind the line, mm: a kidney lies further forward."""

ROOT_MM = 34.0
"""Where a rib's height is read, lateral of the line, mm: near its tubercle."""

ROOT_SPAN_MM = 26.0
"""Medial part of a rib from which its height at `ROOT_MM` is read, mm."""

FARTHEST_ROOT_MM = 34.0
"""Largest gap between `ROOT_MM` and the medial end of what is seen of a rib, mm."""

FOLLOWED_MM = 44.0
"""A rib that begins no farther lateral of the line was followed to the spine, mm."""

WAY_MM, WAY_AHEAD_MM, WAY_FALL = 40.0, -36.0, (0.4, 1.2)
"""The way of a rib that would be seen if it were there: how far outwards from `ROOT_MM` and how
far forward of the line, mm, and how much it may fall, mm per mm."""

WAY_STEP_MM = 4.0
"""Distance of the places of that way that are looked at, mm."""

WAY_SEEN_SHARE = 0.95
"""Share of that way that must lie in the scan to say that there is no rib."""


@dataclass(frozen=True)
class LowestRib:
    """The lowest rib of a side.

    Parameters
    ----------
    root_mm
        Height at which it meets the vertebra, along the spine's line, mm.
    medial_mm, length_mm
        Its medial end, lateral of the line, and the lateral extent that is seen, mm.
    """

    root_mm: float
    medial_mm: float
    length_mm: float

    @property
    def followed(self) -> bool:
        """Whether it was seen up to the spine, so that it surely is a rib."""
        return self.medial_mm <= FOLLOWED_MM


def lowest_ribs(
    volume: CtVolume, straight: StraightSpine, lowest_mm: float, highest_mm: float
) -> Mapping[Side, LowestRib]:
    """Follow the lowest rib of each side to the spine.

    Parameters
    ----------
    volume, straight
        The scan, laid straight.
    lowest_mm, highest_mm
        Part of the line beside which ribs are looked for.

    Returns
    -------
    mapping
        By side; a side on which no rib is seen is left out.
    """
    heights = np.arange(lowest_mm, highest_mm, BESIDE_STEP_MM)
    found = {}
    for side in Side:
        hu = sample_beside(volume, straight, heights, RIB_AHEAD_MM, RIB_BESIDE_MM, side)
        ribs = [rib for rib in _ribs(hu, heights) if rib is not None]
        if ribs:
            found[side] = min(ribs, key=lambda rib: rib.root_mm)
    return found


def way_seen(volume: CtVolume, straight: StraightSpine, root_mm: float, side: Side) -> bool:
    """Whether the way of a rib attached at a height lies in the scan, steep or level."""
    beside = np.arange(ROOT_MM, ROOT_MM + WAY_MM, WAY_STEP_MM)
    sign = 1.0 if side is Side.LEFT else -1.0
    points = [
        straight.to_lps(root_mm - fall * (place - ROOT_MM), WAY_AHEAD_MM, sign * place)
        for fall in WAY_FALL
        for place in beside
    ]
    seen = sample_hu(volume, np.array(points)) > OUTSIDE_HU + 1
    return float(seen.mean()) >= WAY_SEEN_SHARE


def _ribs(hu: npt.NDArray[np.float32], heights: npt.NDArray[np.float64]) -> list[LowestRib | None]:
    smooth = ndimage.gaussian_filter(hu, BESIDE_SMOOTH_MM / BESIDE_STEP_MM)
    size = round(WIDEST_MM / BESIDE_STEP_MM)
    wide = ndimage.grey_opening(np.clip(smooth, *RIB_CLIP_HU), size=(size, size, size))
    bone = (smooth > RIB_HU) & (smooth - wide > PROMINENCE_HU)
    components, count = ndimage.label(bone, np.ones((3, 3, 3)))
    boxes = ndimage.find_objects(components)
    return [_rib(components[box] == k + 1, box, heights) for k, box in enumerate(boxes[:count])]


def _rib(
    mask: npt.NDArray[np.bool_], box: tuple[slice, ...], heights: npt.NDArray[np.float64]
) -> LowestRib | None:
    """A component as a rib: its middle height at each lateral place; None if it is no rib."""
    beside = RIB_BESIDE_MM[box[2]]
    if beside[-1] < REACH_MM or beside[-1] - beside[0] < LENGTH_MM:
        return None
    if beside[0] > ROOT_MM + FARTHEST_ROOT_MM:
        return None
    if RIB_AHEAD_MM[box[1]][0] > BACK_MM:
        return None
    height = heights[box[0]]
    weight = mask.sum(axis=1)
    middle = (height[:, None] * weight).sum(axis=0) / np.maximum(weight.sum(axis=0), 1)
    kept = weight.sum(axis=0) > 0
    thick = [np.ptp(height[column > 0]) + BESIDE_STEP_MM for column in weight.T[kept]]
    if float(np.percentile(thick, THICK_PERCENTILE)) > THICKEST_MM:
        return None
    beside, middle = beside[kept], middle[kept]
    fall = -float(np.polyfit(beside, middle, 1)[0])
    if fall < LEAST_FALL:
        return None
    near = beside <= beside[0] + ROOT_SPAN_MM
    slope, start = np.polyfit(beside[near], middle[near], 1)
    return LowestRib(
        float(start + slope * ROOT_MM), float(beside[0]), float(beside[-1] - beside[0])
    )
