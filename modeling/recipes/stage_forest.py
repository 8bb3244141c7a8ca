"""The stage model: two forests over disturbed copies of the patients, one after the other."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import ExtraTreesRegressor

from modeling.cohort import FEATURE_COLUMNS, SITE_NAMES, Stage
from modeling.design import DESIGN, design_matrix, design_of, impute
from modeling.errors import InvalidFeatures
from modeling.flat_trees import flattened
from modeling.recipes.disturbance import STANDARD_DISTURBANCE, Disturbance
from modeling.stage_trees import StageTrees

__all__ = ["StageForest"]

FloatArray = npt.NDArray[np.float64]


class StageForest(ClassifierMixin, BaseEstimator):
    """Extremely randomised trees over `DESIGN` in two parts: A, B, or C and D; then C or D.

    The patients are joined by copies that differ from them as another scanner's values might, so
    that the stage depends less on an offset of all values and on single sites. The trees are
    regressions on indicators of the stages: the squared error over all indicators is the Gini
    impurity, and they are fitted a third faster.

    Parameters
    ----------
    random_state
        The seed; always pass one.
    n_trees, min_samples_leaf, max_features
        Settings of each forest: number of trees, rows in a leaf, share of the features tried at a
        split. The defaults were chosen by cross-validation on the published cohort.
    disturbance
        How the copies differ.

    Attributes
    ----------
    medians_
        float64, shape (43,): replaces a missing input, HU or years; of the patients as measured.
    trees_
        The fitted `StageTrees`, over imputed designs.
    classes_
        The four stages.
    feature_names_in_
        `FEATURE_COLUMNS`.

    References
    ----------
    Geurts P, Ernst D, Wehenkel L. Extremely randomized trees. Mach Learn 2006,
    doi 10.1007/s10994-006-6226-1.
    """

    def __init__(
        self,
        random_state: int | None = None,
        n_trees: int = 150,
        min_samples_leaf: int = 10,
        max_features: float = 0.3,
        disturbance: Disturbance = STANDARD_DISTURBANCE,
    ) -> None:
        self.random_state = random_state
        self.n_trees = n_trees
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features
        self.disturbance = disturbance

    def fit(self, X: pd.DataFrame, y: npt.ArrayLike) -> Self:
        """Fit on `FEATURE_COLUMNS` and stages.

        Raises
        ------
        InvalidFeatures
            Other columns, another order, a column of the design that no patient has, or a stage
            without patients.
        """
        measured = design_of(X)
        _check(measured, np.asarray(y, dtype=str))
        self.feature_names_in_ = np.array(FEATURE_COLUMNS, dtype=object)
        self.n_features_in_ = len(FEATURE_COLUMNS)
        self.medians_ = np.nanmedian(measured, axis=0)
        self.classes_ = np.array([stage.value for stage in Stage])
        columns = X.to_numpy(dtype=np.float64)
        sites = len(SITE_NAMES)
        blocks = 1 + self.disturbance.copies
        rows = impute(
            design_matrix(
                self.disturbance.applied(
                    columns[:, :sites], np.random.default_rng(self.random_state)
                ),
                np.tile(columns[:, sites], blocks),
                np.tile(columns[:, sites + 1], blocks),
            ),
            self.medians_,
        )
        stages = np.tile(np.asarray(y, dtype=str), blocks)
        is_late = np.isin(stages, (Stage.C, Stage.D))
        is_early = np.column_stack([stages == Stage.A, stages == Stage.B, is_late])
        self.trees_ = StageTrees(
            flattened(self._forest().fit(rows, is_early.astype(np.float64)), slice(0, 2)),
            flattened(
                self._forest().fit(rows[is_late], (stages[is_late] == Stage.D).astype(np.float64)),
                slice(0, 1),
            ),
        )
        return self

    def predict_proba(self, X: pd.DataFrame) -> FloatArray:
        """Give stage probabilities, float64, shape (n, 4), columns `classes_`."""
        return self.trees_.probabilities(impute(design_of(X), self.medians_))

    def predict(self, X: pd.DataFrame) -> npt.NDArray[Any]:
        """Give the most probable stage of each row, str, shape (n,)."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

    def _forest(self) -> ExtraTreesRegressor:
        return ExtraTreesRegressor(
            n_estimators=self.n_trees,
            min_samples_leaf=self.min_samples_leaf,
            max_features=self.max_features,
            random_state=self.random_state,
        )


def _check(design: FloatArray, stages: npt.NDArray[Any]) -> None:
    empty = np.asarray(np.isnan(design).all(axis=0))
    if empty.any():
        names = [f.name for f, none in zip(DESIGN, empty, strict=True) if none]
        raise InvalidFeatures(f"no patient has a value for {', '.join(names)}")
    absent = [stage for stage in Stage if not (stages == stage).any()]
    if absent:
        raise InvalidFeatures(f"no patient of stage {', '.join(absent)}")
