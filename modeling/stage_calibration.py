"""Calibration of the four stages: a sigmoid each, after which they sum to 1 again."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.calibration import PROBABILITY_FLOOR, Sigmoid, fitted_sigmoid
from modeling.cohort import Stage

__all__ = ["calibrated", "calibrated_shares", "fit_stage_sigmoids"]

FloatArray = npt.NDArray[np.float64]

LARGEST_LOGIT = 30.0
"""Keeps every stage's calibrated probability above 0: the four are divided by their sum."""

SMALLEST_MOVE = 1e-6
"""The secant of a stage whose probability moves by less spans this much."""


def fit_stage_sigmoids(probabilities: FloatArray, stages: npt.NDArray[Any]) -> dict[Stage, Sigmoid]:
    """Fit one sigmoid a stage, of the stage against all others, on the logit of its probability.

    Parameters
    ----------
    probabilities
        float64, shape (n, 4): out of fold, columns A to D.
    stages
        str, shape (n,).

    References
    ----------
    Platt J. Probabilistic outputs for support vector machines. 1999. Zadrozny B, Elkan C.
    Transforming classifier scores into accurate multiclass probability estimates. KDD 2002,
    doi 10.1145/775047.775151.
    """
    logits = _logits(probabilities)
    return {
        stage: fitted_sigmoid(logits[:, column], stages == stage)
        for column, stage in enumerate(Stage)
    }


def calibrated(probabilities: FloatArray, sigmoids: Mapping[Stage, Sigmoid]) -> FloatArray:
    """Calibrate each stage by its sigmoid and divide by the sum.

    Parameters
    ----------
    probabilities
        float64, shape (n, 4): columns A to D.
    sigmoids
        As `fit_stage_sigmoids` gives them.

    Returns
    -------
    ndarray
        float64, shape (n, 4), rows summing to 1.
    """
    each = _each(probabilities, sigmoids)
    return np.asarray(each / each.sum(axis=1, keepdims=True))


def calibrated_shares(
    shares: FloatArray,
    base: FloatArray,
    sigmoids: Mapping[Stage, Sigmoid],
) -> FloatArray:
    """Carry shares of uncalibrated probabilities over to the calibrated ones.

    The sigmoids and the sum are no additive functions, so this step is a convention: a stage's
    shares are scaled by the slope of its sigmoid's secant between the base and the patient (the
    rescale rule), and the quotient by the sum is shared out as a product of two factors
    (`modeling.stage_blend.product_shares`). The shares still add up exactly.

    Parameters
    ----------
    shares
        float64, shape (inputs, 4): shares in the uncalibrated probabilities.
    base
        float64, shape (4,): uncalibrated probabilities before anything is known.
    sigmoids
        As `fit_stage_sigmoids` gives them.

    Returns
    -------
    ndarray
        float64, shape (inputs, 4): adding up to `calibrated` of the patient less that of the base.

    References
    ----------
    Shrikumar A, Greenside P, Kundaje A. Learning important features through propagating activation
    differences. ICML 2017, arXiv 1704.02685.
    """
    moved = shares.sum(axis=0)
    step = np.where(np.abs(moved) < SMALLEST_MOVE, SMALLEST_MOVE, moved)
    before, after, stepped = _each(np.stack([base, base + moved, base + step]), sigmoids)
    each = shares * (stepped - before) / step
    # What rounding leaves over goes to all inputs alike.
    each += (after - before - each.sum(axis=0)) / len(shares)
    total_before, total_after = before.sum(), after.sum()
    reciprocal = -each.sum(axis=1) / (total_before * total_after)
    return np.asarray(
        each * (1 / total_before + 1 / total_after) / 2 + reciprocal[:, None] * (before + after) / 2
    )


def _each(probabilities: FloatArray, sigmoids: Mapping[Stage, Sigmoid]) -> FloatArray:
    slopes = np.array([sigmoids[stage].slope for stage in Stage])
    intercepts = np.array([sigmoids[stage].intercept for stage in Stage])
    logits = np.clip(slopes * _logits(probabilities) + intercepts, -LARGEST_LOGIT, LARGEST_LOGIT)
    return np.asarray(1 / (1 + np.exp(-logits)))


def _logits(probabilities: FloatArray) -> FloatArray:
    kept = np.clip(probabilities, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return np.asarray(np.log(kept / (1 - kept)))
