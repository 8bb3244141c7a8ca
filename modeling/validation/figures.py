"""The figures of a validation, each drawn from results that are already computed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modeling.calibration import COVERAGE, PAIRS, pair_name
from modeling.cohort import Stage
from modeling.study.palette import BLUE, GREEN, PURPLE, SKY_BLUE, VERMILION
from modeling.validation.calibration_check import Question, reliability
from modeling.validation.discrimination import usable_pairs
from modeling.validation.predictions import RESEARCH_USE, Predictions

__all__ = [
    "plot_areas",
    "plot_changes",
    "plot_decisions",
    "plot_reliability",
    "plot_roc",
    "plot_sets",
    "plot_subgroups",
]

CURVE_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, SKY_BLUE, "#333333")
"""Colours of the six pairs."""

CURVE_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
"""Line styles of the six pairs, so that no figure depends on colour alone."""

SIZE_COLOURS = ("#084594", "#4292c6", "#9ecae1", "#deebf7")
"""Colours of prediction sets of one to four stages."""

AREA_MARKS = (("o", BLUE), ("D", VERMILION))
"""Marker and colour of this table's figures and of the model's own."""

ROW_INCHES = 0.34
"""Height of a line of a figure that lists groups."""


def plot_roc(found: Predictions) -> Any:
    """Draw ROC curves of the usable pairs, and of C or D against A or B; gives the figure."""
    from sklearn.metrics import roc_curve

    figure = _figure((7.6, 6.6))
    ax = figure.subplots()
    for pair, colour, style in zip(PAIRS, CURVE_COLOURS, CURVE_STYLES, strict=True):
        if pair not in usable_pairs(found.stages):
            continue
        chosen = np.isin(found.stages, pair)
        later = found.stages[chosen] == pair[1]
        false, true, _ = roc_curve(later, found.pairwise[pair_name(pair)][chosen])
        ax.plot(false, true, color=colour, linestyle=style, label=pair_name(pair))
    positive = found.osteoporotic
    if positive.any() and not positive.all():
        false, true, _ = roc_curve(positive, found.probabilities[:, 2:].sum(axis=1))
        ax.plot(false, true, color="black", linewidth=2.2, label="C or D, all patients")
    ax.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
    ax.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1.01))
    ax.legend(loc="lower right", fontsize=9)
    _plain(ax)
    return figure


def plot_areas(results: Mapping[str, Any]) -> Any:
    """Draw each pair's AUROC with its interval, beside the model's own; gives the figure."""
    from matplotlib.lines import Line2D

    entries = [(n, p.get("auroc"), p.get("ci"), p["n"]) for n, p in results["pairs"].items()]
    yes = results["osteoporosis"]
    entries.append(("C or D", yes.get("auroc"), yes.get("ci"), yes["n"]))
    known = results["model_scores"]["pairs"]
    figure = _figure((7.6, 1.4 + ROW_INCHES * len(entries)))
    ax = figure.subplots()
    for place, (name, value, ci, _) in enumerate(entries):
        _point(ax, place, value, ci, BLUE, "o")
        if known.get(name) is not None:
            ax.plot(known[name], place + 0.22, "D", color=VERMILION, markersize=4)
    ax.axvline(0.5, color="0.7", linewidth=0.8)
    _rows(ax, [f"{name}  ({n[0]} : {n[1]})" for name, _, _, n in entries])
    ax.set(
        xlabel="AUROC with 95 % interval (patients of the earlier : later stage)", xlim=(0.3, 1.01)
    )
    handles = [Line2D([], [], linestyle="", marker=m, color=c) for m, c in AREA_MARKS]
    ax.legend(handles, ["this table", "model's own cohort, nested"], fontsize=9, loc="lower left")
    return figure


def plot_reliability(questions: Sequence[Question]) -> Any:
    """Draw found shares over stated probabilities, a panel a question; gives the figure."""
    usable = [question for question in questions if question.reason is None]
    columns = min(3, len(usable))
    lines = -(-len(usable) // columns)
    figure = _figure((3.1 * columns + 0.4, 3.1 * lines + 0.3))
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for ax, question in zip(panels[: len(usable)], usable, strict=True):
        points = reliability(question)
        x, y = [p["stated"] for p in points], [p["found"] for p in points]
        whiskers = [
            [max(0.0, p["found"] - p["low"]) for p in points],
            [max(0.0, p["high"] - p["found"]) for p in points],
        ]
        ax.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
        drawn = ax.errorbar(x, y, whiskers, color=BLUE, marker="o", markersize=4, linewidth=1)
        drawn.lines[0].set_clip_on(False)
        ax.set(title=question.name, xlim=(0, 1), ylim=(0, 1))
        ax.set_xlabel("stated probability", fontsize=9)
        ax.set_ylabel("found share", fontsize=9)
        _plain(ax)
    for ax in panels[len(usable) :]:
        ax.set_visible(False)
    return figure


def plot_decisions(curves: Mapping[str, Any]) -> Any:
    """Draw a decision curve a question, with the model's interval; gives the figure."""
    usable = {name: entry["curve"] for name, entry in curves.items() if "curve" in entry}
    figure = _figure((5.2 * len(usable), 4.6))
    for ax, (name, points) in zip(
        figure.subplots(1, len(usable), squeeze=False)[0], usable.items(), strict=True
    ):
        x = [p["threshold"] for p in points]
        low, high = zip(*(p["model"]["ci"] or [np.nan, np.nan] for p in points), strict=True)
        ax.fill_between(x, low, high, color=BLUE, alpha=0.15, linewidth=0)
        ax.plot(x, [p["model"]["value"] for p in points], color=BLUE, label="by the model")
        everyone = [p["all"] for p in points]
        ax.plot(x, everyone, color=VERMILION, linestyle="--", label="act on all")
        ax.axhline(0, color="0.4", linewidth=0.8, label="act on none")
        ax.set(xlabel="probability from which on one acts", ylabel="net benefit per patient")
        ax.set_ylim(-0.1, float(np.nanmax([*high, *everyone])) + 0.03)
        ax.set_title(name, fontsize=10)
        ax.legend(fontsize=9)
        _plain(ax)
    return figure


def plot_sets(found: Predictions, coverage: Mapping[str, Any]) -> Any:
    """Draw how many stages the prediction sets hold, by true stage; gives the figure."""
    there = [s for s in Stage if (found.stages == s).any()]
    figure = _figure((7.6, 1.9 + 0.55 * len(there)))
    ax = figure.subplots()
    left = np.zeros(len(there))
    sizes = found.sets.sum(axis=1)
    for k, colour in enumerate(SIZE_COLOURS, start=1):
        share = np.array([(sizes[found.stages == s] == k).mean() for s in there])
        ax.barh(range(len(there)), share, left=left, color=colour, label=str(k), height=0.6)
        left += share
    _rows(ax, [_covered_words(s, coverage["by_stage"][s.value]) for s in there])
    ax.set(xlabel=f"share of the stage's patients; {COVERAGE:.0%} should be covered", xlim=(0, 1))
    ax.grid(visible=False)
    figure.legend(title="stages in the set", ncols=4, loc="outside upper center", fontsize=9)
    return figure


def plot_subgroups(groups: Sequence[Mapping[str, Any]]) -> Any:
    """Draw the AUROC for C or D of each subgroup that has one; gives the figure."""
    usable = [group for group in groups if "osteoporosis_auroc" in group]
    figure = _figure((7.6, 1.3 + ROW_INCHES * len(usable)))
    ax = figure.subplots()
    for place, group in enumerate(usable):
        stated = group["osteoporosis_auroc"]
        _point(ax, place, stated["value"], stated["ci"], BLUE, "o")
    _rows(ax, [f"{g['by']}: {g['group']}  ({sum(g['patients'].values())})" for g in usable])
    ax.set(xlabel="AUROC of C or D with 95 % interval (patients)", xlim=(0.3, 1.01))
    return figure


def plot_changes(recalibrated: Mapping[str, Any], measure: str, title: str) -> Any:
    """Draw a measure as it is and after each recalibration, cross-fitted; gives the figure."""
    usable = {n: e["measures"][measure] for n, e in recalibrated.items() if "measures" in e}
    figure = _figure((7.6, 1.6 + ROW_INCHES * (len(usable) + 1)))
    ax = figure.subplots()
    as_is = next(iter(usable.values()))["as_is"]
    _point(ax, 0, as_is["value"], as_is["ci"], VERMILION, "D")
    for place, entry in enumerate(usable.values(), start=1):
        _point(ax, place, entry["cross_fitted"]["value"], entry["cross_fitted"]["ci"], BLUE, "o")
    _rows(ax, ["as it is", *(f"by {name}, cross-fitted" for name in usable)])
    ax.set(xlabel=title)
    return figure


def _figure(size_inches: tuple[float, float]) -> Any:
    """A figure that says what its use is, below everything else."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size_inches, layout="constrained")
    band = 0.16 / size_inches[1]
    engine: Any = figure.get_layout_engine()
    engine.set(rect=(0, band, 1, 1 - band))
    figure.text(0.995, 0.02 / size_inches[1], RESEARCH_USE, ha="right", fontsize=7, color="0.35")
    return figure


def _point(
    ax: Any,
    place: float,
    value: float | None,
    ci: Sequence[float] | None,
    colour: str,
    marker: str,
) -> None:
    if value is None:
        ax.text(0.02, place, "too few patients", fontsize=8, va="center", color="0.35",
                transform=ax.get_yaxis_transform())  # fmt: skip
        return
    if ci is not None:
        ax.plot(ci, [place, place], color=colour, linewidth=1.6)
    ax.plot(value, place, marker, color=colour, markersize=6)


def _rows(ax: Any, labels: Sequence[str]) -> None:
    ax.set_yticks(range(len(labels)), labels, fontsize=9)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.grid(axis="x", color="0.9")
    _plain(ax)


def _plain(ax: Any) -> None:
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def _covered_words(stage: Stage, stated: Mapping[str, Any]) -> str:
    return f"{stage.value}: {stated['value']:.0%} of {stated['n']} covered"
