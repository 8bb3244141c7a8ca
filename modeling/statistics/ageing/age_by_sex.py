"""Whether HU differ by age at another rate in women than in men."""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from modeling.cohort import AGE_COLUMN, SEX_COLUMN, STAGE_COLUMN, Sex
from modeling.metrics import CONFIDENCE
from modeling.statistics.site_values import TISSUES, tissue_means
from modeling.statistics.two_groups import false_discovery

__all__ = ["AgeBySex", "age_by_sex", "hc3_covariance"]

FloatArray = npt.NDArray[np.float64]

MIN_OF_EACH_SEX = 10
"""Women and men that the comparison of their slopes needs."""

AGE_ORIGIN_YEARS = 70.0
"""Age that is taken as zero, so that the model's numbers are of like size."""


@dataclass(frozen=True)
class AgeBySex:
    """A tissue's slopes of mean HU against age in women and men, and their difference.

    Parameters
    ----------
    tissue
        One of `TISSUES`.
    within_stages
        Whether each stage has a level of its own; otherwise the stages are not told apart.
    women_hu_per_year, men_hu_per_year
        The two slopes.
    difference, difference_low, difference_high
        Men's minus women's slope, HU per year, with its 95 % interval: above 0 where women have
        the steeper decline. NaN with fewer than 10 of either sex, or one age only.
    p
        Two-sided, of no difference, by standard errors that bear unequal variances (HC3).
    p_equal_variance
        The same by the usual standard errors.
    q
        ``p`` after Benjamini-Hochberg over all rows.
    """

    tissue: str
    within_stages: bool
    women: int
    men: int
    women_hu_per_year: float = math.nan
    men_hu_per_year: float = math.nan
    difference: float = math.nan
    difference_low: float = math.nan
    difference_high: float = math.nan
    p: float = math.nan
    p_equal_variance: float = math.nan
    q: float = math.nan


def age_by_sex(cohort: pd.DataFrame) -> tuple[AgeBySex, ...]:
    """Test the interaction of age and sex in a linear model of each tissue's mean HU.

    HU = b0 + b1 age + b2 male + b3 age x male (+ a level for each stage); b3 is tested. Within
    the stages the slopes are flatter, for a stage is itself defined by density.

    References
    ----------
    MacKinnon JG, White H. Some heteroskedasticity-consistent covariance matrix estimators with
    improved finite sample properties. J Econometrics 1985, doi 10.1016/0304-4076(85)90158-7.
    """
    means = tissue_means(cohort)
    found = [
        _compare(cohort, means[name], name, within) for within in (False, True) for name in TISSUES
    ]
    adjusted = false_discovery([row.p for row in found])
    return tuple(replace(row, q=float(q)) for row, q in zip(found, adjusted, strict=True))


def hc3_covariance(design: FloatArray, residuals: FloatArray) -> FloatArray:
    """Covariance of least-squares coefficients where the variance may differ between patients.

    Parameters
    ----------
    design
        float64, shape (n, k), of full column rank.
    residuals
        float64, shape (n,).

    Returns
    -------
    ndarray
        float64, shape (k, k): MacKinnon and White's HC3, residuals divided by 1 - leverage.
    """
    inverse = np.linalg.inv(design.T @ design)
    leverage = np.einsum("ij,jk,ik->i", design, inverse, design)
    meat = design * (residuals / (1 - leverage))[:, None]
    return np.asarray(inverse @ (meat.T @ meat) @ inverse)


def _compare(cohort: pd.DataFrame, hu: "pd.Series[float]", tissue: str, within: bool) -> AgeBySex:
    known = hu.notna() & cohort[AGE_COLUMN].notna() & cohort[SEX_COLUMN].notna()
    male = (cohort.loc[known, SEX_COLUMN] == Sex.MALE.cohort_code).to_numpy()
    empty = AgeBySex(tissue, within, int((~male).sum()), int(male.sum()))
    age = cohort.loc[known, AGE_COLUMN].to_numpy() - AGE_ORIGIN_YEARS
    columns = [np.ones(len(age)), age, male, age * male]
    if within:
        levels = pd.get_dummies(cohort.loc[known, STAGE_COLUMN].astype(str), dtype=float)
        columns += [levels[name].to_numpy() for name in levels.columns[1:]]
    design = np.column_stack(columns).astype(np.float64)
    if min(empty.women, empty.men) < MIN_OF_EACH_SEX or (
        np.linalg.matrix_rank(design) < design.shape[1]
    ):
        return empty
    values = hu[known].to_numpy(dtype=np.float64)
    fitted = np.linalg.lstsq(design, values, rcond=None)[0]
    residuals = np.asarray(values - design @ fitted, dtype=np.float64)
    freedom = len(values) - design.shape[1]
    error = math.sqrt(hc3_covariance(design, residuals)[3, 3])
    equal = math.sqrt(
        float(residuals @ residuals) / freedom * np.linalg.inv(design.T @ design)[3, 3]
    )
    slope, difference = float(fitted[1]), float(fitted[3])
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, freedom)) * error
    return replace(
        empty,
        women_hu_per_year=slope,
        men_hu_per_year=slope + difference,
        difference=difference,
        difference_low=difference - half,
        difference_high=difference + half,
        p=float(2 * stats.t.sf(abs(difference) / error, freedom)),
        p_equal_variance=float(2 * stats.t.sf(abs(difference) / equal, freedom)),
    )
