"""The published method as a recipe: everything that it chooses is chosen in `fit`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.metrics import roc_auc_score

from modeling.calibration import PAIRS, pair_name
from modeling.cohort import SITE_NAMES
from modeling.stacking.boosting import BaseModel, ModelSpec, fit_model
from modeling.stacking.elimination import Rule, eliminate_apparent
from modeling.stacking.passes import BasePasses, all_combinations, meta_model
from modeling.stacking.published import PUBLISHED_FEATURES, PUBLISHED_MODELS

__all__ = ["LIGHT_CORE", "LIGHT_MODELS", "PublishedRecipe", "published_as_fixed"]

FloatArray = npt.NDArray[np.float64]

LIGHT_MODELS: Mapping[BaseModel, ModelSpec] = {
    BaseModel.RANDOM_FOREST: ModelSpec.of(BaseModel.RANDOM_FOREST, n_estimators=300, max_depth=5),
    BaseModel.LIGHTGBM: ModelSpec.of(BaseModel.LIGHTGBM, n_estimators=150, max_depth=5),
    BaseModel.XGBOOST: ModelSpec.of(BaseModel.XGBOOST, n_estimators=150, max_depth=5),
    BaseModel.CATBOOST: ModelSpec.of(BaseModel.CATBOOST, iterations=150, depth=5),
}
"""The published base models with a tenth or fifth of the rounds, for repeated nested use."""

LIGHT_CORE = ModelSpec.of(
    BaseModel.LIGHTGBM, n_estimators=100, max_depth=5, class_weight="balanced"
)
"""The published elimination core with a tenth of the rounds."""


@dataclass(frozen=True)
class _FittedPair:
    sites: tuple[str, ...]
    specs: tuple[ModelSpec, ...]
    models: tuple[Any, ...]
    meta: Any


class PublishedRecipe(BaseEstimator):
    """Feature elimination and the best of 15 stacks, per pair, by the patients given to `fit`.

    Inside `fit` the choices are made as published (a set is taken for its cross-validated score
    with the path over the same patients, a combination for its score on shared folds); so scores
    of patients outside `fit` are honest, and the choices' own scores are not.

    Parameters
    ----------
    random_state
        The seed; always pass one.
    specs
        The base models to combine.
    core
        Model whose importances decide the elimination.
    rule
        How many features are kept.
    candidates
        The sites that the elimination starts from.
    sites, stacks
        By pair name such as ``A/B``: fixed feature sets and fixed combinations; None to choose.
    jobs
        Models at work at once.

    Attributes
    ----------
    sites_, stacks_
        By pair, what was chosen.

    References
    ----------
    Wang et al. 2025, medRxiv 2025.02.12.25321163.
    """

    def __init__(
        self,
        random_state: int,
        specs: Sequence[ModelSpec] = tuple(LIGHT_MODELS.values()),
        core: ModelSpec = LIGHT_CORE,
        rule: Rule = Rule.MAXIMUM,
        candidates: Sequence[str] = SITE_NAMES,
        sites: Mapping[str, Sequence[str]] | None = None,
        stacks: Mapping[str, Sequence[ModelSpec]] | None = None,
        jobs: int = 1,
    ) -> None:
        self.random_state = random_state
        self.specs = specs
        self.core = core
        self.rule = rule
        self.candidates = candidates
        self.sites = sites
        self.stacks = stacks
        self.jobs = jobs

    def fit(self, features: pd.DataFrame, stages: npt.NDArray[Any]) -> Self:
        """Choose and fit for all six pairs.

        Parameters
        ----------
        features
            One row a patient, with the 36 sites among its columns; age and sex are not used.
        stages
            str, shape (n,).

        Raises
        ------
        InvalidFeatures
            Fewer than five patients of a stage.
        """
        passes = BasePasses(features, stages, self.random_state, jobs=self.jobs)
        self._fitted = {
            name: self._fit_pair(features, passes, name) for name in map(pair_name, PAIRS)
        }
        self.sites_ = {pair: fitted.sites for pair, fitted in self._fitted.items()}
        self.stacks_ = {pair: fitted.specs for pair, fitted in self._fitted.items()}
        return self

    def pair_scores(self, features: pd.DataFrame) -> dict[str, FloatArray]:
        """Give each pair's probability of its later stage, float64, shape (n,), by pair name."""
        return {pair: _score(fitted, features) for pair, fitted in self._fitted.items()}

    def _fit_pair(self, features: pd.DataFrame, passes: BasePasses, pair: str) -> _FittedPair:
        rows, later = passes.rows(pair), passes.later(pair)
        passes.fold_of(pair)
        if self.sites is not None:
            sites = tuple(self.sites[pair])
        else:
            sites = eliminate_apparent(
                features.iloc[rows][list(self.candidates)],
                later,
                self.core,
                self.random_state,
                jobs=self.jobs,
            ).chosen(self.rule)
        candidates = [tuple(self.stacks[pair])] if self.stacks else all_combinations(self.specs)
        every = tuple(dict.fromkeys(spec for stack in candidates for spec in stack))
        passes.prepare(pair, sites, every, inner=False)
        base = {spec: passes.base_scores(pair, sites, spec) for spec in every}
        fold = passes.fold_of(pair)
        scores = [_cross_fitted(_columns(base, stack), later, fold) for stack in candidates]
        best = candidates[int(np.argmax([roc_auc_score(later, found) for found in scores]))]
        matrix = features[list(sites)].to_numpy(dtype=np.float64)[rows]
        models = tuple(
            fit_model(spec, matrix, later, self.random_state, self.jobs) for spec in best
        )
        return _FittedPair(sites, best, models, meta_model().fit(_columns(base, best), later))


def published_as_fixed(random_state: int, jobs: int = 1) -> PublishedRecipe:
    """Make the recipe with the published sets and combinations fixed.

    They were chosen on the whole published cohort, so on its patients any score is apparent, cross
    validation or not.
    """
    return PublishedRecipe(
        random_state, sites=PUBLISHED_FEATURES, stacks=PUBLISHED_MODELS, jobs=jobs
    )


def _columns(base: Mapping[ModelSpec, FloatArray], stack: Sequence[ModelSpec]) -> FloatArray:
    return np.column_stack([base[spec] for spec in stack])


def _cross_fitted(base: FloatArray, later: npt.NDArray[np.bool_], fold: Any) -> FloatArray:
    found = np.zeros(len(later))
    for k in np.unique(fold):
        unseen = fold == k
        meta = meta_model().fit(base[~unseen], later[~unseen])
        found[unseen] = meta.predict_proba(base[unseen])[:, 1]
    return found


def _score(fitted: _FittedPair, features: pd.DataFrame) -> FloatArray:
    matrix = features[list(fitted.sites)].to_numpy(dtype=np.float64)
    base = np.column_stack([model.predict_proba(matrix)[:, 1] for model in fitted.models])
    return np.asarray(fitted.meta.predict_proba(base)[:, 1])
