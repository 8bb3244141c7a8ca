"""A table's header and cells as text, from tab- or comma-separated files and Parquet."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modeling.errors import CohortFormat, CohortLayout

__all__ = ["PARQUET_SUFFIXES", "TEXT_SEPARATORS", "RawTable", "read_table"]

TEXT_SEPARATORS = {".tsv": "\t", ".tab": "\t", ".txt": "\t", ".csv": ","}
"""The separator that each suffix stands for; the published table is a tab-separated .txt."""

PARQUET_SUFFIXES = (".parquet", ".pq")

PARQUET_MAGIC = b"PAR1"
"""First bytes of a Parquet file, whatever its name."""

SEPARATOR_NAMES = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars"}

FORMATS = (
    "save it as tab-separated text (.tsv, .tab or .txt), comma-separated text (.csv) or Parquet "
    "(.parquet)"
)

FOREIGN_MAGIC = (
    (b"PK\x03\x04", "an Excel workbook or another zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"\xff\xfe", "UTF-16 text, as Excel's 'Unicode text'"),
    (b"\xfe\xff", "UTF-16 text"),
)
"""First bytes of files that are often taken for tables."""


@dataclass(frozen=True)
class RawTable:
    """A header and rows of cells, both as text; an empty cell is an empty text."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def read_table(path: Path) -> RawTable:
    """Read a table by its suffix, or as Parquet by its first bytes.

    A UTF-8 byte order mark and Windows line ends are allowed: they mean one thing only.

    Raises
    ------
    CohortFormat
        Not one of the formats, by its name or by its content.
    CohortLayout
        Separated by something else than its suffix says, a quote that is not closed, or rows of
        unequal length.
    """
    suffix = path.suffix.lower()
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(PARQUET_MAGIC):
        return _read_parquet(path)
    for magic, what in FOREIGN_MAGIC:
        if head.startswith(magic):
            raise CohortFormat(f"{path.name} is {what}: {FORMATS}")
    if suffix in PARQUET_SUFFIXES:
        raise CohortFormat(f"{path.name} is named as Parquet but is not one: {FORMATS}")
    separator = TEXT_SEPARATORS.get(suffix)
    if separator is None:
        raise CohortFormat(f"{path.name} has the suffix {suffix!r}: {FORMATS}")
    return _read_text(path, separator)


def _read_text(path: Path, separator: str) -> RawTable:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CohortFormat(
            f"{path.name} is not UTF-8 text (byte {error.start}): save it as UTF-8"
        ) from error
    text = text.replace("\r\n", "\n")
    if "\r" in text or "\0" in text:
        found = "a line end of old Macintosh" if "\r" in text else "a zero byte"
        raise CohortFormat(f"{path.name} holds {found}: end each line by a line feed")
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise CohortLayout(f"{path.name} is empty")
    _check_separator(path.name, lines[0], separator)
    header, *rows = _records("\n".join(lines), separator)
    return RawTable(tuple(header), tuple(_whole_rows(rows, header, separator)))


def _check_separator(name: str, first_line: str, separator: str) -> None:
    for other, words in SEPARATOR_NAMES.items():
        if separator not in first_line and other in first_line:
            raise CohortLayout(
                f"{name} is separated by {words}, its suffix says "
                f"{SEPARATOR_NAMES[separator]}: save it with {SEPARATOR_NAMES[separator]}, or "
                "name it .tsv if separated by tabs, .csv if by commas"
            )


def _records(text: str, separator: str) -> list[list[str]]:
    """Split into cells; a cell may be quoted as RFC 4180 says."""
    found: list[list[str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        found.extend(reader)
    except csv.Error as error:
        place = f"data row {len(found)}" if found else "the header"
        raise CohortLayout(
            f"{place}: a quoted cell does not end as it should ({error}): close the quote, and "
            "write a quote inside a cell twice"
        ) from error
    return found


def _whole_rows(
    rows: list[list[str]], header: list[str], separator: str
) -> Iterator[tuple[str, ...]]:
    for number, cells in enumerate(rows, start=1):
        if len(cells) != len(header):
            hint = ""
            if not any(cell.strip() for cell in cells):
                hint = ": the line is blank, delete it"
            elif separator == "," and len(cells) > len(header):
                hint = "; decimal commas split a cell in two: save it with decimal points"
            raise CohortLayout(
                f"data row {number} has {len(cells)} cells instead of {len(header)}{hint}"
            )
        yield tuple(cells)


def _read_parquet(path: Path) -> RawTable:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise CohortFormat(f"{path.name} is damaged Parquet ({reason}): write it again") from error
    columns = [[_text(value) for value in column.to_pylist()] for column in table.columns]
    return RawTable(tuple(table.column_names), tuple(zip(*columns, strict=True)))


def _text(value: object) -> str:
    if value is None or value != value:
        return ""
    return value if isinstance(value, str) else repr(value)
