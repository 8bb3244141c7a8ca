"""Each site alone as a test for the later of two stages: ROC curve, area, threshold."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import RepeatedStratifiedKFold

from modeling.calibration import PAIRS, pair_name
from modeling.cohort import SITE_NAMES, Stage
from modeling.statistics.delong import Auroc, delong_auroc
from modeling.statistics.site_values import pair_rows, site_values, stages_of
from modeling.statistics.two_groups import MIN_VALUES

__all__ = [
    "BestSite",
    "SiteRoc",
    "best_sites",
    "ranked",
    "roc_points",
    "single_site_rocs",
    "stage_values",
]

FloatArray = npt.NDArray[np.float64]

NO_AREA = Auroc(math.nan, math.nan, math.nan)
"""Where a group has too few values."""

MIN_PATIENTS_FOR_BEST = 30
"""Patients of the pair who must have a site for it to be among the best (the published toolkit's
number): where few patients have a site, large areas arise by chance."""

CHOICE_FOLDS, CHOICE_REPEATS = 5, 10
"""Folds and repeats of the cross-validation that chooses a site on some patients and scores it on
the others."""


@dataclass(frozen=True)
class SiteRoc:
    """A site's ROC between the stages of a pair; the later stage is the positive one.

    Parameters
    ----------
    direction
        ``lower`` or ``higher``: which HU speak for the later stage in these patients. It is the
        side on which the area is .5 or more, so the area is apparent in that small respect.
    n_earlier, n_later, missing
        Patients of each stage with a value, and patients of both stages without one.
    area
        Area under the ROC curve with DeLong's 95 % interval.
    threshold_hu
        HU at and beyond which (below for ``lower``, above for ``higher``) the later stage is
        called, where sensitivity + specificity is highest in these same patients: apparent.
    sensitivity_apparent, specificity_apparent
        At that threshold, in the patients that chose it.
    reason
        Why there is no area.

    References
    ----------
    Youden 1950, doi 10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3.
    """

    pair: str
    site: str
    n_earlier: int
    n_later: int
    missing: int
    direction: str = ""
    area: Auroc = NO_AREA
    threshold_hu: float = math.nan
    sensitivity_apparent: float = math.nan
    specificity_apparent: float = math.nan
    reason: str = ""


def single_site_rocs(cohort: pd.DataFrame) -> tuple[SiteRoc, ...]:
    """The ROC of each of the 36 sites in each of the six pairs of stages."""
    values, stages = site_values(cohort), stages_of(cohort)
    found = []
    for pair in PAIRS:
        for site in SITE_NAMES:
            earlier, later = (_known(values.loc[stages == s.value, site]) for s in pair)
            missing = int(pair_rows(stages, pair).sum()) - len(earlier) - len(later)
            found.append(_site_roc(pair_name(pair), site, earlier, later, missing))
    return tuple(found)


def roc_points(
    earlier: FloatArray, later: FloatArray, direction: str
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The ROC curve's points.

    Parameters
    ----------
    earlier, later
        float64, shape (n,) and (m,): HU, finite.
    direction
        ``lower`` or ``higher``, as in `SiteRoc`.

    Returns
    -------
    tuple
        Sensitivity, 1 - specificity and threshold in HU, each float64, shape (k + 1,), from
        (0, 0) to (1, 1); the first threshold is infinite.
    """
    sign = -1.0 if direction == "lower" else 1.0
    cuts = np.unique(np.concatenate([earlier, later]) * sign)[::-1]
    sensitivity = 1 - np.searchsorted(np.sort(later * sign), cuts, "left") / len(later)
    false_positive = 1 - np.searchsorted(np.sort(earlier * sign), cuts, "left") / len(earlier)
    return (
        np.concatenate([[0.0], sensitivity]),
        np.concatenate([[0.0], false_positive]),
        np.concatenate([[sign * np.inf], cuts * sign]),
    )


@dataclass(frozen=True)
class BestSite:
    """The site of a pair with the largest area, and its area in patients who did not choose it.

    Parameters
    ----------
    apparent
        The largest area among the sites that 30 of the pair have: too large by the choice.
    nested_auroc
        Mean area over held-out folds of the site (and direction) that the other folds chose;
        patients without that site are left out of its fold.
    chosen
        The sites that the folds chose with their shares, the most frequent first.
    """

    pair: str
    apparent: SiteRoc
    nested_auroc: float
    chosen: tuple[tuple[str, float], ...]


def best_sites(
    cohort: pd.DataFrame, rocs: Sequence[SiteRoc], seed: int, repeats: int = CHOICE_REPEATS
) -> tuple[BestSite, ...]:
    """Pick each pair's best site, and score the picking by repeated 5-fold cross-validation.

    A pair where no site has an area, or a stage with fewer than 5 patients, is left out.
    """
    values, stages = site_values(cohort), stages_of(cohort)
    found = []
    for pair in PAIRS:
        known = ranked(rocs, pair)
        rows = pair_rows(stages, pair)
        x = values.loc[rows, [r.site for r in known]].to_numpy()
        y = stages[rows] == pair[1].value
        if not known or min(y.sum(), (~y).sum()) < CHOICE_FOLDS:
            continue
        folds = RepeatedStratifiedKFold(n_splits=CHOICE_FOLDS, n_repeats=repeats, random_state=seed)
        scores, names = [], []
        for seen, unseen in folds.split(x, y):
            counts = (~np.isnan(x[seen])).sum(axis=0)
            areas = np.array(
                [
                    _area(x[seen, k], y[seen]) if count >= MIN_PATIENTS_FOR_BEST else math.nan
                    for k, count in enumerate(counts)
                ]
            )
            if np.isnan(areas).all():
                continue
            pick = int(np.nanargmax(np.abs(areas - 0.5)))
            score = _area(x[unseen, pick], y[unseen])
            scores.append(score if areas[pick] >= 0.5 else 1 - score)
            names.append(known[pick].site)
        shares = {name: names.count(name) / len(names) for name in dict.fromkeys(names)}
        found.append(
            BestSite(
                pair_name(pair),
                known[0],
                float(np.nanmean(scores)) if np.isfinite(scores).any() else math.nan,
                tuple(sorted(shares.items(), key=lambda item: (-item[1], item[0]))),
            )
        )
    return tuple(found)


def ranked(rocs: Sequence[SiteRoc], pair: tuple[Stage, Stage]) -> list[SiteRoc]:
    """A pair's sites that 30 of its patients have, the largest area first."""
    known = [
        roc
        for roc in rocs
        if roc.pair == pair_name(pair)
        and not roc.reason
        and roc.n_earlier + roc.n_later >= MIN_PATIENTS_FOR_BEST
    ]
    return sorted(known, key=lambda roc: -roc.area.auroc)


def stage_values(
    cohort: pd.DataFrame, pair: tuple[Stage, Stage], site: str
) -> tuple[FloatArray, FloatArray]:
    """A site's measured HU in the earlier and in the later stage."""
    values, stages = site_values(cohort), stages_of(cohort)
    return _known(values.loc[stages == pair[0].value, site]), _known(
        values.loc[stages == pair[1].value, site]
    )


def _site_roc(
    pair: str, site: str, earlier: FloatArray, later: FloatArray, missing: int
) -> SiteRoc:
    sizes = (len(earlier), len(later), missing)
    if min(sizes[:2]) < MIN_VALUES:
        reason = f"fewer than {MIN_VALUES} values in a group"
        return SiteRoc(pair, site, *sizes, reason=reason)
    area = delong_auroc(later, earlier)
    direction = "higher" if area.auroc > 0.5 else "lower"
    if direction == "lower":
        area = area.reversed()
    sensitivity, false_positive, thresholds = roc_points(earlier, later, direction)
    best = 1 + int(np.argmax(sensitivity[1:] - false_positive[1:]))
    return SiteRoc(
        pair,
        site,
        *sizes,
        direction,
        area,
        float(thresholds[best]),
        float(sensitivity[best]),
        float(1 - false_positive[best]),
    )


def _known(values: "pd.Series[float]") -> FloatArray:
    return np.asarray(values.dropna(), dtype=np.float64)


def _area(values: FloatArray, later: npt.NDArray[np.bool_]) -> float:
    known = ~np.isnan(values)
    positives, negatives = values[known & later], values[known & ~later]
    if not len(positives) or not len(negatives):
        return math.nan
    return delong_auroc(positives, negatives).auroc
