"""Figures of the projections: score plots, VIP scores, permutation tests."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from modeling.cohort import Stage
from modeling.statistics.figures.drawing import (
    STAGE_COLOURS,
    STAGE_MARKERS,
    new_axes,
    new_figure,
    stage_legend,
)
from modeling.statistics.projection import VIP_BOUND, PlsDa, PrincipalComponents
from modeling.statistics.wording import p_words
from modeling.study.palette import BLUE, VERMILION

__all__ = ["plot_permutations", "plot_principal_components", "plot_scores", "plot_vip"]

FloatArray = npt.NDArray[np.float64]

ELLIPSE_COVERAGE = 0.95
"""Share of a bivariate normal distribution inside an ellipse."""


def plot_principal_components(found: Sequence[PrincipalComponents]) -> Any:
    """Scores on the first two components, a panel for each imputation; a figure."""
    figure = new_figure((5 * len(found), 5))
    for ax, one in zip(figure.subplots(1, len(found), squeeze=False)[0], found, strict=True):
        _scatter(ax, one.scores, one.stages)
        ax.set_xlabel(f"component 1 ({one.explained[0]:.0%} of variance)")
        ax.set_ylabel(f"component 2 ({one.explained[1]:.0%} of variance)")
        ax.set_title(_titled(f"PCA, {one.imputation}", one.imputation.leaks_stage), fontsize=10)
    stage_legend(figure, loc="outside lower center", ncols=4)
    return figure


def plot_scores(found: Sequence[PlsDa]) -> Any:
    """PLS-DA scores, a panel for each imputation; a figure."""
    figure = new_figure((5 * len(found), 5))
    for ax, one in zip(figure.subplots(1, len(found), squeeze=False)[0], found, strict=True):
        _scatter(ax, one.scores, one.stages)
        ax.set_xlabel("PLS component 1")
        ax.set_ylabel("PLS component 2")
        text = f"PLS-DA, {one.imputation}: R2Y {one.r2y:.2f}, Q2 {one.q2:.2f}"
        ax.set_title(_titled(text, one.imputation.leaks_stage), fontsize=10)
    stage_legend(figure, loc="outside lower center", ncols=4)
    return figure


def plot_vip(found: Sequence[PlsDa]) -> Any:
    """VIP scores of the sites, a panel for each imputation; a figure."""
    figure = new_figure((9, 8))
    for ax, one in zip(figure.subplots(1, len(found), squeeze=False)[0], found, strict=True):
        order = np.argsort(one.vip)
        places = np.arange(len(order))
        above = one.vip[order] > VIP_BOUND
        ax.hlines(places, 0, one.vip[order], color=np.where(above, BLUE, "0.7"), linewidth=2)
        ax.scatter(one.vip[order], places, color=np.where(above, BLUE, "0.6"), s=22, zorder=3)
        ax.axvline(VIP_BOUND, color="0.4", linestyle="--", linewidth=1)
        ax.set_yticks(places, [one.sites[k] for k in order], fontsize=8)
        ax.set_ylim(-0.8, len(order) - 0.2)
        ax.set_xlim(left=0)
        ax.set_xlabel("VIP score (dashed: 1, the average site)")
        text = f"PLS-DA, {one.imputation}"
        ax.set_title(_titled(text, one.imputation.leaks_stage), fontsize=10)
    return figure


def plot_permutations(found: Sequence[PlsDa], ax: Any = None) -> Any:
    """Q2 with permuted stages against the real Q2."""
    ax = new_axes(ax, (8, 4.2))
    every = np.concatenate([[one.q2, *one.null_q2] for one in found])
    bins = np.linspace(every.min() - 0.01, every.max() + 0.01, 61).tolist()
    for one, colour, dash in zip(found, (VERMILION, BLUE), ("--", "-"), strict=False):
        name = f"{one.imputation}"
        ax.hist(one.null_q2, bins=bins, color=colour, alpha=0.55, label=f"{name}: stages permuted")
        ax.axvline(
            one.q2,
            color=colour,
            linestyle=dash,
            linewidth=2,
            label=f"{name}: real Q2 {one.q2:.2f}, {p_words(one.p_q2)}",
        )
    ax.axvline(0, color="0.5", linewidth=0.8)
    ax.set_xlabel("Q2 (0: no better than the stages' frequencies)")
    ax.set_ylabel("permutations")
    ax.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.22), ncols=2, frameon=False)
    return ax


def _titled(text: str, leaks: bool) -> str:
    return f"{text}\n(leaks the stage)" if leaks else f"{text}\n(knows no stage)"


def _scatter(ax: Any, scores: FloatArray, stages: npt.NDArray[Any]) -> None:
    from matplotlib.patches import Ellipse

    for stage in Stage:
        points = scores[stages == stage.value, :2]
        if not len(points):
            continue
        colour = STAGE_COLOURS[stage]
        ax.scatter(
            *points.T, s=16, color=colour, marker=STAGE_MARKERS[stage], alpha=0.55, linewidths=0
        )
        if len(points) < 3:
            continue
        spread, axes = np.linalg.eigh(np.cov(points, rowvar=False))
        width, height = 2 * np.sqrt(np.maximum(spread, 0) * chi2.ppf(ELLIPSE_COVERAGE, 2))
        angle = float(np.degrees(np.arctan2(axes[1, 0], axes[0, 0])))
        outline = Ellipse(
            points.mean(axis=0),
            width,
            height,
            angle=angle,
            fill=False,
            edgecolor=colour,
            linewidth=1.8,
        )
        ax.add_patch(outline)
    ax.autoscale_view()
