"""The lumbar spine named downwards from the 12th ribs, where the sacrum alone does not name it."""

import numpy as np

from roi_extraction.anatomy import Finding, NamingRoute, SpineLandmarks
from roi_extraction.builtin.discs import DiscProfile
from roi_extraction.builtin.landmarks import landmarks
from roi_extraction.builtin.ribs.cage import find_ribs
from roi_extraction.builtin.ribs.discs_below import USUAL_DOWNWARDS_MM, discs_below_ribs
from roi_extraction.builtin.ribs.last_ribs import LastRibs, last_ribs, route_from_ribs
from roi_extraction.builtin.straighten import LINE_STEP_MM, StraightSpine
from roi_extraction.errors import LevelsAmbiguous
from roi_extraction.sites import DiscLevel, Level
from roi_extraction.volume import CtVolume

__all__ = ["MIN_CANAL_SCORE", "named_from_ribs"]

LOWEST_RIB_MM = -10.0
"""Height along the line above which ribs are looked for, mm: bones that leave the spine in the
scan may fall below its end."""

LUMBAR_USUAL_MM = USUAL_DOWNWARDS_MM[1:]
"""Usual distances from T12-L1 downwards to L5-S1, mm."""

COUNT_TOLERANCE = 0.4
"""Deviation from five, in vertebrae, of the distance between the 12th ribs and the sacrum, at which
there may be four or six."""

MIN_CANAL_SCORE = 0.55
"""Lowest mean canal score over the named discs."""

RIBS_CONFIDENCE = 0.7
"""Confidence of a naming from the ribs alone."""

TWELVE_ASSUMED = Finding(
    "levels.twelve_ribs_assumed",
    "Levels were counted downwards from the lowest ribs, which are as long as the 12th beside the "
    "11th; that there are twelve pairs is assumed, since the first is not in the scan.",
)


def named_from_ribs(
    volume: CtVolume, straight: StraightSpine, profile: DiscProfile, sacrum_mm: float | None
) -> SpineLandmarks:
    """Name L1 to L4, as far as their discs are in the scan.

    L5 and S1 are left out: a transitional vertebra would be taken for them.

    Parameters
    ----------
    volume, straight, profile
        The scan, laid straight, and its disc signal.
    sacrum_mm
        Height along the line of the disc above the sacrum if one is seen, mm.

    Raises
    ------
    LevelsNotCovered
        The disc below L1 is not in the scan.
    LevelsAmbiguous
        The last ribs may not be the 12th, the discs below them are not seen with confidence, or
        the sacrum lies where four or six lumbar vertebrae would put it.
    """
    cage = find_ribs(volume, straight, LOWEST_RIB_MM)
    ribs = last_ribs(volume, straight, cage)
    route = route_from_ribs(volume, straight, ribs)
    discs = discs_below_ribs(straight, profile, *(level.root_mm for level in cage.levels[:2]))
    canal = float(straight.canal_score[discs[0] : discs[-1] + 1].mean())
    if canal < MIN_CANAL_SCORE:
        raise LevelsAmbiguous(f"the canal is seen too poorly to name levels (score {canal:.2f})")
    if sacrum_mm is not None:
        _check_sacrum(discs, sacrum_mm, ribs)
    lowest = tuple(DiscLevel)[len(discs) - 2]
    findings = () if route is NamingRoute.RIBS_COUNT else (TWELVE_ASSUMED,)
    spine = landmarks(
        volume, straight, profile, lowest, discs, RIBS_CONFIDENCE, findings, ribs.naming(route)
    )
    if Level.L1 not in spine.bodies:
        raise LevelsAmbiguous("the line of the bodies is lost below the 12th ribs")
    return spine


def _check_sacrum(discs: tuple[int, ...], sacrum_mm: float, ribs: LastRibs) -> None:
    """Refuse where the sacrum does not begin five vertebrae below the last ribs.

    Parameters
    ----------
    discs
        Planes of the discs from the lowest upwards to T12-L1.
    sacrum_mm
        Height of the disc above the sacrum, mm.
    ribs
        For the message.
    """
    gaps = np.diff(discs)[::-1] * LINE_STEP_MM
    scale = float(np.median(gaps / np.array(LUMBAR_USUAL_MM[: len(gaps)])))
    below = np.concatenate([[0.0], np.cumsum(LUMBAR_USUAL_MM)]) * scale
    down_mm = discs[-1] * LINE_STEP_MM - sacrum_mm
    step = float(np.diff(below).mean())
    lumbar = len(below) - 1 + (down_mm - float(below[-1])) / step
    if abs(lumbar - len(LUMBAR_USUAL_MM)) > COUNT_TOLERANCE:
        raise LevelsAmbiguous(
            f"the sacrum seems to begin {lumbar:.1f} vertebrae below the 12th ribs, not "
            f"{len(LUMBAR_USUAL_MM)}: there may be a transitional vertebra ({ribs})"
        )
