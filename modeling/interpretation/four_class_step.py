"""The step that compares the published route with the four-class model."""

from collections import Counter
from typing import Any

import pandas as pd

from modeling.cohort import Stage, features_of
from modeling.interpretation.four_class import (
    FourClass,
    confusion,
    four_class_out_of_fold,
    intervals,
)
from modeling.interpretation.route import Route
from modeling.study.step import Figure, StepResult, StudyInput, StudyStep, Table

__all__ = ["FOUR_CLASS_STEP", "patient_routes", "plot_confusions", "plot_routes", "route_counts"]

FOUR_CLASS_METHOD = (
    "The published route asks pairs of stages one after another and goes on with the winner (the "
    "later stage from a probability of 0.5 on): A or D; where D wins B or D, then C or D or else "
    "B or C; where A wins A or C, then B or C or else A or B (Wang 2025; order of the bminet 0.1.4 "
    "source distribution). Its pair models here are the published stacks over the published "
    "feature sets, with {rounds}, fitted without the patients that they decide (5 folds); as sets "
    "and stacks were chosen on all these patients, its scores are apparent. The four-class model "
    "is the bundle's recipe, one model for all four stages, and decides for the most probable; "
    "in between stands the same route over its calibrated pairs. All three on the same folds. "
    "Intervals are percentiles over 1000 draws of patients within their stages."
)

ROUTE_COLOURS = {Stage.A: "#4477aa", Stage.B: "#228833", Stage.C: "#ccaa22", Stage.D: "#aa3377"}
"""Colours of the true stages in the figure of the routes (Paul Tol's bright scheme, darkened)."""


def patient_routes(found: FourClass) -> pd.DataFrame:
    """List each patient's route and decisions.

    Returns
    -------
    DataFrame
        One row a patient: ``patient`` (from 1, rows that repeat an earlier one left out),
        ``stage``, the three questions of the published route with ``probability of the later``,
        ``published route``, ``route over our pairs``, and the four-class model's probabilities
        and stage.
    """
    rows = []
    decisions = found.decisions
    for place, true in enumerate(found.truth):
        row: dict[str, Any] = {"patient": place + 1, "stage": true.value}
        for number, question in enumerate(found.published[place].questions, start=1):
            row[f"question {number}"] = question.pair
            row[f"probability of the later {number}"] = round(question.probability, 4)
            row[f"winner {number}"] = question.winner.value
        row["published route (apparent)"] = found.published[place].stage.value
        row["route over our pairs"] = str(found.own_pairs[place])
        for stage, probability in zip(Stage, found.probabilities[place], strict=True):
            row[f"four-class p({stage})"] = round(float(probability), 4)
        row["four-class model"] = decisions["four-class model"][place].value
        rows.append(row)
    return pd.DataFrame(rows)


def route_counts(routes: tuple[Route, ...], truth: tuple[Stage, ...]) -> pd.DataFrame:
    """Count the patients of each of the eight ways through the pairs, by their true stage."""
    counts = Counter((_way(found), true) for found, true in zip(routes, truth, strict=True))
    ways = sorted({way for way, _ in counts}, key=lambda way: (way[-1], way))
    return pd.DataFrame(
        [
            {
                "way": ", ".join(way),
                "ends at": way[-1][-1],
                "patients": sum(counts[way, stage] for stage in Stage),
                **{f"of stage {stage}": counts[way, stage] for stage in Stage},
            }
            for way in ways
        ]
    )


def plot_confusions(found: FourClass) -> Any:
    """Draw a confusion table for each way of deciding; gives the figure."""
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(10, 3.9), layout="constrained")
    panels = drawing.subplots(1, len(found.decisions))
    names = [stage.value for stage in Stage]
    for ax, (title, decided) in zip(panels, found.decisions.items(), strict=True):
        table = confusion(found.truth, decided)
        shares = table / table.sum(axis=1, keepdims=True)
        ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for i in range(len(names)):
            for j in range(len(names)):
                ax.annotate(
                    f"{table[i, j]}\n{100 * shares[i, j]:.0f} %",
                    (j, i),
                    ha="center",
                    va="center",
                    fontsize=10,
                    color="white" if shares[i, j] > 0.55 else "black",
                )
        ax.set_xticks(range(len(names)), names)
        ax.set_yticks(range(len(names)), names)
        ax.set_xlabel("decided stage")
        ax.set_title(title, fontsize=11)
    panels[0].set_ylabel("stage by DXA and fracture")
    return drawing


def plot_routes(counts: pd.DataFrame, ax: Any = None) -> Any:
    """Draw how many patients took each way, by true stage; gives the Axes."""
    from matplotlib.figure import Figure as Drawing

    if ax is None:
        ax = Drawing(figsize=(8, 4.2), layout="constrained").subplots()
    left = pd.Series(0, index=counts.index)
    for stage in Stage:
        widths = counts[f"of stage {stage}"]
        bars = ax.barh(
            counts.index, widths, left=left, color=ROUTE_COLOURS[stage], label=f"true {stage}"
        )
        ax.bar_label(
            bars, [str(n) if n > 3 else "" for n in widths], label_type="center", color="white"
        )
        left = left + widths
    ax.set_yticks(
        counts.index,
        [f"{way}  → {end}" for way, end in zip(counts["way"], counts["ends at"], strict=True)],
    )
    ax.invert_yaxis()
    ax.set_xlabel("patients")
    ax.set_ylabel("pairs asked and winners, in order")
    ax.legend(fontsize=9, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _way(found: Route) -> tuple[str, ...]:
    return tuple(f"{q.pair}:{q.winner}" for q in found.questions)


def _run(given: StudyInput, published_rounds: bool = False) -> StepResult:
    features, stages = features_of(given.cohort)
    found = four_class_out_of_fold(
        features, stages, given.seed, published_rounds=published_rounds, jobs=given.jobs
    )
    scores, differences = intervals(found.truth, found.decisions, given.seed)
    counts = route_counts(found.published, found.truth)
    published, _, own = found.decisions.values()
    return StepResult(
        FOUR_CLASS_METHOD.format(
            rounds="all their rounds" if published_rounds else "a tenth or fifth of the rounds"
        ),
        (
            *(_sentence(name, scores) for name in found.decisions),
            _agreement_sentence(published, own, found.truth),
            _difference_sentence(differences),
        ),
        (
            Table("scores", "Out-of-fold scores with 95 % intervals.", scores),
            Table(
                "differences",
                "Differences from the published route, same draws of patients.",
                differences,
            ),
            *_confusion_tables(found),
            Table(
                "agreement",
                "Decisions of the two ways against each other.",
                _agreement_table(published, own),
            ),
            Table("ways", "Ways through the pairs by the published route.", counts),
            Table(
                "routes",
                "Each patient's route: pairs asked, in order, with probability and winner.",
                patient_routes(found),
            ),
        ),
        (
            Figure(
                "confusions",
                "Confusion tables, out of fold; shares are of a row.",
                lambda: plot_confusions(found),
            ),
            Figure(
                "ways",
                "Ways that the patients took through the pairs by the published route.",
                lambda: plot_routes(counts).figure,
            ),
        ),
        {
            "scores": {
                f"{row['decided by']}: {row['measure']}": row["value"]
                for row in scores.to_dict("records")
            },
            "agreeing": _agreeing(published, own),
        },
    )


def _confusion_tables(found: FourClass) -> list[Table]:
    return [
        Table(
            f"confusion-{name}",
            f"Patients by true stage and decision: {title}.",
            _confusion_frame(found.truth, decided),
        )
        for name, (title, decided) in zip(
            ("published-route", "route-our-pairs", "four-class"),
            found.decisions.items(),
            strict=True,
        )
    ]


def _agreement_table(published: tuple[Stage, ...], own: tuple[Stage, ...]) -> pd.DataFrame:
    agreement = pd.DataFrame(
        confusion(published, own),
        columns=[f"four-class model {stage}" for stage in Stage],
    )
    agreement.insert(0, "published route (apparent)", [stage.value for stage in Stage])
    return agreement


def _agreeing(published: tuple[Stage, ...], own: tuple[Stage, ...]) -> int:
    return sum(a is b for a, b in zip(published, own, strict=True))


def _agreement_sentence(
    published: tuple[Stage, ...], own: tuple[Stage, ...], truth: tuple[Stage, ...]
) -> str:
    disagreeing = [
        (a is t, b is t) for a, b, t in zip(published, own, truth, strict=True) if a is not b
    ]
    return (
        f"Route and four-class model agree on {_agreeing(published, own)} of {len(own)} patients; "
        f"where they differ the route is right in {sum(a for a, _ in disagreeing)} and the "
        f"four-class model in {sum(b for _, b in disagreeing)}."
    )


def _confusion_frame(truth: tuple[Stage, ...], decided: tuple[Stage, ...]) -> pd.DataFrame:
    frame = pd.DataFrame(confusion(truth, decided), columns=[f"decided {stage}" for stage in Stage])
    frame.insert(0, "stage", [stage.value for stage in Stage])
    return frame


def _sentence(name: str, scores: pd.DataFrame) -> str:
    said = [
        f"{row['measure']} {row['value']:.3f} [{row['low (2.5 %)']:.3f}, "
        f"{row['high (97.5 %)']:.3f}]"
        for row in scores[scores["decided by"] == name].to_dict("records")
    ]
    return f"{name[0].upper()}{name[1:]}: {', '.join(said)}."


def _difference_sentence(differences: pd.DataFrame) -> str:
    row = next(
        row
        for row in differences.to_dict("records")
        if row["decided by"].startswith("four-class") and row["measure"] == "balanced accuracy"
    )
    clear = row["low (2.5 %)"] > 0 or row["high (97.5 %)"] < 0
    return (
        f"The four-class model's balanced accuracy is {row['value']:+.3f} from the route's "
        f"[{row['low (2.5 %)']:+.3f}, {row['high (97.5 %)']:+.3f}]: "
        f"{'a clear difference' if clear else 'no clear difference'}."
    )


FOUR_CLASS_STEP = StudyStep("four-class", "Four-class decision", _run)
