"""Write the files of one report: each complete or not at all, the Structured Report last."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from dicom_node.errors import ReportInvalid
from dicom_node.files import make_private_folder, write_atomically
from dicom_node.reporting.checks.report_check import check_report
from dicom_node.reporting.checks.report_geometry import Source
from dicom_node.reporting.objects.encoding import encoded_file
from dicom_node.reporting.objects.kinds import NotAnalysed, ObjectKind
from dicom_node.reporting.report import refusal_report
from dicom_node.reporting.report_history import PICTURE_FILE, REPORT_FILE, KeptReport
from dicom_node.reporting.report_model import CaseReport, Refusal, Report, report_json
from dicom_node.reporting.words.report_text import text_summary

__all__ = ["checked_document", "publish_report", "write_failure", "write_refusal"]

INVALID_FILE = "report.invalid.dcm"
"""A Structured Report that did not pass its check; it is never sent."""

OBJECT_FILES = tuple(entry.file_name for kinds in (ObjectKind, NotAnalysed) for entry in kinds)


def checked_document(
    out: Path,
    document: Dataset,
    sources: Mapping[str, Source],
    predecessors: Sequence[KeptReport],
    segmentation: Dataset | None = None,
    earlier: Dataset | None = None,
    verified_by: str | None = None,
) -> bytes:
    """Encode a Structured Report as it will be sent, and check what was encoded.

    Parameters
    ----------
    out
        Folder of the report.
    document
        The Structured Report.
    sources
        Headers of all images of the series that was measured, by SOP Instance UID.
    predecessors
        Earlier reports of the study that this one supersedes.
    segmentation
        The Segmentation of the regions that the report refers to; None for none.
    earlier
        The report of another study that this one is compared with; None if it is with none.
    verified_by
        Name of the reader whose word it is, as in DICOM; None if it is the program's alone.

    Returns
    -------
    bytes
        The file's content, for `publish_report`.

    Raises
    ------
    ReportInvalid
        The report must not be sent; it lies in the folder as ``report.invalid.dcm``.
    """
    content = encoded_file(document)
    if segmentation is not None:
        sources = {**sources, str(segmentation.SOPInstanceUID): Source(segmentation)}
    try:
        check_report(
            pydicom.dcmread(BytesIO(content)),
            sources,
            [report.uid for report in predecessors],
            earlier,
            verified_by,
        )
    except ReportInvalid:
        _write(out / INVALID_FILE, content)
        raise
    return content


def publish_report(
    out: Path, report: Report, picture: bytes, document: bytes, objects: Mapping[str, bytes]
) -> None:
    """Write the report of an assessed series; its checked document gets its name last.

    Parameters
    ----------
    out
        Folder of the report.
    report
        For ``report.json`` and ``report.txt``.
    picture
        PNG of the regions; empty if it could not be drawn.
    document
        What `checked_document` returned.
    objects
        The checked objects beside it, by the names of their files.
    """
    if picture:
        _write(out / PICTURE_FILE, picture)
    _write_objects(out, objects)
    _write_report(out, report)
    (out / INVALID_FILE).unlink(missing_ok=True)
    _write(out / REPORT_FILE, document)


def write_refusal(out: Path, refusal: Refusal, pages: Mapping[str, bytes], *, keep: bool) -> None:
    """Write the report of a refused series.

    Parameters
    ----------
    out
        Folder of the report.
    refusal
        What is written.
    pages
        The checked pages that say it in any PACS, by the names of their files.
    keep
        Whether a report that is complete in the folder stays, and nothing is written; otherwise
        the refusal takes its place.
    """
    if keep and (out / REPORT_FILE).exists():
        return
    for name in (REPORT_FILE, PICTURE_FILE):
        (out / name).unlink(missing_ok=True)
    _write_objects(out, pages)
    _write_report(out, refusal)


def write_failure(out: Path, code: str, message: str) -> None:
    """Write the report of a study that was not assessed, its UIDs being unread; a report stays."""
    make_private_folder(out)
    write_refusal(out, refusal_report("", "", code, message), {}, keep=True)


def _write_objects(out: Path, objects: Mapping[str, bytes]) -> None:
    for name in OBJECT_FILES:
        if name in objects:
            _write(out / name, objects[name])
        else:
            (out / name).unlink(missing_ok=True)


def _write_report(out: Path, report: CaseReport) -> None:
    _write(out / "report.txt", text_summary(report).encode())
    _write(out / "report.json", report_json(report))


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, content, durable=True)
