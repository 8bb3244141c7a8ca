"""Discs named together, from the sacrum upwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roi_extraction.builtin.bone import bone_share
from roi_extraction.builtin.discs import DiscProfile
from roi_extraction.builtin.sacrum import SacralSigns, lateral_bone, sacral_signs
from roi_extraction.builtin.straighten import (
    LINE_STEP_MM,
    PLANE_AHEAD_MM,
    PLANE_SIDE_MM,
    StraightSpine,
)

__all__ = [
    "DISC_SPACING_MM",
    "MAX_OUT_OF_STEP",
    "MIN_DISC_SHARE",
    "MIN_EXTENSION",
    "USUAL_SPACING_MM",
    "Chain",
    "DiscCandidate",
    "candidate_chains",
    "candidates",
    "chain_score",
    "extended",
    "foramen_profile",
    "strong_signal",
]

# All numbers of this module were chosen on the development scans (docs/roi.md).

MIN_SIGNAL_HU = 12.0
"""Weakest disc signal that is a candidate, HU."""

SIGNAL_BLUR_PLANES = 1.0
"""Gaussian sigma with which the disc signal is smoothed along the line, in planes."""

STRONG_DISCS = 5
"""The median of so many strongest candidates is the strength of the scan's own discs."""

APART_MM = 6
"""Candidates closer than this along the line are one, mm."""

DISC_SPACING_MM = (20.0, 46.0)
"""Shortest and longest distance of two neighbouring discs along the line, mm."""

USUAL_SPACING_MM = (37.0, 36.0, 35.5, 34.5, 33.0)
"""Usual distances from the L5-S1 disc upwards to T12-L1, mm; the whole may be scaled."""

SPACING_SD = 0.13
"""Spread of one distance about the patient's own scale, as a share."""

UNEVEN_PRICE = 0.08
"""Price of a squared deviation of one distance, in units of `SPACING_SD`."""

SCALE_SD = 0.15
"""Spread of the patient's own scale about `USUAL_SPACING_MM`, as a share."""

SCALE_PRICE = 0.2
"""Price of a squared deviation of that scale, in units of `SCALE_SD`."""

SIGNAL_CAP = 1.2
"""A disc's signal counts up to this share of the strength of the scan's own discs."""

SKIPPED_MARGIN_MM = 8
"""A candidate between two discs of a chain, at least so far from both, was skipped, mm."""

PEDICLE_AHEAD_MM = (-32.0, -12.0)
"""Where pedicles and foramina lie, forward of the line, mm."""

PEDICLE_SIDE_MM = (14.0, 24.0)
"""Where they lie to each side of the line, mm."""

FORAMEN_ABOVE_MM = (1, 10)
"""Part above a disc in which the foramen opens, mm."""

PEDICLE_ABOVE_MM = (11, 27)
"""Part above a disc in which the pedicles rise, mm."""

LEAST_PEDICLE_MM = 8
"""The scan must show more than this of that part for it to count, mm."""

PEDICLE_WEIGHT = 1.2
"""Weight of the share of bone at the pedicles less that at the foramen."""

PEDICLE_CAP = 0.6
"""That difference counts up to this size."""

CHAIN_LENGTH = 4
"""Discs of every chain that is compared: L5-S1 to L2-L3."""

MIN_EXTENSION = 0.3
"""Score that a disc above the compared ones must add to be believed."""

MIN_DISC_SHARE = 0.35
"""Weakest disc that is believed, as a share of the scan's own strong discs."""

MAX_OUT_OF_STEP = 0.22
"""Largest deviation of a spacing from the expected one, as a share."""

LONGEST = 6
"""Discs of the longest chain: L5-S1 to T12-L1."""


@dataclass(frozen=True)
class DiscCandidate:
    """A place along the line that may be a disc.

    Parameters
    ----------
    s
        Number of the plane: mm from the lower end of the line.
    signal_hu
        Strength of the disc signal there, HU.
    """

    s: int
    signal_hu: float


@dataclass(frozen=True, eq=False)
class Chain:
    """Discs from L5-S1 upwards.

    Parameters
    ----------
    discs
        Places along the line in mm, from the sacrum towards the head, 4 to 6 of them.
    score
        How well the lowest `CHAIN_LENGTH` discs read, with the sacral signs.
    disc_score
        The same without the sacral signs.
    sacral
        What the surroundings of the lowest disc say about it being L5-S1.
    """

    discs: tuple[int, ...]
    score: float
    disc_score: float
    sacral: SacralSigns


def candidates(profile: DiscProfile) -> tuple[list[DiscCandidate], float]:
    """Local maxima of the disc signal, and the strength of the scan's own strong discs, HU."""
    signal = ndimage.gaussian_filter1d(profile.signal_hu, SIGNAL_BLUR_PLANES)
    top = signal == ndimage.maximum_filter1d(signal, 2 * APART_MM + 1)
    found = [
        DiscCandidate(int(s), float(signal[s]))
        for s in np.flatnonzero(top & (signal > MIN_SIGNAL_HU))
    ]
    return found, strong_signal(found)


def strong_signal(found: Sequence[DiscCandidate]) -> float:
    """Strength of the strong discs among candidates, HU; 0 without any."""
    strong = sorted((c.signal_hu for c in found), reverse=True)[:STRONG_DISCS]
    return float(np.median(strong)) if strong else 0.0


def foramen_profile(spine: StraightSpine) -> npt.NDArray[np.float64]:
    """Share of bone beside the canal in each plane: low at foramina, high at pedicles.

    Parameters
    ----------
    spine
        The spine laid straight, n planes.

    Returns
    -------
    share
        float64, shape (n,), 0 to 1.
    """
    ahead, side = PEDICLE_AHEAD_MM, PEDICLE_SIDE_MM
    rows = (ahead[0] <= PLANE_AHEAD_MM) & (ahead[1] >= PLANE_AHEAD_MM)
    columns = (np.abs(PLANE_SIDE_MM) >= side[0]) & (np.abs(PLANE_SIDE_MM) <= side[1])
    window = spine.hu[:, rows][:, :, columns]
    return bone_share(window).mean(axis=(1, 2)).astype(np.float64)


def candidate_chains(spine: StraightSpine, profile: DiscProfile) -> list[Chain]:
    """The best chain from each candidate for L5-S1, best first."""
    found, strength = candidates(profile)
    pedicle, lateral = foramen_profile(spine), lateral_bone(spine)
    chains = []
    for start in range(len(found)):
        best: tuple[float, tuple[int, ...]] | None = None
        for members in _walks(found, (start,)):
            score = chain_score([found[m] for m in members], found, strength, pedicle)
            if best is None or score > best[0]:
                best = (score, members)
        if best is None:
            continue
        score, members = best
        discs = tuple(found[m].s for m in members)
        signs = sacral_signs(spine, profile, lateral, discs, strength)
        chains.append(Chain(discs, score + signs.total, score, signs))
    return sorted(chains, key=lambda chain: -chain.score)


def extended(chain: Chain, spine: StraightSpine, profile: DiscProfile) -> tuple[int, ...]:
    """A chain's believable discs and those found above them, up to T12-L1.

    The first disc that is weak or out of step ends the chain: a level is left out rather than
    put in a wrong place.
    """
    found, strength = candidates(profile)
    pedicle = foramen_profile(spine)
    by_place = {c.s: c for c in found}
    discs = [by_place[s] for s in chain.discs]
    while len(discs) < LONGEST:
        options = [c for c in found if _in_step(discs, c)]
        if not options:
            break
        base = chain_score(discs, found, strength, pedicle)
        gains = [chain_score([*discs, c], found, strength, pedicle) - base for c in options]
        best = int(np.argmax(gains))
        if gains[best] < MIN_EXTENSION:
            break
        discs.append(options[best])
    kept = discs[:2]
    for disc in discs[2:]:
        if disc.signal_hu < MIN_DISC_SHARE * strength or not _in_step(kept, disc):
            break
        kept.append(disc)
    return tuple(c.s for c in kept)


def chain_score(
    chain: Sequence[DiscCandidate],
    found: Sequence[DiscCandidate],
    strength: float,
    pedicle: npt.NDArray[np.float64],
    usual_mm: Sequence[float] = USUAL_SPACING_MM,
) -> float:
    """How well a chain reads as discs: strong, evenly spaced, none skipped, foramina in place.

    Parameters
    ----------
    chain
        At least two discs, from feet to head.
    found, strength
        Every candidate, and the strength of the scan's own strong discs, HU.
    pedicle
        float64, shape (n,): share of bone beside the canal in each plane.
    usual_mm
        Usual distances of neighbouring discs from the chain's lowest one upwards, mm.
    """
    signal = [min(c.signal_hu / strength, SIGNAL_CAP) for c in chain]
    gaps = np.diff([c.s for c in chain]) * LINE_STEP_MM
    usual = np.array(usual_mm[: len(gaps)])
    scale = float(np.median(gaps / usual))
    uneven = (((gaps / usual / scale) - 1) / SPACING_SD) ** 2
    off_size = ((scale - 1) / SCALE_SD) ** 2
    score = sum(signal) - UNEVEN_PRICE * float(uneven.sum()) - SCALE_PRICE * off_size
    for below, above in pairwise(chain):
        low, high = below.s + SKIPPED_MARGIN_MM, above.s - SKIPPED_MARGIN_MM
        skipped = [c.signal_hu for c in found if low < c.s < high]
        weaker = min(below.signal_hu, above.signal_hu)
        score -= max(0.0, max(skipped, default=0.0) - weaker) / strength
    # pedicles rise from the upper half of a body, foramina open just above a disc: this tells
    # discs from the dark middles of bodies; not asked of L5-S1, where the ala is near
    for disc in chain[1:]:
        opening = pedicle[disc.s + FORAMEN_ABOVE_MM[0] : disc.s + FORAMEN_ABOVE_MM[1]]
        root = pedicle[disc.s + PEDICLE_ABOVE_MM[0] : disc.s + PEDICLE_ABOVE_MM[1]]
        if len(opening) and len(root) > LEAST_PEDICLE_MM:
            rise = np.clip(root.max() - opening.mean(), -PEDICLE_CAP, PEDICLE_CAP)
            score += PEDICLE_WEIGHT * float(rise)
    return score


def _in_step(discs: list[DiscCandidate], above: DiscCandidate) -> bool:
    """Whether a disc lies about where the spacing of the discs below it predicts it."""
    usual = np.array(USUAL_SPACING_MM[: len(discs)])
    scale = float(np.median(np.diff([c.s for c in discs]) * LINE_STEP_MM / usual[:-1]))
    return abs((above.s - discs[-1].s) * LINE_STEP_MM / (scale * usual[-1]) - 1) <= MAX_OUT_OF_STEP


def _walks(found: list[DiscCandidate], members: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Every chain of `CHAIN_LENGTH` discs that begins with ``members``."""
    if len(members) == CHAIN_LENGTH:
        return [members]
    last = found[members[-1]]
    return [
        walk
        for after in range(members[-1] + 1, len(found))
        if DISC_SPACING_MM[0] <= (found[after].s - last.s) * LINE_STEP_MM <= DISC_SPACING_MM[1]
        for walk in _walks(found, (*members, after))
    ]
