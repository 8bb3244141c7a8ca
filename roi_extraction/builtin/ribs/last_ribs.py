"""The last ribs: whether they are the 12th, or why that cannot be told."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from roi_extraction.anatomy import LevelNaming, NamingRoute
from roi_extraction.builtin.ribs.cage import RibCage, RibLevel, way_seen
from roi_extraction.builtin.ribs.rib_track import ROOT_MM
from roi_extraction.builtin.ribs.tips import MEASURED_FROM_MM, RibLength, rib_length
from roi_extraction.builtin.straighten import StraightSpine
from roi_extraction.errors import LevelsAmbiguous
from roi_extraction.sites import Side
from roi_extraction.volume import CtVolume

__all__ = ["LastRibs", "check_rib_count", "last_ribs", "lengths_tell_twelfth", "route_from_ribs"]

# All numbers of this module were chosen on the development scans (docs/roi.md).

RIB_PAIRS = 12
"""Pairs of ribs that a person is taken to have."""

LAST_MM = (60.0, 175.0)
"""Shortest and longest 12th rib that is known by its length, mm."""

ABOVE_LAST_MM = (185.0, 250.0)
"""Least mean of the 11th ribs beside which it is, and the longest of them, mm: a 10th rib is
longer. Each must be longer than any 12th; one side may be lost early."""

ABOVE_CUT_MM = 180.0
"""The same mean where the tip of one of them is not seen: it is longer than what was followed."""

LENGTH_RATIO = 1.3
"""Least ratio of the mean lengths of the 11th and the 12th ribs."""

LONGEST_PROCESS_MM = 41.0
"""Longest transverse process of a lumbar vertebra, mm: anything longer may be a rib."""

EMPTY_BEYOND_MM = 2.0
"""So much beyond the longest process the way of a rib must lie in the scan, mm, one column in which
tracks are followed: a bone that is seen there is longer than a process."""


@dataclass(frozen=True, eq=False)
class LastRibs:
    """The two lowest levels with ribs, and how long these are.

    Parameters
    ----------
    cage
        All levels.
    last, above
        Lengths of the lowest ribs, and of those above them, by side.
    """

    cage: RibCage
    last: Mapping[Side, RibLength]
    above: Mapping[Side, RibLength]

    def naming(self, route: NamingRoute) -> LevelNaming:
        """How the levels were named, if the lowest ribs are the 12th."""
        lengths = {(12, side): rib.mm for side, rib in self.last.items()}
        lengths |= {(11, side): rib.mm for side, rib in self.above.items()}
        counted = self.cage.counted == RIB_PAIRS
        return LevelNaming(route, lengths, self.cage.pairs, counted)

    def __str__(self) -> str:
        """What was seen, in words."""
        if not self.last:
            return "no rib was followed to the spine"
        words = [f"{self.cage.pairs} pairs of ribs were followed to the spine"]
        words.append(f"the lowest ribs are {_lengths(self.last)} long")
        if self.above:
            words.append(f"those above them {_lengths(self.above)}")
        if self.cage.below:
            reach = ", ".join(
                f"{side} {track.back_lateral_mm - MEASURED_FROM_MM:.0f} mm"
                for side, track in sorted(self.cage.below.items())
            )
            words.append(f"the bones beside the next vertebra {reach}")
        return ", ".join(words)


def last_ribs(volume: CtVolume, straight: StraightSpine, cage: RibCage) -> LastRibs:
    """Measure the ribs of the two lowest levels.

    Takes about 0.1 CPU seconds.
    """

    def lengths(level: RibLevel, above: Mapping[Side, RibLength]) -> Mapping[Side, RibLength]:
        return {
            side: rib_length(volume, straight, rib, above.get(side))
            for side, rib in level.ribs.items()
        }

    above: Mapping[Side, RibLength] = {}
    last: Mapping[Side, RibLength] = {}
    for level in cage.levels[1::-1]:
        above, last = last, lengths(level, last)
    return LastRibs(cage, last, above)


def check_rib_count(ribs: LastRibs) -> None:
    """Refuse a person with another number of ribs.

    Raises
    ------
    LevelsAmbiguous
        The pairs were counted from the first rib, and there are not twelve.
    """
    counted = ribs.cage.counted
    if counted is not None and counted != RIB_PAIRS:
        raise LevelsAmbiguous(
            f"{counted} pairs of ribs were counted from the first, not {RIB_PAIRS}: the names of "
            f"the levels may be shifted ({ribs})"
        )


def route_from_ribs(volume: CtVolume, straight: StraightSpine, ribs: LastRibs) -> NamingRoute:
    """Tell whether the lowest ribs are the 12th.

    Returns
    -------
    route
        ``RIBS_COUNT`` or ``RIBS_PAIR``.

    Raises
    ------
    LevelsAmbiguous
        They may be others.
    """
    check_rib_count(ribs)
    levels = ribs.cage.levels
    if len(levels) < 2 or not all(level.is_pair for level in levels[:2]):
        raise LevelsAmbiguous(f"the two lowest pairs of ribs are not seen on both sides ({ribs})")
    longest = max(
        (track.back_lateral_mm - MEASURED_FROM_MM for track in ribs.cage.below.values()),
        default=0.0,
    )
    if longest > LONGEST_PROCESS_MM:
        raise LevelsAmbiguous(
            f"below the lowest long ribs lie bones of {longest:.0f} mm, short 12th ribs or lumbar "
            f"ones ({ribs})"
        )
    last, above = (np.array([rib.mm for rib in part.values()]) for part in (ribs.last, ribs.above))
    counted = ribs.cage.counted == RIB_PAIRS and bool((last <= LAST_MM[1]).all())
    tips_seen = all(rib.to_tip for rib in ribs.last.values())
    # twelve counted pairs, the last as short as a 12th, name L1 whether or not it bears a rib
    if not (counted and tips_seen and (last >= LAST_MM[0]).all()):
        next_root_mm = 2 * levels[0].root_mm - levels[1].root_mm
        outwards_mm = MEASURED_FROM_MM + LONGEST_PROCESS_MM + EMPTY_BEYOND_MM - ROOT_MM
        if not all(way_seen(volume, straight, next_root_mm, side, outwards_mm) for side in Side):
            raise LevelsAmbiguous(
                "the scan does not show whether there are ribs below the lowest that it shows "
                f"({ribs})"
            )
    if counted:
        return NamingRoute.RIBS_COUNT
    if not tips_seen:
        raise LevelsAmbiguous(
            f"the tips of the lowest ribs are not seen, which may be the 11th or the 12th ({ribs})"
        )
    whole = all(rib.to_tip for rib in ribs.above.values())
    if not lengths_tell_twelfth(last, above, above_whole=whole):
        raise LevelsAmbiguous(
            f"the lengths of the lowest ribs do not tell the 12th from the 11th ({ribs})"
        )
    return NamingRoute.RIBS_PAIR


def lengths_tell_twelfth(
    last_mm: npt.NDArray[np.float64], above_mm: npt.NDArray[np.float64], *, above_whole: bool
) -> bool:
    """Whether the lowest ribs are as long as 12th ribs below 11th ones.

    Parameters
    ----------
    last_mm, above_mm
        float64, shape (2,): lengths of the lowest pair and of the pair above it, mm.
    above_whole
        Whether those above were followed to their tips; else they are longer.

    Examples
    --------
    >>> lengths_tell_twelfth(
    ...     np.array([135.0, 130.0]), np.array([201.0, 212.0]), above_whole=True
    ... )
    True
    """
    return bool(
        ((last_mm >= LAST_MM[0]) & (last_mm <= LAST_MM[1])).all()
        and ((above_mm > LAST_MM[1]) & (above_mm <= ABOVE_LAST_MM[1])).all()
        and above_mm.mean() >= (ABOVE_LAST_MM[0] if above_whole else ABOVE_CUT_MM)
        and above_mm.mean() >= LENGTH_RATIO * last_mm.mean()
    )


def _lengths(ribs: Mapping[Side, RibLength]) -> str:
    return " and ".join(
        f"{rib.mm:.0f} mm ({side}{'' if rib.to_tip else ', cut or lost'})"
        for side, rib in sorted(ribs.items())
    )
