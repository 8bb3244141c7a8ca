"""How strongly two sites act together when a model tells two stages apart."""

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from modeling.pair_trees import PairCore, fit_pair
from network.errors import StageTooSmall

__all__ = ["HELD_OUT", "LEAST_OF_A_STAGE", "MIN_PATIENTS", "interaction_sums"]

FloatArray = npt.NDArray[np.float64]

HELD_OUT = 0.2
"""Share of patients on which boosting is stopped early (Wang 2025)."""

MIN_PATIENTS = 5
"""Patients that each stage of a pair needs: with fewer, the held-out fifth lacks a stage."""

LEAST_OF_A_STAGE = 2 * MIN_PATIENTS
"""Patients of each stage, so that stages drawn from a model seldom fall below `MIN_PATIENTS`."""

MAX_TREES = 1000
"""Boosting rounds at most (Wang 2025)."""

PATIENCE = 50
"""Rounds without gain on the held-out patients before boosting stops (Wang 2025)."""


def interaction_sums(
    mean_hu: FloatArray,
    is_later: npt.NDArray[np.bool_],
    seed: int,
    core: PairCore = PairCore.LIGHTGBM,
) -> FloatArray:
    """Sum the absolute SHAP interaction of each two sites over the patients.

    One gradient-boosted model is fitted with early stopping on a held-out fifth; the interactions
    are taken over all patients, as published.

    Parameters
    ----------
    mean_hu
        float64, shape (n, sites), HU, NaN where missing.
    is_later
        bool, shape (n,): whether a patient is of the pair's later stage.
    seed
        Seed of the split and the model.
    core
        The library that grows the trees.

    Returns
    -------
    ndarray
        float64, shape (sites, sites): symmetric, zero diagonal, in log-odds summed over patients.
        SHAP halves an interaction between its two entries; one entry stands here, and the
        published cutoff refers to it.

    Raises
    ------
    StageTooSmall
        Fewer than `MIN_PATIENTS` of a stage.
    """
    counts = (int((~is_later).sum()), int(is_later.sum()))
    if min(counts) < MIN_PATIENTS:
        raise StageTooSmall(
            f"at least {MIN_PATIENTS} patients of each stage needed, found {counts[0]} and "
            f"{counts[1]}"
        )
    target = is_later.astype(int)
    seen, unseen = train_test_split(
        np.arange(len(target)), test_size=HELD_OUT, random_state=seed, stratify=target
    )
    model = fit_pair(
        mean_hu[seen],
        target[seen],
        seed,
        core=core,
        rounds=MAX_TREES,
        held_out=(mean_hu[unseen], target[unseen]),
        patience=PATIENCE,
    )
    sums = np.abs(model.interactions(mean_hu)).sum(axis=0)
    np.fill_diagonal(sums, 0.0)
    return np.asarray((sums + sums.T) / 2, dtype=np.float64)
