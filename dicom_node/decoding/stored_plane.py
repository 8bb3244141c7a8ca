"""The place of uncompressed pixels in a file, known from reading its header."""

import os
from dataclasses import dataclass
from pathlib import Path
from struct import unpack
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_node.decoding.elements import Elements
from dicom_node.decoding.pixel_format import (
    PixelFormat,
    Rescaling,
    stated_format,
    stated_rescaling,
)
from dicom_node.decoding.recall import Recall
from dicom_node.errors import SeriesRefused

__all__ = ["StoredPlane", "stored_plane"]

PIXEL_DATA = (0x7FE0, 0x0010)
"""Group and element of Pixel Data."""


@dataclass(frozen=True)
class StoredPlane:
    """Where the pixels of an uncompressed image lie in its file, and how they become HU.

    Parameters
    ----------
    file_state
        Device, inode, length in bytes and time of the last change in ns of the file whose header
        was read: another file may lie there now.
    offset
        Place of the first pixel in the file, bytes.
    shape
        Rows and columns, of two bytes a pixel.
    form, rescaling
        How the values are stored, and how they become HU.
    """

    file_state: tuple[int, ...]
    offset: int
    shape: tuple[int, int]
    form: PixelFormat
    rescaling: Rescaling

    def read(
        self, path: Path, into: npt.NDArray[np.int16] | None = None
    ) -> npt.NDArray[np.int16] | None:
        """HU, shape (rows, columns); None if the file is not the one whose header was read.

        Parameters
        ----------
        path
            The file.
        into
            Contiguous, of this shape: what the HU may be written into, to be returned itself then.
            Whatever is returned, it may have been overwritten.
        """
        kind = np.dtype("<i2" if self.form.signed else "<u2")
        container = np.empty(self.shape, kind) if into is None else into.view(kind)
        try:
            with path.open("rb", buffering=0) as file:
                if _state(file) != self.file_state:
                    return None
                file.seek(self.offset)
                if file.readinto(container.data.cast("B")) != container.nbytes:
                    return None
        except OSError:
            return None
        return self.rescaling.hu(container, self.form.significant(container), into)


def stored_plane(
    file: BinaryIO, transfer_syntax: str, elements: Elements, recall: Recall | None = None
) -> StoredPlane | None:
    """Find the pixels behind a header.

    Parameters
    ----------
    file
        The open file, at the element at which reading of the header stopped.
    transfer_syntax
        Its UID.
    elements
        The header.
    recall
        What was read from other files of its series, with which ``elements`` reads.

    Returns
    -------
    StoredPlane or None
        None for all that is not an uncompressed image of one frame in sixteen bits whose length
        is right: `plane_reader.read_plane` reads it, or says what is wrong.
    """
    if transfer_syntax not in (ImplicitVRLittleEndian, ExplicitVRLittleEndian):
        return None
    stated = (
        _stated(elements) if recall is None else recall.alike("plane", lambda: _stated(elements))
    )
    if stated is None:
        return None
    shape, form, rescaling = stated
    length = _length_of_pixels(file, explicit=transfer_syntax == ExplicitVRLittleEndian)
    if length != 2 * shape[0] * shape[1]:
        return None
    return StoredPlane(_state(file), file.tell(), shape, form, rescaling)


def _stated(elements: Elements) -> tuple[tuple[int, int], PixelFormat, Rescaling] | None:
    """Rows and columns, form and rescaling of one grey plane in sixteen bits; None of all else."""
    one_plane = elements.integer("SamplesPerPixel") == 1 and (
        elements.integer("NumberOfFrames") in (None, 1)
    )
    grey = elements.text("PhotometricInterpretation") in ("MONOCHROME1", "MONOCHROME2")
    if not (one_plane and grey and elements.integer("BitsAllocated") == 16):
        return None
    try:
        form, rescaling = stated_format(elements, 0), stated_rescaling(elements, 0)
    except SeriesRefused:
        return None
    return (elements.integer("Rows") or 0, elements.integer("Columns") or 0), form, rescaling


def _length_of_pixels(file: BinaryIO, *, explicit: bool) -> int | None:
    """Length of Pixel Data, bytes, if it is stored in words; the file then stands behind it."""
    start = file.read(12 if explicit else 8)
    if len(start) < (12 if explicit else 8) or unpack("<HH", start[:4]) != PIXEL_DATA:
        return None
    if explicit and start[4:6] != b"OW":
        return None
    (length,) = unpack("<L", start[-4:])
    return int(length)


def _state(file: BinaryIO) -> tuple[int, ...]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
