"""Turn an eligible series into a `CtVolume` in HU."""

import numpy as np
import numpy.typing as npt

from dicom_node.decoding.plane_reader import read_plane
from dicom_node.errors import SeriesRefused
from dicom_node.series.interleaving import COMPARED_STEP, check_alternation
from dicom_node.series.selection import EligibleSeries
from roi_extraction.volume import CtVolume

__all__ = ["read_volume"]


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
        An image's pixels cannot be decoded or contradict its header (see `read_plane`), or two
        scans are interleaved.
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
    thinned = []
    for k, instance in enumerate(series.slices):
        stored, into = instance.stored, None
        if hu is not None and stored is not None and stored.shape == hu.shape[1:]:
            into = None if swap or flip_rows or flip_columns else hu[k]
        plane = read_plane(instance.path, k, stored, into)
        if plane is not into:
            if swap:
                plane = plane.T
            plane = plane[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
            if hu is None:
                hu = np.empty((len(series.slices), *plane.shape), dtype=np.int16)
            hu[k] = plane
        if hu is not None:
            thinned.append(hu[k, ::COMPARED_STEP, ::COMPARED_STEP].copy())
    if hu is None:
        raise SeriesRefused("series.too_few_slices", "the series has no slices")
    check_alternation(thinned)
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
