"""The published cohort's table: its layout, its reading and its checks."""

import hashlib
import math
from enum import StrEnum
from pathlib import Path

import numpy as np
import pandas as pd

from modeling.errors import CohortLayout, CohortValue
from roi_extraction.anatomy import Finding
from roi_extraction.sites import SITES

__all__ = [
    "AGE_COLUMN",
    "COHORT_COLUMNS",
    "SEX_COLUMN",
    "SITE_NAMES",
    "STAGE_COLUMN",
    "Sex",
    "Stage",
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
"""No patient is older; a larger number is a slip of the pen."""

MAX_ABS_HU = 32768.0
"""What 16 bits can hold; a larger number is not an HU."""


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


def read_cohort(path: Path) -> pd.DataFrame:
    """Read a cohort in the published layout and check every cell.

    Parameters
    ----------
    path
        A tab-separated UTF-8 file with the header `COHORT_COLUMNS`, one row a patient.

    Returns
    -------
    DataFrame
        `COHORT_COLUMNS` in order: the stage as str, everything else float64, NaN where empty.

    Raises
    ------
    CohortLayout
        Columns missing, unknown, repeated or out of order, a row of another length, no rows.
    CohortValue
        A cell that is not a number, not finite, out of bounds, or a stage that is none of A-D.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise CohortLayout(f"{path.name} is not UTF-8 text") from error
    _check_header(tuple(lines[0].split("\t")) if lines else ())
    rows = []
    for number, line in enumerate(lines[1:], start=1):
        cells = line.split("\t")
        if not line.strip() and number == len(lines) - 1:
            break
        if len(cells) != len(COHORT_COLUMNS):
            raise CohortLayout(
                f"data row {number} has {len(cells)} cells instead of {len(COHORT_COLUMNS)}"
            )
        rows.append([_cell(number, c, t) for c, t in zip(COHORT_COLUMNS, cells, strict=True)])
    if not rows:
        raise CohortLayout(f"{path.name} holds no patients")
    frame = pd.DataFrame(rows, columns=list(COHORT_COLUMNS))
    numeric = list(COHORT_COLUMNS[1:])
    frame[numeric] = frame[numeric].astype(np.float64)
    return frame


def cohort_findings(cohort: pd.DataFrame) -> tuple[Finding, ...]:
    """Report what the reader of a cohort should know: rows that repeat an earlier one."""
    seen: dict[tuple[object, ...], int] = {}
    findings = []
    for number, row in enumerate(cohort.itertuples(index=False), start=1):
        key = tuple("" if value != value else value for value in row)
        first = seen.setdefault(key, number)
        if first != number:
            findings.append(
                Finding("cohort.duplicate_row", f"data rows {first} and {number} are equal")
            )
    return tuple(findings)


def without_duplicates(cohort: pd.DataFrame) -> pd.DataFrame:
    """Keep the first of each set of equal rows; the index is renumbered from 0."""
    return cohort.drop_duplicates(ignore_index=True)


def cohort_sha256(cohort: pd.DataFrame) -> str:
    """Hash a cohort's content, whatever the file's number formatting or line ends."""
    rows = (
        "\t".join("" if v != v else v if isinstance(v, str) else repr(float(v)) for v in row)
        for row in cohort[list(COHORT_COLUMNS)].itertuples(index=False)
    )
    text = "\n".join(("\t".join(COHORT_COLUMNS), *rows))
    return hashlib.sha256(text.encode()).hexdigest()


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


def _cell(row: int, column: str, text: str) -> float | str:
    text = text.strip()
    if column == STAGE_COLUMN:
        if text not in set(Stage):
            raise CohortValue(row, column, text, "a stage A, B, C or D")
        return text
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        raise CohortValue(row, column, text, "a number or nothing") from None
    if not math.isfinite(value):
        raise CohortValue(row, column, text, "a finite number or nothing")
    if column == SEX_COLUMN and value not in (0.0, 1.0):
        raise CohortValue(row, column, text, "0 (female) or 1 (male)")
    if column == AGE_COLUMN and not 0 < value <= MAX_AGE_YEARS:
        raise CohortValue(row, column, text, f"an age up to {MAX_AGE_YEARS:g} years")
    if column in SITE_NAMES and abs(value) > MAX_ABS_HU:
        raise CohortValue(row, column, text, f"an HU within {MAX_ABS_HU:g}")
    return value
