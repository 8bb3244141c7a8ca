"""Pair scores, their sigmoid calibration, and prediction sets with a stated coverage."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.cohort import Stage

__all__ = [
    "COVERAGE",
    "OSTEOPOROTIC",
    "PAIRS",
    "PROBABILITY_FLOOR",
    "Osteoporosis",
    "OsteoporosisLimits",
    "Sigmoid",
    "fit_conformal",
    "fit_osteoporosis_limits",
    "fit_sigmoids",
    "fitted_sigmoid",
    "most_probable",
    "osteoporosis_set",
    "pair_name",
    "pair_scores",
    "prediction_set",
]

FloatArray = npt.NDArray[np.float64]

COVERAGE = 0.9
"""The share of patients of each stage whose prediction set should contain it."""

PROBABILITY_FLOOR = 1e-4
"""Probabilities are floored to this before logarithms: 150 trees whose leaves hold 10 rows resolve
little less."""

FITTED_DIGITS = 10
"""Significant digits of fitted numbers, so that a bundle does not depend on a CPU's last bits."""

PAIRS: tuple[tuple[Stage, Stage], ...] = tuple(combinations(Stage, 2))
"""The six pairs, earlier stage first."""


OSTEOPOROTIC = frozenset((Stage.C, Stage.D))
"""Stages with osteoporosis, a T-score of -2.5 or lower, without and with a fracture."""


class Osteoporosis(StrEnum):
    """The answer to whether a patient's values are those of osteoporosis (C or D)."""

    YES = "yes"
    NO = "no"
    UNDETERMINED = "undetermined"


@dataclass(frozen=True)
class OsteoporosisLimits:
    """What P(C) + P(D) must be to rule one answer out.

    Parameters
    ----------
    no_below
        Below this, osteoporosis is ruled out.
    yes_above
        Above this, its absence is ruled out; not below ``no_below``.
    """

    no_below: float
    yes_above: float


@dataclass(frozen=True)
class Sigmoid:
    """Calibrated probability 1 / (1 + exp(-(slope * score + intercept))) of the later stage."""

    slope: float
    intercept: float

    def __call__(self, score: float) -> float:
        """Calibrate one pair score.

        >>> Sigmoid(1.0, 0.0)(0.0)
        0.5
        """
        z = self.slope * score + self.intercept
        return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def pair_name(pair: tuple[Stage, Stage]) -> str:
    """Name a pair, earlier stage first, such as ``A/B``."""
    return f"{pair[0]}/{pair[1]}"


def pair_scores(probabilities: FloatArray) -> dict[str, FloatArray]:
    """Score each pair by log p_later - log p_earlier.

    Parameters
    ----------
    probabilities
        float64, shape (n, 4): columns A to D.

    Returns
    -------
    dict
        By pair name, float64, shape (n,): above 0 where the later stage is more probable.
    """
    logs = np.log(np.maximum(probabilities, PROBABILITY_FLOOR))
    order = list(Stage)
    return {pair_name((a, b)): logs[:, order.index(b)] - logs[:, order.index(a)] for a, b in PAIRS}


def fit_sigmoids(scores: Mapping[str, FloatArray], stages: npt.NDArray[Any]) -> dict[str, Sigmoid]:
    """Fit one sigmoid a pair, on out-of-fold scores of that pair's patients only.

    Parameters
    ----------
    scores
        By pair name, float64, shape (n,): out of fold, as `pair_scores` gives them.
    stages
        str, shape (n,).

    References
    ----------
    Platt J. Probabilistic outputs for support vector machines. 1999.
    """
    found = {}
    for pair in PAIRS:
        chosen = np.isin(stages, pair)
        found[pair_name(pair)] = fitted_sigmoid(
            scores[pair_name(pair)][chosen], stages[chosen] == pair[1]
        )
    return found


def fitted_sigmoid(scores: FloatArray, positive: npt.NDArray[np.bool_]) -> Sigmoid:
    """Fit a sigmoid by all but unpenalised logistic regression.

    Parameters
    ----------
    scores
        float64, shape (n,).
    positive
        bool, shape (n,).
    """
    # Here, since staging a patient needs this module and fits nothing.
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1e6, max_iter=1000).fit(scores[:, None], positive)
    return Sigmoid(rounded(float(model.coef_[0, 0])), rounded(float(model.intercept_[0])))


def fit_conformal(
    probabilities: FloatArray, stages: npt.NDArray[Any], coverage: float = COVERAGE
) -> dict[Stage, float]:
    """Find, for each stage, the lowest probability that keeps it in the prediction set.

    Class-conditional conformal prediction over out-of-fold probabilities: of the n patients of a
    stage, the k-th lowest probability is the threshold, k = floor((1 - coverage)(n + 1)), and what
    falls below it is out; with k = 0 the stage always stays in.

    Parameters
    ----------
    probabilities
        float64, shape (n, 4): out of fold, columns A to D.
    stages
        str, shape (n,).

    References
    ----------
    Vovk V. Conditional validity of inductive conformal predictors. Mach Learn 2013,
    doi 10.1007/s10994-013-5355-6.
    """
    found = {}
    for column, stage in enumerate(Stage):
        own = probabilities[stages == stage, column]
        found[stage] = _lowest_kept(own, coverage, otherwise=0.0)
    return found


def most_probable(probabilities: Mapping[Stage, float]) -> Stage:
    """The most probable stage, the earlier one of two that are equal."""
    return max(Stage, key=lambda stage: probabilities[stage])


def prediction_set(
    probabilities: Mapping[Stage, float], thresholds: Mapping[Stage, float]
) -> tuple[Stage, ...]:
    """List the stages that cannot be ruled out, in order.

    The most probable stage is always among them: a set that leaves out the stage it comes with
    would mislead, and one more stage cannot lower the coverage.
    """
    top = most_probable(probabilities)
    return tuple(s for s in Stage if s is top or probabilities[s] >= thresholds[s])


def fit_osteoporosis_limits(
    probabilities: FloatArray, stages: npt.NDArray[Any], coverage: float = COVERAGE
) -> OsteoporosisLimits:
    """Find the limits of `osteoporosis_set` by class-conditional conformal prediction.

    Of the patients with C or D, and of those with A or B, each, ``coverage`` are not told the
    contrary. Where the two limits would overlap, their middle serves both.

    Parameters
    ----------
    probabilities
        float64, shape (n, 4): out of fold, columns A to D.
    stages
        str, shape (n,).

    References
    ----------
    Vovk V. Conditional validity of inductive conformal predictors. Mach Learn 2013,
    doi 10.1007/s10994-013-5355-6.
    """
    late = probabilities[:, 2:].sum(axis=1)
    has = np.isin(stages, sorted(OSTEOPOROTIC))
    no_below = _lowest_kept(late[has], coverage, otherwise=0.0)
    yes_above = -_lowest_kept(-late[~has], coverage, otherwise=-1.0)
    if no_below > yes_above:
        no_below = yes_above = (no_below + yes_above) / 2
    return OsteoporosisLimits(no_below, yes_above)


def osteoporosis_set(
    probabilities: Mapping[Stage, float], limits: OsteoporosisLimits
) -> Osteoporosis:
    """Say whether the stages C and D, or A and B, can be ruled out.

    Parameters
    ----------
    probabilities
        By stage, as `modeling.staging.StagePrediction` has them.
    limits
        The bundle's.

    Examples
    --------
    >>> limits = OsteoporosisLimits(no_below=0.3, yes_above=0.7)
    >>> osteoporosis_set({Stage.A: 0.1, Stage.B: 0.1, Stage.C: 0.4, Stage.D: 0.4}, limits).value
    'yes'
    """
    late = probabilities[Stage.C] + probabilities[Stage.D]
    if late > limits.yes_above:
        return Osteoporosis.YES
    return Osteoporosis.NO if late < limits.no_below else Osteoporosis.UNDETERMINED


def _lowest_kept(own: FloatArray, coverage: float, otherwise: float) -> float:
    """The k-th lowest value, k = floor((1 - coverage)(n + 1)); ``otherwise`` if k is 0."""
    # Rounded before the floor: 0.1 * 20 must count 2, not 1.
    out = math.floor(round((1 - coverage) * (len(own) + 1), 9))
    return float(np.sort(own)[out - 1]) if out > 0 else otherwise


def rounded(value: float) -> float:
    """Round to `FITTED_DIGITS`."""
    return float(f"{value:.{FITTED_DIGITS}g}")
