"""Turn an eligible series into a `CtVolume` in HU."""

import warnings

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.pixels.processing import apply_modality_lut

from dicom_node.errors import SeriesRefused
from dicom_node.foreign_text import cleaned
from dicom_node.series.instances import Instance
from dicom_node.series.selection import EligibleSeries
from roi_extraction.volume import CtVolume

__all__ = ["PADDING_HU", "read_volume"]

PADDING_HU = -1024
"""HU given to pixels outside the reconstructed field: air."""

KEPT_HU = (-1024, 32767)
"""Lowest and highest HU kept: values below air are padding or artefacts, those above do not fit
int16."""


def read_volume(series: EligibleSeries) -> CtVolume:
    """Decode the slices and bring them into the canonical orientation.

    Parameters
    ----------
    series
        An eligible series, its slices from feet to head.

    Returns
    -------
    CtVolume
        int16 HU, shape (slices, rows, columns), slices in the order of ``series.slices``.

    Raises
    ------
    SeriesRefused
        ``series.unreadable_pixels`` when an image's pixels cannot be decoded.
    """
    first = series.first
    if first.orientation is None or first.pixel_spacing_mm is None:
        raise SeriesRefused("series.no_position", "the series has no orientation or pixel spacing")
    row_mm, column_mm = first.pixel_spacing_mm
    affine = np.eye(4)
    last = series.slices[-1]
    positions = np.array([first.position_mm, last.position_mm], dtype=np.float64)
    affine[:3, 0] = (positions[1] - positions[0]) / (len(series.slices) - 1)
    affine[:3, 1] = first.orientation[1] * row_mm
    affine[:3, 2] = first.orientation[0] * column_mm
    affine[:3, 3] = positions[0]
    swap, flip_rows, flip_columns = _in_plane(affine)
    hu: npt.NDArray[np.int16] | None = None
    for k, instance in enumerate(series.slices):
        plane = _read_plane(instance, k)
        if swap:
            plane = plane.T
        plane = plane[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
        if hu is None:
            hu = np.empty((len(series.slices), *plane.shape), dtype=np.int16)
        hu[k] = plane
    if hu is None:
        raise SeriesRefused("series.too_few_slices", "the series has no slices")
    if swap:
        affine[:, [1, 2]] = affine[:, [2, 1]]
    for axis, flip in ((1, flip_rows), (2, flip_columns)):
        if flip:
            affine[:3, 3] += affine[:3, axis] * (hu.shape[axis] - 1)
            affine[:3, axis] *= -1
    return CtVolume(hu, affine, series.slice_thickness_mm)


def _in_plane(affine: npt.NDArray[np.float64]) -> tuple[bool, bool, bool]:
    """Whether to transpose planes, flip their rows and flip their columns.

    Rows then run to posterior and columns to the patient's left.
    """
    swap = abs(affine[1, 2]) > abs(affine[1, 1])
    rows, columns = (2, 1) if swap else (1, 2)
    return swap, affine[1, rows] < 0, affine[0, columns] < 0


def _read_plane(instance: Instance, index: int) -> npt.NDArray[np.int16]:
    """HU of one image as it is stored, int16, shape (rows, columns); ``index`` is for messages."""
    with warnings.catch_warnings(record=True):
        try:
            dataset = pydicom.dcmread(instance.path)
            stored = dataset.pixel_array
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # decoders fail in open-ended ways, one by a Rust panic
            raise SeriesRefused(
                "series.unreadable_pixels",
                f"the pixels of slice {index + 1} cannot be decoded ({type(error).__name__}); "
                "the file is damaged or truncated: send the series again",
            ) from error
    if stored.ndim != 2:
        raise SeriesRefused("series.enhanced", "an image holds several frames or colours")
    if dataset.get("RescaleType", "HU") not in ("", "HU", "US"):
        found = cleaned(dataset.RescaleType)
        raise SeriesRefused("series.not_hu", f"pixel values are {found}, not Hounsfield units")
    hu = np.asarray(apply_modality_lut(stored, dataset), dtype=np.float64)
    padding = dataset.get("PixelPaddingValue")
    if padding is not None:
        limit = dataset.get("PixelPaddingRangeLimit", padding)
        low, high = sorted((int(padding), int(limit)))
        hu[(stored >= low) & (stored <= high)] = PADDING_HU
    return np.clip(np.rint(hu), *KEPT_HU).astype(np.int16)
