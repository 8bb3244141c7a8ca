"""Which reports are on which images and of which patient, found without a look at every report."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from dicom_node.reporting.report_history import REPORT_FILE, KeptReport, kept_report, kept_reports
from dicom_node.series.patients import PATIENT, Patient
from dicom_node.spool.spool import spool_name
from dicom_node.uids import content_id

__all__ = ["INDEX", "ReportIndex"]

INDEX = ".index"
"""Name of the index among the studies' folders."""

INDEXED_IMAGES = 2
"""Images of each report that are listed: those whose digests are the smallest. A report on the
same images lists the same, and one on most of them as a rule too."""


PATIENT_PREFIX = "patient-"
"""Begins a patient's entry, which the names of images never do."""

COMPLETE = "complete.2"
"""Says that every report is listed; the number is raised when more is listed of each."""


class ReportIndex:
    """An empty file ``<entry>/<study>.<assessment>`` for each report's patient and some images.

    Parameters
    ----------
    reports
        Folder of the reports, with a folder a study in it.
    """

    def __init__(self, reports: Path) -> None:
        self._reports = reports
        self._root = reports / INDEX

    def prepare(self) -> None:
        """List the reports that were made before there was an index, or this form of it."""
        if (self._root / COMPLETE).exists():
            return
        for study in self._reports.iterdir():
            if study.name != INDEX:
                for report in kept_reports(study):
                    self.add(report.study, report.folder, report.evidence_uids, report.patient)
        self._root.mkdir(mode=0o700, exist_ok=True)
        (self._root / COMPLETE).touch()

    def add(
        self, study: str, assessment: str, evidence_uids: Iterable[str], patient: Patient
    ) -> None:
        """List a report, before it gets its name.

        Parameters
        ----------
        study
            Key of its study.
        assessment
            Name of its folder.
        evidence_uids
            SOP Instance UIDs of the images that it names as evidence.
        patient
            Whose it is.
        """
        for entry in _entries(evidence_uids, patient):
            folder = self._root / entry
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / f"{study}.{assessment}").touch(mode=0o600)

    def find(self, sop_instance_uids: Iterable[str]) -> list[KeptReport]:
        """The reports that are on some of these images, under whatever study."""
        return self._under(spool_name(uid) for uid in sop_instance_uids)

    def on_instances(self, names: Iterable[str]) -> list[KeptReport]:
        """As `find`, by the names that stand for the UIDs in the spool."""
        return self._under(names)

    def of_patient(self, patient: Patient) -> list[KeptReport]:
        """The reports whose patient has this Patient ID, whatever else is stated; none without one.

        Patient IDs of two issuers may be the same: the caller compares the rest.
        """
        return self._under(_patient_entries(patient))

    def _under(self, entries: Iterable[str]) -> list[KeptReport]:
        names: set[str] = set()
        for entry in entries:
            with suppress(FileNotFoundError):
                names.update(path.name for path in (self._root / entry).iterdir())
        found = []
        for name in sorted(names):
            study, _, assessment = name.partition(".")
            report = kept_report(self._reports / study / assessment / REPORT_FILE)
            if report is not None:
                found.append(report)
        return found

    def forget(self, study: Path) -> None:
        """Take the reports of a study's folder off the index."""
        for report in kept_reports(study):
            for entry in _entries(report.evidence_uids, report.patient):
                (self._root / entry / f"{report.study}.{report.folder}").unlink(missing_ok=True)
                with suppress(OSError):  # others are listed there, or it is gone
                    (self._root / entry).rmdir()


def _entries(evidence_uids: Iterable[str], patient: Patient) -> list[str]:
    images = sorted({spool_name(uid) for uid in evidence_uids})[:INDEXED_IMAGES]
    return [*images, *_patient_entries(patient)]


def _patient_entries(patient: Patient) -> list[str]:
    patient_id = patient[PATIENT.index("PatientID")]
    return [f"{PATIENT_PREFIX}{content_id(patient_id)}"] if patient_id else []
