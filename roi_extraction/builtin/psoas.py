"""Psoas major: followed slice by slice beside the spine, from L3-L4 up to L1-L2 and down to S1."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import watershed

from roi_extraction.anatomy import Missing, MissingReason, Region, RegionSlice, SpineLandmarks
from roi_extraction.builtin.axial import AxialFrame, axial_frame
from roi_extraction.sites import DiscLevel, Level, Side
from roi_extraction.slices import central_slices
from roi_extraction.volume import CtVolume

__all__ = ["psoas_region", "psoas_track"]

FloatArray = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

STEP_MM = 1.0
BEHIND_MM = np.arange(-75.0, 41.0, STEP_MM)
"""Grid behind (negative: in front of) the canal's centre, mm."""

LATERAL_MM = np.arange(-5.0, 101.0, STEP_MM)
"""Grid lateral of the mid-line, mm."""

TISSUE_HU = (-5.0, 110.0)
"""Muscle in a smoothed image, HU."""

BONE_HU = 150.0
"""Above it cortical bone in a smoothed image, HU: fixes the body's half-width."""

HALF_WIDTH_MM = (19.0, 33.0)
"""Half-widths that lumbar bodies have, mm (Zhou 2000, doi 10.1007/s005860050020)."""

BODY_DEPTH_SHARE = 0.86
"""Half the depth of a body over half its width (48 x 45 to 57 x 50 mm on labelled scans)."""

BODY_GAP_MM = 3.0
"""Rim beyond the body that is not taken for muscle, mm."""

BESIDE_MM = {
    DiscLevel.L1_L2: (7.0, 14.0),
    DiscLevel.L2_L3: (11.0, 9.0),
    DiscLevel.L3_L4: (14.0, 4.0),
    DiscLevel.L4_L5: (20.0, -1.0),
    DiscLevel.L5_S1: (24.0, -20.0),
}
"""Expected centre: lateral of the body's side wall, and behind the disc's centre, mm (labelled
scans)."""

STRAY_MM = {
    DiscLevel.L1_L2: 7.0,
    DiscLevel.L2_L3: 9.0,
    DiscLevel.L3_L4: 11.0,
    DiscLevel.L4_L5: 12.0,
    DiscLevel.L5_S1: 13.0,
}
"""How far from the expected centre psoas is looked for, mm: beyond it lie kidney, quadratus
lumborum and iliacus."""

MOVE_MM = 5.0
"""How far the centre moves from one slice of the track to the next, mm."""

TRACK_STEP_MM = 4.0
"""Distance between the slices of the track, mm."""


@dataclass(frozen=True, eq=False)
class _Slice:
    frame: AxialFrame
    depth_mm: FloatArray
    """Distance to the wall inside muscle-like tissue."""
    expected: tuple[float, float]
    """(behind, lateral) mm."""
    stray_mm: float


def psoas_region(
    volume: CtVolume, spine: SpineLandmarks, disc: DiscLevel, side: Side
) -> Region | Missing:
    """Find psoas major at the height of a disc.

    Parameters
    ----------
    volume
        The scan.
    spine
        The named spine; only centres, axes and the canal's line are used.
    disc, side
        Which level and side.

    Returns
    -------
    region
        Psoas alone in the three central slices, or the reason why it was not found.
    """
    return _region(volume, spine, disc, side, psoas_track(volume, spine, side))


def psoas_track(
    volume: CtVolume, spine: SpineLandmarks, side: Side
) -> Mapping[int, tuple[float, float]]:
    """Follow psoas through the slices.

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
    widths = _half_widths(volume, spine, side)
    for order in ([i for i in indices if i >= middle], [i for i in indices[::-1] if i <= middle]):
        last: tuple[float, float] | None = track.get(middle)
        last_expected: tuple[float, float] | None = None
        for index in order:
            part = _slice(volume, spine, side, index, widths)
            guess = part.expected
            if last is not None and last_expected is not None:
                guess = (
                    last[0] + part.expected[0] - last_expected[0],
                    last[1] + part.expected[1] - last_expected[1],
                )
            reach = part.stray_mm if last is None else MOVE_MM
            found = _thickest(part, guess, reach)
            last = found or guess
            last_expected = part.expected
            if found is not None:
                track[index] = found
    return track


def _region(
    volume: CtVolume,
    spine: SpineLandmarks,
    disc: DiscLevel,
    side: Side,
    track: Mapping[int, tuple[float, float]],
) -> Region | Missing:
    landmark = spine.discs.get(disc)
    if landmark is None:
        return Missing(MissingReason.NOT_FOUND, f"disc {disc} was not found")
    indices = central_slices(volume, landmark.centre_lps_mm)
    if isinstance(indices, Missing):
        return indices
    if not track:
        return Missing(MissingReason.NOT_FOUND, "psoas could not be followed")
    widths = _half_widths(volume, spine, side)
    parts = []
    for index in indices:
        part = _slice(volume, spine, side, index, widths)
        if not _in_field(volume, part, side):
            return Missing(MissingReason.OUTSIDE_SCAN, "the field does not reach psoas")
        nearest = min(track, key=lambda i: abs(i - index))
        if abs(nearest - index) * volume.slice_step_mm > 3 * TRACK_STEP_MM:
            return Missing(MissingReason.TOO_SMALL, "psoas could not be followed to this level")
        seed = _thickest(part, track[nearest], MOVE_MM)
        if seed is None:
            return Missing(MissingReason.TOO_SMALL, f"no muscle beside the spine, slice {index}")
        mask = _around(part, seed)
        pixels = part.frame.to_pixel_mask(volume, mask, BEHIND_MM, LATERAL_MM, side)
        parts.append(RegionSlice(index, pixels))
    return Region((parts[0], parts[1], parts[2]))


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


def _half_widths(volume: CtVolume, spine: SpineLandmarks, side: Side) -> FloatArray:
    """Half-width of the spine by height: float64, shape (n, 2), (z, half-width), mm."""
    rows = []
    for level, landmark in spine.bodies.items():
        if level is Level.S1:
            continue
        indices = central_slices(volume, landmark.centre_lps_mm)
        if isinstance(indices, Missing):
            continue
        found = []
        for index in indices:
            frame = axial_frame(volume, spine, index)
            image = _image(volume, frame, side)
            centre = float((frame.body_xy_mm - frame.canal_xy_mm) @ frame.posterior)
            for row_mm in (centre - 6.0, centre, centre + 4.0):
                line = image[int(np.argmin(np.abs(BEHIND_MM - row_mm)))]
                within = (
                    np.abs(LATERAL_MM - np.mean(HALF_WIDTH_MM)) <= np.ptp(HALF_WIDTH_MM) / 2 + 2
                )
                bone = np.flatnonzero(within & (line > BONE_HU))
                if bone.size:
                    found.append(float(LATERAL_MM[bone[-1]]))
        width = float(np.median(found)) if found else 24.0
        rows.append((float(landmark.centre_lps_mm[2]), float(np.clip(width, *HALF_WIDTH_MM))))
    if not rows:
        return np.array([[0.0, 24.0]])
    return np.array(sorted(rows))


def _image(volume: CtVolume, frame: AxialFrame, side: Side) -> npt.NDArray[np.float32]:
    hu = volume.effective_slice(frame.index)
    return ndimage.gaussian_filter(frame.sample(volume, hu, BEHIND_MM, LATERAL_MM, side), 1.5)


def _slice(
    volume: CtVolume, spine: SpineLandmarks, side: Side, index: int, widths: FloatArray
) -> _Slice:
    frame = axial_frame(volume, spine, index)
    image = _image(volume, frame, side)
    centre = float((frame.body_xy_mm - frame.canal_xy_mm) @ frame.posterior)
    discs = sorted(spine.discs, key=lambda d: float(spine.discs[d].centre_lps_mm[2]))
    heights = [float(spine.discs[d].centre_lps_mm[2]) for d in discs]
    mid = volume.to_index(spine.discs[discs[0]].centre_lps_mm)
    z = float(volume.to_lps([index, mid[1], mid[2]])[2])
    half_width = float(np.interp(z, widths[:, 0], widths[:, 1]))
    lateral = half_width + float(np.interp(z, heights, [BESIDE_MM[d][0] for d in discs]))
    behind = centre + float(np.interp(z, heights, [BESIDE_MM[d][1] for d in discs]))
    stray = float(np.interp(z, heights, [STRAY_MM[d] for d in discs]))
    grid = BEHIND_MM[:, None], LATERAL_MM[None, :]
    radius = half_width + BODY_GAP_MM
    body = ((grid[0] - centre) / (radius * BODY_DEPTH_SHARE)) ** 2 + (grid[1] / radius) ** 2 <= 1
    tissue = (image > TISSUE_HU[0]) & (image < TISSUE_HU[1]) & ~body
    tissue &= grid[1] > 12.0
    depth = ndimage.distance_transform_edt(tissue) * STEP_MM
    return _Slice(frame, depth, (behind, lateral), stray)


def _in_field(volume: CtVolume, part: _Slice, side: Side) -> bool:
    behind, lateral = (np.array([value]) for value in part.expected)
    rows, columns = part.frame.pixels(volume, behind, lateral, side)
    spare_r, spare_c = 12.0 / volume.spacing_mm[1:]
    _, height, width = volume.shape
    return bool(
        spare_r <= rows[0] <= height - 1 - spare_r and spare_c <= columns[0] <= width - 1 - spare_c
    )


def _thickest(
    part: _Slice, guess: tuple[float, float], reach_mm: float
) -> tuple[float, float] | None:
    """The deepest point near a guess and not too far from the expected centre."""
    from_guess = np.hypot(BEHIND_MM[:, None] - guess[0], LATERAL_MM[None, :] - guess[1])
    away = np.hypot(BEHIND_MM[:, None] - part.expected[0], LATERAL_MM[None, :] - part.expected[1])
    depth = np.minimum(part.depth_mm, 14.0)
    score = depth - 0.25 * from_guess - 0.15 * away
    score[(from_guess > reach_mm) | (away > part.stray_mm) | (depth < 1.5)] = -np.inf
    best = np.unravel_index(int(np.argmax(score)), score.shape)
    if not np.isfinite(score[best]):
        return None
    return float(BEHIND_MM[best[0]]), float(LATERAL_MM[best[1]])


def _around(part: _Slice, seed: tuple[float, float]) -> Mask:
    """The muscle around a seed: parted from its neighbours at waists."""
    tissue = part.depth_mm > 0
    i = int(np.argmin(np.abs(BEHIND_MM - seed[0])))
    j = int(np.argmin(np.abs(LATERAL_MM - seed[1])))
    smooth = ndimage.gaussian_filter(part.depth_mm, 1.0)
    peaks = (smooth == ndimage.maximum_filter(smooth, size=9)) & (smooth > 2.0)
    markers, _ = ndimage.label(peaks)
    rows, columns = np.indices(tissue.shape)
    own_reach = max(float(part.depth_mm[i, j]) * 0.8, 3.0)
    own = np.hypot(rows - i, columns - j) <= own_reach
    markers = np.where(own & tissue, 1, np.where(markers > 0, markers + 1, 0))
    basins = watershed(-smooth, markers, mask=tissue)
    mask = basins == 1
    reach = 1.9 * float(part.depth_mm[i, j]) + 4.0
    mask &= np.hypot(rows - i, columns - j) <= reach
    opened = ndimage.binary_opening(mask, iterations=2)
    components, _ = ndimage.label(opened)
    if components[i, j] == 0:
        return np.asarray(mask)
    return np.asarray(components == components[i, j])
