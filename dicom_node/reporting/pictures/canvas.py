"""Drawing for pictures that are read at one screen pixel a pixel: text, smooth lines, CT."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from dicom_node.reporting.pictures.fonts import BOLD, REGULAR, font_file

__all__ = [
    "BLACK",
    "DIM",
    "ORANGE",
    "SIZE",
    "SKY_BLUE",
    "VERMILLION",
    "WHITE",
    "YELLOW",
    "Canvas",
    "Colour",
    "fitted",
    "text_font",
    "text_width",
    "wrapped",
]

Colour = tuple[int, int, int]

SIZE = (1280, 1024)
"""Columns and rows: the pixels of a 1-megapixel monitor."""

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (236, 236, 236)
DIM: Colour = (164, 164, 164)

YELLOW: Colour = (240, 228, 66)
SKY_BLUE: Colour = (86, 180, 233)
ORANGE: Colour = (230, 159, 0)
VERMILLION: Colour = (213, 94, 0)
"""Colours that are told apart in colour-blind vision (Okabe and Ito 2008, Color Universal
Design)."""

SMOOTHING = 4
"""Lines are drawn this many times as large and made smaller."""


@cache
def text_font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    """The font of all texts, its size in pixels."""
    path = font_file(BOLD if bold else REGULAR)
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def text_width(text: str, size: int, *, bold: bool = False) -> int:
    """Width of a text, pixels."""
    return round(text_font(size, bold).getlength(text))


def fitted(text: str, width: int, sizes: Sequence[int], *, bold: bool = False) -> tuple[str, int]:
    """A text and the largest size at which it fits; at the smallest it is cut, which it shows.

    Parameters
    ----------
    text
        One line.
    width
        Room, pixels.
    sizes
        Sizes of the font, the largest first, pixels.
    bold
        Whether it is drawn bold.
    """
    for size in sizes:
        if text_width(text, size, bold=bold) <= width:
            return text, size
    kept = text
    while kept and text_width(kept + "…", sizes[-1], bold=bold) > width:
        kept = kept[:-1]
    return kept + "…", sizes[-1]


def wrapped(text: str, width: int, size: int, lines: int, *, bold: bool = False) -> list[str]:
    """A text in at most so many lines; the last one is cut where it does not fit.

    >>> wrapped("one two three", 60, 14, 2), wrapped("", 60, 14, 2)
    (['one two', 'three'], [])
    """
    found: list[str] = []
    for word in text.split():
        longer = f"{found[-1]} {word}" if found else word
        full = len(found) == lines
        if found and (full or text_width(longer, size, bold=bold) <= width):
            found[-1] = longer
        else:
            found.append(word)
    return [fitted(line, width, (size,), bold=bold)[0] for line in found]


class Canvas:
    """A black picture of `SIZE` that is drawn on."""

    def __init__(self) -> None:
        self.image = Image.new("RGB", SIZE, BLACK)
        self._draw = ImageDraw.Draw(self.image)

    def text(
        self,
        at: tuple[float, float],
        text: str,
        size: int,
        colour: Colour = WHITE,
        *,
        bold: bool = False,
        anchor: str = "la",
    ) -> None:
        """Draw one line.

        Parameters
        ----------
        at
            Column and row of the anchor, pixels.
        text
            What stands there.
        size
            Of the font, pixels.
        colour
            Red, green and blue, 0 to 255.
        bold
            Whether it is bold.
        anchor
            Pillow's anchor, such as ``la`` (left, ascender) or ``mm`` (middle of both).
        """
        self._draw.text(
            (round(at[0]), round(at[1])), text, colour, font=text_font(size, bold), anchor=anchor
        )

    def box(self, corners: tuple[float, float, float, float], colour: Colour) -> None:
        """Fill a rectangle; corners are its left, top, right and bottom, the last two beyond it."""
        left, top, right, bottom = (round(value) for value in corners)
        if right > left and bottom > top:
            self._draw.rectangle((left, top, right - 1, bottom - 1), fill=colour)

    def picture(self, at: tuple[int, int], grey: npt.NDArray[np.uint8]) -> None:
        """Lay a grey picture, uint8, shape (rows, columns), with its upper left corner there."""
        self.image.paste(Image.fromarray(grey), at)

    def line(
        self,
        points: npt.ArrayLike,
        colour: Colour,
        width: float = 1.0,
        dash: tuple[float, float] | None = None,
        *,
        closed: bool = False,
        clip: tuple[int, int, int, int] | None = None,
    ) -> None:
        """Draw a smooth line.

        Parameters
        ----------
        points
            float, shape (n, 2): column and row of its corners, pixels.
        colour
            Red, green and blue, 0 to 255.
        width
            Pixels.
        dash
            Lengths of a dash and of a gap, pixels; None for a solid line.
        closed
            Whether it ends where it begins.
        clip
            Left, top, right and bottom of where it may be drawn.
        """
        path = np.asarray(points, dtype=np.float64)
        if closed:
            path = np.vstack([path, path[:1]])
        left, top = np.floor(path.min(axis=0) - width).astype(int).tolist()
        right, bottom = np.ceil(path.max(axis=0) + width + 1).astype(int).tolist()
        if clip is not None:
            left, top = max(left, clip[0]), max(top, clip[1])
            right, bottom = min(right, clip[2]), min(bottom, clip[3])
        if right <= left or bottom <= top:
            return
        large = Image.new("L", ((right - left) * SMOOTHING, (bottom - top) * SMOOTHING))
        draw = ImageDraw.Draw(large)
        for piece in [path] if dash is None else _dashes(path, *dash):
            scaled = (piece - (left, top)) * SMOOTHING
            draw.line([tuple(point) for point in scaled.tolist()], 255, round(width * SMOOTHING))
        self.image.paste(colour, (left, top), large.reduce(SMOOTHING))


def _dashes(path: npt.NDArray[np.float64], on: float, off: float) -> list[npt.NDArray[np.float64]]:
    """The dashes of a path, each with the corners that lie on it."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    pieces = []
    for start in np.arange(0.0, along[-1], on + off):
        end = min(start + on, along[-1])
        inside = along[(along > start) & (along < end)]
        at = np.concatenate([[start], inside, [end]])
        pieces.append(
            np.column_stack([np.interp(at, along, path[:, 0]), np.interp(at, along, path[:, 1])])
        )
    return pieces
