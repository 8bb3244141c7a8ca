"""The published cohort: its layout, its reading, its checks and what they found."""

import hashlib
import math
import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from modeling.cohort.table import read_table
from modeling.errors import CohortLayout, CohortValue
from roi_extraction.anatomy import Finding
from roi_extraction.sites import SITES

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "AGE_COLUMN",
    "COHORT_COLUMNS",
    "SEX_COLUMN",
    "SITE_NAMES",
    "STAGE_COLUMN",
    "Sex",
    "Stage",
    "cell_value",
    "cohort_findings",
    "cohort_sha256",
    "read_cohort",
    "without_duplicates",
]

STAGE_COLUMN = "Disease"
"""The stage, A to D."""

SEX_COLUMN = "Gender"
"""0 female, 1 male."""

AGE_COLUMN = "Age"
"""Age in years."""

SITE_NAMES: tuple[str, ...] = tuple(site.name for site in SITES)
"""The 36 sites in the cohort's order; their columns hold mean HU, empty where not measured."""

COHORT_COLUMNS: tuple[str, ...] = (STAGE_COLUMN, SEX_COLUMN, AGE_COLUMN, *SITE_NAMES)
"""The 39 columns of the published table, in its order (Wang 2025)."""

MAX_AGE_YEARS = 120.0
"""Oldest age that is taken, in years; a larger number is a typing error."""

MAX_ABS_HU = 32768.0
"""Largest HU that is taken, that of 16 bits; a larger number is not an HU."""

MIN_AGE_YEARS = 50.0
"""The publication's patients are of this age or older (Wang 2025); younger ones are reported."""

PLAUSIBLE_BONE_HU = (-139.0, 490.0)
"""Mean HU that trabecular bone may have at 120 kVp: six standard deviations below the mean of those
aged 90 and over (89 with SD 38) and above that of those under 30 (226 with SD 44), in 20,374 adults
(Jang 2019, doi 10.1148/radiol.2019181648)."""

PLAUSIBLE_MUSCLE_HU = (-190.0, 150.0)
"""Mean HU that muscle may have, from the lower end of fat, which replaces it, to its own upper end
(Aubrey 2014, doi 10.1111/apha.12224)."""

DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
"""A number as many programs write it where the comma is the decimal sign."""

SEX_WORDS = {"f": 0.0, "female": 0.0, "m": 1.0, "male": 1.0, "o": math.nan, "u": math.nan}
"""What may stand for sex beside 0 and 1, in any case; DICOM's O and U are unknown to the model."""

MAX_NAMED_ROWS = 5
"""Rows that a finding names one by one; it counts the others."""


class Stage(StrEnum):
    """The cohort's four stages, by DXA T-score and fracture (Wang 2025)."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"

    @property
    def label(self) -> str:
        """The stage in words.

        >>> Stage.B.label
        'osteopenia'
        """
        return {
            "A": "normal",
            "B": "osteopenia",
            "C": "osteoporosis",
            "D": "osteoporotic fracture",
        }[self.value]


class Sex(StrEnum):
    """The patient's sex, as the cohort records it."""

    FEMALE = "female"
    MALE = "male"

    @property
    def cohort_code(self) -> int:
        """The cohort's number: 0 female, 1 male."""
        return 0 if self is Sex.FEMALE else 1


def read_cohort(path: Path) -> "pd.DataFrame":
    """Read a cohort in the published layout and check every cell.

    Parameters
    ----------
    path
        A table with the header `COHORT_COLUMNS`, one row a patient: separated by tabs (.tsv,
        .tab, .txt) or commas (.csv) in UTF-8, or Parquet (by its suffix or its first bytes).

    Returns
    -------
    DataFrame
        `COHORT_COLUMNS` in order: the stage as str, everything else float64, NaN where empty.

    Raises
    ------
    CohortFormat
        A file of another kind.
    CohortLayout
        Another separator, columns missing, unknown, repeated or out of order, a row of another
        length, no rows.
    CohortValue
        A cell that is not a number, not finite, out of bounds, or a stage that is none of A-D.
    """
    import pandas as pd

    table = read_table(path)
    _check_header(table.header)
    if not table.rows:
        raise CohortLayout(f"{path.name} holds no patients")
    rows = [
        [cell_value(number, c, t, c) for c, t in zip(COHORT_COLUMNS, cells, strict=True)]
        for number, cells in enumerate(table.rows, start=1)
    ]
    frame = pd.DataFrame(rows, columns=list(COHORT_COLUMNS))
    numeric = list(COHORT_COLUMNS[1:])
    frame[numeric] = frame[numeric].astype(np.float64)
    return frame


def cohort_findings(cohort: "pd.DataFrame") -> tuple[Finding, ...]:
    """Report what a reader of the cohort should know; the cohort is not changed.

    Parameters
    ----------
    cohort
        As `read_cohort` gives it, or `PatientTable.cohort`, whose index counts the file's rows.

    Returns
    -------
    tuple of Finding
        Rows that repeat an earlier one (``cohort.duplicate_row``), ages under the cohort's
        (``cohort.age_below_50``), HU that the tissue hardly reaches
        (``cohort.implausible_hu``), one finding a column. Rows are counted from 1.
    """
    seen: dict[tuple[object, ...], int] = {}
    findings = []
    for place, row in zip(cohort.index, cohort.itertuples(index=False), strict=True):
        number = int(place) + 1
        key = tuple("" if value != value else value for value in row)
        first = seen.setdefault(key, number)
        if first != number:
            findings.append(
                Finding("cohort.duplicate_row", f"data rows {first} and {number} are equal")
            )
    young = cohort[AGE_COLUMN] < MIN_AGE_YEARS
    if young.any():
        rows = _named_rows(cohort[AGE_COLUMN][young], "years")
        message = f"age under {MIN_AGE_YEARS:g} years in a cohort from that age on: {rows}"
        findings.append(Finding("cohort.age_below_50", message))
    for site in SITES:
        low, high = PLAUSIBLE_BONE_HU if site.is_vertebra else PLAUSIBLE_MUSCLE_HU
        strange = (cohort[site.name] < low) | (cohort[site.name] > high)
        if strange.any():
            tissue = "trabecular bone" if site.is_vertebra else "muscle"
            rows = _named_rows(cohort[site.name][strange], "HU")
            message = f"{site.name} outside {low:g} to {high:g} HU of {tissue}: {rows}"
            findings.append(Finding("cohort.implausible_hu", message))
    return tuple(findings)


def without_duplicates(cohort: "pd.DataFrame") -> "pd.DataFrame":
    """Keep the first of each set of equal rows; the index is renumbered from 0."""
    return cohort.drop_duplicates(ignore_index=True)


def cohort_sha256(cohort: "pd.DataFrame") -> str:
    """Hash a cohort's content, whatever the file's number formatting or line ends."""
    rows = (
        "\t".join("" if v != v else v if isinstance(v, str) else repr(float(v)) for v in row)
        for row in cohort[list(COHORT_COLUMNS)].itertuples(index=False)
    )
    text = "\n".join(("\t".join(COHORT_COLUMNS), *rows))
    return hashlib.sha256(text.encode()).hexdigest()


def cell_value(row: int, column: str, text: str, kind: str) -> float | str:
    """Read one cell.

    Parameters
    ----------
    row, column
        Its place, for the message: the data row, counted from 1, and the file's own name.
    text
        The cell.
    kind
        Which of `COHORT_COLUMNS` it is.

    Returns
    -------
    float or str
        The stage as str; everything else as float, NaN where empty. Sex is 0 or 1, NaN for
        DICOM's ``O`` and ``U``.

    Raises
    ------
    CohortValue
        The column cannot hold it.
    """
    text = text.strip()
    if kind == STAGE_COLUMN:
        if text not in set(Stage):
            raise CohortValue(row, column, text, "a stage A, B, C or D")
        return text
    if not text:
        return math.nan
    if kind == SEX_COLUMN and text.lower() in SEX_WORDS:
        return SEX_WORDS[text.lower()]
    value = _number(row, column, text)
    if kind == SEX_COLUMN and value not in (0.0, 1.0):
        raise CohortValue(row, column, text, "0 or F (female), 1 or M (male), or nothing")
    if kind == AGE_COLUMN and not 0 < value <= MAX_AGE_YEARS:
        raise CohortValue(row, column, text, f"an age up to {MAX_AGE_YEARS:g} years")
    if kind in SITE_NAMES and abs(value) > MAX_ABS_HU:
        raise CohortValue(row, column, text, f"an HU within {MAX_ABS_HU:g}")
    return value


def _number(row: int, column: str, text: str) -> float:
    try:
        value = float(text.replace("_", "?"))
    except ValueError:
        wanted = "a number with a decimal point" if DECIMAL_COMMA.fullmatch(text) else "a number"
        raise CohortValue(row, column, text, f"{wanted} or nothing") from None
    if not math.isfinite(value):
        raise CohortValue(row, column, text, "a finite number or nothing")
    return value


def _check_header(found: tuple[str, ...]) -> None:
    missing = [name for name in COHORT_COLUMNS if name not in found]
    unknown = [name for name in found if name not in COHORT_COLUMNS]
    if missing or unknown:
        parts = [f"missing {', '.join(missing)}"] if missing else []
        parts += [f"unknown {', '.join(map(repr, unknown))}"] if unknown else []
        raise CohortLayout(f"columns: {'; '.join(parts)}", missing, unknown)
    if found != COHORT_COLUMNS:
        place = next(
            (
                i
                for i, pair in enumerate(zip(found, COHORT_COLUMNS, strict=False))
                if len(set(pair)) > 1
            ),
            len(COHORT_COLUMNS),
        )
        name = found[place]
        raise CohortLayout(f"column {place + 1} is {name!r}: not the published order, or repeated")


def _named_rows(values: "pd.Series[float]", unit: str) -> str:
    """Name rows as in ``data row 12 (937 HU), data row 40 (520 HU) and 3 more``."""
    named = [
        f"data row {place + 1} ({value:g} {unit})"
        for place, value in zip(values.index, values, strict=True)
    ]
    more = len(named) - MAX_NAMED_ROWS
    return ", ".join(named[:MAX_NAMED_ROWS]) + (f" and {more} more" if more > 0 else "")
