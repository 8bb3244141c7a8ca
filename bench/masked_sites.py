"""What the default is worth with fewer sites: ``python -m bench.masked_sites COHORT``.

Sites are masked at random in the patients that are scored, out of fold, never in those that the
model is fitted to: the table of docs/modeling.md, on which the least number of vertebrae rests.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from modeling import read_cohort, without_duplicates
from modeling.calibration import pair_scores
from modeling.cohort import features_of
from modeling.design import USED_SITES
from modeling.evaluation.nested import NESTED_FOLDS
from modeling.metrics import pair_aurocs
from modeling.recipes.stage_forest import StageForest

SEED = 42
VERTEBRAE, MUSCLES = list(USED_SITES[:6]), list(USED_SITES[6:])
KEPT = [("vertebrae", VERTEBRAE, (6, 5, 4, 3, 2)), ("muscle sites", MUSCLES, (26, 16, 10, 6, 2, 0))]


def masked(features: pd.DataFrame, sites: list[str], kept: int, chance: Any) -> pd.DataFrame:
    """Leave so many of some sites to each patient, drawn patient by patient."""
    found = features.copy()
    for row in found.index:
        found.loc[row, list(chance.permutation(sites)[kept:])] = np.nan
    return found


def main() -> None:
    features, stages = features_of(without_duplicates(read_cohort(Path(sys.argv[1]))))
    chance = np.random.default_rng(SEED)
    tables = {
        (words, kept): masked(features, sites, kept, chance)
        for words, sites, numbers in KEPT
        for kept in numbers
    }
    found = {name: np.zeros((len(stages), 4)) for name in tables}
    folds = StratifiedKFold(NESTED_FOLDS, shuffle=True, random_state=SEED)
    for seen, unseen in folds.split(features, stages):
        model = StageForest(SEED).fit(features.iloc[seen], stages[seen])
        for name, table in tables.items():
            found[name][unseen] = model.predict_proba(table.iloc[unseen])
    for (words, kept), probabilities in found.items():
        areas = pair_aurocs(pair_scores(probabilities), stages)
        print(f"{words} kept {kept}: {np.mean(list(areas.values())):.3f}")


if __name__ == "__main__":
    main()
