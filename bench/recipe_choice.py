"""What the choice among recipes costs: ``python -m bench.recipe_choice COHORT``.

In each of three times five outer folds the registered recipes are compared by cross-validation of
the training part, the best is taken, and its mean pair AUROC in the outer fold is noted. Areas are
taken within the fold, since recipes differ in the scale of their scores.
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedKFold

from modeling import read_cohort, without_duplicates
from modeling.cohort import features_of
from modeling.evaluation.nested import NESTED_FOLDS, NESTED_REPEATS, out_of_fold
from modeling.metrics import pair_aurocs
from modeling.recipes.registry import RECIPES, SELECTABLE, scores_of

SEED = 42
INNER_SEEDS = (1, 2, 3)


def main() -> None:
    features, stages = features_of(without_duplicates(read_cohort(Path(sys.argv[1]))))
    inner = np.zeros((NESTED_REPEATS * NESTED_FOLDS, len(SELECTABLE), len(INNER_SEEDS)))
    outer = np.zeros((NESTED_REPEATS * NESTED_FOLDS, len(SELECTABLE)))
    fold = 0
    for repeat in range(NESTED_REPEATS):
        splits = StratifiedKFold(NESTED_FOLDS, shuffle=True, random_state=SEED + repeat)
        for seen, unseen in splits.split(features, stages):
            for place, name in enumerate(SELECTABLE):
                make = RECIPES[name].make
                training, known = features.iloc[seen], stages[seen]
                for k, seed in enumerate(INNER_SEEDS):
                    found = out_of_fold(make, training, known, seed)
                    inner[fold, place, k] = _mean(pair_aurocs(found.scores, known))
                model = make(SEED + repeat).fit(training, known)
                scores = scores_of(model, features.iloc[unseen])[1]
                outer[fold, place] = _mean(pair_aurocs(scores, stages[unseen]))
            fold += 1
            print(f"{fold} of {len(outer)}", flush=True)
    for place, name in enumerate(SELECTABLE):
        print(f"{name:22} {outer[:, place].mean():.4f}")
    for seeds in (1, len(INNER_SEEDS)):
        best = inner[:, :, :seeds].mean(axis=2).argmax(axis=1)
        taken = outer[np.arange(len(outer)), best]
        counts = {SELECTABLE[k]: int((best == k).sum()) for k in np.unique(best)}
        print(f"chosen by {seeds} inner splits: {taken.mean():.4f} {counts}")


def _mean(areas: dict[str, float]) -> float:
    return float(np.mean(list(areas.values())))


if __name__ == "__main__":
    main()
