"""A PDF as a DICOM object: Encapsulated PDF Storage, PS3.3, A.45.1."""

from datetime import datetime
from importlib.metadata import version

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID, EncapsulatedPDFStorage, ExplicitVRLittleEndian

from dicom_node.reporting.objects.kinds import ObjectKind, object_uids
from dicom_node.reporting.structured_report import MANUFACTURER
from dicom_node.series.instances import PATIENT_AND_STUDY

__all__ = ["encapsulated_pdf"]

INHERITED = (
    *PATIENT_AND_STUDY,
    "IssuerOfPatientID",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "StudyDescription",
)
"""Taken from the images, where they state it."""

MIME_TYPE = "application/pdf"


def encapsulated_pdf(
    pdf: bytes, header: Dataset, identity: str, made: datetime | None = None
) -> FileDataset:
    """Wrap a PDF so that an archive files it with the study of its images.

    The same arguments give the same bytes.

    Parameters
    ----------
    pdf
        The document.
    header
        Of an image, as `dicom_node.reporting.structured_report.evidence_header` reads it.
    identity
        Of the report; seeds the UIDs.
    made
        When it was written, in this computer's time; None leaves the dates empty, as they may be.
    """
    series_uid, instance_uid = object_uids(ObjectKind.PDF, identity)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    meta.MediaStorageSOPInstanceUID = UID(instance_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    document = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    document.SpecificCharacterSet = "ISO_IR 192"
    document.SOPClassUID = EncapsulatedPDFStorage
    document.SOPInstanceUID = instance_uid
    for keyword in INHERITED:
        if keyword in header:
            document[keyword] = header[keyword]
    document.StudyInstanceUID = header.StudyInstanceUID
    document.SeriesInstanceUID = series_uid
    document.SeriesNumber = ObjectKind.PDF.series_number
    document.SeriesDescription = ObjectKind.PDF.series_description
    document.InstanceNumber = 1
    document.Modality = "DOC"
    document.ConversionType = "WSD"
    document.Manufacturer = MANUFACTURER
    document.ManufacturerModelName = "osteonode"
    document.DeviceSerialNumber = "1"
    document.SoftwareVersions = version("osteonode")
    _document_module(document, pdf, header)
    if made is not None:
        when = made.astimezone().replace(microsecond=0)
        document.TimezoneOffsetFromUTC = when.strftime("%z")
        for kind in ("Content", "Series", "InstanceCreation"):
            setattr(document, f"{kind}Date", when.strftime("%Y%m%d"))
            setattr(document, f"{kind}Time", when.strftime("%H%M%S"))
    return document


def _document_module(document: Dataset, pdf: bytes, header: Dataset) -> None:
    """The Encapsulated Document module (PS3.3, C.24.2)."""
    document.ContentDate = ""
    document.ContentTime = ""
    document.AcquisitionDateTime = _acquired(header)
    document.BurnedInAnnotation = "YES"
    document.DocumentTitle = ObjectKind.PDF.series_description
    document.ConceptNameCodeSequence = [_title()]
    document.VerificationFlag = "UNVERIFIED"
    source = Dataset()
    source.ReferencedSOPClassUID = header.SOPClassUID
    source.ReferencedSOPInstanceUID = header.SOPInstanceUID
    document.SourceInstanceSequence = [source]
    document.MIMETypeOfEncapsulatedDocument = MIME_TYPE
    document.EncapsulatedDocumentLength = len(pdf)
    document.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)


def _title() -> Dataset:
    """CT Report, of the titles of diagnostic imaging reports (PS3.16, CID 7000)."""
    code = codes.cid7000.CTReport
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def _acquired(header: Dataset) -> str:
    """When the images were acquired; empty if they do not say."""
    date, time = str(header.get("AcquisitionDate") or ""), str(header.get("AcquisitionTime") or "")
    return str(header.get("AcquisitionDateTime") or "") or (f"{date}{time}" if date else "")
