"""What the folder of a report says of its study, for the list of studies."""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pydicom

from dicom_node.records.listed_studies import StudyState
from dicom_node.records.study_listing import StudyResult
from dicom_node.reporting.objects.kinds import NotAnalysed
from dicom_node.reporting.report_history import REPORT_FILE, rejection_of
from dicom_node.series.study_header import HEADER_ELEMENTS, study_header
from dicom_node.study_facts import StudyHeader

__all__ = ["reported_study"]

FAILURES = ("node.", "report.", "input.conflicting_instance")
"""Begin the codes of assessments that failed; others were refused."""

DOCUMENTS = (REPORT_FILE, *(form.file_name for form in NotAnalysed))
"""Files of which one tells whose the study is."""


def reported_study(folder: Path, assessment: str) -> tuple[StudyHeader, StudyResult]:
    """Read whose study a report is of, and what it says.

    Parameters
    ----------
    folder
        Of the report.
    assessment
        Identity of the assessment that led to it.

    Raises
    ------
    OSError, ValueError
        The report cannot be read.
    """
    report: dict[str, Any] = {}
    if (folder / "report.json").exists():  # else an earlier report: the document alone is kept
        report = json.loads((folder / "report.json").read_bytes())
    header = StudyHeader(study_uid=report.get("study_uid", ""))
    for path in (folder / name for name in DOCUMENTS):
        if path.exists():
            header = study_header(pydicom.dcmread(path, specific_tags=list(HEADER_ELEMENTS)))
            break
    warnings = tuple(warning["code"] for warning in report.get("warnings", ()))
    refusal = report.get("refused")
    if refusal is not None:
        failed = refusal["code"].startswith(FAILURES)
        return header, StudyResult(
            assessment,
            folder.name,
            StudyState.FAILED if failed else StudyState.REFUSED,
            refusal["code"],
            refusal["message"],
            "" if failed else "refused",
            warnings=warnings,
        )
    scanner = report.get("acquisition") or {}
    threshold, stage = report.get("l1_threshold") or {}, report.get("stage") or {}
    verdict, reader, read_at = _verdict(folder, report)
    known = {name: scanner.get(name, "") for name in ("manufacturer", "model", "kernel")}
    return replace(header, **known), StudyResult(
        assessment,
        folder.name,
        StudyState.REPORTED,
        result=report.get("result", ""),
        l1_hu=threshold.get("mean_hu"),
        l1_category=threshold.get("category") or "",
        stage=stage.get("predicted") or "",
        osteoporosis=stage.get("osteoporosis") or "",
        warnings=warnings,
        verdict=verdict,
        reader=reader,
        read_at=read_at,
    )


def _verdict(folder: Path, report: dict[str, Any]) -> tuple[str, str, int | None]:
    """What a reader said of the report in a folder, who, and when (UTC, ms since the epoch)."""
    rejection = rejection_of(folder / REPORT_FILE)
    if rejection is not None:
        return "rejected", rejection.reader, round(rejection.moment.timestamp() * 1000)
    if (said := report.get("reading")) is None:
        return "none", "", None
    moment = datetime.fromisoformat(said["moment"])
    return said["verdict"], said["reader"], round(moment.timestamp() * 1000)
