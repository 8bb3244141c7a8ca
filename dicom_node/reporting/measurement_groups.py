"""The measurement groups of the Structured Report (TID 1500): one for each site, or each slice."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from highdicom.spatial import ReferenceToImageTransformer
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset

from dicom_node.assessment.assessment import Assessment
from dicom_node.reporting import codes as own
from dicom_node.reporting.content_items import (
    INFERRED,
    MODIFIES,
    OBSERVATION,
    SELECTED,
    code_item,
    container,
    finding_site_item,
    image_item,
    number_item,
    polygon_item,
    text_item,
    uid_item,
)
from dicom_node.reporting.evaluations import algorithm
from dicom_node.series.instances import Instance
from dicom_node.uids import derived_uid
from roi_extraction.features import Roi, SiteMeasurement
from roi_extraction.sites import Site

__all__ = ["image_coordinates", "site_groups", "slice_groups"]

FREEHAND_TOOL = "Cornerstone3DTools@^0.1.0:PlanarFreehandROI"
"""Tracking identifier by which OHIF knows which of its tools draws a region."""

ALGORITHM = "osteonode ROI extraction"


def site_groups(assessment: Assessment) -> list[Dataset]:
    """Mean and standard deviation of each measured site, HU, with its regions (TID 1411).

    Raises
    ------
    ValueError
        A site is neither a vertebra nor a muscle with a side.
    """
    items = algorithm(assessment, ALGORITHM)
    return [_site_group(found, assessment, items) for found in _measured(assessment)]


def slice_groups(assessment: Assessment) -> list[Dataset]:
    """Mean and standard deviation of each measured site in each of its slices, HU (TID 1501).

    The form that OHIF loads onto the images: the region stands below each number, the tracking
    identifier is that of its tool for freehand regions, the finding is named after the site.

    Raises
    ------
    ValueError
        A site is neither a vertebra nor a muscle with a side.
    """
    items = algorithm(assessment, ALGORITHM)
    return [
        _slice_group(found.site, number, roi, assessment, items)
        for found in _measured(assessment)
        for number, roi in enumerate(found.rois, start=1)
    ]


def _measured(assessment: Assessment) -> list[SiteMeasurement]:
    return [found for found in assessment.features.measurements if found.missing is None]


def _site_group(
    measurement: SiteMeasurement, assessment: Assessment, algorithm_items: list[Dataset]
) -> Dataset:
    site, series = measurement.site, assessment.series
    label = site.label if site.side is None else f"{site.label}, {site.side}"
    uid = derived_uid("tracking", series.study_uid, site.name)
    mean = code_item(own.DERIVATION, own.MEAN, MODIFIES)
    regions = []
    for roi in measurement.rois:
        image = series.slices[roi.slice_index]
        points = image_coordinates(roi.contour_lps_mm, image)
        regions.append(polygon_item(own.REGION, points, _source(image)))
    return container(
        own.MEASUREMENT_GROUP,
        [
            *_tracking(f"{site.name} {label}", uid),
            *_found(own.ROI_FINDING, site),
            *algorithm_items,
            number_item(
                own.ATTENUATION, round(measurement.mean_hu, 2), own.HOUNSFIELD, items=[mean]
            ),
            number_item(own.STANDARD_DEVIATION, round(measurement.sd_hu, 2), own.HOUNSFIELD),
            *regions,
        ],
        template="1411",
    )


def _slice_group(
    site: Site, number: int, roi: Roi, assessment: Assessment, algorithm_items: list[Dataset]
) -> Dataset:
    series = assessment.series
    image = series.slices[roi.slice_index]
    points = image_coordinates(roi.contour_lps_mm, image)
    region = polygon_item(own.SOURCE, points, _source(image), INFERRED)
    uid = derived_uid("tracking", series.study_uid, site.name, str(number))
    return container(
        own.MEASUREMENT_GROUP,
        [
            *_tracking(FREEHAND_TOOL, uid),
            *_found(own.SITE_FINDINGS[site.name], site),
            *algorithm_items,
            *(
                number_item(name, round(value, 2), own.HOUNSFIELD, items=[region])
                for name, value in (
                    (own.MEAN, roi.mean_hu),
                    (own.STANDARD_DEVIATION, roi.sd_hu),
                )
            ),
        ],
        template="1501",
    )


def _tracking(identifier: str, uid: str) -> tuple[Dataset, Dataset]:
    return (
        text_item(own.TRACKING_IDENTIFIER, identifier, OBSERVATION),
        uid_item(own.TRACKING_UID, uid, OBSERVATION),
    )


def _found(finding: CodedConcept, site: Site) -> tuple[Dataset, Dataset]:
    side = None if site.side is None else own.SIDE_CODES[site.side]
    return code_item(own.FINDING, finding), finding_site_item(own.site_code(site), side)


def _source(image: Instance) -> Dataset:
    return image_item(own.SOURCE, image.sop_class_uid, image.sop_instance_uid, SELECTED)


def image_coordinates(
    contour_lps_mm: npt.NDArray[np.float64], image: Instance
) -> npt.NDArray[np.float64]:
    """The SCOORD polygon of a contour on one source image.

    SCOORD counts from the outer corner of the first pixel, whose centre is (0.5, 0.5)
    (DICOM PS3.3, C.18.6.1.2).

    Parameters
    ----------
    contour_lps_mm
        float64, shape (n, 3), LPS mm: a polygon in the image's plane, first point not repeated.
    image
        The image that it is drawn on.

    Returns
    -------
    numpy.ndarray
        float64, shape (n + 1, 2): (column, row) in pixels, the first point repeated at the end.

    Raises
    ------
    ValueError
        The image states no position, orientation or pixel spacing.
    """
    if image.orientation is None or image.position_mm is None or image.pixel_spacing_mm is None:
        raise ValueError("the source image has no geometry")
    to_image = _to_image(
        tuple(image.position_mm.tolist()),
        tuple(image.orientation.ravel().tolist()),
        image.pixel_spacing_mm,
    )
    points = to_image(contour_lps_mm)[:, :2]
    return np.vstack([points, points[:1]])


@lru_cache(maxsize=256)
def _to_image(
    position_mm: tuple[float, ...], orientation: tuple[float, ...], spacing_mm: tuple[float, float]
) -> ReferenceToImageTransformer:
    """Several regions are drawn on one image, and each in several objects."""
    return ReferenceToImageTransformer(
        image_position=position_mm, image_orientation=orientation, pixel_spacing=spacing_mm
    )
