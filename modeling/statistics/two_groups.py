"""Two groups of values compared: the test that fits them, and how far apart they are."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import stats

from modeling.metrics import CONFIDENCE
from modeling.statistics.delong import delong_auroc

__all__ = [
    "MIN_VALUES",
    "MIN_VALUES_FOR_T",
    "NORMALITY_ALPHA",
    "GroupTest",
    "TwoGroups",
    "compare_groups",
    "false_discovery",
    "hedges_g",
]

FloatArray = npt.NDArray[np.float64]

MIN_VALUES = 3
"""Values that each group needs: Shapiro-Wilk takes no fewer."""

MIN_VALUES_FOR_T = 30
"""With fewer values in a group the rank-sum test is used (Wang 2025)."""

MAX_VALUES_FOR_NORMALITY = 5000
"""Beyond this Shapiro-Wilk's p-value is not exact (Royston 1995, doi 10.2307/2986146)."""

NORMALITY_ALPHA = 0.05
"""Below this p-value of Shapiro-Wilk a group does not pass as normal."""


class GroupTest(StrEnum):
    """The test that was used."""

    WELCH = "Welch t"
    RANK_SUM = "Wilcoxon rank-sum"
    NONE = "none"


@dataclass(frozen=True)
class TwoGroups:
    """Two groups compared; NaN where a number cannot be computed.

    Parameters
    ----------
    n_first, n_second
        Values, the missing ones left out.
    mean_first, mean_second, sd_first, sd_second, median_first, median_second
        In the values' unit.
    normality_p_first, normality_p_second
        P-values of the Shapiro-Wilk test.
    test
        `GroupTest`.
    why
        Why this test, or why none.
    p
        Two-sided p-value of the test.
    hedges_g, hedges_g_low, hedges_g_high
        Standardised mean difference, second minus first, with its 95 % interval.
    cliffs_delta, cliffs_delta_low, cliffs_delta_high
        Chance that a value of the second group is higher minus that it is lower, which is the
        rank-biserial correlation and 2 AUROC - 1; with its 95 % interval.
    """

    n_first: int
    n_second: int
    mean_first: float = math.nan
    mean_second: float = math.nan
    sd_first: float = math.nan
    sd_second: float = math.nan
    median_first: float = math.nan
    median_second: float = math.nan
    normality_p_first: float = math.nan
    normality_p_second: float = math.nan
    test: GroupTest = GroupTest.NONE
    why: str = ""
    p: float = math.nan
    hedges_g: float = math.nan
    hedges_g_low: float = math.nan
    hedges_g_high: float = math.nan
    cliffs_delta: float = math.nan
    cliffs_delta_low: float = math.nan
    cliffs_delta_high: float = math.nan


def compare_groups(first: FloatArray, second: FloatArray) -> TwoGroups:
    """Compare two groups by the test that fits them.

    Welch's t-test where both groups have 30 values or more and pass Shapiro-Wilk, else the
    Wilcoxon rank-sum (Mann-Whitney) test; none with fewer than 3 values in a group.

    Parameters
    ----------
    first, second
        float64, shape (n,) and (m,); NaN are left out.

    References
    ----------
    Shapiro and Wilk 1965, doi 10.1093/biomet/52.3-4.591; Welch 1947,
    doi 10.1093/biomet/34.1-2.28; Mann and Whitney 1947, doi 10.1214/aoms/1177730491;
    Cliff 1993, doi 10.1037/0033-2909.114.3.494.
    """
    first, second = first[~np.isnan(first)], second[~np.isnan(second)]
    n, m = len(first), len(second)
    if min(n, m) < MIN_VALUES:
        return TwoGroups(n, m, why=f"fewer than {MIN_VALUES} values in a group")
    normality = (_normality(first), _normality(second))
    test, why = _choose(n, m, normality)
    if test is GroupTest.WELCH:
        p = float(stats.ttest_ind(first, second, equal_var=False).pvalue)
    else:
        p = float(stats.mannwhitneyu(first, second, alternative="two-sided").pvalue)
    g, g_low, g_high = hedges_g(first, second)
    area = delong_auroc(second, first)
    return TwoGroups(
        n,
        m,
        float(first.mean()),
        float(second.mean()),
        float(first.std(ddof=1)),
        float(second.std(ddof=1)),
        float(np.median(first)),
        float(np.median(second)),
        *normality,
        test,
        why,
        p,
        g,
        g_low,
        g_high,
        2 * area.auroc - 1,
        2 * area.auroc_low - 1,
        2 * area.auroc_high - 1,
    )


def hedges_g(first: FloatArray, second: FloatArray) -> tuple[float, float, float]:
    """Hedges' g, second minus first, and its 95 % interval; NaN where nothing varies.

    References
    ----------
    Hedges 1981, doi 10.3102/10769986006002107; its variance as in Borenstein et al. 2009,
    Introduction to Meta-Analysis, formulas 4.20 to 4.24.
    """
    n, m = len(first), len(second)
    pooled = math.sqrt(((n - 1) * first.var(ddof=1) + (m - 1) * second.var(ddof=1)) / (n + m - 2))
    if pooled == 0:
        return math.nan, math.nan, math.nan
    d = float(second.mean() - first.mean()) / pooled
    small_sample = 1 - 3 / (4 * (n + m - 2) - 1)
    error = small_sample * math.sqrt((n + m) / (n * m) + d**2 / (2 * (n + m)))
    half = float(stats.norm.ppf(0.5 + CONFIDENCE / 2)) * error
    return small_sample * d, small_sample * d - half, small_sample * d + half


def false_discovery(p_values: Sequence[float]) -> FloatArray:
    """Benjamini-Hochberg adjusted p-values; NaN stay NaN and do not count as tests.

    References
    ----------
    Benjamini and Hochberg 1995, doi 10.1111/j.2517-6161.1995.tb02031.x.
    """
    given = np.asarray(p_values, dtype=np.float64)
    found = np.full(given.shape, np.nan)
    known = ~np.isnan(given)
    if known.any():
        found[known] = stats.false_discovery_control(given[known], method="bh")
    return found


def _normality(values: FloatArray) -> float:
    if np.ptp(values) == 0 or len(values) > MAX_VALUES_FOR_NORMALITY:
        return math.nan
    return float(stats.shapiro(values).pvalue)


def _choose(n: int, m: int, normality: tuple[float, float]) -> tuple[GroupTest, str]:
    if min(n, m) < MIN_VALUES_FOR_T:
        return GroupTest.RANK_SUM, f"fewer than {MIN_VALUES_FOR_T} values in a group"
    if any(math.isnan(p) for p in normality):
        return GroupTest.RANK_SUM, "normality cannot be tested"
    if min(normality) < NORMALITY_ALPHA:
        return GroupTest.RANK_SUM, "a group is not normal"
    return GroupTest.WELCH, "both groups pass as normal"
