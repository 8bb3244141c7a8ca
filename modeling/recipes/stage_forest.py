"""The stage model: two forests and proportional odds over disturbed copies of the patients."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import LogisticRegression

from modeling.calibration import rounded
from modeling.cohort import FEATURE_COLUMNS, SITE_NAMES, Stage
from modeling.design import DESIGN, design_matrix, design_of, impute
from modeling.errors import InvalidFeatures
from modeling.flat_trees import flattened
from modeling.recipes.disturbance import STANDARD_DISTURBANCE, Disturbance
from modeling.stage_blend import StageBlend, StageOdds, StageTrees

__all__ = ["StageForest", "fitted_odds"]

FloatArray = npt.NDArray[np.float64]

ODDS_C = 0.002
"""Inverse strength of the penalty on the linear part's weights, as scikit-learn has it, over three
questions of each patient and each copy."""

CUT_SCALE = 10.0
"""Size of the inputs that stand for the cuts, so that the penalty hardly touches these."""


class StageForest(ClassifierMixin, BaseEstimator):
    """Extremely randomised trees in two parts (A, B, or C and D; then C or D), and a linear part.

    All over `DESIGN`; the linear part is proportional odds, a fifth of the probabilities
    (`modeling.stage_blend.ODDS_PART`).

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
    blend_
        The fitted `StageBlend`, over imputed designs.
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
        trees = StageTrees(
            flattened(self._forest().fit(rows, is_early.astype(np.float64)), slice(0, 2)),
            flattened(
                self._forest().fit(rows[is_late], (stages[is_late] == Stage.D).astype(np.float64)),
                slice(0, 1),
            ),
        )
        self.blend_ = StageBlend(trees, fitted_odds(rows, stages))
        return self

    def predict_proba(self, X: pd.DataFrame) -> FloatArray:
        """Give stage probabilities, float64, shape (n, 4), columns `classes_`."""
        return self.blend_.probabilities(impute(design_of(X), self.medians_))

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


def fitted_odds(rows: FloatArray, stages: npt.NDArray[Any]) -> StageOdds:
    """Fit proportional odds by one ridge regression of the three questions "later than this?".

    The questions share the inputs' weights and have a cut each: the sum of their three
    log-likelihoods is maximised, with a penalty on the weights of standardised inputs.

    Parameters
    ----------
    rows
        float64, shape (n, features): imputed designs.
    stages
        str, shape (n,).
    """
    middle, spread = rows.mean(axis=0), rows.std(axis=0)
    spread[spread == 0] = 1.0
    level = (rows - middle) / spread
    order = np.array([list(Stage).index(Stage(stage)) for stage in stages])
    cuts = len(Stage) - 1
    inputs = np.vstack(
        [np.c_[level, np.tile(CUT_SCALE * np.eye(cuts)[k], (len(level), 1))] for k in range(cuts)]
    )
    later = np.concatenate([order > k for k in range(cuts)])
    model = LogisticRegression(
        C=ODDS_C, fit_intercept=False, solver="newton-cholesky", tol=1e-8
    ).fit(inputs, later)
    weights = model.coef_[0, :-cuts] / spread
    return StageOdds(
        *(
            np.array([rounded(float(value)) for value in values])
            for values in (middle, weights, CUT_SCALE * model.coef_[0, -cuts:])
        )
    )


def _check(design: FloatArray, stages: npt.NDArray[Any]) -> None:
    empty = np.asarray(np.isnan(design).all(axis=0))
    if empty.any():
        names = [f.name for f, none in zip(DESIGN, empty, strict=True) if none]
        raise InvalidFeatures(f"no patient has a value for {', '.join(names)}")
    absent = [stage for stage in Stage if not (stages == stage).any()]
    if absent:
        raise InvalidFeatures(f"no patient of stage {', '.join(absent)}")
