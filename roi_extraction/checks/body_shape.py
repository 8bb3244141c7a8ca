"""Heights of vertebral bodies: how far the endplates lie apart in front, in the middle, behind."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from roi_extraction.anatomy import Anatomy, Landmark, Region
from roi_extraction.endplates import across_and_ahead, disc_distances_mm, endplates_mm
from roi_extraction.sites import Level
from roi_extraction.volume import CtVolume

__all__ = ["BodyHeights", "body_heights", "height_loss"]

OFF_CENTRE = 0.72
"""Where the front and the rear profile lie, as a share of half the body's depth."""


@dataclass(frozen=True)
class BodyHeights:
    """Heights of a body between its endplates, mm."""

    front_mm: float
    middle_mm: float
    rear_mm: float

    @property
    def largest_mm(self) -> float:
        """The largest of the three."""
        return max(self.front_mm, self.middle_mm, self.rear_mm)


def body_heights(volume: CtVolume, anatomy: Anatomy) -> Mapping[Level, BodyHeights]:
    """Measure the lumbar bodies that lie between two known discs.

    Parameters
    ----------
    volume
        The scan.
    anatomy
        Landmarks, and the bodies' outlines.

    Returns
    -------
    mapping
        By level; a body whose endplates were not found is left out.
    """
    found = {}
    for level in (Level.L1, Level.L2, Level.L3, Level.L4, Level.L5):
        body, region = anatomy.spine.bodies.get(level), anatomy.regions.get(str(level))
        if body is None or not isinstance(region, Region):
            continue
        discs_mm = disc_distances_mm(anatomy.spine, level)
        if discs_mm is None:
            continue
        heights = _heights(volume, body, region, discs_mm)
        if heights is not None:
            found[level] = heights
    return found


def height_loss(heights: Mapping[Level, BodyHeights], level: Level) -> tuple[float, str]:
    """Largest loss of height of a body, as a share, and its kind: wedge, biconcave or crush.

    The front is held against the rear wall, the middle against both, the whole against the
    neighbours (Genant 1993, doi 10.1002/jbmr.5650080915).
    """
    own = heights[level]
    order = list(Level)
    at = order.index(level)
    beside = [
        heights[order[k]].largest_mm for k in (at - 1, at + 1) if k >= 0 and order[k] in heights
    ]
    losses = {
        "wedge": 1 - own.front_mm / own.rear_mm,
        "biconcave": 1 - own.middle_mm / (0.5 * (own.front_mm + own.rear_mm)),
    }
    if beside:
        losses["crush"] = 1 - own.largest_mm / float(np.mean(beside))
    kind = max(losses, key=lambda name: losses[name])
    return losses[kind], kind


def _heights(
    volume: CtVolume, body: Landmark, region: Region, discs_mm: tuple[float, float]
) -> BodyHeights | None:
    _, ahead = across_and_ahead(body.axis)
    middle = region.slices[1]
    rows = np.flatnonzero(middle.mask.any(axis=1))
    half_depth = 0.5 * (rows[-1] - rows[0] + 1) * float(volume.spacing_mm[1])
    heights = []
    for forward in (OFF_CENTRE, 0.0, -OFF_CENTRE):
        place = body.centre_lps_mm + forward * half_depth * ahead
        below, above = endplates_mm(volume, place, body.axis, discs_mm)
        heights.append(below + above)
    return BodyHeights(*heights) if np.isfinite(heights).all() else None
