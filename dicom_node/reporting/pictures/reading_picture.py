"""The picture of a report for reading: whose it is, what was found, how sure, and where.

It is one screen of a 1-megapixel monitor, so that nothing is lost where it is shown 1:1. Drawing
takes about a quarter of a CPU second, whatever the number of slices.
"""

from PIL import Image
from pydicom.dataset import Dataset

from dicom_node.reporting.pictures.axial_framing import BODY_FRAMING, Row, disc_framing
from dicom_node.reporting.pictures.axial_rows import (
    STYLES,
    draw_body_row,
    draw_disc_row,
    draw_row_title,
)
from dicom_node.reporting.pictures.canvas import (
    BLACK,
    DIM,
    SIZE,
    VERMILLION,
    WHITE,
    Canvas,
    fitted,
    text_width,
    wrapped,
)
from dicom_node.reporting.pictures.hu_bars import Percentiles, draw_hu_bars
from dicom_node.reporting.pictures.picture_words import (
    acquisition_words,
    notes,
    study_words,
    whose_words,
)
from dicom_node.reporting.pictures.spine_views import draw_spine_views
from dicom_node.reporting.report_model import Report
from dicom_node.reporting.words.comparison_words import comparison_words
from dicom_node.reporting.words.document_words import missing_lines, percentage
from dicom_node.reporting.words.identity_words import identity_of
from dicom_node.reporting.words.impression import STAGE_WORDS
from roi_extraction.features import FeatureVector
from roi_extraction.picture import SHORT
from roi_extraction.volume import CtVolume

__all__ = ["reading_picture", "slices_picture"]

MARGIN = 8
"""Kept free at both sides, pixels."""

FOOTER_TOP = 1006

LEAST_NAME = 300
"""Width that a long Patient ID leaves for the name, pixels."""

HEADING, LINE = 24, 17
"""Heights of a heading and of a line below it, pixels."""

LEAST_NOTES = 3
"""Notes that the words of what is missing leave room for."""

MUSCLES_TITLE = "Muscles at the discs, soft-tissue window:  " + ",  ".join(
    f"{SHORT[muscle]} {muscle} ({style.words})"
    for muscle, style in STYLES.items()
    if muscle is not None
)


def reading_picture(
    report: Report,
    header: Dataset,
    volume: CtVolume,
    features: FeatureVector,
    percentiles: Percentiles | None = None,
) -> Image.Image:
    """Draw the picture.

    Parameters
    ----------
    report
        The report of the series.
    header
        Of its first image (`structured_report.evidence_header`).
    volume
        The scan: int16 HU, shape (slices, rows, columns).
    features
        Its 36 sites.
    percentiles
        10th, 50th and 90th percentile of HU in the cohort for this age and sex, by level; levels
        that are not known are absent.

    Returns
    -------
    picture
        RGB, `canvas.SIZE`; the patient's right is on the left.
    """
    canvas = Canvas()
    _draw_identity(canvas, header, report)
    top = _draw_impression(canvas, report)
    draw_spine_views(canvas, (MARGIN, top, 532, 592), volume, features)
    right = SIZE[0] - MARGIN
    below = draw_hu_bars(canvas, 552, top, right, report, percentiles)
    _draw_stage(canvas, report, 552, below + 6, 900)
    _draw_limits(canvas, report, (920, below + 6, right, 594))
    draw_row_title(
        canvas, 598, "Vertebral bodies, middle slice of three, bone window; HU: mean of all three",
        BODY_FRAMING.mm_per_pixel,
    )  # fmt: skip
    draw_body_row(canvas, Row(616, 780), volume, features)
    row = Row(804, 1000)
    framing = disc_framing(features, row)
    draw_row_title(canvas, 786, MUSCLES_TITLE, framing.mm_per_pixel)
    draw_disc_row(canvas, row, volume, features, framing)
    _draw_footer(canvas, report)
    return canvas.image


def slices_picture(
    report: Report, header: Dataset, volume: CtVolume, features: FeatureVector
) -> Image.Image:
    """Draw all three slices of each vertebral body and disc, with the HU of each slice.

    Parameters and result are those of `reading_picture`.
    """
    canvas = Canvas()
    _draw_identity(canvas, header, report)
    draw_row_title(
        canvas, 50, "Vertebral bodies, bone window: uppermost, middle and lowest slice, HU of each",
        BODY_FRAMING.mm_per_pixel,
    )  # fmt: skip
    for k, which in enumerate((2, 1, 0)):
        draw_body_row(canvas, Row(68 + 140 * k, 204 + 140 * k, which, True), volume, features)
    rows = [Row(510 + 165 * k, 671 + 165 * k, which, True) for k, which in enumerate((2, 1, 0))]
    framing = disc_framing(features, rows[0])
    draw_row_title(canvas, 492, MUSCLES_TITLE, framing.mm_per_pixel)
    for row in rows:
        draw_disc_row(canvas, row, volume, features, framing)
    _draw_footer(canvas, report)
    return canvas.image


def _draw_identity(canvas: Canvas, header: Dataset, report: Report) -> None:
    whose = identity_of(header)
    right = SIZE[0] - MARGIN
    name, number, person = whose_words(whose)
    canvas.text((right, 4), person, 16, WHITE, anchor="ra")
    room = right - MARGIN - text_width(person, 16) - 48
    number, number_size = fitted(number, room - LEAST_NAME, (18, 15, 13, 12), bold=True)
    number_width = text_width(number, number_size, bold=True)
    name, name_size = fitted(name, room - number_width, (18, 15, 13, 12), bold=True)
    canvas.text((MARGIN, 4), name, name_size, WHITE, bold=True)
    left = MARGIN + text_width(name, name_size, bold=True) + 28
    canvas.text((left, 4), number, number_size, WHITE, bold=True)
    stated = "  ·  ".join((*study_words(whose), acquisition_words(report)))
    text, size = fitted(stated, right - MARGIN, (14, 13, 12))
    canvas.text((MARGIN, 28), text, size, DIM)


def _draw_impression(canvas: Canvas, report: Report) -> int:
    """The sentences, the first one large; the row below them."""
    width = SIZE[0] - 2 * MARGIN
    first, *others = report.impression
    if report.comparison is not None and report.comparison.earlier is not None:
        others = [f"{comparison_words(report.comparison)[0]}.", *others]
    row = 52
    one_line = (size for size in (24, 22, 21, 20) if text_width(first, size, bold=True) <= width)
    size = next(one_line, 22)
    for line in wrapped(first, width, size, 2, bold=True):
        canvas.text((MARGIN, row), line, size, WHITE, bold=True)
        row += 28
    for line in wrapped("  ".join(others), width, 17, 2):
        canvas.text((MARGIN, row), line, 17, WHITE)
        row += 23
    return row + 10


def _draw_stage(canvas: Canvas, report: Report, left: int, top: int, right: int) -> None:
    stage = report.stage
    canvas.text((left, top), "The cohort's model", 14, WHITE, bold=True)
    row = top + 20
    for line in wrapped(stage.statement, right - left, 13, 3):
        canvas.text((left, row), line, 13, WHITE)
        row += 17
    row += 4
    if not stage.probabilities:
        return
    bar, bar_end = left + 206, right - 92
    for letter, probability in stage.probabilities.items():
        fits = letter in stage.prediction_set
        colour = WHITE if fits else DIM
        canvas.text((left, row), f"{letter}  {STAGE_WORDS[letter]}", 13, colour)
        canvas.box((bar, row + 2, bar_end, row + 14), (50, 50, 50))
        filled = bar + (bar_end - bar) * probability
        canvas.box((bar, row + 2, filled, row + 14), (200, 200, 200) if fits else (110, 110, 110))
        canvas.text((bar_end + 44, row), percentage(probability), 13, colour, anchor="ra")
        if fits:
            canvas.text((right, row), "fits", 13, colour, anchor="ra")
        row += 18
    canvas.text((left, row + 3), "fits: in the 90 % prediction set", 12, DIM)
    if stage.novelty_percentile is not None:
        unusual = f"more unusual than {stage.novelty_percentile:.0f} % of the cohort's patients"
        canvas.text((left, row + 19), unusual, 12, DIM)


def _draw_limits(canvas: Canvas, report: Report, box: tuple[int, int, int, int]) -> None:
    """What was not measured, and the warnings, as far as there is room."""
    left, top, right, bottom = box
    width = right - left
    missing = sum(site.reason is not None for site in report.sites)
    found = [f"– {text}" for text in _notes(report)]
    room = (bottom - top - 2 * HEADING) // LINE
    sentences = missing_lines(report)
    kept = max(len(sentences), room - min(len(found), LEAST_NOTES))
    lines = [line for text in sentences for line in wrapped(text, width, 13, kept)]
    if len(lines) > kept:
        lines = [fitted(text, width, (13, 12))[0] for text in sentences][:kept]
    room = max(1, room - len(lines))
    if len(found) > room:
        found = [*found[: room - 1], f"– {len(found) - room + 1} more in the report"]
    for heading, texts, colour in (
        (f"Not measured: {missing} of {len(report.sites)} regions", lines, WHITE),
        ("Notes", found, VERMILLION if report.warnings else WHITE),
    ):
        canvas.text((left, top), heading, 14, colour, bold=True)
        for k, text in enumerate(texts):
            shown, size = fitted(text, width, (13, 12))
            canvas.text((left, top + HEADING - 4 + k * LINE), shown, size, WHITE)
        top += HEADING + len(texts) * LINE


def _notes(report: Report) -> list[str]:
    segmenter, confidence = report.segmenter, report.levels_confidence
    if confidence is None:
        return notes(report)
    named = f"Levels named by {segmenter.name} {segmenter.version}, confidence {confidence:.2f}"
    return [*notes(report), named]


def _draw_footer(canvas: Canvas, report: Report) -> None:
    canvas.box((0, FOOTER_TOP - 4, *SIZE), BLACK)
    canvas.text((SIZE[0] / 2, FOOTER_TOP), report.statement, 14, WHITE, bold=True, anchor="ma")
