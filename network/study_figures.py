"""Figures of the network's step: adjacency, evidence, panels of pairs, stability."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from modeling.calibration import PAIRS, pair_name
from modeling.design import USED_SITES
from modeling.study.palette import BLUE, GREEN, ORANGE, PURPLE, SKY_BLUE, VERMILION
from network.figure import MARKED, plot
from network.fixed import ROUNDS, SITE_PAIRS
from network.graph import InteractionNetwork
from network.resampling import Resamples
from network.significance import (
    ALPHA,
    COMBINED,
    Evidence,
    combined_weights,
    survivors_by_network,
)
from network.stability import PROTOCOLS, SET_PROTOCOLS

__all__ = [
    "plot_adjacency",
    "plot_centralities",
    "plot_evidence",
    "plot_panels",
    "plot_rounds",
    "plot_stability",
]

FloatArray = npt.NDArray[np.float64]

FOREMOST = 10
"""Sites whose centralities are drawn."""

SHOWN_PROTOCOLS = (PROTOCOLS[0], PROTOCOLS[-1], SET_PROTOCOLS[0], SET_PROTOCOLS[-1])
"""Ways to build a network whose agreement is drawn; the table holds all."""


def plot_adjacency(found: Evidence, ax: Any = None) -> Any:
    """Draw the weights of all pairs of sites, survivors framed; gives the Axes."""
    from matplotlib.figure import Figure as Drawing
    from matplotlib.patches import Rectangle

    if ax is None:
        ax = Drawing(figsize=(9, 8.2), layout="constrained").subplots()
    size = len(USED_SITES)
    matrix = np.zeros((size, size))
    upper = np.triu_indices(size, 1)
    matrix[upper] = found.weight
    matrix += matrix.T
    image = ax.imshow(np.sqrt(matrix), cmap="Greys")
    top = float(matrix.max()) or 1.0
    ticks = [0.0, top / 16, top / 4, top * 9 / 16, top]
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.8, ticks=np.sqrt(ticks))
    bar.ax.set_yticklabels([f"{tick:.1f}" for tick in ticks])
    bar.set_label("weight: interaction summed over patients (log-odds), square-root scale")
    marks = (
        (found.p_permutation <= ALPHA, BLUE, "stands out from permuted labels"),
        (found.p_additive <= ALPHA, MARKED, "stands out from the additive model"),
    )
    handles = []
    for inset, (chosen, colour, _) in enumerate(marks):
        low, side = -0.5 + 0.16 * inset, 1 - 0.32 * inset
        for place in np.flatnonzero(chosen):
            i, j = upper[0][place], upper[1][place]
            for x, y in ((i, j), (j, i)):
                ax.add_patch(
                    Rectangle(
                        (x + low, y + low), side, side, fill=False, edgecolor=colour, linewidth=1.6
                    )
                )
        handles.append(Rectangle((0, 0), 1, 1, fill=False, edgecolor=colour, linewidth=1.6))
    ax.legend(
        handles,
        [m[2] for m in marks],
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=2,
        frameon=False,
        fontsize=9,
    )
    ax.set_xticks(range(size), USED_SITES, rotation=90, fontsize=8)
    ax.set_yticks(range(size), USED_SITES, fontsize=8)
    ax.axhline(5.5, color="0.6", linewidth=0.8)
    ax.axvline(5.5, color="0.6", linewidth=0.8)
    return ax


def plot_evidence(found: Resamples, cutoff: float, ax: Any = None) -> Any:
    """Draw the heaviest edges of each network against the heaviest of each null; gives the Axes."""
    from matplotlib.figure import Figure as Drawing

    if ax is None:
        ax = Drawing(figsize=(8, 5.2), layout="constrained").subplots()
    rows = [*((pair_name(pair), place) for place, pair in enumerate(PAIRS)), (COMBINED, None)]
    nulls = (
        ("permuted labels, largest of each", found.permutations, BLUE, -0.22),
        ("additive model, largest of each", found.additive, SKY_BLUE, 0.22),
    )

    def of(values: FloatArray, place: int | None) -> FloatArray:
        return combined_weights(values, cutoff) if place is None else values[..., place, :]

    for height, (_, place) in enumerate(rows):
        for label, null, colour, shift in nulls:
            if len(null):
                largest = of(null, place).max(axis=-1)
                spread = np.linspace(-0.13, 0.13, len(largest))
                ax.scatter(
                    largest,
                    height + shift + spread,
                    s=9,
                    color=colour,
                    alpha=0.6,
                    linewidths=0,
                    label=label if height == 0 else None,
                )
                limit = np.quantile(largest, 0.95, method="higher")
                ax.plot(
                    [limit] * 2,
                    [height + shift - 0.2, height + shift + 0.2],
                    color="0.2",
                    linewidth=1.4,
                    label="95 % of a null" if height == 0 and shift < 0 else None,
                )
        weights = of(found.observed, place)
        best = np.argsort(-weights)[:5]
        ax.scatter(
            weights[best],
            [height] * len(best),
            marker="D",
            s=26,
            color=MARKED,
            zorder=3,
            label="cohort, five heaviest edges" if height == 0 else None,
        )
        if weights[best[0]] > 0:
            ax.annotate(
                " - ".join(SITE_PAIRS[best[0]]),
                (weights[best[0]], height),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.5},
                zorder=4,
            )
    ax.set_yticks(range(len(rows)), [name for name, _ in rows])
    ax.invert_yaxis()
    ax.set_xlim(left=0)
    ax.margins(x=0.12)
    ax.set_xlabel("weight: interaction summed over patients (log-odds)")
    ax.set_ylabel("network of the stages")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, fontsize=9, frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plot_panels(networks: Mapping[str, InteractionNetwork], found: tuple[Evidence, ...]) -> Any:
    """Draw each stage pair's own network where its sites lie; gives the figure."""
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(8, 12.5), layout="constrained")
    marked = survivors_by_network(found)
    for ax, (name, network) in zip(drawing.subplots(3, 2).flat, networks.items(), strict=True):
        plot(network, ax, marked[name], small=True)
        ax.set_title(f"{name}: {len(network.nodes)} sites, {len(network.edges)} edges", fontsize=10)
    return drawing


def plot_stability(table: pd.DataFrame, ax: Any = None) -> Any:
    """Draw how far seeds agree, a mark a protocol; gives the Axes."""
    from matplotlib.figure import Figure as Drawing

    if ax is None:
        ax = Drawing(figsize=(8.5, 6.4), layout="constrained").subplots()
    shown = table[
        table["measure"].str.contains("Jaccard|Kendall|among the first|Rand|share with")
        & ~table["measure"].str.contains("(?:degree|betweenness|closeness): same")
    ]
    markers = ("o", "s", "^", "D")
    colours = (SKY_BLUE, BLUE, ORANGE, VERMILION)
    for column, marker, colour in zip(SHOWN_PROTOCOLS, markers, colours, strict=True):
        ax.scatter(
            shown[column],
            range(len(shown)),
            marker=marker,
            s=42,
            color=colour,
            label=column,
            alpha=0.85,
            zorder=2,
        )
    ax.set_yticks(range(len(shown)), shown["measure"], fontsize=9)
    ax.invert_yaxis()
    ax.set_xlim(-0.25, 1.04)
    ax.grid(axis="both", color="0.9")
    ax.set_axisbelow(True)
    ax.set_xlabel("agreement between seeds (1 the same, 0 chance), or share of networks")
    ax.legend(loc="upper center", bbox_to_anchor=(0.3, -0.1), ncols=2, fontsize=9, frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plot_centralities(table: pd.DataFrame) -> Any:
    """Draw the foremost sites' unweighted centralities on all sites and on the published sets.

    Parameters
    ----------
    table
        As `network.stability.centrality_table` gives it.

    Returns
    -------
    Figure
        A row of panels for each, a column a measure.
    """
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(9, 7.2), layout="constrained")
    protocols = (SET_PROTOCOLS[0], PROTOCOLS[0])
    measures = ("degree", "betweenness", "closeness")
    panels = drawing.subplots(len(protocols), len(measures), sharex="col")
    for line, protocol, colour in zip(panels, protocols, (VERMILION, BLUE), strict=True):
        for ax, measure in zip(line, measures, strict=True):
            chosen = (table["protocol"] == protocol) & (table["measure"] == measure)
            shown = table[chosen].head(FOREMOST)
            places = np.arange(len(shown))
            ax.barh(places, shown["mean"], color=colour, alpha=0.6, height=0.7)
            ax.hlines(places, shown["5 %"], shown["95 %"], color="0.2", linewidth=1.2)
            for place, row in zip(places, shown.to_dict("records"), strict=True):
                if row["share first"]:
                    ax.annotate(
                        f"{row['share first']:.0%}",
                        (max(row["mean"], row["95 %"]), place),
                        xytext=(4, 0),
                        textcoords="offset points",
                        va="center",
                        fontsize=8,
                    )
            ax.set_yticks(places, shown["site"], fontsize=8)
            ax.set_ylim(len(shown) - 0.4, -0.6)
            ax.margins(x=0.16)
            ax.tick_params(axis="x", labelsize=8)
            ax.spines[["top", "right"]].set_visible(False)
            ax.set_xlabel(measure, fontsize=9)
        line[0].set_title(protocol, fontsize=10, loc="left")
    drawing.supxlabel(
        "mean over seeds; line: middle 90 %; number: share of seeds in which the site is first",
        fontsize=9,
    )
    return drawing


def plot_rounds(curve: FloatArray, ax: Any = None) -> Any:
    """Draw cross-validated log-loss against boosting rounds; gives the Axes."""
    from matplotlib.figure import Figure as Drawing

    if ax is None:
        ax = Drawing(figsize=(8, 4.2), layout="constrained").subplots()
    rounds = np.arange(1, curve.shape[1] + 1)
    styles = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
    for pair, values, colour, style in zip(
        PAIRS, curve, (ORANGE, SKY_BLUE, GREEN, PURPLE, BLUE, VERMILION), styles, strict=True
    ):
        ax.plot(rounds, values, color=colour, linestyle=style, label=pair_name(pair))
        best = int(values.argmin())
        ax.plot(rounds[best], values[best], "o", color=colour)
    ax.axvline(ROUNDS, color="0.3", linewidth=1)
    ax.annotate(f" {ROUNDS} rounds", (ROUNDS, ax.get_ylim()[1]), va="top", fontsize=9)
    ax.set_xlabel("boosting rounds; a dot at the least loss")
    ax.set_ylabel("cross-validated log-loss")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, title="stages")
    ax.spines[["top", "right"]].set_visible(False)
    return ax
