"""A list of studies, series or patients to be screened: a CSV with identifiers and own columns."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dicom_node.archive.bookkeeping.screenings import Question
from dicom_node.archive.results.columns import own_column_names
from dicom_node.archive.sources import SeriesFilter
from dicom_node.errors import ScreeningInvalid

__all__ = ["IdentifierList", "read_list"]

IDENTIFIERS = {
    "accession": "accession",
    "accessionnumber": "accession",
    "studyuid": "study_uid",
    "studyinstanceuid": "study_uid",
    "seriesuid": "series_uid",
    "seriesinstanceuid": "series_uid",
    "patient": "patient_id",
    "patientid": "patient_id",
}
"""What a column's name, in small letters without separators, stands for."""

SEPARATORS = ",;\t"

UID = re.compile(r"[0-9.]{1,64}")

WILDCARD = re.compile(r"[*?\\]")
"""Characters that an archive takes for more than themselves (PS3.4, C.2.2.2.4)."""

ROUNDED = re.compile(r"\d([.,]\d+)?E\+\d+", re.IGNORECASE)
"""A long number as spreadsheets write it once they have rounded it."""


@dataclass(frozen=True)
class IdentifierList:
    """A list that was read.

    Parameters
    ----------
    questions
        One a row, without repeated rows.
    own_columns
        Names of the list's own columns, as the results have them.
    messages
        What the user should know of it.
    """

    questions: tuple[Question, ...]
    own_columns: tuple[str, ...]
    messages: tuple[str, ...]


def read_list(path: Path, wanted: SeriesFilter) -> IdentifierList:
    """Read a list separated by commas, semicolons or tabs, in UTF-8 with or without its mark.

    Parameters
    ----------
    path
        A header with at least one of the columns accession, study_uid, series_uid and patient
        (also as DICOM names them); where a row has several, all must match.
    wanted
        What narrows each row's question.

    Raises
    ------
    ScreeningInvalid
        No file, another encoding, no rows, no identifying column or two of one kind, a row without
        an identifier or of another length, an identifier that cannot be one, or two rows of the
        same identifiers that differ in their own columns; the message names the row.
    """
    header, rows = _table(path)
    kinds = [IDENTIFIERS.get(re.sub(r"[^a-z]", "", name.lower())) for name in header]
    for kind in {kind for kind in kinds if kind}:
        if kinds.count(kind) > 1:
            doubled = " and ".join(n for n, k in zip(header, kinds, strict=True) if k == kind)
            raise ScreeningInvalid(f"{path.name}: columns {doubled} say the same; delete one")
    if not any(kinds):
        raise ScreeningInvalid(
            f"{path.name}: no column is named accession, study_uid, series_uid or patient; found: "
            + ", ".join(header)
        )
    own_names = [name for name, kind in zip(header, kinds, strict=True) if kind is None]
    named = own_column_names(own_names)
    messages = [f"column {a} is named {b} in the results" for a, b in named.items() if a != b]
    questions: dict[tuple[str, ...], Question] = {}
    first: dict[tuple[str, ...], int] = {}
    repeated = 0
    for number, cells in rows:
        place = f"{path.name}, row {number}"
        if len(cells) != len(header):
            raise ScreeningInvalid(f"{place}: {len(cells)} cells instead of {len(header)}")
        texts = [cell.strip() for cell in cells]
        found = {k: t for k, t in zip(kinds, texts, strict=True) if k is not None and t}
        own = {named[n]: t for n, k, t in zip(header, kinds, cells, strict=True) if k is None}
        _check(found, place)
        key = tuple(sorted(f"{kind}={text}" for kind, text in found.items()))
        if key not in questions:
            identifiers: dict[str, Any] = {**found}
            questions[key] = Question(replace(wanted, **identifiers), own)
            first[key] = number
        elif questions[key].own != own:
            raise ScreeningInvalid(
                f"{place}: the same identifiers as in row {first[key]}, with other own columns"
            )
        else:
            repeated += 1
    if not questions:
        raise ScreeningInvalid(f"{path.name} holds no rows")
    if repeated:
        messages.append(f"{repeated} rows repeat an earlier one and count once")
    return IdentifierList(tuple(questions.values()), tuple(named.values()), tuple(messages))


def _table(path: Path) -> tuple[list[str], Sequence[tuple[int, list[str]]]]:
    """The header, and each row that is not blank with its number in the file."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ScreeningInvalid(f"{path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ScreeningInvalid(
            f"{path.name} is not a CSV in UTF-8: save it as one, not as a workbook"
        ) from error
    lines = text.splitlines()
    if not lines or not lines[0].strip():
        raise ScreeningInvalid(f"{path.name} is empty: its first row names the columns")
    separator = max(SEPARATORS, key=lines[0].count)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        header = [name.strip() for name in next(reader)]
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise ScreeningInvalid(f"{path.name}: a quoted cell does not end as it should") from error
    if "" in header or len(set(header)) < len(header):
        raise ScreeningInvalid(f"{path.name}: a column has no name, or two have the same")
    return header, rows


def _check(found: dict[str, str], place: str) -> None:
    if not found:
        raise ScreeningInvalid(f"{place}: no identifier")
    for kind, text in found.items():
        if kind.endswith("_uid") and not UID.fullmatch(text):
            raise ScreeningInvalid(f"{place}: {text!r} is no UID: digits and dots, at most 64")
        if ROUNDED.fullmatch(text):
            raise ScreeningInvalid(
                f"{place}: {text} was rounded by a spreadsheet; export the column as text"
            )
        if WILDCARD.search(text) or len(text) > 64:
            raise ScreeningInvalid(
                f"{place}: {text!r} holds *, ? or a backslash, or is longer than 64 characters"
            )
