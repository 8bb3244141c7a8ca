"""Straight lines of a tissue's HU against age, by sex and stage."""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from modeling.cohort import AGE_COLUMN, Sex, Stage
from modeling.metrics import CONFIDENCE
from modeling.statistics.characteristics import EVERYONE, group_rows
from modeling.statistics.site_values import TISSUES, tissue_means
from modeling.statistics.two_groups import false_discovery

__all__ = ["Decline", "declines"]

FloatArray = npt.NDArray[np.float64]

MIN_PATIENTS_FOR_SLOPE = 10
"""Patients that a line of HU against age needs."""


@dataclass(frozen=True)
class Decline:
    """A straight line of a tissue's mean HU against age.

    Parameters
    ----------
    tissue, sex, stage
        The tissue, and the patients' sex and stage; ``all`` for everyone.
    slope_hu_per_year, slope_low, slope_high
        The slope and its 95 % interval (Student's t); NaN with fewer than 10 patients or with one
        age only.
    intercept_hu
        The line at age 0, for drawing it.
    r_squared
        Share of the variance that age explains.
    p
        Two-sided, of no slope.
    q
        After Benjamini-Hochberg over all rows.
    """

    tissue: str
    sex: str
    stage: str
    patients: int
    slope_hu_per_year: float = math.nan
    slope_low: float = math.nan
    slope_high: float = math.nan
    intercept_hu: float = math.nan
    r_squared: float = math.nan
    p: float = math.nan
    q: float = math.nan


def declines(cohort: pd.DataFrame) -> tuple[Decline, ...]:
    """Fit HU against age, by tissue, sex and stage.

    Patients are of different age at one time, not followed: a slope is a difference between
    people, not one patient's loss. Within a stage it is flatter than in the population, for the
    stage is itself defined by density.
    """
    means = tissue_means(cohort)
    found = []
    for name in TISSUES:
        for sex in (EVERYONE, *Sex):
            for stage in (EVERYONE, *Stage):
                rows = (
                    group_rows(cohort, stage, sex)
                    & means[name].notna()
                    & cohort[AGE_COLUMN].notna()
                )
                age = cohort.loc[rows, AGE_COLUMN].to_numpy()
                found.append(
                    _line(Decline(name, str(sex), str(stage), len(age)), age, means.loc[rows, name])
                )
    adjusted = false_discovery([row.p for row in found])
    return tuple(replace(row, q=float(q)) for row, q in zip(found, adjusted, strict=True))


def _line(empty: Decline, age: FloatArray, hu: "pd.Series[float]") -> Decline:
    if len(age) < MIN_PATIENTS_FOR_SLOPE or np.ptp(age) == 0:
        return empty
    line = stats.linregress(age, hu.to_numpy())
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, len(age) - 2)) * line.stderr
    return replace(
        empty,
        slope_hu_per_year=float(line.slope),
        slope_low=float(line.slope - half),
        slope_high=float(line.slope + half),
        intercept_hu=float(line.intercept),
        r_squared=float(line.rvalue**2),
        p=float(line.pvalue),
    )
