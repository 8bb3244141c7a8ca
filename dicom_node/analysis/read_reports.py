"""Reports that a reader has read: which of them stands, and what may be measured again."""

import json
from collections.abc import Sequence

from dicom_node.errors import OUTDATED_READING, OUTDATED_TEXT, ReadingRefused
from dicom_node.records.reading import Reading
from dicom_node.reporting.report_history import KeptReport
from dicom_node.series.selection import EligibleSeries, Selection
from dicom_node.uids import content_id
from roi_extraction import Correction, Finding

__all__ = [
    "check_still_stands",
    "correction_of",
    "read_before",
    "read_identity",
    "read_series",
    "read_version",
]


def read_identity(identity: str, reading: Reading) -> str:
    """The identity of the report of a reading: the same word on the same report gives the same.

    Parameters
    ----------
    identity
        That the program's own report of the series has.
    reading
        The reader's word.
    """
    return content_id(identity, "read", reading.model_dump_json())


def read_series(reading: Reading, selection: Selection) -> tuple[EligibleSeries, ...]:
    """The series that the reader saw measured.

    Raises
    ------
    ReadingRefused
        It cannot be assessed any more.
    """
    found = tuple(s for s in selection.eligible if s.series_uid == reading.series_uid)
    if not found:
        text = "the series that was read cannot be assessed any more"
        raise ReadingRefused(OUTDATED_READING, text)
    return found


def check_still_stands(reading: Reading, standing: Sequence[KeptReport]) -> None:
    """Refuse a word on a report that another has superseded, or that was withdrawn.

    Raises
    ------
    ReadingRefused
        The report does not stand.
    """
    if reading.report_uid not in {report.uid for report in standing}:
        raise ReadingRefused(OUTDATED_READING, OUTDATED_TEXT)


def correction_of(reading: Reading, series: EligibleSeries) -> Correction:
    """What the reader wants to be measured otherwise in a series."""
    return reading.correction([instance.sop_instance_uid for instance in series.slices])


def read_version(
    made: KeptReport, kept: Sequence[KeptReport], standing: Sequence[KeptReport]
) -> KeptReport:
    """What counts in place of a report that was made before: the reader's version, if there is one.

    Parameters
    ----------
    made
        The program's own report.
    kept
        All reports of the study.
    standing
        Those that no other supersedes.
    """
    by_predecessor = {uid: report for report in kept for uid in report.predecessor_uids}
    newest = made
    while newest.uid in by_predecessor and _is_read(by_predecessor[newest.uid]):
        newest = by_predecessor[newest.uid]
    return newest if newest in standing else made


def read_before(standing: Sequence[KeptReport]) -> list[Finding]:
    """That a reader's version is superseded by a report that nobody has read yet."""
    if not any(_is_read(report) for report in standing):
        return []
    text = "a reader had read an earlier report of this study; this one is not read yet"
    return [Finding("reading.superseded", text)]


def _is_read(report: KeptReport) -> bool:
    try:
        content = json.loads((report.path.parent / "report.json").read_bytes())
    except (OSError, ValueError):
        return False
    return bool(content.get("reading"))
