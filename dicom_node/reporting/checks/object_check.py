"""Check an object beside the Structured Report before it is sent."""

from collections.abc import Iterator, Mapping

from pydicom.dataset import Dataset
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import EncapsulatedPDFStorage, SecondaryCaptureImageStorage, SegmentationStorage

from dicom_node.errors import ReportInvalid
from dicom_node.reporting.checks.document_check import identity_faults
from dicom_node.reporting.checks.report_geometry import ReportFault, Source
from dicom_node.reporting.objects.kinds import ObjectKind, object_uids

__all__ = ["check_object"]

SOP_CLASSES = {
    ObjectKind.SC: SecondaryCaptureImageStorage,
    ObjectKind.SLICES: SecondaryCaptureImageStorage,
    ObjectKind.PDF: EncapsulatedPDFStorage,
    ObjectKind.SEG: SegmentationStorage,
}
"""What each kind of object is (PS3.4, table B.5-1)."""


def check_object(
    document: Dataset, kind: ObjectKind, identity: str, sources: Mapping[str, Source]
) -> None:
    """Refuse an object that must not be sent.

    Parameters
    ----------
    document
        The object, read back from the file that will be sent.
    kind
        What it must be.
    identity
        Of its report.
    sources
        Headers of all images of the measured series, by SOP Instance UID.

    Raises
    ------
    ReportInvalid
        With the code of the first fault and all of them in words.
    """
    faults = [*identity_faults(document, sources), *_faults(document, kind, identity)]
    if faults:
        found = "; ".join(fault.message for fault in faults)
        raise ReportInvalid(faults[0].code, f"the object must not be sent: {found}")


def _faults(document: Dataset, kind: ObjectKind, identity: str) -> Iterator[ReportFault]:
    if document.get("SOPClassUID") != SOP_CLASSES[kind]:
        yield ReportFault("report.sop_class", f"the object is not of the class of a {kind}")
    uids = (str(document.get("SeriesInstanceUID")), str(document.get("SOPInstanceUID")))
    if uids != object_uids(kind, identity):
        yield ReportFault("report.uid", "the object has UIDs of another report")
    if not _has_content(document, kind):
        yield ReportFault("report.content", f"the {kind} is empty or cannot be read")


def _has_content(document: Dataset, kind: ObjectKind) -> bool:
    if kind is ObjectKind.PDF:
        content = bytes(document.get("EncapsulatedDocument") or b"").rstrip(b"\0\r\n")
        return content.startswith(b"%PDF-") and content.endswith(b"%%EOF")
    if kind is ObjectKind.SEG:
        return all(frame.any() for frame in iter_pixels(document))
    return bool(document.pixel_array.any())
