"""What a reader said of a study's report, beside what the program had measured."""

import json
from pathlib import Path
from typing import Any

from dicom_node.foreign_text import cleaned
from dicom_node.records.reading import Reading, Rejection
from dicom_node.reporting.report_history import (
    REPORT_FILE,
    KeptReport,
    kept_report,
    kept_reports,
    rejection_of,
)
from dicom_node.work.listing.kept_readings import KeptReading

__all__ = ["read_study"]


def read_study(folder: Path) -> KeptReading | None:
    """The reader's word that the report in a folder holds, or that rejected it.

    Parameters
    ----------
    folder
        Of the report, in the folder of its study.

    Returns
    -------
    KeptReading or None
        None where nobody read it.
    """
    said = rejection_of(folder / REPORT_FILE) or _reading(folder)
    newest = None if said is None else kept_report(folder / REPORT_FILE)
    if said is None or newest is None:
        return None
    own = _own_report(newest)
    report = _content(folder)
    return KeptReading(
        study=newest.study,
        work=said.identity if isinstance(said, Rejection) else newest.folder,
        own=own.folder,
        moment=round(said.moment.timestamp() * 1000),
        verdict="rejected" if isinstance(said, Rejection) else said.verdict,
        reader=said.reader,
        levels_down=0 if isinstance(said, Rejection) else said.levels_down,
        scanner=_scanner(report),
        reason=said.reason if isinstance(said, Rejection) else "",
        before=_measured(_content(own.path.parent)),
        after={} if isinstance(said, Rejection) else _measured(report),
    )


def _own_report(newest: KeptReport) -> KeptReport:
    """The program's own report behind the versions of readers."""
    by_uid = {report.uid: report for report in kept_reports(newest.path.parent.parent)}
    own = newest
    while (reading := _reading(own.path.parent)) and reading.report_uid in by_uid:
        own = by_uid[reading.report_uid]
    return own


def _reading(folder: Path) -> Reading | None:
    said = _content(folder).get("reading")
    return None if said is None else Reading.model_validate(said)


def _content(folder: Path) -> dict[str, Any]:
    """Of ``report.json``; empty for an earlier report of which the document alone is kept."""
    path = folder / "report.json"
    found: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    return found


def _scanner(report: dict[str, Any]) -> str:
    acquisition = report.get("acquisition") or {}
    named = (acquisition.get(name) for name in ("manufacturer", "model", "kernel"))
    return ", ".join(cleaned(word) for word in named if word)


def _measured(report: dict[str, Any]) -> dict[str, float]:
    sites = report.get("sites", ())
    return {site["name"]: site["mean_hu"] for site in sites if site["mean_hu"] is not None}
