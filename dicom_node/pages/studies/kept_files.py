"""A study's report and objects as they lie on disk, found by UIDs from a path."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from starlette.exceptions import HTTPException

from dicom_node.records.listed_studies import ListedStudy, study_of
from dicom_node.settings.node import NodeSettings

__all__ = ["JSON_FILE", "checked_uid", "is_uid", "listed", "report_folder", "report_of"]

JSON_FILE = "report.json"

_UID = re.compile(r"[0-9][0-9.]{0,63}")


def is_uid(text: str) -> bool:
    """Whether a text has the letters and the length of a UID (PS3.5, 9.1)."""
    return _UID.fullmatch(text) is not None


def checked_uid(text: str) -> str:
    """A UID from a path, if it can be one.

    Raises
    ------
    HTTPException
        404: it has not.
    """
    if not is_uid(text):
        raise HTTPException(404)
    return text


def listed(engine: sa.Engine, study_uid: str) -> ListedStudy:
    """The row of a study whose UID comes from a path.

    Raises
    ------
    HTTPException
        404: it is no UID, or of no study in the list.
    """
    row = study_of(engine, checked_uid(study_uid))
    if row is None:
        raise HTTPException(404)
    return row


def report_folder(settings: NodeSettings, row: ListedStudy) -> Path | None:
    """Folder of the newest report of a study; None if it has none."""
    return settings.reports_dir / row.study / row.folder if row.folder else None


def report_of(settings: NodeSettings, row: ListedStudy) -> Mapping[str, Any] | None:
    """The newest report of a study; None if there is none, or it is gone."""
    folder = report_folder(settings, row)
    if folder is None:
        return None
    try:
        report: Mapping[str, Any] = json.loads((folder / JSON_FILE).read_bytes())
    except (OSError, ValueError):
        return None
    return report
