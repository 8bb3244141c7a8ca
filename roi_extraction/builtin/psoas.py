"""Psoas major: followed slice by slice beside the spine, from L3-L4 up to L1-L2 and down to S1."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from roi_extraction.anatomy import Missing, MissingReason, Region, RegionSlice, SpineLandmarks
from roi_extraction.builtin.psoas_slice import (
    PSOAS_BEHIND_MM,
    PSOAS_LATERAL_MM,
    half_widths,
    in_field,
    muscle_around,
    psoas_slice,
    thickest,
)
from roi_extraction.sites import DiscLevel, Side
from roi_extraction.slices import central_slices
from roi_extraction.volume import CtVolume

__all__ = ["psoas_regions", "psoas_track"]

FloatArray = npt.NDArray[np.floating[Any]]

PSOAS_MOVE_MM = 5.0
"""How far the centre moves from one slice of the track to the next, mm."""

TRACK_STEP_MM = 4.0
"""Distance between the slices of the track, mm."""


LEAST_THICKNESS = 0.55
"""Thickness at L5-S1 over that at L4-L5, below which a vessel or bowel was followed."""


@dataclass(frozen=True, eq=False)
class _Found:
    region: Region
    depth_mm: float
    """Half the muscle's thickness."""


def psoas_regions(
    volume: CtVolume, spine: SpineLandmarks
) -> Mapping[tuple[DiscLevel, Side], Region | Missing]:
    """Find psoas major at the height of every disc, on both sides.

    Parameters
    ----------
    volume
        The scan.
    spine
        The named spine; only centres, axes and the canal's line are used.

    Returns
    -------
    mapping
        Psoas alone in the three central slices of each disc, or the reason why it was not found.
    """
    found: dict[tuple[DiscLevel, Side], _Found | Missing] = {}
    for side in Side:
        widths = half_widths(volume, spine, side)
        track = psoas_track(volume, spine, side, widths)
        for disc in DiscLevel:
            found[disc, side] = _find(volume, spine, disc, side, track, widths)
    return {key: _checked(found, *key) for key in found}


def psoas_track(
    volume: CtVolume, spine: SpineLandmarks, side: Side, widths_mm: FloatArray
) -> Mapping[int, tuple[float, float]]:
    """Follow psoas through the slices.

    Parameters
    ----------
    volume, spine, side
        As for `psoas_regions`, on one side.
    widths_mm
        The spine's half-width by height, as `half_widths` finds it.

    Returns
    -------
    mapping
        Its centre by slice index: (behind the canal, lateral of the mid-line), mm.
    """
    indices = _slice_range(volume, spine)
    start = spine.discs.get(DiscLevel.L3_L4) or spine.discs.get(DiscLevel.L4_L5)
    if start is None or not indices:
        return {}
    middle = min(indices, key=lambda i: abs(i - float(volume.to_index(start.centre_lps_mm)[0])))
    track: dict[int, tuple[float, float]] = {}
    for order in ([i for i in indices if i >= middle], [i for i in indices[::-1] if i <= middle]):
        last: tuple[float, float] | None = track.get(middle)
        last_expected: tuple[float, float] | None = None
        for index in order:
            part = psoas_slice(volume, spine, side, index, widths_mm)
            guess = part.expected
            if last is not None and last_expected is not None:
                guess = (
                    last[0] + part.expected[0] - last_expected[0],
                    last[1] + part.expected[1] - last_expected[1],
                )
            reach = part.stray_mm if last is None else PSOAS_MOVE_MM
            found = thickest(part, guess, reach)
            last = found or guess
            last_expected = part.expected
            if found is not None:
                track[index] = found
    return track


def _find(
    volume: CtVolume,
    spine: SpineLandmarks,
    disc: DiscLevel,
    side: Side,
    track: Mapping[int, tuple[float, float]],
    widths_mm: FloatArray,
) -> _Found | Missing:
    landmark = spine.discs.get(disc)
    if landmark is None:
        return Missing(MissingReason.NOT_FOUND, f"disc {disc} was not found")
    indices = central_slices(volume, landmark.centre_lps_mm)
    if isinstance(indices, Missing):
        return indices
    if not track:
        return Missing(MissingReason.NOT_FOUND, "psoas could not be followed")
    parts, depths = [], []
    for index in indices:
        part = psoas_slice(volume, spine, side, index, widths_mm)
        if not in_field(volume, part, side):
            return Missing(MissingReason.OUTSIDE_SCAN, "the field does not reach psoas")
        nearest = min(track, key=lambda i: abs(i - index))
        if abs(nearest - index) * volume.slice_step_mm > 3 * TRACK_STEP_MM:
            return Missing(MissingReason.TOO_SMALL, "psoas could not be followed to this level")
        seed = thickest(part, track[nearest], PSOAS_MOVE_MM)
        if seed is None:
            return Missing(MissingReason.TOO_SMALL, f"no muscle beside the spine, slice {index}")
        mask = muscle_around(part, seed)
        pixels = part.frame.to_pixel_mask(volume, mask, PSOAS_BEHIND_MM, PSOAS_LATERAL_MM, side)
        parts.append(RegionSlice(index, pixels))
        depths.append(part.depth_at(seed))
    region = Region((parts[0], parts[1], parts[2]))
    return _Found(region, float(np.median(depths)))


def _checked(
    found: Mapping[tuple[DiscLevel, Side], _Found | Missing], disc: DiscLevel, side: Side
) -> Region | Missing:
    """The region unless it contradicts the level above."""
    own = found[disc, side]
    if isinstance(own, Missing):
        return own
    if disc is DiscLevel.L5_S1:
        above = found[DiscLevel.L4_L5, side]
        if isinstance(above, Missing):
            return Missing(MissingReason.NOT_FOUND, "psoas was not found at L4-L5")
        if own.depth_mm < LEAST_THICKNESS * above.depth_mm:
            return Missing(MissingReason.IMPLAUSIBLE, "much thinner than at L4-L5")
    return own.region


def _slice_range(volume: CtVolume, spine: SpineLandmarks) -> list[int]:
    ends = [float(volume.to_index(disc.centre_lps_mm)[0]) for disc in spine.discs.values()]
    if not ends:
        return []
    half = volume.slices_per_slab // 2
    spare = volume.slab_stride
    first = max(half, round(min(ends)) - spare)
    last = min(volume.shape[0] - 1 - half, round(max(ends)) + spare)
    stride = max(1, round(TRACK_STEP_MM / volume.slice_step_mm))
    return list(range(first, last + 1, stride))
