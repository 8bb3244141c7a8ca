"""SHAP values and interactions of patients by models that have not seen them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from modeling.calibration import PAIRS, pair_name
from modeling.cohort import SITE_NAMES, Stage
from modeling.design import DESIGN, USED_SITES, design_matrix, impute
from modeling.errors import InvalidFeatures
from modeling.evaluation.nested import NESTED_FOLDS
from modeling.pair_trees import PairCore, fit_pair
from modeling.recipes.stage_forest import StageForest
from modeling.staging import Contribution

__all__ = [
    "PairShares",
    "StageShares",
    "contributions",
    "foremost_and_partner",
    "mean_interactions",
    "mean_shares",
    "pair_shares",
    "stage_shares",
    "typical_patient",
]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PairShares:
    """SHAP values of the log-odds of a pair's later stage, patient by patient, out of fold.

    Parameters
    ----------
    rows
        int, shape (m,): the pair's patients, places in the cohort.
    mean_hu
        float64, shape (m, 32): HU of `USED_SITES`, NaN where missing.
    values
        float64, shape (m, 32): SHAP values in log-odds.
    base
        float64, shape (m,): log-odds before anything is known; one number a fold.
    interactions
        float64, shape (m, 32, 32): SHAP interaction values in log-odds; rows sum to ``values``.
    """

    rows: npt.NDArray[np.intp]
    mean_hu: FloatArray
    values: FloatArray
    base: FloatArray
    interactions: FloatArray

    @property
    def site_means(self) -> FloatArray:
        """Mean absolute SHAP value of each site, float64, shape (32,)."""
        return np.asarray(np.abs(self.values).mean(axis=0))


@dataclass(frozen=True)
class StageShares:
    """SHAP values of the four-class model's probabilities, patient by patient, out of fold.

    Parameters
    ----------
    design
        float64, shape (n, 43): inputs in the order of `DESIGN`, NaN where missing.
    values
        float64, shape (n, 43, 4): SHAP values in units of probability, stages A to D last.
    base
        float64, shape (n, 4): probabilities before anything is known; one row a fold.
    """

    design: FloatArray
    values: FloatArray
    base: FloatArray

    @property
    def probabilities(self) -> FloatArray:
        """Probabilities that the shares add up to, float64, shape (n, 4)."""
        return np.asarray(self.base + self.values.sum(axis=1))


def pair_shares(
    features: pd.DataFrame,
    stages: npt.NDArray[Any],
    seed: int,
    core: PairCore = PairCore.LIGHTGBM,
) -> dict[str, PairShares]:
    """Attribute each pair's log-odds to the sites, out of fold, by the network's boosted trees.

    The library's own contributions are exact tree SHAP values; interactions come from
    path-dependent tree SHAP.

    Parameters
    ----------
    features, stages
        As `modeling.cohort.features_of` gives them.
    seed
        Seed of folds and models.
    core
        The library that grows the trees.

    Raises
    ------
    InvalidFeatures
        Fewer patients of a stage than folds.

    References
    ----------
    Lundberg SM et al. From local explanations to global understanding with explainable AI for
    trees. Nat Mach Intell 2020, doi 10.1038/s42256-019-0138-9.
    """
    fewest = min(int((stages == stage).sum()) for stage in Stage)
    if fewest < NESTED_FOLDS:
        raise InvalidFeatures(
            f"{NESTED_FOLDS} folds need {NESTED_FOLDS} patients of each stage, found {fewest}"
        )
    return {pair_name(pair): _pair(features, stages, pair, seed, core) for pair in PAIRS}


def stage_shares(features: pd.DataFrame, stages: npt.NDArray[Any], seed: int) -> StageShares:
    """Attribute the four-class model's probabilities to its inputs, out of fold.

    The folds are those of `modeling.evaluation.nested.out_of_fold`: the shares add up to the
    probabilities that are scored.

    Parameters
    ----------
    features, stages, seed
        As for `pair_shares`.
    """
    values = features.to_numpy(dtype=np.float64)
    sites = len(SITE_NAMES)
    design = design_matrix(values[:, :sites], values[:, sites], values[:, sites + 1])
    found = np.zeros((*design.shape, len(Stage)))
    base = np.zeros((len(design), len(Stage)))
    folds = StratifiedKFold(NESTED_FOLDS, shuffle=True, random_state=seed)
    for seen, unseen in folds.split(features, stages):
        model = StageForest(random_state=seed).fit(features.iloc[seen], stages[seen])
        rows = impute(design[unseen], model.medians_)
        found[unseen] = [model.blend_.shares(row) for row in rows]
        base[unseen] = model.blend_.base
    return StageShares(design, found, base)


def contributions(shares: StageShares, patient: int, stage: Stage) -> tuple[Contribution, ...]:
    """Give one patient's shares as `Stager.explain` does, the largest first."""
    column = list(Stage).index(stage)
    found = [
        Contribution(
            feature.name, None if np.isnan(value) else float(value), float(share), feature.sites
        )
        for feature, value, share in zip(
            DESIGN, shares.design[patient], shares.values[patient, :, column], strict=True
        )
    ]
    return tuple(sorted(found, key=lambda contribution: -abs(contribution.shap)))


def typical_patient(shares: StageShares, stages: npt.NDArray[Any], stage: Stage) -> int:
    """Choose a typical patient of a stage: of median probability among those decided rightly.

    Where none is decided rightly, the choice is among all patients of the stage.
    """
    column = list(Stage).index(stage)
    own = np.flatnonzero(stages == stage)
    right = own[shares.probabilities[own].argmax(axis=1) == column]
    chosen = right if len(right) else own
    order = chosen[np.argsort(shares.probabilities[chosen, column], kind="stable")]
    return int(order[len(order) // 2])


def foremost_and_partner(shares: PairShares) -> tuple[int, int]:
    """Find a pair's foremost site and the one that it interacts with most.

    Returns
    -------
    tuple of int
        Places in `USED_SITES`: of the largest mean absolute SHAP value, and of the largest mean
        absolute interaction with it.
    """
    site = int(shares.site_means.argmax())
    with_it = np.abs(shares.interactions[:, site]).mean(axis=0)
    with_it[site] = -1.0
    return site, int(with_it.argmax())


def mean_shares(found: Mapping[str, PairShares]) -> pd.DataFrame:
    """Mean absolute SHAP value of each site in each pair: ``site``, then a column a pair."""
    frame = pd.DataFrame({pair: shares.site_means.round(5) for pair, shares in found.items()})
    frame.insert(0, "site", list(USED_SITES))
    return frame


def mean_interactions(found: Mapping[str, PairShares]) -> pd.DataFrame:
    """Mean absolute interaction of each two sites in each pair, both matrix entries together.

    Returns
    -------
    DataFrame
        ``pair``, ``site``, ``other site``, ``mean absolute interaction (log-odds)``; heavy ones
        first, those that are zero left out.
    """
    upper = np.triu_indices(len(USED_SITES), 1)
    rows = []
    for pair, shares in found.items():
        means = 2 * np.abs(shares.interactions).mean(axis=0)[upper]
        for place in np.argsort(-means, kind="stable"):
            if means[place] <= 0:
                break
            first, second = USED_SITES[upper[0][place]], USED_SITES[upper[1][place]]
            rows.append((pair, first, second, round(float(means[place]), 6)))
    columns = ["pair", "site", "other site", "mean absolute interaction (log-odds)"]
    return pd.DataFrame(rows, columns=columns)


def _pair(
    features: pd.DataFrame,
    stages: npt.NDArray[Any],
    pair: tuple[Stage, Stage],
    seed: int,
    core: PairCore,
) -> PairShares:
    rows = np.flatnonzero(np.isin(stages, pair))
    hu = features[list(USED_SITES)].to_numpy(dtype=np.float64)[rows]
    target = (stages[rows] == pair[1]).astype(int)
    values, base = np.zeros(hu.shape), np.zeros(len(rows))
    interactions = np.zeros((*hu.shape, hu.shape[1]))
    folds = StratifiedKFold(NESTED_FOLDS, shuffle=True, random_state=seed)
    for seen, unseen in folds.split(hu, target):
        model = fit_pair(hu[seen], target[seen], seed, core=core)
        values[unseen], base[unseen] = model.shares(hu[unseen])
        interactions[unseen] = model.interactions(hu[unseen])
    return PairShares(rows, hu, values, base, interactions)
