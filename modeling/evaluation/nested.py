"""Scores of a recipe on patients that no part of it has seen, beside its apparent scores."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from joblib import Parallel, delayed
from sklearn.model_selection import StratifiedKFold

from modeling.calibration import (
    PAIRS,
    Sigmoid,
    fit_conformal,
    fit_osteoporosis_limits,
    fit_sigmoids,
    osteoporosis_set,
    pair_name,
    pair_scores,
    prediction_set,
)
from modeling.cohort import Stage
from modeling.errors import TooFewPatients
from modeling.evaluation.kept_parts import KeptParts
from modeling.evaluation.nested_result import FoldResult, NestedPredictions, joined
from modeling.evaluation.shifts import SHIFTS, shifted
from modeling.metrics import couple, pair_aurocs
from modeling.recipes.registry import NamedRecipe, StageModel, scores_of
from modeling.stage_calibration import calibrated, fit_stage_sigmoids

__all__ = [
    "CONTROL_PERMUTATIONS",
    "NESTED_FOLDS",
    "NESTED_REPEATS",
    "OutOfFold",
    "nested_predictions",
    "out_of_fold",
    "permuted_control",
]

FloatArray = npt.NDArray[np.float64]

NESTED_FOLDS = 5
"""Folds of the outer and of the inner cross-validation."""

NESTED_REPEATS = 3
"""Times that the outer cross-validation is done, each with folds of its own: one split moves the
mean pair AUROC by about .005."""

CONTROL_PERMUTATIONS = 20
"""Times that the stages are shuffled for the control: one time scatters by about .04 around .50."""

Progress = Callable[[int, int], None]
"""Called with the number of parts that are done and the number of all parts."""


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Each patient's scores by a model that has not seen them.

    Parameters
    ----------
    scores
        By pair name, float64, shape (n,).
    probabilities
        float64, shape (n, 4), or None where the recipe gives none.
    """

    scores: Mapping[str, FloatArray]
    probabilities: FloatArray | None


def out_of_fold(
    make: Callable[[int], StageModel],
    features: pd.DataFrame,
    stages: npt.NDArray[Any],
    seed: int,
    scored: pd.DataFrame | None = None,
) -> OutOfFold:
    """Score each patient by a model that has not seen them.

    Parameters
    ----------
    make
        Makes an unfitted model from a seed.
    features, stages
        As `modeling.cohort.features_of` gives them.
    seed
        Seed of the folds and of the models.
    scored
        What to predict from in place of ``features``, such as the same patients with sites
        masked; models are still fitted to ``features``.

    Raises
    ------
    TooFewPatients
        A stage has fewer patients than there are folds.
    """
    _check(stages)
    rows = features if scored is None else scored
    scores = {pair_name(pair): np.zeros(len(stages)) for pair in PAIRS}
    probabilities: FloatArray | None = np.zeros((len(stages), len(Stage)))
    folds = StratifiedKFold(NESTED_FOLDS, shuffle=True, random_state=seed)
    for seen, unseen in folds.split(features, stages):
        model = make(seed).fit(features.iloc[seen], stages[seen])
        found, of_pairs = scores_of(model, rows.iloc[unseen])
        for name, values in of_pairs.items():
            scores[name][unseen] = values
        if found is None:
            probabilities = None
        elif probabilities is not None:
            probabilities[unseen] = found
    return OutOfFold(scores, probabilities)


def nested_predictions(
    recipe: NamedRecipe,
    features: pd.DataFrame,
    stages: npt.NDArray[Any],
    seed: int,
    repeats: int = NESTED_REPEATS,
    jobs: int = 1,
    progress: Progress | None = None,
    kept: KeptParts | None = None,
) -> tuple[NestedPredictions, ...]:
    """Predict every patient by the whole recipe fitted without them, ``repeats`` times.

    Calibration and prediction sets are fitted on an inner cross-validation of each training part.

    Parameters
    ----------
    recipe
        What is fitted in each fold.
    features, stages
        As `modeling.cohort.features_of` gives them.
    seed
        Seed of the first repeat's folds and models; each repeat adds one.
    repeats
        Times that the outer cross-validation is done.
    jobs
        Processes at work at once.
    progress
        Called after each outer fold.
    kept
        Where finished folds are kept and found again; None for nowhere.

    Raises
    ------
    TooFewPatients
        A stage has fewer patients than nested folds need.
    """
    _check(stages, nested=True)
    parts = [
        (repeat, f"fold-{repeat + 1}-{number}", seen, unseen)
        for repeat in range(repeats)
        for number, (seen, unseen) in enumerate(
            StratifiedKFold(NESTED_FOLDS, shuffle=True, random_state=seed + repeat).split(
                features, stages
            ),
            start=1,
        )
    ]
    results: list[FoldResult] = []
    work = Parallel(n_jobs=jobs, return_as="generator")(
        delayed(_kept_fold)(kept, name, recipe, features, stages, seed + repeat, seen, unseen)
        for repeat, name, seen, unseen in parts
    )
    for result in work:
        results.append(result)
        if progress is not None:
            progress(len(results), len(parts))
    return tuple(
        joined(results[start : start + NESTED_FOLDS], len(stages))
        for start in range(0, len(results), NESTED_FOLDS)
    )


def permuted_control(
    recipe: NamedRecipe,
    features: pd.DataFrame,
    stages: npt.NDArray[Any],
    seed: int,
    permutations: int = CONTROL_PERMUTATIONS,
    jobs: int = 1,
    progress: Progress | None = None,
    kept: KeptParts | None = None,
) -> tuple[float, ...]:
    """Score the recipe out of fold after shuffling the stages; the mean pair AUROC should be .50.

    All that the recipe chooses and fits is chosen and fitted anew inside the folds, by the
    shuffled stages; its pair scores are taken uncalibrated. Finished shuffles are kept as
    `nested_predictions` keeps folds.
    """
    generator = np.random.default_rng(seed)
    shuffled = [generator.permutation(stages) for _ in range(permutations)]
    found: list[float] = []
    for area in Parallel(n_jobs=jobs, return_as="generator")(
        delayed(_kept_shuffle)(kept, f"shuffle-{number}", recipe, features, labels, seed)
        for number, labels in enumerate(shuffled, start=1)
    ):
        found.append(area)
        if progress is not None:
            progress(len(found), permutations)
    return tuple(found)


def _kept_shuffle(
    kept: KeptParts | None,
    name: str,
    recipe: NamedRecipe,
    features: pd.DataFrame,
    stages: npt.NDArray[Any],
    seed: int,
) -> float:
    if kept is None:
        return _permuted(recipe, features, stages, seed)
    found = kept.read_or_compute(
        name, lambda: {"auroc": np.array(_permuted(recipe, features, stages, seed))}
    )
    return float(found["auroc"])


def _permuted(
    recipe: NamedRecipe, features: pd.DataFrame, stages: npt.NDArray[Any], seed: int
) -> float:
    scores = out_of_fold(recipe.make, features, stages, seed).scores
    return float(np.mean(list(pair_aurocs(scores, stages).values())))


def _kept_fold(
    kept: KeptParts | None,
    name: str,
    recipe: NamedRecipe,
    features: pd.DataFrame,
    stages: npt.NDArray[Any],
    seed: int,
    seen: npt.NDArray[np.intp],
    unseen: npt.NDArray[np.intp],
) -> FoldResult:
    def compute() -> FoldResult:
        return _fold(recipe, features, stages, seed, seen, unseen)

    if kept is None:
        return compute()
    return FoldResult.from_arrays(kept.read_or_compute(name, lambda: compute().to_arrays()))


def _fold(
    recipe: NamedRecipe,
    features: pd.DataFrame,
    stages: npt.NDArray[Any],
    seed: int,
    seen: npt.NDArray[np.intp],
    unseen: npt.NDArray[np.intp],
) -> FoldResult:
    training, known = features.iloc[seen], stages[seen]
    inner = out_of_fold(recipe.make, training, known, seed)
    model = recipe.make(seed).fit(training, known)
    by_pairs = hasattr(model, "pair_scores")
    sigmoids = fit_sigmoids(inner.scores, known) if by_pairs else {}
    inner_probabilities = (
        couple(_calibrated(sigmoids, inner.scores))
        if inner.probabilities is None
        else inner.probabilities
    )
    stage_sigmoids = (
        fit_stage_sigmoids(inner_probabilities, known)
        if recipe.calibrates_stages
        else dict.fromkeys(Stage, Sigmoid(1.0, 0.0))
    )
    inner_probabilities = calibrated(inner_probabilities, stage_sigmoids)
    if not by_pairs:
        sigmoids = fit_sigmoids(pair_scores(inner_probabilities), known)
    thresholds = fit_conformal(inner_probabilities, known)
    limits = fit_osteoporosis_limits(inner_probabilities, known)

    def predicted(rows: pd.DataFrame) -> tuple[FloatArray, dict[str, FloatArray], Any]:
        probabilities, scores = scores_of(model, rows)
        if probabilities is None:
            probabilities = couple(_calibrated(sigmoids, scores))
        probabilities = calibrated(probabilities, stage_sigmoids)
        of_pairs = _calibrated(sigmoids, scores if by_pairs else pair_scores(probabilities))
        return probabilities, of_pairs, scores

    probabilities, of_pairs, scores = predicted(features.iloc[unseen])
    moved = {name: predicted(shifted(features.iloc[unseen], name))[0] for name in SHIFTS}
    sets = np.zeros((len(unseen), len(Stage)), dtype=bool)
    answers = []
    for row, values in enumerate(probabilities):
        by_stage = dict(zip(Stage, map(float, values), strict=True))
        within = prediction_set(by_stage, thresholds)
        sets[row] = [stage in within for stage in Stage]
        answers.append(osteoporosis_set(by_stage, limits).value)
    chosen = getattr(model, "chosen_", None)
    osteoporosis = np.array(answers, dtype=np.str_)
    return FoldResult(unseen, scores, of_pairs, probabilities, moved, sets, osteoporosis, chosen)


def _calibrated(
    sigmoids: Mapping[str, Sigmoid], scores: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    return {
        name: np.array([sigmoids[name](float(score)) for score in values])
        for name, values in scores.items()
    }


def _check(stages: npt.NDArray[Any], nested: bool = False) -> None:
    least = 2 * NESTED_FOLDS if nested else NESTED_FOLDS
    for stage in Stage:
        count = int((stages == stage).sum())
        if count < least:
            raise TooFewPatients(stage.value, count, least)
