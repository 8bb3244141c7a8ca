"""The 256 colours of the pictures: greys for CT and text, shades of a few colours over them."""

from functools import cache
from itertools import product

import numpy as np
import numpy.typing as npt
from PIL import Image

from dicom_node.reporting.pictures.canvas import ORANGE, SKY_BLUE, VERMILLION, YELLOW

__all__ = ["PALETTE", "palette_indices"]

GREY_STEP = 2
"""Between neighbouring greys, of 255."""

COVERAGES = (0.25, 0.5, 0.75)
"""Share of a pixel at the edge of a line that is the line's colour."""

UNDERNEATH = (0, 32, 64, 96, 128, 160, 192, 224, 250)
"""Greys that a line's edge may lie on."""


def _palette() -> npt.NDArray[np.uint8]:
    greys = np.append(np.arange(0, 256, GREY_STEP), 255)[:, None].repeat(3, axis=1)
    shades = [colours := (YELLOW, SKY_BLUE, ORANGE, VERMILLION)]
    mixed = [
        share * np.array(colour) + (1 - share) * grey
        for colour, share, grey in product(colours, COVERAGES, UNDERNEATH)
    ]
    palette = np.vstack([greys, *shades, mixed])
    full = np.zeros((256, 3), dtype=np.uint8)
    full[: len(palette)] = np.rint(palette)
    full.setflags(write=False)
    return full


PALETTE = _palette()
"""uint8, shape (256, 3): red, green and blue; 129 greys, four colours and their edges, the rest
black. The colours are those of `canvas` (Okabe and Ito 2008)."""

CUBE_BITS = 5
"""Colours that share their first bits of red, green and blue have the same place in the palette."""


def palette_indices(picture: Image.Image) -> npt.NDArray[np.uint8]:
    """The place in the palette that is nearest to each pixel.

    Parameters
    ----------
    picture
        RGB.

    Returns
    -------
    indices
        uint8, shape (rows, columns). Greys are off by at most one of 255.
    """
    pixels = np.asarray(picture)
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    indices = _grey_indices()[green]
    coloured = (red != green) | (green != blue)
    cells = pixels[coloured] >> (8 - CUBE_BITS)
    codes = np.zeros(len(cells), dtype=np.int32)
    for channel in cells.T:
        codes <<= CUBE_BITS
        codes |= channel
    used = np.flatnonzero(np.bincount(codes, minlength=1))
    middles = np.column_stack([used >> 2 * CUBE_BITS, used >> CUBE_BITS, used]) % (1 << CUBE_BITS)
    middles = (middles << (8 - CUBE_BITS)) + (1 << (7 - CUBE_BITS))
    nearest = np.zeros(1 << 3 * CUBE_BITS, dtype=np.uint8)
    nearest[used] = _nearest(middles)
    indices[coloured] = nearest[codes]
    return indices


@cache
def _grey_indices() -> npt.NDArray[np.uint8]:
    return _nearest(np.arange(256)[:, None].repeat(3, axis=1))


def _nearest(colours: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """The nearest place in the palette to each colour, shape (n, 3); the first of equal ones."""
    # |c - p|^2 without |c|^2, which is the same for all p
    palette = PALETTE.astype(np.int64)
    distance = (palette**2).sum(axis=1) - 2 * colours @ palette.T
    return distance.argmin(axis=1).astype(np.uint8)
