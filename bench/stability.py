"""The former default beside the present one: ``python -m bench.stability COHORT -o OUT``.

Prints the table of docs/modeling.md: discrimination, stability under a scanner's offset,
calibration and prediction sets, by repeated nested cross-validation. The column of the audit holds
figures that were measured independently, by other code, of the former default; the other two are
computed by one protocol and seed. Finished folds are kept in OUT, so that a run that was broken
off goes on.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier

from modeling import read_cohort
from modeling.design import CLIP_HU, USED_SITES, design_of, impute
from modeling.evaluation.nested import NESTED_REPEATS
from modeling.evaluation.recipe_evaluation import Protocol, evaluate
from modeling.recipes.registry import DEFAULT_RECIPE, RECIPES, NamedRecipe

MUSCLES = [name for name in USED_SITES if "_" in name]

AUDIT = {
    "Mean pair AUROC, pooled": ".836",
    "Stage changes, all -20 HU": "39 %",
    "Stage changes, all -10 HU": "25 %",
    "Stage changes, all +10 HU": "28 %",
    "Stage changes, all +20 HU": "43 %",
    "Stage changes, bone -10 HU": "12-13 %",
    "Stage changes, bone +10 HU": "12-13 %",
    "Stage changes, bone +15 HU": "19 %",
    "Stage changes, muscle -10 HU": "23-24 %",
    "Stage changes, muscle +10 HU": "23-24 %",
    "Predicted D, all -20 HU": ".64",
    "Calibration error (by chance)": ".047 (.044)",
    "Calibration slopes A/B/C/D": "1.29/.91/1.10/1.27",
    "Brier score": ".566",
    "Stages in a prediction set": "2.47",
    "Coverage of the sets": ".900",
    "Osteoporosis decided": "62.5 %",
}


class FormerForest:
    """One four-class forest of leaves of 3, which also has the 26 muscle sites as inputs."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def fit(self, X: pd.DataFrame, y: np.ndarray[Any, Any]) -> Self:
        self.medians = np.nanmedian(self._design(X), axis=0)
        self.forest = ExtraTreesClassifier(
            300, min_samples_leaf=3, max_features=0.3, random_state=self.seed
        ).fit(impute(self._design(X), self.medians), y)
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray[Any, Any]:
        return np.asarray(self.forest.predict_proba(impute(self._design(X), self.medians)))

    @staticmethod
    def _design(X: pd.DataFrame) -> np.ndarray[Any, Any]:
        return np.c_[X[MUSCLES].clip(*CLIP_HU).to_numpy(), design_of(X)]


FORMER = NamedRecipe("former", "the default until now", FormerForest, calibrates_stages=False)


def rows(scores: Mapping[str, Any]) -> dict[str, str]:
    """The table's figures in words, by the name of their row."""
    low, high = scores["mean_pair_auroc_ci"]
    found = {
        "Mean pair AUROC, pooled": f"{scores['mean_pair_auroc']:.3f} [{low:.3f}, {high:.3f}]",
        "Mean pair AUROC, within folds": f"{scores['mean_pair_auroc_within_folds']:.3f}",
    }
    for name, shift in scores["stability"].items():
        found[f"Stage changes, {name} HU"] = f"{shift['flips']:.1%}"
    least = scores["stability"]["all -20"]
    found |= {
        "Predicted D, all -20 HU": f"{least['predicted']['D']:.2f}",
        "Mean pair AUROC, all -20 HU": f"{least['mean_pair_auroc']:.3f}",
        "Calibration error (by chance)": f"{scores['ece']:.3f} ({scores['ece_noise']:.3f})",
        "Class-wise calibration error (by chance)": (
            f"{scores['classwise_ece']:.3f} ({scores['classwise_ece_noise']:.3f})"
        ),
        "Calibration slopes A/B/C/D": "/".join(
            f"{slope:.2f}" for slope in scores["stage_slopes"].values()
        ),
        "Brier score": f"{scores['brier']:.3f}",
        "Stages in a prediction set": f"{scores['set_size']:.2f}",
        "Coverage of the sets": f"{scores['coverage']:.3f}",
        "Coverage of the sets A/B/C/D": "/".join(
            f"{share:.2f}" for share in scores["coverage_by_stage"].values()
        ),
        "Osteoporosis decided": f"{scores['osteoporosis']['decided']:.1%}",
        "Osteoporosis, coverage of yes/no": (
            f"{scores['osteoporosis']['coverage_yes']:.3f}/"
            f"{scores['osteoporosis']['coverage_no']:.3f}"
        ),
    }
    return found


def scores_of(recipe: NamedRecipe, cohort: pd.DataFrame, repeats: int, out: Path) -> Any:
    """Evaluate a recipe; finished folds are kept in a folder of its name."""
    return evaluate(
        cohort,
        recipe,
        protocol=Protocol(repeats=repeats, permutations=0),
        progress=lambda done, parts: print(f"{recipe.name}: {done} of {parts}", flush=True),
        folder=out / recipe.name,
    ).scores


def main() -> None:
    parser = argparse.ArgumentParser(description="The former default beside the present one.")
    parser.add_argument("cohort", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=NESTED_REPEATS)
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    cohort = read_cohort(chosen.cohort)
    before, after = (
        rows(scores_of(recipe, cohort, chosen.repeats, chosen.out))
        for recipe in (FORMER, RECIPES[DEFAULT_RECIPE])
    )
    print("| | audit, former default | former default | default |\n|---|---|---|---|")
    for name in after:
        print(f"| {name} | {AUDIT.get(name, '-')} | {before[name]} | {after[name]} |")


if __name__ == "__main__":
    main()
