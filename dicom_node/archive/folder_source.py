"""A folder tree as a source: DICOM files of any name, put into series by their headers.

The headers are kept in an index, an SQLite file, so that memory does not grow with the tree and a
second look reads only what is new. The index holds patient data, as the files do.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset

from dicom_node.archive.answers import series_wanted
from dicom_node.archive.bookkeeping.series_rows import listed_series, listed_text
from dicom_node.archive.listed_header import STATED_KEYWORDS, stated_series
from dicom_node.archive.sources import (
    ListedSeries,
    SeriesFilter,
    SeriesIncomplete,
    SourceUnavailable,
)
from dicom_node.decoding.elements import Elements
from dicom_node.decoding.inflation import plain_file
from dicom_node.files import make_private_folder

__all__ = ["FolderSource"]

FILES_AT_ONCE = 500
"""Files of one transaction of the index."""

SERIES_AT_ONCE = 200
"""Series that are read from the index at a time."""

DIRECTORY_FILE = "DICOMDIR"
"""Name of a medium's table of contents (PS3.10, 8.6), which is no instance of a series."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS series (id INTEGER PRIMARY KEY, series_uid TEXT UNIQUE, study_uid TEXT,
  accession TEXT, patient_id TEXT, study_date TEXT, listed TEXT);
CREATE INDEX IF NOT EXISTS series_study ON series (study_uid);
CREATE INDEX IF NOT EXISTS series_accession ON series (accession);
CREATE INDEX IF NOT EXISTS series_patient ON series (patient_id);
CREATE TABLE IF NOT EXISTS file (path BLOB PRIMARY KEY, changed INTEGER, size INTEGER,
  series INTEGER, sop_uid TEXT);
CREATE INDEX IF NOT EXISTS file_series ON file (series, path);
"""


class FolderSource:
    """Series of a folder tree; fetched files are links to those of the tree.

    Parameters
    ----------
    root
        The tree.
    index
        File of the index; made if it does not exist.
    """

    def __init__(self, root: Path, index: Path) -> None:
        self._root = root
        self._lock = threading.RLock()
        self._walked = False
        make_private_folder(index.parent)
        self._index = sqlite3.connect(index, timeout=60, check_same_thread=False)
        os.chmod(index, 0o600)
        self._index.execute("PRAGMA journal_mode = WAL")
        self._index.execute("PRAGMA synchronous = NORMAL")
        self._index.executescript(SCHEMA)

    def find(self, wanted: SeriesFilter) -> Iterator[ListedSeries]:
        """List the series that a filter lets through; the first time the tree is walked.

        Raises
        ------
        SourceUnavailable
            The folder is not there.
        """
        self.walk()
        exact = {
            "study_uid": wanted.study_uid,
            "series_uid": wanted.series_uid,
            "accession": wanted.accession,
            "patient_id": wanted.patient_id,
        }
        given = {name: value for name, value in exact.items() if value is not None}
        conditions = "".join(f" AND {name} = ?" for name in given)
        if wanted.dates is not None:
            conditions += " AND (study_date IS NULL OR study_date BETWEEN ? AND ?)"
            first, last_day = (f"{day:%Y%m%d}" for day in wanted.dates)
            given |= {"first": first, "last": last_day}
        last = 0
        while True:
            rows = self._rows(
                "SELECT id, listed, (SELECT count(DISTINCT sop_uid) FROM file WHERE series ="
                f" series.id) FROM series WHERE id > ?{conditions} ORDER BY id LIMIT ?",
                (last, *given.values(), SERIES_AT_ONCE),
            )
            for _, listed, instances in rows:
                series = replace(listed_series(listed), instances=instances)
                if instances and series_wanted(series, wanted):
                    yield series
            if len(rows) < SERIES_AT_ONCE:
                return
            last = rows[-1][0]

    def instances(self, series: ListedSeries) -> tuple[str, ...]:
        """SOP Instance UIDs in the order of the files' paths."""
        return tuple(self._files(series))

    def header(self, series: ListedSeries, instances: Sequence[str]) -> Dataset | None:
        """Header of the instance in the middle; None if its file cannot be read any more."""
        path = self._files(series).get(instances[len(instances) // 2]) if instances else None
        if path is None:
            return None
        try:
            return pydicom.dcmread(plain_file(path, header_only=True), stop_before_pixels=True)
        except Exception:  # the parsers' ways to fail on hostile input are open-ended
            return None

    def fetch(self, series: ListedSeries, instances: Sequence[str], folder: Path) -> list[Path]:
        """Link to the files of exactly these instances.

        Raises
        ------
        SeriesIncomplete
            Files are gone; the message counts them.
        """
        if not self._root.is_dir():
            raise SourceUnavailable("the folder is not there")
        files = self._files(series)
        linked = []
        for number, uid in enumerate(instances):
            path = files.get(uid)
            if path is not None and path.is_file():
                link = folder / f"{number:06d}.dcm"
                link.symlink_to(path)
                linked.append(link)
        if len(linked) < len(instances):
            raise SeriesIncomplete(f"{len(linked)} of {len(instances)} files are there still")
        return linked

    def close(self) -> None:
        """Hold nothing open that a further question would not open again."""

    @property
    def unreadable(self) -> int:
        """Number of files that cannot be read as DICOM instances of a series."""
        return int(self._rows("SELECT count(*) FROM file WHERE series IS NULL", ())[0][0])

    def walk(self) -> None:
        """Read the headers of new and changed files, once.

        Raises
        ------
        SourceUnavailable
            The folder is not there.
        """
        with self._lock:
            if self._walked:
                return
            if not self._root.is_dir():
                raise SourceUnavailable("the folder is not there")
            for number, entry in enumerate(_entries(self._root)):
                self._look(Path(entry.path), entry.stat())
                if number % FILES_AT_ONCE == 0:
                    self._index.commit()
            self._index.commit()
            self._walked = True

    def _look(self, path: Path, found: os.stat_result) -> None:
        name = os.fsencode(path)
        known = self._index.execute(
            "SELECT changed, size FROM file WHERE path = ?", (name,)
        ).fetchone()
        if known == (found.st_mtime_ns, found.st_size):
            return
        series, sop_uid = None, ""
        header = _header(path)
        if header is not None:
            elements = Elements(header)
            sop_uid = elements.text("SOPInstanceUID")
            if sop_uid and elements.text("SeriesInstanceUID"):
                series = self._series(elements.text("SeriesInstanceUID"), header)
        self._index.execute(
            "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?)",
            (name, found.st_mtime_ns, found.st_size, series, sop_uid),
        )

    def _series(self, series_uid: str, header: Dataset) -> int:
        """The number of a series in the index; a new one is put there with its header."""
        query = "SELECT id FROM series WHERE series_uid = ?"
        found = self._index.execute(query, (series_uid,)).fetchone()
        if found is None:
            stated = stated_series(header)
            self._index.execute(
                "INSERT OR IGNORE INTO series"
                " (series_uid, study_uid, accession, patient_id, study_date, listed)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (series_uid, stated.study_uid, stated.accession, stated.patient_id,
                 stated.study_date, listed_text(stated)),
            )  # fmt: skip
            found = self._index.execute(query, (series_uid,)).fetchone()
        return int(found[0])

    def _files(self, series: ListedSeries) -> dict[str, Path]:
        """The first file of each instance, by SOP Instance UID."""
        self.walk()
        rows = self._rows(
            "SELECT sop_uid, path FROM file WHERE series = (SELECT id FROM series WHERE series_uid"
            " = ?) ORDER BY path DESC",
            (series.series_uid,),
        )
        found = {str(uid): Path(os.fsdecode(path)) for uid, path in rows}
        return dict(reversed(found.items()))

    def _rows(self, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._index.execute(query, values).fetchall()


def _entries(folder: Path) -> Iterator["os.DirEntry[str]"]:
    """All files below a folder, one after the other; links to folders are not followed."""
    folders = [str(folder)]
    while folders:
        try:
            listing = os.scandir(folders.pop())
        except OSError:  # a folder that may not be read, or is gone
            continue
        with listing:
            for entry in listing:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_file() and entry.name != DIRECTORY_FILE:
                    yield entry


def _header(path: Path) -> Dataset | None:
    """The elements that listing needs; None of a file that is no DICOM, or damaged."""
    try:
        return pydicom.dcmread(
            plain_file(path, header_only=True),
            stop_before_pixels=True,
            specific_tags=list(STATED_KEYWORDS),
        )
    except Exception:  # the parsers' ways to fail on hostile input are open-ended
        return None
