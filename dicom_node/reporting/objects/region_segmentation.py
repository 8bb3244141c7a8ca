"""The measured regions as a DICOM Segmentation: one segment for each measured site."""

from collections.abc import Sequence
from copy import deepcopy
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentDescription
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from skimage.draw import polygon

from dicom_node.assessment.assessment import Assessment
from dicom_node.reporting import codes as own
from dicom_node.reporting.measurement_groups import image_coordinates
from dicom_node.reporting.objects.kinds import ObjectKind, object_uids
from dicom_node.reporting.structured_report import MANUFACTURER, evidence_header
from dicom_node.reporting.words.site_words import site_words
from dicom_node.series.instances import Instance
from dicom_node.uids import derived_uid
from roi_extraction.features import SiteMeasurement
from roi_extraction.sites import Site

__all__ = ["region_segmentation"]

GEOMETRY = ("Rows", "Columns", "ImageOrientationPatient", "ImagePositionPatient")
"""What a Segmentation takes of an image beside its UIDs, patient and study being the first's."""


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
    used = sorted({roi.slice_index for measurement in measured for roi in measurement.rois})
    series_uid, sop_instance_uid = object_uids(ObjectKind.SEG, identity)
    slices = assessment.series.slices
    return Segmentation(
        source_images=[
            evidence_header(slices[used[0]].path),
            *(_plane(slices[index]) for index in used[1:]),
        ],
        pixel_array=_labels(assessment, measured, used),
        segmentation_type="BINARY",
        segment_descriptions=_segments(measured, assessment),
        series_instance_uid=series_uid,
        series_number=ObjectKind.SEG.series_number,
        sop_instance_uid=sop_instance_uid,
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name="osteonode",
        software_versions=version("osteonode"),
        device_serial_number="1",
        content_label="REGIONS",
        content_description="Measured regions, research use only",
        series_description=ObjectKind.SEG.series_description,
    )


def _plane(image: Instance) -> Dataset:
    """What a Segmentation needs of an image that is not the first."""
    plane = Dataset()
    plane.StudyInstanceUID = image.study_uid
    plane.SeriesInstanceUID = image.series_uid
    plane.SOPClassUID = image.sop_class_uid
    plane.SOPInstanceUID = image.sop_instance_uid
    plane.FrameOfReferenceUID = image.frame_of_reference_uid
    for keyword in GEOMETRY:
        plane[keyword] = image.stated[keyword]
    return plane


def _labels(
    assessment: Assessment, measured: Sequence[SiteMeasurement], used: Sequence[int]
) -> npt.NDArray[np.uint8]:
    """The number of the segment that each pixel is in, shape (slices, rows, columns)."""
    slices = assessment.series.slices
    first = slices[used[0]]
    labels = np.zeros((len(used), first.rows or 0, first.columns or 0), dtype=np.uint8)
    for number, measurement in enumerate(measured, start=1):
        for roi in measurement.rois:
            columns_and_rows = image_coordinates(roi.contour_lps_mm, slices[roi.slice_index])
            columns, rows = columns_and_rows.T - 0.5
            inside = polygon(rows, columns, labels.shape[1:])
            plane = labels[used.index(roi.slice_index)]
            if not inside[0].size or plane[inside].any():
                fault = "overlaps another" if inside[0].size else "holds no pixel"
                raise ValueError(f"the region of {site_words(measurement.site.name)} {fault}")
            plane[inside] = number
    return labels


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
