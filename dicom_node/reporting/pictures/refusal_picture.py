"""The picture of a scan that was not analysed: why, and what would help."""

from collections.abc import Sequence
from importlib.metadata import version

from PIL import Image, ImageFont
from pydicom.dataset import Dataset

from dicom_node.reporting.pictures.canvas import (
    DIM,
    SIZE,
    WHITE,
    YELLOW,
    Canvas,
    Colour,
    text_font,
)
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

COLUMNS, ROWS = SIZE
EDGE = 56
LOWEST = ROWS - 96
"""Below it stands the foot, rows."""


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
    canvas = Canvas()
    y = _identity(canvas, refused_identity(header, refusal.series_uid))
    y = _lines(canvas, y + 40, (SCREENING,), 22, DIM)
    y = _lines(canvas, y + 4, ("Not analysed",), 44, WHITE, bold=True)
    y = _lines(canvas, y + 8, (refusal_reason(refusal),), 26, WHITE)
    for title, lines in (
        ("What would help", refusal_advices(refusal)),
        ("Series of the study that were looked at", other_series_lines(refusal)),
    ):
        if lines:
            y = _lines(canvas, y + 30, (title,), 22, YELLOW, bold=True)
            y = _lines(canvas, y + 4, lines, 22, WHITE)
    _lines(canvas, LOWEST, (NOTHING_MEASURED,), 22, WHITE, bold=True, lowest=ROWS)
    foot = ROWS - 40
    canvas.text((EDGE, foot), RESEARCH_USE, 17, DIM, bold=True)
    origin = f"osteonode {version('osteonode')}"
    canvas.text((COLUMNS - EDGE, foot), origin, 17, DIM, anchor="ra")
    return canvas.image


def _identity(canvas: Canvas, identity: Identity) -> int:
    """Patient beside study; returns the row below both."""
    half = (COLUMNS - 2 * EDGE) // 2
    rows = [EDGE]
    for x, values in ((EDGE, identity.patient_rows), (EDGE + half, identity.study_rows)):
        y = EDGE
        for key, value in values:
            canvas.text((x, y), key, 19, DIM)
            y = _lines(canvas, y, (value,), 19, WHITE, left=x + 130, width=half - 150)
        rows.append(y)
    line = max(rows) + 14
    canvas.box((EDGE, line, COLUMNS - EDGE + 1, line + 1), DIM)
    return max(rows)


def _lines(
    canvas: Canvas,
    y: int,
    lines: Sequence[str],
    size: int,
    colour: Colour,
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
    font = text_font(size, bold)
    step = round(size * 1.35)
    waiting = [part for line in lines for part in _wrapped(shown(line), font, width)]
    while waiting and y + step < lowest:
        part = waiting.pop(0)
        last = waiting and y + 2 * step >= lowest
        canvas.text((left, y), "…" if last else part, size, colour, bold=bold)
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
