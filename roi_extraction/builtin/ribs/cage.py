"""Which tracks are ribs, which ribs are pairs, and which pair is the first and which the last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from roi_extraction.builtin.ribs.rib_track import ROOT_MM, RibTrack
from roi_extraction.builtin.ribs.tracks import rib_tracks
from roi_extraction.builtin.straighten import LINE_STEP_MM, StraightSpine
from roi_extraction.grid import OUTSIDE_HU, sample_hu
from roi_extraction.sites import Side
from roi_extraction.volume import CtVolume

__all__ = ["RibCage", "RibLevel", "find_ribs", "rib_cage", "way_seen"]

# All numbers of this module were chosen on the development scans (docs/roi.md).

MEDIAL_MM, LATERAL_MM = 30.0, 58.0
"""A rib is seen from here or nearer to the spine to here or farther, lateral of the line, mm: a
transverse process ends at 38-54 mm."""

ROOT_AHEAD_MM = (-42.0, -6.0)
"""Where the medial end of a rib lies, forward of the line, mm."""

HINDMOST_MM = -32.0
"""Every rib from the fourth down runs at least this far behind the line, mm: a kidney lies
further forward."""

LEAST_FALL = -0.1
"""Least fall of such a rib outwards, mm per mm."""

LAST_FALL = 0.2
"""Least fall of the last rib, mm per mm: a 12th rib falls by 0.34 or more."""

UPPER_ROOT_AHEAD_MM, UPPER_FALL = 4.0, -0.25
"""Most forward root, mm, and least fall, of the uppermost ribs, which turn forward at once."""

PAIR_MM = 9.0
"""The two ribs of a pair are attached at heights that differ by less than this, mm."""

CONTIGUOUS_MM = 52.0
"""Neighbouring ribs are attached at most this far apart, mm."""

LEVEL_MM = 13.0
"""Neighbouring ribs are attached at least this far apart, mm."""

NEXT_BELOW_MM = (20.0, 46.0)
"""How far below the last rib the bones beside the next vertebra are attached, mm."""

GAP_RATIO = 1.75
"""A gap between two levels this much larger than the smaller one beside it hides a level."""

FIRST_LATERAL_MM = 76.0
"""The first rib turns forward before this distance lateral of the line, mm; the second does not."""

ABOVE_FIRST_MM = 24.0
"""So much of the spine above the first rib must be seen without ribs, mm."""

WAY_MM, WAY_AHEAD_MM, WAY_FALL = 40.0, -36.0, (0.4, 1.2)
"""The way of a rib that would be seen if it were there: how far outwards from `ROOT_MM` and how
far forward of the line, mm, and how much it may fall, mm per mm."""

WAY_STEP_MM = 4.0
"""Distance of the places of that way that are looked at, mm."""

WAY_SEEN_SHARE = 0.95
"""Share of that way that must lie in the scan to say that there is no rib."""


@dataclass(frozen=True, eq=False)
class RibLevel:
    """The ribs of one vertebra, on one side or on both."""

    ribs: Mapping[Side, RibTrack]

    @property
    def root_mm(self) -> float:
        """Height along the line at which they are attached, mm."""
        return float(np.mean([rib.root_mm for rib in self.ribs.values()]))

    @property
    def is_pair(self) -> bool:
        """Whether both ribs were seen."""
        return len(self.ribs) == len(Side)


@dataclass(frozen=True, eq=False)
class RibCage:
    """The ribs that were followed to the spine.

    Parameters
    ----------
    levels
        Neighbouring levels from the last one, nearest to the feet, upwards.
    below
        By side, the longest bone beside the vertebra below the last level: its transverse process,
        or a short rib.
    first_recognised
        Whether the uppermost of them is the first rib, and no level between was skipped: then
        they are counted.
    """

    levels: tuple[RibLevel, ...]
    below: Mapping[Side, RibTrack]
    first_recognised: bool

    @property
    def pairs(self) -> int:
        """How many levels have both ribs."""
        return sum(level.is_pair for level in self.levels)

    @property
    def counted(self) -> int | None:
        """How many levels there are; None unless the first is known."""
        return len(self.levels) if self.first_recognised else None


def find_ribs(volume: CtVolume, straight: StraightSpine, lowest_mm: float) -> RibCage:
    """Find the ribs of both sides and pair them.

    Takes about 0.3 CPU seconds for 300 mm of spine.

    Parameters
    ----------
    volume, straight
        The scan, laid straight.
    lowest_mm
        Height along the line above which ribs are looked for, mm.
    """
    tracks = [track for side in Side for track in rib_tracks(volume, straight, lowest_mm, side)]
    return rib_cage(tracks, len(straight.line_lps_mm) * LINE_STEP_MM)


def rib_cage(tracks: Sequence[RibTrack], line_mm: float) -> RibCage:
    """Tell ribs from other tracks, and pair them.

    Parameters
    ----------
    tracks
        Of both sides.
    line_mm
        Length of the spine's line, mm.
    """
    ribs = _levels([track for track in tracks if _is_rib(track)])
    pairs = [level for level in ribs if level.is_pair]
    if not pairs:
        alone = tuple(level for level in ribs[:1] if _falls(level))
        return RibCage(alone, {}, first_recognised=False)
    levels = [level for level in ribs if level.root_mm <= pairs[-1].root_mm]
    loosely = [track for track in tracks if _is_upper_rib(track)]
    levels[2:] = [_completed(level, loosely) for level in levels[2:]]
    upper = _levels(loosely)
    for level in (level for level in upper if level.is_pair):
        if LEVEL_MM <= level.root_mm - levels[-1].root_mm <= CONTIGUOUS_MM:
            levels.append(level)
    contiguous = [levels[-1]]
    for level in levels[-2::-1]:
        if contiguous[-1].root_mm - level.root_mm > CONTIGUOUS_MM:
            break
        contiguous.append(level)
    while contiguous and not _falls(contiguous[-1]):
        contiguous.pop()
    if not contiguous:
        return RibCage((), {}, first_recognised=False)
    found = tuple(contiguous[::-1])
    return RibCage(found, _below(found[0], tracks), _begins_with_first(found, tracks, line_mm))


def way_seen(
    volume: CtVolume,
    straight: StraightSpine,
    root_mm: float,
    side: Side,
    outwards_mm: float = WAY_MM,
) -> bool:
    """Whether the way of a rib attached at a height lies in the scan, steep or level.

    Parameters
    ----------
    volume, straight
        The scan, laid straight.
    root_mm
        Height along the line at which such a rib would be attached, mm.
    side
        The side.
    outwards_mm
        How far outwards from `ROOT_MM` its way is looked at, mm.
    """
    beside = np.arange(ROOT_MM, ROOT_MM + outwards_mm, WAY_STEP_MM)
    sign = 1.0 if side is Side.LEFT else -1.0
    points = [
        straight.to_lps(root_mm - fall * (place - ROOT_MM), WAY_AHEAD_MM, sign * place)
        for fall in WAY_FALL
        for place in beside
    ]
    seen = sample_hu(volume, np.array(points)) > OUTSIDE_HU + 1
    return float(seen.mean()) >= WAY_SEEN_SHARE


def _is_rib(track: RibTrack) -> bool:
    """Whether a track is a rib from the fourth down."""
    return (
        track.medial_mm <= MEDIAL_MM
        and track.back_lateral_mm >= LATERAL_MM
        and ROOT_AHEAD_MM[0] <= track.root_ahead_mm <= ROOT_AHEAD_MM[1]
        and track.hindmost_mm <= HINDMOST_MM
        and track.fall >= LEAST_FALL
    )


def _falls(level: RibLevel) -> bool:
    """Whether a level may be the last: its ribs fall, as a process with the kidney does not."""
    return all(rib.fall >= LAST_FALL for rib in level.ribs.values())


def _is_upper_rib(track: RibTrack) -> bool:
    """Whether a track may be one of the uppermost ribs."""
    return (
        track.medial_mm <= MEDIAL_MM
        and track.lateral_mm >= LATERAL_MM
        and ROOT_AHEAD_MM[0] <= track.root_ahead_mm <= UPPER_ROOT_AHEAD_MM
        and track.fall >= UPPER_FALL
    )


def _levels(ribs: Sequence[RibTrack]) -> list[RibLevel]:
    """The ribs of both sides by the height of their roots, from feet to head."""
    waiting = sorted(ribs, key=lambda rib: rib.root_mm)
    levels: list[RibLevel] = []
    for rib in waiting:
        last = levels[-1] if levels else None
        if last is None or rib.root_mm - last.root_mm >= PAIR_MM:
            levels.append(RibLevel({rib.side: rib}))
        elif rib.side not in last.ribs or rib.mean_hu > last.ribs[rib.side].mean_hu:
            levels[-1] = RibLevel({**last.ribs, rib.side: rib})
    return levels


def _completed(level: RibLevel, loosely: Sequence[RibTrack]) -> RibLevel:
    """A level with a rib of one side only, and its fellow if that meets the looser limits."""
    fellows = [
        track
        for track in loosely
        if track.side not in level.ribs and abs(track.root_mm - level.root_mm) < PAIR_MM
    ]
    if not fellows:
        return level
    nearest = min(fellows, key=lambda track: abs(track.root_mm - level.root_mm))
    return RibLevel({**level.ribs, nearest.side: nearest})


def _below(last: RibLevel, tracks: Sequence[RibTrack]) -> Mapping[Side, RibTrack]:
    """The longest bone of each side beside the next vertebra."""
    near = [
        track
        for track in tracks
        if track.medial_mm <= MEDIAL_MM
        and NEXT_BELOW_MM[0] <= last.root_mm - track.root_mm <= NEXT_BELOW_MM[1]
        and track.root_ahead_mm <= ROOT_AHEAD_MM[1]
    ]
    return {track.side: track for track in sorted(near, key=lambda track: track.back_lateral_mm)}


def _begins_with_first(
    levels: Sequence[RibLevel], tracks: Sequence[RibTrack], line_mm: float
) -> bool:
    """Whether the uppermost level is the first rib's, and none between was skipped."""
    if len(levels) < 3 or not all(level.is_pair for level in levels):
        return False
    gaps = [above.root_mm - below.root_mm for below, above in pairwise(levels)]
    # the heights of the first rib and of the second are close to each other in some
    if any(max(pair) > GAP_RATIO * min(pair) for pair in pairwise(gaps[:-1])):
        return False
    first, second = levels[-1], levels[-2]
    above = [
        track
        for track in tracks
        if track.root_mm > first.root_mm + LEVEL_MM
        and track.medial_mm <= MEDIAL_MM
        and track.lateral_mm >= LATERAL_MM
    ]
    return (
        all(rib.lateral_mm < FIRST_LATERAL_MM for rib in first.ribs.values())
        and all(rib.lateral_mm >= FIRST_LATERAL_MM for rib in second.ribs.values())
        and line_mm - first.root_mm >= ABOVE_FIRST_MM
        and not above
    )
