"""The published protocol, and the same with its choices made inside the folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from modeling.calibration import PAIRS, pair_name
from modeling.cohort import features_of
from modeling.stacking.boosting import ModelSpec
from modeling.stacking.passes import BasePasses, all_combinations
from modeling.stacking.published import PUBLISHED_FEATURES, PUBLISHED_MODELS
from modeling.stacking.recipe import PublishedRecipe
from modeling.stacking.scores import PairOutcome

__all__ = [
    "Nested",
    "StackSearch",
    "nested_protocol",
    "published_protocol",
    "search_stacks",
    "stack_name",
]

OUTER_FOLDS = 5
"""Folds of the nested cross-validation."""


@dataclass(frozen=True)
class StackSearch:
    """All combinations of base models for one pair.

    Parameters
    ----------
    pair
        Such as ``A/B``.
    sites
        The features.
    outcomes
        By combination, small ones first.
    """

    pair: str
    sites: tuple[str, ...]
    outcomes: Mapping[tuple[ModelSpec, ...], PairOutcome]

    @property
    def auroc(self) -> dict[tuple[ModelSpec, ...], float]:
        """AUROC of each combination."""
        return {s: float(roc_auc_score(o.later, o.scores)) for s, o in self.outcomes.items()}

    @property
    def best(self) -> tuple[ModelSpec, ...]:
        """The combination with the highest AUROC, which is apparent: it is chosen by it."""
        found = self.auroc
        return max(found, key=lambda stack: found[stack])


@dataclass(frozen=True)
class Nested:
    """Outcomes of patients that no choice has seen, and the choices of each outer fold.

    Parameters
    ----------
    outcomes
        By pair.
    sites, stacks
        By pair, one entry an outer fold.
    """

    outcomes: Mapping[str, PairOutcome]
    sites: Mapping[str, tuple[tuple[str, ...], ...]]
    stacks: Mapping[str, tuple[tuple[ModelSpec, ...], ...]]


def stack_name(stack: Sequence[ModelSpec]) -> str:
    """Name a combination.

    >>> from modeling.stacking.boosting import BaseModel
    >>> stack_name((ModelSpec(BaseModel.LIGHTGBM), ModelSpec(BaseModel.CATBOOST)))
    'LightGBM + CatBoost'
    """
    return " + ".join(str(spec.model) for spec in stack)


def published_protocol(
    cohort: pd.DataFrame,
    seed: int,
    *,
    jobs: int = 1,
    stacks: Mapping[str, Sequence[ModelSpec]] = PUBLISHED_MODELS,
) -> dict[str, PairOutcome]:
    """Cross-validate the published sets and stacks on the cohort, as the publication did.

    On the published cohort the result is apparent: sets and stacks were chosen on it.

    Parameters
    ----------
    cohort
        As `modeling.read_cohort` gives it, without duplicates.
    seed
        Seed of the folds (42 in the toolkit) and models.
    jobs
        Models at work at once.
    stacks
        By pair, the base models; the published ones unless given.

    Returns
    -------
    dict
        By pair, out-of-fold probabilities.

    References
    ----------
    Wang et al. 2025, medRxiv 2025.02.12.25321163.
    """
    passes = BasePasses(*features_of(cohort), seed, jobs=jobs)
    found = {}
    for pair in map(pair_name, PAIRS):
        scores = passes.stack_scores(pair, PUBLISHED_FEATURES[pair], stacks[pair])
        found[pair] = PairOutcome(pair, passes.later(pair), scores)
    return found


def search_stacks(
    passes: BasePasses, pair: str, sites: Sequence[str], specs: Sequence[ModelSpec]
) -> StackSearch:
    """Score all combinations of base models on one pass of each."""
    passes.prepare(pair, sites, specs)
    later = passes.later(pair)
    return StackSearch(
        pair,
        tuple(sites),
        {
            stack: PairOutcome(pair, later, passes.stack_scores(pair, sites, stack))
            for stack in all_combinations(specs)
        },
    )


def nested_protocol(cohort: pd.DataFrame, recipe: PublishedRecipe, seed: int) -> Nested:
    """Cross-validate with feature sets and combinations chosen anew inside each fold.

    Parameters
    ----------
    cohort
        As for `published_protocol`.
    recipe
        What is fitted in each fold; not changed.
    seed
        Seed of the outer folds.
    """
    features, stages = features_of(cohort)
    scores = {pair_name(pair): np.zeros(len(stages)) for pair in PAIRS}
    sites: dict[str, list[tuple[str, ...]]] = {pair: [] for pair in scores}
    stacks: dict[str, list[tuple[ModelSpec, ...]]] = {pair: [] for pair in scores}
    folds = StratifiedKFold(OUTER_FOLDS, shuffle=True, random_state=seed)
    for seen, unseen in folds.split(features, stages):
        fitted = PublishedRecipe(**recipe.get_params(deep=False)).fit(
            features.iloc[seen], stages[seen]
        )
        for pair, found in fitted.pair_scores(features.iloc[unseen]).items():
            scores[pair][unseen] = found
            sites[pair].append(fitted.sites_[pair])
            stacks[pair].append(fitted.stacks_[pair])
    return Nested(
        {pair_name(pair): _among(pair, stages, scores[pair_name(pair)]) for pair in PAIRS},
        {pair: tuple(found) for pair, found in sites.items()},
        {pair: tuple(found) for pair, found in stacks.items()},
    )


def _among(pair: tuple[Any, Any], stages: npt.NDArray[Any], scores: Any) -> PairOutcome:
    chosen = np.isin(stages, pair)
    return PairOutcome(pair_name(pair), stages[chosen] == pair[1], scores[chosen])
