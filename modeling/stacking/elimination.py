"""Recursive feature elimination: one path in each fold, scored on the fold's held-out patients."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from modeling.errors import InvalidFeatures
from modeling.stacking.boosting import BaseModel, ModelSpec, build_model
from modeling.stacking.published import PUBLISHED_FOLDS

__all__ = ["Elimination", "Rule", "eliminate", "eliminate_apparent", "elimination_path"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


class Rule(StrEnum):
    """How the number of features follows from the curve."""

    MAXIMUM = "maximum"
    ONE_STANDARD_ERROR = "one standard error"


@dataclass(frozen=True)
class Elimination:
    """Scores along the way from all features to one.

    Parameters
    ----------
    names
        The features, in the order of the path over all patients: the last to go stands first.
    auroc, accuracy
        float64, shape (folds, features): column m - 1 is the score with m features.
    apparent
        True where the sets that are scored came from a path over all patients, those scored
        among them; False where each fold's path saw its own training patients only.
    fold_names
        The path of each fold, like ``names``; all equal to ``names`` if ``apparent``.
    """

    names: tuple[str, ...]
    auroc: FloatArray
    accuracy: FloatArray
    apparent: bool
    fold_names: tuple[tuple[str, ...], ...]

    @property
    def mean(self) -> FloatArray:
        """Mean AUROC over folds, float64, shape (features,)."""
        return np.asarray(self.auroc.mean(axis=0))

    @property
    def standard_error(self) -> FloatArray:
        """Standard error of `mean` over folds, float64, shape (features,).

        Folds share training patients, so it is somewhat too small.
        """
        return np.asarray(self.auroc.std(axis=0, ddof=1) / np.sqrt(len(self.auroc)))

    def count(self, rule: Rule) -> int:
        """Give the number of features: of the highest mean, or the least within one error of it.

        References
        ----------
        Breiman L et al. Classification and regression trees, 1984 (the one-standard-error rule).
        """
        best = int(self.mean.argmax())
        if rule is Rule.MAXIMUM:
            return best + 1
        enough = self.mean >= self.mean[best] - self.standard_error[best]
        return int(enough.argmax()) + 1

    def chosen(self, rule: Rule) -> tuple[str, ...]:
        """Give the features: the last `count` on the path over all patients."""
        return self.names[: self.count(rule)]


def elimination_path(
    matrix: FloatArray, later: BoolArray, core: ModelSpec, seed: int, threads: int = 1
) -> tuple[tuple[int, ...], list[Any]]:
    """Leave out the least important feature, one at a time, on one set of patients.

    Parameters
    ----------
    matrix
        float64, shape (n, features): NaN where missing.
    later
        bool, shape (n,): True for the later stage of the pair.
    core
        Model whose importances decide: splits for LightGBM, gain for XGBoost, change of prediction
        for CatBoost (the libraries' defaults, as published).
    seed, threads
        Seed of the core, and threads that it may use.

    Returns
    -------
    tuple of int, list
        Columns, the last to go first; and the fitted cores, that with m features at m - 1. The
        core with m features takes the columns ``sorted(order[:m])``. Of equals, the
        first goes.

    References
    ----------
    Guyon I et al. Gene selection for cancer classification using support vector machines. Mach
    Learn 2002, doi 10.1023/A:1012487302797.
    """
    kept = list(range(matrix.shape[1]))
    gone: list[int] = []
    cores = []
    while kept:
        model = build_model(core, seed, threads).fit(matrix[:, kept], later)
        cores.append(model)
        least = int(np.argmin(model.feature_importances_))
        gone.append(kept.pop(least))
    return tuple(reversed(gone)), cores[::-1]


def eliminate(
    features: pd.DataFrame,
    later: BoolArray,
    core: ModelSpec,
    seed: int,
    *,
    folds: int = PUBLISHED_FOLDS,
    jobs: int = 1,
) -> Elimination:
    """Draw the honest curve: one path inside each fold, scored on that fold's own patients.

    Parameters
    ----------
    features
        One row a patient, one column a feature; NaN where missing.
    later
        bool, shape (n,): True for the later stage of the pair.
    core
        As for `elimination_path`; each fitted core both ranks and scores.
    seed
        Seed of folds and cores.
    folds
        Folds of the cross-validation.
    jobs
        Folds at work at once.

    Raises
    ------
    InvalidFeatures
        Fewer patients of a stage than folds.
    """
    matrix = _matrix(features, later, folds)
    splits = _splits(matrix, later, folds, seed)

    def one(split: tuple[Any, Any]) -> tuple[tuple[int, ...], list[tuple[float, float]]]:
        seen, unseen = split
        order, cores = elimination_path(matrix[seen], later[seen], core, seed)
        return order, [
            _scores(model, matrix[unseen][:, sorted(order[: m + 1])], later[unseen])
            for m, model in enumerate(cores)
        ]

    with ThreadPoolExecutor(_workers(core, jobs)) as pool:
        whole = pool.submit(elimination_path, matrix, later, core, seed)
        found = list(pool.map(one, splits))
    scores = np.array([scores for _, scores in found])
    return Elimination(
        _named(features, whole.result()[0]),
        scores[:, :, 0],
        scores[:, :, 1],
        False,
        tuple(_named(features, order) for order, _ in found),
    )


def eliminate_apparent(
    features: pd.DataFrame,
    later: BoolArray,
    core: ModelSpec,
    seed: int,
    *,
    folds: int = PUBLISHED_FOLDS,
    jobs: int = 1,
) -> Elimination:
    """Draw the published curve: a path over all patients, its sets then cross-validated on them.

    The patients that score a set have helped to choose it, so the curve is too high. Parameters
    and errors as for `eliminate`.
    """
    matrix = _matrix(features, later, folds)
    splits = _splits(matrix, later, folds, seed)
    order, _ = elimination_path(matrix, later, core, seed)

    def one(split: tuple[Any, Any]) -> list[tuple[float, float]]:
        seen, unseen = split
        found = []
        for m in range(1, len(order) + 1):
            columns = sorted(order[:m])
            model = build_model(core, seed).fit(matrix[seen][:, columns], later[seen])
            found.append(_scores(model, matrix[unseen][:, columns], later[unseen]))
        return found

    with ThreadPoolExecutor(_workers(core, jobs)) as pool:
        scores = np.array(list(pool.map(one, splits)))
    names = _named(features, order)
    return Elimination(names, scores[:, :, 0], scores[:, :, 1], True, (names,) * folds)


def _workers(core: ModelSpec, jobs: int) -> int:
    # scikit-learn's warning filters do not bear several forests in threads.
    return 1 if core.model is BaseModel.RANDOM_FOREST else jobs


def _scores(model: Any, matrix: FloatArray, later: BoolArray) -> tuple[float, float]:
    probability = model.predict_proba(matrix)[:, 1]
    return float(roc_auc_score(later, probability)), float(((probability > 0.5) == later).mean())


def _matrix(features: pd.DataFrame, later: BoolArray, folds: int) -> FloatArray:
    fewest = min(int(later.sum()), int((~later).sum()))
    if fewest < folds:
        raise InvalidFeatures(f"{folds} folds need {folds} patients of each stage, found {fewest}")
    return features.to_numpy(dtype=np.float64)


def _splits(
    matrix: FloatArray, later: BoolArray, folds: int, seed: int
) -> Sequence[tuple[Any, Any]]:
    return list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(matrix, later))


def _named(features: pd.DataFrame, order: Sequence[int]) -> tuple[str, ...]:
    return tuple(str(features.columns[i]) for i in order)
