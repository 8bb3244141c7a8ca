"""Earlier reports of one study: which of them stand, and which are superseded."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

__all__ = ["REPORT_FILE", "KeptReport", "file_digest", "kept_reports", "standing_reports"]

REPORT_FILE = "report.sr.dcm"
"""Name of the Structured Report; it is written last, so a folder that holds it is complete."""


@dataclass(frozen=True)
class KeptReport:
    """A report on the disk, with the UIDs of the reports that it supersedes."""

    path: Path
    uid: str
    predecessor_uids: tuple[str, ...]

    @property
    def folder(self) -> str:
        """Name of the folder it lies in: the id of the assessment that made it."""
        return self.path.parent.name


def kept_reports(study_folder: Path) -> list[KeptReport]:
    """All readable reports of a study, in the order of their folders' names."""
    found = []
    for path in sorted(study_folder.glob(f"*/{REPORT_FILE}")):
        try:
            document = pydicom.dcmread(
                path, specific_tags=["SOPInstanceUID", "PredecessorDocumentsSequence"]
            )
        except (OSError, InvalidDicomError):
            continue
        named = [
            str(instance.ReferencedSOPInstanceUID)
            for study in document.get("PredecessorDocumentsSequence") or ()
            for series in study.ReferencedSeriesSequence
            for instance in series.ReferencedSOPSequence
        ]
        found.append(KeptReport(path, str(document.SOPInstanceUID), tuple(named)))
    return found


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
