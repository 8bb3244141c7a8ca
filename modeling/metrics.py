"""Measures of discrimination, calibration and usefulness, each a pure function."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.calibration import PAIRS, pair_name
from modeling.cohort import Stage

__all__ = [
    "CALIBRATION_BINS",
    "CONFIDENCE",
    "SCORE_BOOTSTRAPS",
    "auroc",
    "calibration_error",
    "calibration_line",
    "calibration_noise",
    "classwise_calibration_error",
    "couple",
    "four_class_scores",
    "macro_auroc",
    "net_benefit",
    "pair_aurocs",
    "pair_precisions",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
StageArray = npt.NDArray[Any]

CALIBRATION_BINS = 10
"""Equal-width bins of the expected calibration error."""

CONFIDENCE = 0.95
"""Confidence level of every interval."""

SCORE_BOOTSTRAPS = 1000
"""Times that patients are drawn again, within their stages, for the intervals of scores."""

COUPLING_ROUNDS = 100
"""Rounds of pairwise coupling; it settles within some tens."""

NOISE_DRAWS = 200
"""Times that stages are drawn for the noise floor of the calibration error."""

MIN_PROBABILITY = 1e-6
"""Keeps logarithms of probabilities finite."""


def auroc(score: FloatArray, positive: BoolArray) -> float:
    """Area under the ROC curve, as the rank-sum statistic; NaN without both classes.

    Parameters
    ----------
    score
        float64, shape (n,): higher for the positive.
    positive
        bool, shape (n,).

    References
    ----------
    Hanley JA, McNeil BJ. Radiology 1982, doi 10.1148/radiology.143.1.7063747.

    Examples
    --------
    >>> auroc(np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, False, True, True]))
    0.875
    """
    from scipy.stats import rankdata

    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    ranks = rankdata(score)
    above = float(ranks[positive].sum()) - n_positive * (n_positive + 1) / 2
    return above / (n_positive * n_negative)


def pair_aurocs(scores: Mapping[str, FloatArray], stages: StageArray) -> dict[str, float]:
    """AUROC of each pair's score among the pair's patients, by pair name."""
    found = {}
    for pair in PAIRS:
        chosen = np.isin(stages, pair)
        found[pair_name(pair)] = auroc(scores[pair_name(pair)][chosen], stages[chosen] == pair[1])
    return found


def pair_precisions(scores: Mapping[str, FloatArray], stages: StageArray) -> dict[str, float]:
    """Average precision (AUPRC) of each pair's score for its later stage, by pair name."""
    from sklearn.metrics import average_precision_score

    found = {}
    for pair in PAIRS:
        chosen = np.isin(stages, pair)
        found[pair_name(pair)] = float(
            average_precision_score(stages[chosen] == pair[1], scores[pair_name(pair)][chosen])
        )
    return found


def macro_auroc(probabilities: FloatArray, stages: StageArray) -> float:
    """Mean of the four AUROCs of one stage against all others."""
    return float(np.mean([auroc(probabilities[:, k], stages == s) for k, s in enumerate(Stage)]))


def four_class_scores(probabilities: FloatArray, stages: StageArray) -> dict[str, float]:
    """Score the four-class prediction.

    Parameters
    ----------
    probabilities
        float64, shape (n, 4): columns A to D.
    stages
        str, shape (n,).

    Returns
    -------
    dict
        ``macro_auroc``, ``balanced_accuracy``, ``qwk`` (Cohen's kappa, quadratic weights),
        ``brier`` (sum over the stages, 0 to 2), ``ece`` and ``classwise_ece``.
    """
    from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score

    order = np.array([s.value for s in Stage])
    predicted = order[probabilities.argmax(axis=1)]
    one_hot = (stages[:, None] == order[None, :]).astype(float)
    return {
        "macro_auroc": macro_auroc(probabilities, stages),
        "balanced_accuracy": float(balanced_accuracy_score(stages, predicted)),
        "qwk": float(cohen_kappa_score(stages, predicted, labels=order, weights="quadratic")),
        "brier": float(((probabilities - one_hot) ** 2).sum(axis=1).mean()),
        "ece": calibration_error(probabilities.max(axis=1), predicted == stages),
        "classwise_ece": classwise_calibration_error(probabilities, one_hot.astype(bool)),
    }


def calibration_error(confidence: FloatArray, right: BoolArray) -> float:
    """Mean distance of stated from found frequency over equal-width bins, weighted by size.

    References
    ----------
    Naeini MP, Cooper GF, Hauskrecht M. Obtaining well calibrated probabilities using Bayesian
    binning. AAAI 2015.
    """
    total = 0.0
    for low, high in pairwise(np.linspace(0, 1, CALIBRATION_BINS + 1)):
        chosen = (confidence > low) & (confidence <= high)
        if chosen.any():
            total += chosen.mean() * abs(right[chosen].mean() - confidence[chosen].mean())
    return float(total)


def classwise_calibration_error(probabilities: FloatArray, is_stage: BoolArray) -> float:
    """Mean of the four calibration errors of one stage against all others.

    Parameters
    ----------
    probabilities
        float64, shape (n, 4).
    is_stage
        bool, shape (n, 4): each patient's stage.

    References
    ----------
    Kull M et al. Beyond temperature scaling. NeurIPS 2019, arXiv 1910.12656.
    """
    found = [calibration_error(p, y) for p, y in zip(probabilities.T, is_stage.T, strict=True)]
    return float(np.mean(found))


def calibration_noise(probabilities: FloatArray, seed: int) -> tuple[float, float]:
    """Calibration errors, plain and class-wise, that perfect calibration would show by chance.

    Stages are drawn from the probabilities themselves `NOISE_DRAWS` times; the means are given.

    Parameters
    ----------
    probabilities
        float64, shape (n, 4), rows summing to 1.
    seed
        Seed of the draws.

    References
    ----------
    Bröcker J, Smith LA. Increasing the reliability of reliability diagrams. Weather Forecast 2007,
    doi 10.1175/WAF993.1.
    """
    generator = np.random.default_rng(seed)
    limits = probabilities.cumsum(axis=1)[:, :-1]
    confidence, top = probabilities.max(axis=1), probabilities.argmax(axis=1)
    found = []
    for _ in range(NOISE_DRAWS):
        drawn = (generator.random((len(probabilities), 1)) > limits).sum(axis=1)
        is_stage = drawn[:, None] == np.arange(probabilities.shape[1])
        found.append(
            (
                calibration_error(confidence, drawn == top),
                classwise_calibration_error(probabilities, is_stage),
            )
        )
    plain, classwise = np.mean(found, axis=0)
    return float(plain), float(classwise)


def calibration_line(probability: FloatArray, positive: BoolArray) -> tuple[float, float]:
    """Slope and intercept of the outcome on the logit of its stated probability; ideally 1 and 0.

    References
    ----------
    Van Calster B et al. Calibration: the Achilles heel of predictive analytics. BMC Med 2019,
    doi 10.1186/s12916-019-1466-7.
    """
    from sklearn.linear_model import LogisticRegression

    kept = np.clip(probability, MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    logit = np.log(kept / (1 - kept))
    line = LogisticRegression(C=np.inf, max_iter=1000).fit(logit[:, None], positive)
    return float(line.coef_[0, 0]), float(line.intercept_[0])


def net_benefit(probability: FloatArray, positive: BoolArray, threshold: float) -> float:
    """Gain of acting above a threshold: true positives less false ones at the threshold's odds.

    Per patient; acting on none has 0.

    References
    ----------
    Vickers AJ, Elkin EB. Decision curve analysis. Med Decis Making 2006,
    doi 10.1177/0272989X06295361.

    Examples
    --------
    >>> net_benefit(np.array([0.9, 0.8, 0.1, 0.2]), np.array([True, False, False, True]), 0.5)
    0.0
    """
    acted = probability >= threshold
    true = float((acted & positive).mean())
    false = float((acted & ~positive).mean())
    return true - false * threshold / (1 - threshold)


def couple(pairwise_probabilities: Mapping[str, FloatArray]) -> FloatArray:
    """Find the four probabilities that agree best with six pairwise ones.

    Parameters
    ----------
    pairwise_probabilities
        By pair name, float64, shape (n,): of the later stage, given that it is one of the two.

    Returns
    -------
    ndarray
        float64, shape (n, 4), rows summing to 1.

    References
    ----------
    Hastie T, Tibshirani R. Classification by pairwise coupling. Ann Stat 1998,
    doi 10.1214/aos/1028144844.
    """
    n = len(next(iter(pairwise_probabilities.values())))
    stages = list(Stage)
    said = np.full((n, 4, 4), 0.5)
    for first, second in PAIRS:
        i, j = stages.index(first), stages.index(second)
        later = pairwise_probabilities[pair_name((first, second))]
        said[:, j, i] = np.clip(later, MIN_PROBABILITY, 1 - MIN_PROBABILITY)
        said[:, i, j] = 1 - said[:, j, i]
    others = ~np.eye(4, dtype=bool)
    p = np.full((n, 4), 0.25)
    for _ in range(COUPLING_ROUNDS):
        for i in range(4):
            model = p[:, i, None] / (p[:, i, None] + p)
            p[:, i] *= said[:, i, others[i]].sum(axis=1) / model[:, others[i]].sum(axis=1)
            p /= p.sum(axis=1, keepdims=True)
    return np.asarray(p)
