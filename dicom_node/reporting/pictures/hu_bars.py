"""The bars of the six vertebral HU, against the thresholds of L1 and the cohort's percentiles."""

import math
from collections.abc import Mapping
from itertools import accumulate

from dicom_node.reporting.pictures.canvas import (
    BLACK,
    DIM,
    VERMILLION,
    WHITE,
    YELLOW,
    Canvas,
    Colour,
    fitted,
)
from dicom_node.reporting.pictures.picture_words import why_missing
from dicom_node.reporting.report_model import Report, SiteReport
from dicom_node.reporting.words.document_words import l1_line
from roi_extraction.sites import Level

__all__ = ["Percentiles", "draw_hu_bars"]

Percentiles = Mapping[Level, tuple[float, float, float]]
"""10th, 50th and 90th percentile of HU in the cohort, by level."""

NAME_WIDTH, VALUE_WIDTH = 44, 196
"""Room for the names beside the bars and for the values, pixels."""

ROW_HEIGHTS = (34, 26, 26, 26, 26, 26)
"""L1 first: the thresholds are its."""

LEAST_SCALE_HU, SCALE_STEP_HU = 300.0, 50.0
"""Shown at least, and what the scale is rounded up to."""

BAND: Colour = (74, 74, 74)
MEDIAN: Colour = (150, 150, 150)
BAR: Colour = (176, 176, 176)

ZONES = ("osteoporosis likely", "not excluded", "unlikely")
"""What L1 says below, between and above the thresholds (Pickhardt 2013)."""


class _Scale:
    """From HU to columns of the picture."""

    def __init__(self, left: float, right: float, values: list[float]) -> None:
        def rounded(value: float) -> float:
            return SCALE_STEP_HU * math.ceil(value / SCALE_STEP_HU)

        self.first = min(0.0, -rounded(-min(values)))
        self.last = rounded(max(LEAST_SCALE_HU, *values))
        self._left, self._per_hu = left, (right - left) / (self.last - self.first)

    def __call__(self, hu: float) -> float:
        return self._left + (hu - self.first) * self._per_hu


def draw_hu_bars(
    canvas: Canvas,
    left: int,
    top: int,
    right: int,
    report: Report,
    percentiles: Percentiles | None,
) -> int:
    """Draw the bars.

    Parameters
    ----------
    canvas
        What is drawn on.
    left, top, right
        Where, pixels.
    report
        Its first six sites are the vertebrae.
    percentiles
        Of the cohort for the patient's age and sex; None where they are not known.

    Returns
    -------
    bottom
        The row below the last line, pixels.
    """
    sites, known = report.sites[: len(Level)], _on_this_scanner(percentiles or {}, report)
    verdict, size = fitted(
        ", ".join(l1_line(report)), right - left, (16, 15, 14, 13, 12), bold=True
    )
    canvas.text((left, top), verdict, size, YELLOW, bold=True)
    values = [site.mean_hu for site in sites if site.mean_hu is not None]
    values += [roi.mean_hu for site in sites for roi in site.rois]
    values += [hu for level in known.values() for hu in level]
    scale = _Scale(left + NAME_WIDTH, right - VALUE_WIDTH, [0.0, *values])
    first_row = top + 42
    tops = list(accumulate(ROW_HEIGHTS, initial=first_row))
    bottom = tops.pop()
    for level, row, height in zip(Level, tops, ROW_HEIGHTS, strict=True):
        if level in known:
            _draw_band(canvas, scale, known[level], row, height)
    for site, row, height in zip(sites, tops, ROW_HEIGHTS, strict=True):
        _draw_row(canvas, scale, site, (left, row, right, row + height))
    if report.l1_threshold.category is not None:
        _draw_thresholds(canvas, scale, report, first_row, bottom)
    _draw_scale(canvas, scale, report, bottom)
    legend = "bar: mean of three slices; ticks: each slice"
    if known:
        legend += "; grey: cohort of this age and sex, 10th to 90th percentile, median"
    canvas.text((left, bottom + 20), fitted(legend, right - left, (12,))[0], 12, DIM)
    return bottom + 36


def _on_this_scanner(percentiles: Percentiles, report: Report) -> Percentiles:
    """The cohort's percentiles as this scanner would have read them."""
    offset = report.acquisition.scanner_offset
    if offset is None:
        return percentiles
    return {
        level: (low + offset.bone_hu, median + offset.bone_hu, high + offset.bone_hu)
        for level, (low, median, high) in percentiles.items()
    }


def _draw_band(
    canvas: Canvas, scale: _Scale, band: tuple[float, float, float], top: int, height: int
) -> None:
    low, median, high = (scale(hu) for hu in band)
    canvas.box((low, top + 2, high, top + height - 2), BAND)
    canvas.box((median - 1, top + 2, median + 1, top + height - 2), MEDIAN)


def _draw_thresholds(canvas: Canvas, scale: _Scale, report: Report, top: int, bottom: int) -> None:
    """Solid through the row of L1, dotted beside the levels that they were not made for."""
    l1 = report.l1_threshold
    for hu in (l1.specific_hu, l1.sensitive_hu):
        column = scale(hu)
        canvas.line([(column, top - 2), (column, top + ROW_HEIGHTS[0])], VERMILLION, 2.0)
        canvas.line([(column, top + ROW_HEIGHTS[0]), (column, bottom)], VERMILLION, 1.0, (2, 4))
    low, middle, high = ZONES
    between = (scale(l1.specific_hu) + scale(l1.sensitive_hu)) / 2
    for column, words, anchor in (
        (scale(scale.first), low, "lm"), (between, middle, "mm"), (scale(scale.last), high, "rm")
    ):  # fmt: skip
        canvas.text((column, top - 11), words, 12, WHITE, anchor=anchor)


def _draw_row(
    canvas: Canvas, scale: _Scale, site: SiteReport, box: tuple[int, int, int, int]
) -> None:
    left, top, right, bottom = box
    middle, text_left = (top + bottom) / 2, right - VALUE_WIDTH + 14
    is_l1 = site.name == Level.L1
    size, colour = (18, YELLOW) if is_l1 else (15, WHITE)
    canvas.text((left, middle), site.name, size, colour, bold=True, anchor="lm")
    if site.mean_hu is None:
        words, size = fitted(why_missing(site), right - int(scale(scale.first)) - 6, (14, 13))
        canvas.text((scale(scale.first) + 6, middle), words, size, DIM, anchor="lm")
        return
    thick = 7 if is_l1 else 5
    start, end = sorted((scale(0.0), scale(site.mean_hu)))
    canvas.box((start, middle - thick, end, middle + thick), YELLOW if is_l1 else BAR)
    means = [roi.mean_hu for roi in site.rois]
    for mean_hu in means:
        column = scale(mean_hu)
        canvas.box((column - 2, middle - thick, column + 2, middle + thick), BLACK)
        canvas.box((column - 1, middle - thick - 4, column + 1, middle + thick + 4), WHITE)
    canvas.text((text_left + 66, middle), f"{site.mean_hu:.0f} HU", 17 if is_l1 else 15, WHITE,
                bold=True, anchor="rm")  # fmt: skip
    spread = f"slices {min(means):.0f} to {max(means):.0f}"
    canvas.text((text_left + 78, middle), spread, 12, DIM, anchor="lm")


def _draw_scale(canvas: Canvas, scale: _Scale, report: Report, row: int) -> None:
    l1 = report.l1_threshold
    canvas.box((scale(scale.first), row, scale(scale.last), row + 1), DIM)
    has_thresholds = l1.category is not None
    named = {l1.specific_hu, l1.sensitive_hu} if has_thresholds else set()
    hu = scale.first
    while hu <= scale.last:
        if not any(abs(hu - other) < SCALE_STEP_HU for other in named):
            canvas.text((scale(hu), row + 4), f"{hu:.0f}", 12, DIM, anchor="ma")
        hu += SCALE_STEP_HU
    for hu in named:
        canvas.text((scale(hu), row + 4), f"{hu:.0f}", 12, WHITE, bold=True, anchor="ma")
    canvas.text((scale(scale.last) + 20, row + 4), "HU", 12, DIM)
    if has_thresholds:
        canvas.text((scale(scale.last) + 50, row + 4), "thresholds: L1 only", 12, DIM)
