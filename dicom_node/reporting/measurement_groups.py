"""The measurement groups of the Structured Report (TID 1500): one for each site, or each slice."""

import numpy as np
import numpy.typing as npt
from highdicom.spatial import ReferenceToImageTransformer
from highdicom.sr import (
    CoordinatesForMeasurement,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    SourceImageForRegion,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)

from dicom_node.assessment.assessment import Assessment
from dicom_node.reporting import codes as own
from dicom_node.reporting.evaluations import algorithm
from dicom_node.series.instances import Instance
from dicom_node.uids import derived_uid
from roi_extraction.features import Roi, SiteMeasurement
from roi_extraction.sites import Site

__all__ = ["image_coordinates", "site_group", "slice_groups"]

FREEHAND_TOOL = "Cornerstone3DTools@^0.1.0:PlanarFreehandROI"
"""Tracking identifier by which OHIF knows which of its tools draws a region."""


def site_group(
    measurement: SiteMeasurement, assessment: Assessment
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    """The mean and standard deviation of one measured site, HU, with its regions on the images.

    Raises
    ------
    ValueError
        The site is neither a vertebra nor a muscle with a side.
    """
    site, series = measurement.site, assessment.series
    label = site.label if site.side is None else f"{site.label}, {site.side}"
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=derived_uid("tracking", series.study_uid, site.name),
            identifier=f"{site.name} {label}",
        ),
        referenced_regions=[
            _region(roi, series.slices[roi.slice_index]) for roi in measurement.rois
        ],
        finding_type=own.ROI_FINDING,
        finding_sites=[_place(site)],
        algorithm_id=algorithm(assessment, "osteonode ROI extraction"),
        measurements=[
            Measurement(
                name=own.ATTENUATION,
                value=round(measurement.mean_hu, 2),
                unit=own.HOUNSFIELD,
                derivation=own.MEAN,
            ),
            Measurement(
                name=own.STANDARD_DEVIATION,
                value=round(measurement.sd_hu, 2),
                unit=own.HOUNSFIELD,
            ),
        ],
    )


def slice_groups(
    measurement: SiteMeasurement, assessment: Assessment
) -> list[MeasurementsAndQualitativeEvaluations]:
    """Mean and standard deviation of one measured site in each of its slices, HU (TID 1501).

    The form that OHIF loads onto the images: the region stands below each number, the tracking
    identifier is that of its tool for freehand regions, the finding is named after the site.

    Raises
    ------
    ValueError
        The site is neither a vertebra nor a muscle with a side.
    """
    site, series = measurement.site, assessment.series
    groups = []
    for number, roi in enumerate(measurement.rois, start=1):
        image = series.slices[roi.slice_index]
        points = image_coordinates(roi.contour_lps_mm, image)
        values = ((own.MEAN, roi.mean_hu), (own.STANDARD_DEVIATION, roi.sd_hu))
        groups.append(
            MeasurementsAndQualitativeEvaluations(
                tracking_identifier=TrackingIdentifier(
                    uid=derived_uid("tracking", series.study_uid, site.name, str(number)),
                    identifier=FREEHAND_TOOL,
                ),
                finding_type=own.SITE_FINDINGS[site.name],
                finding_sites=[_place(site)],
                algorithm_id=algorithm(assessment, "osteonode ROI extraction"),
                measurements=[
                    Measurement(
                        name=name,
                        value=round(value, 2),
                        unit=own.HOUNSFIELD,
                        referenced_coordinates=[_coordinates(points, image)],
                    )
                    for name, value in values
                ],
            )
        )
    return groups


def _place(site: Site) -> FindingSite:
    side = None if site.side is None else own.SIDE_CODES[site.side]
    return FindingSite(anatomic_location=own.site_code(site), laterality=side)


def _coordinates(points: npt.NDArray[np.float64], image: Instance) -> CoordinatesForMeasurement:
    return CoordinatesForMeasurement(
        graphic_type=GraphicTypeValues.POLYLINE,
        graphic_data=points,
        source_image=_source(image),
    )


def _source(image: Instance) -> SourceImageForRegion:
    return SourceImageForRegion(
        referenced_sop_class_uid=image.sop_class_uid,
        referenced_sop_instance_uid=image.sop_instance_uid,
    )


def _region(roi: Roi, image: Instance) -> ImageRegion:
    return ImageRegion(
        graphic_type=GraphicTypeValues.POLYLINE,
        graphic_data=image_coordinates(roi.contour_lps_mm, image),
        source_image=_source(image),
    )


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
    to_image = ReferenceToImageTransformer(
        image_position=image.position_mm.tolist(),
        image_orientation=image.orientation.ravel().tolist(),
        pixel_spacing=image.pixel_spacing_mm,
    )
    points = to_image(contour_lps_mm)[:, :2]
    return np.vstack([points, points[:1]])
