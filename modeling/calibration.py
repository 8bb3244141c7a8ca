"""Pair scores, their sigmoid calibration, and prediction sets with a stated coverage."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.cohort import Stage

__all__ = [
    "COVERAGE",
    "PAIRS",
    "Sigmoid",
    "fit_conformal",
    "fit_sigmoids",
    "pair_name",
    "pair_scores",
    "prediction_set",
]

FloatArray = npt.NDArray[np.float64]

COVERAGE = 0.9
"""The share of patients of each stage whose prediction set should contain it."""

PROBABILITY_FLOOR = 1e-4
"""Probabilities are floored to this before logarithms: 300 trees whose leaves hold 3 patients
resolve no less."""

FITTED_DIGITS = 10
"""Significant digits of fitted numbers, so that a bundle does not depend on a CPU's last bits."""

PAIRS: tuple[tuple[Stage, Stage], ...] = tuple(combinations(Stage, 2))
"""The six pairs, earlier stage first."""


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
    from sklearn.linear_model import LogisticRegression

    found = {}
    for pair in PAIRS:
        chosen = np.isin(stages, pair)
        model = LogisticRegression(C=1e6, max_iter=1000).fit(
            scores[pair_name(pair)][chosen, None], stages[chosen] == pair[1]
        )
        found[pair_name(pair)] = Sigmoid(
            rounded(float(model.coef_[0, 0])), rounded(float(model.intercept_[0]))
        )
    return found


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
        own = np.sort(probabilities[stages == stage, column])
        # Rounded before the floor: 0.1 * 20 must count 2, not 1.
        out = math.floor(round((1 - coverage) * (len(own) + 1), 9))
        found[stage] = float(own[out - 1]) if out > 0 else 0.0
    return found


def prediction_set(
    probabilities: Mapping[Stage, float], thresholds: Mapping[Stage, float]
) -> tuple[Stage, ...]:
    """List the stages that cannot be ruled out, in order.

    The most probable stage is always among them: a set that leaves out the stage it comes with
    would mislead, and one more stage cannot lower the coverage.
    """
    top = max(Stage, key=lambda stage: probabilities[stage])
    return tuple(s for s in Stage if s is top or probabilities[s] >= thresholds[s])


def rounded(value: float) -> float:
    """Round to `FITTED_DIGITS`."""
    return float(f"{value:.{FITTED_DIGITS}g}")
