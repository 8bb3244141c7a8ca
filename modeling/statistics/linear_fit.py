"""Penalised linear models of a stage pair, with everything that is fitted inside the folds."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import StratifiedKFold

from modeling.statistics.delong import Auroc, auroc_of_folds

__all__ = [
    "FORMULA_FOLDS",
    "FULL_SCORE",
    "KINDS",
    "FormulaKind",
    "LinearFit",
    "Penalty",
    "Target",
    "chosen_strength",
    "fit_linear",
    "nested_auroc",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

FORMULA_FOLDS = 5
"""Folds of the inner and of the outer cross-validation of the formulas."""

L1_SHARE = 0.5
"""Share of the L1 part in the elastic net's penalty (the published toolkit's number)."""

FULL_SCORE = 100.0
"""Linear score of the later stage; that of the earlier is 0 (the published toolkit's numbers)."""

MAX_ITERATIONS = 10_000
"""Limit of the solvers' iterations; they stop long before."""

TOLERANCE = 1e-3
"""Relative change of the coefficients at which the logistic solver with an L1 part stops."""


class Target(StrEnum):
    """What a formula predicts.

    LOGISTIC: the logit of the later stage, by logistic regression. LINEAR_SCORE: 0 for the
    earlier and 100 for the later stage, by least squares, as the published toolkit does.
    """

    LOGISTIC = "logistic"
    LINEAR_SCORE = "linear score"


class Penalty(StrEnum):
    """The penalty that keeps the coefficients small."""

    LASSO = "lasso"
    ELASTIC_NET = "elastic net"
    RIDGE = "ridge"
    NONE = "none"


STRENGTHS = {
    Penalty.LASSO: tuple(np.geomspace(0.002, 0.3, 10).tolist()),
    Penalty.ELASTIC_NET: tuple(np.geomspace(0.004, 0.6, 10).tolist()),
    Penalty.RIDGE: tuple(np.geomspace(0.01, 30.0, 10).tolist()),
    Penalty.NONE: (0.0,),
}
"""Penalties tried, per patient and on standardised sites; the largest leave little or nothing."""


@dataclass(frozen=True)
class FormulaKind:
    """Target and penalty of a formula."""

    target: Target
    penalty: Penalty

    def __str__(self) -> str:
        return f"{self.target}, {'no' if self.penalty is Penalty.NONE else self.penalty} penalty"


KINDS: tuple[FormulaKind, ...] = (
    *(FormulaKind(Target.LOGISTIC, p) for p in Penalty if p is not Penalty.NONE),
    *(FormulaKind(Target.LINEAR_SCORE, p) for p in Penalty),
)
"""All kinds. Logistic regression without a penalty is left out: where 32 sites part the two
stages, as they can in small samples, its coefficients grow without bound."""


@dataclass(frozen=True)
class LinearFit:
    """A fit with the medians and scales of its own training patients."""

    medians: FloatArray
    per_sd: FloatArray
    per_hu: FloatArray
    intercept: float

    def score(self, x: FloatArray) -> FloatArray:
        """Score patients from HU with gaps: the logit, or the linear score."""
        return self.intercept + np.where(np.isnan(x), self.medians, x) @ self.per_hu


def fit_linear(
    kind: FormulaKind, strength: float, x: FloatArray, y: BoolArray, seed: int
) -> LinearFit:
    """Fit a kind of formula at a given penalty.

    Parameters
    ----------
    x
        float64, shape (n, p): HU, NaN where missing.
    y
        bool, shape (n,): whether the later stage.
    """
    medians = np.nanmedian(x, axis=0)
    filled = np.where(np.isnan(x), medians, x)
    mean, sd = filled.mean(axis=0), filled.std(axis=0)
    sd = np.where(sd > 0, sd, 1.0)
    model = _model(kind, strength, len(y), seed)
    if kind.target is Target.LOGISTIC:
        model.fit((filled - mean) / sd, y)
        per_sd, intercept = model.coef_[0], float(model.intercept_[0])
    else:
        model.fit((filled - mean) / sd, y.astype(np.float64))
        per_sd, intercept = model.coef_ * FULL_SCORE, float(model.intercept_) * FULL_SCORE
    per_hu = per_sd / sd
    return LinearFit(medians, per_sd, per_hu, intercept - float(mean @ per_hu))


def _model(kind: FormulaKind, strength: float, patients: int, seed: int) -> Any:
    l1_share = {Penalty.LASSO: 1.0, Penalty.ELASTIC_NET: L1_SHARE}.get(kind.penalty, 0.0)
    if kind.target is Target.LOGISTIC:
        inverse = 1 / (patients * strength)
        if not l1_share:
            return LogisticRegression(C=inverse, max_iter=MAX_ITERATIONS)
        return LogisticRegression(
            C=inverse,
            l1_ratio=l1_share,
            solver="saga",
            tol=TOLERANCE,
            max_iter=MAX_ITERATIONS,
            random_state=seed,
        )
    if kind.penalty is Penalty.NONE:
        return LinearRegression()
    if kind.penalty is Penalty.RIDGE:
        return Ridge(alpha=patients * strength)
    return ElasticNet(alpha=strength, l1_ratio=l1_share, max_iter=MAX_ITERATIONS)


def chosen_strength(kind: FormulaKind, x: FloatArray, y: BoolArray, seed: int) -> float:
    """The penalty with the least loss over inner folds."""
    offered = STRENGTHS[kind.penalty]
    if len(offered) == 1:
        return offered[0]
    losses = np.zeros(len(offered))
    for seen, unseen in _folds(y, seed):
        for k, strength in enumerate(offered):
            score = fit_linear(kind, strength, x[seen], y[seen], seed).score(x[unseen])
            losses[k] += _loss(kind, score, y[unseen])
    return offered[int(np.argmin(losses))]


def nested_auroc(kind: FormulaKind, x: FloatArray, y: BoolArray, seed: int) -> Auroc:
    """The area of formulas in folds that they have not seen; penalties chosen without them."""
    found = []
    for seen, unseen in _folds(y, seed):
        strength = chosen_strength(kind, x[seen], y[seen], seed)
        score = fit_linear(kind, strength, x[seen], y[seen], seed).score(x[unseen])
        found.append((score[y[unseen]], score[~y[unseen]]))
    return auroc_of_folds(found)


def _folds(y: BoolArray, seed: int) -> list[tuple[Any, Any]]:
    folds = StratifiedKFold(FORMULA_FOLDS, shuffle=True, random_state=seed)
    return list(folds.split(np.zeros((len(y), 1)), y))


def _loss(kind: FormulaKind, score: FloatArray, y: BoolArray) -> float:
    """Summed over patients: the logistic deviance (halved), or the squared error."""
    if kind.target is Target.LOGISTIC:
        return float(np.logaddexp(0, np.where(y, -score, score)).sum())
    return float(((score - FULL_SCORE * y) ** 2).sum())
