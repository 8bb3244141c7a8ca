"""How patients are disturbed in training, chosen inside the folds: ``bench.recipe_choice``.

``python -m bench.recipe_choice COHORT [--seed 42]``. In each outer fold the ways are compared by
cross-validation of the training part: of those whose mean pair AUROC is within `TOLERANCE` of the
best, the one is taken whose stages change least under `JUDGED`. What is chosen then scores the
patients that were left out, so that the figures include the choice.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from modeling import read_cohort, without_duplicates
from modeling.calibration import PAIRS, fit_sigmoids, pair_name, pair_scores
from modeling.cohort import Stage, features_of
from modeling.evaluation.nested import NESTED_FOLDS
from modeling.evaluation.shifts import SHIFTS, shifted
from modeling.metrics import pair_aurocs
from modeling.recipes.disturbance import NO_DISTURBANCE, STANDARD_DISTURBANCE, Disturbance
from modeling.recipes.stage_forest import StageForest

SEED = 42
TOLERANCE = 0.005
"""AUROC that may be given for stability: what one split moves it by."""

JUDGED = ("all -20", "all -10", "all +10", "all +20")
"""Shifts under which stages should change least."""

DISTURBANCES: Mapping[str, Disturbance] = {
    "none": NO_DISTURBANCE,
    "offset 8": Disturbance(3, offset_hu=8.0),
    "offset 15": Disturbance(3, offset_hu=15.0),
    "offset 15, sites missing (default)": STANDARD_DISTURBANCE,
    "offset 15, sites missing, noise 3": Disturbance(
        3, offset_hu=15.0, site_noise_hu=3.0, missing=True
    ),
    "offset 15, sites missing, bone 8": Disturbance(3, offset_hu=15.0, bone_hu=8.0, missing=True),
}

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """Probabilities of patients as measured and shifted, float64, shape (n, 4)."""

    measured: Values
    moved: Mapping[str, Values]

    def auroc(self, stages: npt.NDArray[Any]) -> float:
        return mean_area(pair_scores(self.measured), stages)

    def changes(self) -> dict[str, float]:
        own = self.measured.argmax(axis=1)
        return {n: float(np.mean(p.argmax(axis=1) != own)) for n, p in self.moved.items()}


def mean_area(scores: Mapping[str, Values], stages: npt.NDArray[Any]) -> float:
    return float(np.mean(list(pair_aurocs(scores, stages).values())))


def empty(count: int) -> Scored:
    return Scored(np.zeros((count, len(Stage))), {n: np.zeros((count, len(Stage))) for n in SHIFTS})


def fill(scored: Scored, model: StageForest, features: pd.DataFrame, rows: Any) -> None:
    scored.measured[rows] = model.predict_proba(features.iloc[rows])
    for name, values in scored.moved.items():
        values[rows] = model.predict_proba(shifted(features.iloc[rows], name))


def out_of_fold(
    make: Callable[[], StageForest], features: pd.DataFrame, stages: npt.NDArray[Any], seed: int
) -> Scored:
    found = empty(len(stages))
    folds = StratifiedKFold(NESTED_FOLDS, shuffle=True, random_state=seed)
    for seen, unseen in folds.split(features, stages):
        fill(found, make().fit(features.iloc[seen], stages[seen]), features, unseen)
    return found


def chosen(found: Mapping[str, Scored], stages: npt.NDArray[Any]) -> str:
    areas = {name: scored.auroc(stages) for name, scored in found.items()}
    good = [name for name in found if areas[name] >= max(areas.values()) - TOLERANCE]
    return min(good, key=lambda name: sum(found[name].changes()[shift] for shift in JUDGED))


def main() -> None:
    parser = argparse.ArgumentParser(description="The choice of the disturbance inside the folds.")
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    features, stages = features_of(without_duplicates(read_cohort(given.cohort)))
    ways = {
        name: partial(StageForest, given.seed, disturbance=disturbance)
        for name, disturbance in DISTURBANCES.items()
    }
    final = empty(len(stages))
    scores = {pair_name(pair): np.zeros(len(stages)) for pair in PAIRS}
    within, taken = [], []
    outer = StratifiedKFold(NESTED_FOLDS, shuffle=True, random_state=given.seed)
    for seen, unseen in outer.split(features, stages):
        training, known = features.iloc[seen], stages[seen]
        found = {
            name: out_of_fold(make, training, known, given.seed) for name, make in ways.items()
        }
        name = chosen(found, known)
        sigmoids = fit_sigmoids(pair_scores(found[name].measured), known)
        fill(final, ways[name]().fit(training, known), features, unseen)
        for pair, values in pair_scores(final.measured[unseen]).items():
            scores[pair][unseen] = [sigmoids[pair](float(value)) for value in values]
        within.append(mean_area({n: s[unseen] for n, s in scores.items()}, stages[unseen]))
        taken.append(name)
        print(f"taken: {name}", flush=True)
    print(dict(Counter(taken)))
    print(f"mean pair AUROC, pooled {mean_area(scores, stages):.3f}, within {np.mean(within):.3f}")
    for shift, share in final.changes().items():
        print(f"stage changes, {shift}: {share:.1%}")


if __name__ == "__main__":
    main()
