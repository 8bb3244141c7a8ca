"""The lumbar spine found and named, or refused with the reason."""

import numpy as np

from roi_extraction.anatomy import LevelNaming, NamingRoute, SpineLandmarks
from roi_extraction.builtin.canal import find_canal
from roi_extraction.builtin.count import check_count
from roi_extraction.builtin.discs import DiscProfile, disc_profile
from roi_extraction.builtin.landmarks import landmarks
from roi_extraction.builtin.levels import Chain, candidate_chains, extended
from roi_extraction.builtin.ribs.cage import find_ribs
from roi_extraction.builtin.ribs.last_ribs import last_ribs
from roi_extraction.builtin.ribs.naming import MIN_CANAL_SCORE, named_from_ribs
from roi_extraction.builtin.sacrum import SacralSigns
from roi_extraction.builtin.straighten import LINE_STEP_MM, StraightSpine, straighten
from roi_extraction.errors import (
    FieldOfViewTooSmall,
    InvalidVolume,
    LevelsAmbiguous,
    LevelsNotCovered,
    RoiError,
)
from roi_extraction.grid import coarse_grid
from roi_extraction.sites import DiscLevel, Level
from roi_extraction.volume import CtVolume

__all__ = ["find_spine"]

MAX_SLICE_STEP_MM = 5.0
"""Largest slice step, mm: with coarser steps levels shift at high confidence."""

MIN_STEP = 0.2
"""Smallest step of lateral bone across L5-S1."""

LIKELY_STEP = 0.1
"""The same of the best chain where the ribs name the levels: it then tells where they must end."""

MIN_BELOW = 0.25
"""Smallest share of lateral bone below L5-S1."""

MIN_MARGIN = 0.8
"""Smallest lead of the best chain over one that starts elsewhere."""

MIN_SACRAL_CANAL_MM = 42.0
"""Canal that must be followed below L5-S1 unless the scan ends, mm: longer than the lumbar
spacing, or the canal may have been lost at L5-S1 and the disc above taken for it."""

CLEAR_STEP = 0.3
"""Step of lateral bone across L5-S1 that is needed when the scan ends in S1."""

ELSEWHERE_MM = 12
"""Chains starting farther apart than this name the levels differently, mm."""

MIN_SACRUM_MM = 26.0
"""Sacrum that must be seen below L5-S1, mm."""

FEWEST_DISCS = 3
"""Fewest believable discs from L5-S1 upwards."""

AGREED_GAIN = 0.5
"""Part of the doubt that is gone when ribs and sacrum agree."""


def find_spine(volume: CtVolume) -> SpineLandmarks:
    """Find and name the lumbar spine, from the sacrum, from the last ribs, or from both.

    Raises
    ------
    InvalidVolume
        The slices are too far apart.
    SpineNotFound
        No canal could be followed.
    FieldOfViewTooSmall, LevelsNotCovered
        The scan lacks what naming needs.
    LevelsAmbiguous
        The levels cannot be named with confidence, or ribs and sacrum contradict each other.
    """
    if volume.slice_step_mm > MAX_SLICE_STEP_MM + 0.01:
        raise InvalidVolume(
            f"slices are {volume.slice_step_mm:.1f} mm apart; naming levels needs "
            f"{MAX_SLICE_STEP_MM:.0f} mm or less"
        )
    grid = coarse_grid(volume)
    straight = straighten(volume, grid, find_canal(grid))
    profile = disc_profile(straight)
    chains = candidate_chains(straight, profile)
    try:
        discs, margin = _discs_above_sacrum(straight, profile, chains)
    except (FieldOfViewTooSmall, LevelsAmbiguous, LevelsNotCovered) as error:
        try:
            return named_from_ribs(volume, straight, profile, _sacrum_mm(chains))
        except (LevelsAmbiguous, LevelsNotCovered) as from_ribs:
            raise _neither(error, from_ribs) from from_ribs
    ribs = last_ribs(volume, straight, find_ribs(volume, straight, discs[1] * LINE_STEP_MM))
    count = check_count(volume, straight, discs, ribs)
    sure = float(np.clip(margin / (3 * MIN_MARGIN), 0, 1)) * count.confidence
    naming = LevelNaming(NamingRoute.SACRUM)
    if count.ribs_agree:
        sure += (1 - sure) * AGREED_GAIN
        naming = ribs.naming(NamingRoute.SACRUM)
    return landmarks(
        volume, straight, profile, DiscLevel.L5_S1, discs, sure, count.findings, naming
    )


def _neither(from_sacrum: RoiError, from_ribs: RoiError) -> RoiError:
    """The refusal of the first way with the reason of the second."""
    if isinstance(from_sacrum, LevelsNotCovered):
        return LevelsNotCovered(
            from_sacrum.missing, f"{from_sacrum.detail}; nor named from the ribs: {from_ribs}"
        )
    return type(from_sacrum)(f"{from_sacrum}; nor named from the ribs: {from_ribs}")


def _recognised(signs: SacralSigns, least_step: float = MIN_STEP) -> bool:
    """Whether a sacrum is seen below a disc."""
    return signs.step >= least_step and signs.below >= MIN_BELOW


def _sacrum_mm(chains: list[Chain]) -> float | None:
    """Height along the line of the disc above the sacrum, if one is seen, mm.

    A chain that fits the discs best needs less bone beside it than one that only shows a sacrum.
    """
    for chain in chains:
        least = LIKELY_STEP if chain is chains[0] else MIN_STEP
        if _recognised(chain.sacral, least):
            return chain.discs[0] * LINE_STEP_MM
    return None


def _discs_above_sacrum(
    straight: StraightSpine, profile: DiscProfile, chains: list[Chain]
) -> tuple[tuple[int, ...], float]:
    """Planes of the discs from L5-S1 upwards, and the lead over other ways of naming."""
    chain, margin = _chosen(chains, straight)
    discs = extended(chain, straight, profile)
    if len(discs) < FEWEST_DISCS:
        raise LevelsAmbiguous("fewer than three discs were recognised with confidence")
    return discs, margin


def _chosen(chains: list[Chain], straight: StraightSpine) -> tuple[Chain, float]:
    if not chains:
        raise LevelsAmbiguous(
            "fewer than four neighbouring discs were recognised, too few to name levels"
        )
    best = chains[0]
    lowest = best.discs[0]
    signs = best.sacral
    if not np.isfinite(signs.below) or signs.seen_below_mm < MIN_SACRUM_MM:
        raise LevelsNotCovered(
            (Level.S1,),
            "too little sacrum, or too narrow a field beside it, below the lowest disc to name it",
        )
    if not np.isfinite(signs.above):
        raise FieldOfViewTooSmall("the field is too narrow to see what lies beside the spine")
    if not _recognised(signs):
        raise LevelsAmbiguous(
            f"no sacrum recognised below the lowest disc (bone beside the spine "
            f"{signs.below:.2f} below it, {signs.above:.2f} above it)"
        )
    if lowest * LINE_STEP_MM < MIN_SACRAL_CANAL_MM and not straight.reaches_bottom:
        raise LevelsAmbiguous(
            f"the vertebral canal is lost {lowest * LINE_STEP_MM:.0f} mm below the lowest disc, "
            "too early for the sacral canal"
        )
    if lowest * LINE_STEP_MM < MIN_SACRAL_CANAL_MM and signs.step < CLEAR_STEP:
        raise LevelsNotCovered(
            (Level.S1,), "too little sacrum is in the scan to tell L5-S1 from L4-L5"
        )
    rivals = [c.score for c in chains if abs(c.discs[0] - lowest) > ELSEWHERE_MM]
    margin = best.score - max(rivals, default=0.0)
    if margin < MIN_MARGIN:
        raise LevelsAmbiguous(f"two ways of naming the discs fit alike (lead {margin:.2f})")
    canal = float(straight.canal_score[lowest : best.discs[-1] + 1].mean())
    if canal < MIN_CANAL_SCORE:
        raise LevelsAmbiguous(f"the canal is seen too poorly to name levels (score {canal:.2f})")
    return best, margin
