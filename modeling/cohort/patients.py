"""A table of any hospital's patients: any subset of the sites, in any order, with own columns."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from modeling.cohort.reading import (
    AGE_COLUMN,
    SEX_COLUMN,
    SITE_NAMES,
    STAGE_COLUMN,
    cell_value,
)
from modeling.cohort.table import RawTable, read_table
from modeling.cohort.units import check_units
from modeling.errors import CohortDuplicate, CohortLayout
from roi_extraction.anatomy import Finding

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "AGE_NAMES",
    "IDENTIFIER_NAMES",
    "ROW_IDENTIFIER",
    "SEX_NAMES",
    "PatientTable",
    "read_patients",
]

AGE_NAMES = ("age", AGE_COLUMN)
"""Names of the column of ages in years."""

SEX_NAMES = ("sex", SEX_COLUMN)
"""Names of the column of sexes: 0, F or female; 1, M or male."""

IDENTIFIER_NAMES = ("patient", "id")
"""Names of the column that tells patients apart, the first that is there."""

ROW_IDENTIFIER = "series_uid"
"""Tells rows apart in the node's own results, where a patient may have several."""

SITE_LIKE = re.compile(r"[LS]\d+([-_/ ][LS]\d+)?([-_ ]\d+)?", re.IGNORECASE)
"""A column's name that was meant as a site's."""


@dataclass(frozen=True, eq=False)
class PatientTable:
    """Measurements of patients, one row a scan.

    Parameters
    ----------
    source
        The file's name.
    mean_hu
        float64, shape (n, 36): `SITE_NAMES`, NaN where missing.
    age
        float64, shape (n,): years, NaN where unknown.
    sex
        float64, shape (n,): 0 female, 1 male, NaN where unknown.
    stages
        str, shape (n,): A to D, empty where the reference says nothing; None without its column.
    own
        Text of every column that is no site, in the file's order.
    identifiers
        Each row's patient; None where the table tells none apart.
    site_columns
        The sites that the table has a column for.
    """

    source: str
    mean_hu: npt.NDArray[np.float64]
    age: npt.NDArray[np.float64]
    sex: npt.NDArray[np.float64]
    stages: npt.NDArray[Any] | None
    own: "pd.DataFrame"
    identifiers: tuple[str, ...] | None
    site_columns: tuple[str, ...]

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.age)

    def labelled(self) -> tuple[npt.NDArray[np.intp], tuple[Finding, ...]]:
        """Choose the rows that can be held against the reference, one a patient.

        Returns
        -------
        ndarray
            intp, shape (m,): rows, in order.
        tuple of Finding
            What was left out: rows without a stage (``cohort.no_stage``), without any site
            (``cohort.nothing_measured``), later rows of a patient (``cohort.later_row``).
        """
        stages = np.full(len(self), "") if self.stages is None else self.stages
        empty = np.asarray(np.isnan(self.mean_hu).all(axis=1))
        without: dict[str, list[int]] = {}
        seen: set[str] = set()
        chosen = []
        for row in range(len(self)):
            patient = "" if self.identifiers is None else self.identifiers[row]
            if not stages[row]:
                reason = "cohort.no_stage"
            elif empty[row]:
                reason = "cohort.nothing_measured"
            elif patient in seen:
                reason = "cohort.later_row"
            else:
                chosen.append(row)
                seen |= {patient} - {""}
                continue
            without.setdefault(reason, []).append(row + 1)
        words = {
            "cohort.no_stage": "without a stage of the reference",
            "cohort.nothing_measured": "without any measured site",
            "cohort.later_row": "of a patient who has an earlier row",
        }
        findings = tuple(
            Finding(code, f"left out: {_rows(without[code])} {said}")
            for code, said in words.items()
            if code in without
        )
        return np.array(chosen, dtype=np.intp), findings

    def cohort(self, rows: npt.NDArray[np.intp]) -> "pd.DataFrame":
        """Give some rows in the published layout; the index counts the file's rows from 0."""
        import pandas as pd

        stages = np.full(len(self), "") if self.stages is None else self.stages
        columns = {
            STAGE_COLUMN: pd.Series(list(map(str, stages[rows])), dtype="str"),
            SEX_COLUMN: self.sex[rows],
            AGE_COLUMN: self.age[rows],
            **{name: self.mean_hu[rows, k] for k, name in enumerate(SITE_NAMES)},
        }
        return pd.DataFrame(columns).set_axis(rows, axis="index")


def read_patients(
    path: Path, *, label: str | None = None, identifier: str | None = None
) -> PatientTable:
    """Read a table of patients and check every cell; docs/validation.md has the contract.

    Parameters
    ----------
    path
        Separated by tabs (.tsv, .tab, .txt) or commas (.csv) in UTF-8, or Parquet. Columns stand
        in any order; those that are no site, age or sex are carried through as they are.
    label
        Column with the stage of the reference, A to D or empty; it must be there. None: the
        published name `STAGE_COLUMN`, if it is there.
    identifier
        Column that tells patients apart; None: the first of `IDENTIFIER_NAMES`, if any.

    Raises
    ------
    CohortFormat
        A file of another kind.
    CohortLayout
        Another separator, no site, a column that is missing, repeated, or named almost as one of
        the contract, rows of unequal length, no rows.
    CohortValue
        A cell that its column cannot hold.
    CohortDuplicate
        Two rows of one series, or of one patient in a table that does not tell series apart.
    CohortUnits
        A site whose values as a whole are no HU.
    """
    import pandas as pd

    raw = read_table(path)
    _check_names(raw.header)
    for wanted in (label, identifier):
        if wanted is not None and wanted not in raw.header:
            raise CohortLayout(f"no column is named {wanted!r}", (wanted,))
    if not raw.rows:
        raise CohortLayout(f"{path.name} holds no patients")
    sites = tuple(name for name in SITE_NAMES if name in raw.header)
    if not sites:
        raise CohortLayout(f"no column is a site: name them as {', '.join(SITE_NAMES[:8])}, ...")
    if label is None and STAGE_COLUMN in raw.header:
        label = STAGE_COLUMN
    mean_hu = np.full((len(raw.rows), len(SITE_NAMES)), math.nan)
    for name in sites:
        mean_hu[:, SITE_NAMES.index(name)] = _numbers(raw, name, name)
    check_units(mean_hu)
    return PatientTable(
        path.name,
        mean_hu,
        _numbers(raw, _one_of(raw.header, AGE_NAMES), AGE_COLUMN),
        _numbers(raw, _one_of(raw.header, SEX_NAMES), SEX_COLUMN),
        None if label is None else np.array(list(_stages(raw, label)), dtype="U1"),
        pd.DataFrame(
            {n: _column(raw, n) for n in raw.header if n not in SITE_NAMES}, dtype="object"
        ),
        _identifiers(raw, identifier),
        sites,
    )


def _check_names(header: Sequence[str]) -> None:
    known = (*SITE_NAMES, *AGE_NAMES, *SEX_NAMES, *IDENTIFIER_NAMES, STAGE_COLUMN)
    meant = {_plain(name): name for name in reversed(known)}
    for place, name in enumerate(header, start=1):
        where = f"column {place}, {name!r}"
        if not name.strip():
            raise CohortLayout(f"column {place} has no name: give it one, or delete it")
        if name in header[: place - 1]:
            raise CohortLayout(f"{where}: an earlier column has that name; rename one", (), (name,))
        if name in known:
            continue
        plain = re.sub(r"(mean)?hu$", "", _plain(name))
        if plain in meant:
            raise CohortLayout(
                f"{where}: looks like {meant[plain]!r}; name it so, or otherwise if it is not",
                (),
                (name,),
            )
        if SITE_LIKE.fullmatch(name.strip()):
            raise CohortLayout(
                f"{where}: no site has that name (L1 to L5, S1, and L1-L2_1 to L5-S1_6); name it "
                "otherwise, or delete it",
                (),
                (name,),
            )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _one_of(header: Sequence[str], names: Sequence[str]) -> str | None:
    found = [name for name in names if name in header]
    if len(found) > 1:
        raise CohortLayout(
            f"columns {' and '.join(map(repr, found))} say the same: delete or rename one"
        )
    return found[0] if found else None


def _column(raw: RawTable, name: str) -> list[str]:
    place = raw.header.index(name)
    return [row[place] for row in raw.rows]


def _numbers(raw: RawTable, name: str | None, kind: str) -> npt.NDArray[np.float64]:
    if name is None:
        return np.full(len(raw.rows), math.nan)
    cells = enumerate(_column(raw, name), start=1)
    return np.array([cell_value(row, name, text, kind) for row, text in cells], dtype=np.float64)


def _stages(raw: RawTable, name: str) -> Iterator[str]:
    for row, text in enumerate(_column(raw, name), start=1):
        yield str(cell_value(row, name, text, STAGE_COLUMN)) if text.strip() else ""


def _identifiers(raw: RawTable, asked: str | None) -> tuple[str, ...] | None:
    name = asked or next((n for n in IDENTIFIER_NAMES if n in raw.header), None)
    by_series = ROW_IDENTIFIER in raw.header
    if by_series:
        _check_unique(_column(raw, ROW_IDENTIFIER), ROW_IDENTIFIER, "keep one row a series")
    if name is None:
        return None
    found = [text.strip() for text in _column(raw, name)]
    if not by_series:
        remedy = (
            f"keep one row a patient, or tell the scans apart in a column {ROW_IDENTIFIER!r} (a "
            "patient's first measured row is then compared with the reference)"
        )
        _check_unique(found, name, remedy)
    return tuple(found)


def _check_unique(found: Sequence[str], column: str, remedy: str) -> None:
    first: dict[str, int] = {}
    for row, text in enumerate(found, start=1):
        if text and first.setdefault(text, row) != row:
            raise CohortDuplicate((first[text], row), column, text, remedy)


def _rows(numbers: Sequence[int]) -> str:
    """Count rows, and name the first few.

    >>> _rows([3]), _rows([1, 2, 5, 8, 9, 11])
    ('1 row (data row 3)', '6 rows (data rows 1, 2, 5, 8, 9 and 1 more)')
    """
    named = ", ".join(map(str, numbers[:5]))
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    plural = "" if len(numbers) == 1 else "s"
    return f"{len(numbers)} row{plural} (data row{plural} {named}{more})"
