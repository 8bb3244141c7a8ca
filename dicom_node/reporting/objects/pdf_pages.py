"""The report as a PDF of one page with an annex, and the page of a scan that was not analysed.

ReportLab draws it and not WeasyPrint: it needs no libraries of the system, and the same report
gives the same bytes. The picture is a JPEG here; the Secondary Capture has it without loss.
"""

from collections.abc import Sequence
from importlib.metadata import version
from io import BytesIO
from typing import Any

from PIL import Image
from pydicom.dataset import Dataset
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from dicom_node.reporting.objects.pdf_annex import annex_story
from dicom_node.reporting.objects.pdf_layout import (
    ACCENT,
    GREY,
    HEIGHT,
    LINE,
    PAGE_MARGIN,
    PALE,
    TEXT_BOTTOM,
    TEXT_TOP,
    TEXT_WIDTH,
    WIDTH,
    Pen,
    bulleted,
    draw_foot,
    heading,
    key_values,
    new_document,
    paginated,
    paragraph,
)
from dicom_node.reporting.pictures.fonts import BOLD, REGULAR
from dicom_node.reporting.report_model import RESEARCH_USE, Refusal, Report
from dicom_node.reporting.words.call_words import worth_line
from dicom_node.reporting.words.document_words import (
    NOTHING_MEASURED,
    SCREENING,
    l1_line,
    other_series_lines,
    percentage,
    refusal_advices,
    refusal_reason,
    stage_lines,
    stage_rows,
    warning_lines,
)
from dicom_node.reporting.words.identity_words import (
    Identity,
    identity_of,
    printable,
    refused_identity,
)
from dicom_node.reporting.words.impression import mix_words
from dicom_node.reporting.words.reading_words import reading_words

__all__ = ["refusal_pdf", "report_pdf"]

ANNEX = "Annex"
ANNEX_TOP = TEXT_TOP - 20.0
"""Upper edge of the annex below its head, points."""

LEAST_PICTURE = 240.0
"""The picture is not drawn lower than this, points; what stands below makes way before."""

MOST_OF_A_PRIOR = 160
"""Characters of a line on an earlier examination: two lines of print."""

JPEG_QUALITY = 90


def report_pdf(
    report: Report, header: Dataset, picture: Image.Image, priors: Sequence[str] = ()
) -> bytes:
    """The report as a PDF: the same report gives the same bytes.

    Parameters
    ----------
    report
        Of a series that was assessed.
    header
        Decoded header of one of its images: patient, study and series.
    picture
        RGB, of any size: what was measured where.
    priors
        Lines on earlier examinations; those that the first page has no room for follow in the
        annex.
    """
    canvas, written = new_document(SCREENING)
    identity = identity_of(header)
    pen = Pen(canvas)
    _head(pen, identity)
    read = () if report.reading is None else (reading_words(report.reading),)
    _impression(pen, (*report.impression, *read))
    _results(pen, report)
    lines = [printable(line, most=MOST_OF_A_PRIOR) for line in priors]
    told = _picture_and_below(pen, report, picture, lines)
    story = annex_story(report, lines[told:])
    pages = paginated(story, ANNEX_TOP - TEXT_BOTTOM)
    origin = f"osteonode {version('osteonode')}"
    draw_foot(canvas, RESEARCH_USE, origin, 1, 1 + len(pages))
    canvas.showPage()
    for number, items in enumerate(pages, start=2):
        _annex_head(canvas, identity)
        for item, depth in items:
            item.drawOn(canvas, PAGE_MARGIN, ANNEX_TOP - depth)
        draw_foot(canvas, RESEARCH_USE, origin, number, 1 + len(pages))
        canvas.showPage()
    canvas.save()
    return written.getvalue()


def refusal_pdf(refusal: Refusal, header: Dataset) -> bytes:
    """The page of a scan that was not analysed: why, and what would help.

    Parameters
    ----------
    refusal
        Of the series or of the whole study.
    header
        Decoded header of one of the images: patient and study.
    """
    canvas, written = new_document(f"{SCREENING}: not analysed")
    pen = Pen(canvas)
    _head(pen, refused_identity(header, refusal.series_uid))
    _impression(pen, ("Not analysed.", refusal_reason(refusal)))
    pen.y -= 6
    for title, lines in (
        ("What would help", refusal_advices(refusal)),
        ("Warnings", tuple(full for _, full in warning_lines(refusal))),
        ("Series of the study that were looked at", other_series_lines(refusal)),
    ):
        if lines:
            pen.put(heading(title))
            _put_lines(pen, lines)
            pen.y -= 8
    pen.put(paragraph(NOTHING_MEASURED, 9.5, BOLD))
    draw_foot(canvas, RESEARCH_USE, f"osteonode {version('osteonode')}", 1, 1)
    canvas.showPage()
    canvas.save()
    return written.getvalue()


def _head(pen: Pen, identity: Identity) -> None:
    """Title, and patient beside study."""
    canvas = pen.canvas
    canvas.setFillColor(ACCENT)
    canvas.rect(0, HEIGHT - 11, WIDTH, 11, stroke=0, fill=1)
    pen.put(paragraph(SCREENING, 13, BOLD, ACCENT))
    pen.y -= 4
    top = pen.y
    half = TEXT_WIDTH / 2
    lowest = top
    columns = ((PAGE_MARGIN, identity.patient_rows), (PAGE_MARGIN + half, identity.study_rows))
    for x, rows in columns:
        pen.y = top
        pen.put(key_values(rows, half - 6, 62), x, half - 6)
        lowest = min(lowest, pen.y)
    pen.y = lowest - 4


def _impression(pen: Pen, sentences: Sequence[str]) -> None:
    """The verdict, big, on a pale ground; what is no finding smaller."""
    first, *rest = sentences
    items = [paragraph(first, 12.5, BOLD), *(paragraph(line, 9.5) for line in rest)]
    inner = TEXT_WIDTH - 18
    height = sum(item.wrap(inner, HEIGHT)[1] + item.getSpaceAfter() for item in items) + 12
    pen.canvas.setFillColor(PALE)
    pen.canvas.rect(PAGE_MARGIN, pen.y - height, TEXT_WIDTH, height, stroke=0, fill=1)
    pen.canvas.setFillColor(ACCENT)
    pen.canvas.rect(PAGE_MARGIN, pen.y - height, 3, height, stroke=0, fill=1)
    bottom = pen.y - height
    pen.y -= 6
    for item in items:
        pen.put(item, PAGE_MARGIN + 11, inner)
    pen.y = bottom - 8


def _results(pen: Pen, report: Report) -> None:
    """L1 by the published thresholds beside the cohort's model."""
    top, gap = pen.y, 14
    left = 0.36 * TEXT_WIDTH
    value, meaning = l1_line(report)
    pen.put(paragraph("Bone density of L1", 8.5, BOLD, ACCENT), width=left)
    pen.put(paragraph(value, 15, BOLD), width=left)
    pen.put(paragraph(meaning, 8), width=left)
    lowest = pen.y
    pen.y = top
    x, width = PAGE_MARGIN + left + gap, TEXT_WIDTH - left - gap
    pen.put(
        paragraph("Stage, by likeness to the patients of the cohort", 8.5, BOLD, ACCENT), x, width
    )
    for row in stage_rows(report):
        _bar(pen, x, width, *row)
    pen.y -= 3
    for line in stage_lines(report):
        pen.put(paragraph(line, 8), x, width)
    pen.y = min(lowest, pen.y)
    if report.stage.prevalence:
        pen.put(paragraph(mix_words(report.stage.prevalence), 7.5, colour=GREY))
    if report.stage.predicted and report.stage.predictive_values:
        worth = worth_line(report.stage.predicted, report.stage.predictive_values)
        pen.put(paragraph(worth, 7.5, colour=GREY))
    pen.y -= 4


def _bar(pen: Pen, x: float, width: float, words: str, probability: float, possible: bool) -> None:
    """A probability as a bar; in colour where the stage cannot be ruled out."""
    canvas, label, number = pen.canvas, 132, 30
    pen.y -= 11.5
    canvas.setFillColor(ACCENT if possible else GREY)
    canvas.setFont(REGULAR, 8)
    canvas.drawString(x, pen.y + 2, words)
    room = width - label - number
    canvas.setFillColor(PALE)
    canvas.rect(x + label, pen.y + 1, room, 7, stroke=0, fill=1)
    canvas.setFillColor(ACCENT if possible else LINE)
    canvas.rect(x + label, pen.y + 1, room * probability, 7, stroke=0, fill=1)
    canvas.setFillColor(ACCENT if possible else GREY)
    canvas.drawRightString(x + width, pen.y + 2, percentage(probability))


def _picture_and_below(
    pen: Pen, report: Report, picture: Image.Image, priors: Sequence[str]
) -> int:
    """The picture as high as the lines below it leave room for; returns how many priors they are.

    Where little room is left, warnings and then priors make way: the annex has all of them.
    """
    shorts = [short for short, _ in warning_lines(report)]
    warned, told = len(shorts), len(priors)
    while True:
        below = _below(shorts, warned, priors, told)
        height = sum(item.wrap(TEXT_WIDTH, HEIGHT)[1] + item.getSpaceAfter() for item in below)
        room = pen.y - TEXT_BOTTOM - height - 4
        if room >= LEAST_PICTURE or not (warned or told):
            break
        warned, told = (warned - 1, told) if warned else (0, told - 1)
    scale = min(TEXT_WIDTH / picture.width, room / picture.height)
    wide, high = picture.width * scale, picture.height * scale
    packed = BytesIO()
    picture.convert("RGB").save(packed, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    pen.y -= high
    left = PAGE_MARGIN + (TEXT_WIDTH - wide) / 2
    pen.canvas.drawImage(_Packed(packed), left, pen.y, width=wide, height=high)
    pen.y -= 4
    for item in below:
        pen.put(item)
    return told


class _Packed(ImageReader):
    """A JPEG that ReportLab takes as it is, and names after its bytes instead of its pixels."""

    _dataA = None  # noqa: N815  # it has no mask

    def getRGBData(self) -> bytes:  # noqa: N802  # ReportLab's name
        """What the picture is named after."""
        self.fp.seek(0)
        return bytes(self.fp.read())


def _below(shorts: Sequence[str], warned: int, priors: Sequence[str], told: int) -> list[Any]:
    """What stands below the picture: the first earlier examinations, and the first warnings."""
    items = []
    if priors:
        items.append(paragraph("Earlier examinations", 8.5, BOLD, ACCENT))
        items += bulleted(priors[:told], 8)
        if told < len(priors):
            items.append(paragraph(f"{len(priors) - told} more in the annex.", 8))
    if shorts:
        rest = len(shorts) - warned
        said = [*shorts[:warned], *([f"{rest} more" if warned else f"{rest}"] if rest else [])]
        items.append(paragraph("Warnings (in full in the annex)", 8.5, BOLD, ACCENT))
        items.append(paragraph("; ".join(said) + ".", 8))
    return items


def _annex_head(canvas: Canvas, identity: Identity) -> None:
    """Whose annex it is, on every page, in one line."""
    whose = f"{identity.name} · ID {identity.patient_id} · study of {identity.study_date}"
    size = min(8.5, 8.5 * (TEXT_WIDTH - 48) / stringWidth(whose, REGULAR, 8.5))
    canvas.setFillColor(ACCENT)
    canvas.setFont(BOLD, 8.5)
    canvas.drawString(PAGE_MARGIN, TEXT_TOP - 8.5, ANNEX)
    canvas.setFillColor(GREY)
    canvas.setFont(REGULAR, size)
    canvas.drawString(PAGE_MARGIN + 48, TEXT_TOP - 8.5, whose)
    canvas.setStrokeColor(LINE)
    canvas.line(PAGE_MARGIN, TEXT_TOP - 14, WIDTH - PAGE_MARGIN, TEXT_TOP - 14)


def _put_lines(pen: Pen, lines: Sequence[str]) -> None:
    """Lines with a dash, as many as the page has room for."""
    for number, item in enumerate(bulleted(lines, 9.5)):
        if pen.y - item.wrap(TEXT_WIDTH, HEIGHT)[1] < TEXT_BOTTOM + 60:
            pen.put(paragraph(f"and {len(lines) - number} more", 9.5))
            return
        pen.put(item)
