"""Signs that a disc is the lowest one: what lies beside, below and in front of it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from roi_extraction.builtin.bone import bone_share
from roi_extraction.builtin.discs import EMPTY_HU, DiscProfile
from roi_extraction.builtin.straighten import (
    LINE_STEP_MM,
    PLANE_AHEAD_MM,
    PLANE_SIDE_MM,
    StraightSpine,
)

__all__ = ["SacralSigns", "lateral_bone", "sacral_signs"]

# All numbers of this module were chosen on the development scans (docs/roi.md).

ALA_MM = ((-26.0, 4.0), (26.0, 50.0))
"""Where the sacral ala lies: forward of the line, and to each side of it, mm."""

ILIUM_MM = ((-40.0, 10.0), (52.0, 74.0))
"""Where the ilium lies, mm."""

SACRUM_BELOW_MM = (8, 26)
"""Part below the disc that must be sacrum, mm."""

L5_ABOVE_MM = (12, 32)
"""Part above the disc that must be L5, mm."""

NEXT_DISC_MM = (20, 45)
"""Where the next disc would lie below the disc if that were not L5-S1, mm."""

MIN_SEEN = 0.5
"""Share of a window that must lie in the scan."""

UNSEEN_STEP = -0.2
"""Step of lateral bone that is assumed where it is not seen."""

STEP_LIMITS = (-0.3, 0.5)
"""The step of lateral bone counts within these limits."""

STEP_WEIGHT = 4.0
"""Weight of the step of lateral bone across the disc."""

SLOPE_DEG = 20.0
"""Slope at which it speaks neither for nor against L5-S1, and the change of slope that counts in
full, degrees."""

SLOPE_WEIGHT = 0.5
"""Weight of the slope."""

NEXT_DISC_PRICE = 1.5
"""Price of a disc signal below, as strong as the scan's own discs."""


@dataclass(frozen=True)
class SacralSigns:
    """What speaks for a disc being L5-S1.

    Parameters
    ----------
    below, above
        Share of bone beside the spine just below (minimum) and above (mean) the disc, 0 to 1;
        NaN where that lies outside the scan.
    slope_deg
        How much further the disc leans forward than the second and third above it, degrees.
    next_signal
        The strongest disc signal 20-45 mm below, as a share of the scan's own strong discs.
    seen_below_mm
        How far below the disc the surroundings are seen, mm.
    """

    below: float
    above: float
    slope_deg: float
    next_signal: float
    seen_below_mm: float

    @property
    def step(self) -> float:
        """The step of lateral bone across the disc; NaN if not seen."""
        return self.below - self.above

    @property
    def total(self) -> float:
        """The signs together, for comparing chains."""
        step = self.step if np.isfinite(self.step) else UNSEEN_STEP
        slope = np.clip((self.slope_deg - SLOPE_DEG) / SLOPE_DEG, -1, 1)
        return float(
            STEP_WEIGHT * np.clip(step, *STEP_LIMITS)
            + SLOPE_WEIGHT * slope
            - NEXT_DISC_PRICE * min(self.next_signal, 1.0)
        )


def lateral_bone(spine: StraightSpine) -> npt.NDArray[np.float64]:
    """Share of bone in the ala's or the ilium's place, the larger one; NaN where neither is seen.

    Float64, shape (n,).
    """
    return np.asarray(np.fmax(_share(spine, *ALA_MM), _share(spine, *ILIUM_MM)))


def sacral_signs(
    spine: StraightSpine,
    profile: DiscProfile,
    lateral: npt.NDArray[np.float64],
    chain: tuple[int, ...],
    strength: float,
) -> SacralSigns:
    """Gather the signs for the lowest disc of a chain of places along the line.

    Parameters
    ----------
    spine, profile
        The spine laid straight, and its disc signal.
    lateral
        Share of bone beside each plane, as `lateral_bone` returns it.
    chain
        Planes of its discs, the lowest first.
    strength
        Of the scan's own discs, HU.
    """
    s = chain[0]
    below = lateral[max(0, s - SACRUM_BELOW_MM[1]) : max(0, s - SACRUM_BELOW_MM[0])]
    above = lateral[s + L5_ABOVE_MM[0] : s + L5_ABOVE_MM[1]]
    whole = s >= SACRUM_BELOW_MM[1] and bool(np.isfinite(below).all())
    lean = np.rad2deg(np.arctan2(-spine.along[:, 1], spine.along[:, 2])) + profile.pitch_deg
    upper = [lean[c] for c in chain[2:4]]
    lower = profile.signal_hu[max(0, s - NEXT_DISC_MM[1]) : max(0, s - NEXT_DISC_MM[0])]
    seen = np.isfinite(lateral[:s])[::-1]
    return SacralSigns(
        below=float(below.min()) if whole else float("nan"),
        above=float(np.nanmean(above)) if np.isfinite(above).any() else float("nan"),
        slope_deg=float(lean[s] - np.mean(upper)),
        next_signal=float(lower.max(initial=0.0)) / max(strength, 1.0),
        seen_below_mm=float(len(seen) if seen.all() else seen.argmin()) * LINE_STEP_MM,
    )


def _share(
    spine: StraightSpine, ahead_mm: tuple[float, float], side_mm: tuple[float, float]
) -> npt.NDArray[np.float64]:
    rows = (ahead_mm[0] <= PLANE_AHEAD_MM) & (ahead_mm[1] >= PLANE_AHEAD_MM)
    columns = (np.abs(PLANE_SIDE_MM) >= side_mm[0]) & (np.abs(PLANE_SIDE_MM) <= side_mm[1])
    window = spine.hu[:, rows][:, :, columns]
    seen = window > EMPTY_HU
    count = seen.sum(axis=(1, 2))
    share = (bone_share(window) * seen).sum(axis=(1, 2)) / np.maximum(count, 1)
    return np.where(seen.mean(axis=(1, 2)) >= MIN_SEEN, share, np.nan)
