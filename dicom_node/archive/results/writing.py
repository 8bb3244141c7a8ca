"""Write a screening's results: the table, its data dictionary and the summary page."""

import csv
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine

from dicom_node.archive.bookkeeping.screenings import Screenings
from dicom_node.archive.results.columns import COLUMNS, data_dictionary
from dicom_node.archive.results.pseudonyms import Pseudonyms
from dicom_node.archive.results.rows import ResultRow, result_batches
from dicom_node.archive.results.summary import Summary
from dicom_node.errors import ScreeningInvalid
from dicom_node.files import make_private_folder, write_atomically

__all__ = ["DICTIONARY_FILE", "SUMMARY_FILE", "write_results"]

DICTIONARY_FILE, SUMMARY_FILE = "data_dictionary.csv", "summary.html"
"""Names of the files beside the table."""

SEPARATORS = {".csv": ",", ".tsv": "\t"}
PARQUET = ".parquet"


class TableWriter(Protocol):
    """Takes the rows of a table batch by batch."""

    def write(self, rows: Sequence[ResultRow]) -> None:
        """Append rows."""
        ...


def write_results(
    database: Engine, name: str, out: Path, key: Path | None, *, own: bool = True
) -> int:
    """Write the table by its suffix, each file complete or not at all.

    Memory does not grow with the rows, but for the few numbers of each that the figures show.

    Parameters
    ----------
    database
        As `tables.open_screenings` gives it.
    name
        Of the screening.
    out
        The table; the other files go beside it.
    key
        Key file of the pseudonyms; None keeps the identifiers.
    own
        Whether the list's own columns are written; they may hold anything of a patient.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    ScreeningInvalid
        No such screening, another suffix, or a key that cannot be used.
    """
    from dicom_node.archive.results.summary_page import summary_page

    screening = Screenings(database).get(name)
    if out.suffix.lower() not in (*SEPARATORS, PARQUET) or out.is_dir():
        raise ScreeningInvalid(f"{out}: give a file ending in .csv, .tsv or .parquet")
    pseudonyms = None if key is None else Pseudonyms.of(key)
    own_columns = screening.plan.own_columns if own else ()
    make_private_folder(out.absolute().parent)
    summary = Summary()
    with _table(out, own_columns) as table:
        for batch in result_batches(database, screening, pseudonyms):
            table.write(batch)
            summary.add(batch)
    dictionary = data_dictionary(own_columns).encode()
    write_atomically(out.with_name(DICTIONARY_FILE), dictionary, durable=False)
    page = summary_page(summary, screening).encode()
    write_atomically(out.with_name(SUMMARY_FILE), page, durable=False)
    return summary.rows


@contextmanager
def _table(out: Path, own_columns: Sequence[str]) -> Iterator[TableWriter]:
    """A writer whose file gets its name once it is whole, readable by its user only."""
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        if out.suffix.lower() == PARQUET:
            with _ParquetTable(temporary, own_columns) as parquet_table:
                yield parquet_table
        else:
            with _TextTable(temporary, own_columns, SEPARATORS[out.suffix.lower()]) as text_table:
                yield text_table
        os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)


class _TextTable:
    """Rows separated by commas or tabs; a number as Python writes it, nothing for no value."""

    def __init__(self, path: Path, own_columns: Sequence[str], separator: str) -> None:
        self._names = [*(column.name for column in COLUMNS), *own_columns]
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, delimiter=separator, lineterminator="\n")

    def __enter__(self) -> "_TextTable":
        self._writer.writerow(self._names)
        return self

    def __exit__(self, *_details: object) -> None:
        self._file.close()

    def write(self, rows: Sequence[ResultRow]) -> None:
        """Append rows."""
        self._writer.writerows([row.cells[name] for name in self._names] for row in rows)


class _ParquetTable:
    """Rows as Parquet: numbers as float64, everything else as text."""

    def __init__(self, path: Path, own_columns: Sequence[str]) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        kinds = [
            (column.name, pa.float64() if column.number else pa.string()) for column in COLUMNS
        ]
        self._schema = pa.schema([*kinds, *((name, pa.string()) for name in own_columns)])
        self._batch = pa.RecordBatch
        self._writer = parquet.ParquetWriter(path, self._schema)

    def __enter__(self) -> "_ParquetTable":
        return self

    def __exit__(self, *_details: object) -> None:
        self._writer.close()

    def write(self, rows: Sequence[ResultRow]) -> None:
        """Append rows."""
        cells = [row.cells for row in rows]
        self._writer.write_batch(self._batch.from_pylist(cells, schema=self._schema))
