"""A picture, regions and a document of a report's folder, as DICOM by highdicom and pydicom."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian, generate_uid
from reportlab.pdfgen.canvas import Canvas
from skimage.draw import polygon

from dicom_node.reporting.objects.kinds import ObjectKind

__all__ = ["write_stand_ins"]


def write_stand_ins(folder: Path, images: Sequence[Dataset]) -> None:
    """Write those of report.sc.dcm, report.seg.dcm and report.pdf.dcm that are not there."""
    makers = {ObjectKind.SC: _picture, ObjectKind.SEG: _regions, ObjectKind.PDF: _document}
    for kind, make in makers.items():
        path = folder / kind.file_name
        if not path.exists():
            dataset = make(folder, images)
            dataset.SeriesDescription = kind.series_description
            dataset.save_as(path, enforce_file_format=True)


def _picture(folder: Path, images: Sequence[Dataset]) -> Dataset:
    pixels = np.asarray(Image.open(folder / "rois.png").convert("RGB"))
    return hd.sc.SCImage.from_ref_dataset(
        images[0], pixels, photometric_interpretation="RGB", bits_allocated=8,
        coordinate_system="PATIENT", series_instance_uid=generate_uid(), series_number=90,
        sop_instance_uid=generate_uid(), instance_number=1, manufacturer="osteonode",
        patient_orientation=("L", "P"),
    )  # fmt: skip


def _regions(folder: Path, images: Sequence[Dataset]) -> Dataset:
    """The contours of the planar report, a segment for each site."""
    report = pydicom.dcmread(folder / "report.planar.sr.dcm")
    slices = {image.SOPInstanceUID: index for index, image in enumerate(images)}
    masks: dict[str, np.ndarray] = {}
    for group in _items(report, "Measurement Group"):
        [site] = [item.ConceptCodeSequence[0].CodeMeaning for item in _items(group, "Finding")]
        mask = masks.setdefault(
            site, np.zeros((len(images), images[0].Rows, images[0].Columns), bool)
        )
        [region] = _items(group, "Mean")[0].ContentSequence
        columns, rows = np.reshape(region.GraphicData, (-1, 2)).T - 0.5
        reference = region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        mask[slices[reference]][polygon(rows, columns, mask.shape[1:])] = True
    algorithm = hd.AlgorithmIdentificationSequence(
        "stand-in", codes.DCM.ArtificialIntelligence, "0"
    )
    described = [
        hd.seg.SegmentDescription(
            number, label, codes.SCT.AnatomicalStructure, codes.SCT.Bone, "AUTOMATIC", algorithm
        )
        for number, label in enumerate(masks, start=1)
    ]
    return hd.seg.Segmentation(
        images, np.stack(list(masks.values()), axis=-1), "BINARY", described,
        series_instance_uid=generate_uid(), series_number=91, sop_instance_uid=generate_uid(),
        instance_number=1, manufacturer="osteonode", manufacturer_model_name="stand-in",
        software_versions="0", device_serial_number="0",
    )  # fmt: skip


def _items(parent: Dataset, meaning: str) -> list[Dataset]:
    """The content items with this concept name, at any depth."""
    found = []
    for item in parent.get("ContentSequence", ()):
        if item.get("ConceptNameCodeSequence", [Dataset()])[0].get("CodeMeaning") == meaning:
            found.append(item)
        found += _items(item, meaning)
    return found


def _document(_folder: Path, images: Sequence[Dataset]) -> Dataset:
    pages = BytesIO()
    canvas = Canvas(pages)
    canvas.drawString(72, 720, "osteonode stand-in")
    canvas.save()
    document = Dataset()
    for keyword in (
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID",
        "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName",
    ):  # fmt: skip
        setattr(document, keyword, images[0].get(keyword, ""))
    document.SOPClassUID = EncapsulatedPDFStorage
    document.SOPInstanceUID = generate_uid()
    document.SeriesInstanceUID = generate_uid()
    document.SeriesNumber, document.InstanceNumber, document.Modality = 92, 1, "DOC"
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document.EncapsulatedDocument = pages.getvalue()
    document.file_meta = FileMetaDataset()
    document.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return document
