"""The lumbar spine found and named, or refused with the reason."""

import numpy as np
import numpy.typing as npt

from roi_extraction.anatomy import Finding, Landmark, SpineLandmarks
from roi_extraction.builtin.canal import find_canal
from roi_extraction.builtin.contour import RAY_ANGLES, closed_contour
from roi_extraction.builtin.discs import BODY_AHEAD_MM, DiscProfile, disc_profile
from roi_extraction.builtin.grid import coarse_grid
from roi_extraction.builtin.levels import Chain, candidate_chains, extended
from roi_extraction.builtin.straighten import (
    AHEAD_MM,
    SIDE_MM,
    STEP_MM,
    StraightSpine,
    straighten,
)
from roi_extraction.errors import (
    FieldOfViewTooSmall,
    InvalidVolume,
    LevelsAmbiguous,
    LevelsNotCovered,
)
from roi_extraction.sites import DiscLevel, Level
from roi_extraction.volume import CtVolume

__all__ = ["find_spine"]

MAX_SLICE_STEP_MM = 5.0
"""Largest slice step, mm: with coarser steps levels shift at high confidence."""

MIN_CANAL_SCORE = 0.55
"""Lowest mean canal score over the lumbar discs."""

MIN_STEP = 0.2
"""Smallest step of lateral bone across L5-S1."""

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

S1_BELOW_MM = 15.0
"""The centre of S1 below the L5-S1 disc, mm."""


def find_spine(volume: CtVolume) -> SpineLandmarks:
    """Find and name the lumbar spine.

    Raises
    ------
    InvalidVolume
        The slices are too far apart.
    SpineNotFound
        No canal could be followed.
    FieldOfViewTooSmall, LevelsNotCovered
        The scan lacks what naming needs.
    LevelsAmbiguous
        The levels cannot be named with confidence.
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
    chain, margin = _chosen(chains, straight)
    discs = extended(chain, straight, profile)
    if len(discs) < FEWEST_DISCS:
        raise LevelsNotCovered(
            (Level.L1, Level.L2, Level.L3), "fewer than three discs could be recognised with care"
        )
    return _landmarks(straight, profile, chain, discs, margin)


def _chosen(chains: list[Chain], straight: StraightSpine) -> tuple[Chain, float]:
    if not chains:
        raise LevelsNotCovered(
            tuple(Level), "fewer than four neighbouring discs could be recognised"
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
    if signs.step < MIN_STEP or signs.below < MIN_BELOW:
        raise LevelsAmbiguous(
            f"no sacrum recognised below the lowest disc (bone beside the spine "
            f"{signs.below:.2f} below it, {signs.above:.2f} above it)"
        )
    if lowest * STEP_MM < MIN_SACRAL_CANAL_MM and not straight.reaches_bottom:
        raise LevelsAmbiguous(
            f"the canal is lost {lowest * STEP_MM:.0f} mm below the lowest disc, too early for the "
            f"sacrum's"
        )
    if lowest * STEP_MM < MIN_SACRAL_CANAL_MM and signs.step < CLEAR_STEP:
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


def _landmarks(
    straight: StraightSpine,
    profile: DiscProfile,
    chain: Chain,
    places: tuple[int, ...],
    margin: float,
) -> SpineLandmarks:
    sure = float(np.clip(margin / (3 * MIN_MARGIN), 0, 1))
    names = tuple(DiscLevel)[::-1]
    levels = (Level.L5, Level.L4, Level.L3, Level.L2, Level.L1)
    bodies: dict[Level, Landmark] = {}
    offsets: list[tuple[float, float]] = []
    gaps = np.diff(places)
    for number, level in enumerate(levels):
        if number + 1 < len(places):
            low, high = places[number], places[number + 1]
            certain = sure
        elif number < len(places):
            # the disc above is not seen: the body is placed by the spacing below it
            low = places[number]
            high = low + round(float(np.median(gaps)) * 0.97)
            if high + 3 > np.flatnonzero(profile.seen)[-1]:
                break
            certain = 0.5 * sure
        else:
            break
        middle = (low + high) / 2
        ahead, side = _body_offset(straight, round(middle))
        offsets.append((ahead, side))
        tilt = tuple(
            float(np.mean([t[low], t[min(high, len(t) - 1)]])) if certain == sure else float(t[low])
            for t in (profile.pitch_deg, profile.lean_deg)
        )
        bodies[level] = _landmark(straight, middle, ahead, side, tilt, certain)
    discs: dict[DiscLevel, Landmark] = {}
    for number, (name, s) in enumerate(zip(names, places, strict=False)):
        near = offsets[max(0, number - 1) : number + 1]
        ahead, side = np.mean(near, axis=0)
        tilt = (float(profile.pitch_deg[s]), float(profile.lean_deg[s]))
        # the disc was found at the middle of the window, not at the body's own middle
        rise = (ahead - np.mean(BODY_AHEAD_MM)) * np.tan(np.deg2rad(tilt[0]))
        discs[name] = _landmark(straight, s + rise, ahead, side, tilt, sure)
    lowest = discs[DiscLevel.L5_S1]
    bodies[Level.S1] = Landmark(
        lowest.centre_lps_mm - S1_BELOW_MM * lowest.axis, lowest.axis, lowest.confidence
    )
    findings = (
        Finding(
            "levels.five_lumbar_assumed",
            "Levels were counted upwards from the sacrum; that there are five lumbar vertebrae is "
            "assumed, a transitional vertebra would shift the names.",
        ),
    )
    return SpineLandmarks(straight.canal_lps_mm, bodies, discs, sure, findings)


def _landmark(
    straight: StraightSpine,
    s_mm: float,
    ahead_mm: float,
    side_mm: float,
    tilt_deg: tuple[float, ...],
    confidence: float,
) -> Landmark:
    plane = int(np.clip(round(s_mm / STEP_MM), 0, len(straight.along) - 1))
    pitch, lean = np.tan(np.deg2rad(tilt_deg))
    axis = straight.along[plane] - pitch * straight.ahead[plane] - lean * straight.side[plane]
    return Landmark(
        straight.to_lps(s_mm, ahead_mm, side_mm), axis / np.linalg.norm(axis), confidence
    )


def _body_offset(straight: StraightSpine, plane: int) -> tuple[float, float]:
    """The body's own middle in a plane, mm forward of the line and to the left of it."""
    image = straight.hu[max(0, plane - 3) : plane + 4].mean(axis=0)[::-1]
    step = float(AHEAD_MM[1] - AHEAD_MM[0])
    ahead, side = float(np.mean(BODY_AHEAD_MM)), 0.0
    for _ in range(2):
        centre = ((AHEAD_MM[-1] - ahead) / step, (side - SIDE_MM[0]) / step)
        # the back wall lies no farther than the canal's place behind the line
        limit = _behind(ahead + 17.0)
        radius, _ = closed_contour(image, centre, (step, step), limit)
        shift_side, shift_back = _centroid(radius)
        ahead, side = ahead - shift_back, side + shift_side
    return ahead, side


def _behind(back_mm: float) -> npt.NDArray[np.float64]:
    """Largest radius on each ray that stays in front of a wall ``back_mm`` behind the centre."""
    backward = np.sin(RAY_ANGLES)
    limit = np.full(len(RAY_ANGLES), np.inf)
    limit[backward > 0.05] = back_mm / backward[backward > 0.05]
    return limit


def _centroid(radius_mm: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The centroid (column, row), mm from the centre, of the area inside a polar contour."""
    weight = radius_mm**2
    cubed = radius_mm**3 * 2 / 3
    return (
        float((cubed * np.cos(RAY_ANGLES)).sum() / weight.sum()),
        float((cubed * np.sin(RAY_ANGLES)).sum() / weight.sum()),
    )
