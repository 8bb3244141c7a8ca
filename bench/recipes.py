"""What was tried for a better recipe, all on the same folds: ``python -m bench.recipes COHORT``.

Every candidate is scored out of fold on the same repeated splits; its difference from the default
is paired over the repeats. The candidates were compared on the very patients that score them, so
the best of them is flattered: ``osteonode evaluate COHORT --recipe selected`` is not.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from modeling import Stage, read_cohort, without_duplicates
from modeling.calibration import PAIRS, pair_name, pair_scores
from modeling.cohort import FEATURE_COLUMNS, features_of
from modeling.design import CLIP_HU, DESIGN, design_of
from modeling.metrics import pair_aurocs

REPEATS = 4
FOLDS = 5
FIRST_SEED = 100
PAGE = Path("docs/recipes.md")

NAMES = [feature.name for feature in DESIGN]
LUMBAR = slice(0, 5)

Array = np.ndarray[Any, Any]
Scores = dict[str, Array]
Candidate = Callable[[Array, Array, Array, Array, Array], Scores]
"""From the training part (inputs, stages), the inputs to score and the two parts' rows of the
cohort to pair scores."""

MONOTONE = {
    **dict.fromkeys(("L1", "L2", "L3", "L4", "L5", "S1"), -1),
    **dict.fromkeys(("median of L1-L5", "lowest of L1-L5"), -1),
    **dict.fromkeys(("mean of L4, L5, S1", "mean of L5, S1"), -1),
    "age": 1,
}  # fmt: skip
CONSTRAINTS = [MONOTONE.get(name, 0) for name in NAMES]


def trees(**changes: Any) -> ExtraTreesClassifier:
    settings = {"n_estimators": 300, "min_samples_leaf": 3, "max_features": 0.3, "random_state": 0}
    return ExtraTreesClassifier(**(settings | changes))


def four_class(make: Callable[[], Any], extend: Any = None, scale: bool = False) -> Candidate:
    """One model of all four stages, optionally over extended inputs."""

    def score(seen: Array, stages: Array, unseen: Array, _s: Array, _u: Array) -> Scores:
        imputer = SimpleImputer(strategy="median").fit(seen)
        first, second = imputer.transform(seen), imputer.transform(unseen)
        if extend is not None:
            first, second = extend(first, stages, second)
        model = make_pipeline(StandardScaler(), make()) if scale else make()
        return pair_scores(model.fit(first, stages).predict_proba(second))

    return score


def pairwise(make: Callable[[], Any], scale: bool = False) -> Candidate:
    """One model a pair, fitted to the pair's patients."""

    def score(seen: Array, stages: Array, unseen: Array, _s: Array, _u: Array) -> Scores:
        imputer = SimpleImputer(strategy="median").fit(seen)
        found = {}
        for pair in PAIRS:
            chosen = np.isin(stages, pair)
            model = make_pipeline(StandardScaler(), make()) if scale else make()
            model.fit(imputer.transform(seen[chosen]), stages[chosen] == pair[1])
            rows = imputer.transform(unseen)
            if hasattr(model, "decision_function"):
                found[pair_name(pair)] = model.decision_function(rows)
            else:
                p = np.clip(model.predict_proba(rows)[:, 1], 1e-6, 1 - 1e-6)
                found[pair_name(pair)] = np.log(p / (1 - p))
        return found

    return score


def cumulative(constraints: list[int] | None) -> Candidate:
    """Three models of "this stage or later" (Frank & Hall 2001), differences for the stages."""

    def score(seen: Array, stages: Array, unseen: Array, _s: Array, _u: Array) -> Scores:
        imputer = SimpleImputer(strategy="median").fit(seen)
        order = np.array([list(Stage).index(Stage(s)) for s in stages])
        above = [
            trees(max_features=0.2, monotonic_cst=constraints, random_state=k)
            .fit(imputer.transform(seen), order >= k)
            .predict_proba(imputer.transform(unseen))[:, 1]
            for k in (1, 2, 3)
        ]
        first, second, third = above
        return pair_scores(
            np.clip(np.column_stack([1 - first, first - second, second - third, third]), 0.01, 1)
        )

    return score


def multi_output(seen: Array, stages: Array, unseen: Array, _s: Array, _u: Array) -> Scores:
    """Regression trees that share splits between stages and "this stage or later"."""
    imputer = SimpleImputer(strategy="median").fit(seen)
    order = np.array([list(Stage).index(Stage(s)) for s in stages])
    targets = np.column_stack([*(order >= k for k in (1, 2, 3)), *(order == k for k in range(4))])
    model = ExtraTreesRegressor(300, min_samples_leaf=5, max_features=0.3, random_state=0)
    model.fit(imputer.transform(seen), targets.astype(float))
    return pair_scores(model.predict(imputer.transform(unseen))[:, 3:])


def with_shape(first: Array, _stages: Array, second: Array) -> tuple[Array, Array]:
    """Slope, bend, lowest two and three, trimmed mean and relative deviations of L1-L5."""

    def shape(rows: Array) -> Array:
        bone = rows[:, LUMBAR]
        middle = np.median(bone, axis=1, keepdims=True)
        ordered = np.sort(bone, axis=1)
        levels = np.arange(5) - 2.0
        slope = bone @ levels / (levels @ levels)
        bend = bone @ (levels**2 - 2) / 14
        relative = (bone - middle) / np.maximum(middle, 20)
        steps = np.abs(np.diff(bone, axis=1)).max(axis=1)
        return np.column_stack(
            [slope, bend, ordered[:, :2].mean(1), ordered[:, :3].mean(1), ordered[:, 1:4].mean(1),
             relative, steps, rows[:, 5] - middle[:, 0]]
        )  # fmt: skip

    return np.c_[first, shape(first)], np.c_[second, shape(second)]


def with_components(first: Array, stages: Array, second: Array, kind: str) -> tuple[Array, Array]:
    """Principal components, or partial least squares components, beside the inputs."""
    scaler = StandardScaler().fit(first)
    a, b = scaler.transform(first), scaler.transform(second)
    if kind == "pca":
        model = PCA(6, random_state=0).fit(a)
    else:
        one_hot = (stages[:, None] == np.array([s.value for s in Stage])).astype(float)
        model = PLSRegression(4).fit(a, one_hot)
    return np.c_[first, model.transform(a)], np.c_[second, model.transform(b)]


def given_age_and_sex(first: Array, _stages: Array, second: Array) -> tuple[Array, Array]:
    """What is left of each input after its linear trend over age and sex, beside the inputs."""

    def against(rows: Array) -> Array:
        return np.c_[np.ones(len(rows)), rows[:, -2:]]

    trend, *_ = np.linalg.lstsq(against(first), first[:, :-2], rcond=None)
    return (
        np.c_[first, first[:, :-2] - against(first) @ trend],
        np.c_[second, second[:, :-2] - against(second) @ trend],
    )


def with_missing_patterns(matrix: Array, cohort: pd.DataFrame) -> Candidate:
    missing = cohort.isna().to_numpy(dtype=float)

    def score(seen: Array, stages: Array, unseen: Array, s: Array, u: Array) -> Scores:
        inputs = four_class(trees)
        return inputs(np.c_[seen, missing[s]], stages, np.c_[unseen, missing[u]], s, u)

    del matrix
    return score


def bagged_networks() -> Any:
    from sklearn.ensemble import BaggingClassifier

    network = MLPClassifier((16,), alpha=3, max_iter=300, learning_rate_init=0.01, random_state=0)
    return BaggingClassifier(network, n_estimators=6, random_state=0)


def blend(*parts: Candidate) -> Candidate:
    """Sum of pair scores, each divided by its spread."""

    def score(*given: Array) -> Scores:
        found = [part(*given) for part in parts]
        return {name: sum(one[name] / np.std(one[name]) for one in found) for name in found[0]}

    return score


def candidates(matrix: Array, sites: pd.DataFrame) -> dict[str, Candidate]:
    boosted = partial(
        LGBMClassifier, n_estimators=60, learning_rate=0.05, num_leaves=4, min_child_samples=15,
        colsample_bytree=0.3, subsample=0.7, subsample_freq=1, reg_lambda=10, random_state=0,
        n_jobs=1, verbose=-1,
    )  # fmt: skip
    ridge = partial(LogisticRegression, max_iter=2000)
    lda = partial(LinearDiscriminantAnalysis, solver="lsqr")
    monotone_trees = partial(trees, n_estimators=200, max_features=0.2, monotonic_cst=CONSTRAINTS)
    found = {
        "default: extra trees, leaf 3, 30 % of the features": four_class(trees),
        **{f"leaf {k}": four_class(partial(trees, min_samples_leaf=k)) for k in (2, 4, 5, 8)},
        **{
            f"{k:.0%} of the features": four_class(partial(trees, max_features=k))
            for k in (0.05, 0.1, 0.15, 0.2, 0.5, 0.7)
        },
        "15 % of the features, leaf 5": four_class(
            partial(trees, max_features=0.15, min_samples_leaf=5)
        ),
        "1000 trees": four_class(partial(trees, n_estimators=1000)),
        "entropy": four_class(partial(trees, criterion="entropy")),
        "balanced classes": four_class(partial(trees, class_weight="balanced")),
        "missing patterns beside the inputs": with_missing_patterns(matrix, sites),
        "shape of the L1-L5 profile beside the inputs": four_class(trees, with_shape),
        "residuals over age and sex beside the inputs": four_class(trees, given_age_and_sex),
        "6 principal components beside the inputs": four_class(
            trees, partial(with_components, kind="pca")
        ),
        "4 PLS components beside the inputs": four_class(
            trees, partial(with_components, kind="pls")
        ),
        "extra trees a pair": pairwise(partial(trees, n_estimators=200, max_features=0.2)),
        "extra trees a pair, bone and age monotone": pairwise(monotone_trees),
        "ordinal (Frank-Hall) extra trees": cumulative(None),
        "ordinal extra trees, bone and age monotone": cumulative(CONSTRAINTS),
        "multi-task trees (stages and cumulative stages)": multi_output,
        "random forest": four_class(
            partial(
                RandomForestClassifier, 300, min_samples_leaf=3, max_features=0.3, random_state=0
            )
        ),
        "histogram boosting": four_class(
            partial(
                HistGradientBoostingClassifier,
                max_iter=80,
                learning_rate=0.05,
                max_leaf_nodes=6,
                min_samples_leaf=15,
                l2_regularization=5,
                random_state=0,
            )
        ),
        "LightGBM a pair": pairwise(boosted),
        "LightGBM a pair, bone and age monotone": pairwise(
            partial(boosted, monotone_constraints=CONSTRAINTS)
        ),
        **{
            f"ridge regression, C = {c}": four_class(partial(ridge, C=c), scale=True)
            for c in (0.003, 0.01, 0.03, 0.1)
        },
        **{
            f"ridge regression a pair, C = {c}": pairwise(partial(ridge, C=c), scale=True)
            for c in (0.003, 0.01, 0.03)
        },
        **{
            f"linear discriminants, shrinkage {s}": four_class(
                partial(lda, shrinkage=s), scale=True
            )
            for s in (0.1, 0.3, 0.6)
        },
        **{
            f"support vectors a pair, C = {c}, gamma = {g}": pairwise(
                partial(SVC, C=c, gamma=g, random_state=0), scale=True
            )
            for c, g in ((0.3, 0.003), (1, 0.003), (1, 0.01), (3, 0.003))
        },
        "6 bagged networks of 16 units": four_class(bagged_networks, scale=True),
    }
    found["blend: default, linear discriminants"] = blend(
        found["default: extra trees, leaf 3, 30 % of the features"],
        found["linear discriminants, shrinkage 0.6"],
    )
    found["blend: default, monotone trees a pair"] = blend(
        found["default: extra trees, leaf 3, 30 % of the features"],
        found["extra trees a pair, bone and age monotone"],
    )
    found["blend: default, monotone trees a pair, ridge a pair"] = blend(
        found["default: extra trees, leaf 3, 30 % of the features"],
        found["extra trees a pair, bone and age monotone"],
        found["ridge regression a pair, C = 0.01"],
    )
    return found


def areas(candidate: Candidate, matrix: Array, stages: Array) -> list[float]:
    """Mean pair AUROC, one a repeat; pooled by rank within each fold."""
    found = []
    for repeat in range(REPEATS):
        splits = StratifiedKFold(FOLDS, shuffle=True, random_state=FIRST_SEED + repeat)
        scores = {pair_name(pair): np.zeros(len(stages)) for pair in PAIRS}
        for seen, unseen in splits.split(matrix, stages):
            for name, values in candidate(
                matrix[seen], stages[seen], matrix[unseen], seen, unseen
            ).items():
                scores[name][unseen] = values
        found.append(float(np.mean(list(pair_aurocs(scores, stages).values()))))
    return found


def main() -> None:
    features, stages = features_of(without_duplicates(read_cohort(Path(sys.argv[1]))))
    matrix = design_of(features)
    sites = features[list(FEATURE_COLUMNS[:-2])].clip(*CLIP_HU)
    rows, reference = [], None
    for name, candidate in candidates(matrix, sites).items():
        started = time.process_time()
        found = np.array(areas(candidate, matrix, stages))
        reference = found if reference is None else reference
        away = found - reference
        rows.append((name, found.mean(), found.std(), away.mean(), away.std() / np.sqrt(REPEATS)))
        seconds = time.process_time() - started
        print(f"{name:55} {found.mean():.4f} {away.mean():+.4f} {seconds:.0f} s", flush=True)
    table = "\n".join(
        f"| {name} | {mean:.3f} | {spread:.3f} | {away:+.4f} ± {error:.4f} |"
        for name, mean, spread, away, error in sorted(rows, key=lambda row: -row[1])
    )
    text = PAGE.read_text()
    head, _, tail = text.partition("<!-- table -->")
    _, _, tail = tail.partition("<!-- end -->")
    PAGE.write_text(
        f"{head}<!-- table -->\n\n| Recipe | Mean pair AUROC | SD over repeats | From the default |"
        f"\n|---|---|---|---|\n{table}\n\n<!-- end -->{tail}"
    )


if __name__ == "__main__":
    main()
