"""Who the cohort's patients are: groups, sex, age, and HU by sex."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from modeling.cohort import AGE_COLUMN, SEX_COLUMN, STAGE_COLUMN, Sex, Stage
from modeling.metrics import CONFIDENCE
from modeling.statistics.site_values import TISSUES, tissue_means
from modeling.statistics.two_groups import TwoGroups, compare_groups, false_discovery

__all__ = [
    "EVERYONE",
    "AgeDensities",
    "AgePeak",
    "GroupSummary",
    "Groups",
    "SexDifference",
    "age_densities",
    "group_rows",
    "group_sizes",
    "sex_differences",
]

FloatArray = npt.NDArray[np.float64]

EVERYONE = "all"
"""Stands in place of a stage or a sex for every patient."""

AGE_STEP_YEARS = 0.1
"""Steps at which age densities are computed."""

PEAK_BOOTSTRAPS = 1000
"""Resamples of a group's patients for the interval of its age peak."""


@dataclass(frozen=True)
class GroupSummary:
    """A stage's patients (or ``all``): their number, sex and age in years."""

    stage: str
    patients: int
    women: int
    men: int
    age_mean_years: float
    age_sd_years: float
    age_median_years: float
    age_q1_years: float
    age_q3_years: float
    age_min_years: float
    age_max_years: float


@dataclass(frozen=True)
class Groups:
    """The stages and all patients; whether sex and age differ between the stages.

    Parameters
    ----------
    rows
        A to D, then all.
    sex_p
        Chi-squared test of sex against stage; NaN where a sex or all but one stage is absent.
    age_p
        Kruskal-Wallis test of age between the stages; NaN with less than two stages.
    """

    rows: tuple[GroupSummary, ...]
    sex_p: float
    age_p: float


def group_sizes(cohort: pd.DataFrame) -> Groups:
    """Count the patients of each stage, by sex, and summarise their age."""
    rows = []
    for stage in (*Stage, EVERYONE):
        group = cohort if stage == EVERYONE else cohort[cohort[STAGE_COLUMN] == stage]
        age = group[AGE_COLUMN]
        counts = [int((group[SEX_COLUMN] == sex.cohort_code).sum()) for sex in Sex]
        numbers = [age.mean(), age.std(), age.median(), *age.quantile([0.25, 0.75])]
        rows.append(
            GroupSummary(
                str(stage), len(group), *counts, *map(float, [*numbers, age.min(), age.max()])
            )
        )
    known = cohort.dropna(subset=[SEX_COLUMN, AGE_COLUMN])
    crossed = pd.crosstab(known[STAGE_COLUMN], known[SEX_COLUMN])
    ages = [ages.to_numpy() for _, ages in known.groupby(STAGE_COLUMN)[AGE_COLUMN]]
    varied = len(ages) > 1 and known[AGE_COLUMN].nunique() > 1
    return Groups(
        tuple(rows),
        float(stats.chi2_contingency(crossed).pvalue) if min(crossed.shape) > 1 else math.nan,
        float(stats.kruskal(*ages).pvalue) if varied else math.nan,
    )


@dataclass(frozen=True)
class AgePeak:
    """Where a stage's age density is highest.

    Parameters
    ----------
    bandwidth_years
        Bandwidth of the Gaussian kernel, by Scott's rule; NaN with fewer than 3 patients or with
        one age only.
    peak_years, peak_low_years, peak_high_years
        The density's highest point and its 95 % interval over resampled patients.
    central_low_years, central_high_years
        Between these lie the middle 95 % of the patients' ages. The published toolkit calls this
        the interval of the peak, which it is not.
    """

    stage: str
    patients: int
    bandwidth_years: float = math.nan
    peak_years: float = math.nan
    peak_low_years: float = math.nan
    peak_high_years: float = math.nan
    central_low_years: float = math.nan
    central_high_years: float = math.nan


@dataclass(frozen=True)
class AgeDensities:
    """The stages' age densities.

    Parameters
    ----------
    age_years
        float64, shape (k,); empty where nobody's age is known.
    density
        By stage: float64, shape (k,), per year; stages whose peak is NaN are absent.
    peaks
        One a stage.
    """

    age_years: FloatArray
    density: Mapping[Stage, FloatArray]
    peaks: tuple[AgePeak, ...]


def age_densities(
    cohort: pd.DataFrame, seed: int, bootstraps: int = PEAK_BOOTSTRAPS
) -> AgeDensities:
    """Estimate each stage's age density with its peak.

    A Gaussian kernel whose bandwidth is the standard deviation times n**(-1/5); each resample has
    a bandwidth of its own.

    References
    ----------
    Scott 1992, Multivariate Density Estimation, doi 10.1002/9780470316849.
    """
    generator = np.random.default_rng(seed)
    ages = cohort[AGE_COLUMN].dropna()
    grid = (
        np.arange(ages.min() - 10, ages.max() + 10 + AGE_STEP_YEARS, AGE_STEP_YEARS)
        if len(ages)
        else np.empty(0)
    )
    density, peaks = {}, []
    for stage in Stage:
        group = cohort.loc[cohort[STAGE_COLUMN] == stage, AGE_COLUMN].dropna().to_numpy()
        if len(group) < 3 or np.ptp(group) == 0:
            peaks.append(AgePeak(stage.value, len(group)))
            continue
        kernel = stats.gaussian_kde(group, "scott")
        density[stage] = kernel(grid)
        drawn = []
        for _ in range(bootstraps):
            again = generator.choice(group, len(group))
            if np.ptp(again) > 0:
                drawn.append(grid[np.argmax(stats.gaussian_kde(again, "scott")(grid))])
        bounds = (0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2)
        peaks.append(
            AgePeak(
                stage.value,
                len(group),
                float(kernel.factor * group.std(ddof=1)),
                float(grid[np.argmax(density[stage])]),
                *(float(np.quantile(drawn, bound)) for bound in bounds),
                *(float(np.quantile(group, bound)) for bound in bounds),
            )
        )
    return AgeDensities(grid, density, tuple(peaks))


@dataclass(frozen=True)
class SexDifference:
    """A tissue's mean HU in women (first) and men (second) of a stage or of all.

    Parameters
    ----------
    tissue
        One of `TISSUES`; each patient counts with the mean of the sites that were measured.
    stage
        A to D, or ``all``.
    comparison
        Women against men; differences are men minus women.
    q
        Its p-value after Benjamini-Hochberg over all rows.
    """

    tissue: str
    stage: str
    comparison: TwoGroups
    q: float = math.nan


def sex_differences(cohort: pd.DataFrame) -> tuple[SexDifference, ...]:
    """Compare women with men in each tissue, in all patients and within each stage.

    Sexes differ in how many patients each stage has, so the rows of all patients mix the
    difference between the sexes with that between the stages.
    """
    means = tissue_means(cohort)
    found = []
    for name in TISSUES:
        for stage in (EVERYONE, *Stage):
            women, men = (
                means.loc[group_rows(cohort, stage, sex.value), name].to_numpy() for sex in Sex
            )
            found.append(SexDifference(name, str(stage), compare_groups(women, men)))
    adjusted = false_discovery([row.comparison.p for row in found])
    return tuple(replace(row, q=float(q)) for row, q in zip(found, adjusted, strict=True))


def group_rows(cohort: pd.DataFrame, stage: str, sex: str) -> "pd.Series[bool]":
    """Tell which patients are of a stage and a sex, either of them `EVERYONE`."""
    chosen = pd.Series(True, index=cohort.index)
    if stage != EVERYONE:
        chosen &= cohort[STAGE_COLUMN] == str(stage)
    if sex != EVERYONE:
        chosen &= cohort[SEX_COLUMN] == Sex(sex).cohort_code
    return chosen
