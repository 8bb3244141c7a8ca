"""Box plots of the sites' HU by stage, with stars between the stages that differ."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from modeling.cohort import SITE_NAMES, STAGE_COLUMN, Stage
from modeling.statistics.comparison import SiteComparison
from modeling.statistics.figures.comparison_figure import STARS_EXPLAINED, stars
from modeling.statistics.figures.drawing import STAGE_COLOURS, new_figure
from modeling.statistics.site_values import site_values
from modeling.statistics.two_groups import MIN_VALUES_FOR_T
from roi_extraction.sites import SITES_BY_NAME, DiscLevel, Muscle, Side

__all__ = ["plot_muscle", "plot_vertebrae"]

VERTEBRAE = tuple(name for name in SITE_NAMES if SITES_BY_NAME[name].is_vertebra)

BRACKET_SHARE = 0.075
"""Height of a bracket with its stars, as a share of the row's range of values."""


def plot_vertebrae(cohort: pd.DataFrame, rows: Sequence[SiteComparison]) -> Any:
    """HU of the six vertebrae by stage; a figure."""
    figure = new_figure((9, 7.5))
    panels = figure.subplots(2, 3, sharex=True, sharey=True)
    _draw(cohort, rows, [panels.ravel()], [VERTEBRAE], VERTEBRAE)
    _name_axes(figure)
    return figure


def plot_muscle(cohort: pd.DataFrame, rows: Sequence[SiteComparison], muscle: Muscle) -> Any:
    """HU of a muscle's ten sites by stage, right above, left below; a figure."""
    figure = new_figure((9, 6.8))
    panels = figure.subplots(len(Side), len(DiscLevel), sharex=True, sharey=True)
    lines = [
        [
            next(
                name
                for name in SITE_NAMES
                if (site := SITES_BY_NAME[name]).muscle is muscle
                and (site.side, site.disc) == (side, disc)
            )
            for disc in DiscLevel
        ]
        for side in Side
    ]
    _draw(cohort, rows, panels, lines, [name for line in lines for name in line])
    for line, side in zip(panels, Side, strict=True):
        line[0].set_ylabel(f"{side}", fontsize=9)
    _name_axes(figure)
    figure.suptitle(f"{muscle}", fontsize=11)
    return figure


def _draw(
    cohort: pd.DataFrame,
    rows: Sequence[SiteComparison],
    panels: Any,
    lines: Sequence[Sequence[str]],
    sites: Sequence[str],
) -> None:
    values = site_values(cohort)[list(sites)]
    low, high = float(values.min().min()), float(values.max().max())
    step = BRACKET_SHARE * (high - low or 1.0)
    top = high
    for axes, names in zip(panels, lines, strict=True):
        for ax, site in zip(axes, names, strict=True):
            _boxes(ax, cohort, values[site])
            different = [row for row in rows if row.site == site and stars(row.q)]
            own = float(values[site].max())
            for place, row in enumerate(different):
                _bracket(ax, row, own + step * (place + 0.5), step)
            top = max(top, own + step * len(different)) if different else top
            ax.set_title(_title(cohort, site, values[site]), fontsize=9)
            ax.tick_params(labelsize=8)
            ax.spines[["top", "right"]].set_visible(False)
    ax.set_ylim(low - step / 2, top + step / 2)


def _title(cohort: pd.DataFrame, site: str, values: "pd.Series[float]") -> str:
    """The site, and how many patients each box stands for where they are few."""
    counts = [int(values[cohort[STAGE_COLUMN] == stage].count()) for stage in Stage]
    few = min(counts) < MIN_VALUES_FOR_T
    return f"{site} (n {', '.join(map(str, counts))})" if few else site


def _boxes(ax: Any, cohort: pd.DataFrame, values: "pd.Series[float]") -> None:
    for place, stage in enumerate(Stage):
        known = values[cohort[STAGE_COLUMN] == stage].dropna().to_numpy()
        if not len(known):
            continue
        colour = STAGE_COLOURS[stage]
        ax.boxplot(
            known,
            positions=[place],
            widths=0.62,
            patch_artist=True,
            manage_ticks=False,
            boxprops={"facecolor": colour, "alpha": 0.55, "edgecolor": colour},
            medianprops={"color": "black", "linewidth": 1.3},
            whiskerprops={"color": colour},
            capprops={"color": colour},
            flierprops={
                "marker": ".",
                "markersize": 3,
                "markerfacecolor": colour,
                "markeredgecolor": "none",
            },
        )
    ax.set_xticks(range(len(Stage)), [stage.value for stage in Stage])
    ax.set_xlim(-0.6, len(Stage) - 0.4)


def _bracket(ax: Any, row: SiteComparison, height: float, step: float) -> None:
    start, end = (list(Stage).index(Stage(name)) for name in row.pair.split("/"))
    drop = height - 0.18 * step
    ax.plot([start, start, end, end], [drop, height, height, drop], color="0.25", linewidth=0.8)
    ax.annotate(
        stars(row.q),
        ((start + end) / 2, height),
        xytext=(0, -2.5),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=8,
    )


def _name_axes(figure: Any) -> None:
    figure.supxlabel(f"stage     {STARS_EXPLAINED}", fontsize=9)
    figure.supylabel("mean HU of the site", fontsize=9)
