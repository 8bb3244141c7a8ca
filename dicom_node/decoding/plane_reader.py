"""Decode the pixels of one image into HU."""

import warnings
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.utils import pixel_array
from pydicom.uid import JPEGLSLossless, JPEGLSNearLossless

from dicom_node.decoding.codestream import Codestream, read_codestream
from dicom_node.decoding.elements import Elements
from dicom_node.decoding.inflation import plain_file
from dicom_node.decoding.pixel_format import (
    PixelFormat,
    contradiction,
    stated_format,
    stated_rescaling,
)
from dicom_node.decoding.stored_plane import StoredPlane
from dicom_node.errors import SeriesRefused

__all__ = ["read_plane"]

JPEG_LS_PLUGIN = "pyjpegls"
"""pydicom's name of CharLS, which takes a third of the time of the decoder that pydicom prefers."""


def read_plane(
    path: Path,
    index: int,
    stored: StoredPlane | None = None,
    into: npt.NDArray[np.int16] | None = None,
) -> npt.NDArray[np.int16]:
    """Read one image as it is stored.

    Parameters
    ----------
    path
        The file.
    index
        Its place in the series, from 0, for messages.
    stored
        Where the header said that the pixels lie; None if they are compressed or it is unknown.
    into
        What the HU may be written into, as of `StoredPlane.read`.

    Returns
    -------
    hu
        int16 HU, shape (rows, columns): ``into`` itself if they were written there.

    Raises
    ------
    SeriesRefused
        ``series.unreadable_pixels``, ``series.pixel_format``, ``series.no_rescale``,
        ``series.not_hu`` or ``series.enhanced``.
    """
    hu = None if stored is None else stored.read(path, into)
    if hu is not None:
        return hu
    with warnings.catch_warnings(record=True):
        try:
            dataset = pydicom.dcmread(plain_file(path))
            elements = Elements(dataset)
            form = _agreed_format(dataset, elements, index)
            container = _container(dataset)
        except (KeyboardInterrupt, SystemExit, SeriesRefused):
            raise
        except BaseException as error:  # decoders fail in open-ended ways, one by a Rust panic
            raise SeriesRefused(
                "series.unreadable_pixels",
                f"the pixels of slice {index + 1} cannot be decoded ({type(error).__name__}); "
                "the file is damaged or truncated: send the series again",
            ) from error
        if container.ndim != 2:
            raise SeriesRefused("series.enhanced", "an image holds several frames or colours")
        if container.shape != (elements.integer("Rows"), elements.integer("Columns")):
            raise contradiction(index, "its size differs from Rows and Columns")
        return stated_rescaling(elements, index).hu(container, form.significant(container))


def _container(dataset: Dataset) -> npt.NDArray[np.integer]:
    """The pixels as they are stored; unused bits are dealt with alike for all transfer syntaxes."""
    decode = partial(pixel_array, dataset, raw=True, correct_unused_bits=False)
    if dataset.file_meta.TransferSyntaxUID in (JPEGLSLossless, JPEGLSNearLossless):
        with suppress(Exception):  # decoders fail in open-ended ways; another may be able to
            return decode(decoding_plugin=JPEG_LS_PLUGIN)
    return decode()


def _agreed_format(dataset: Dataset, elements: Elements, index: int) -> PixelFormat:
    """The form of the pixels, once the header and a codestream agree on it."""
    form = stated_format(elements, index)
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        frame = next(generate_frames(dataset.PixelData, number_of_frames=1), b"")
        codestream = read_codestream(frame)
        if codestream is not None:
            shape = (elements.integer("Rows") or 0, elements.integer("Columns") or 0)
            _check_codestream(codestream, shape, form, index)
    return form


def _check_codestream(
    codestream: Codestream, shape: tuple[int, int], form: PixelFormat, index: int
) -> None:
    if (codestream.rows, codestream.columns) != shape:
        raise contradiction(
            index,
            f"{codestream.rows} x {codestream.columns} pixels are compressed, the header says "
            f"{shape[0]} x {shape[1]}",
        )
    if codestream.components != 1:
        raise SeriesRefused("series.enhanced", "an image holds several frames or colours")
    # values of fewer bits than the header says stay what they are only if both agree on the sign
    if codestream.precision <= form.high_bit and bool(codestream.signed) != form.signed:
        raise contradiction(
            index, f"{codestream.precision} bits are compressed, their sign cannot be told"
        )
