"""A study as one HTML page that needs no network and no script."""

import base64
import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from modeling.cohort import AGE_COLUMN, SEX_COLUMN, STAGE_COLUMN, Stage
from roi_extraction.anatomy import Finding

__all__ = [
    "StepView",
    "StudyView",
    "page_templates",
    "readable_duration",
    "readable_number",
    "render",
    "section_of",
]

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_SVG_BYTES = 400_000
"""A larger SVG is shown as PNG, so that the page stays light; the SVG lies beside it."""

WHOLE_ROWS = 18
"""A table of up to so many rows is shown whole."""

SHOWN_ROWS = 10
"""Rows of a longer table that are shown at once."""

SHORT_TEXT = 28
"""Characters of a cell that is not broken over lines."""

MAX_CELL_TEXT = 120
"""Characters of a cell that are shown; the CSV has all."""

FOLDED_ROWS = 100
"""Rows of a table that can be unfolded; the CSV has all."""

UNDERSCORE = re.compile("_(?=[a-z])")
"""Of a column's name, where it may be broken; not that of a site."""

INTERVAL_ENDS = ((" from", " to"), ("_low", "_high"))
"""What a figure's column is called with, where the ends of its interval follow it."""


@dataclass(frozen=True)
class StepView:
    """One step as the report shows it.

    Parameters
    ----------
    name, title, folder, status, seconds, reason
        As in the step's outcome.
    record
        The record in the step's folder; empty without results.
    """

    name: str
    title: str
    folder: str
    status: str
    seconds: float | None
    reason: str | None
    record: Mapping[str, Any]


@dataclass(frozen=True)
class StudyView:
    """The study as the report shows it.

    Parameters
    ----------
    source
        The cohort file's name.
    rows
        Rows of the file.
    patients
        The cohort without rows that repeat an earlier one.
    findings
        Findings of the cohort's checks.
    cohort_sha256, seed, versions
        What the results depend on.
    steps
        In order.
    """

    source: str
    rows: int
    patients: pd.DataFrame
    findings: tuple[Finding, ...]
    cohort_sha256: str
    seed: int
    versions: Mapping[str, str]
    steps: Sequence[StepView]


def render(study: StudyView, out: Path) -> str:
    """Write the page; tables and figures are read from the steps' folders.

    Parameters
    ----------
    study
        What to show.
    out
        The study's folder.
    """
    return (
        page_templates()
        .get_template("report.html.j2")
        .render(
            study=study,
            groups=_groups(study.patients),
            sections=[section_of(step, out) for step in study.steps],
            total_seconds=math.fsum(step.seconds or 0.0 for step in study.steps),
        )
    )


def page_templates(*packages: str) -> "Environment":
    """Give the study's page templates, and those of further packages before them."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in (*packages, "modeling.study")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = readable_duration
    return environment


def readable_number(text: str) -> str:
    """A CSV's cell with four significant digits if it is a number with decimals.

    >>> readable_number("0.123456789"), readable_number("1234.567"), readable_number("444")
    ('0.1235', '1235', '444')
    >>> readable_number("1.5e-07"), readable_number("L1-L2_1"), readable_number("0.0")
    ('1.5e-07', 'L1-L2_1', '0')
    """
    if not any(sign in text for sign in ".eE"):
        return text
    try:
        value = float(text)
    except ValueError:
        return text
    if not math.isfinite(value):
        return text
    if value and not 1e-4 <= abs(value) < 1e7:
        return f"{value:.2g}"
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.4g}"


def _groups(patients: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for label, group in (
        *((f"{s} {s.label}", patients[patients[STAGE_COLUMN] == s]) for s in Stage),
        ("all", patients),
    ):
        ages = group[AGE_COLUMN]
        rows.append(
            {
                "label": label,
                "count": len(group),
                "women": int((group[SEX_COLUMN] == 0).sum()),
                "men": int((group[SEX_COLUMN] == 1).sum()),
                "age": f"{ages.median():g} ({ages.min():g} to {ages.max():g})"
                if ages.notna().any()
                else "unknown",
            }
        )
    return rows


def section_of(step: StepView, out: Path) -> dict[str, Any]:
    """Gather a step's texts, tables and figures from its folder for a page."""
    folder = out / step.folder
    record = step.record
    return {
        "step": step,
        "method": [part for part in record.get("method", "").split("\n\n") if part.strip()],
        "findings": record.get("findings", ()),
        "tables": [_table(folder, table) for table in record.get("tables", ())],
        "figures": [_figure(folder, figure) for figure in record.get("figures", ())],
        "further": record.get("further", ()),
    }


def _table(folder: Path, table: Mapping[str, str]) -> dict[str, Any]:
    path = folder / f"{table['name']}.csv"
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    first = len(rows) if len(rows) <= WHOLE_ROWS else SHOWN_ROWS
    kinds = [_kind([row[i] for row in rows]) for i in range(len(header))]
    places = _columns(header)
    shown = [
        [_with_interval(*(_shown(row[i]) for i in place)) for place in places]
        for row in rows[:FOLDED_ROWS]
    ]
    return {
        "caption": table["caption"],
        "href": f"{folder.name}/{path.name}",
        "header": [UNDERSCORE.sub(" ", header[place[0]]) for place in places],
        "kinds": [kinds[place[0]] for place in places],
        "first": shown[:first],
        "folded": shown[first:],
        "total": len(rows),
    }


def _columns(header: Sequence[str]) -> list[range]:
    """Columns of the CSV that share one of the page: a figure and the ends of its interval."""
    found, start = [], 0
    while start < len(header):
        name, ends = header[start], tuple(header[start + 1 : start + 3])
        joined = ends in [(f"{name}{low}", f"{name}{high}") for low, high in INTERVAL_ENDS]
        found.append(range(start, start + (3 if joined else 1)))
        start = found[-1].stop
    return found


def _with_interval(cell: str, *ends: str) -> str:
    return f"{cell} [{', '.join(ends)}]" if all(ends) and ends else cell


def _shown(cell: str) -> str:
    if len(cell) > MAX_CELL_TEXT:
        return f"{cell[: MAX_CELL_TEXT - 1].rstrip()}\u2026"
    return readable_number(cell)


def _kind(cells: Sequence[str]) -> str:
    """Tell how a column is set: numbers to the right, short text unbroken, long text wide."""
    filled = [cell for cell in cells if cell]
    try:
        if [float(cell) for cell in filled]:
            return "num"
    except ValueError:
        pass
    return "long" if max(map(len, filled), default=0) > SHORT_TEXT else "short"


def _figure(folder: Path, figure: Mapping[str, str]) -> dict[str, Any]:
    svg, png = folder / f"{figure['name']}.svg", folder / f"{figure['name']}.png"
    as_svg = svg.stat().st_size <= MAX_SVG_BYTES
    content = base64.b64encode((svg if as_svg else png).read_bytes()).decode()
    kind = "image/svg+xml" if as_svg else "image/png"
    return {
        "caption": figure["caption"],
        "src": f"data:{kind};base64,{content}",
        "svg": f"{folder.name}/{svg.name}",
        "png": f"{folder.name}/{png.name}",
    }


def readable_duration(seconds: float | None) -> str:
    """Seconds, or whole minutes and seconds; empty where unknown."""
    if seconds is None:
        return ""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"
