"""Psoas major: followed slice by slice beside the spine, up to L1-L2 and down to S1."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import watershed

from roi_extraction.anatomy import Missing, MissingReason, Region, RegionSlice, SpineLandmarks
from roi_extraction.builtin.psoas_slice import (
    FIELD_SPARE_MM,
    PSOAS_BEHIND_MM,
    PSOAS_LATERAL_MM,
    PSOAS_STEP_MM,
    PsoasSlice,
    SlicesAtSpine,
    half_widths,
    in_field,
    psoas_slices,
)
from roi_extraction.kernels import gaussian_smoothed, rebuilt_below
from roi_extraction.sites import DiscLevel, Side
from roi_extraction.slices import central_slices
from roi_extraction.volume import CtVolume

__all__ = ["psoas_regions", "psoas_track"]

FloatArray = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

# All numbers of this module were chosen on the development scans (docs/roi.md).

PSOAS_MOVE_MM = 5.0
"""How far the centre moves from one slice of the track to the next, mm."""

TRACK_STEP_MM = 4.0
"""Distance between the slices of the track, mm."""

TRACK_GAP_MM = 3 * TRACK_STEP_MM
"""Psoas was not followed to a slice that lies farther than this from the track, mm."""

LEAST_THICKNESS = 0.55
"""Thickness at L5-S1 as a share of that at L4-L5, below which a vessel or bowel was followed."""

LEAST_DEPTH_MM = 1.5
"""Distance to the wall below which a place is no centre of psoas, mm."""

FULL_DEPTH_MM = 14.0
"""Distance to the wall beyond which a place earns nothing more, mm."""

FROM_GUESS_PRICE = 0.25
"""Price of each mm between a centre and the guess, in mm of distance to the wall."""

FROM_EXPECTED_PRICE = 0.15
"""The same between a centre and its expected place."""

PEAK_BLUR_MM = 1.0
"""Gaussian sigma with which the distance to the wall is smoothed before muscles are parted, mm."""

PEAK_PROMINENCE_MM = 1.0
"""Two deep places are two muscles where the narrows between them are this much shallower than
either, mm: noise and fatty streaks make shallower ones within a muscle."""

PELVIC_PROMINENCE_MM = 0.5
"""The same at L5-S1, where vessels and iliacus lie against psoas, mm."""

PEAK_DEPTH_MM = 2.0
"""Smoothed distance to the wall below which a place is no muscle's centre, mm."""

OWN_CENTRE = (0.8, 3.0)
"""Radius around the seed that surely is psoas: a share of the distance to the wall there, and the
least radius, mm."""

FARTHEST_PART = (1.9, 4.0)
"""Radius around the seed beyond which nothing is psoas: that many distances to the wall, and so
many mm more."""

OPENING_STEPS = 2
"""Grid steps by which the muscle is opened to cut off thin parts."""

WALL_STEPS = 2
"""Grid steps by which the muscle at most reaches beyond its core, out to its wall; none at
L5-S1."""

_NOTHING = f"no muscle thicker than {2 * LEAST_DEPTH_MM:.0f} mm near"

START_DISCS = (
    DiscLevel.L3_L4,
    DiscLevel.L4_L5,
    DiscLevel.L2_L3,
    DiscLevel.L5_S1,
    DiscLevel.L1_L2,
)
"""Where psoas is followed from: the first of these that was named. It is thick and by itself at
L3-L4, thinner towards L1, beside iliacus towards S1."""


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
    slices = SlicesAtSpine(volume, spine)
    of_track = _slice_range(volume, spine)
    centres = {
        name: central_slices(volume, disc.centre_lps_mm) for name, disc in spine.discs.items()
    }
    of_discs = [index for three in centres.values() if isinstance(three, tuple) for index in three]
    found: dict[tuple[DiscLevel, Side], _Found | Missing] = {}
    for side in Side:
        indices = sorted({*of_track, *of_discs})
        parts = psoas_slices(slices, side, indices, half_widths(slices, side))
        track = psoas_track(volume, spine, {index: parts[index] for index in of_track})
        for disc in DiscLevel:
            found[disc, side] = _find(volume, side, disc, centres.get(disc), track, parts)
    return {key: _checked(found, *key) for key in found}


def psoas_track(
    volume: CtVolume, spine: SpineLandmarks, parts: Mapping[int, PsoasSlice]
) -> Mapping[int, tuple[float, float]]:
    """Follow psoas through the slices.

    Parameters
    ----------
    volume, spine
        As for `psoas_regions`.
    parts
        One side of the slices of the track, from feet to head, by index.

    Returns
    -------
    mapping
        Its centre by slice index: (behind the canal, lateral of the mid-line), mm.
    """
    indices = list(parts)
    named = [spine.discs[disc] for disc in START_DISCS if disc in spine.discs]
    if not named or not indices:
        return {}
    start = float(volume.to_index(named[0].centre_lps_mm)[0])
    middle = min(indices, key=lambda i: abs(i - start))
    track: dict[int, tuple[float, float]] = {}
    for order in ([i for i in indices if i >= middle], [i for i in indices[::-1] if i <= middle]):
        last: tuple[float, float] | None = track.get(middle)
        last_expected: tuple[float, float] | None = None
        for index in order:
            part = parts[index]
            guess = part.expected
            if last is not None and last_expected is not None:
                guess = (
                    last[0] + part.expected[0] - last_expected[0],
                    last[1] + part.expected[1] - last_expected[1],
                )
            reach = part.stray_mm if last is None else PSOAS_MOVE_MM
            found = _thickest(part, guess, reach)
            last = found or guess
            last_expected = part.expected
            if found is not None:
                track[index] = found
    return track


def _find(
    volume: CtVolume,
    side: Side,
    disc: DiscLevel,
    indices: tuple[int, int, int] | Missing | None,
    track: Mapping[int, tuple[float, float]],
    parts: Mapping[int, PsoasSlice],
) -> _Found | Missing:
    if indices is None:
        return Missing(MissingReason.NOT_FOUND, f"disc {disc} was not found")
    if isinstance(indices, Missing):
        return indices
    if not track:
        return Missing(MissingReason.NOT_FOUND, f"{_NOTHING} its expected place in any slice")
    masks, depths = [], []
    for index in indices:
        part = parts[index]
        if not in_field(volume, part, side):
            text = f"the scan does not show {FIELD_SPARE_MM:.0f} mm around the place of psoas"
            return Missing(MissingReason.OUTSIDE_SCAN, text)
        nearest = min(track, key=lambda i: abs(i - index))
        gap_mm = abs(nearest - index) * volume.slice_step_mm
        if gap_mm > TRACK_GAP_MM:
            text = f"psoas was followed to {gap_mm:.0f} mm from slice {index} only: {_NOTHING} it"
            return Missing(MissingReason.TOO_SMALL, text)
        seed = _thickest(part, track[nearest], PSOAS_MOVE_MM)
        if seed is None:
            text = f"{_NOTHING} where psoas was followed, slice {index}"
            return Missing(MissingReason.TOO_SMALL, text)
        mask = _muscle_around(part, seed, pelvic=disc is DiscLevel.L5_S1)
        pixels = part.frame.to_pixel_mask(volume, mask, PSOAS_BEHIND_MM, PSOAS_LATERAL_MM, side)
        masks.append(RegionSlice(index, pixels))
        depths.append(part.depth_at(seed))
    region = Region((masks[0], masks[1], masks[2]))
    return _Found(region, float(np.median(depths)))


def _thickest(
    part: PsoasSlice, guess: tuple[float, float], reach_mm: float
) -> tuple[float, float] | None:
    """The place farthest from the wall, near a guess and not too far from the expected centre.

    Parameters
    ----------
    part
        The slice.
    guess
        (behind, lateral), mm.
    reach_mm
        Largest distance from the guess, mm.

    Returns
    -------
    centre
        (behind, lateral), mm; None where no tissue is thick enough.
    """
    rows, columns = (
        np.flatnonzero(np.abs(axis_mm - place) <= reach_mm)
        for axis_mm, place in zip((PSOAS_BEHIND_MM, PSOAS_LATERAL_MM), guess, strict=True)
    )
    if not (rows.size and columns.size):
        return None
    behind, lateral = PSOAS_BEHIND_MM[rows, None], PSOAS_LATERAL_MM[None, columns]
    from_guess = np.hypot(behind - guess[0], lateral - guess[1])
    away = np.hypot(behind - part.expected[0], lateral - part.expected[1])
    depth = np.minimum(part.depth_mm[np.ix_(rows, columns)], FULL_DEPTH_MM)
    score = depth - FROM_GUESS_PRICE * from_guess - FROM_EXPECTED_PRICE * away
    score[(from_guess > reach_mm) | (away > part.stray_mm) | (depth < LEAST_DEPTH_MM)] = -np.inf
    best = np.unravel_index(int(np.argmax(score)), score.shape)
    if not np.isfinite(score[best]):
        return None
    return float(behind[best[0], 0]), float(lateral[0, best[1]])


def _muscle_around(part: PsoasSlice, seed: tuple[float, float], *, pelvic: bool) -> Mask:
    """The muscle around a seed, parted from its neighbours where the tissue is narrow.

    Parameters
    ----------
    part
        The slice.
    seed
        The centre of psoas: (behind, lateral), mm.
    pelvic
        Whether vessels and iliacus lie against it: then it is parted sooner, and ends at its core.

    Returns
    -------
    mask
        bool, shape (behind, lateral) of the slice's grid.
    """
    tissue = part.depth_mm > 0
    i = int(np.argmin(np.abs(PSOAS_BEHIND_MM - seed[0])))
    j = int(np.argmin(np.abs(PSOAS_LATERAL_MM - seed[1])))
    depth = float(part.depth_mm[i, j])
    smooth = gaussian_smoothed(part.depth_mm, PEAK_BLUR_MM / PSOAS_STEP_MM)
    peaks = _stand_out(smooth, PELVIC_PROMINENCE_MM if pelvic else PEAK_PROMINENCE_MM)
    markers, _ = ndimage.label(peaks & (smooth > PEAK_DEPTH_MM))
    rows, columns = np.indices(tissue.shape)
    from_seed = np.hypot(rows - i, columns - j)
    centre = from_seed <= max(depth * OWN_CENTRE[0], OWN_CENTRE[1])
    markers = np.where(centre & tissue, 1, np.where(markers > 0, markers + 1, 0))
    basins = watershed(-smooth, markers, mask=tissue)
    mask = (basins == 1) & (from_seed <= FARTHEST_PART[0] * depth + FARTHEST_PART[1])
    opened = ndimage.binary_opening(mask, iterations=OPENING_STEPS)
    components, _ = ndimage.label(opened)
    if components[i, j]:
        mask = components == components[i, j]
    if not pelvic:
        own = part.muscle & (basins <= 1)
        mask = ndimage.binary_dilation(mask, iterations=WALL_STEPS, mask=own)
    return np.asarray(ndimage.binary_fill_holes(mask))


def _stand_out(height: FloatArray, least: float) -> Mask:
    """Peaks that stand out from their surroundings, as scikit-image's ``h_maxima`` finds them."""
    if least > np.ptp(height):
        return np.zeros(height.shape, dtype=bool)
    lowered = height - least - 2 * np.finfo(height.dtype).resolution * np.abs(height)
    return np.asarray(height - rebuilt_below(lowered, height) >= least)


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
            text = (
                f"{2 * own.depth_mm:.0f} mm thick, less than {LEAST_THICKNESS:.0%} of the "
                f"{2 * above.depth_mm:.0f} mm at L4-L5: a vessel or bowel may have been followed"
            )
            return Missing(MissingReason.IMPLAUSIBLE, text)
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
