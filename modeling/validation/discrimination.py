"""How well the model tells the stages apart: areas under ROC curves, with two intervals each."""

from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.calibration import PAIRS, pair_name
from modeling.cohort import Stage
from modeling.evaluation.figures import MIN_SUBGROUP
from modeling.statistics.delong import delong_auroc
from modeling.validation.patient_bootstrap import Estimate, Measure, PatientDraws, wilson
from modeling.validation.predictions import STAGES, Predictions
from modeling.validation.weighted_measures import among, auroc_of, mean_measure

__all__ = [
    "few_patients",
    "osteoporosis_auroc",
    "osteoporosis_measures",
    "pair_measures",
    "usable_pairs",
]


def few_patients(counts: dict[str, int], least: int = MIN_SUBGROUP) -> str | None:
    """Say which groups have too few patients for a measure; None if none has.

    >>> few_patients({"A": 12, "B": 3})
    'fewer than 10 patients of B (3)'
    """
    few = [f"{name} ({count})" for name, count in counts.items() if count < least]
    return f"fewer than {least} patients of {', '.join(few)}" if few else None


def usable_pairs(stages: npt.NDArray[Any]) -> tuple[tuple[Stage, Stage], ...]:
    """List the pairs of which both stages have enough patients."""
    enough = {s for s in Stage if int((stages == s).sum()) >= MIN_SUBGROUP}
    return tuple(pair for pair in PAIRS if set(pair) <= enough)


def pair_measure(found: Predictions, pair: tuple[Stage, Stage]) -> Measure:
    """A pair's AUROC, as a measure over all patients."""
    rows = np.flatnonzero(np.isin(found.stages, pair))
    score = found.pairwise[pair_name(pair)][rows]
    return among(rows, auroc_of(score, found.stages[rows] == pair[1]))


def pair_measures(found: Predictions, draws: PatientDraws) -> dict[str, Any]:
    """Score each pair of stages, and their mean.

    Returns
    -------
    dict
        JSON-ready: ``pairs`` by name, with ``n`` and either ``auroc``, ``ci`` (DeLong) and
        ``ci_bootstrap``, or ``reason``; ``mean_pair_auroc`` with ``ci`` and ``pairs``, the names
        of those that it is of.
    """
    usable = usable_pairs(found.stages)
    measures = {pair_name(pair): pair_measure(found, pair) for pair in usable}
    if measures:
        measures["mean"] = mean_measure(list(measures.values()))
    estimates = draws.estimates(measures)
    pairs: dict[str, Any] = {}
    for pair in PAIRS:
        name = pair_name(pair)
        counts = {s.value: int((found.stages == s).sum()) for s in pair}
        pairs[name] = {"n": list(counts.values())}
        if pair not in usable:
            pairs[name]["reason"] = few_patients(counts)
            continue
        score = found.pairwise[name]
        pairs[name] |= _areas(
            score[found.stages == pair[1]], score[found.stages == pair[0]], estimates[name]
        )
    mean = estimates["mean"].to_json() if usable else {"value": None, "ci": None}
    return {
        "pairs": pairs,
        "mean_pair_auroc": mean["value"],
        "mean_pair_auroc_ci": mean["ci"],
        "mean_pair_auroc_of": [pair_name(pair) for pair in usable],
    }


def osteoporosis_auroc(found: Predictions) -> Measure:
    """AUROC of P(C) + P(D) for osteoporosis by the reference."""
    return auroc_of(found.probabilities[:, 2:].sum(axis=1), found.osteoporotic)


def osteoporosis_measures(found: Predictions, draws: PatientDraws) -> dict[str, Any]:
    """Score the question of osteoporosis, with or without fracture (C or D).

    Returns
    -------
    dict
        JSON-ready: ``n`` (without, with), then ``auroc``, ``ci`` (DeLong), ``ci_bootstrap`` and
        the shares of the most probable stage's call (``sensitivity``, ``specificity``, ``ppv``,
        ``npv``; Wilson intervals), or ``reason``.
    """
    positive = found.osteoporotic
    counts = {"A or B": int((~positive).sum()), "C or D": int(positive.sum())}
    result: dict[str, Any] = {"n": list(counts.values())}
    reason = few_patients(counts)
    if reason is not None:
        return result | {"reason": reason}
    score = found.probabilities[:, 2:].sum(axis=1)
    estimate = draws.estimates({"auroc": osteoporosis_auroc(found)})["auroc"]
    called = np.isin(np.array(STAGES)[found.probabilities.argmax(axis=1)], ("C", "D"))
    shares = {
        "sensitivity": wilson(int((called & positive).sum()), int(positive.sum())),
        "specificity": wilson(int((~called & ~positive).sum()), int((~positive).sum())),
        "ppv": wilson(int((called & positive).sum()), int(called.sum())),
        "npv": wilson(int((~called & ~positive).sum()), int((~called).sum())),
    }
    return (
        result
        | _areas(score[positive], score[~positive], estimate)
        | {name: share.to_json() for name, share in shares.items()}
    )


def _areas(
    positives: npt.NDArray[np.float64], negatives: npt.NDArray[np.float64], drawn: Estimate
) -> dict[str, Any]:
    by_delong = delong_auroc(positives, negatives)
    stated = Estimate(by_delong.auroc, by_delong.auroc_low, by_delong.auroc_high).to_json()
    return {
        "auroc": stated["value"],
        "ci": stated["ci"],
        "ci_bootstrap": drawn.to_json()["ci"],
    }
