"""The boosted trees of a pair of stages that explanations and the network rest on."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.explainers import tree_explainer

__all__ = ["PAIR_ROUNDS", "PAIR_TREES", "PairCore", "PairModel", "fit_pair"]

FloatArray = npt.NDArray[np.float64]

HeldOut = tuple[FloatArray, npt.NDArray[np.int_]] | None
"""HU and target of patients on which boosting is stopped early."""


class PairCore(StrEnum):
    """The library that grows a pair's trees; the published toolkit has the same three."""

    LIGHTGBM = "LightGBM"
    XGBOOST = "XGBoost"
    CATBOOST = "CatBoost"


PAIR_TREES: Mapping[str, Any] = MappingProxyType(
    {
        "objective": "binary",
        "metric": "binary_logloss",
        "learning_rate": 0.05,
        "num_leaves": 10,
        "max_bin": 512,
        "num_threads": 1,
        "deterministic": True,
        "force_col_wise": True,
        "verbose": -1,
    }
)
"""LightGBM's parameters: the numbers of Wang 2025, one thread and fixed order for repeatability."""

XGBOOST_TREES: Mapping[str, Any] = MappingProxyType(
    {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "tree_method": "hist",
        "learning_rate": 0.05,
        "grow_policy": "lossguide",
        "max_leaves": 10,
        "max_depth": 0,
        "max_bin": 512,
        "nthread": 1,
        "verbosity": 0,
    }
)
"""XGBoost's parameters: trees of the size of `PAIR_TREES`."""

CATBOOST_TREES: Mapping[str, Any] = MappingProxyType(
    {
        "learning_rate": 0.05,
        "depth": 3,
        "thread_count": 1,
        "verbose": False,
        "allow_writing_files": False,
    }
)
"""CatBoost's parameters: its trees are symmetric, so eight leaves come nearest to ten."""

PAIR_ROUNDS = 40
"""Boosting rounds of every model. The rounds of least cross-validated log-loss of the six pairs
of the published cohort lie between 15 and 60; early stopping on one fifth picks 2 to 230. One
number for all keeps pairs, resamples and nulls comparable: an interaction grows with the rounds."""


@dataclass(frozen=True)
class PairModel:
    """A fitted core, and what its log-odds of the later stage rest on.

    Parameters
    ----------
    core
        `PairCore`.
    booster
        The library's own model.
    """

    core: PairCore
    booster: Any

    def shares(self, mean_hu: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give exact tree SHAP values as the library computes them.

        Parameters
        ----------
        mean_hu
            float64, shape (n, sites): HU, NaN where missing.

        Returns
        -------
        tuple
            float64, shape (n, sites), in log-odds; float64, shape (n,): the log-odds before
            anything is known.
        """
        if self.core is PairCore.LIGHTGBM:
            found = np.asarray(self.booster.predict(mean_hu, pred_contrib=True))
        elif self.core is PairCore.XGBOOST:
            found = self._xgboost(mean_hu, pred_contribs=True)
        else:
            found = self._catboost(mean_hu, "ShapValues")
        return found[:, :-1], found[:, -1]

    def interactions(self, mean_hu: FloatArray) -> FloatArray:
        """Give path-dependent SHAP interactions: LightGBM's by shap, the others' by themselves.

        Returns
        -------
        ndarray
            float64, shape (n, sites, sites), in log-odds; rows sum to `shares`, an interaction
            is halved between its two entries.

        References
        ----------
        Lundberg SM et al. From local explanations to global understanding with explainable AI
        for trees. Nat Mach Intell 2020, doi 10.1038/s42256-019-0138-9.
        """
        if self.core is PairCore.XGBOOST:
            return self._xgboost(mean_hu, pred_interactions=True)[:, :-1, :-1]
        if self.core is PairCore.CATBOOST:
            return self._catboost(mean_hu, "ShapInteractionValues")[:, :-1, :-1]
        if not self.booster.feature_importance().any():
            return np.zeros((*mean_hu.shape, mean_hu.shape[1]))
        return np.asarray(tree_explainer(self.booster).shap_interaction_values(mean_hu))

    def _xgboost(self, mean_hu: FloatArray, **what: bool) -> FloatArray:
        import xgboost

        rounds = (0, self.booster.best_iteration + 1) if self._stopped else (0, 0)
        found = self.booster.predict(xgboost.DMatrix(mean_hu), iteration_range=rounds, **what)
        return np.asarray(found, dtype=np.float64)

    @property
    def _stopped(self) -> bool:
        return "best_iteration" in self.booster.attributes()

    def _catboost(self, mean_hu: FloatArray, what: str) -> FloatArray:
        from catboost import Pool

        return np.asarray(
            self.booster.get_feature_importance(Pool(mean_hu), type=what, thread_count=1)
        )


def fit_pair(
    mean_hu: FloatArray,
    target: npt.NDArray[np.int_],
    seed: int,
    *,
    core: PairCore = PairCore.LIGHTGBM,
    rounds: int = PAIR_ROUNDS,
    held_out: HeldOut = None,
    patience: int = 0,
) -> PairModel:
    """Fit a pair's trees.

    Parameters
    ----------
    mean_hu
        float64, shape (n, sites): HU, NaN where missing.
    target
        int, shape (n,): 1 for the later stage.
    seed
        Seed of the core.
    core
        Which library.
    rounds
        Boosting rounds, at most.
    held_out
        HU and target of patients on which boosting is stopped early; None for all rounds.
    patience
        Rounds without gain on them before it stops.
    """
    if core is PairCore.LIGHTGBM:
        booster = _lightgbm(mean_hu, target, seed, rounds, held_out, patience)
    elif core is PairCore.XGBOOST:
        booster = _xgboost(mean_hu, target, seed, rounds, held_out, patience)
    else:
        booster = _catboost(mean_hu, target, seed, rounds, held_out, patience)
    return PairModel(core, booster)


def _lightgbm(
    mean_hu: FloatArray,
    target: npt.NDArray[np.int_],
    seed: int,
    rounds: int,
    held_out: HeldOut,
    patience: int,
) -> Any:
    import lightgbm

    stopping: dict[str, Any] = {}
    if held_out is not None:
        stopping = {
            "valid_sets": [lightgbm.Dataset(*held_out)],
            "callbacks": [lightgbm.early_stopping(patience, verbose=False)],
        }
    return lightgbm.train(
        {**PAIR_TREES, "seed": seed}, lightgbm.Dataset(mean_hu, target), rounds, **stopping
    )


def _xgboost(
    mean_hu: FloatArray,
    target: npt.NDArray[np.int_],
    seed: int,
    rounds: int,
    held_out: HeldOut,
    patience: int,
) -> Any:
    import xgboost

    stopping: dict[str, Any] = {}
    if held_out is not None:
        stopping = {
            "evals": [(xgboost.DMatrix(*held_out), "held_out")],
            "early_stopping_rounds": patience,
            "verbose_eval": False,
        }
    return xgboost.train(
        {**XGBOOST_TREES, "seed": seed}, xgboost.DMatrix(mean_hu, target), rounds, **stopping
    )


def _catboost(
    mean_hu: FloatArray,
    target: npt.NDArray[np.int_],
    seed: int,
    rounds: int,
    held_out: HeldOut,
    patience: int,
) -> Any:
    from catboost import CatBoostClassifier, Pool

    stopping: dict[str, Any] = {}
    if held_out is not None:
        stopping = {"eval_set": Pool(*held_out), "early_stopping_rounds": patience}
    model = CatBoostClassifier(iterations=rounds, random_seed=seed, **CATBOOST_TREES)
    return model.fit(mean_hu, target, **stopping)
