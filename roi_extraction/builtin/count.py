"""Whether ribs and iliac crests agree with the names that were counted from the sacrum."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from roi_extraction.anatomy import Finding
from roi_extraction.builtin.iliac_crest import iliac_crests_mm
from roi_extraction.builtin.ribs.cage import way_seen
from roi_extraction.builtin.ribs.last_ribs import LastRibs, check_rib_count
from roi_extraction.builtin.straighten import LINE_STEP_MM, StraightSpine
from roi_extraction.errors import LevelsAmbiguous
from roi_extraction.sites import Side
from roi_extraction.volume import CtVolume

__all__ = ["CountCheck", "check_count"]

DISCS_TO_T12 = 6
"""Discs from L5-S1 to T12-L1."""

AT_T12 = (-0.1, 0.9)
"""Height of T12's ribs above the T12-L1 disc, as a share of the discs' spacing: about 0.4; a rib of
L1 lies a whole spacing lower, one of T11 a whole spacing higher."""

CREST_USUAL = (-0.5, 1.0)
"""Usual height of the iliac crests' line above the L4-L5 disc, as a share of the spacing: it meets
the spine at L4 or the L4-L5 disc in 87 % (Chakraverty 2007,
doi 10.1111/j.1469-7580.2006.00686.x), and at the L3-L4 disc in 4 % (Render 1996,
doi 10.1111/j.1365-2044.1996.tb15009.x)."""

CREST_CONFIDENCE = 0.5
"""Factor on the confidence when the crests lie outside `CREST_USUAL`."""

FIVE_ASSUMED = Finding(
    "levels.five_lumbar_assumed",
    "Levels were counted upwards from the sacrum; that there are five lumbar vertebrae is "
    "assumed, since no rib of T12 could be followed: a transitional vertebra would shift the "
    "names.",
)


@dataclass(frozen=True)
class CountCheck:
    """The result of the check.

    Parameters
    ----------
    ribs_agree
        Whether the last ribs were seen at T12.
    confidence
        Factor on the confidence of the naming, 0 to 1.
    findings
        What the reader should know.
    """

    ribs_agree: bool
    confidence: float
    findings: tuple[Finding, ...]


def check_count(
    volume: CtVolume, straight: StraightSpine, places: Sequence[int], ribs: LastRibs
) -> CountCheck:
    """Check the named discs against ribs and iliac crests, as far as these are in the scan.

    Parameters
    ----------
    volume, straight
        The scan, laid straight.
    places
        Planes of the discs along the line, from L5-S1 upwards.
    ribs
        The last ribs.

    Returns
    -------
    check
        How sure the count is, and what to report.

    Raises
    ------
    LevelsAmbiguous
        The lowest ribs are attached to another vertebra than T12, or there are not twelve pairs.
    """
    check_rib_count(ribs)
    spacing_mm = float(np.median(np.diff(places))) * LINE_STEP_MM
    t12_l1_mm = places[-1] * LINE_STEP_MM + (DISCS_TO_T12 - len(places)) * spacing_mm
    agree = _ribs_agree(volume, straight, t12_l1_mm, spacing_mm, ribs)
    findings = [] if agree else [FIVE_ASSUMED]
    crests = iliac_crests_mm(volume, straight, places)
    confidence = 1.0
    if len(crests) == len(Side):
        height = (float(np.mean(list(crests.values()))) - places[1] * LINE_STEP_MM) / spacing_mm
        if not CREST_USUAL[0] <= height <= CREST_USUAL[1]:
            confidence = CREST_CONFIDENCE
            findings.append(
                Finding(
                    "levels.iliac_crests_unusual",
                    f"The iliac crests lie {abs(height):.1f} levels "
                    f"{'above' if height > 0 else 'below'} the L4-L5 disc, which is unusual; the "
                    "names of the levels may be shifted.",
                )
            )
    return CountCheck(agree, confidence, tuple(findings))


def _ribs_agree(
    volume: CtVolume,
    straight: StraightSpine,
    t12_l1_mm: float,
    spacing_mm: float,
    ribs: LastRibs,
) -> bool:
    """Whether T12's ribs were seen at T12; False when no rib can be followed."""
    if not ribs.cage.levels:
        return False
    heights = {
        side: (rib.root_mm - t12_l1_mm) / spacing_mm
        for side, rib in ribs.cage.levels[0].ribs.items()
    }
    if any(height <= AT_T12[0] for height in heights.values()):
        raise LevelsAmbiguous(
            "counted from the sacrum, the lowest ribs would be attached to L1: there are four "
            f"lumbar vertebrae, or a lumbar rib, and the names may be shifted ({ribs})"
        )
    if any(height < AT_T12[1] for height in heights.values()):
        return True
    t12_mm = t12_l1_mm + 0.5 * spacing_mm
    without = [side for side in heights if way_seen(volume, straight, t12_mm, side)]
    if without:
        raise LevelsAmbiguous(
            f"counted from the sacrum, T12 would have no rib ({' and '.join(without)}): there are "
            f"six lumbar vertebrae, or the last rib is missing, and the names may be shifted "
            f"({ribs})"
        )
    return False
