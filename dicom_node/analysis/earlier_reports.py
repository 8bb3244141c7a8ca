"""The earlier reports of a patient, on this node or in an archive, and the comparison with them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import pydicom
from pydantic import ValidationError
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from dicom_node.errors import QueryFailed
from dicom_node.logs import log
from dicom_node.reporting.checks.comparison_check import says_the_same
from dicom_node.reporting.compared_scan import ComparedScan, compared_scan
from dicom_node.reporting.comparison import PriorReport, compare
from dicom_node.reporting.earlier_document import scan_of_document
from dicom_node.reporting.report_history import (
    IMAGE_FILE,
    KeptReport,
    standing_reports,
    withdrawn_by,
)
from dicom_node.reporting.report_index import ReportIndex
from dicom_node.reporting.report_model import Comparison, Report
from dicom_node.reporting.structured_report import report_uids
from dicom_node.series.instances import Instance, instance_of
from dicom_node.series.patients import PATIENT, Patient, differing, patient_of
from dicom_node.uids import content_id
from roi_extraction.anatomy import Finding

__all__ = [
    "EarlierReports",
    "ReportArchive",
    "archived_reports",
    "find_earlier",
    "is_surely_of",
]

IDENTIFYING = ("PatientID", "PatientBirthDate")
"""Elements that must be stated, and alike, for two reports to count as of one patient."""


class ReportArchive(Protocol):
    """Where reports of this program lie beside the node's own, such as a PACS."""

    def fetch(
        self, header: Dataset, study: str, known: Collection[str], *, repeated: bool = False
    ) -> None:
        """Fetch the reports of a patient; QueryFailed, and nothing changed, if that fails.

        Parameters
        ----------
        header
            Of an image that is assessed.
        study
            Key of its study.
        known
            Study Instance UIDs whose reports are not fetched.
        repeated
            Whether the assessment's report was made before: then what was fetched for it counts,
            unless somebody wants the study to be assessed again.
        """

    def kept(self, study: str) -> list[KeptReport]:
        """What was fetched for a study."""


@dataclass(frozen=True)
class EarlierReports:
    """The reports of a patient on other studies.

    Parameters
    ----------
    kept
        As they lie on the disk; empty if there are none.
    """

    kept: tuple[KeptReport, ...] = ()

    def compare(self, present: Report, study_date: date | None) -> Comparison | None:
        """Compare a report with the newest of them that allows it; None if there are none."""
        return compare(present, study_date, self._priors())

    def made(self, identity: str, kept: Sequence[KeptReport]) -> tuple[str, KeptReport | None]:
        """The report that was made of a series and would be made again, with its identity.

        Parameters
        ----------
        identity
            Of the series' report before any comparison.
        kept
            All reports of the study.

        Returns
        -------
        (str, KeptReport or None)
            The identity that a report of the series would have; None if there is none yet, and then
            only the measurement tells whether it is compared.
        """
        for uid in (None, *(report.uid for report in self.kept)) if self.kept else ():
            made = _counting(_with(identity, uid), kept)[1]
            content = None if made is None else _content(made)
            if made is not None and content is not None:
                comparison = self.compare(content, made.study_date)
                return _counting(_with(identity, _earlier_uid(comparison)), kept)
        return _counting(identity, kept)

    def identity(
        self, identity: str, comparison: Comparison | None, kept: Sequence[KeptReport]
    ) -> str:
        """The identity of a new report; that before any comparison if it is compared with none.

        Parameters
        ----------
        identity
            Of the series' report before any comparison.
        comparison
            With an earlier report.
        kept
            All reports of the study: what was withdrawn is not made again under its identity.
        """
        return _counting(_with(identity, _earlier_uid(comparison)), kept)[0]

    def document(self, comparison: Comparison | None) -> Dataset | None:
        """The Structured Report that a comparison is with; None if it is with none."""
        uid = _earlier_uid(comparison)
        if uid is None:
            return None
        return next(pydicom.dcmread(report.path) for report in self.kept if report.uid == uid)

    def _priors(self) -> list[PriorReport]:
        valid = [report for report in self.kept if withdrawn_by(report.path) is None]
        standing = {report.uid for report in standing_reports(valid)}
        return [
            PriorReport(
                uid=report.uid,
                study_uid=report.study_uid,
                study_date=report.study_date,
                content=_scan(report) if report.uid in standing else None,
                withdrawn=report not in valid,
                superseded=report in valid and report.uid not in standing,
            )
            for report in self.kept
        ]


def archived_reports(
    archive: ReportArchive,
    header: Dataset,
    index: ReportIndex,
    study: str,
    *,
    repeated: bool,
) -> tuple[list[KeptReport], list[Finding]]:
    """The reports of a patient in an archive.

    Parameters
    ----------
    archive
        Which is asked at most once.
    header
        Of an image that is assessed.
    index
        Of the node's reports: a study of which it has one is not asked for.
    study
        Key of the study.
    repeated
        Whether the assessment's report was made before: one that is repeated after a crash meets
        the same reports.

    Returns
    -------
    (list of KeptReport, list of Finding)
        The reports, and that the archive did not answer: then they are those of the last answer.
    """
    findings = []
    known = {report.study_uid for report in index.of_patient(patient_of(header))}
    known.add(str(header.StudyInstanceUID))
    try:
        archive.fetch(header, study, known, repeated=repeated)
    except QueryFailed as error:
        log().warning("earlier reports not asked for", study=study, reason=str(error))
        text = "earlier reports in the PACS could not be asked for"
        findings = [Finding("input.earlier_unasked", text)]
    return archive.kept(study), findings


def find_earlier(
    index: ReportIndex,
    patient: Patient,
    study_uid: str,
    without: Sequence[KeptReport] = (),
    archived: Sequence[KeptReport] = (),
) -> EarlierReports:
    """Find the reports that are surely of the same patient and of another study.

    Reads as many report headers as there are reports under the Patient ID.

    Parameters
    ----------
    index
        Of the node's reports.
    patient
        Of the images.
    study_uid
        Study Instance UID of the images.
    without
        Reports that never count, such as one on the same images under another study.
    archived
        Reports from an archive; of a study of which the node has one they do not count.
    """
    own = index.of_patient(patient)
    known = {report.study_uid for report in own}
    return EarlierReports(
        tuple(
            report
            for report in (*own, *(r for r in archived if r.study_uid not in known))
            if report.study_uid != study_uid
            and report not in without
            and is_surely_of(report.patient, patient)
        )
    )


def is_surely_of(one: Patient, other: Patient) -> bool:
    """Whether two are one patient beyond doubt.

    Patient ID and birth date must be stated and alike, the issuer alike or stated by neither, and
    name and sex must not contradict each other.

    >>> ann = ("1", "", "19500101", "f", "ann")
    >>> is_surely_of(ann, ann), is_surely_of(ann, ("1", "b", "19500101", "f", "ann"))
    (True, False)
    """
    stated = all(one[PATIENT.index(keyword)] for keyword in IDENTIFYING)
    issuer = PATIENT.index("IssuerOfPatientID")
    birth = PATIENT.index("PatientBirthDate")
    return (
        stated
        and one[issuer] == other[issuer]
        and one[birth] == other[birth]
        and not differing(one, other)
    )


def _scan(report: KeptReport) -> ComparedScan | None:
    """What a report tells of its scan; None if it cannot be read."""
    if not (report.path.parent / "report.json").exists():
        try:
            return scan_of_document(pydicom.dcmread(report.path), _image(report))
        except Exception:  # one that another version of this program accepted
            return None
    content = _content(report)
    return None if content is None else compared_scan(content)


def _image(report: KeptReport) -> Instance | None:
    """The image beside a report from an archive, if it is one that the report is on."""
    path = report.path.with_name(IMAGE_FILE)
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        image = instance_of(path, header)
    except Exception:  # it is missing, or the parsers fail on what came
        return None
    mine = image.study_uid == report.study_uid and image.sop_instance_uid in report.evidence_uids
    return image if mine and not differing(patient_of(header), report.patient) else None


def _content(report: KeptReport) -> Report | None:
    """What the ``report.json`` beside a Structured Report holds.

    None if it cannot be read, or if it does not say what the Structured Report says.
    """
    try:
        content = Report.model_validate_json((report.path.parent / "report.json").read_bytes())
        document = pydicom.dcmread(report.path)
    except (OSError, ValidationError, InvalidDicomError):
        return None
    return content if says_the_same(content, document) else None


def _counting(identity: str, kept: Sequence[KeptReport]) -> tuple[str, KeptReport | None]:
    """The report of an identity, or of the one that follows where that report was withdrawn."""
    by_uid = {report.uid: report for report in kept}
    made = by_uid.get(report_uids(identity)[1])
    while made is not None and withdrawn_by(made.path) is not None:
        identity = content_id(identity, "after withdrawal")
        made = by_uid.get(report_uids(identity)[1])
    return identity, made


def _earlier_uid(comparison: Comparison | None) -> str | None:
    if comparison is None or comparison.earlier is None:
        return None
    return comparison.earlier.sop_instance_uid


def _with(identity: str, earlier_uid: str | None) -> str:
    """The identity of a report that is compared with another; unchanged if it is with none."""
    return identity if earlier_uid is None else content_id(identity, "compared with", earlier_uid)
