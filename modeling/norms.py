"""Where the cohort's vertebrae of one age and sex lie: the 10th, 50th and 90th percentile in HU.

A place in the cohort and no more: its patients came for a bone density measurement at one hospital
and are a mix of normal bone to fracture. It is neither a T-score nor a Z-score, which need a
healthy population.

``python -m modeling.norms COHORT`` writes the shipped numbers anew.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modeling.cohort import (
    AGE_COLUMN,
    SEX_COLUMN,
    SITE_NAMES,
    Sex,
    cohort_sha256,
    read_cohort,
    without_duplicates,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "PERCENTILES",
    "VERTEBRAE",
    "CohortPercentiles",
    "fit_percentiles",
    "shipped_percentiles",
    "vertebral_percentiles",
]

PERCENTILES = (10, 50, 90)
"""The percentiles, in the order in which they are given."""

VERTEBRAE = SITE_NAMES[:6]
"""L1 to S1."""

CENTRE_YEARS = 65.0
"""Age to which a line's level belongs, years."""

FILE = "cohort_percentiles.json"
"""The shipped numbers, beside this module; everything in it is derived from the cohort's table."""

Line = tuple[float, float, float]
"""HU of a woman of `CENTRE_YEARS`, HU that ten more years add, HU that a man has more."""


@dataclass(frozen=True)
class CohortPercentiles:
    """One line in age for each vertebra and percentile; women and men are a constant apart.

    Parameters
    ----------
    cohort_sha256
        Of the cohort's content.
    patients
        Number of patients of each sex.
    ages
        Age of the youngest and the oldest patient of each sex, years.
    lines
        By the vertebra's name: a line for each of `PERCENTILES`.
    """

    cohort_sha256: str
    patients: Mapping[Sex, int]
    ages: Mapping[Sex, tuple[float, float]]
    lines: Mapping[str, tuple[Line, ...]]

    def at(self, age: float, sex: Sex) -> Mapping[str, tuple[float, float, float]] | None:
        """The percentiles of an age and a sex; parameters and result as `vertebral_percentiles`."""
        youngest, oldest = self.ages[sex]
        if not youngest <= age <= oldest:
            return None
        decades = (age - CENTRE_YEARS) / 10.0
        man = float(sex is Sex.MALE)
        found = {}
        for name, lines in self.lines.items():
            low, middle, high = (
                round(level + slope * decades + more * man, 1) for level, slope, more in lines
            )
            found[name] = (low, middle, high)
        return found

    def to_json(self) -> str:
        """The text of the shipped file."""
        return json.dumps(
            {
                "cohort_sha256": self.cohort_sha256,
                "patients": self.patients,
                "ages": self.ages,
                "percentiles": PERCENTILES,
                "lines": self.lines,
            },
            indent=1,
        )


def vertebral_percentiles(
    age: float | None, sex: Sex | None
) -> Mapping[str, tuple[float, float, float]] | None:
    """The cohort's 10th, 50th and 90th percentile of each vertebra's mean HU.

    Parameters
    ----------
    age
        Years; None if unknown.
    sex
        None if unknown.

    Returns
    -------
    mapping or None
        HU by vertebra, L1 to S1; None if age or sex is unknown, or the age is outside that of the
        cohort's patients of this sex (`CohortPercentiles.ages`).

    References
    ----------
    R. Koenker, G. Bassett: Regression quantiles. Econometrica 46 (1978) 33-50,
    doi 10.2307/1913643.

    Examples
    --------
    >>> sorted(vertebral_percentiles(65, Sex.FEMALE))
    ['L1', 'L2', 'L3', 'L4', 'L5', 'S1']
    >>> vertebral_percentiles(30, Sex.FEMALE) is None
    True
    """
    if age is None or sex is None:
        return None
    return shipped_percentiles().at(age, sex)


@cache
def shipped_percentiles() -> CohortPercentiles:
    """The percentiles of the published cohort, as they are shipped."""
    return _read((files("modeling") / FILE).read_text())


def fit_percentiles(cohort: "pd.DataFrame") -> CohortPercentiles:
    """Fit the lines of a cohort by quantile regression; equal rows count once (under a second).

    Parameters
    ----------
    cohort
        A table as `read_cohort` gives it.
    """
    rows = without_duplicates(cohort)
    sexes = {sex: rows[rows[SEX_COLUMN] == float(sex is Sex.MALE)] for sex in Sex}
    return CohortPercentiles(
        cohort_sha256=cohort_sha256(cohort),
        patients={sex: len(part) for sex, part in sexes.items()},
        ages={
            sex: (float(part[AGE_COLUMN].min()), float(part[AGE_COLUMN].max()))
            for sex, part in sexes.items()
        },
        lines={name: tuple(_line(rows, name, p / 100) for p in PERCENTILES) for name in VERTEBRAE},
    )


def _line(rows: "pd.DataFrame", name: str, quantile: float) -> Line:
    import pandas as pd
    from sklearn.linear_model import QuantileRegressor

    measured = rows[rows[name].notna()]
    decades = (measured[AGE_COLUMN] - CENTRE_YEARS) / 10.0
    design = pd.concat([decades, measured[SEX_COLUMN]], axis=1).to_numpy()
    fitted = QuantileRegressor(quantile=quantile, alpha=0.0).fit(design, measured[name].to_numpy())
    slope, more = (round(float(value), 3) for value in fitted.coef_)
    return round(float(fitted.intercept_), 3), slope, more


def _read(text: str) -> CohortPercentiles:
    content = json.loads(text)
    return CohortPercentiles(
        cohort_sha256=content["cohort_sha256"],
        patients={Sex(sex): count for sex, count in content["patients"].items()},
        ages={Sex(sex): (low, high) for sex, (low, high) in content["ages"].items()},
        lines={name: _lines(lines) for name, lines in content["lines"].items()},
    )


def _lines(lines: Sequence[Any]) -> tuple[Line, ...]:
    return tuple((level, slope, more) for level, slope, more in lines)


if __name__ == "__main__":
    fitted = fit_percentiles(read_cohort(Path(sys.argv[1])))
    Path(__file__).with_name(FILE).write_text(fitted.to_json() + "\n")
