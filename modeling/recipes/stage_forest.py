"""The stage model: derived features, median imputation, one four-class forest."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import ExtraTreesClassifier

from modeling.cohort import FEATURE_COLUMNS
from modeling.design import DESIGN, design_of, impute
from modeling.errors import InvalidFeatures

__all__ = ["StageForest"]

FloatArray = npt.NDArray[np.float64]


class StageForest(ClassifierMixin, BaseEstimator):
    """Extremely randomised trees over `DESIGN`, for the four stages at once.

    Parameters
    ----------
    random_state
        The seed; always pass one.
    n_trees, min_samples_leaf, max_features
        Settings of the forest: number of trees, patients in a leaf, share of the features tried at
        a split. The defaults were chosen by cross-validation on the published cohort.

    Attributes
    ----------
    medians_
        float64, shape (69,): replaces a missing input, HU or years.
    forest_
        The fitted `ExtraTreesClassifier`, over imputed designs.
    classes_
        The stages seen, sorted.
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
        n_trees: int = 300,
        min_samples_leaf: int = 3,
        max_features: float = 0.3,
    ) -> None:
        self.random_state = random_state
        self.n_trees = n_trees
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features

    def fit(self, X: pd.DataFrame, y: npt.ArrayLike) -> Self:
        """Fit on `FEATURE_COLUMNS` and stages.

        Raises
        ------
        InvalidFeatures
            Other columns, another order, or a column of the design that no patient has.
        """
        matrix = design_of(X)
        empty = np.asarray(np.isnan(matrix).all(axis=0))
        if empty.any():
            names = [f.name for f, none in zip(DESIGN, empty, strict=True) if none]
            raise InvalidFeatures(f"no patient has a value for {', '.join(names)}")
        self.feature_names_in_ = np.array(FEATURE_COLUMNS, dtype=object)
        self.n_features_in_ = len(FEATURE_COLUMNS)
        self.medians_ = np.nanmedian(matrix, axis=0)
        self.forest_ = ExtraTreesClassifier(
            n_estimators=self.n_trees,
            min_samples_leaf=self.min_samples_leaf,
            max_features=self.max_features,
            random_state=self.random_state,
        ).fit(impute(matrix, self.medians_), np.asarray(y, dtype=str))
        self.classes_ = self.forest_.classes_
        return self

    def predict_proba(self, X: pd.DataFrame) -> FloatArray:
        """Give stage probabilities, float64, shape (n, stages), columns `classes_`."""
        return np.asarray(
            self.forest_.predict_proba(impute(design_of(X), self.medians_)), dtype=np.float64
        )

    def predict(self, X: pd.DataFrame) -> npt.NDArray[Any]:
        """Give the most probable stage of each row, str, shape (n,)."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])
