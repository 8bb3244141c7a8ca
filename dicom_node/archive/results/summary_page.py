"""The summary of a screening as one HTML page without script or network."""

from collections import Counter
from datetime import datetime
from importlib.metadata import version
from typing import Any

import numpy as np

from dicom_node.archive.bookkeeping.screenings import Screening
from dicom_node.archive.results.summary import SEXES, Measured, Summary
from dicom_node.archive.results.summary_figures import (
    MOST_SCANNERS,
    age_figure,
    as_data_uri,
    by_scanner,
    level_figure,
    scanner_figure,
)
from modeling.study.report import page_templates

__all__ = ["summary_page"]

STAGE_WORDS = {
    "A": "A normal",
    "B": "B osteopenia",
    "C": "C osteoporosis",
    "D": "D osteoporotic fracture",
}

VERDICT_WORDS = {"yes": "yes", "undetermined": "undetermined", "no": "no"}

L1_WORDS = {"low": "low", "middle": "middle", "high": "high"}

DECADES = ((0, 50), (50, 60), (60, 70), (70, 80), (80, 121))
"""Ages of the table, years."""

MOST_REASONS = 40
"""Rows of the table of reasons; the results have all."""


def summary_page(summary: Summary, screening: Screening) -> str:
    """Render the page.

    Parameters
    ----------
    summary
        To which all rows were added.
    screening
        Whose.
    """
    numbers = summary.numbers()
    compared = int(np.isfinite(numbers.mean_hu[:, 0] - numbers.cohort_hu[:, 0, 1]).sum())
    figures = {}
    if compared:
        figures = {
            "age": as_data_uri(age_figure(numbers)),
            "level": as_data_uri(level_figure(numbers)),
            "scanner": as_data_uri(scanner_figure(numbers)),
        }
    reasons = summary.reasons()
    return (
        page_templates("dicom_node.archive.results")
        .get_template("summary.html.j2")
        .render(
            name=screening.name,
            source=screening.plan.source.partition(":")[0]
            if screening.plan.source.startswith("folder:")
            else screening.plan.source,
            wanted=screening.plan.wanted,
            unreadable=screening.unreadable,
            flow=summary.flow(screening.plan.send_to is not None),
            reasons=reasons[:MOST_REASONS],
            more_reasons=max(len(reasons) - MOST_REASONS, 0),
            rows=summary.rows,
            measured=summary.measured,
            stages=_shares(summary.stages, STAGE_WORDS),
            verdicts=_shares(summary.verdicts, VERDICT_WORDS),
            l1_categories=_shares(summary.l1_categories, L1_WORDS),
            warnings=summary.warnings.most_common(),
            patients=len(numbers.age),
            compared=compared,
            contrast=summary.contrast,
            other_kvp=summary.other_kvp,
            later_series=summary.later_series,
            ages=_age_rows(numbers),
            scanners=_scanner_rows(numbers),
            figures=figures,
            made=f"{datetime.now().astimezone():%Y-%m-%d %H:%M %z}",
            version=version("osteonode"),
        )
    )


def _shares(counts: Counter[str], words: dict[str, str]) -> list[dict[str, Any]]:
    total = counts.total()
    order = [*words, *sorted(set(counts) - set(words))]
    return [
        {
            "name": words.get(name, name),
            "count": counts[name],
            "share": f"{100 * counts[name] / total:.1f}",
        }
        for name in order
        if counts[name]
    ]


def _age_rows(found: Measured) -> list[dict[str, str]]:
    """L1 by sex and age beside the cohort."""
    rows = []
    l1 = found.mean_hu[:, 0]
    for letter, sex in SEXES.items():
        for least, end in DECADES:
            here = (found.sex == letter) & (found.age >= least) & (found.age < end)
            here &= np.isfinite(l1)
            if here.any():
                label = f"under {end}" if not least else f"{least} to {end - 1}"
                label = f"{least} and over" if end > 120 else label
                rows.append({"sex": sex.value, "age": label, **_compared(found, here)})
    return rows


def _scanner_rows(found: Measured) -> list[dict[str, str]]:
    return [
        {
            "name": name,
            "count": str(len(values)),
            "median": f"{np.median(values):+.0f}",
            "quartiles": f"{np.percentile(values, 25):+.0f} to {np.percentile(values, 75):+.0f}",
        }
        for name, values in by_scanner(found)[:MOST_SCANNERS]
    ]


def _compared(found: Measured, here: Any) -> dict[str, str]:
    """Quartiles of L1, the cohort's median, and the shares outside the cohort's 10 to 90 %."""
    l1, cohort = found.mean_hu[here, 0], found.cohort_hu[here, 0]
    low, middle, high = np.percentile(l1, (25, 50, 75))
    known = np.isfinite(cohort[:, 1])
    below = above = median = ""
    if known.any():
        median = f"{np.median(cohort[known, 1]):.0f}"
        below = f"{100 * np.mean(l1[known] < cohort[known, 0]):.0f}"
        above = f"{100 * np.mean(l1[known] > cohort[known, 2]):.0f}"
    return {
        "count": str(len(l1)),
        "median": f"{middle:.0f}",
        "quartiles": f"{low:.0f} to {high:.0f}",
        "cohort": median,
        "below": below,
        "above": above,
    }
