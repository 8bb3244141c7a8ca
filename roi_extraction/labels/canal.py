"""The vertebral canal's line from labels of whole vertebrae."""

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from roi_extraction.endplates import across_and_ahead
from roi_extraction.errors import InvalidSegmentation
from roi_extraction.volume import CtVolume

__all__ = ["canal_line_mm"]

FloatArray = npt.NDArray[np.float64]
LabelArray = npt.NDArray[np.integer[Any]]

SPINE_NUMBERS = tuple(range(25, 33))
"""Sacrum and S1 to T12 in TotalSegmentator's numbering, task ``total`` version 2."""

CLOSING_MM = 6.0
"""Widest gap between pedicle and lamina that is closed to find the canal's ring, mm."""

CANAL_AREA_MM2 = (60.0, 900.0)
"""Cross-sections that a vertebral canal has, mm2."""

OFF_CENTRE_MM = 15.0
"""How far a ring may lie beside the middle of its vertebra, mm; sacral foramina lie further."""

CANAL_STEP_MM = 1.0
"""Distance between points of the canal's line, mm."""

LUMBAR_NUMBERS = tuple(range(27, 34))
"""L5 to T11: vertebrae whose canal is straight enough to be looked through."""

LOOKED_THROUGH_DEG = tuple(range(-20, 21, 5))
"""Tilts about the expected axis under which a vertebra is looked through, degrees."""

SHADOW_MM = 1.0
"""Grid on which a vertebra's shadow is drawn, mm."""

LEAST_VERTEBRA_MM3 = 8000.0
"""A smaller piece of a vertebra is not looked through, mm3."""

RING_OFF_MM = 6.0
"""How far the ring of one slice may lie off the line through whole vertebrae, mm; a gap in the
arch lets the closing find other holes."""

EXTENSION_MM = 25.0
"""How far the line is continued beyond the highest vertebra's middle, mm."""


def canal_line_mm(volume: CtVolume, labels: LabelArray) -> npt.NDArray[np.float64]:
    """The canal's centre line.

    Each vertebra is looked through along its axis: its arch, open in most slices, is a closed ring
    then. Slices with a closed ring near that line, and those below it in the sacrum, refine it.

    Parameters
    ----------
    volume
        The scan on whose grid the labels lie.
    labels
        Integer, shape (slices, rows, columns).

    Returns
    -------
    line
        float64, shape (n, 3), LPS mm, from feet to head.

    Raises
    ------
    InvalidSegmentation
        No ring is found: neither two vertebrae nor four slices show one.
    """
    anchors = _vertebral_rings(volume, labels)
    rings = _rings(volume, labels)
    points = volume.to_lps(np.array(rings)) if rings else np.empty((0, 3))
    if len(anchors) >= 2:
        points = _combined(anchors, points)
    elif len(points) < 4:
        raise InvalidSegmentation(
            f"only {len(anchors)} vertebrae and {len(points)} slices show a closed ring around the"
            " vertebral canal; give whole vertebrae (task total), not bodies alone"
        )
    order = np.argsort(points[:, 2])
    points = points[order]
    z = np.arange(points[0, 2], points[-1, 2] + CANAL_STEP_MM, CANAL_STEP_MM)
    line = np.empty((z.size, 3))
    line[:, 2] = z
    for k in (0, 1):
        even = np.interp(z, points[:, 2], points[:, k])
        even = scipy.ndimage.median_filter(even, 15, mode="nearest")
        line[:, k] = scipy.ndimage.gaussian_filter1d(even, 6.0, mode="nearest")
    return line


def _combined(anchors: FloatArray, rings: FloatArray) -> FloatArray:
    """Rings of whole vertebrae with those of slices that agree, and a straight upper end."""
    at = np.stack([np.interp(rings[:, 2], anchors[:, 2], anchors[:, k]) for k in (0, 1)], axis=1)
    near = np.linalg.norm(rings[:, :2] - at, axis=1) <= RING_OFF_MM
    below = rings[:, 2] < anchors[0, 2]
    slope = (anchors[-1] - anchors[-2]) / (anchors[-1, 2] - anchors[-2, 2])
    return np.vstack([rings[near | below], anchors, anchors[-1] + slope * EXTENSION_MM])


def _vertebral_rings(volume: CtVolume, labels: LabelArray) -> FloatArray:
    """The canal's middle at each whole vertebra's centroid, LPS mm, from feet to head."""
    centroids: dict[int, FloatArray] = {}
    clouds: dict[int, FloatArray] = {}
    voxel_mm3 = float(abs(np.linalg.det(volume.affine[:3, :3])))
    places = scipy.ndimage.find_objects(labels.astype(np.int32), max_label=max(SPINE_NUMBERS) + 1)
    for number in (26, *LUMBAR_NUMBERS):
        box = places[number - 1] if number <= len(places) else None
        if box is None:
            continue
        inside = np.argwhere(labels[box] == number) + [axis.start for axis in box]
        if len(inside) * voxel_mm3 >= LEAST_VERTEBRA_MM3:
            clouds[number] = volume.to_lps(inside)
            centroids[number] = clouds[number].mean(axis=0)
    found = []
    for number in LUMBAR_NUMBERS:
        near = [centroids[n] for n in (number - 1, number, number + 1) if n in centroids]
        if number not in centroids or len(near) < 2:
            continue
        axis = (near[-1] - near[0]) / np.linalg.norm(near[-1] - near[0])
        pixel_mm = float(volume.spacing_mm[1:].max())
        ring = _looked_through(clouds[number], centroids[number], axis, pixel_mm)
        if ring is not None:
            found.append(ring)
    points = np.array(found).reshape(-1, 3)
    return points[np.argsort(points[:, 2])]


def _looked_through(
    cloud: FloatArray, centroid: FloatArray, axis: FloatArray, pixel_mm: float
) -> FloatArray | None:
    """The middle of the widest hole seen along a vertebra, LPS mm."""
    lateral, ahead = across_and_ahead(axis)
    behind = -ahead
    bin_mm = SHADOW_MM
    width = 2 * round(pixel_mm / bin_mm / 2) + 1
    widest, best = 0.0, None
    for tilt in np.deg2rad(LOOKED_THROUGH_DEG):
        backwards = np.cos(tilt) * behind + np.sin(tilt) * axis
        seen = np.stack([(cloud - centroid) @ backwards, (cloud - centroid) @ lateral], axis=1)
        low = seen.min(axis=0) - (width + 2) * bin_mm
        cells = np.rint((seen - low) / bin_mm).astype(int)
        shadow = np.zeros(cells.max(axis=0) + width + 3, dtype=bool)
        shadow[tuple(cells.T)] = True
        # each voxel throws a shadow of its own width
        shadow = scipy.ndimage.binary_dilation(shadow, np.ones((width, width)))
        shadow = scipy.ndimage.binary_closing(shadow)
        holes = scipy.ndimage.binary_fill_holes(shadow) & ~shadow
        components, count = scipy.ndimage.label(holes)
        for part in range(1, count + 1):
            area_mm2 = float((components == part).sum()) * bin_mm**2
            row, column = scipy.ndimage.center_of_mass(components == part)
            across_mm = column * bin_mm + low[1]
            if area_mm2 <= widest or abs(across_mm) > OFF_CENTRE_MM:
                continue
            if CANAL_AREA_MM2[0] <= area_mm2 <= CANAL_AREA_MM2[1]:
                widest = area_mm2
                best = centroid + backwards * (row * bin_mm + low[0]) + lateral * across_mm
    return best


def _rings(volume: CtVolume, labels: LabelArray) -> list[tuple[float, float, float]]:
    bone = np.isin(labels, SPINE_NUMBERS)
    reach = np.maximum(1, np.rint(CLOSING_MM / 2 / volume.spacing_mm[1:]).astype(int))
    y, x = np.ogrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    disk = (y / reach[0]) ** 2 + (x / reach[1]) ** 2 <= 1.01
    pixel_mm2 = float(volume.spacing_mm[1] * volume.spacing_mm[2])
    rings: list[tuple[float, float, float]] = []
    for index in np.flatnonzero(bone.any(axis=(1, 2))):
        padded = np.pad(bone[index], reach.max() + 1)
        closed = scipy.ndimage.binary_closing(padded, disk)
        holes = scipy.ndimage.binary_fill_holes(closed) & ~closed
        components, count = scipy.ndimage.label(holes)
        if count == 0:
            continue
        areas = np.bincount(components.ravel(), minlength=count + 1)[1:] * pixel_mm2
        middle = float(np.median(np.nonzero(padded)[1]))
        fitting = [
            (abs(column - middle), row, column)
            for area, (row, column) in zip(
                areas,
                scipy.ndimage.center_of_mass(holes, components, range(1, count + 1)),
                strict=True,
            )
            if CANAL_AREA_MM2[0] <= area <= CANAL_AREA_MM2[1]
        ]
        if fitting and min(fitting)[0] * volume.spacing_mm[2] <= OFF_CENTRE_MM:
            _, row, column = min(fitting)
            pad = reach.max() + 1
            rings.append((float(index), float(row) - pad, float(column) - pad))
    return rings
