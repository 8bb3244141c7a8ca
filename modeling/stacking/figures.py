"""Figures of the six pairs, drawn from outcomes that are already computed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from modeling.stacking.elimination import Elimination, Rule
from modeling.stacking.scores import CUT, PairOutcome, calibration_groups
from modeling.study.palette import BLUE, GREEN, VERMILION

__all__ = [
    "plot_calibration",
    "plot_confusion",
    "plot_elimination",
    "plot_precision_recall",
    "plot_roc",
    "plot_score_histograms",
    "plot_stacks",
]

VARIANT_COLOURS = (BLUE, VERMILION, GREEN)
"""One colour a variant."""

VARIANT_STYLES = ("-", "--", ":")
"""One line style a variant, so that no figure depends on colour alone."""

RULE_MARKS = {
    Rule.ONE_STANDARD_ERROR: ("least within one standard error", "s", 8, False),
    Rule.MAXIMUM: ("maximum", "o", 4.5, True),
}
"""Words, marker, size and filling of each rule's choice; where both are one, both are seen."""

Variants = Mapping[str, Mapping[str, PairOutcome]]
"""Outcomes by variant, then by pair."""


def plot_roc(variants: Variants) -> Any:
    """Draw the ROC curve of each pair; gives the Figure."""
    drawing, panels = _panels(variants)
    for pair, ax in panels.items():
        ax.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
        for index, (variant, outcomes) in enumerate(variants.items()):
            found = outcomes[pair]
            false, true, _ = roc_curve(found.later, found.scores)
            label = f"{roc_auc_score(found.later, found.scores):.3f}"
            ax.plot(false, true, VARIANT_STYLES[index], color=VARIANT_COLOURS[index], label=label)
            ax.lines[-1].set_gid(variant)
        _unit_square(ax)
        ax.legend(title="AUROC", loc="lower right", fontsize=8, title_fontsize=8, frameon=False)
    _ends(drawing, panels, "1 - specificity", "sensitivity", variants)
    return drawing


def plot_precision_recall(variants: Variants) -> Any:
    """Draw the precision-recall curve of each pair; gives the Figure."""
    drawing, panels = _panels(variants)
    for pair, ax in panels.items():
        for index, outcomes in enumerate(variants.values()):
            found = outcomes[pair]
            precision, recall, _ = precision_recall_curve(found.later, found.scores)
            label = f"{average_precision_score(found.later, found.scores):.3f}"
            ax.step(
                recall,
                precision,
                VARIANT_STYLES[index],
                color=VARIANT_COLOURS[index],
                label=label,
                where="post",
            )
            ax.axhline(found.later.mean(), color="0.7", linewidth=0.8, zorder=0)
        _unit_square(ax)
        ax.legend(title="AUPRC", loc="lower left", fontsize=8, title_fontsize=8, frameon=False)
    _ends(drawing, panels, "recall (sensitivity)", "precision", variants)
    return drawing


def plot_calibration(variants: Variants) -> Any:
    """Draw observed against predicted frequency in groups of equal size; gives the Figure."""
    drawing, panels = _panels(variants)
    for pair, ax in panels.items():
        ax.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
        for index, outcomes in enumerate(variants.values()):
            predicted, share, low, high = calibration_groups(outcomes[pair]).T
            ax.errorbar(
                predicted,
                share,
                [share - low, high - share],
                fmt=f"{'os^'[index]}{VARIANT_STYLES[index]}",
                color=VARIANT_COLOURS[index],
                markersize=4,
                linewidth=1,
                elinewidth=0.8,
            )
        _unit_square(ax)
    _ends(drawing, panels, "mean probability of the later stage", "observed share of it", variants)
    return drawing


def plot_score_histograms(outcomes: Mapping[str, PairOutcome]) -> Any:
    """Draw how the probabilities of the two stages of each pair lie; gives the Figure."""
    drawing, panels = _panels({"": outcomes})
    edges = np.linspace(0, 1, 21)
    for pair, ax in panels.items():
        found, stages = outcomes[pair], pair.split("/")
        for index, of_stage in enumerate((~found.later, found.later)):
            label = f"{stages[index]} (n = {int(of_stage.sum())})"
            scores = found.scores[of_stage]
            ax.hist(scores, edges, color=VARIANT_COLOURS[index], alpha=0.35, label=label)
            ax.hist(scores, edges, color=VARIANT_COLOURS[index], histtype="step", linewidth=1.2)
        ax.axvline(CUT, color="0.4", linewidth=0.8, linestyle=":")
        ax.set_xlim(0, 1)
        ax.legend(loc="upper center", fontsize=8, frameon=False)
        ax.set_ylim(0, 1.35 * ax.get_ylim()[1])
    drawing.supxlabel("out-of-fold probability of the later stage; cut dotted", fontsize=10)
    drawing.supylabel("patients", fontsize=10)
    return drawing


def plot_confusion(outcomes: Mapping[str, PairOutcome]) -> Any:
    """Draw the confusion matrix of each pair at one half; gives the Figure."""
    drawing, panels = _panels({"": outcomes})
    for pair, ax in panels.items():
        found, stages = outcomes[pair], pair.split("/")
        counts = np.array(
            [
                [int(((found.scores > CUT) == called)[found.later == truth].sum())
                 for called in (False, True)]
                for truth in (False, True)
            ]
        )  # fmt: skip
        share = counts / counts.sum(axis=1, keepdims=True)
        ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            ax.text(
                column,
                row,
                f"{count}\n{share[row, column]:.0%}",
                ha="center",
                va="center",
                fontsize=11,
                color="white" if share[row, column] > 0.6 else "black",
            )
        ax.set_xticks([0, 1], stages)
        ax.set_yticks([0, 1], stages)
        ax.tick_params(length=0)
    drawing.supxlabel("stage called (later stage where its probability is above 0.5)", fontsize=10)
    drawing.supylabel("true stage; % of its patients", fontsize=10)
    return drawing


def plot_stacks(auroc: Mapping[str, Mapping[str, float]]) -> Any:
    """Draw the AUROC of every combination for every pair as a table of shades; gives the Figure.

    Parameters
    ----------
    auroc
        By pair, then by combination, in the order of the rows.
    """
    from matplotlib.figure import Figure

    names = list(next(iter(auroc.values())))
    values = np.array([[auroc[pair][name] for pair in auroc] for name in names])
    drawing = Figure(figsize=(8, 6.2), layout="constrained")
    ax = drawing.subplots()
    shift = values - values.max(axis=0)
    image = ax.imshow(shift, cmap="cividis", aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        best = shift[row, column] == 0
        ax.text(
            column,
            row,
            f"{value:.3f}",
            ha="center",
            va="center",
            fontsize=9,
            fontweight="bold" if best else "normal",
            color="black" if shift[row, column] > 0.4 * shift.min() else "white",
        )
    ax.set_xticks(range(len(auroc)), list(auroc))
    ax.set_yticks(range(len(names)), names, fontsize=9)
    ax.set_xlabel("pair; the highest AUROC of each in bold")
    drawing.colorbar(image, ax=ax, label="AUROC minus the pair's highest", pad=0.02)
    return drawing


def plot_elimination(curves: Mapping[str, Sequence[Elimination]], core: str) -> Any:
    """Draw AUROC against the number of features, with one standard error; gives the Figure.

    Parameters
    ----------
    curves
        By pair: the nested curve, and the apparent one if there is one.
    core
        Name of the model, for the title.
    """
    drawing, panels = _panels({"": curves})
    lowest = min(float(c.mean.min()) for found in curves.values() for c in found)
    for pair, ax in panels.items():
        for found in curves[pair]:
            counts = np.arange(1, len(found.mean) + 1)
            index = int(found.apparent)
            name = (
                "path over all patients (apparent)" if found.apparent else "path inside each fold"
            )
            ax.plot(
                counts, found.mean, VARIANT_STYLES[index], color=VARIANT_COLOURS[index], label=name
            )
            ax.fill_between(
                counts,
                found.mean - found.standard_error,
                found.mean + found.standard_error,
                color=VARIANT_COLOURS[index],
                alpha=0.15,
                linewidth=0,
            )
            for rule, (words, marker, size, filled) in RULE_MARKS.items():
                count = found.count(rule)
                ax.plot(
                    count,
                    found.mean[count - 1],
                    marker,
                    color=VARIANT_COLOURS[index],
                    markerfacecolor=VARIANT_COLOURS[index] if filled else "white",
                    markersize=size,
                    label=words,
                )
        ax.set_ylim(max(0.35, lowest - 0.06), 1.0)
        ax.grid(color="0.92")
    drawing.supxlabel("features kept", fontsize=10)
    drawing.supylabel("AUROC, mean of folds", fontsize=10)
    _legend(drawing, next(iter(panels.values())))
    drawing.legends[0].set_title(core)
    return drawing


def _panels(variants: Mapping[str, Mapping[str, Any]]) -> tuple[Any, dict[str, Any]]:
    from matplotlib.figure import Figure

    pairs = list(next(iter(variants.values())))
    drawing = Figure(figsize=(8, 5.8), layout="constrained")
    axes = np.ravel(drawing.subplots(2, 3))
    for ax in axes[len(pairs) :]:
        ax.set_axis_off()
    panels = dict(zip(pairs, axes[: len(pairs)], strict=True))
    for pair, ax in panels.items():
        ax.set_title(" against ".join(pair.split("/")), fontsize=10)
        ax.tick_params(labelsize=8)
    return drawing, panels


def _unit_square(ax: Any) -> None:
    ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(-0.02, 1.02)
    ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    ax.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    ax.set_aspect("equal")


def _ends(drawing: Any, panels: Mapping[str, Any], x: str, y: str, variants: Variants) -> None:
    from matplotlib.lines import Line2D

    drawing.supxlabel(x, fontsize=10)
    drawing.supylabel(y, fontsize=10)
    lines = [
        Line2D([], [], color=VARIANT_COLOURS[i], linestyle=VARIANT_STYLES[i], label=name)
        for i, name in enumerate(variants)
    ]
    drawing.legend(handles=lines, loc="outside upper center", ncols=2, fontsize=9, frameon=False)


def _legend(drawing: Any, ax: Any) -> None:
    handles, labels = ax.get_legend_handles_labels()
    kept = dict(zip(reversed(labels), reversed(handles), strict=True))
    drawing.legend(
        [kept[label] for label in reversed(kept)],
        list(reversed(kept)),
        loc="outside upper center",
        ncols=2,
        fontsize=9,
        frameon=False,
    )
