"""The figures of the summary page, as SVG: HU by age and sex, by level, and by scanner."""

import base64
import io
from typing import Any

import numpy as np

from dicom_node.archive.results.summary import SEXES, Measured
from modeling.norms import VERTEBRAE, shipped_percentiles
from modeling.study.palette import BLUE, ORANGE, PURPLE, VERMILION

__all__ = ["Figure", "age_figure", "as_data_uri", "level_figure", "scanner_figure"]

SEX_COLOURS = {"F": PURPLE, "M": BLUE}
SEX_WORDS = {"F": "women", "M": "men"}

MOST_POINTS = 1500
"""More points are drawn as one picture inside the SVG, so that the page stays light."""

MOST_SCANNERS = 12
"""Scanners of the figure; the table beside it has as many."""

DECADE = 10.0

LEAST_IN_DECADE = 5
"""Patients of a decade whose median is drawn."""

Figure = Any


def as_data_uri(figure: Figure) -> str:
    """Embed a figure in a page; the same figure gives the same text."""
    import matplotlib as mpl

    written = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "summary", "svg.fonttype": "path"}):
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None}, dpi=150)
    return f"data:image/svg+xml;base64,{base64.b64encode(written.getvalue()).decode()}"


def age_figure(found: Measured) -> Figure:
    """L1 by age, women and men, over the cohort's 10th to 90th percentile."""
    figure = _figure((10.0, 4.6))
    axes = figure.subplots(1, 2, sharey=True)
    norms = shipped_percentiles()
    for ax, letter in zip(axes, SEXES, strict=True):
        youngest, oldest = norms.ages[SEXES[letter]]
        ages = np.linspace(youngest, oldest, 50)
        lines = np.array([(norms.at(age, SEXES[letter]) or {})["L1"] for age in ages])
        ax.fill_between(ages, lines[:, 0], lines[:, 2], color="0.85", label="cohort, 10-90 %")
        ax.plot(ages, lines[:, 1], color="0.45", label="cohort, median")
        mine = (found.sex == letter) & np.isfinite(found.mean_hu[:, 0]) & np.isfinite(found.age)
        age, hu = found.age[mine], found.mean_hu[mine, 0]
        ax.scatter(
            age, hu, s=14 if len(age) < MOST_POINTS else 4, alpha=0.6, linewidths=0,
            color=SEX_COLOURS[letter], rasterized=len(age) > MOST_POINTS, label="this screening",
        )  # fmt: skip
        _draw_medians(ax, age, hu)
        ax.set_title(f"{SEX_WORDS[letter]}, n = {len(age)}")
        ax.set_xlabel("age, years")
        ax.legend(fontsize=8, loc="upper right")
    axes[0].set_ylabel("L1, HU")
    return figure


def level_figure(found: Measured) -> Figure:
    """Every vertebra's difference from the cohort's median of the same age and sex."""
    figure = _figure((10.0, 3.8))
    ax = figure.subplots()
    differences = found.mean_hu - found.cohort_hu[:, :, 1]
    values = [column[np.isfinite(column)] for column in differences.T]
    _draw_boxes(ax, values, [f"{n}\nn = {len(v)}" for n, v in zip(VERTEBRAE, values, strict=True)])
    ax.set_ylabel("HU above the cohort's median")
    return figure


def scanner_figure(found: Measured) -> Figure:
    """L1's difference from the cohort's median of the same age and sex, by scanner."""
    groups = by_scanner(found)[:MOST_SCANNERS]
    figure = _figure((10.0, 1.4 + 0.42 * max(len(groups), 1)))
    ax = figure.subplots()
    values = [differences for _, differences in reversed(groups)]
    names = [f"{name}, n = {len(differences)}" for name, differences in reversed(groups)]
    _draw_boxes(ax, values, names, flat=True)
    ax.set_xlabel("L1, HU above the cohort's median of the same age and sex")
    return figure


def by_scanner(found: Measured) -> list[tuple[str, Any]]:
    """L1's differences from the cohort's median, HU, by scanner; those with most patients first."""
    differences = found.mean_hu[:, 0] - found.cohort_hu[:, 0, 1]
    known = np.isfinite(differences)
    names, counts = np.unique(found.scanner[known], return_counts=True)
    order = np.lexsort((names, -counts))
    return [(str(names[k]), differences[known & (found.scanner == names[k])]) for k in order]


def _figure(size_inches: tuple[float, float]) -> Figure:
    from matplotlib.figure import Figure as NewFigure

    return NewFigure(figsize=size_inches, layout="constrained")


def _draw_medians(ax: Any, age: Any, hu: Any) -> None:
    """Medians of the decades that have enough patients."""
    decades = np.floor(age / DECADE) * DECADE
    starts = [d for d in np.unique(decades) if (decades == d).sum() >= LEAST_IN_DECADE]
    medians = [np.median(hu[decades == start]) for start in starts]
    ax.plot(
        [start + DECADE / 2 for start in starts], medians, "D-", color=VERMILION, markersize=5,
        label="this screening, median of a decade" if starts else None,
    )  # fmt: skip


def _draw_boxes(ax: Any, values: list[Any], names: list[str], *, flat: bool = False) -> None:
    """Boxes of quartiles with whiskers from the 10th to the 90th percentile, and a line at zero."""
    draw_zero = ax.axvline if flat else ax.axhline
    draw_zero(0.0, color="0.45", linewidth=1)
    if not any(len(v) for v in values):
        ax.text(0.5, 0.5, "no series can be compared", transform=ax.transAxes, ha="center")
        return
    ax.boxplot(
        values, tick_labels=names, whis=(10, 90), showfliers=False, patch_artist=True,
        orientation="horizontal" if flat else "vertical", medianprops={"color": "black"},
        boxprops={"facecolor": ORANGE, "alpha": 0.7},
    )  # fmt: skip
