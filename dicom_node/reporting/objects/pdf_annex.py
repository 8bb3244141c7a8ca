"""The annex of the PDF: what was measured, how, and what the stage rests on."""

from collections.abc import Sequence
from typing import Any

from dicom_node.reporting.objects.pdf_layout import (
    TEXT_WIDTH,
    bulleted,
    heading,
    key_values,
    paragraph,
    table,
)
from dicom_node.reporting.report_model import Report, SiteReport
from dicom_node.reporting.words.document_words import (
    LIMIT_LINES,
    METHOD_LINES,
    acquisition_rows,
    explanation_rows,
    explanation_title,
    missing_lines,
    origin_rows,
    other_series_lines,
    site_value,
    warning_lines,
)
from dicom_node.reporting.words.site_words import MISSING_WORDS
from roi_extraction.sites import SITES_BY_NAME, DiscLevel, Muscle, Side

__all__ = ["annex_story"]


def annex_story(report: Report, priors: Sequence[str] = ()) -> list[Any]:
    """The annex from top to bottom, as ReportLab's paragraphs and tables.

    Parameters
    ----------
    report
        Of a series that was assessed.
    priors
        Printable lines on earlier examinations that the first page has no room for.
    """
    story = [heading("Vertebral bodies, HU"), _bodies(report)]
    story += [heading("Muscles, HU (mean ± SD)"), _muscles(report)]
    _add(story, "Not measured", missing_lines(report))
    _add(story, "Warnings", [full for _, full in warning_lines(report)])
    _add(story, "More earlier examinations", priors)
    story += [heading("Acquisition"), key_values(acquisition_rows(report), TEXT_WIDTH, 110)]
    story += _explanation(report)
    _add(story, "Method", METHOD_LINES)
    _add(story, "Limits", LIMIT_LINES)
    _add(story, "Other series of the study, not measured", other_series_lines(report))
    story += [heading("Origin"), key_values(origin_rows(report), TEXT_WIDTH, 110)]
    return story


def _add(story: list[Any], title: str, lines: Sequence[str]) -> None:
    if lines:
        story += [heading(title), *bulleted(lines)]


def _bodies(report: Report) -> Any:
    rows = [("Body", "Mean", "SD", "Status")]
    for site in report.sites:
        if SITES_BY_NAME[site.name].is_vertebra:
            mean, _, sd = site_value(site).partition(" ± ")
            status = "measured" if site.reason is None else MISSING_WORDS[site.reason]
            rows.append((site.name, mean, sd or "–", status))
    return table(rows, (60, 60, 60, TEXT_WIDTH - 180), 1, ("ALIGN", (1, 0), (2, -1), "RIGHT"))


def _muscles(report: Report) -> Any:
    values: dict[tuple[DiscLevel, Side, Muscle], SiteReport] = {}
    for found in report.sites:
        site = SITES_BY_NAME[found.name]
        if site.disc is not None and site.side is not None and site.muscle is not None:
            values[site.disc, site.side, site.muscle] = found
    columns = [(side, muscle) for side in Side for muscle in Muscle]
    rows = [
        ["", *(f"{side.value.capitalize()}" if i == 0 else "" for side in Side for i in range(3))],
        ["Disc", *(muscle.value.capitalize() for _, muscle in columns)],
    ]
    for disc in DiscLevel:
        rows.append([disc, *(site_value(values[disc, side, muscle]) for side, muscle in columns)])
    first = 42.0
    width = (TEXT_WIDTH - first) / 6
    return table(
        rows,
        (first, *[width] * 6),
        2,
        ("SPAN", (1, 0), (3, 0)),
        ("SPAN", (4, 0), (6, 0)),
        ("ALIGN", (1, 0), (-1, -1), "CENTER"),
        ("FONTSIZE", (0, 1), (-1, 1), 6.8),
    )


def _explanation(report: Report) -> list[Any]:
    rows = explanation_rows(report)
    if not rows:
        return []
    cells = [[paragraph(cell) for cell in row] for row in rows]
    heads = ("Input", "Value", "Probability", "Strength in the network")
    widths = [TEXT_WIDTH * share for share in (0.36, 0.16, 0.23, 0.25)]
    note = (
        "Shares by SHAP values, in percentage points. The network of bones and muscles is the "
        "cohort's: number 1 is the site that acts together with the others most. Neither says "
        "what causes what."
    )
    return [
        heading(explanation_title(report)),
        table([heads, *cells], widths),
        paragraph(note, 7.5),
    ]
