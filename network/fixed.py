"""Interactions by models of a fixed number of boosting rounds, so that networks compare."""

from collections.abc import Mapping, Sequence

import lightgbm
import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from modeling.calibration import PAIRS, pair_name
from modeling.cohort import Stage
from modeling.design import USED_SITES
from modeling.pair_trees import PAIR_ROUNDS, PAIR_TREES, PairCore, fit_pair
from network.errors import StageTooSmall
from network.interactions import HELD_OUT, MIN_PATIENTS

__all__ = [
    "ROUNDS",
    "SITE_PAIRS",
    "SPLITS",
    "SiteSets",
    "fixed_interactions",
    "of_site_pairs",
    "pair_columns",
    "rounds_curve",
]

FloatArray = npt.NDArray[np.float64]

SiteSets = Mapping[str, Sequence[str]]
"""By stage pair such as ``A/B``, the sites that its models see."""

ROUNDS = PAIR_ROUNDS
"""Boosting rounds of every model."""

SPLITS = 4
"""Models a pair, each without its own fifth of the patients; their interactions are averaged."""

SITE_PAIRS: tuple[tuple[str, str], ...] = tuple(
    (USED_SITES[i], USED_SITES[j])
    for i, j in zip(*np.triu_indices(len(USED_SITES), 1), strict=True)
)
"""The 496 pairs of sites, in the order of the interactions' last axis."""

_UPPER = np.triu_indices(len(USED_SITES), 1)


def fixed_interactions(
    mean_hu: FloatArray,
    stages: npt.NDArray[np.str_],
    seed: int,
    *,
    splits: int = SPLITS,
    rounds: int = ROUNDS,
    core: PairCore = PairCore.LIGHTGBM,
    sets: SiteSets | None = None,
) -> FloatArray:
    """Sum the absolute SHAP interactions over patients for each pair of stages.

    As `network.interactions.interaction_sums`, in-sample as published, with a fixed number of
    rounds in place of early stopping; the held-out fifth only varies the models.

    Parameters
    ----------
    mean_hu
        float64, shape (n, 32), HU of `USED_SITES`, NaN where missing.
    stages
        str, shape (n,).
    seed
        Seed of the first split; each further split adds one.
    splits, rounds
        Models for each pair, and the boosting rounds of each.
    core
        The library that grows the trees.
    sets
        The sites that each pair's models see; None for all. Others have no interaction.

    Returns
    -------
    ndarray
        float64, shape (6, 496): by `PAIRS` and `SITE_PAIRS`, log-odds summed over patients.

    Raises
    ------
    StageTooSmall
        A stage has fewer than `MIN_PATIENTS`.
    """
    found = np.zeros((len(PAIRS), len(SITE_PAIRS)))
    for place, pair in enumerate(PAIRS):
        rows = np.isin(stages, pair)
        columns = pair_columns(pair, sets)
        hu, target = mean_hu[rows][:, columns], (stages[rows] == pair[1]).astype(int)
        fewest = int(min(target.sum(), len(target) - target.sum()))
        if fewest < MIN_PATIENTS:
            raise StageTooSmall(
                f"at least {MIN_PATIENTS} patients of each stage needed, found {fewest}"
            )
        for split in range(splits):
            seen, _ = train_test_split(
                np.arange(len(target)),
                test_size=HELD_OUT,
                random_state=seed + split,
                stratify=target,
            )
            model = fit_pair(hu[seen], target[seen], seed + split, core=core, rounds=rounds)
            sums = np.abs(model.interactions(hu)).sum(axis=0)
            found[place] += of_site_pairs((sums + sums.T) / 2, columns) / splits
    return found


def pair_columns(pair: tuple[Stage, Stage], sets: SiteSets | None) -> npt.NDArray[np.intp]:
    """Give the places in `USED_SITES` that a pair's models see."""
    sites = USED_SITES if sets is None else sets[pair_name(pair)]
    return np.array([USED_SITES.index(site) for site in sites], dtype=np.intp)


def of_site_pairs(sums: FloatArray, columns: npt.NDArray[np.intp]) -> FloatArray:
    """Spread a matrix between some sites over all of `SITE_PAIRS`, 0 where a site is not there.

    Parameters
    ----------
    sums
        float64, shape (k, k): symmetric.
    columns
        int, shape (k,): places in `USED_SITES`.

    Returns
    -------
    ndarray
        float64, shape (496,).
    """
    whole = np.zeros((len(USED_SITES), len(USED_SITES)))
    whole[np.ix_(columns, columns)] = sums
    return np.asarray(whole[_UPPER])


def rounds_curve(
    mean_hu: FloatArray, stages: npt.NDArray[np.str_], seed: int, most: int = 150, repeats: int = 3
) -> FloatArray:
    """Compute the cross-validated log-loss after each round, the mean over repeats.

    Parameters
    ----------
    mean_hu, stages
        As for `fixed_interactions`.
    seed
        Seed of the models and of the first repeat's folds; each further repeat adds one.
    most
        Boosting rounds.
    repeats
        Times that the 5-fold cross-validation is done.

    Returns
    -------
    ndarray
        float64, shape (6, most): by `PAIRS` and round.
    """
    found = np.zeros((len(PAIRS), most))
    for place, pair in enumerate(PAIRS):
        rows = np.isin(stages, pair)
        target = (stages[rows] == pair[1]).astype(int)
        for repeat in range(repeats):
            scores = lightgbm.cv(
                {**PAIR_TREES, "seed": seed},
                lightgbm.Dataset(mean_hu[rows], target),
                most,
                nfold=5,
                stratified=True,
                seed=seed + repeat,
            )
            found[place] += np.asarray(scores["valid binary_logloss-mean"]) / repeats
    return found
