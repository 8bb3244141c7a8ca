"""The published route and the four-class model on patients that neither has seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from modeling.calibration import fit_sigmoids, pair_scores
from modeling.cohort import Stage
from modeling.errors import TooFewPatients
from modeling.evaluation.nested import NESTED_FOLDS, out_of_fold
from modeling.interpretation.route import Route, route
from modeling.metrics import SCORE_BOOTSTRAPS
from modeling.recipes.registry import DEFAULT_RECIPE, RECIPES
from modeling.recipes.stage_forest import StageForest
from modeling.stacking import LIGHT_MODELS, PublishedRecipe
from modeling.stacking.published import PUBLISHED_FEATURES, PUBLISHED_MODELS
from modeling.stage_calibration import calibrated, fit_stage_sigmoids

__all__ = [
    "FourClass",
    "confusion",
    "four_class_out_of_fold",
    "intervals",
    "measures",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

DECISION_MEASURES = ("accuracy", "balanced accuracy", "quadratic kappa")
"""Names of the measures that `measures` gives, in order."""


@dataclass(frozen=True)
class FourClass:
    """Out-of-fold decisions of the same patients by three ways.

    Parameters
    ----------
    truth
        The patients' stages.
    published
        Routes over the published stacks. Their feature sets and stacks were chosen on all
        patients, so their scores are apparent.
    own_pairs
        Routes over the calibrated pair probabilities of the four-class model.
    probabilities
        float64, shape (n, 4): of the four-class model, columns A to D.
    """

    truth: tuple[Stage, ...]
    published: tuple[Route, ...]
    own_pairs: tuple[Route, ...]
    probabilities: FloatArray

    @property
    def decisions(self) -> dict[str, tuple[Stage, ...]]:
        """Each way's stage of each patient, by the way's name."""
        order = list(Stage)
        return {
            "published route (apparent)": tuple(found.stage for found in self.published),
            "route over our pairs": tuple(found.stage for found in self.own_pairs),
            "four-class model": tuple(order[i] for i in self.probabilities.argmax(axis=1)),
        }


def four_class_out_of_fold(
    features: pd.DataFrame,
    stages: npt.NDArray[Any],
    seed: int,
    *,
    published_rounds: bool = False,
    jobs: int = 1,
) -> FourClass:
    """Decide each patient by models that were fitted without them, on the same folds.

    Parameters
    ----------
    features, stages
        As `modeling.cohort.features_of` gives them.
    seed
        Seed of folds and models.
    published_rounds
        Whether the published stacks have all their 800 to 3000 rounds, which takes ten times as
        long, in place of `LIGHT_MODELS`.
    jobs
        Models of a stack at work at once.

    Raises
    ------
    TooFewPatients
        Too few patients of a stage for five folds inside five folds.
    InvalidFeatures
        A site of the design that no patient has.
    """
    for stage in Stage:
        count = int((stages == stage).sum())
        if count < 2 * NESTED_FOLDS:
            raise TooFewPatients(stage.value, count, 2 * NESTED_FOLDS)
    stacks = (
        PUBLISHED_MODELS
        if published_rounds
        else {
            pair: tuple(LIGHT_MODELS[spec.model] for spec in specs)
            for pair, specs in PUBLISHED_MODELS.items()
        }
    )
    published: list[Route | None] = [None] * len(stages)
    own: list[Route | None] = [None] * len(stages)
    probabilities = np.zeros((len(stages), len(Stage)))
    folds = StratifiedKFold(NESTED_FOLDS, shuffle=True, random_state=seed)
    for seen, unseen in folds.split(features, stages):
        known, known_stages, asked = features.iloc[seen], stages[seen], features.iloc[unseen]
        stack = PublishedRecipe(seed, sites=PUBLISHED_FEATURES, stacks=stacks, jobs=jobs)
        published_scores = stack.fit(known, known_stages).pair_scores(asked)
        inner = out_of_fold(RECIPES[DEFAULT_RECIPE].make, known, known_stages, seed)
        found = StageForest(random_state=seed).fit(known, known_stages).predict_proba(asked)
        assert inner.probabilities is not None
        stage_sigmoids = fit_stage_sigmoids(inner.probabilities, known_stages)
        sigmoids = fit_sigmoids(
            pair_scores(calibrated(inner.probabilities, stage_sigmoids)), known_stages
        )
        probabilities[unseen] = calibrated(found, stage_sigmoids)
        own_scores = {
            name: [sigmoids[name](float(score)) for score in scores]
            for name, scores in pair_scores(probabilities[unseen]).items()
        }
        for place, row in enumerate(unseen):
            published[row] = route({p: float(s[place]) for p, s in published_scores.items()})
            own[row] = route({p: float(s[place]) for p, s in own_scores.items()})
    return FourClass(
        tuple(Stage(stage) for stage in stages),
        tuple(found for found in published if found is not None),
        tuple(found for found in own if found is not None),
        probabilities,
    )


def confusion(truth: tuple[Stage, ...], decided: tuple[Stage, ...]) -> IntArray:
    """Count patients; int, shape (4, 4): rows the true stage, columns the decision."""
    order = list(Stage)
    found = np.zeros((len(order), len(order)), dtype=np.intp)
    for true, stage in zip(truth, decided, strict=True):
        found[order.index(true), order.index(stage)] += 1
    return found


def measures(table: npt.NDArray[Any]) -> FloatArray:
    """Give accuracy, balanced accuracy and quadratic-weighted kappa of confusion tables.

    Parameters
    ----------
    table
        Shape (..., 4, 4): rows the true stage, columns the decision; a patient of each stage.

    Returns
    -------
    ndarray
        float64, shape (..., 3): `DECISION_MEASURES`.

    References
    ----------
    Cohen J. Weighted kappa. Psychol Bull 1968, doi 10.1037/h0026256.
    """
    counts = np.asarray(table, dtype=np.float64)
    total = counts.sum(axis=(-2, -1))
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    rows, columns = counts.sum(axis=-1), counts.sum(axis=-2)
    steps = np.arange(counts.shape[-1], dtype=np.float64)
    price = (steps[:, None] - steps[None, :]) ** 2
    expected = rows[..., :, None] * columns[..., None, :] / total[..., None, None]
    kappa = 1 - (price * counts).sum(axis=(-2, -1)) / (price * expected).sum(axis=(-2, -1))
    return np.stack([right.sum(axis=-1) / total, (right / rows).mean(axis=-1), kappa], axis=-1)


def intervals(
    truth: tuple[Stage, ...], decisions: Mapping[str, tuple[Stage, ...]], seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score decisions, with intervals over patients drawn again within their stages.

    Parameters
    ----------
    truth
        The patients' stages.
    decisions
        By name, the stage decided for each patient; differences are against the first.

    Returns
    -------
    scores, differences : DataFrame
        ``decided by``, ``measure``, ``value``, ``low (2.5 %)``, ``high (97.5 %)``.
    """
    order = list(Stage)
    true = np.array([order.index(stage) for stage in truth])
    groups = [np.flatnonzero(true == index) for index in range(len(order))]
    generator = np.random.default_rng(seed)
    drawn = np.array(
        [
            np.concatenate([generator.choice(group, len(group)) for group in groups])
            for _ in range(SCORE_BOOTSTRAPS)
        ]
    )
    values, spread = {}, {}
    for name, decided in decisions.items():
        values[name] = measures(confusion(truth, decided))
        cells = true * len(order) + np.array([order.index(stage) for stage in decided])
        counts = [np.bincount(cells[rows], minlength=len(order) ** 2) for rows in drawn]
        spread[name] = measures(np.reshape(counts, (-1, len(order), len(order))))
    first = next(iter(decisions))
    scores = [_row(name, m, values[name], spread[name]) for name in decisions for m in range(3)]
    differences = [
        _row(f"{name} minus {first}", m, values[name] - values[first], spread[name] - spread[first])
        for name in decisions
        if name != first
        for m in range(3)
    ]
    return pd.DataFrame(scores), pd.DataFrame(differences)


def _row(name: str, measure: int, values: FloatArray, spread: FloatArray) -> dict[str, Any]:
    low, high = np.quantile(spread[:, measure], (0.025, 0.975))
    return {
        "decided by": name,
        "measure": DECISION_MEASURES[measure],
        "value": round(float(values[measure]), 3),
        "low (2.5 %)": round(float(low), 3),
        "high (97.5 %)": round(float(high), 3),
    }
