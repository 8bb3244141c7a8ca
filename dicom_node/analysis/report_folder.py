"""Write the files of one report: each complete or not at all, the Structured Report last."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from dicom_node.errors import ReportInvalid
from dicom_node.files import make_private_folder, write_atomically
from dicom_node.reporting.checks.report_check import check_report, read_sources
from dicom_node.reporting.report import refusal_report
from dicom_node.reporting.report_history import REPORT_FILE, KeptReport
from dicom_node.reporting.report_model import CaseReport, Refusal, Report, report_json
from dicom_node.reporting.words.report_text import text_summary
from dicom_node.series.instances import Instance

__all__ = ["checked_document", "publish_report", "write_failure", "write_refusal"]

INVALID_FILE = "report.invalid.dcm"
"""A Structured Report that did not pass its check; it is never sent."""

PICTURE_FILE = "rois.png"
PLANAR_FILE = "report.planar.sr.dcm"
"""The report with a group for each slice, where it was asked for."""


def checked_document(
    out: Path,
    document: Dataset,
    slices: Sequence[Instance],
    predecessors: Sequence[KeptReport],
    earlier: Dataset | None = None,
) -> bytes:
    """Encode a Structured Report as it will be sent, and check what was encoded.

    Parameters
    ----------
    out
        Folder of the report.
    document
        The Structured Report.
    slices
        All images of the series that was measured.
    predecessors
        Earlier reports of the study that this one supersedes.
    earlier
        The report of another study that this one is compared with; None if it is with none.

    Returns
    -------
    bytes
        The file's content, for `publish_report`.

    Raises
    ------
    ReportInvalid
        The report must not be sent; it lies in the folder as ``report.invalid.dcm``.
    """
    written = BytesIO()
    document.save_as(written, enforce_file_format=True)
    content = written.getvalue()
    try:
        check_report(
            pydicom.dcmread(BytesIO(content)),
            read_sources([instance.path for instance in slices]),
            [report.uid for report in predecessors],
            earlier,
        )
    except ReportInvalid:
        _write(out / INVALID_FILE, content)
        raise
    return content


def publish_report(
    out: Path, report: Report, picture: bytes, document: bytes, planar: bytes | None = None
) -> None:
    """Write the report of an assessed series; its checked document gets its name last.

    Parameters
    ----------
    out
        Folder of the report.
    report
        For ``report.json`` and ``report.txt``.
    picture
        PNG of the regions.
    document, planar
        What `checked_document` returned for the two profiles; None for a profile that was not
        asked for.
    """
    _write(out / PICTURE_FILE, picture)
    if planar is None:
        (out / PLANAR_FILE).unlink(missing_ok=True)
    else:
        _write(out / PLANAR_FILE, planar)
    _write_report(out, report)
    (out / INVALID_FILE).unlink(missing_ok=True)
    _write(out / REPORT_FILE, document)


def write_refusal(out: Path, refusal: Refusal, *, keep: bool) -> None:
    """Write the report of a refused series.

    Parameters
    ----------
    out
        Folder of the report.
    refusal
        What is written.
    keep
        Whether a report that is complete in the folder stays, and nothing is written; otherwise
        the refusal takes its place.
    """
    if keep and (out / REPORT_FILE).exists():
        return
    for name in (REPORT_FILE, PICTURE_FILE, PLANAR_FILE):
        (out / name).unlink(missing_ok=True)
    _write_report(out, refusal)


def write_failure(out: Path, code: str, message: str) -> None:
    """Write the report of a study that was not assessed, its UIDs being unread; a report stays."""
    make_private_folder(out)
    write_refusal(out, refusal_report("", "", code, message), keep=True)


def _write_report(out: Path, report: CaseReport) -> None:
    _write(out / "report.txt", text_summary(report).encode())
    _write(out / "report.json", report_json(report))


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, content, durable=True)
