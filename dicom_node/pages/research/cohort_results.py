"""The results of a screening as files to download: identifiers are pseudonyms.

The key lies in the node's data folder, so that one patient has one pseudonym in all tables of a
node; who downloads a table does not get it.
"""

import os
import re
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from dicom_node.archive.results.writing import DICTIONARY_FILE, SUMMARY_FILE, write_results
from dicom_node.archive.work.running import screening_folder
from dicom_node.errors import ScreeningInvalid
from dicom_node.files import make_private_folder, write_atomically
from dicom_node.settings.node import NodeSettings

__all__ = ["MEDIA_TYPES", "ResultFile", "ResultsBusy", "file_of", "result_files", "write_files"]

KEY_FILE = "pseudonyms.key"
KEY_BYTES = 48

MEDIA_TYPES = {
    "results.csv": "text/csv; charset=utf-8",
    "results.parquet": "application/vnd.apache.parquet",
    DICTIONARY_FILE: "text/csv; charset=utf-8",
    SUMMARY_FILE: "text/html; charset=utf-8",
}
"""The files, and what each is."""

PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Names of screenings that become a part of a path."""

_one_at_a_time = threading.Lock()


class ResultsBusy(Exception):
    """Results are being written just now."""


@dataclass(frozen=True)
class ResultFile:
    """A file that was written: its name, size in bytes, and when, UTC, ms since the epoch."""

    name: str
    size: int
    written_ms: int


def result_files(settings: NodeSettings, name: str) -> list[ResultFile]:
    """The files of a screening that were written."""
    found = []
    for file in MEDIA_TYPES:
        path = file_of(settings, name, file)
        if path is not None:
            facts = path.stat()
            found.append(ResultFile(file, facts.st_size, round(facts.st_mtime * 1000)))
    return found


def file_of(settings: NodeSettings, name: str, file: str) -> Path | None:
    """One of them; None if there is no such file.

    Parameters
    ----------
    settings
        Of the node.
    name
        Of a screening.
    file
        One of `MEDIA_TYPES`; anything else is no file.
    """
    if file not in MEDIA_TYPES or not PLAIN_NAME.fullmatch(name):
        return None
    path = _folder(settings, name) / file
    return path if path.is_file() else None


def write_files(settings: NodeSettings, database: sa.Engine, name: str) -> None:
    """Write the results of a screening as they are now.

    Raises
    ------
    ResultsBusy
        Others are being written.
    ScreeningInvalid
        There is no such screening, or its name cannot be a folder's.
    """
    if not PLAIN_NAME.fullmatch(name):
        raise ScreeningInvalid(f"{name!r} cannot be the name of a folder")
    if not _one_at_a_time.acquire(blocking=False):
        raise ResultsBusy
    try:
        folder = _folder(settings, name)
        key = _key(settings)
        for table in ("results.csv", "results.parquet"):
            write_results(database, name, folder / table, key, own=False)
    finally:
        _one_at_a_time.release()


def _folder(settings: NodeSettings, name: str) -> Path:
    return screening_folder(settings, name) / "results"


def _key(settings: NodeSettings) -> Path:
    path = settings.data_dir / KEY_FILE
    if not path.exists():
        make_private_folder(settings.data_dir)
        write_atomically(path, secrets.token_hex(KEY_BYTES).encode(), durable=True)
        os.chmod(path, 0o600)
    return path
