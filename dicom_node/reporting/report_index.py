"""Which reports are on which images, found without a look at every report."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from dicom_node.reporting.report_history import REPORT_FILE, KeptReport, kept_report, kept_reports
from dicom_node.spool.spool import spool_name

__all__ = ["INDEX", "ReportIndex"]

INDEX = ".index"
"""Name of the index among the studies' folders."""

INDEXED_IMAGES = 2
"""Images of each report that are listed: those whose digests are the smallest. A report on the
same images lists the same, and one on most of them as a rule too."""


class ReportIndex:
    """An empty file ``<image>/<study>.<assessment>`` for some images of each report.

    Parameters
    ----------
    reports
        Folder of the reports, with a folder a study in it.
    """

    def __init__(self, reports: Path) -> None:
        self._reports = reports
        self._root = reports / INDEX

    def prepare(self) -> None:
        """List the reports that were made before there was an index."""
        if (self._root / "complete").exists():
            return
        for study in self._reports.iterdir():
            if study.name != INDEX:
                for report in kept_reports(study):
                    self.add(report.study, report.folder, report.evidence_uids)
        self._root.mkdir(mode=0o700, exist_ok=True)
        (self._root / "complete").touch()

    def add(self, study: str, assessment: str, evidence_uids: Iterable[str]) -> None:
        """List a report, before it gets its name.

        Parameters
        ----------
        study
            Key of its study.
        assessment
            Name of its folder.
        evidence_uids
            SOP Instance UIDs of the images that it names as evidence.
        """
        for image in _listed(evidence_uids):
            folder = self._root / image
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / f"{study}.{assessment}").touch(mode=0o600)

    def find(self, sop_instance_uids: Iterable[str]) -> list[KeptReport]:
        """The reports that are on some of these images, under whatever study."""
        names: set[str] = set()
        for uid in sop_instance_uids:
            with suppress(FileNotFoundError):
                names.update(path.name for path in (self._root / spool_name(uid)).iterdir())
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
            for image in _listed(report.evidence_uids):
                (self._root / image / f"{report.study}.{report.folder}").unlink(missing_ok=True)
                with suppress(OSError):  # others are listed there, or it is gone
                    (self._root / image).rmdir()


def _listed(evidence_uids: Iterable[str]) -> list[str]:
    return sorted({spool_name(uid) for uid in evidence_uids})[:INDEXED_IMAGES]
