"""The default recipe's evaluation as a step of the study."""

from typing import Any

import numpy as np
import pandas as pd

from modeling.calibration import COVERAGE, PAIRS, pair_name
from modeling.cohort import Stage
from modeling.evaluation.recipe_evaluation import Evaluation, evaluate
from modeling.study.palette import BLUE, GREEN, PURPLE, SKY_BLUE, VERMILION
from modeling.study.step import Figure, StepResult, StudyInput, StudyStep, Table

__all__ = [
    "EVALUATION_STEP",
    "plot_calibration",
    "plot_confusion",
    "plot_decision_curves",
    "plot_roc",
    "plot_sets",
]

PAIR_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, SKY_BLUE, "#333333")
"""Colours of the six pairs."""

PAIR_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
"""Line styles of the six pairs, so that no figure depends on colour alone."""

EVALUATION_METHOD = (
    "The recipe of the bundled model is scored by repeated nested cross-validation: what it fits, "
    "its calibration (one sigmoid a pair and one a stage, Platt 1999) and its "
    "prediction sets (class-conditional conformal prediction, Vovk 2013, "
    "doi 10.1007/s10994-013-5355-6) are fitted inside each training part. Intervals are "
    "percentiles over patients drawn again within their stages; they "
    "do not cover the choice of the recipe. Apparent figures are of the same patients that the "
    "model was fitted to and say nothing about others. Decision curves give the net benefit of "
    "Vickers & Elkin 2006 (doi 10.1177/0272989X06295361)."
)


def plot_roc(found: Evaluation, ax: Any = None) -> Any:
    """Draw the ROC curves of the six pairs, first repeat; gives the Axes."""
    from sklearn.metrics import roc_curve

    ax = _axes(ax, (7, 6.5))
    first = found.predictions[0]
    for pair, colour, style in zip(PAIRS, PAIR_COLOURS, PAIR_STYLES, strict=True):
        name = pair_name(pair)
        chosen = np.isin(found.stages, pair)
        false, true, _ = roc_curve(found.stages[chosen] == pair[1], first.calibrated[name][chosen])
        stated = found.scores["pairs"][name]
        low, high = stated["ci"]
        label = f"{name}  {stated['auroc']:.2f} [{low:.2f}, {high:.2f}]"
        ax.plot(false, true, color=colour, linestyle=style, label=label)
    ax.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
    ax.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1.01))
    ax.legend(title="pair, nested AUROC [95 %]", loc="lower right", fontsize=9)
    return ax


def plot_calibration(found: Evaluation, ax: Any = None) -> Any:
    """Draw found against stated frequency of the later stage, all pairs; gives the Axes."""
    ax = _axes(ax, (7, 6))
    edges = np.linspace(0, 1, 11)
    for pair, colour, style in zip(PAIRS, PAIR_COLOURS, PAIR_STYLES, strict=True):
        name = pair_name(pair)
        chosen = np.isin(found.stages, pair)
        later = found.stages[chosen] == pair[1]
        stated = np.mean([p.calibrated[name][chosen] for p in found.predictions], axis=0)
        places = np.clip(np.digitize(stated, edges) - 1, 0, 9)
        points = [
            (stated[places == k].mean(), later[places == k].mean())
            for k in range(10)
            if (places == k).sum() >= 10
        ]
        x, y = zip(*points, strict=True)
        ax.plot(x, y, color=colour, linestyle=style, marker="o", markersize=4, label=name)
    ax.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
    ax.set(
        xlabel="stated probability of the later stage",
        ylabel="found share of the later stage",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    ax.legend(title="pair; bins of 10 patients or more", fontsize=9)
    return ax


def plot_decision_curves(found: Evaluation) -> Any:
    """Draw one decision curve a question, side by side; gives the figure."""
    from matplotlib.figure import Figure as Drawing

    curves = found.scores["decision_curves"]
    figure = Drawing(figsize=(10, 4.6), layout="constrained")
    axes = figure.subplots(1, len(curves), squeeze=False)[0]
    for ax, (name, points) in zip(axes, curves.items(), strict=True):
        x = [p["threshold"] for p in points]
        ax.plot(x, [p["model"] for p in points], color=PAIR_COLOURS[0], label="by the model")
        ax.plot(
            x, [p["all"] for p in points], color=PAIR_COLOURS[1], linestyle="--", label="act on all"
        )
        ax.axhline(0, color="0.4", linewidth=0.8, label="act on none")
        ax.set_ylim(-0.1, max(p["all"] for p in points) + 0.08)
        ax.set_xlabel("probability from which on one acts")
        ax.set_ylabel("net benefit per patient")
        ax.set_title(name, fontsize=10)
        ax.legend(fontsize=9)
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def plot_confusion(found: Evaluation, ax: Any = None) -> Any:
    """Draw true against predicted stage, mean of the repeats; gives the Axes."""
    ax = _axes(ax, (5.6, 5))
    order = [s.value for s in Stage]
    table = _confusion(found)
    shares = table / table.sum(axis=1, keepdims=True)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i in range(4):
        for j in range(4):
            ax.text(
                j, i, f"{table[i, j]:.0f}\n{shares[i, j]:.0%}", ha="center", va="center",
                color="white" if shares[i, j] > 0.55 else "black", fontsize=10,
            )  # fmt: skip
    ax.set_xticks(range(4), order)
    ax.set_yticks(range(4), order)
    ax.set(xlabel="predicted stage", ylabel="true stage (patients, share of the true stage)")
    return ax


def plot_sets(found: Evaluation, ax: Any = None) -> Any:
    """Draw how many stages the prediction sets hold, by true stage; gives the Axes."""
    ax = _axes(ax, (7, 4.4))
    sizes = np.mean(
        [[_size_shares(p.sets[found.stages == s]) for s in Stage] for p in found.predictions],
        axis=0,
    )
    left = np.zeros(4)
    for k, colour in enumerate(("#084594", "#4292c6", "#9ecae1", "#deebf7")):
        ax.barh(range(4), sizes[:, k], left=left, color=colour, label=str(k + 1), height=0.6)
        left += sizes[:, k]
    covered = found.scores["coverage_by_stage"]
    ax.set_yticks(range(4), [f"{s.value}: {covered[s.value]:.1%} covered" for s in Stage])
    ax.invert_yaxis()
    ax.set(xlabel=f"share of the stage's patients; {COVERAGE:.0%} should be covered", xlim=(0, 1))
    ax.legend(title="stages in the set", ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    return ax


def _size_shares(sets: Any) -> list[float]:
    sizes = sets.sum(axis=1)
    return [float((sizes == k).mean()) for k in range(1, 5)]


def _confusion(found: Evaluation) -> Any:
    order = np.array([s.value for s in Stage])
    return np.mean(
        [
            [
                [
                    ((found.stages == true) & (order[p.probabilities.argmax(axis=1)] == said)).sum()
                    for said in order
                ]
                for true in order
            ]
            for p in found.predictions
        ],
        axis=0,
    )


def _axes(ax: Any, size: tuple[float, float]) -> Any:
    if ax is not None:
        return ax
    from matplotlib.figure import Figure as Drawing

    ax = Drawing(figsize=size, layout="constrained").subplots()
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _tables(scores: dict[str, Any]) -> tuple[Table, ...]:
    pairs = pd.DataFrame(
        [
            {
                "pair": name,
                "nested AUROC": p["auroc"],
                "95 % from": p["ci"][0],
                "95 % to": p["ci"][1],
                "apparent AUROC": p["apparent"],
                "nested AUPRC": p["auprc"],
                "share of the later stage": p["prevalence"],
                "calibration slope": p["calibration_slope"],
                "calibration intercept": p["calibration_intercept"],
                "Brier": p["brier"],
            }
            for name, p in scores["pairs"].items()
        ]
    )
    overall = pd.DataFrame(
        [
            {"measure": name, "nested": scores[name], "95 % from": low, "95 % to": high}
            for name, (low, high) in {
                "mean_pair_auroc": scores["mean_pair_auroc_ci"],
                **scores["intervals"],
            }.items()
        ]
    )
    subgroups = pd.DataFrame(
        [
            {
                "group": g["group"],
                **{f"patients of {s}": n for s, n in g["patients"].items()},
                "mean pair AUROC": g.get("mean_pair_auroc"),
                "95 % from": g.get("ci", [None, None])[0],
                "95 % to": g.get("ci", [None, None])[1],
                "coverage": g.get("coverage"),
                "left out": g.get("reason", ""),
            }
            for g in scores["subgroups"]
        ]
    )
    decisions = pd.DataFrame(
        [
            {"acting on": name, **point}
            for name, points in scores["decision_curves"].items()
            for point in points
        ]
    )
    return (
        Table("pairs", "Each pair: nested beside apparent.", pairs),
        Table("overall", "Measures over all pairs and stages.", overall),
        Table("subgroups", "By sex and by age.", subgroups),
        Table("decision-curves", "Net benefit per patient over the threshold.", decisions),
    )


def _run(given: StudyInput) -> StepResult:
    found = evaluate(given.cohort, seed=given.seed, jobs=given.jobs)
    scores = found.scores
    low, high = scores["mean_pair_auroc_ci"]
    findings = (
        f"Mean pair AUROC {scores['mean_pair_auroc']:.3f} [{low:.3f}, {high:.3f}] nested, "
        f"{scores['mean_pair_auroc_apparent']:.3f} apparent.",
        f"With the stages shuffled the recipe gives {scores['permuted']['mean_pair_auroc']:.3f}.",
        f"Prediction sets hold the true stage in {scores['coverage']:.1%} and are "
        f"{scores['set_size']:.2f} stages large on average.",
        f"Four stages at once: balanced accuracy {scores['balanced_accuracy']:.3f}, quadratic "
        f"kappa {scores['qwk']:.3f}, calibration error {scores['ece']:.3f}.",
    )
    drawn = (
        Figure(
            "roc",
            "ROC curves of the six pairs by nested scores (first of the repeats).",
            lambda: plot_roc(found).figure,
        ),
        Figure(
            "calibration",
            "Found against stated probability of the later stage, calibrated inside the folds.",
            lambda: plot_calibration(found).figure,
        ),
        Figure(
            "decision-curves",
            "Net benefit of acting on the model, on all and on none.",
            lambda: plot_decision_curves(found),
        ),
        Figure(
            "confusion",
            "True against predicted stage, nested, mean of the repeats.",
            lambda: plot_confusion(found).figure,
        ),
        Figure(
            "prediction-sets",
            "How many stages the prediction sets hold, and how often the true one.",
            lambda: plot_sets(found).figure,
        ),
    )
    return StepResult(EVALUATION_METHOD, findings, _tables(scores), drawn, scores)


EVALUATION_STEP = StudyStep("evaluation", "The bundled model, honestly scored", _run)
