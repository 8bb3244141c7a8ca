"""Measures of patients who count with weights, for many sets of weights at once.

Weights that count how often a patient was drawn give the measure of that bootstrap sample.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from modeling.metrics import MIN_PROBABILITY
from modeling.validation.patient_bootstrap import Measure

__all__ = [
    "among",
    "auroc_of",
    "brier_of",
    "calibration_in_the_large_of",
    "calibration_slope_of",
    "difference_of",
    "log_loss_of",
    "mean_measure",
    "mean_of",
    "net_benefit_of",
    "share_of",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

NEWTON_STEPS = 50
"""Steps of Newton's method; a line that has not settled by then has no end (separated groups)."""

SETTLED = 1e-9
"""Change of a coefficient, in log-odds, below which the line has settled."""

STEEPEST_SLOPE = 50.0
"""Slopes beyond this come from groups that are apart without overlap."""


def auroc_of(score: FloatArray, positive: BoolArray) -> Measure:
    """Area under the ROC curve, ties half; NaN where a group has no weight.

    Parameters
    ----------
    score
        float64, shape (n,): higher for the positive.
    positive
        bool, shape (n,).
    """
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf) > 0)
    is_positive = positive[order].astype(np.float64)

    def measure(weights: FloatArray) -> FloatArray:
        sorted_weights = weights[:, order]
        positives = np.add.reduceat(sorted_weights * is_positive, starts, axis=1)
        negatives = np.add.reduceat(sorted_weights * (1 - is_positive), starts, axis=1)
        below = np.cumsum(negatives, axis=1) - negatives / 2
        return _divided(
            (positives * below).sum(axis=1), positives.sum(axis=1) * negatives.sum(axis=1)
        )

    return measure


def calibration_slope_of(probability: FloatArray, positive: BoolArray) -> Measure:
    """Slope of the outcome on the logit of its stated probability; ideally 1.

    Parameters
    ----------
    probability
        float64, shape (n,).
    positive
        bool, shape (n,).

    References
    ----------
    Cox DR. Biometrika 1958, doi 10.1093/biomet/45.3-4.562; Van Calster B et al. BMC Med 2019,
    doi 10.1186/s12916-019-1466-7.
    """
    logit, outcome = _logit(probability), positive.astype(np.float64)

    def measure(weights: FloatArray) -> FloatArray:
        intercept, slope = np.zeros(len(weights)), np.ones(len(weights))
        settled = np.zeros(len(weights), dtype=bool)
        for _ in range(NEWTON_STEPS):
            fitted = _expit(intercept[:, None] + slope[:, None] * logit)
            residual = weights * (outcome - fitted)
            spread = weights * fitted * (1 - fitted)
            h00, h01, h11 = spread.sum(axis=1), spread @ logit, spread @ logit**2
            g0, g1 = residual.sum(axis=1), residual @ logit
            det = h00 * h11 - h01**2
            step0 = _divided(h11 * g0 - h01 * g1, det)
            step1 = _divided(h00 * g1 - h01 * g0, det)
            # Halved where it would leap: far from the solution Newton's method may diverge.
            leap = np.maximum(1.0, np.maximum(abs(step0), abs(step1)) / 2)
            intercept, slope = intercept + step0 / leap, slope + step1 / leap
            settled = np.maximum(abs(step0), abs(step1)) < SETTLED
            if (settled | ~np.isfinite(slope)).all():
                break
        return np.where(settled & (abs(slope) < STEEPEST_SLOPE), slope, np.nan)

    return measure


def calibration_in_the_large_of(probability: FloatArray, positive: BoolArray) -> Measure:
    """Calibration intercept: the log-odds to add at slope 1; ideally 0, above it too few stated.

    Parameters
    ----------
    probability, positive
        As for `calibration_slope_of`.

    References
    ----------
    Van Calster B et al. BMC Med 2019, doi 10.1186/s12916-019-1466-7.
    """
    logit, outcome = _logit(probability), positive.astype(np.float64)

    def measure(weights: FloatArray) -> FloatArray:
        intercept = np.zeros(len(weights))
        settled = np.zeros(len(weights), dtype=bool)
        for _ in range(NEWTON_STEPS):
            fitted = _expit(intercept[:, None] + logit)
            step = _divided(
                (weights * (outcome - fitted)).sum(axis=1),
                (weights * fitted * (1 - fitted)).sum(axis=1),
            )
            step = np.clip(step, -2, 2)
            intercept, settled = intercept + step, abs(step) < SETTLED
            if (settled | ~np.isfinite(intercept)).all():
                break
        return np.where(settled, intercept, np.nan)

    return measure


def net_benefit_of(probability: FloatArray, positive: BoolArray, threshold: float) -> Measure:
    """Gain of acting above a threshold, per patient: see `modeling.metrics.net_benefit`.

    References
    ----------
    Vickers AJ, Elkin EB. Med Decis Making 2006, doi 10.1177/0272989X06295361.
    """
    acted = probability >= threshold
    gain = (acted & positive) - (acted & ~positive) * threshold / (1 - threshold)
    return mean_of(gain)


def brier_of(probabilities: FloatArray, outcomes: FloatArray) -> Measure:
    """Brier score over stages, 0 to 2; both float64, shape (n, k)."""
    return mean_of(((probabilities - outcomes) ** 2).sum(axis=1))


def log_loss_of(probabilities: FloatArray, outcomes: FloatArray) -> Measure:
    """Mean negative log-likelihood of the true stage; both float64, shape (n, k)."""
    floored = np.maximum(probabilities, MIN_PROBABILITY)
    return mean_of(-(np.log(floored) * outcomes).sum(axis=1))


def share_of(numerator: FloatArray, denominator: FloatArray) -> Measure:
    """Ratio of two sums over the patients, such as observed by expected."""
    return lambda weights: _divided(weights @ numerator, weights @ denominator)


def mean_of(values: FloatArray) -> Measure:
    """Mean over the patients; float64, shape (n,)."""
    return lambda weights: _divided(weights @ values, weights.sum(axis=1))


def difference_of(first: Measure, second: Measure) -> Measure:
    """First less second, on the same patients."""
    return lambda weights: first(weights) - second(weights)


def mean_measure(measures: Sequence[Measure]) -> Measure:
    """Mean of several measures."""
    return lambda weights: np.asarray(
        np.mean([measure(weights) for measure in measures], axis=0), dtype=np.float64
    )


def among(rows: npt.NDArray[np.intp], measure: Measure) -> Measure:
    """A measure of some of the patients, by the weights of all."""
    return lambda weights: measure(weights[:, rows])


def _divided(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    enough = denominator > 0
    return np.where(enough, numerator / np.where(enough, denominator, 1.0), np.nan)


def _logit(probability: FloatArray) -> FloatArray:
    kept = np.clip(probability, MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    return np.asarray(np.log(kept / (1 - kept)))


def _expit(x: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1 + np.tanh(x / 2)))
