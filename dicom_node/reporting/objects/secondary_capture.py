"""A picture as a DICOM Secondary Capture with a palette of 256 colours, which any PACS takes."""

from datetime import datetime
from importlib.metadata import version

from highdicom.base import SOPClass
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from dicom_node.reporting.objects.kinds import ObjectKind, object_uids
from dicom_node.reporting.objects.palette import PALETTE, palette_indices
from dicom_node.reporting.report_model import RESEARCH_USE
from dicom_node.reporting.structured_report import MANUFACTURER

__all__ = ["secondary_capture"]

DERIVATION = {
    ObjectKind.SC: "Report drawn by software: regions of interest, their HU, and the verdict",
    ObjectKind.SLICES: "Regions of interest in every measured slice, drawn by software",
}
"""How each picture came about; the research-use statement follows."""

LUT_BITS = 16
"""Of a palette's entry: viewers read these more reliably than entries of 8 bits."""


def secondary_capture(
    picture: Image.Image,
    kind: ObjectKind,
    header: Dataset,
    identity: str,
    made: datetime | None = None,
) -> Dataset:
    """Build the object of one picture.

    Parameters
    ----------
    picture
        RGB (`reading_picture`).
    kind
        ``SC`` or ``SLICES``.
    header
        Of the first image (`structured_report.evidence_header`): patient and study.
    identity
        Of the report; seeds the UIDs.
    made
        When it was drawn, in this computer's time; now if None. Objects of the same arguments are
        the same to the byte.

    Returns
    -------
    dataset
        Secondary Capture Image, PALETTE COLOR, Explicit VR Little Endian, with file meta
        information.
    """
    made = (made or datetime.now()).astimezone().replace(microsecond=0)
    series_uid, instance_uid = object_uids(kind, identity)
    # highdicom's SCImage has no PALETTE COLOR; its base has all that is common to its objects
    dataset = SOPClass(
        study_instance_uid=header.StudyInstanceUID,
        series_instance_uid=series_uid,
        series_number=kind.series_number,
        sop_instance_uid=instance_uid,
        sop_class_uid=SecondaryCaptureImageStorage,
        instance_number=1,
        modality="OT",
        manufacturer=MANUFACTURER,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description=kind.series_description,
        manufacturer_model_name="osteonode",
        software_versions=version("osteonode"),
        device_serial_number="1",
        specific_character_set=header.get("SpecificCharacterSet"),
        content_date=made.date(),
        content_time=made.time(),
        series_date=made.date(),
        series_time=made.time(),
    )
    dataset.copy_patient_and_study_information(header)
    dataset.InstanceCreationDate = dataset.ContentDate
    dataset.InstanceCreationTime = dataset.ContentTime
    dataset.TimezoneOffsetFromUTC = made.strftime("%z")
    dataset.ConversionType = "WSD"
    dataset.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    dataset.BurnedInAnnotation = "YES"
    dataset.PatientOrientation = None
    dataset.BodyPartExamined = "LSPINE"
    dataset.DerivationDescription = f"{DERIVATION[kind]}. {RESEARCH_USE}"
    dataset.ImageComments = RESEARCH_USE
    _add_pixels(dataset, picture)
    return dataset


def _add_pixels(dataset: Dataset, picture: Image.Image) -> None:
    indices = palette_indices(picture)
    dataset.Rows, dataset.Columns = indices.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    for channel, name in enumerate(("Red", "Green", "Blue")):
        entries = PALETTE[:, channel].astype("<u2") * 257  # 255 becomes 65535
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [len(PALETTE), 0, LUT_BITS])
        setattr(dataset, f"{name}PaletteColorLookupTableData", entries.tobytes())
    dataset.PixelData = indices.tobytes()
