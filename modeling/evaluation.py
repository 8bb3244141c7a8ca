"""Scores of the recipe on patients that no part of it has seen."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from modeling.calibration import (
    PAIRS,
    fit_conformal,
    fit_sigmoids,
    pair_name,
    pair_scores,
    prediction_set,
)
from modeling.cohort import Stage
from modeling.recipe import StageForest

__all__ = ["FOLDS", "nested_scores", "out_of_fold", "pair_aurocs"]

FloatArray = npt.NDArray[np.float64]

FOLDS = 5
"""Folds of the outer and of the inner cross-validation."""

BOOTSTRAPS = 1000
"""Patients are drawn again this many times for the intervals."""

CALIBRATION_BINS = 10
"""Equal-width bins of the expected calibration error."""


def out_of_fold(
    features: pd.DataFrame,
    stages: npt.NDArray[Any],
    seed: int,
    scored: pd.DataFrame | None = None,
) -> FloatArray:
    """Predict each patient by a forest that has not seen them.

    Parameters
    ----------
    features, stages
        As `features_of` gives them.
    seed
        Of the folds and of the forests.
    scored
        What to predict from in place of ``features``, such as the same patients with sites
        masked; forests are still trained on ``features``.

    Returns
    -------
    ndarray
        float64, shape (n, 4): columns A to D.
    """
    found = np.zeros((len(stages), len(Stage)))
    rows = features if scored is None else scored
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    for seen, unseen in folds.split(features, stages):
        forest = StageForest(random_state=seed).fit(features.iloc[seen], stages[seen])
        found[unseen] = forest.predict_proba(rows.iloc[unseen])
    return found


def pair_aurocs(probabilities: FloatArray, stages: npt.NDArray[Any]) -> dict[str, float]:
    """Area under the ROC curve of each pair's score, among that pair's patients."""
    scores = pair_scores(probabilities)
    found = {}
    for pair in PAIRS:
        chosen = np.isin(stages, pair)
        found[pair_name(pair)] = float(
            roc_auc_score(stages[chosen] == pair[1], scores[pair_name(pair)][chosen])
        )
    return found


def nested_scores(features: pd.DataFrame, stages: npt.NDArray[Any], seed: int) -> dict[str, Any]:
    """Score the whole recipe: imputation, forest, calibration and prediction sets.

    Everything that is fitted is fitted inside the outer training folds; calibration and sets use
    an inner cross-validation there. Intervals are percentiles over patients drawn again within
    their stages; they do not cover the choice of the recipe itself.

    Returns
    -------
    dict
        JSON-ready: ``pair_auroc`` (each with ``value`` and ``interval_95``, and the ``mean`` of
        the six), ``balanced_accuracy``, ``quadratic_kappa``, ``brier``, ``calibration_error``,
        ``pair_brier`` raw and calibrated, ``set_coverage`` by stage, ``set_size``.
    """
    probabilities = np.zeros((len(stages), len(Stage)))
    calibrated = {pair_name(pair): np.zeros(len(stages)) for pair in PAIRS}
    sets: list[tuple[Stage, ...]] = [()] * len(stages)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    for seen, unseen in folds.split(features, stages):
        inner = out_of_fold(features.iloc[seen], stages[seen], seed)
        sigmoids = fit_sigmoids(inner, stages[seen])
        thresholds = fit_conformal(inner, stages[seen])
        forest = StageForest(random_state=seed).fit(features.iloc[seen], stages[seen])
        found = forest.predict_proba(features.iloc[unseen])
        probabilities[unseen] = found
        for name, scores in pair_scores(found).items():
            calibrated[name][unseen] = [sigmoids[name](float(score)) for score in scores]
        for row, values in zip(unseen, found, strict=True):
            by_stage = dict(zip(Stage, map(float, values), strict=True))
            sets[row] = prediction_set(by_stage, thresholds)
    return _summary(probabilities, calibrated, sets, stages, seed)


def _summary(
    probabilities: FloatArray,
    calibrated: dict[str, FloatArray],
    sets: list[tuple[Stage, ...]],
    stages: npt.NDArray[Any],
    seed: int,
) -> dict[str, Any]:
    order = np.array([s.value for s in Stage])
    predicted = order[probabilities.argmax(axis=1)]
    one_hot = (stages[:, None] == order[None, :]).astype(float)
    intervals = _intervals(
        lambda rows: pair_aurocs(probabilities[rows], stages[rows]), stages, seed
    )
    aurocs = pair_aurocs(probabilities, stages)
    values = {**aurocs, "mean": float(np.mean(list(aurocs.values())))}
    raw_brier, calibrated_brier = [], []
    for pair in PAIRS:
        chosen = np.isin(stages, pair)
        later = (stages[chosen] == pair[1]).astype(float)
        score = pair_scores(probabilities)[pair_name(pair)][chosen]
        raw_brier.append(float(np.mean((1 / (1 + np.exp(-score)) - later) ** 2)))
        calibrated_brier.append(float(np.mean((calibrated[pair_name(pair)][chosen] - later) ** 2)))
    covered = np.array([stage in chosen for stage, chosen in zip(stages, sets, strict=True)])
    return {
        "protocol": f"{FOLDS}-fold, stratified, seed {seed}; calibration and sets nested",
        "patients": len(stages),
        "pair_auroc": {
            name: {"value": _figure(value), "interval_95": intervals[name]}
            for name, value in values.items()
        },
        "balanced_accuracy": _figure(balanced_accuracy_score(stages, predicted)),
        "quadratic_kappa": _figure(cohen_kappa_score(stages, predicted, weights="quadratic")),
        "brier": _figure(float(np.mean(((probabilities - one_hot) ** 2).sum(axis=1)))),
        "calibration_error": _figure(_calibration_error(probabilities, predicted == stages)),
        "pair_brier": {
            "raw": _figure(float(np.mean(raw_brier))),
            "calibrated": _figure(float(np.mean(calibrated_brier))),
        },
        "set_coverage": {s.value: _figure(float(covered[stages == s].mean())) for s in Stage},
        "set_size": _figure(float(np.mean([len(chosen) for chosen in sets]))),
    }


def _intervals(
    score: Callable[[npt.NDArray[np.intp]], dict[str, float]],
    stages: npt.NDArray[Any],
    seed: int,
) -> dict[str, list[float]]:
    generator = np.random.default_rng(seed)
    groups = [np.flatnonzero(stages == stage) for stage in Stage]
    drawn: dict[str, list[float]] = {}
    for _ in range(BOOTSTRAPS):
        rows = np.concatenate([generator.choice(group, len(group)) for group in groups])
        found = score(rows)
        for name, value in {**found, "mean": float(np.mean(list(found.values())))}.items():
            drawn.setdefault(name, []).append(value)
    return {
        name: [_figure(float(np.quantile(values, q))) for q in (0.025, 0.975)]
        for name, values in drawn.items()
    }


def _calibration_error(probabilities: FloatArray, right: npt.NDArray[np.bool_]) -> float:
    confidence = probabilities.max(axis=1)
    total = 0.0
    for low, high in pairwise(np.linspace(0, 1, CALIBRATION_BINS + 1)):
        chosen = (confidence > low) & (confidence <= high)
        if chosen.any():
            total += chosen.mean() * abs(right[chosen].mean() - confidence[chosen].mean())
    return float(total)


def _figure(value: float) -> float:
    return round(float(value), 4)
