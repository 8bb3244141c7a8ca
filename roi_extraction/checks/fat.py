"""The HU of fat below the skin of the back, or else beside the spine."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import scipy

from roi_extraction.anatomy import SpineLandmarks
from roi_extraction.kernels import gaussian_smoothed
from roi_extraction.volume import CtVolume

__all__ = ["USUAL_FAT_HU", "Fat", "FatNotFound", "FatPlace", "fat_in_slice", "find_fat"]

USUAL_FAT_HU = (-123.0, -89.0)
"""Range of the mean HU of abdominal fat that holds 95 % of routine abdominal CT (Pop 2023,
doi 10.3390/diagnostics13111913: 4000 samples, visceral and subcutaneous 4 HU apart)."""

FAT_PIXEL_HU = (-180.0, -60.0)
"""HU that a smoothed pixel of fat may have: wide enough for a scanner whose HU are 30 off."""

OUTSIDE_PATIENT_HU = -300.0
"""HU below which a smoothed pixel lies outside the patient."""

FAT_SMOOTH_MM = 1.2
"""Gaussian sigma in plane before pixels are told apart, mm: noise must not pass for septa."""

SKIN_DEPTH_MM = 7.0
"""Depth below the outside within which skin may lie, mm: skin, its partial volume, and the table's
cover where the back is pressed on it."""

ERODED_MM = 4.0
"""What is taken off the fat on all sides, mm: skin, fascia, septa and their partial volume."""

BESIDE_MM = 90.0
"""How far left and right of the canal fat is looked for, mm."""

RETROPERITONEUM_MM = 60.0
"""How far in front of the canal retroperitoneal fat is looked for, mm: as far as the kidneys
reach."""

LEAST_AREA_MM2 = 1000.0
"""Least area of eroded fat in all slices together, mm2: thinner layers read higher (chosen on the
development scans)."""

FloatArray = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


class FatPlace(StrEnum):
    """Where fat was measured."""

    SUBCUTANEOUS = "subcutaneous"
    RETROPERITONEAL = "retroperitoneal"


@dataclass(frozen=True)
class Fat:
    """Fat near the lumbar spine.

    Parameters
    ----------
    mean_hu, sd_hu
        Mean and standard deviation of its pixels in effective slices, HU.
    area_mm2
        Their area in all slices together, mm2.
    place
        Below the skin of the back, or else beside the spine.
    """

    mean_hu: float
    sd_hu: float
    area_mm2: float
    place: FatPlace

    @property
    def usual(self) -> bool:
        """Whether it has the HU that fat has on most scanners."""
        return USUAL_FAT_HU[0] <= self.mean_hu <= USUAL_FAT_HU[1]


@dataclass(frozen=True)
class FatNotFound:
    """Why fat could not be measured."""

    reason: str


def find_fat(volume: CtVolume, spine: SpineLandmarks) -> Fat | FatNotFound:
    """Measure the layer of fat below the skin of the back, at the height of each named body.

    Where that layer is too thin, the fat beside the spine and round the kidneys is measured in the
    same slices.

    Parameters
    ----------
    volume
        The scan.
    spine
        Its landmarks, found by any segmenter.

    Returns
    -------
    Fat or FatNotFound
        The fat's HU, or why it could not be measured.

    Notes
    -----
    About 6 ms of CPU a slice of 512 x 512.
    """
    slices = list(_slices(volume, spine))
    for place in FatPlace:
        parts = []
        for index, canal in slices:
            hu = volume.effective_slice(index)
            parts.append(hu[fat_in_slice(volume, hu, canal, place)])
        pixels = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        area_mm2 = len(pixels) * float(volume.spacing_mm[1] * volume.spacing_mm[2])
        if area_mm2 >= LEAST_AREA_MM2:
            return Fat(float(pixels.mean()), float(pixels.std()), area_mm2, place)
    return FatNotFound(
        "too little fat lies in the scan below the skin of the back and beside the spine"
    )


def fat_in_slice(volume: CtVolume, hu: Image, canal: FloatArray, place: FatPlace) -> Mask:
    """Which pixels of a slice are fat of one kind, away from all that bounds it.

    Parameters
    ----------
    volume
        The scan, for its pixel size.
    hu
        An effective slice, shape (rows, columns).
    canal
        (row, column) of the vertebral canal in it, shape (2,).
    place
        The kind of fat.

    Returns
    -------
    fat
        bool, shape (rows, columns).
    """
    spacing = volume.spacing_mm[1:]
    row, column = (round(float(at)) for at in canal)
    beside = round(BESIDE_MM / float(spacing[1]))
    left = max(0, column - beside)
    rows = slice(row, None)
    if place is FatPlace.RETROPERITONEAL:
        rows = slice(max(0, row - round(RETROPERITONEUM_MM / float(spacing[0]))), row)
    window = (rows, slice(left, column + beside + 1))
    smooth = gaussian_smoothed(hu[window], FAT_SMOOTH_MM / spacing)
    fat = (smooth > FAT_PIXEL_HU[0]) & (smooth < FAT_PIXEL_HU[1])
    if place is FatPlace.SUBCUTANEOUS:
        fat = _outermost_layer(smooth, fat, column - left, float(spacing[0]))
    found = np.zeros(hu.shape, dtype=np.bool_)
    found[window] = scipy.ndimage.binary_erosion(fat, _disc(ERODED_MM, spacing))
    return found


def _outermost_layer(smooth: Image, fat: Mask, canal_column: int, row_mm: float) -> Mask:
    """The fat between the skin and what lies next in front of it, from the canal backwards.

    In each column the patient ends at the last row that hangs together with the spine.
    """
    parts, _ = scipy.ndimage.label(smooth > OUTSIDE_PATIENT_HU)
    rows = np.arange(len(fat))[:, None]
    ends = np.where(parts == parts[0, canal_column], rows, 0).max(axis=0)
    inside = rows <= ends - SKIN_DEPTH_MM / row_mm
    last_other = np.where(inside & ~fat, rows, -1).max(axis=0)
    return np.asarray(inside & fat & (rows > last_other))


def _slices(volume: CtVolume, spine: SpineLandmarks) -> Iterator[tuple[int, FloatArray]]:
    """The effective slice through each body's centre, with the canal's (row, column) there."""
    canal = volume.to_index(spine.canal_lps_mm)
    half = volume.slices_per_slab // 2
    for body in spine.bodies.values():
        index = round(float(volume.to_index(body.centre_lps_mm)[0]))
        place = canal[np.abs(canal[:, 0] - index).argmin(), 1:]
        in_plane = bool((np.rint(place) >= 0).all() and (np.rint(place) < volume.shape[1:]).all())
        if in_plane and half <= index < volume.shape[0] - half:
            yield index, place


def _disc(radius_mm: float, spacing_mm: FloatArray) -> Mask:
    rows, columns = (int(radius_mm / size) for size in spacing_mm)
    y, x = np.mgrid[-rows : rows + 1, -columns : columns + 1]
    return np.asarray(np.hypot(y * spacing_mm[0], x * spacing_mm[1]) <= radius_mm)
