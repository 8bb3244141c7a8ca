"""Other scores for the prediction sets: ``python -m bench.set_scores COHORT``.

Prints the table of docs/modeling.md: sets of the default recipe by class-conditional conformal
prediction at 90 %, each with another score of how well a stage fits. Sigmoids and thresholds are
fitted inside the folds of the nested cross-validation; the most probable stage is always in a set,
as in `modeling.calibration.prediction_set`.
"""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedKFold

from modeling import Stage, read_cohort, without_duplicates
from modeling.calibration import fit_conformal
from modeling.cohort import features_of
from modeling.evaluation.nested import NESTED_FOLDS, NESTED_REPEATS, out_of_fold
from modeling.recipes.registry import DEFAULT_RECIPE, RECIPES, scores_of
from modeling.stage_calibration import calibrated, fit_stage_sigmoids

FloatArray = npt.NDArray[np.float64]

SEED = 42

Score = Callable[[FloatArray], FloatArray]
"""From probabilities of A to D, float64, shape (n, 4), to how well each stage fits, the same
shape: a stage stays in the set from a threshold on."""


def probability(p: FloatArray) -> FloatArray:
    return p


def over_the_largest(p: FloatArray) -> FloatArray:
    return np.asarray(p / p.max(axis=1, keepdims=True))


def near_the_median(p: FloatArray) -> FloatArray:
    """How near the middle of a stage's share lies to the median of the ordered stages."""
    return -np.abs(p.cumsum(axis=1) - p / 2 - 0.5)


def margin(p: FloatArray) -> FloatArray:
    """Probability less that of the most probable other stage."""
    ordered = np.sort(p, axis=1)
    others = np.where(p == ordered[:, -1:], ordered[:, -2:-1], ordered[:, -1:])
    return np.asarray(p - others)


def cumulative(p: FloatArray, penalty: float = 0.0) -> FloatArray:
    """Less what is at least as probable, and a penalty for each rank beyond the second.

    Romano 2020, arXiv 2006.02544; Angelopoulos 2021, arXiv 2009.14193.
    """
    order = np.argsort(-p, axis=1, kind="stable")
    ranked = np.take_along_axis(p, order, axis=1).cumsum(axis=1)
    ranked += penalty * np.maximum(np.arange(1, p.shape[1] + 1) - 2, 0)
    found = np.empty_like(p)
    np.put_along_axis(found, order, -ranked, axis=1)
    return found


SCORES: Mapping[str, Score] = {
    "probability (taken)": probability,
    "probability over the largest": over_the_largest,
    "distance from the predictive median of the stages": near_the_median,
    "margin to the next stage": margin,
    "cumulative probability (APS)": cumulative,
    "the same, regularised by .05 (RAPS)": partial(cumulative, penalty=0.05),
    "the same, regularised by .3 (RAPS)": partial(cumulative, penalty=0.3),
}


def sets_of(
    score: Score, inner: FloatArray, known: npt.NDArray[Any], unseen: FloatArray
) -> npt.NDArray[np.bool_]:
    """Prediction sets of unseen patients, thresholds fitted to inner ones; shape (n, 4)."""
    thresholds = fit_conformal(score(inner), known)
    kept = score(unseen) >= np.array([thresholds[stage] for stage in Stage])
    kept[np.arange(len(unseen)), unseen.argmax(axis=1)] = True
    return np.asarray(kept)


def main() -> None:
    parser = argparse.ArgumentParser(description="Other scores for the prediction sets.")
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--repeats", type=int, default=NESTED_REPEATS)
    chosen = parser.parse_args()
    features, stages = features_of(without_duplicates(read_cohort(chosen.cohort)))
    make = RECIPES[DEFAULT_RECIPE].make
    columns = np.array([list(Stage).index(Stage(stage)) for stage in stages])
    sizes: dict[str, list[float]] = {name: [] for name in SCORES}
    covers: dict[str, list[npt.NDArray[np.bool_]]] = {name: [] for name in SCORES}
    for seed in range(SEED, SEED + chosen.repeats):
        sets = {name: np.zeros((len(stages), len(Stage)), dtype=bool) for name in SCORES}
        folds = StratifiedKFold(NESTED_FOLDS, shuffle=True, random_state=seed)
        for seen, unseen in folds.split(features, stages):
            training, known = features.iloc[seen], stages[seen]
            inner = out_of_fold(make, training, known, seed).probabilities
            told, _ = scores_of(make(seed).fit(training, known), features.iloc[unseen])
            if inner is None or told is None:
                raise SystemExit(f"the recipe {DEFAULT_RECIPE} gives no probabilities of stages")
            sigmoids = fit_stage_sigmoids(inner, known)
            ours, theirs = calibrated(inner, sigmoids), calibrated(told, sigmoids)
            for name, score in SCORES.items():
                sets[name][unseen] = sets_of(score, ours, known, theirs)
        for name, found in sets.items():
            sizes[name].append(float(found.sum(axis=1).mean()))
            covers[name].append(found[np.arange(len(stages)), columns])
    print("| score | stages in a set | each repeat | coverage | A/B/C/D |\n|---|---|---|---|---|")
    for name, each in sizes.items():
        covered = np.mean(covers[name], axis=0)
        of_stage = "/".join(f"{covered[stages == stage].mean():.2f}" for stage in Stage)
        repeats = ", ".join(f"{size:.2f}" for size in each)
        print(f"| {name} | {np.mean(each):.2f} | {repeats} | {covered.mean():.3f} | {of_stage} |")


if __name__ == "__main__":
    main()
