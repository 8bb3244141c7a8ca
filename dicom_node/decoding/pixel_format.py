"""How stored pixel values become HU: which bits count, their sign, rescaling and padding."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dicom_node.decoding.elements import Elements
from dicom_node.errors import SeriesRefused
from dicom_node.foreign_text import cleaned

__all__ = [
    "MAX_PLANE_PIXELS",
    "PADDING_HU",
    "PixelFormat",
    "Rescaling",
    "contradiction",
    "stated_format",
    "stated_rescaling",
]

MAX_PLANE_PIXELS = 4096 * 4096
"""Largest image that is decoded; the largest matrix of CT scanners has 2048 x 2048 pixels."""

PADDING_HU = -1024
"""HU given to pixels outside the reconstructed field: air."""

KEPT_HU = (-1024, 32767)
"""Lowest and highest HU kept: values below air are padding or artefacts, those above do not fit
int16."""

WHOLE_INTERCEPT = 2**20
"""Whole intercepts up to this size are added in 32 bits."""


INT16_INTERCEPT = 2**15 - 1
"""Up to this size they are added in 16."""


@dataclass(frozen=True)
class PixelFormat:
    """Which bits of a container hold the value, and whether it has a sign (PS3.5, 8.1.1)."""

    bits_stored: int
    high_bit: int
    signed: bool

    def significant(self, container: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
        """The values without what else the containers hold, such as an overlay.

        They are of the container's type if that has the sign that they have, else int32, and in the
        byte order of this machine.
        """
        container = container.astype(container.dtype.newbyteorder("="), copy=False)
        bits = 8 * container.dtype.itemsize
        if self.signed == (container.dtype.kind == "i"):
            if self.bits_stored == bits:
                return container
            own = container.dtype.type
            return (container << own(bits - 1 - self.high_bit)) >> own(bits - self.bits_stored)
        value = container.astype(np.int32)
        above = np.int32(31 - self.high_bit)
        value <<= above
        if self.signed:
            value >>= np.int32(32 - self.bits_stored)
            return value
        return (value.view(np.uint32) >> np.uint32(32 - self.bits_stored)).view(np.int32)


@dataclass(frozen=True)
class Rescaling:
    """From stored values to HU.

    Parameters
    ----------
    slope, intercept
        Rescale Slope and Intercept.
    padding
        Pixel Padding Value and Range Limit, which is the value itself if there is no limit; None
        if no pixels are padded.
    """

    slope: float
    intercept: float
    padding: tuple[int, int] | None

    def hu(
        self,
        container: npt.NDArray[np.integer],
        stored: npt.NDArray[np.integer],
        into: npt.NDArray[np.int16] | None = None,
    ) -> npt.NDArray[np.int16]:
        """HU of pixels, given as they are stored with and without the bits that do not count.

        They may be written into an array, which may be the container's own memory; what is
        returned is that array, or another where they were not.
        """
        padded = None if self.padding is None else self._padded(container, stored)
        whole = float(self.intercept).is_integer() and abs(self.intercept) <= WHOLE_INTERCEPT
        if self.slope == 1 and whole:
            rounded = _shifted(stored, int(self.intercept), into)
        else:
            scaled = stored.astype(np.float64) * self.slope + self.intercept
            rounded = np.clip(np.rint(scaled), *KEPT_HU).astype(np.int16)
        if padded is not None:
            rounded[padded] = PADDING_HU
        return rounded

    def _padded(
        self, container: npt.NDArray[np.integer], stored: npt.NDArray[np.integer]
    ) -> npt.NDArray[np.bool_]:
        """Which pixels lie outside the reconstructed field.

        The padding value may need more bits than Bits Stored, or be written with the other sign.
        """
        value, limit = self.padding or (0, 0)
        low, high = sorted((value, limit))
        same_bits = (container.astype(np.int32) & 0xFFFF) == (value & 0xFFFF)
        return ((stored >= low) & (stored <= high)) | same_bits


def _shifted(
    stored: npt.NDArray[np.integer], intercept: int, into: npt.NDArray[np.int16] | None
) -> npt.NDArray[np.int16]:
    """Values with a whole intercept added, within `KEPT_HU`.

    Those of 16 bits are bounded before: what is then added in 16 bits is exact. numpy's ``clip`` of
    them takes six times as long as both bounds.
    """
    if stored.dtype.itemsize != 2 or abs(intercept) > INT16_INTERCEPT:
        hu = stored.astype(np.int32)
        hu += np.int32(intercept)
        return np.clip(hu, *KEPT_HU).astype(np.int16)
    known = np.iinfo(stored.dtype)
    low, high = (hu - intercept for hu in KEPT_HU)
    own = None if into is None else into.view(known.dtype)
    if low > known.min:
        stored = np.maximum(stored, known.dtype.type(low), out=own)
    if high < known.max:
        stored = np.minimum(stored, known.dtype.type(high), out=own)
    return np.add(
        stored.astype(known.dtype, copy=False).view(np.int16), np.int16(intercept), out=into
    )


def stated_format(elements: Elements, index: int) -> PixelFormat:
    """The form of the pixels that a header states.

    Raises
    ------
    SeriesRefused
        ``series.pixel_format``: it contradicts itself.
    """
    rows, columns = elements.integer("Rows") or 0, elements.integer("Columns") or 0
    if not 0 < rows * columns <= MAX_PLANE_PIXELS:
        raise contradiction(index, f"it claims {rows} x {columns} pixels")
    allocated, stored = elements.integer("BitsAllocated"), elements.integer("BitsStored")
    sign = elements.integer("PixelRepresentation")
    if allocated not in (8, 16) or stored is None or sign not in (0, 1):
        raise contradiction(index, "Bits Allocated, Bits Stored or Pixel Representation is wrong")
    high_bit = elements.integer("HighBit")
    high_bit = stored - 1 if high_bit is None else high_bit
    if not 1 <= stored <= high_bit + 1 <= allocated:
        raise contradiction(index, "Bits Stored and High Bit contradict each other")
    return PixelFormat(stored, high_bit, sign == 1)


def stated_rescaling(elements: Elements, index: int) -> Rescaling:
    """How the values become HU, as a header states it.

    Raises
    ------
    SeriesRefused
        ``series.no_rescale`` or ``series.not_hu``.
    """
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
    padding = elements.integer("PixelPaddingValue")
    if padding is None:
        return Rescaling(slope, intercept, None)
    limit = elements.integer("PixelPaddingRangeLimit")
    return Rescaling(slope, intercept, (padding, padding if limit is None else limit))


def contradiction(index: int, found: str) -> SeriesRefused:
    """The refusal of an image whose header contradicts its pixels."""
    return SeriesRefused(
        "series.pixel_format",
        f"the header of slice {index + 1} contradicts its pixels: {found}; send the series again",
    )
