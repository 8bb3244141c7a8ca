"""The look of the PDF: fonts, styles, the flow of a section over pages, and its foot."""

import os
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from typing import Any
from xml.sax.saxutils import escape

from reportlab import rl_config
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Paragraph, Table

from dicom_node.reporting.pictures.fonts import BOLD, REGULAR, font_file
from dicom_node.reporting.report_model import RESEARCH_USE
from dicom_node.reporting.words.identity_words import shown

__all__ = [
    "ACCENT",
    "GREY",
    "HEIGHT",
    "LINE",
    "PAGE_MARGIN",
    "PALE",
    "TEXT_BOTTOM",
    "TEXT_TOP",
    "TEXT_WIDTH",
    "WIDTH",
    "Pen",
    "bulleted",
    "draw_foot",
    "heading",
    "key_values",
    "new_document",
    "paginated",
    "paragraph",
    "prepare_reportlab",
    "table",
]

WIDTH, HEIGHT = A4
PAGE_MARGIN = 15 * mm
TEXT_WIDTH = WIDTH - 2 * PAGE_MARGIN
TEXT_TOP = HEIGHT - 12 * mm
TEXT_BOTTOM = PAGE_MARGIN + 4 * mm
"""Upper and lower edge of what stands between head and foot, points."""

INK: Color = HexColor("#111111")
ACCENT: Color = HexColor("#1f3a52")
GREY: Color = HexColor("#5a6570")
PALE: Color = HexColor("#eef2f5")
LINE: Color = HexColor("#c5cdd4")

HEADING_NEEDS = 28 * mm
"""A heading is not left on a page without so much room for what follows it."""

Flowable = Any
"""A paragraph or table of ReportLab, which has no types."""


class Pen:
    """A canvas and how far down it is drawn.

    Parameters
    ----------
    canvas
        What is drawn on.
    """

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.y = TEXT_TOP

    def put(self, item: Flowable, x: float = PAGE_MARGIN, width: float = TEXT_WIDTH) -> None:
        """Draw a paragraph or table and move below it."""
        self.y -= item.wrapOn(self.canvas, width, HEIGHT)[1]
        item.drawOn(self.canvas, x, self.y)
        self.y -= item.getSpaceAfter()


def new_document(title: str) -> tuple[Canvas, BytesIO]:
    """An empty PDF, and what it is written into when it is saved; it holds no date of its own."""
    prepare_reportlab()
    written = BytesIO()
    canvas = Canvas(written, pagesize=(WIDTH, HEIGHT), invariant=1, pageCompression=1, lang="en")
    canvas.setTitle(title)
    canvas.setAuthor("osteonode")
    canvas.setSubject(RESEARCH_USE)
    return canvas, written


def paragraph(
    text: str,
    size: float = 8.5,
    font: str = REGULAR,
    colour: Color = INK,
    bullet: bool = False,
) -> Flowable:
    """A paragraph that wraps, long words included.

    Parameters
    ----------
    text
        Plain text; nothing in it is taken for markup.
    size
        Of the letters, points.
    """
    style = ParagraphStyle(
        f"{font}-{size}",
        fontName=font,
        fontSize=size,
        leading=size * 1.32,
        textColor=colour,
        splitLongWords=1,
        spaceShrinkage=0,
        leftIndent=9 if bullet else 0,
        bulletFontName=REGULAR,
        bulletFontSize=size,
        spaceAfter=1.5,
    )
    return Paragraph(escape(shown(text)), style, bulletText="–" if bullet else None)


def heading(text: str) -> Flowable:
    """The heading of a section."""
    found = paragraph(text, 10, BOLD, ACCENT)
    found.style.spaceBefore, found.style.spaceAfter = 7, 2.5
    found.keepWithNext = 1
    return found


def bulleted(lines: Sequence[str], size: float = 8.5) -> list[Flowable]:
    """A paragraph with a dash for each line."""
    return [paragraph(line, size, bullet=True) for line in lines]


def key_values(rows: Sequence[tuple[str, str]], width: float, key_width: float) -> Flowable:
    """Names in grey beside their values, which wrap."""
    cells = [[paragraph(key, 8, colour=GREY), paragraph(value)] for key, value in rows]
    return Table(
        cells,
        colWidths=(key_width, width - key_width),
        style=[
            ("FONT", (0, 0), (-1, -1), REGULAR, 8),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 4),
            ("TOPPADDING", (0, 0), (-1, -1), 0.6),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 0.6),
        ],
        hAlign="LEFT",
    )


def table(
    rows: Sequence[Sequence[Any]], widths: Sequence[float], heads: int = 1, *extra: tuple[Any, ...]
) -> Flowable:
    """A table with lines between its rows.

    Parameters
    ----------
    rows
        Texts or paragraphs, the heads first.
    widths
        Of the columns, points.
    heads
        Number of head rows, repeated on the next page.
    extra
        Further commands of ReportLab's table style.
    """
    style = [
        ("FONT", (0, 0), (-1, -1), REGULAR, 8.5, 10.5),
        ("FONT", (0, 0), (-1, heads - 1), BOLD, 8, 10),
        ("TEXTCOLOR", (0, 0), (-1, heads - 1), ACCENT),
        ("BACKGROUND", (0, 0), (-1, heads - 1), PALE),
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
        ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
        ("LEFTPADDING", (0, 0), (-1, -1), 4),
        ("RIGHTPADDING", (0, 0), (-1, -1), 4),
        ("TOPPADDING", (0, 0), (-1, -1), 1.6),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.8),
        *extra,
    ]
    return Table(
        [list(row) for row in rows],
        colWidths=list(widths),
        style=style,
        repeatRows=heads,
        hAlign="LEFT",
    )


def paginated(story: Sequence[Flowable], height: float) -> list[list[tuple[Flowable, float]]]:
    """Divide a story into pages.

    Parameters
    ----------
    story
        Paragraphs and tables from top to bottom.
    height
        Of the room on a page, points.

    Returns
    -------
    list of list of (Flowable, float)
        For each page what stands on it, and the distance of its lower edge from the room's top.
    """
    pages: list[list[tuple[Flowable, float]]] = [[]]
    used = 0.0
    waiting = list(story)
    while waiting:
        item = waiting.pop(0)
        before = float(item.getSpaceBefore()) if pages[-1] else 0.0
        free = height - used - before
        needed = item.wrap(TEXT_WIDTH, free)[1]
        if needed > free or (getattr(item, "keepWithNext", 0) and free < HEADING_NEEDS):
            parts = item.split(TEXT_WIDTH, free) if needed > free else []
            if len(parts) > 1:
                waiting = [*parts, *waiting]
                continue
            if pages[-1]:
                pages.append([])
                used = 0.0
                waiting.insert(0, item)
                continue
        used += before + needed
        pages[-1].append((item, used))
        used += item.getSpaceAfter()
    return pages


def draw_foot(canvas: Canvas, statement: str, origin: str, page: int, pages: int) -> None:
    """What stands at the foot of every page: what it may be used for, its origin and its number."""
    y = PAGE_MARGIN - 4 * mm
    canvas.setStrokeColor(LINE)
    canvas.setLineWidth(0.5)
    canvas.line(PAGE_MARGIN, y + 9, WIDTH - PAGE_MARGIN, y + 9)
    canvas.setFillColor(ACCENT)
    canvas.setFont(BOLD, 7.5)
    canvas.drawString(PAGE_MARGIN, y, statement)
    canvas.setFillColor(GREY)
    canvas.setFont(REGULAR, 7.5)
    canvas.drawRightString(WIDTH - PAGE_MARGIN, y, f"{origin}   page {page} of {pages}")


@lru_cache(maxsize=1)
def prepare_reportlab() -> None:
    """Make the fonts known to ReportLab and its streams binary, once in a process.

    As text, its default, a stream is a quarter longer and takes 0.2 CPU seconds a picture.
    """
    rl_config.useA85 = 0
    for name in (REGULAR, BOLD):
        pdfmetrics.registerFont(TTFont(name, os.fspath(font_file(name))))
