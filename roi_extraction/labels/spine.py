"""Spine landmarks from vertebra labels: bodies, discs and the canal's line."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from roi_extraction.anatomy import Finding, Landmark, SpineLandmarks
from roi_extraction.errors import LevelsNotCovered
from roi_extraction.labels.canal import canal_line_mm
from roi_extraction.labels.sacrum import S1_NUMBER, with_s1
from roi_extraction.sites import DiscLevel, Level
from roi_extraction.volume import CtVolume

__all__ = ["VERTEBRA_LABELS", "body_masks", "spine_from_labels"]

LabelArray = npt.NDArray[np.integer[Any]]
Mask = npt.NDArray[np.bool_]

VERTEBRA_LABELS = {
    Level.L1: 31,
    Level.L2: 30,
    Level.L3: 29,
    Level.L4: 28,
    Level.L5: 27,
    Level.S1: 26,
}
"""Numbers of TotalSegmentator v2, task ``total`` (Wasserthal 2023, doi 10.1148/ryai.230024)."""

S1_CUT = "label_map.s1_from_sacrum"
"""Code of the finding that no label S1 was given."""

WAIST_MM = 5.0
"""Radius of the opening that parts transverse processes and pedicles from a body, mm."""

SACRAL_WIDTH_SHARE = 0.85
"""Half-width of the S1 body over that of L5; the alae lie outside it."""

LEAST_BODY_MM3 = 5000.0
"""A smaller body is a fragment, mm3."""


def body_masks(
    volume: CtVolume,
    labels: LabelArray,
    canal: npt.NDArray[np.float64],
    parts: LabelArray | None,
) -> Mapping[Level, Mask]:
    """Vertebral bodies without their arches.

    Parameters
    ----------
    volume, labels
        As for `canal_line_mm`.
    canal
        The canal's line, LPS mm.
    parts
        The map of the task ``vertebrae_body`` (1 body, 2 disc), or None: then the vertebra in
        front of the canal is taken, without its processes.

    Returns
    -------
    masks
        bool, shape of the volume, for each level that is there.
    """
    voxel_mm3 = float(abs(np.linalg.det(volume.affine[:3, :3])))
    masks: dict[Level, Mask] = {}
    half_width_mm = 27.0
    for level, number in VERTEBRA_LABELS.items():
        whole = labels == number
        if parts is not None:
            body = whole & (parts == 1)
        else:
            limit = SACRAL_WIDTH_SHARE * half_width_mm if level is Level.S1 else None
            body = _in_front_of_canal(volume, whole, canal, limit)
        body = _largest(body)
        if body.sum() * voxel_mm3 < LEAST_BODY_MM3:
            continue
        masks[level] = body
        columns = np.flatnonzero(body.any(axis=(0, 1)))
        half_width_mm = 0.5 * columns.size * float(volume.spacing_mm[2])
    return masks


def spine_from_labels(
    volume: CtVolume, labels: LabelArray, parts: LabelArray | None = None
) -> tuple[SpineLandmarks, Mapping[Level, Mask]]:
    """Landmarks and body masks from vertebra labels.

    Parameters
    ----------
    volume
        The scan.
    labels
        Integer, shape of the volume: TotalSegmentator v2, task ``total``.
    parts
        Integer, shape of the volume: its task ``vertebrae_body`` (1 body, 2 disc), or None.

    Returns
    -------
    spine, masks
        The named spine; bool, shape of the volume, for each body that is there.

    Raises
    ------
    InvalidSegmentation
        The labels are not whole vertebrae.
    LevelsNotCovered
        Fewer than two neighbouring lumbar vertebrae are labelled.
    """
    canal = canal_line_mm(volume, labels)
    masks = dict(body_masks(volume, labels, canal, parts))
    findings: tuple[Finding, ...] = ()
    if Level.S1 not in masks and Level.L5 in masks and not (labels == S1_NUMBER).any():
        cut = body_masks(volume, with_s1(volume, labels, canal, masks[Level.L5]), canal, parts)
        if Level.S1 in cut:
            masks[Level.S1] = cut[Level.S1]
            findings = (Finding(S1_CUT, "S1 was cut out of a sacrum labelled as a whole"),)
    centres = {level: _centre_mm(volume, mask) for level, mask in masks.items()}
    discs: dict[DiscLevel, Landmark] = {}
    for disc in DiscLevel:
        if disc.above not in centres or disc.below not in centres:
            continue
        axis = _unit(centres[disc.above] - centres[disc.below])
        middle = _disc_centre(volume, masks[disc.above], masks[disc.below], axis, parts)
        discs[disc] = Landmark(middle, axis, 1.0)
    if not discs:
        missing = [level for level in Level if level not in centres]
        raise LevelsNotCovered(missing, "no two neighbouring lumbar vertebrae are labelled")
    bodies = {}
    for level, centre in centres.items():
        ends = {d.below: lm.centre_lps_mm for d, lm in discs.items()}.get(level)
        starts = {d.above: lm.centre_lps_mm for d, lm in discs.items()}.get(level)
        upper = centre if ends is None else ends
        lower = centre if starts is None else starts
        axis = upper - lower
        if level is Level.S1 and DiscLevel.L5_S1 in discs:
            axis = _unit(axis) + discs[DiscLevel.L5_S1].axis
        bodies[level] = Landmark(
            centre, _unit(axis if np.any(axis) else np.array([0, 0, 1.0])), 1.0
        )
    return SpineLandmarks(canal, bodies, discs, 1.0, findings), masks


def _in_front_of_canal(
    volume: CtVolume, whole: Mask, canal: npt.NDArray[np.float64], half_width_mm: float | None
) -> Mask:
    """Part of a vertebra in front of its canal and without its processes."""
    found = np.argwhere(whole)
    if found.size == 0:
        return whole
    points = volume.to_lps(found)
    at = np.stack([np.interp(points[:, 2], canal[:, 2], canal[:, k]) for k in (0, 1)], axis=1)
    in_front_mm = at[:, 1] - points[:, 1]
    lateral_mm = np.abs(points[:, 0] - at[:, 0])
    wall_mm = _front_wall(in_front_mm, lateral_mm)
    kept = in_front_mm >= wall_mm
    if half_width_mm is not None:
        kept &= lateral_mm <= half_width_mm
    body = np.zeros_like(whole)
    body[tuple(found[kept].T)] = True
    reach = np.maximum(1, np.rint(WAIST_MM / volume.spacing_mm[1:]).astype(int))
    y, x = np.ogrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    disk = ((y / reach[0]) ** 2 + (x / reach[1]) ** 2 <= 1.01)[None]
    return np.asarray(scipy.ndimage.binary_opening(body, disk))


def _front_wall(in_front_mm: npt.NDArray[np.float64], lateral_mm: npt.NDArray[np.float64]) -> float:
    """How far in front of the canal's centre its front wall lies, mm."""
    middle = in_front_mm[(lateral_mm < 6.0) & (in_front_mm > 0.0)]
    return float(np.percentile(middle, 3)) if middle.size > 20 else 8.0


def _disc_centre(
    volume: CtVolume,
    above: Mask,
    below: Mask,
    axis: npt.NDArray[np.float64],
    parts: LabelArray | None,
) -> npt.NDArray[np.float64]:
    """Centre of the disc: of its own label where there is one, else between the endplates."""
    a, b = volume.to_lps(np.argwhere(above)), volume.to_lps(np.argwhere(below))
    lower_end = float(np.percentile(a @ axis, 4))
    upper_end = float(np.percentile(b @ axis, 96))
    between = 0.5 * (a.mean(axis=0) + b.mean(axis=0))
    middle: npt.NDArray[np.float64] = between + axis * (
        0.5 * (lower_end + upper_end) - float(between @ axis)
    )
    if parts is None:
        return middle
    components, count = scipy.ndimage.label(parts == 2)
    if count == 0:
        return middle
    centres = volume.to_lps(
        np.array(scipy.ndimage.center_of_mass(parts == 2, components, range(1, count + 1)))
    )
    sizes = np.bincount(components.ravel())[1:]
    distance = np.linalg.norm(centres - middle, axis=1) + np.where(sizes < 20, 1e3, 0.0)
    nearest = int(np.argmin(distance))
    return np.asarray(centres[nearest]) if distance[nearest] < 12.0 else middle


def _largest(mask: Mask) -> Mask:
    components, count = scipy.ndimage.label(mask)
    if count < 2:
        return mask
    return np.asarray(components == 1 + np.argmax(np.bincount(components.ravel())[1:]))


def _centre_mm(volume: CtVolume, mask: Mask) -> npt.NDArray[np.float64]:
    return np.asarray(volume.to_lps(np.argwhere(mask)).mean(axis=0))


def _unit(vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return vector / np.linalg.norm(vector)
