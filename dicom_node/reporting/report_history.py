"""Earlier reports: which of them stand, which are superseded, and which are withdrawn."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from dicom_node.files import write_atomically
from dicom_node.records.reading import Rejection
from dicom_node.series.instances import SEGMENTATION_STORAGE
from dicom_node.series.patients import PATIENT, Patient, patient_of

__all__ = [
    "ASK_AGAIN",
    "IMAGE_FILE",
    "PICTURE_FILE",
    "REPORT_FILE",
    "WITHDRAWN_FILE",
    "KeptReport",
    "evidence_uids",
    "file_digest",
    "kept_report",
    "kept_reports",
    "mark_withdrawn",
    "rejection_of",
    "standing_reports",
    "study_date_of",
    "withdrawal_file",
    "withdrawn_by",
]

REPORT_FILE = "report.sr.dcm"
"""Name of the Structured Report; it is written last, so a folder that holds it is complete."""

PICTURE_FILE = "rois.png"
"""The picture for reading."""

IMAGE_FILE = "image.dcm"
"""An image that a report from a PACS measured; in place of ``report.json``."""

ASK_AGAIN = "ask-again"
"""Lies beside a study's reports from a PACS that is to be asked once more."""

WITHDRAWN_FILE = "withdrawn.json"
"""Lies beside a report that must not be sent any more."""


@dataclass(frozen=True)
class KeptReport:
    """A report on the disk.

    Parameters
    ----------
    path
        The document.
    uid
        Its SOP Instance UID.
    study_uid
        Its Study Instance UID.
    study_date
        Study Date of its images; None if it is not stated.
    patient
        Whose it is.
    predecessor_uids
        SOP Instance UIDs of the reports that it supersedes.
    evidence_uids
        SOP Instance UIDs of the images that it names as evidence.
    """

    path: Path
    uid: str
    study_uid: str
    study_date: date | None
    patient: Patient
    predecessor_uids: tuple[str, ...]
    evidence_uids: tuple[str, ...]

    @property
    def folder(self) -> str:
        """Name of the folder it lies in: the id of the assessment that made it."""
        return self.path.parent.name

    @property
    def study(self) -> str:
        """Key of its study."""
        return self.path.parent.parent.name


def kept_reports(study_folder: Path) -> list[KeptReport]:
    """All readable reports of a study, in the order of their folders' names."""
    found = [kept_report(path) for path in sorted(study_folder.glob(f"*/{REPORT_FILE}"))]
    return [report for report in found if report is not None]


def kept_report(path: Path) -> KeptReport | None:
    """One report; None if it is not there or cannot be read."""
    try:
        document = pydicom.dcmread(
            path,
            specific_tags=[
                "SpecificCharacterSet", "SOPInstanceUID", "StudyInstanceUID", "StudyDate", *PATIENT,
                "PredecessorDocumentsSequence", "CurrentRequestedProcedureEvidenceSequence",
            ],
        )  # fmt: skip
    except (OSError, InvalidDicomError):
        return None
    return KeptReport(
        path,
        str(document.SOPInstanceUID),
        str(document.StudyInstanceUID),
        study_date_of(document),
        patient_of(document),
        _referenced(document, "PredecessorDocumentsSequence"),
        evidence_uids(document),
    )


def study_date_of(dataset: Dataset) -> date | None:
    """Study Date of a data set; None if it is missing or invalid.

    >>> header = Dataset()
    >>> header.StudyDate = "20240301"
    >>> study_date_of(header)
    datetime.date(2024, 3, 1)
    """
    text = str(dataset.get("StudyDate") or "")
    if len(text) != 8 or not (text.isdecimal() and text.isascii()):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


def evidence_uids(document: Dataset) -> tuple[str, ...]:
    """SOP Instance UIDs of the images, not the segmentations, that a report names as evidence."""
    return _referenced(document, "CurrentRequestedProcedureEvidenceSequence")


def _referenced(document: Dataset, keyword: str) -> tuple[str, ...]:
    return tuple(
        str(instance.ReferencedSOPInstanceUID)
        for study in document.get(keyword) or ()
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
        if instance.ReferencedSOPClassUID not in SEGMENTATION_STORAGE
    )


def withdrawn_by(report: Path) -> str | None:
    """The assessment that withdrew a report; None if it is not withdrawn."""
    try:
        content = json.loads((report.parent / WITHDRAWN_FILE).read_bytes())
    except FileNotFoundError:
        return None
    return str(content["assessment"])


def withdrawal_file(file: str) -> str:
    """Name of the note that an object of a report is withdrawn, which lies beside it.

    >>> withdrawal_file("report.sr.dcm")
    'withdrawal.sr.dcm'
    """
    return f"withdrawal.{file.removeprefix('report.')}"


def rejection_of(report: Path) -> Rejection | None:
    """The word of the reader who rejected a report; None if no reader did."""
    try:
        content = json.loads((report.parent / WITHDRAWN_FILE).read_bytes())
    except FileNotFoundError:
        return None
    return Rejection.model_validate(content["rejection"]) if "rejection" in content else None


def mark_withdrawn(report: Path, assessment: str, rejection: Rejection | None = None) -> bool:
    """Mark a report as withdrawn, durably; whether it was not yet.

    Parameters
    ----------
    report
        The document.
    assessment
        What withdraws it.
    rejection
        Of the reader who rejected it; None if it stands under another patient.
    """
    if withdrawn_by(report) is not None:
        return False
    content: dict[str, Any] = {"assessment": assessment}
    if rejection is not None:
        content["rejection"] = rejection.model_dump(mode="json")
    write_atomically(report.parent / WITHDRAWN_FILE, json.dumps(content).encode(), durable=True)
    return True


def standing_reports(kept: Sequence[KeptReport], without: Iterable[str] = ()) -> list[KeptReport]:
    """The reports that no other report supersedes: as a rule only the newest.

    Parameters
    ----------
    without
        SOP Instance UIDs of reports that count as if they did not exist.
    """
    rest = [report for report in kept if report.uid not in set(without)]
    superseded = {uid for report in rest for uid in report.predecessor_uids}
    return [report for report in rest if report.uid not in superseded]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
