"""The base models of the published method: random forest, LightGBM, XGBoost and CatBoost."""

import threading
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.errors import UnknownParameter

__all__ = ["BaseModel", "ModelSpec", "build_model", "fit_model"]


class BaseModel(StrEnum):
    """The four base models."""

    RANDOM_FOREST = "RandomForest"
    LIGHTGBM = "LightGBM"
    XGBOOST = "XGBoost"
    CATBOOST = "CatBoost"


ONE_AT_A_TIME = threading.Lock()
"""Held while CatBoost is fitted: two threads that end their fits at once may crash the process."""

PARAMETERS: Mapping[BaseModel, tuple[str, ...]] = {
    BaseModel.RANDOM_FOREST: (
        "class_weight",
        "max_depth",
        "max_features",
        "min_samples_leaf",
        "n_estimators",
    ),
    BaseModel.LIGHTGBM: (
        "class_weight",
        "colsample_bytree",
        "learning_rate",
        "max_depth",
        "min_child_samples",
        "n_estimators",
        "num_leaves",
        "reg_alpha",
        "reg_lambda",
        "subsample",
        "subsample_freq",
    ),
    BaseModel.XGBOOST: (
        "colsample_bytree",
        "learning_rate",
        "max_depth",
        "min_child_weight",
        "n_estimators",
        "reg_alpha",
        "reg_lambda",
        "scale_pos_weight",
        "subsample",
    ),
    BaseModel.CATBOOST: (
        "depth",
        "iterations",
        "l2_leaf_reg",
        "learning_rate",
        "rsm",
    ),
}
"""Parameters that may be set. XGBoost and LightGBM ignore unknown names, so anything else is
refused; seed and threads are given apart."""


@dataclass(frozen=True)
class ModelSpec:
    """A base model and its parameters; hashable, so that a pass can be kept under it.

    Parameters
    ----------
    model
        Which of the four.
    parameters
        Names and values, sorted by name; what is absent has the library's default.

    Examples
    --------
    >>> ModelSpec.of(BaseModel.XGBOOST, n_estimators=1500, max_depth=5).parameters
    (('max_depth', 5), ('n_estimators', 1500))
    """

    model: BaseModel
    parameters: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        known = PARAMETERS[self.model]
        unknown = [name for name, _ in self.parameters if name not in known]
        if unknown:
            raise UnknownParameter(self.model.value, unknown, known)

    @classmethod
    def of(cls, model: BaseModel, **parameters: Any) -> "ModelSpec":
        """Make one from keywords.

        Raises
        ------
        UnknownParameter
            A name that the model would ignore.
        """
        return cls(model, tuple(sorted(parameters.items())))

    def __str__(self) -> str:
        """Give the model and its parameters in a line."""
        return f"{self.model}({', '.join(f'{name}={value}' for name, value in self.parameters)})"


def build_model(spec: ModelSpec, seed: int, threads: int = 1) -> Any:
    """Make an unfitted scikit-learn classifier.

    Missing values stay NaN, as in the published method: all four send them down a side that is
    learned in training. Nothing is imputed.

    Parameters
    ----------
    spec
        Model and parameters.
    seed
        Seed of everything that the model draws.
    threads
        Threads that the model may use.

    References
    ----------
    Breiman L. Random forests. Mach Learn 2001, doi 10.1023/A:1010933404324.
    Ke G et al. LightGBM: a highly efficient gradient boosting decision tree. NeurIPS 2017.
    Chen T, Guestrin C. XGBoost: a scalable tree boosting system. KDD 2016,
    doi 10.1145/2939672.2939785.
    Prokhorenkova L et al. CatBoost: unbiased boosting with categorical features. NeurIPS 2018.
    """
    given = dict(spec.parameters)
    if spec.model is BaseModel.RANDOM_FOREST:
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(**given, random_state=seed, n_jobs=threads)
    if spec.model is BaseModel.LIGHTGBM:
        from lightgbm import LGBMClassifier

        return LGBMClassifier(
            **given, random_state=seed, n_jobs=threads, verbose=-1, deterministic=True
        )
    if spec.model is BaseModel.XGBOOST:
        from xgboost import XGBClassifier

        return XGBClassifier(**given, random_state=seed, n_jobs=threads, verbosity=0)
    from catboost import CatBoostClassifier

    return CatBoostClassifier(
        **given,
        random_seed=seed,
        thread_count=threads,
        verbose=False,
        allow_writing_files=False,
    )


def fit_model(
    spec: ModelSpec,
    matrix: npt.NDArray[np.float64],
    later: npt.NDArray[np.bool_],
    seed: int,
    threads: int = 1,
) -> Any:
    """Fit a base model for a pair; it predicts on one thread, so that sums have one order.

    Parameters
    ----------
    spec, seed, threads
        As for `build_model`.
    matrix
        float64, shape (n, features): NaN where missing.
    later
        bool, shape (n,): True for the later stage.
    """
    with ONE_AT_A_TIME if spec.model is BaseModel.CATBOOST else nullcontext():
        model = build_model(spec, seed, threads).fit(matrix, later)
    if spec.model is BaseModel.RANDOM_FOREST:
        model.set_params(n_jobs=1)
    return model
