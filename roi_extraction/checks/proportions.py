"""Width and depth of the lumbar bodies: whether the pixel spacing can be right."""

from dataclasses import dataclass

import numpy as np

from roi_extraction.anatomy import Anatomy, Region
from roi_extraction.sites import Level
from roi_extraction.volume import CtVolume

__all__ = ["BodyProportions", "body_proportions"]

MEASURED_LEVELS = (Level.L1, Level.L2, Level.L3, Level.L4)
"""Bodies that are measured: slices cut L5 and S1 too obliquely."""

WIDTH_MM = (32.0, 68.0)
"""Believable median width, mm: means are 41-52 from L1 to L5 (Panjabi 1992,
doi 10.1097/00007632-199203000-00010), with room for small women, large men and osteophytes."""

WIDTH_TO_DEPTH = (0.95, 1.75)
"""Believable median ratio of width to depth: means are 1.2-1.4 (Panjabi 1992); an arthritic scan
pitched by 12 degrees came down to 1.08."""


@dataclass(frozen=True)
class BodyProportions:
    """Medians over the bodies of L1 to L4 that were outlined.

    Parameters
    ----------
    width_mm, depth_mm
        Four times the standard deviation of the outline's area along left-right and along
        front-back: the axes of the ellipse of the same moments.
    """

    width_mm: float
    depth_mm: float

    @property
    def believable(self) -> bool:
        """Whether bodies have such proportions."""
        ratio = self.width_mm / self.depth_mm
        return (
            WIDTH_MM[0] <= self.width_mm <= WIDTH_MM[1]
            and WIDTH_TO_DEPTH[0] <= ratio <= WIDTH_TO_DEPTH[1]
        )


def body_proportions(volume: CtVolume, anatomy: Anatomy) -> BodyProportions | None:
    """Measure the outlines of the bodies; None when fewer than two of L1 to L4 were outlined."""
    sizes = []
    for level in MEASURED_LEVELS:
        region = anatomy.regions.get(level.value)
        if isinstance(region, Region):
            points = np.argwhere(region.slices[1].mask) * volume.spacing_mm[1:]
            sizes.append(4 * points.std(axis=0))
    if len(sizes) < 2:
        return None
    depth_mm, width_mm = np.median(sizes, axis=0)
    return BodyProportions(float(width_mm), float(depth_mm))
