"""A bone that leaves the spine sideways, as a course beside the straightened line."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from roi_extraction.sites import Side

__all__ = ["ROOT_MM", "RibTrack"]

# All numbers of this module were chosen on the development scans (docs/roi.md).

COMES_FORWARD_MM = 10.0
"""What comes forward so far of its hindmost place, still beside the back muscles, is no bone of
the back wall, mm."""

LOST_MM = 4.5
"""Lateral distance without bone after which it may be another that goes on, mm."""

ROOT_MM = 34.0
"""Where a rib's height is read, lateral of the line, mm: near its tubercle."""

ROOT_SPAN_MM = 26.0
"""Medial part of a track from which its height at `ROOT_MM` is read, mm."""

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RibTrack:
    """A bone that leaves the spine sideways: a rib, or the transverse process of a vertebra.

    Parameters
    ----------
    side
        The patient's side.
    course
        float64, shape (n, 3): height along the line, distance forward of it and lateral of it of
        each place, mm, from the spine outwards.
    mean_hu
        Mean HU along it.
    """

    side: Side
    course: FloatArray
    mean_hu: float

    @property
    def medial_mm(self) -> float:
        """How far lateral of the line it begins, mm."""
        return float(self.course[0, 2])

    @property
    def lateral_mm(self) -> float:
        """How far lateral of the line it was followed, mm."""
        return float(self.course[-1, 2])

    @property
    def back_lateral_mm(self) -> float:
        """The same up to a gap or to where it comes forward, as if lost in an organ, mm."""
        outer = self.course[int(self.course[:, 1].argmin()) :]
        lost = np.diff(outer[:, 2]) > LOST_MM
        lost |= outer[1:, 1] > self.hindmost_mm + COMES_FORWARD_MM
        return float(outer[int(lost.argmax()) if lost.any() else -1, 2])

    @property
    def root_ahead_mm(self) -> float:
        """Where its medial end lies, forward of the line, mm."""
        return float(self.course[0, 1])

    @property
    def hindmost_mm(self) -> float:
        """Its hindmost place, forward of the line (negative: behind it), mm."""
        return float(self.course[:, 1].min())

    @property
    def fall(self) -> float:
        """How much it falls outwards of its root, mm per mm."""
        outer = self.course[self.course[:, 2] >= min(ROOT_MM, self.lateral_mm - ROOT_SPAN_MM)]
        return -float(np.polyfit(outer[:, 2], outer[:, 0], 1)[0])

    @cached_property
    def root_mm(self) -> float:
        """Height along the line at which it meets the vertebra, mm."""
        near = self.course[self.course[:, 2] <= self.course[0, 2] + ROOT_SPAN_MM]
        slope, start = np.polyfit(near[:, 2], near[:, 0], 1)
        return float(start + slope * ROOT_MM)
