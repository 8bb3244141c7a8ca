"""Stated probabilities against found shares: slopes, intercepts, expected counts, Brier scores."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.calibration import PAIRS, pair_name
from modeling.cohort import Stage
from modeling.validation.discrimination import few_patients
from modeling.validation.patient_bootstrap import PatientDraws
from modeling.validation.predictions import Predictions
from modeling.validation.weighted_measures import (
    among,
    brier_of,
    calibration_in_the_large_of,
    calibration_slope_of,
    log_loss_of,
    share_of,
)

__all__ = ["OSTEOPOROSIS", "Question", "calibration_measures", "questions", "reliability"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

OSTEOPOROSIS = "C or D"
"""Name of the question whether there is osteoporosis, with or without fracture."""

RELIABILITY_GROUPS = 10
"""Groups of equal size by stated probability (Hosmer and Lemeshow's deciles)."""

LEAST_IN_GROUP = 10
"""Patients of a group below which its found share says little; then there are fewer groups."""


@dataclass(frozen=True, eq=False)
class Question:
    """A yes-or-no question that the model gives a probability for.

    Parameters
    ----------
    name
        ``A`` to ``D`` (that stage or another), `OSTEOPOROSIS`, or a pair's name.
    rows
        intp, shape (m,): the patients it is asked of.
    probability
        float64, shape (m,): stated for yes.
    positive
        bool, shape (m,): whether the reference says yes.
    """

    name: str
    rows: npt.NDArray[np.intp]
    probability: FloatArray
    positive: BoolArray

    @property
    def reason(self) -> str | None:
        """Why it cannot be judged: too few patients on a side; None if it can."""
        yes = int(self.positive.sum())
        return few_patients({"no": len(self.positive) - yes, "yes": yes})


def questions(found: Predictions) -> tuple[Question, ...]:
    """List the questions: osteoporosis, each stage, each pair."""
    everyone = np.arange(len(found.stages))
    asked = [
        Question(OSTEOPOROSIS, everyone, found.probabilities[:, 2:].sum(axis=1), found.osteoporotic)
    ]
    for column, stage in enumerate(Stage):
        is_stage = np.asarray(found.stages == stage)
        asked.append(Question(stage.value, everyone, found.probabilities[:, column], is_stage))
    for pair in PAIRS:
        rows = np.flatnonzero(np.isin(found.stages, pair))
        later = np.asarray(found.stages[rows] == pair[1])
        asked.append(Question(pair_name(pair), rows, found.pairwise[pair_name(pair)][rows], later))
    return tuple(asked)


def calibration_measures(found: Predictions, draws: PatientDraws) -> dict[str, Any]:
    """Judge the calibration of every question, and of the four probabilities together.

    Returns
    -------
    dict
        JSON-ready, by question: ``n`` (no, yes) and either ``slope``, ``intercept`` (in the
        large, at slope 1), ``observed_by_expected``, ``stated``, ``found``, or ``reason``; then
        ``brier`` (0 to 2) and ``log_loss`` of all stages.
    """
    result: dict[str, Any] = {}
    for question in questions(found):
        yes = int(question.positive.sum())
        entry: dict[str, Any] = {"n": [len(question.positive) - yes, yes]}
        if question.reason is not None:
            result[question.name] = entry | {"reason": question.reason}
            continue
        p, positive, rows = question.probability, question.positive, question.rows
        estimates = draws.estimates(
            {
                "slope": among(rows, calibration_slope_of(p, positive)),
                "intercept": among(rows, calibration_in_the_large_of(p, positive)),
                "observed_by_expected": among(rows, share_of(positive.astype(np.float64), p)),
            }
        )
        entry |= {name: one.to_json() for name, one in estimates.items()}
        entry |= {"stated": round(float(p.mean()), 4), "found": round(float(positive.mean()), 4)}
        result[question.name] = entry
    overall = draws.estimates(
        {
            "brier": brier_of(found.probabilities, found.outcomes),
            "log_loss": log_loss_of(found.probabilities, found.outcomes),
        }
    )
    return {"questions": result, **{name: one.to_json() for name, one in overall.items()}}


def reliability(question: Question) -> list[dict[str, float]]:
    """Group patients by stated probability: mean stated, found share and its interval, patients."""
    from modeling.validation.patient_bootstrap import wilson

    groups = max(1, min(RELIABILITY_GROUPS, len(question.positive) // LEAST_IN_GROUP))
    order = np.argsort(question.probability, kind="stable")
    rows = []
    for group in np.array_split(order, groups):
        yes = int(question.positive[group].sum())
        share = wilson(yes, len(group))
        rows.append(
            {
                "stated": float(question.probability[group].mean()),
                "found": share.value,
                "low": share.low,
                "high": share.high,
                "patients": len(group),
            }
        )
    return rows
