"""The model adapted to a hospital in three ways, each scored on patients it was not adapted on."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.calibration import pair_name, pair_scores
from modeling.cohort import Stage
from modeling.metrics import MIN_PROBABILITY
from modeling.validation.discrimination import few_patients, usable_pairs
from modeling.validation.patient_bootstrap import Measure, PatientDraws
from modeling.validation.predictions import STAGES, Predictions
from modeling.validation.weighted_measures import (
    among,
    auroc_of,
    brier_of,
    calibration_in_the_large_of,
    calibration_slope_of,
    difference_of,
    log_loss_of,
    mean_measure,
)

__all__ = [
    "OFFSETS_HU",
    "RECALIBRATION_FOLDS",
    "by_intercepts",
    "by_prevalence",
    "dealt_folds",
    "fit_intercepts",
    "recalibrations",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

RECALIBRATION_FOLDS = 5
"""Parts into which patients are dealt; each is scored by what the other four gave."""

LEAST_TO_RECALIBRATE = 20
"""Patients below which nothing is fitted."""

OFFSETS_HU = (-30.0, -20.0, -10.0, 0.0, 10.0, 20.0, 30.0)
"""Offsets that are tried: a scanner's, a kernel's or a contrast agent's; larger ones are a fault
of units."""

FINER_HU = 5.0
"""Step to either side of the best of `OFFSETS_HU`."""

SCALING_ROUNDS = 2000
"""Rounds of iterative scaling; it settles within tens unless a stage is nearly absent."""

SETTLED_LOG_ODDS = 1e-9
"""Change of an intercept below which scaling has settled."""

ADDED_PATIENTS = 0.5
"""Patients added to each stage's count, so that a stage absent from a fold keeps a probability
(Jeffreys' prior)."""

Restaged = Callable[[float], FloatArray]
"""From an offset in HU to the probabilities of all patients, float64, shape (n, 4)."""

Apply = Callable[[FloatArray], FloatArray]
"""From what was fitted to the probabilities of all patients, float64, shape (n, 4)."""

KINDS = ("as_is", "cross_fitted", "change")
"""What stands for each measure: of the probabilities as they are, recalibrated, the difference."""


def dealt_folds(stages: npt.NDArray[Any], seed: int) -> IntArray:
    """Deal patients into folds, stage by stage; intp, shape (n,): each patient's fold."""
    generator = np.random.default_rng(seed)
    order = np.concatenate([generator.permutation(np.flatnonzero(stages == s)) for s in Stage])
    folds = np.zeros(len(stages), dtype=np.intp)
    folds[order] = np.arange(len(order)) % RECALIBRATION_FOLDS
    return folds


def fit_intercepts(probabilities: FloatArray, stages: npt.NDArray[Any]) -> FloatArray:
    """Fit the log-odds to add to each stage, slopes fixed at 1, by maximum likelihood.

    At the maximum each stage's expected count equals its observed count; iterative scaling gets
    there (Darroch and Ratcliff 1972, doi 10.1214/aoms/1177692379).

    Returns
    -------
    ndarray
        float64, shape (4,): columns `STAGES`, the first 0.
    """
    observed = np.array([(stages == stage).sum() for stage in STAGES], dtype=np.float64)
    intercepts = np.zeros(len(STAGES))
    for _ in range(SCALING_ROUNDS):
        expected = by_intercepts(probabilities, intercepts).sum(axis=0)
        step = np.log(observed / expected)
        intercepts = intercepts + step - (step[0] + intercepts[0])
        if np.ptp(step) < SETTLED_LOG_ODDS:
            break
    return np.asarray(intercepts)


def by_intercepts(probabilities: FloatArray, intercepts: FloatArray) -> FloatArray:
    """Add to each stage's log-odds and renormalise; float64, shape (n, 4)."""
    raised = np.maximum(probabilities, MIN_PROBABILITY) * np.exp(intercepts)
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def by_prevalence(probabilities: FloatArray, before: FloatArray, after: FloatArray) -> FloatArray:
    """Exchange the shares of the stages that probabilities carry.

    Holds if patients of one stage look alike in both hospitals.

    Parameters
    ----------
    probabilities
        float64, shape (n, 4).
    before, after
        float64, shape (4,): shares of the stages, of the model's cohort and here.

    References
    ----------
    Saerens M, Latinne P, Decaestecker C. Neural Comput 2002, doi 10.1162/089976602753284446.
    """
    return by_intercepts(probabilities, np.log(after / before))


def recalibrations(
    found: Predictions,
    cohort_shares: FloatArray,
    restaged: Restaged | None,
    seed: int,
    draws: PatientDraws,
) -> dict[str, Any]:
    """Recalibrate by offset, intercept and prevalence, each cross-fitted.

    Parameters
    ----------
    found
        The patients with both stages.
    cohort_shares
        float64, shape (4,): shares of the stages in the model's own cohort.
    restaged
        Stages all patients with an offset added to their HU; None to leave the offset out.
    seed
        Seed of the folds.
    draws
        Patients drawn again.

    Returns
    -------
    dict
        JSON-ready, by ``offset``, ``intercept`` and ``prevalence``: ``what``, ``figures_are``,
        ``fitted`` (on all patients, for use), ``by_fold``, and for each measure ``as_is``,
        ``cross_fitted`` and ``change``; or ``reason``.
    """
    stages, p = found.stages, found.probabilities
    folds = dealt_folds(stages, seed)
    counts = {stage: int((stages == stage).sum()) for stage in STAGES}
    small = few_patients({"all stages together": len(stages)}, LEAST_TO_RECALIBRATE)
    result: dict[str, Any] = {}

    def shares(rows: IntArray) -> FloatArray:
        of_stage = np.array([(stages[rows] == s).sum() for s in STAGES]) + ADDED_PATIENTS
        return np.asarray(of_stage / of_stage.sum())

    offsets = {} if restaged is None or small else _restaged_grid(restaged, stages, folds)
    loss = {offset: _losses(q, found.outcomes) for offset, q in offsets.items()}
    no_offset = small or (None if offsets else "not asked for")
    ways: dict[str, tuple[str, str | None, Callable[[IntArray], FloatArray], Apply]] = {
        "offset": (
            "one number of HU added to every site before staging, by the least log-loss",
            no_offset,
            lambda rows: np.array([min(loss, key=lambda o: (loss[o][rows].mean(), abs(o)))]),
            lambda fitted: offsets[float(fitted[0])],
        ),
        "intercept": (
            "log-odds added to each stage (A has 0), by maximum likelihood",
            small or few_patients(counts),
            lambda rows: fit_intercepts(p[rows], stages[rows]),
            lambda fitted: by_intercepts(p, fitted),
        ),
        "prevalence": (
            "the cohort's shares of the stages exchanged for this table's",
            small,
            shares,
            lambda fitted: by_prevalence(p, cohort_shares, fitted),
        ),
    }
    for name, (what, reason, fit, apply) in ways.items():
        result[name] = {"what": what}
        if reason is not None:
            result[name]["reason"] = reason
            continue
        result[name] |= _cross_fitted(found, folds, fit, apply, draws)
    return result


def _cross_fitted(
    found: Predictions,
    folds: IntArray,
    fit: Callable[[IntArray], FloatArray],
    apply: Apply,
    draws: PatientDraws,
) -> dict[str, Any]:
    unseen = np.zeros_like(found.probabilities)
    by_fold = []
    for fold in range(RECALIBRATION_FOLDS):
        fitted = fit(np.flatnonzero(folds != fold))
        by_fold.append(_numbers(fitted))
        unseen[folds == fold] = apply(fitted)[folds == fold]
    return {
        "figures_are": f"cross-fitted, {RECALIBRATION_FOLDS} folds",
        "fitted": _numbers(fit(np.arange(len(folds)))),
        "by_fold": by_fold,
        "measures": _compared(found, unseen, draws),
    }


def _compared(found: Predictions, unseen: FloatArray, draws: PatientDraws) -> dict[str, Any]:
    before = _measures(found, found.probabilities)
    after = _measures(found, unseen)
    named: dict[str, Measure] = {}
    for name in before:
        named[f"as_is {name}"] = before[name]
        named[f"cross_fitted {name}"] = after[name]
        named[f"change {name}"] = difference_of(after[name], before[name])
    estimates = draws.estimates(named)
    return {
        name: {kind: estimates[f"{kind} {name}"].to_json() for kind in KINDS} for name in before
    }


def _measures(found: Predictions, probabilities: FloatArray) -> dict[str, Measure]:
    stages, positive = found.stages, found.osteoporotic
    measures: dict[str, Measure] = {
        "log_loss": log_loss_of(probabilities, found.outcomes),
        "brier": brier_of(probabilities, found.outcomes),
    }
    scores = pair_scores(probabilities)
    areas = []
    for pair in usable_pairs(stages):
        rows = np.flatnonzero(np.isin(stages, pair))
        areas.append(among(rows, auroc_of(scores[pair_name(pair)][rows], stages[rows] == pair[1])))
    if areas:
        measures["mean_pair_auroc"] = mean_measure(areas)
    yes = int(positive.sum())
    if few_patients({"no": len(positive) - yes, "yes": yes}) is None:
        stated = probabilities[:, 2:].sum(axis=1)
        measures["osteoporosis_auroc"] = auroc_of(stated, positive)
        measures["osteoporosis_slope"] = calibration_slope_of(stated, positive)
        measures["osteoporosis_intercept"] = calibration_in_the_large_of(stated, positive)
    return measures


def _restaged_grid(
    restaged: Restaged, stages: npt.NDArray[Any], folds: IntArray
) -> Mapping[float, FloatArray]:
    """Restage at every offset, and more finely around the best of each fold."""
    found = {offset: restaged(offset) for offset in OFFSETS_HU}
    outcomes = (stages[:, None] == np.array(STAGES)[None, :]).astype(np.float64)
    loss = {offset: _losses(q, outcomes) for offset, q in found.items()}
    finer: set[float] = set()
    parts: Sequence[IntArray] = [
        np.arange(len(folds)),
        *(np.flatnonzero(folds != fold) for fold in range(RECALIBRATION_FOLDS)),
    ]
    for rows in parts:
        best = min(loss, key=lambda offset: (loss[offset][rows].mean(), abs(offset)))
        finer |= {best - FINER_HU, best + FINER_HU}
    found |= {offset: restaged(offset) for offset in sorted(finer - set(found))}
    return found


def _losses(probabilities: FloatArray, outcomes: FloatArray) -> FloatArray:
    """Each patient's negative log-likelihood."""
    logs = np.log(np.maximum(probabilities, MIN_PROBABILITY))
    return np.asarray(-(logs * outcomes).sum(axis=1))


def _numbers(values: FloatArray) -> list[float]:
    return [round(float(value), 4) for value in values]
