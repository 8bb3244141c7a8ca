"""What a machine gives to an assessment elsewhere, and how it takes the report in.

An assessment elsewhere has a folder of its own with the shape of the node's data folder: the
instances in it, and the earlier reports that it may meet. What it wrote there comes back and is put
where an assessment here would have written it.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import pydicom
from pydantic import BaseModel, ConfigDict, StringConstraints
from pydicom.errors import InvalidDicomError

from dicom_node.errors import NodeError
from dicom_node.exchange.archive_stream import is_plain_name
from dicom_node.files import make_private_folder, write_atomically
from dicom_node.records.withdrawals import Withdrawals
from dicom_node.reporting.report_history import (
    REPORT_FILE,
    WITHDRAWN_FILE,
    KeptReport,
    file_digest,
    kept_report,
    kept_reports,
    withdrawal_file,
)
from dicom_node.reporting.report_index import ReportIndex
from dicom_node.series.patients import PATIENT, patient_of
from dicom_node.spool.spool import Spool
from dicom_node.spool.versions import instance_name

__all__ = [
    "GONE",
    "OTHER_REPORT",
    "OUTDATED",
    "REASONS",
    "HomeFolder",
    "NotGiven",
    "Wanted",
    "digest_of",
    "may_come",
    "written_files",
]

GONE = "node.instances_gone"
OUTDATED = "node.outdated_work"
OTHER_REPORT = "exchange.other_report"

REASONS = {
    GONE: "the instances are no longer in the spool: send the study again; nothing was changed",
    OUTDATED: "other instances of the study were received since; they have their own work",
    OTHER_REPORT: "another machine made a report of the same assessment meanwhile",
}
"""Why an assessment gets no instances, or its report is not taken in."""

Key = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
"""The digest that stands for a UID, or an assessment's identity."""

InstanceFile = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}(\.[0-9])?$")]
"""A version of an instance, without suffix."""


class NotGiven(NodeError):
    """What is asked for is not there any more, or is not wanted any more: see `REASONS`."""

    def __init__(self, code: str) -> None:
        super().__init__(REASONS[code])
        self.code = code


class Wanted(BaseModel):
    """What an assessment needs: its files in the spool, by the folders that they lie in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    assessment: Key
    study: Key
    series: dict[Key, tuple[InstanceFile, ...]]
    segmentations: dict[Key, tuple[InstanceFile, ...]]

    @property
    def instances(self) -> frozenset[str]:
        """The names of its instances in a stream."""
        groups = {"series": self.series, "segmentations": self.segmentations}
        return frozenset(
            f"spool/{kind}/{key}/{name}.dcm"
            for kind, folders in groups.items()
            for key, names in folders.items()
            for name in names
        )


class HomeFolder:
    """A node's data folder, as assessments on other machines use it.

    Parameters
    ----------
    data_dir
        The folder.
    """

    def __init__(self, data_dir: Path) -> None:
        self._root = data_dir
        self._spool = Spool(data_dir)
        self._index = ReportIndex(data_dir / "reports")

    def files(self, wanted: Wanted) -> dict[str, Path]:
        """The files that an assessment needs, by their names in a stream.

        Besides its instances these are the reports of the study, of its patient and on its images,
        and what a PACS gave for it.

        Raises
        ------
        NotGiven
            Instances are gone, or others of the study came since.
        """
        self._check_newest(wanted.study, wanted.assessment)
        files = {name: self._root / name for name in sorted(wanted.instances)}
        if not all(path.is_file() for path in files.values()):
            raise NotGiven(GONE)
        images = [path for name, path in files.items() if name.startswith("spool/series/")]
        folders = {report.path.parent for report in self._reports(wanted.study, images)}
        folders.add(self._root / "reports" / wanted.study / wanted.assessment)
        earlier = self._root / "earlier" / wanted.study
        for folder in (*sorted(folders), earlier):
            files |= {name: self._root / name for name in _names_under(self._root, folder)}
        return files

    def take(self, study: str, assessment: str, came: Path, names: Iterable[str], met: str) -> None:
        """Put what an assessment wrote where it belongs; its Structured Report last.

        Parameters
        ----------
        study, assessment
            Key of the study, and identity of the assessment.
        came
            Folder with the files.
        names
            Of the files; each passes `may_come`.
        met
            SHA-256 of the assessment's Structured Report when its files were given; empty if there
            was none.

        Raises
        ------
        NotGiven
            Others of the study's instances came since, or a report was made meanwhile by another
            machine: then the assessment meets that report when it is done again.
        OSError
            The disk does not take them; what is there already is done again.
        """
        self._check_newest(study, assessment)
        own, earlier = f"reports/{study}/{assessment}/", f"earlier/{study}/"
        document = f"{own}{REPORT_FILE}"
        if digest_of(self._root / document) not in (met, digest_of(came / document)):
            raise NotGiven(OTHER_REPORT)
        chosen = sorted(names, key=lambda name: (name == document, name))
        made = kept_report(came / document)
        if made is not None:
            self._index.add(study, assessment, made.evidence_uids, made.patient)
        for name in chosen:
            target = self._root / name
            if not name.startswith((own, earlier)):
                if target.exists() or not target.with_name(REPORT_FILE).is_file():
                    continue
                if target.name == WITHDRAWN_FILE:
                    Withdrawals(self._root).add(target.parent.parent.name, target.parent.name)
            make_private_folder(target.parent)
            write_atomically(target, (came / name).read_bytes(), durable=True)
        for top in (own, earlier):
            if any(name.startswith(top) for name in chosen):
                for name in set(_names_under(self._root, self._root / top)) - set(chosen):
                    (self._root / name).unlink(missing_ok=True)  # of an assessment before this one

    def _check_newest(self, study: str, assessment: str) -> None:
        if self._spool.newest_assessment(study) not in ("", assessment):
            raise NotGiven(OUTDATED)

    def _reports(self, study: str, images: Iterable[Path]) -> list[KeptReport]:
        images = list(images)
        found = kept_reports(self._root / "reports" / study)
        found += self._index.on_instances(instance_name(path.stem) for path in images)
        for first in {path.parent: path for path in images}.values():
            try:
                header = pydicom.dcmread(
                    first, specific_tags=["SpecificCharacterSet", *PATIENT], stop_before_pixels=True
                )
            except InvalidDicomError:
                continue
            found += self._index.of_patient(patient_of(header))
        return found


def may_come(study: str, assessment: str, name: str) -> bool:
    """Whether an assessment may hand a file in: its own, its PACS's, or that a report is withdrawn.

    >>> may_come("s", "a", "reports/s/a/report.json"), may_come("s", "a", "reports/s/b/report.json")
    (True, False)
    """
    note = Path(name).name
    notes = note == WITHDRAWN_FILE or note.startswith(withdrawal_file(""))
    return (
        name.startswith((f"reports/{study}/{assessment}/", f"earlier/{study}/"))
        or (name.startswith("reports/") and name.count("/") == 3 and notes)
    )  # fmt: skip


def written_files(
    data_dir: Path, study: str, assessment: str, received: Iterable[str]
) -> dict[str, Path]:
    """What an assessment wrote into its folder, by the names in a stream.

    Parameters
    ----------
    data_dir
        The folder.
    study, assessment
        Key of the study, and identity of the assessment.
    received
        Names of the files that were in the folder before.
    """
    before = set(received)
    names = {
        name
        for top in ("reports", "earlier")
        for name in _names_under(data_dir, data_dir / top)
        if name.startswith((f"reports/{study}/{assessment}/", "earlier/")) or name not in before
    }
    return {name: data_dir / name for name in sorted(names)}


def _names_under(root: Path, folder: Path) -> Iterator[str]:
    """The files below a folder, by their names from the root; none that is hidden."""
    for place, _, files in os.walk(folder):
        for file in files:
            name = (Path(place) / file).relative_to(root).as_posix()
            if is_plain_name(name):
                yield name


def digest_of(path: Path) -> str:
    """SHA-256 of a file; empty if there is none."""
    return file_digest(path) if path.is_file() else ""
