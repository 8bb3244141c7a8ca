"""A chart of each scanner: medians by month, with their control limits."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from modeling.drift.control_chart import MIN_BASELINE, ControlChart
from modeling.drift.scanner_months import MEASURES, Scanner
from modeling.study.palette import BLUE, VERMILION

__all__ = ["plot_scanner"]

PANEL_INCHES = 2.0
MOST_LABELS = 12
"""Months that are named below a chart at most."""


def plot_scanner(scanner: Scanner, charts: Mapping[str, ControlChart]) -> Any:
    """Draw the measures of one scanner, a panel each, over the same months; gives the figure."""
    from matplotlib.figure import Figure

    months = sorted({month.month for chart in charts.values() for month in chart.months})
    place = {name: index for index, name in enumerate(months)}
    figure = Figure(figsize=(8.0, 0.9 + PANEL_INCHES * len(charts)), layout="constrained")
    axes = np.atleast_1d(figure.subplots(len(charts), 1, sharex=True))
    for ax, (measure, chart) in zip(axes, charts.items(), strict=True):
        _plot_chart(ax, chart, place)
        ax.set_ylabel(f"{MEASURES[measure]}\nHU")
    every = max(1, -(-len(months) // MOST_LABELS))
    axes[-1].set_xticks(range(0, len(months), every), months[::every], rotation=45, ha="right")
    axes[-1].set_xlim(-0.6, len(months) - 0.4)
    figure.suptitle(
        f"{scanner.words}\nmedian of each month (point), control limits (band), "
        "first months (grey), research use only",
        fontsize=10,
    )
    return figure


def _plot_chart(ax: Any, chart: ControlChart, place: Mapping[str, int]) -> None:
    where = [place[month.month] for month in chart.months]
    medians = [month.median for month in chart.months]
    ax.plot(where, medians, "-", color="0.75", linewidth=0.8, zorder=1)
    for x, month in zip(where, chart.months, strict=True):
        if month.baseline:
            ax.axvspan(x - 0.5, x + 0.5, color="0.93", linewidth=0, zorder=0)
        if month.centre is not None:
            ax.plot([x - 0.5, x + 0.5], [month.centre] * 2, color=BLUE, linewidth=0.8)
            ax.fill_between(
                [x - 0.5, x + 0.5], month.lower, month.upper, color=BLUE, alpha=0.15, linewidth=0
            )
        mark, colour = ("D", VERMILION) if month.outside else ("o", BLUE)
        ax.plot(x, month.median, mark, color=colour, markersize=4.5, zorder=2)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    if chart.centre is None:
        words = f"no limits yet: they need {MIN_BASELINE} values from two months or more"
        ax.set_title(words, fontsize=8, loc="left")
        return
    if chart.step is not None:
        ax.axvline(place[chart.step.since] - 0.5, color=VERMILION, linestyle="--", linewidth=1)
        words = f"{chart.step.change:+.1f} HU since {chart.step.since}"
        ax.set_title(words, fontsize=8, loc="left", color=VERMILION)
