"""A linear stage model over the same inputs as the forests, for comparison."""

from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from modeling.design import design_of, impute

__all__ = ["StageRegression"]


class StageRegression(ClassifierMixin, BaseEstimator):
    """Multinomial ridge regression over `modeling.design.DESIGN`.

    Parameters
    ----------
    random_state
        The seed; unused, as the solvers draw nothing, but every recipe takes one.
    C
        Inverse strength of the ridge penalty on standardised inputs.

    Attributes
    ----------
    medians_
        float64, shape (43,): replaces a missing input, HU or years.
    classes_
        The stages seen, sorted.
    """

    def __init__(
        self,
        random_state: int | None = None,
        C: float = 0.01,
    ) -> None:
        self.random_state = random_state
        self.C = C

    def fit(self, X: pd.DataFrame, y: npt.ArrayLike) -> Self:
        """Fit on `modeling.cohort.FEATURE_COLUMNS` and stages."""
        matrix = design_of(X)
        self.medians_ = np.nanmedian(matrix, axis=0)
        self.scaler_ = StandardScaler().fit(impute(matrix, self.medians_))
        self.model_ = LogisticRegression(C=self.C, max_iter=2000).fit(
            self._inputs(matrix), np.asarray(y, dtype=str)
        )
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Give stage probabilities, float64, shape (n, stages), columns `classes_`."""
        return np.asarray(self.model_.predict_proba(self._inputs(design_of(X))), dtype=np.float64)

    def _inputs(self, matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(self.scaler_.transform(impute(matrix, self.medians_)))
