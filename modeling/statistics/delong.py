"""The area under a ROC curve with its interval, by DeLong's method in its fast form."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, rankdata

from modeling.metrics import CONFIDENCE

__all__ = ["Auroc", "auroc_of_folds", "delong_auroc"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Auroc:
    """An area under the ROC curve.

    Parameters
    ----------
    auroc
        The share of pairs of a positive and a negative in which the positive is higher, ties half.
    auroc_low, auroc_high
        Its 95 % interval; NaN where the groups are apart without overlap or one value is alone,
        for then the data give no variance.
    """

    auroc: float
    auroc_low: float
    auroc_high: float

    def reversed(self) -> "Auroc":
        """The area if low values spoke for the positives."""
        return Auroc(1 - self.auroc, 1 - self.auroc_high, 1 - self.auroc_low)


def delong_auroc(positives: FloatArray, negatives: FloatArray) -> Auroc:
    """Estimate the area under the ROC curve; high values speak for the positives.

    The interval is that of the normal distribution on the logit scale, so it stays within 0 and 1.

    Parameters
    ----------
    positives, negatives
        float64, shape (m,) and (n,), finite, at least one value each.

    Raises
    ------
    ValueError
        A group without values, or values that are not finite.

    References
    ----------
    DeLong et al. 1988, doi 10.2307/2531595; the fast form by midranks: Sun and Xu 2014,
    doi 10.1109/LSP.2014.2337313; the logit interval: Pepe 2003, The Statistical Evaluation of
    Medical Tests for Classification and Prediction, section 5.2.
    """
    value, variance = _moments(positives, negatives)
    return _with_interval(value, variance)


def auroc_of_folds(folds: Sequence[tuple[FloatArray, FloatArray]]) -> Auroc:
    """The mean of the areas of several folds, for scores of different models.

    Scores of two folds come from two models and need not be on one scale: pooled, a positive of
    one fold would be compared with a negative of another.

    Parameters
    ----------
    folds
        Positives and negatives of each fold, as `delong_auroc` takes them.

    References
    ----------
    LeDell, Petersen and van der Laan 2015, doi 10.1214/15-EJS1035.
    """
    moments = np.array([_moments(*fold) for fold in folds])
    value, variance = moments.mean(axis=0)
    return _with_interval(float(value), float(variance) / len(folds))


def _moments(positives: FloatArray, negatives: FloatArray) -> tuple[float, float]:
    """The area and its variance, NaN with one value in a group."""
    m, n = len(positives), len(negatives)
    if not m or not n:
        raise ValueError("an AUROC needs at least one positive and one negative")
    if not (np.isfinite(positives).all() and np.isfinite(negatives).all()):
        raise ValueError("an AUROC needs finite values")
    together = rankdata(np.concatenate([positives, negatives]))
    by_positive = (together[:m] - rankdata(positives)) / n
    by_negative = 1 - (together[m:] - rankdata(negatives)) / m
    value = float(by_positive.mean())
    if m < 2 or n < 2:
        return value, math.nan
    return value, float(by_positive.var(ddof=1) / m + by_negative.var(ddof=1) / n)


def _with_interval(value: float, variance: float) -> Auroc:
    if not 0 < value < 1 or not variance > 0:
        return Auroc(value, math.nan, math.nan)
    logit = math.log(value / (1 - value))
    half = float(norm.ppf(0.5 + CONFIDENCE / 2)) * math.sqrt(variance) / (value * (1 - value))
    return Auroc(value, _expit(logit - half), _expit(logit + half))


def _expit(x: float) -> float:
    return 0.5 * (1 + math.tanh(x / 2))
