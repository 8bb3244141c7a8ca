"""The note that a report is withdrawn: a Key Object Selection that rejects it (IHE RAD, IOCM)."""

from io import BytesIO
from pathlib import Path

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.sr.coding import Code

from dicom_node.files import write_atomically
from dicom_node.reporting.report_history import rejection_of, withdrawal_file
from dicom_node.reporting.structured_report import MANUFACTURER, SERIES_NUMBER, evidence_header
from dicom_node.uids import derived_uid

__all__ = ["write_withdrawal"]

REJECTED_FOR_PATIENT_SAFETY = Code("113037", "DCM", "Rejected for Patient Safety Reasons")
REJECTED_FOR_QUALITY = Code("113001", "DCM", "Rejected for Quality Reasons")
"""Titles of the note (PS3.16, CID 7011): of a report under another patient, and of one that a
reader rejected."""


def write_withdrawal(report: Path) -> Path:
    """Write the note beside what it rejects, unless it is there; return its file.

    It belongs to the patient and the study of the rejected object, the Structured Report or one
    beside it. Its UIDs follow from that object's.
    """
    path = report.with_name(withdrawal_file(report.name))
    if path.exists():
        return path
    rejected = evidence_header(report)
    uid = str(rejected.SOPInstanceUID)
    title = REJECTED_FOR_PATIENT_SAFETY if rejection_of(report) is None else REJECTED_FOR_QUALITY
    note = KeyObjectSelectionDocument(
        evidence=[rejected],
        content=KeyObjectSelection(title, [rejected]),
        series_instance_uid=derived_uid("withdrawal-series", uid),
        series_number=SERIES_NUMBER + 8,
        sop_instance_uid=derived_uid("withdrawal-instance", uid),
        instance_number=1,
        manufacturer=MANUFACTURER,
        series_description="osteonode report withdrawn",
    )
    written = BytesIO()
    note.save_as(written, enforce_file_format=True)
    write_atomically(path, written.getvalue(), durable=True)
    return path
