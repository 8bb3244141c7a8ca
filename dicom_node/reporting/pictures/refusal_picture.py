"""The picture of a scan that was not analysed: why, and what would help."""

import os
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version

from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset

from dicom_node.reporting.pictures.fonts import BOLD, REGULAR, font_file
from dicom_node.reporting.report_model import RESEARCH_USE, Refusal
from dicom_node.reporting.words.document_words import (
    NOTHING_MEASURED,
    SCREENING,
    other_series_lines,
    refusal_advices,
    refusal_reason,
)
from dicom_node.reporting.words.identity_words import Identity, refused_identity, shown

__all__ = ["refusal_picture"]

COLUMNS, ROWS = 1280, 1024
"""The pixels of a 1-megapixel monitor."""

EDGE = 56
LOWEST = ROWS - 96
"""Below it stands the foot, rows."""

GROUND, BRIGHT, FAINT, TITLE = (0, 0, 0), (236, 236, 236), (164, 164, 164), (240, 228, 66)


def refusal_picture(refusal: Refusal, header: Dataset) -> Image.Image:
    """Draw why a scan was not analysed.

    Parameters
    ----------
    refusal
        Of the series or of the whole study.
    header
        Decoded header of one of the images: patient and study.

    Returns
    -------
    Image
        RGB, 1280 columns and 1024 rows.
    """
    image = Image.new("RGB", (COLUMNS, ROWS), GROUND)
    draw = ImageDraw.Draw(image)
    y = _identity(draw, refused_identity(header, refusal.series_uid))
    y = _lines(draw, y + 40, (SCREENING,), 22, FAINT)
    y = _lines(draw, y + 4, ("Not analysed",), 44, BRIGHT, bold=True)
    y = _lines(draw, y + 8, (refusal_reason(refusal),), 26, BRIGHT)
    for title, lines in (
        ("What would help", refusal_advices(refusal)),
        ("Series of the study that were looked at", other_series_lines(refusal)),
    ):
        if lines:
            y = _lines(draw, y + 30, (title,), 22, TITLE, bold=True)
            y = _lines(draw, y + 4, lines, 22, BRIGHT)
    _lines(draw, LOWEST, (NOTHING_MEASURED,), 22, BRIGHT, bold=True, lowest=ROWS)
    foot = ROWS - 40
    draw.text((EDGE, foot), RESEARCH_USE, FAINT, font=_font(17, BOLD))
    origin = f"osteonode {version('osteonode')}"
    draw.text((COLUMNS - EDGE, foot), origin, FAINT, font=_font(17, REGULAR), anchor="ra")
    return image


@cache
def _font(size: int, name: str) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(
        os.fspath(font_file(name)), size, layout_engine=ImageFont.Layout.BASIC
    )


def _identity(draw: ImageDraw.ImageDraw, identity: Identity) -> int:
    """Patient beside study; returns the row below both."""
    half = (COLUMNS - 2 * EDGE) // 2
    rows = [EDGE]
    for x, values in ((EDGE, identity.patient_rows), (EDGE + half, identity.study_rows)):
        y = EDGE
        for key, value in values:
            draw.text((x, y), key, FAINT, font=_font(19, REGULAR))
            y = _lines(draw, y, (value,), 19, BRIGHT, left=x + 130, width=half - 150)
        rows.append(y)
    draw.line((EDGE, max(rows) + 14, COLUMNS - EDGE, max(rows) + 14), FAINT)
    return max(rows)


def _lines(
    draw: ImageDraw.ImageDraw,
    y: int,
    lines: Sequence[str],
    size: int,
    colour: tuple[int, int, int],
    *,
    bold: bool = False,
    left: int = EDGE,
    width: int = COLUMNS - 2 * EDGE,
    lowest: int = LOWEST,
) -> int:
    """Draw lines of text that wrap, as many as fit; returns the row below them.

    Parameters
    ----------
    y, left, width
        Upper edge, left edge and width of the room, pixels.
    lines
        Each begins on a line of its own.
    size
        Of the font, pixels.
    lowest
        Row that no text reaches.
    """
    font = _font(size, BOLD if bold else REGULAR)
    step = round(size * 1.35)
    waiting = [part for line in lines for part in _wrapped(shown(line), font, width)]
    while waiting and y + step < lowest:
        part = waiting.pop(0)
        last = waiting and y + 2 * step >= lowest
        draw.text((left, y), "…" if last else part, colour, font=font)
        y += step
    return y


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """A text in lines that are not wider, words longer than a line cut."""
    found = [""]
    for word in text.split():
        rest = word
        if found[-1] and font.getlength(f"{found[-1]} {rest}") > width:
            found.append("")
        while font.getlength(rest) > width:
            cut = next(n for n in range(len(rest), 0, -1) if font.getlength(rest[:n]) <= width)
            found[-1:] = [rest[:cut], ""]
            rest = rest[cut:]
        found[-1] = f"{found[-1]} {rest}".strip()
    return found
