"""The report that a reader is shown, and whether it can be read just now."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import sqlalchemy as sa
from pydantic import ValidationError

from dicom_node.records.listed_studies import ListedStudy, StudyState
from dicom_node.records.reading import Reading, Rejection
from dicom_node.records.study_events import EventOfStudy, StudyEvent, events_of
from dicom_node.reporting.report_history import REPORT_FILE, kept_report, rejection_of
from dicom_node.reporting.report_model import Report

__all__ = ["Hindrance", "ShownReport", "pending_word", "shown_report", "was_said"]


class Hindrance(StrEnum):
    """Why a report cannot be read just now."""

    NO_REPORT = "no_report"
    MEASURED = "measured"
    """The study is being measured, or waits for it."""
    REJECTED = "rejected"
    NO_PERSON = "no_person"
    """The visitor's account has no person or no organization."""


@dataclass(frozen=True)
class ShownReport:
    """A report with the row of its study.

    Parameters
    ----------
    study
        As it is listed.
    uid
        SOP Instance UID of its Structured Report.
    content
        Of ``report.json``.
    """

    study: ListedStudy
    uid: str
    content: Report

    @property
    def reading(self) -> Reading | None:
        """The reader's word that this report carries out already."""
        return self.content.reading

    @property
    def levels_down(self) -> int:
        """How many levels lower than the program's the levels shown are named."""
        return 0 if self.reading is None else self.reading.levels_down


def shown_report(reports: Path, study: ListedStudy) -> ShownReport | None:
    """The newest report of a study; None if there is none that a reader could correct.

    Parameters
    ----------
    reports
        Folder of the reports.
    study
        As it is listed.
    """
    folder = reports / study.study / study.folder
    kept = kept_report(folder / REPORT_FILE) if study.folder else None
    if kept is None:
        return None
    try:
        content = Report.model_validate_json((folder / "report.json").read_bytes())
    except (OSError, ValidationError):
        return None
    return ShownReport(study, kept.uid, content)


def pending_word(engine: sa.Engine, study: str) -> EventOfStudy | None:
    """A reader's word on a study that is not carried out yet."""
    events = events_of(engine, study)
    done = {
        event.work.partition(":")[0]
        for event in events
        if event.event not in (StudyEvent.SAID, StudyEvent.ASSESSING)
    }
    waiting = [e for e in events if e.event is StudyEvent.SAID and e.work not in done]
    return waiting[-1] if waiting else None


def was_said(reports: Path, study: ListedStudy, said: Reading | Rejection) -> bool:
    """Whether the report that is listed carries out a word already."""
    folder = reports / study.study / study.folder
    if isinstance(said, Rejection):
        return rejection_of(folder / REPORT_FILE) == said
    shown = shown_report(reports, study)
    return shown is not None and shown.reading == said


def is_measured(study: ListedStudy) -> bool:
    """Whether a study waits to be measured, or is being measured."""
    return study.state in (StudyState.WAITING, StudyState.ASSESSING)
