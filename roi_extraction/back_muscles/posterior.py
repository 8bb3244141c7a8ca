"""The muscles behind the spine: their compartment, and its split at the fat plane."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from roi_extraction.anatomy import Missing, MissingReason, Region, RegionSlice, SpineLandmarks
from roi_extraction.axial import AxialFrame, axial_frame
from roi_extraction.back_muscles.compartment import (
    BACK_BEHIND_MM,
    BACK_BONE_HU,
    BACK_LATERAL_MM,
    MIDLINE_GAP_MM,
    compartments_of,
    largest_part,
    medial_of_ilium,
)
from roi_extraction.back_muscles.fat_plane import fat_plane
from roi_extraction.kernels import gaussian_smoothed
from roi_extraction.sites import DiscLevel, Muscle, Side
from roi_extraction.slices import central_slices
from roi_extraction.volume import CtVolume

__all__ = ["posterior_regions", "split_compartment"]

FloatArray = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

# All numbers of this module were chosen on the development scans (docs/roi.md).

LONGISSIMUS_WIDTH_MM = 34.0
"""Reach of longissimus beyond the plane, mm; iliocostalis lies further out."""

GUTTER_MM = 12.0
"""Up to here, mm lateral of the mid-line, muscle beside the spinous process is added to a given
compartment: labels begin 6 to 10 mm off the mid-line and leave its fatty part out."""

SPINOUS_ROWS_MM = (15.0, 50.0)
"""Where the spinous process lies behind the canal's centre, mm."""

SPINOUS_REACH_MM = 12.0
"""How far beside the expected mid-line the spinous process is looked for, mm."""

SPINOUS_WIDTH_MM = 13.0
"""Wider bone is lamina or facet, mm."""

FEWEST_SPINOUS_ROWS = 8
"""Fewest rows in which the spinous process is seen for it to move the mid-line."""

MIDLINE_SHIFT_MM = 5.0
"""How far the spinous process may move the mid-line, mm."""


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
    views = _views(volume, spine, disc, side, indices)
    masks = [
        view.frame.to_pixel_mask(volume, view.compartment, BACK_BEHIND_MM, BACK_LATERAL_MM, side)
        for view in views
    ]
    return _split(volume, disc, side, views, masks)


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
    return _split(volume, disc, side, _views(volume, spine, disc, side, indices), masks)


@dataclass(frozen=True, eq=False)
class _View:
    """One side of a slice as seen from the spine.

    Parameters
    ----------
    frame
        The spine's directions, the mid-line on the spinous process.
    image
        float32, shape (behind, lateral): smoothed HU on `BACK_BEHIND_MM` and `BACK_LATERAL_MM`.
    compartment
        bool, the image's shape: the muscles by the image alone.
    """

    frame: AxialFrame
    image: npt.NDArray[np.float32]
    compartment: Mask


def _views(
    volume: CtVolume,
    spine: SpineLandmarks,
    disc: DiscLevel,
    side: Side,
    indices: Sequence[int],
) -> list[_View]:
    frames = _centred_frames(volume, spine, indices)
    images = [_local_image(volume, frame, side) for frame in frames]
    compartments = compartments_of(images, disc)
    return [_View(*view) for view in zip(frames, images, compartments, strict=True)]


def _split(
    volume: CtVolume, disc: DiscLevel, side: Side, views: Sequence[_View], masks: Sequence[Mask]
) -> Mapping[Muscle, Region | Missing]:
    if not any(mask.any() for mask in masks):
        return _both(Missing(MissingReason.NOT_FOUND, "no muscle behind the spine"))
    local = [
        view.frame.sample(volume, mask, BACK_BEHIND_MM, BACK_LATERAL_MM, side, outside=0.0) >= 0.5
        for view, mask in zip(views, masks, strict=True)
    ]
    if not any(part.any() for part in local):
        return _both(Missing(MissingReason.NOT_FOUND, "no muscle close behind the spine"))
    mean_image = np.mean([view.image for view in views], axis=0)
    plane_mm = fat_plane(mean_image, np.logical_or.reduce(local), disc)
    inner: list[RegionSlice] = []
    outer: list[RegionSlice] = []
    for view, given in zip(views, local, strict=True):
        compartment = given | (view.compartment & (BACK_LATERAL_MM <= GUTTER_MM))
        reachable = compartment & medial_of_ilium(view.image, compartment)
        beyond = BACK_LATERAL_MM[None, :] - plane_mm[:, None]
        medial = reachable & (beyond < -0.5) & (BACK_LATERAL_MM >= MIDLINE_GAP_MM)
        lateral = reachable & (beyond > 0.5) & (beyond < LONGISSIMUS_WIDTH_MM)
        for masks_of, mask in ((inner, medial), (outer, lateral)):
            kept = largest_part(mask)
            pixels = view.frame.to_pixel_mask(volume, kept, BACK_BEHIND_MM, BACK_LATERAL_MM, side)
            masks_of.append(RegionSlice(view.frame.index, pixels))
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
        for line in gaussian_smoothed(image, 1.0) > BACK_BONE_HU:
            bone = across_mm[line]
            if bone.size and np.ptp(bone) <= SPINOUS_WIDTH_MM:
                offsets.append(float(bone.mean()))
    if len(offsets) < FEWEST_SPINOUS_ROWS:
        return frames
    offset = float(np.clip(np.median(offsets), -MIDLINE_SHIFT_MM, MIDLINE_SHIFT_MM))
    return [replace(f, canal_xy_mm=f.canal_xy_mm + offset * f.left) for f in frames]


def _both(missing: Missing) -> Mapping[Muscle, Region | Missing]:
    return {Muscle.TRANSVERSOSPINALIS: missing, Muscle.LONGISSIMUS: missing}


def _local_image(volume: CtVolume, frame: AxialFrame, side: Side) -> npt.NDArray[np.float32]:
    hu = volume.effective_slice(frame.index)
    image = frame.sample(volume, hu, BACK_BEHIND_MM, BACK_LATERAL_MM, side)
    return gaussian_smoothed(image, 1.0)
