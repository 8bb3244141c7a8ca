"""One out-of-fold pass per base model, kept, so that every combination is stacked from it."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from modeling.calibration import PAIRS, pair_name
from modeling.errors import InvalidFeatures
from modeling.stacking.boosting import BaseModel, ModelSpec, fit_model
from modeling.stacking.published import PUBLISHED_FOLDS

__all__ = ["BasePasses", "all_combinations", "meta_model"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

Key = tuple[str, tuple[str, ...], ModelSpec, int, tuple[int, ...]]


def meta_model() -> LogisticRegression:
    """Make the logistic regression that stacks base models, with the published penalty (C = 1).

    Newton's method ends in the same minimum as the published solver, in a few steps and on one
    thread; the other waits on threads for longer than it computes.
    """
    return LogisticRegression(solver="newton-cholesky")


def all_combinations(specs: Iterable[ModelSpec]) -> tuple[tuple[ModelSpec, ...], ...]:
    """Give every non-empty combination, small ones first: 15 of four models."""
    every = tuple(specs)
    return tuple(c for size in range(1, len(every) + 1) for c in combinations(every, size))


class BasePasses:
    """Predictions of base models for patients they were not trained on, each computed once.

    A stack's own folds need base predictions for its training patients from models that saw
    neither them nor the patients that the stack is scored on. Folds are shared: the model without
    folds i and k gives those of i for the stack scored on k, and those of k for the stack scored
    on i. So 10 models without two folds and 5 without one, 15 in all, score every combination.

    Parameters
    ----------
    features
        One row a patient, with a column for each site; NaN where missing.
    stages
        str, shape (n,): the stages.
    seed
        Seed of folds and models.
    folds
        Folds of every pass.
    jobs
        Models at work at once.
    """

    def __init__(
        self,
        features: pd.DataFrame,
        stages: npt.NDArray[Any],
        seed: int,
        *,
        folds: int = PUBLISHED_FOLDS,
        jobs: int = 1,
    ) -> None:
        self._features = features
        self._stages = stages
        self._folds = folds
        self._jobs = jobs
        self._pairs = {pair_name(pair): pair for pair in PAIRS}
        self._kept: dict[Key, FloatArray] = {}
        self._fold_of: dict[str, npt.NDArray[np.intp]] = {}
        self.seed = seed
        self.fits = 0

    def rows(self, pair: str) -> npt.NDArray[np.intp]:
        """Give the rows of a pair's patients, int, shape (m,)."""
        return np.flatnonzero(np.isin(self._stages, self._pairs[pair]))

    def later(self, pair: str) -> BoolArray:
        """Tell which of `rows` are of the later stage, bool, shape (m,)."""
        return np.asarray(self._stages[self.rows(pair)] == self._pairs[pair][1])

    def fold_of(self, pair: str) -> npt.NDArray[np.intp]:
        """Give the fold of each of `rows`, int, shape (m,).

        Raises
        ------
        InvalidFeatures
            Fewer patients of a stage than folds.
        """
        if pair in self._fold_of:
            return self._fold_of[pair]
        later = self.later(pair)
        fewest = min(int(later.sum()), int((~later).sum()))
        if fewest < self._folds:
            raise InvalidFeatures(
                f"{self._folds} folds need {self._folds} patients of each stage of {pair}, "
                f"found {fewest}"
            )
        found = np.zeros(len(later), dtype=np.intp)
        splitter = StratifiedKFold(self._folds, shuffle=True, random_state=self.seed)
        for fold, (_, unseen) in enumerate(splitter.split(later, later)):
            found[unseen] = fold
        self._fold_of[pair] = found
        return found

    def prepare(
        self, pair: str, sites: Sequence[str], specs: Iterable[ModelSpec], *, inner: bool = True
    ) -> None:
        """Fit what is not kept yet: 15 models a specification, or 5 without ``inner``."""
        out = [(k,) for k in range(self._folds)]
        both = list(combinations(range(self._folds), 2)) if inner else []
        keys = [
            key
            for spec in dict.fromkeys(specs)
            for left_out in (*out, *both)
            if (key := (pair, tuple(sites), spec, self.seed, left_out)) not in self._kept
        ]
        self.fold_of(pair)
        # Forests share out their trees themselves: scikit-learn's warning filters do not bear
        # several forests in threads.
        forests = [key for key in keys if key[2].model is BaseModel.RANDOM_FOREST]
        others = [key for key in keys if key[2].model is not BaseModel.RANDOM_FOREST]
        self._kept |= {key: self._fit(key, self._jobs) for key in forests}
        with ThreadPoolExecutor(self._jobs) as pool:
            self._kept.update(zip(others, pool.map(self._fit, others), strict=True))
        self.fits += len(keys)

    def base_scores(self, pair: str, sites: Sequence[str], spec: ModelSpec) -> FloatArray:
        """Give a base model's out-of-fold probability of the later stage, shape (m,)."""
        self.prepare(pair, sites, (spec,), inner=False)
        return self._pass(pair, sites, (spec,), None)[:, 0]

    def stack_scores(
        self, pair: str, sites: Sequence[str], specs: Sequence[ModelSpec]
    ) -> FloatArray:
        """Stack base models; each patient is scored by a stack that never saw them.

        Returns
        -------
        ndarray
            float64, shape (m,): probability of the later stage, in the order of `rows`.

        References
        ----------
        Wolpert DH. Stacked generalization. Neural Netw 1992, doi 10.1016/S0893-6080(05)80023-1.
        """
        self.prepare(pair, sites, specs)
        fold, later = self.fold_of(pair), self.later(pair)
        outer = self._pass(pair, sites, specs, None)
        found = np.zeros(len(fold))
        for k in range(self._folds):
            unseen = fold == k
            meta = meta_model().fit(self._pass(pair, sites, specs, k)[~unseen], later[~unseen])
            found[unseen] = meta.predict_proba(outer[unseen])[:, 1]
        return found

    def _pass(
        self, pair: str, sites: Sequence[str], specs: Sequence[ModelSpec], without: int | None
    ) -> FloatArray:
        """Out-of-fold probabilities, shape (m, specs), by models that did not see ``without``."""
        fold = self.fold_of(pair)
        found = np.full((len(fold), len(specs)), np.nan)
        for column, spec in enumerate(specs):
            for k in range(self._folds):
                if k == without:
                    continue
                left_out = (k,) if without is None else tuple(sorted((k, without)))
                kept = self._kept[(pair, tuple(sites), spec, self.seed, left_out)]
                found[fold == k, column] = kept[fold == k]
        return found

    def _fit(self, key: Key, threads: int = 1) -> FloatArray:
        pair, sites, spec, seed, left_out = key
        matrix = self._features[list(sites)].to_numpy(dtype=np.float64)[self.rows(pair)]
        unseen = np.isin(self.fold_of(pair), left_out)
        model = fit_model(spec, matrix[~unseen], self.later(pair)[~unseen], seed, threads)
        found = np.full(len(unseen), np.nan)
        found[unseen] = model.predict_proba(matrix[unseen])[:, 1]
        return found
