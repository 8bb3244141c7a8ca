"""Discs named together, from the last ribs downwards."""

from collections.abc import Sequence
from itertools import product
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from roi_extraction.builtin.discs import DiscProfile
from roi_extraction.builtin.levels import (
    DISC_SPACING_MM,
    MAX_OUT_OF_STEP,
    MIN_DISC_SHARE,
    MIN_EXTENSION,
    USUAL_SPACING_MM,
    DiscCandidate,
    candidates,
    chain_score,
    foramen_profile,
    strong_signal,
)
from roi_extraction.builtin.straighten import LINE_STEP_MM, StraightSpine
from roi_extraction.errors import LevelsAmbiguous, LevelsNotCovered
from roi_extraction.sites import Level

__all__ = ["USUAL_DOWNWARDS_MM", "discs_below_ribs"]

Discs: TypeAlias = tuple[DiscCandidate, ...]
FloatArray = npt.NDArray[np.float64]

# All numbers of this module were chosen on the development scans (docs/roi.md).

USUAL_DOWNWARDS_MM = (31.5, *USUAL_SPACING_MM[::-1])
"""Usual distances from the T11-T12 disc downwards to L5-S1, mm; the whole may be scaled."""

T12_ROOT_MM, T11_ROOT_MM = 12.0, 18.0
"""Usual height of the 12th ribs above the T12-L1 disc and of the 11th above T11-T12, mm."""

ROOT_REACH_MM = 11.0
"""Farthest from there that such a disc may lie, mm."""

ROOT_SD_MM, ROOT_PRICE = 5.0, 0.15
"""Price of a squared distance from there, in units of the first."""

SEARCHED_ABOVE_MM = 8.0
"""Discs count up to this height above the roots of the 11th ribs, mm: thoracic ones are thin."""

MIN_LEAD = 0.5
"""Smallest lead of the best discs over others beside the same ribs."""

OTHER_DISC_MM = 8
"""Discs that lie farther apart than this name the levels differently, mm."""

MOST_DISCS = 6
"""Discs of the longest chain: T11-T12 to L4-L5. What lies below is named from the sacrum only: a
transitional vertebra would be taken for L5 or for S1."""


def discs_below_ribs(
    spine: StraightSpine, profile: DiscProfile, t12_root_mm: float, t11_root_mm: float
) -> tuple[int, ...]:
    """Find the discs from T12-L1 downwards.

    Parameters
    ----------
    spine, profile
        The spine laid straight, and its disc signal.
    t12_root_mm, t11_root_mm
        Heights along the line at which the 12th and the 11th ribs are attached, mm.

    Returns
    -------
    places
        Planes of the discs from the lowest upwards to T12-L1, at least two.

    Raises
    ------
    LevelsNotCovered
        The disc below L1 is not in the scan.
    LevelsAmbiguous
        The discs on both sides of L1 are not seen with confidence.
    """
    found, _ = candidates(profile)
    found = [c for c in found if c.s * LINE_STEP_MM <= t11_root_mm + SEARCHED_ABOVE_MM]
    by_t12 = _beside(found, t12_root_mm - T12_ROOT_MM)
    by_t11 = _beside(found, t11_root_mm - T11_ROOT_MM)
    if not by_t12 or not by_t11:
        raise LevelsAmbiguous("no discs were recognised beside the two lowest pairs of ribs")
    if (by_t12[-1].s * LINE_STEP_MM) < DISC_SPACING_MM[0]:
        raise LevelsNotCovered((Level.L1,), "the scan ends in the vertebra below the 12th ribs")
    strength = strong_signal(found)
    pedicle = foramen_profile(spine)
    rated: list[tuple[float, Discs]] = []
    for top, middle, low in product(by_t11, by_t12, found):
        if _spaced(low, middle) and _spaced(middle, top):
            off = np.array([t12_root_mm - T12_ROOT_MM, t11_root_mm - T11_ROOT_MM])
            off -= np.array([middle.s, top.s]) * LINE_STEP_MM
            price = ROOT_PRICE * float(((off / ROOT_SD_MM) ** 2).sum())
            chain: Discs = (low, middle, top)
            rated.append((_score(chain, found, strength, pedicle) - price, chain))
    if not rated:
        raise LevelsAmbiguous(
            "the disc below the vertebra under the lowest ribs was not recognised"
        )
    rated.sort(key=lambda pair: -pair[0])
    score, best = rated[0]
    rivals = [other for other, chain in rated if _differ(chain, best)]
    if score - max(rivals, default=-np.inf) < MIN_LEAD:
        raise LevelsAmbiguous("two ways of finding the discs below the lowest ribs fit alike")
    if min(c.signal_hu for c in best[:2]) < MIN_DISC_SHARE * strength:
        raise LevelsAmbiguous("the discs beside the vertebra under the lowest ribs are too faint")
    longest = _lengthened(best, found, strength, pedicle)
    return tuple(c.s for c in longest[:-1])


def _beside(found: Sequence[DiscCandidate], place_mm: float) -> list[DiscCandidate]:
    return [c for c in found if abs(c.s * LINE_STEP_MM - place_mm) <= ROOT_REACH_MM]


def _spaced(low: DiscCandidate, high: DiscCandidate) -> bool:
    return DISC_SPACING_MM[0] <= (high.s - low.s) * LINE_STEP_MM <= DISC_SPACING_MM[1]


def _differ(chain: Discs, other: Discs) -> bool:
    return any(
        abs(a.s - b.s) * LINE_STEP_MM > OTHER_DISC_MM
        for a, b in zip(chain[:2], other[:2], strict=True)
    )


def _usual_mm(discs: int) -> tuple[float, ...]:
    """Usual distances from the lowest of so many discs upwards to T11-T12, mm."""
    return USUAL_DOWNWARDS_MM[: discs - 1][::-1]


def _score(
    chain: Discs, found: Sequence[DiscCandidate], strength: float, pedicle: FloatArray
) -> float:
    return chain_score(chain, found, strength, pedicle, _usual_mm(len(chain)))


def _lengthened(
    chain: Discs,
    found: Sequence[DiscCandidate],
    strength: float,
    pedicle: FloatArray,
) -> Discs:
    """A chain with the discs found below it; the first that is weak or out of step ends it."""
    while len(chain) < MOST_DISCS:
        base = _score(chain, found, strength, pedicle)
        options = [
            (_score((c, *chain), found, strength, pedicle) - base, (c, *chain))
            for c in found
            if _in_step(c, chain) and c.signal_hu >= MIN_DISC_SHARE * strength
        ]
        gain, longer = max(options, key=lambda pair: pair[0], default=(-np.inf, chain))
        if gain < MIN_EXTENSION:
            break
        chain = longer
    return chain


def _in_step(below: DiscCandidate, chain: Discs) -> bool:
    """Whether a disc lies about where the spacing of the discs above it predicts it."""
    usual = np.array(_usual_mm(len(chain) + 1))
    scale = float(np.median(np.diff([c.s for c in chain]) * LINE_STEP_MM / usual[1:]))
    gap = (chain[0].s - below.s) * LINE_STEP_MM
    return abs(gap / (scale * usual[0]) - 1) <= MAX_OUT_OF_STEP
