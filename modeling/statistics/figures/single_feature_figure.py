"""Figures of single sites as tests: ROC curves of the best, areas of all."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from modeling.calibration import PAIRS, pair_name
from modeling.cohort import SITE_NAMES
from modeling.statistics.figures.drawing import heat_map, new_axes, new_figure
from modeling.statistics.single_feature import (
    MIN_PATIENTS_FOR_BEST,
    SiteRoc,
    ranked,
    roc_points,
    stage_values,
)
from modeling.study.palette import BLUE, GREEN, ORANGE, PURPLE, SKY_BLUE, VERMILION
from roi_extraction.sites import SITES_BY_NAME, Side

__all__ = ["plot_all", "plot_areas", "plot_best"]

CURVES = 3
"""Sites drawn in each pair."""

CURVE_STYLES = ((BLUE, "-"), (VERMILION, "--"), ("0.25", ":"))
"""Colour and line of the best, the second and the third."""

SITE_COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY_BLUE)
"""One colour a level."""


def plot_best(cohort: pd.DataFrame, rocs: Sequence[SiteRoc]) -> Any:
    """ROC curves of each pair's three best sites, the best one's threshold marked; a figure."""
    figure = new_figure((9.5, 6.8))
    panels = figure.subplots(2, 3, sharex=True, sharey=True)
    for ax, pair in zip(panels.ravel(), PAIRS, strict=True):
        best, title = ranked(rocs, pair)[:CURVES], pair_name(pair)
        ax.plot([0, 1], [0, 1], color="0.8", linewidth=1)
        for rank, (roc, (colour, dash)) in enumerate(zip(best, CURVE_STYLES, strict=False)):
            earlier, later = stage_values(cohort, pair, roc.site)
            sensitivity, false_positive, _ = roc_points(earlier, later, roc.direction)
            area = roc.area
            text = f"{roc.site} {area.auroc:.3f} [{area.auroc_low:.3f}, {area.auroc_high:.3f}]"
            ax.plot(false_positive, sensitivity, color=colour, linestyle=dash, label=_short(text))
            if rank == 0:
                sign = "≤" if roc.direction == "lower" else "≥"
                ax.plot(1 - roc.specificity_apparent, roc.sensitivity_apparent, "o", color=colour)
                title += f" (dot: {roc.site} {sign} {roc.threshold_hu:.0f} HU)"
        ax.set_title(title, fontsize=10)
        ax.set_aspect("equal")
        if best:
            ax.legend(fontsize=7, loc="lower right", handlelength=1.6)
    for ax in panels[:, 0]:
        ax.set_ylabel("sensitivity for the later stage")
    for ax in panels[-1]:
        ax.set_xlabel("1 - specificity")
    return figure


def plot_all(
    cohort: pd.DataFrame, rocs: Sequence[SiteRoc], tissue: str, sites: Sequence[str]
) -> Any:
    """ROC curves of all sites of a tissue in each pair; a figure.

    A colour a level; sites of the left side are dashed. Sites that fewer than 30 of the pair's
    patients have are left out.
    """
    figure = new_figure((9.5, 7.4))
    panels = figure.subplots(2, 3, sharex=True, sharey=True)
    drawn = {roc.site for pair in PAIRS for roc in ranked(rocs, pair)}
    sites = [site for site in sites if site in drawn]
    levels = list(dict.fromkeys(site.partition("_")[0] for site in sites))
    for ax, pair in zip(panels.ravel(), PAIRS, strict=True):
        ax.plot([0, 1], [0, 1], color="0.8", linewidth=1)
        known = [roc for roc in ranked(rocs, pair) if roc.site in sites]
        for roc in known:
            sensitivity, false_positive, _ = roc_points(
                *stage_values(cohort, pair, roc.site), roc.direction
            )
            colour, dash = _style(roc.site, levels)
            ax.plot(false_positive, sensitivity, color=colour, linestyle=dash, linewidth=1.2)
        ax.set_title(pair_name(pair), fontsize=10)
        ax.set_aspect("equal")
        if known:
            text = "\n".join(
                f"{word} AUROC {roc.area.auroc:.3f} {roc.site}"
                for word, roc in (("highest", known[0]), ("lowest", known[-1]))
            )
            ax.text(0.98, 0.03, _short(text), ha="right", fontsize=8, linespacing=1.4)
    for ax in panels[:, 0]:
        ax.set_ylabel("sensitivity for the later stage")
    for ax in panels[-1]:
        ax.set_xlabel("1 - specificity")
    if sites:
        _name_sites(figure, tissue, sites, levels)
    return figure


def plot_areas(rocs: Sequence[SiteRoc], ax: Any = None) -> Any:
    """The area of each site and pair as colours; ``+`` where higher HU mean the later stage."""
    ax = new_axes(ax, (8, 9.5))
    pairs = [pair_name(pair) for pair in PAIRS]
    values = np.full((len(SITE_NAMES), len(pairs)), np.nan)
    texts = [["–"] * len(pairs) for _ in SITE_NAMES]
    for roc in rocs:
        row, column = SITE_NAMES.index(roc.site), pairs.index(roc.pair)
        values[row, column] = roc.area.auroc
        if not roc.reason:
            mark = " +" if roc.direction == "higher" else ""
            text = _short(f"{roc.area.auroc:.3f}") + mark
            few = roc.n_earlier + roc.n_later < MIN_PATIENTS_FOR_BEST
            texts[row][column] = f"({text})" if few else text
    heat_map(ax, values, SITE_NAMES, pairs, texts, (0.5, 1), "viridis", "area under the ROC curve")
    ax.set_xlabel(
        "pair of stages     + higher HU in the later stage     "
        f"( ) fewer than {MIN_PATIENTS_FOR_BEST} patients"
    )
    ax.set_ylabel("site")
    return ax


def _short(text: str) -> str:
    return text.replace("0.", ".")


def _style(site: str, levels: Sequence[str]) -> tuple[str, str]:
    place = SITES_BY_NAME[site]
    dash = "--" if not place.is_vertebra and place.side is Side.LEFT else "-"
    return SITE_COLOURS[levels.index(site.partition("_")[0])], dash


def _name_sites(figure: Any, tissue: str, sites: Sequence[str], levels: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    sides = {_style(site, levels)[1] for site in sites}
    title = f"{tissue}: right solid, left dashed" if len(sides) > 1 else tissue
    handles = []
    for site in sorted(sites, key=lambda name: _style(name, levels)[1] == "--"):
        colour, dash = _style(site, levels)
        handles.append(Line2D([], [], color=colour, linestyle=dash, label=site))
    # Legends fill column by column; so there is one row for each side.
    by_column = [k for c in range(len(levels)) for k in range(c, len(handles), len(levels))]
    figure.legend(
        handles=[handles[k] for k in by_column],
        loc="outside upper center",
        ncols=len(levels),
        fontsize=8,
        frameon=False,
        title=title,
        title_fontsize=10,
    )
