"""The measured regions as a DICOM Segmentation: one segment for each measured site."""

from collections.abc import Sequence
from copy import deepcopy
from datetime import datetime
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
from highdicom import AlgorithmIdentificationSequence, ContributingEquipment
from highdicom.base import SOPClass
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage
from skimage.draw import polygon

from dicom_node.assessment.assessment import Assessment
from dicom_node.reporting import codes as own
from dicom_node.reporting.content_items import data_set
from dicom_node.reporting.measurement_groups import image_coordinates
from dicom_node.reporting.objects.kinds import ObjectKind, object_uids
from dicom_node.reporting.objects.segmentation_frames import Frame, add_frames
from dicom_node.reporting.structured_report import MANUFACTURER, evidence_header
from dicom_node.reporting.words.site_words import site_words
from dicom_node.series.instances import Instance
from dicom_node.uids import derived_uid
from roi_extraction.features import SiteMeasurement
from roi_extraction.sites import Site

__all__ = ["region_segmentation"]


def region_segmentation(assessment: Assessment, identity: str) -> Dataset:
    """Build the Segmentation of the regions that were measured.

    A pixel belongs to a region if its centre lies inside the contour. Each segment has the
    tracking UID of its site in the Structured Report.

    Parameters
    ----------
    assessment
        What was measured.
    identity
        Of the report; seeds the UIDs.

    Raises
    ------
    ValueError
        No site was measured, two regions overlap, or a region lies between the pixels' centres.
    """
    measured = [m for m in assessment.features.measurements if m.missing is None]
    if not measured:
        raise ValueError("no site was measured")
    frames = _frames(assessment, measured)
    slices = assessment.series.slices
    used = sorted({roi.slice_index for m in measured for roi in m.rois})
    header = evidence_header(slices[used[0]].path)
    series_uid, sop_instance_uid = object_uids(ObjectKind.SEG, identity)
    # highdicom's Segmentation finds the pixels of each segment again in whole planes, and checks
    # and copies all of its items: .25 CPU seconds; its base has all that is common to its objects
    made = datetime.now()
    dataset = SOPClass(
        study_instance_uid=header.StudyInstanceUID,
        series_instance_uid=series_uid,
        series_number=ObjectKind.SEG.series_number,
        sop_instance_uid=sop_instance_uid,
        sop_class_uid=SegmentationStorage,
        instance_number=1,
        modality="SEG",
        manufacturer=MANUFACTURER,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description=ObjectKind.SEG.series_description,
        manufacturer_model_name="osteonode",
        software_versions=version("osteonode"),
        device_serial_number="1",
        specific_character_set=header.get("SpecificCharacterSet"),
        content_date=made.date(),
        content_time=made.time(),
    )
    dataset.copy_patient_and_study_information(header)
    dataset.FrameOfReferenceUID = header.FrameOfReferenceUID
    dataset.PositionReferenceIndicator = header.get("PositionReferenceIndicator")
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.LossyImageCompression = header.get("LossyImageCompression", "00")
    if dataset.LossyImageCompression == "01":
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if keyword in header:
                dataset[keyword] = header[keyword]
    dataset.SegmentationType = "BINARY"
    dataset.SegmentsOverlap = "NO"
    dataset.SegmentSequence = _segments(measured, assessment)
    dataset.ContentLabel = "REGIONS"
    dataset.ContentDescription = "Measured regions, research use only"
    dataset.ContributingEquipmentSequence = [ContributingEquipment.for_image_acquisition(header)]
    _refer_to(dataset, [slices[index] for index in used])
    add_frames(dataset, frames, header, derived_uid("seg-dimensions", identity))
    return dataset


def _refer_to(dataset: Dataset, images: Sequence[Instance]) -> None:
    """Name the images that were measured."""
    named = [
        data_set(
            ReferencedSOPClassUID=image.sop_class_uid,
            ReferencedSOPInstanceUID=image.sop_instance_uid,
        )
        for image in images
    ]
    series = data_set(ReferencedInstanceSequence=named, SeriesInstanceUID=images[0].series_uid)
    dataset.SourceImageSequence = named
    dataset.ReferencedSeriesSequence = [series]


def _frames(assessment: Assessment, measured: Sequence[SiteMeasurement]) -> list[Frame]:
    """The segments' regions, each segment from head to feet."""
    frames: list[Frame] = []
    taken: dict[int, npt.NDArray[np.intp]] = {}
    for number, measurement in enumerate(measured, start=1):
        for roi in sorted(measurement.rois, key=lambda roi: -roi.slice_index):
            image = assessment.series.slices[roi.slice_index]
            shape = image.rows or 0, image.columns or 0
            columns, rows = image_coordinates(roi.contour_lps_mm, image).T - 0.5
            pixels = np.ravel_multi_index(polygon(rows, columns, shape), shape)
            others = taken.get(roi.slice_index, np.zeros(0, np.intp))
            if not pixels.size or np.isin(pixels, others).any():
                fault = "overlaps another" if pixels.size else "holds no pixel"
                raise ValueError(f"the region of {site_words(measurement.site.name)} {fault}")
            taken[roi.slice_index] = np.concatenate([others, pixels])
            frames.append(Frame(number, image, pixels))
    return frames


def _segments(
    measured: Sequence[SiteMeasurement], assessment: Assessment
) -> list[SegmentDescription]:
    segmenter = assessment.features.segmenter
    algorithm = AlgorithmIdentificationSequence(
        name="osteonode ROI extraction",
        family=codes.DCM.ArtificialIntelligence,
        version=version("osteonode"),
        source=MANUFACTURER,
        parameters={"segmenter": f"{segmenter.name} {segmenter.version}"},
    )
    return [
        _segment(number, found.site, assessment.series.study_uid, algorithm)
        for number, found in enumerate(measured, start=1)
    ]


def _segment(
    number: int, site: Site, study_uid: str, algorithm: AlgorithmIdentificationSequence
) -> SegmentDescription:
    segment = SegmentDescription(
        segment_number=number,
        segment_label=site_words(site.name)[:64],
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=deepcopy(own.site_code(site)),  # gets its own side below
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=derived_uid("tracking", study_uid, site.name),
        tracking_id=site.name,
    )
    if site.side is not None:
        [kind] = segment.SegmentedPropertyTypeCodeSequence
        kind.SegmentedPropertyTypeModifierCodeSequence = [own.SIDE_CODES[site.side]]
    return segment
