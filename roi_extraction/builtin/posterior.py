"""The muscles behind the spine: their compartment, and its split at the fat plane."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roi_extraction.anatomy import Missing, MissingReason, Region, RegionSlice, SpineLandmarks
from roi_extraction.builtin.axial import AxialFrame, axial_frame
from roi_extraction.sites import DiscLevel, Muscle, Side
from roi_extraction.slices import central_slices
from roi_extraction.volume import CtVolume

__all__ = ["posterior_regions", "split_compartment"]

FloatArray = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

BEHIND_MM = np.arange(-15.0, 110.0)
"""Grid behind the canal's centre, mm."""

LATERAL_MM = np.arange(-6.0, 85.0)
"""Grid lateral of the mid-line, mm."""

BONE_HU = 170.0
"""Above it bone, HU, in an image smoothed by 1 mm."""

AIR_HU = -400.0
"""Below it air, HU."""

TISSUE_HU = -30.0
"""The outermost tissue above it inside the skin is the thoracolumbar fascia, HU."""

SKIN_MM = 4.0
"""Thickness of the skin that is passed over, mm."""

SPLIT_END_MM = {
    DiscLevel.L1_L2: 18.0,
    DiscLevel.L2_L3: 21.0,
    DiscLevel.L3_L4: 27.0,
    DiscLevel.L4_L5: 33.0,
    DiscLevel.L5_S1: 38.0,
}
"""Where the plane between multifidus and longissimus meets the fascia, mm lateral of the
mid-line (two labelled patients)."""

COMPARTMENT_END_MM = {
    DiscLevel.L1_L2: 62.0,
    DiscLevel.L2_L3: 60.0,
    DiscLevel.L3_L4: 58.0,
    DiscLevel.L4_L5: 52.0,
    DiscLevel.L5_S1: 42.0,
}
"""How far lateral of the mid-line the compartment is followed, mm."""

LONGISSIMUS_WIDTH_MM = 34.0
"""Reach of longissimus beyond the plane, mm; iliocostalis lies further out."""

FRONT_SLOPE = 0.12
"""Slope of the compartment's front beyond the facets, backwards per lateral mm: it keeps
quadratus lumborum out."""

FRONT_GAP_MM = 2.0
"""Gap between the back of the facets and the compartment's front beyond them, mm."""

ILIUM_FROM_MM = 30.0
"""Bone of the ilium begins this far lateral of the mid-line, mm."""

ILIUM_GAP_MM = 4.5
"""Gap kept from bone lateral of the compartment, mm: fat and tendons lie between the muscle and
the ilium."""

GUTTER_MM = 12.0
"""Up to here, mm lateral of the mid-line, muscle beside the spinous process is added to a given
compartment: labels begin 6 to 10 mm off the mid-line and leave its fatty part out."""

SPINOUS_ROWS_MM = (15.0, 50.0)
"""Where the spinous process lies behind the canal's centre, mm."""

SPINOUS_REACH_MM = 12.0
"""How far beside the expected mid-line the spinous process is looked for, mm."""

SPINOUS_WIDTH_MM = 13.0
"""Wider bone is lamina or facet, mm."""

MIDLINE_SHIFT_MM = 5.0
"""How far the spinous process may move the mid-line, mm."""

MIDLINE_MM = 3.0
"""Gap kept from the mid-line: interspinous ligament and fat, mm."""

SPLIT_SIGMA_MM = 6.0
"""How far the plane may stray from its expected line before it costs a unit, mm."""

SPLIT_CONTRAST_HU = 30.0
"""Depth of a fat plane worth a unit of cost, HU."""


def posterior_regions(
    volume: CtVolume, spine: SpineLandmarks, disc: DiscLevel, side: Side
) -> Mapping[Muscle, Region | Missing]:
    """Find transversospinalis and longissimus at the height of a disc.

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
    mapping
        A region or a reason for each of the two muscles.
    """
    landmark = spine.discs.get(disc)
    if landmark is None:
        return _both(Missing(MissingReason.NOT_FOUND, f"disc {disc} was not found"))
    indices = central_slices(volume, landmark.centre_lps_mm)
    if isinstance(indices, Missing):
        return _both(indices)
    masks = []
    for frame in _centred_frames(volume, spine, indices):
        image = _local_image(volume, frame, side)
        compartment = _compartment(image, disc)
        masks.append(frame.to_pixel_mask(volume, compartment, BEHIND_MM, LATERAL_MM, side))
    return split_compartment(volume, spine, disc, side, indices, masks)


def split_compartment(
    volume: CtVolume,
    spine: SpineLandmarks,
    disc: DiscLevel,
    side: Side,
    indices: Sequence[int],
    masks: Sequence[Mask],
) -> Mapping[Muscle, Region | Missing]:
    """Split one side's posterior compartment at the plane between the two muscles.

    Parameters
    ----------
    volume, spine, disc, side
        As for `posterior_regions`.
    indices
        The three slices.
    masks
        bool, shape (rows, columns) each: the compartment in these slices.

    Returns
    -------
    mapping
        A region or a reason for each of the two muscles.
    """
    if not any(mask.any() for mask in masks):
        return _both(Missing(MissingReason.NOT_FOUND, "no muscle behind the spine"))
    frames = _centred_frames(volume, spine, indices)
    images = [_local_image(volume, frame, side) for frame in frames]
    local = [
        frame.sample(volume, mask, BEHIND_MM, LATERAL_MM, side, outside=0.0) >= 0.5
        for frame, mask in zip(frames, masks, strict=True)
    ]
    if not any(part.any() for part in local):
        return _both(Missing(MissingReason.NOT_FOUND, "no muscle close behind the spine"))
    plane_mm = _plane(np.mean(images, axis=0), np.logical_or.reduce(local), disc)
    inner: list[RegionSlice] = []
    outer: list[RegionSlice] = []
    for frame, image, compartment in zip(frames, images, local, strict=True):
        gutter = _compartment(image, disc) & (LATERAL_MM <= GUTTER_MM)
        compartment = compartment | gutter
        reachable = compartment & _medial_of_bone(image, compartment)
        beyond = LATERAL_MM[None, :] - plane_mm[:, None]
        medial = reachable & (beyond < -0.5) & (LATERAL_MM >= MIDLINE_MM)
        lateral = reachable & (beyond > 0.5) & (beyond < LONGISSIMUS_WIDTH_MM)
        for masks_of, mask in ((inner, medial), (outer, lateral)):
            kept = _largest(mask)
            pixels = frame.to_pixel_mask(volume, kept, BEHIND_MM, LATERAL_MM, side)
            masks_of.append(RegionSlice(frame.index, pixels))
    return {
        Muscle.TRANSVERSOSPINALIS: Region((inner[0], inner[1], inner[2])),
        Muscle.LONGISSIMUS: Region((outer[0], outer[1], outer[2])),
    }


def _centred_frames(
    volume: CtVolume, spine: SpineLandmarks, indices: Sequence[int]
) -> list[AxialFrame]:
    """The slices' frames with the mid-line moved onto the spinous process."""
    frames = [axial_frame(volume, spine, index) for index in indices]
    across_mm = np.arange(-SPINOUS_REACH_MM, SPINOUS_REACH_MM + 1)
    behind_mm = np.arange(*SPINOUS_ROWS_MM)
    offsets: list[float] = []
    for frame in frames:
        hu = volume.effective_slice(frame.index)
        image = frame.sample(volume, hu, behind_mm, across_mm, Side.LEFT)
        for line in ndimage.gaussian_filter(image, 1.0) > BONE_HU:
            bone = across_mm[line]
            if bone.size and np.ptp(bone) <= SPINOUS_WIDTH_MM:
                offsets.append(float(bone.mean()))
    if len(offsets) < 8:
        return frames
    offset = float(np.clip(np.median(offsets), -MIDLINE_SHIFT_MM, MIDLINE_SHIFT_MM))
    return [replace(f, canal_xy_mm=f.canal_xy_mm + offset * f.left) for f in frames]


def _both(missing: Missing) -> Mapping[Muscle, Region | Missing]:
    return {Muscle.TRANSVERSOSPINALIS: missing, Muscle.LONGISSIMUS: missing}


def _local_image(volume: CtVolume, frame: AxialFrame, side: Side) -> npt.NDArray[np.float32]:
    hu = volume.effective_slice(frame.index)
    image = frame.sample(volume, hu, BEHIND_MM, LATERAL_MM, side)
    return ndimage.gaussian_filter(image, 1.0)


def _largest(mask: Mask) -> Mask:
    components, count = ndimage.label(mask)
    if count < 2:
        return mask
    return np.asarray(components == 1 + np.argmax(np.bincount(components.ravel())[1:]))


def _back_of_bone(image: npt.NDArray[np.float32]) -> tuple[FloatArray, float]:
    """How far back the facets and laminae reach in each lateral column, and their outer edge.

    Returns
    -------
    back_mm
        float64, shape (lateral,): behind the canal's centre, mm.
    edge_mm
        Lateral edge of the facets, mm.
    """
    searched = (BEHIND_MM > -12) & (BEHIND_MM < 32)
    bone = (image > BONE_HU) & searched[:, None]
    last = np.where(bone.any(axis=0), BEHIND_MM[::-1][np.argmax(bone[::-1], axis=0)], np.nan)
    facets = (LATERAL_MM >= 7) & (LATERAL_MM <= 30) & np.isfinite(last)
    back = float(np.percentile(last[facets], 70)) if facets.any() else 10.0
    edge = float(LATERAL_MM[facets].max()) if facets.any() else 20.0
    medial = np.where(np.isfinite(last), last, back - 3.0)
    medial = np.where(LATERAL_MM < 7, back - 3.0, medial)
    beyond_edge = edge < LATERAL_MM
    beyond = back + FRONT_GAP_MM + FRONT_SLOPE * (LATERAL_MM - edge)
    return np.where(beyond_edge, beyond, np.maximum(medial, back - 8.0)), edge


def _fascia(image: npt.NDArray[np.float32]) -> FloatArray:
    """How far back tissue reaches inside the skin in each lateral column, mm."""
    smooth = ndimage.gaussian_filter(image, 1.0)
    fascia = np.full(LATERAL_MM.size, np.nan)
    start = int(np.searchsorted(BEHIND_MM, 15.0))
    for j in range(LATERAL_MM.size):
        column = smooth[:, j]
        air = np.flatnonzero(column[start:] < AIR_HU)
        skin = start + (int(air[0]) if air.size else column.size - start - 1)
        inner = skin - int(SKIN_MM)
        fat = np.flatnonzero(column[max(start, inner - 8) : inner] < TISSUE_HU)
        if fat.size:
            inner = max(start, inner - 8) + int(fat[-1])
        tissue = np.flatnonzero(column[start:inner] > TISSUE_HU)
        if tissue.size:
            fascia[j] = BEHIND_MM[start + int(tissue[-1])]
    if not np.isfinite(fascia).any():
        return np.full(LATERAL_MM.size, BEHIND_MM[0])
    found = np.flatnonzero(np.isfinite(fascia))
    fascia = np.interp(np.arange(fascia.size), found, fascia[found])
    fascia = ndimage.median_filter(fascia, 7, mode="nearest")
    return ndimage.grey_closing(fascia, 17, mode="nearest")


def _compartment(image: npt.NDArray[np.float32], disc: DiscLevel) -> Mask:
    front, _ = _back_of_bone(image)
    fascia = _fascia(image)
    behind = BEHIND_MM[:, None]
    lateral = LATERAL_MM[None, :]
    mask = (behind > front) & (behind <= fascia - 0.5)
    mask &= (lateral >= MIDLINE_MM) & (lateral <= COMPARTMENT_END_MM[disc])
    mask &= image < BONE_HU
    return _largest(ndimage.binary_opening(mask, iterations=2))


def _medial_of_bone(image: npt.NDArray[np.float32], compartment: Mask) -> Mask:
    """Points that no bone separates from the spinous side in their own row.

    Bone between transversospinalis and longissimus is the ilium, behind which lie the glutei.
    """
    bone = (image > BONE_HU) & (LATERAL_MM > 8.0)
    begun = np.maximum.accumulate(compartment & (LATERAL_MM > MIDLINE_MM), axis=1)
    beyond = np.maximum.accumulate(bone & begun, axis=1)
    near_ilium = (
        ndimage.distance_transform_edt(~(beyond & (LATERAL_MM > ILIUM_FROM_MM))) < ILIUM_GAP_MM
    )
    return np.asarray(~beyond & ~near_ilium)


def _plane(image: npt.NDArray[np.float32], compartment: Mask, disc: DiscLevel) -> FloatArray:
    """Lateral position of the plane between the muscles for each row behind the canal, mm."""
    rows = np.flatnonzero(compartment.any(axis=1))
    end_mm = SPLIT_END_MM[disc]
    _, edge_mm = _back_of_bone(image)
    start_mm = float(np.clip(edge_mm, end_mm - 2.0, end_mm + 4.0))
    share = np.linspace(0.0, 1.0, rows.size)
    prior = start_mm + (end_mm - start_mm) * share
    inside = compartment[rows]
    tissue = image[rows]
    muscle = tissue[inside & (tissue < BONE_HU)]
    level = float(np.median(muscle)) if muscle.size else 0.0
    contrast = np.clip((tissue - level) / SPLIT_CONTRAST_HU, -2.5, 1.0)
    near_bone = ndimage.distance_transform_edt(image < BONE_HU)[rows] < 4.0
    cost = np.where(inside, np.where(near_bone, 1.0, contrast), 0.0)
    cost = cost + ((LATERAL_MM[None, :] - prior[:, None]) / SPLIT_SIGMA_MM) ** 2
    path = _cheapest_path(cost)
    plane = np.full(BEHIND_MM.size, end_mm)
    plane[rows] = ndimage.gaussian_filter1d(LATERAL_MM[path], 1.5)
    plane[: rows[0]] = plane[rows[0]]
    plane[rows[-1] :] = plane[rows[-1]]
    return plane


def _cheapest_path(cost: FloatArray) -> npt.NDArray[np.int64]:
    """Column per row of the cheapest path that moves at most one column per row."""
    total = cost.copy()
    came = np.zeros(cost.shape, dtype=np.int64)
    for i in range(1, cost.shape[0]):
        padded = np.pad(total[i - 1], 1, constant_values=np.inf)
        options = np.stack([padded[:-2] + 0.15, padded[1:-1], padded[2:] + 0.15])
        step = np.argmin(options, axis=0)
        came[i] = np.arange(cost.shape[1]) + step - 1
        total[i] += options.min(axis=0)
    path = np.empty(cost.shape[0], dtype=np.int64)
    path[-1] = int(np.argmin(total[-1]))
    for i in range(cost.shape[0] - 1, 0, -1):
        path[i - 1] = came[i, path[i]]
    return path
