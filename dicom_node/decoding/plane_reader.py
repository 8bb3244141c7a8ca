"""Decode the pixels of one image into HU."""

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.utils import pixel_array

from dicom_node.decoding.codestream import Codestream, read_codestream
from dicom_node.decoding.elements import Elements
from dicom_node.decoding.inflation import plain_file
from dicom_node.errors import SeriesRefused
from dicom_node.foreign_text import cleaned

__all__ = ["MAX_PLANE_PIXELS", "PADDING_HU", "read_plane"]

PADDING_HU = -1024
"""HU given to pixels outside the reconstructed field: air."""

KEPT_HU = (-1024, 32767)
"""Lowest and highest HU kept: values below air are padding or artefacts, those above do not fit
int16."""

MAX_PLANE_PIXELS = 4096 * 4096
"""Largest image that is decoded; the largest matrix of CT scanners has 2048 x 2048 pixels."""


def read_plane(path: Path, index: int) -> npt.NDArray[np.int16]:
    """Read one image as it is stored.

    Parameters
    ----------
    path
        The file.
    index
        Its place in the series, from 0, for messages.

    Returns
    -------
    hu
        int16 HU, shape (rows, columns).

    Raises
    ------
    SeriesRefused
        ``series.unreadable_pixels``, ``series.pixel_format``, ``series.no_rescale``,
        ``series.not_hu`` or ``series.enhanced``.
    """
    with warnings.catch_warnings(record=True):
        try:
            dataset = pydicom.dcmread(plain_file(path))
            elements = Elements(dataset)
            form = _pixel_format(dataset, elements, index)
            # unused bits are dealt with below, alike for all transfer syntaxes
            container = pixel_array(dataset, raw=True, correct_unused_bits=False)
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
            raise _contradiction(index, "its size differs from Rows and Columns")
        slope, intercept = _rescale(elements, index)
        stored = form.significant(container)
        hu = stored.astype(np.float64) * slope + intercept
        hu[_padded(container, stored, elements)] = PADDING_HU
    return np.clip(np.rint(hu), *KEPT_HU).astype(np.int16)


class _PixelFormat:
    """Which bits of a container hold the value, and whether it has a sign (PS3.5, 8.1.1)."""

    def __init__(self, bits_stored: int, high_bit: int, signed: bool) -> None:
        self.bits_stored = bits_stored
        self.high_bit = high_bit
        self.signed = signed

    def significant(self, container: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
        """The values without what else the containers hold, such as an overlay."""
        value = container.astype(np.int32) >> (self.high_bit + 1 - self.bits_stored)
        value &= (1 << self.bits_stored) - 1
        if self.signed:
            value -= (value >> (self.bits_stored - 1)) << self.bits_stored
        return value


def _pixel_format(dataset: Dataset, elements: Elements, index: int) -> _PixelFormat:
    """The form of the pixels, once the header and a codestream agree on it."""
    rows, columns = elements.integer("Rows") or 0, elements.integer("Columns") or 0
    if not 0 < rows * columns <= MAX_PLANE_PIXELS:
        raise _contradiction(index, f"it claims {rows} x {columns} pixels")
    allocated, stored = elements.integer("BitsAllocated"), elements.integer("BitsStored")
    sign = elements.integer("PixelRepresentation")
    if allocated not in (8, 16) or stored is None or sign not in (0, 1):
        raise _contradiction(index, "Bits Allocated, Bits Stored or Pixel Representation is wrong")
    high_bit = elements.integer("HighBit")
    high_bit = stored - 1 if high_bit is None else high_bit
    if not 1 <= stored <= high_bit + 1 <= allocated:
        raise _contradiction(index, "Bits Stored and High Bit contradict each other")
    form = _PixelFormat(stored, high_bit, sign == 1)
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        frame = next(generate_frames(dataset.PixelData, number_of_frames=1), b"")
        codestream = read_codestream(frame)
        if codestream is not None:
            _check_codestream(codestream, (rows, columns), form, index)
    return form


def _check_codestream(
    codestream: Codestream, shape: tuple[int, int], form: _PixelFormat, index: int
) -> None:
    if (codestream.rows, codestream.columns) != shape:
        raise _contradiction(
            index,
            f"{codestream.rows} x {codestream.columns} pixels are compressed, the header says "
            f"{shape[0]} x {shape[1]}",
        )
    if codestream.components != 1:
        raise SeriesRefused("series.enhanced", "an image holds several frames or colours")
    # values of fewer bits than the header says stay what they are only if both agree on the sign
    if codestream.precision <= form.high_bit and bool(codestream.signed) != form.signed:
        raise _contradiction(
            index, f"{codestream.precision} bits are compressed, their sign cannot be told"
        )


def _rescale(elements: Elements, index: int) -> tuple[float, float]:
    """Rescale Slope and Intercept to HU."""
    unit = elements.text("RescaleType")
    if unit not in ("", "HU", "US") or elements.values("ModalityLUTSequence"):
        raise SeriesRefused(
            "series.not_hu",
            f"pixel values are {cleaned(unit) or 'looked up'}, not Hounsfield units",
        )
    slope, intercept = elements.positive("RescaleSlope"), elements.number("RescaleIntercept")
    if not slope or intercept is None:
        raise SeriesRefused(
            "series.no_rescale", f"slice {index + 1} has no Rescale Slope or Intercept"
        )
    return slope, intercept


def _padded(
    container: npt.NDArray[np.integer], stored: npt.NDArray[np.int32], elements: Elements
) -> npt.NDArray[np.bool_]:
    """Which pixels lie outside the reconstructed field.

    The padding value may need more bits than Bits Stored, or be written with the other sign.
    """
    padding = elements.integer("PixelPaddingValue")
    if padding is None:
        return np.zeros(stored.shape, dtype=bool)
    limit = elements.integer("PixelPaddingRangeLimit")
    low, high = sorted((padding, padding if limit is None else limit))
    same_bits = (container.astype(np.int32) & 0xFFFF) == (padding & 0xFFFF)
    return ((stored >= low) & (stored <= high)) | same_bits


def _contradiction(index: int, found: str) -> SeriesRefused:
    return SeriesRefused(
        "series.pixel_format",
        f"the header of slice {index + 1} contradicts its pixels: {found}; send the series again",
    )
