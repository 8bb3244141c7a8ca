"""Scores of a pair's out-of-fold probabilities, with intervals over patients."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm, rankdata
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from modeling.metrics import CONFIDENCE, SCORE_BOOTSTRAPS

__all__ = [
    "Estimate",
    "PairOutcome",
    "PairScores",
    "calibration_groups",
    "score_pair",
    "score_table",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

CUT = 0.5
"""A probability above it means the later stage."""


@dataclass(frozen=True)
class PairOutcome:
    """Probabilities of the later stage for patients that the model did not see.

    Parameters
    ----------
    pair
        Such as ``A/B``.
    later
        bool, shape (n,): True where the patient is of the later stage.
    scores
        float64, shape (n,): probability of the later stage.
    """

    pair: str
    later: BoolArray
    scores: FloatArray


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Give the value with its interval, to three decimals.

        >>> str(Estimate(0.8, 0.75, 0.85))
        '0.800 [0.750, 0.850]'
        """
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class PairScores:
    """Scores of one pair.

    Parameters
    ----------
    auroc, auprc
        Areas under the ROC and the precision-recall curve (average precision).
    accuracy
        Share of patients on their side of one half.
    balanced_accuracy
        Mean of sensitivity and specificity at one half.
    youden_cut, youden_accuracy
        The cut with the largest sum of sensitivity and specificity and the accuracy there;
        apparent, as the cut is taken from the same patients.
    prevalence
        Share of the later stage: what AUPRC is worth without any information.
    brier
        Mean squared error of the probability.
    """

    auroc: Estimate
    auprc: Estimate
    accuracy: Estimate
    balanced_accuracy: Estimate
    youden_cut: float
    youden_accuracy: float
    prevalence: float
    brier: float


def score_pair(outcome: PairOutcome, seed: int) -> PairScores:
    """Score a pair's probabilities; intervals are bootstrap percentiles, stage by stage.

    The intervals take the folds and models as they are: they hold the chance of the patients
    drawn, not that of another split.

    References
    ----------
    Youden WJ. Index for rating diagnostic tests. Cancer 1950,
    doi 10.1002/1097-0142(1950)3:1<32::aid-cncr2820030106>3.0.co;2-3.
    Efron B, Tibshirani R. An introduction to the bootstrap, 1993 (percentile intervals).
    """
    later, scores = outcome.later, outcome.scores
    rng = np.random.default_rng(seed)
    drawn = np.hstack(
        [
            rng.choice(np.flatnonzero(of_stage), (SCORE_BOOTSTRAPS, int(of_stage.sum())))
            for of_stage in (later, ~later)
        ]
    )
    known = int(later.sum())
    truth = np.arange(len(later)) < known
    again = scores[drawn]
    right = (again > CUT) == truth
    sensitivity, specificity = right[:, :known].mean(axis=1), right[:, known:].mean(axis=1)
    hit = (scores > CUT) == later
    false, true, cuts = roc_curve(later, scores)
    cut = float(cuts[int(np.argmax(true - false))])
    return PairScores(
        _estimate(float(roc_auc_score(later, scores)), _aurocs(again, known)),
        _estimate(
            float(average_precision_score(later, scores)),
            _average_precisions(again, known),
        ),
        _estimate(float(hit.mean()), right.mean(axis=1)),
        _estimate(
            float((hit[later].mean() + hit[~later].mean()) / 2), (sensitivity + specificity) / 2
        ),
        cut,
        float(((scores >= cut) == later).mean()),
        float(later.mean()),
        float(np.mean((scores - later) ** 2)),
    )


def score_table(scores: Mapping[str, Mapping[str, PairScores]]) -> pd.DataFrame:
    """Lay out scores like the publication's Table 1.

    Parameters
    ----------
    scores
        By variant, such as what was fixed and what was chosen inside the folds, then by pair.

    Returns
    -------
    DataFrame
        One row a pair and variant; values with ``low`` and ``high`` of their 95 % interval.
    """
    rows = []
    for variant, of_pairs in scores.items():
        for pair, found in of_pairs.items():
            row: dict[str, object] = {"pair": pair, "variant": variant}
            for name, estimate in (
                ("AUROC", found.auroc),
                ("AUPRC", found.auprc),
                ("accuracy", found.accuracy),
                ("balanced accuracy", found.balanced_accuracy),
            ):
                row |= {
                    name: round(estimate.value, 3),
                    f"{name} low": round(estimate.low, 3),
                    f"{name} high": round(estimate.high, 3),
                }
            row |= {
                "apparent accuracy at Youden's cut": round(found.youden_accuracy, 3),
                "Youden's cut": round(found.youden_cut, 3),
                "share of later stage": round(found.prevalence, 3),
                "Brier": round(found.brier, 3),
            }
            rows.append(row)
    return pd.DataFrame(rows).sort_values("pair", kind="stable", ignore_index=True)


def calibration_groups(outcome: PairOutcome, groups: int = 6) -> FloatArray:
    """Compare predicted with observed frequency in groups of equal size.

    Returns
    -------
    ndarray
        float64, shape (groups, 4): mean probability, observed share of the later stage, and the
        low and high end of its 95 % interval.

    References
    ----------
    Wilson EB. Probable inference, the law of succession, and statistical inference. J Am Stat
    Assoc 1927, doi 10.1080/01621459.1927.10502953.
    """
    order = np.argsort(outcome.scores, kind="stable")
    z = float(norm.ppf((1 + CONFIDENCE) / 2))
    rows = []
    for part in np.array_split(order, groups):
        n, share = len(part), float(outcome.later[part].mean())
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
        rows.append((float(outcome.scores[part].mean()), share, middle - half, middle + half))
    return np.array(rows)


def _aurocs(scores: FloatArray, known: int) -> FloatArray:
    """AUROC of each row, whose first ``known`` scores are of the later stage."""
    ranks = rankdata(scores, axis=1)[:, :known].sum(axis=1)
    return np.asarray((ranks - known * (known + 1) / 2) / (known * (scores.shape[1] - known)))


def _average_precisions(scores: FloatArray, known: int) -> FloatArray:
    """Average precision of each row, whose first ``known`` scores are of the later stage."""
    order = np.argsort(-scores, axis=1, kind="stable")
    ranked = np.take_along_axis(scores, order, axis=1)
    hits = order < known
    place = np.arange(scores.shape[1])
    precision = hits.cumsum(axis=1) / (place + 1)
    last = np.hstack([ranked[:, :-1] != ranked[:, 1:], np.ones((len(scores), 1), dtype=bool)])
    # Equal scores come in together: each has the precision at the last of them.
    end = np.minimum.accumulate(np.where(last, place, len(place))[:, ::-1], axis=1)[:, ::-1]
    together = np.take_along_axis(precision, end, axis=1)
    return np.asarray((together * hits).sum(axis=1) / known)


def _estimate(value: float, drawn: FloatArray) -> Estimate:
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, float(low), float(high))
