"""Figures of the linear formulas: their coefficients and their areas."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from modeling.calibration import pair_name
from modeling.statistics.figures.drawing import new_axes, new_figure
from modeling.statistics.linear import Formula, FormulaKind, Penalty
from modeling.study.palette import BLUE, GREEN, ORANGE, PURPLE, SKY_BLUE, VERMILION

__all__ = ["plot_areas", "plot_coefficients"]

OFTEN_SELECTED_SHARE = 0.5
"""Sites that this share of the resamples selects are drawn dark."""


def plot_coefficients(formulas: Sequence[Formula], kind: FormulaKind) -> Any:
    """Coefficients per standard deviation of one kind, a panel for each pair; a figure."""
    chosen = [formula for formula in formulas if formula.kind == kind]
    figure = new_figure((11, 8))
    panels = figure.subplots(1, len(chosen), sharey=True, squeeze=False)[0]
    for ax, formula in zip(panels, chosen, strict=True):
        places = np.arange(len(formula.terms))
        for place, term in zip(places, formula.terms, strict=True):
            colour = BLUE if term.selected_share >= OFTEN_SELECTED_SHARE else "0.65"
            ax.hlines(place, term.per_sd_low, term.per_sd_high, color=colour, linewidth=1.8)
            ax.plot([term.per_sd], [place], "o", color=colour, markersize=4)
        ax.axvline(0, color="0.4", linewidth=0.8)
        ax.grid(axis="y", color="0.92")
        ax.set_axisbelow(True)
        ax.set_yticks(places, [term.site for term in formula.terms], fontsize=9)
        ax.set_title(pair_name(formula.pair), fontsize=10)
    panels[0].set_ylim(len(chosen[0].terms) - 0.4, -0.6)
    words = f"change of the score per SD of the site, with 95 % percentile interval ({kind})"
    if kind.penalty in (Penalty.LASSO, Penalty.ELASTIC_NET):
        words += f"\nblue: selected in at least {OFTEN_SELECTED_SHARE:.0%} of resamples"
    figure.supxlabel(words, fontsize=10)
    return figure


def plot_areas(formulas: Sequence[Formula], ax: Any = None) -> Any:
    """Apparent (hollow) and nested (filled, with interval) areas of every kind and pair."""
    ax = new_axes(ax, (9, 5))
    kinds = list(dict.fromkeys(formula.kind for formula in formulas))
    pairs = list(dict.fromkeys(formula.pair for formula in formulas))
    colours = (BLUE, SKY_BLUE, GREEN, VERMILION, ORANGE, PURPLE, "0.3")
    markers = "osDv^PX"
    width = 0.8 / len(kinds)
    for number, kind in enumerate(kinds):
        colour, marker = colours[number % len(colours)], markers[number % len(markers)]
        for formula in formulas:
            if formula.kind != kind:
                continue
            place = pairs.index(formula.pair) + (number - (len(kinds) - 1) / 2) * width
            nested = formula.nested
            ax.vlines(place, nested.auroc_low, nested.auroc_high, color=colour, linewidth=1.5)
            ax.plot([place], [nested.auroc], marker, color=colour, markersize=6)
            ax.plot([place], [formula.apparent.auroc], marker, color=colour, mfc="white", ms=6)
        ax.plot([], [], marker, color=colour, label=str(kind))
    for place in range(len(pairs) - 1):
        ax.axvline(place + 0.5, color="0.88", linewidth=1)
    ax.set_xticks(range(len(pairs)), [pair_name(pair) for pair in pairs])
    ax.set_xlabel("pair of stages     hollow: apparent   filled: nested, with 95 % interval")
    ax.set_ylabel("area under the ROC curve")
    ax.legend(fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    return ax
