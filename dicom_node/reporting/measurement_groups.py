"""The measurement groups of the Structured Report (TID 1500): the stage, and one for each site."""

from importlib.metadata import version

import numpy as np
import numpy.typing as npt
from highdicom.spatial import ReferenceToImageTransformer
from highdicom.sr import (
    AlgorithmIdentification,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)

from dicom_node.assessment.assessment import Assessment
from dicom_node.reporting import codes as own
from dicom_node.reporting.report import l1_category
from dicom_node.reporting.report_model import RESEARCH_USE
from dicom_node.series.instances import Instance
from dicom_node.uids import derived_uid
from roi_extraction.features import Roi, SiteMeasurement

__all__ = ["image_coordinates", "site_group", "stage_group"]


def stage_group(assessment: Assessment) -> MeasurementsAndQualitativeEvaluations:
    """The stage with its probabilities, and in words what the reader must know."""
    series, prediction = assessment.series, assessment.prediction
    stage = prediction.predicted.value if prediction.predicted else ""
    evaluations = [QualitativeEvaluation(own.STAGE, own.STAGES[stage])]
    l1 = l1_category(assessment)
    if l1 is not None:
        evaluations.append(QualitativeEvaluation(own.L1_THRESHOLD, own.L1_THRESHOLD_VALUES[l1]))
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=derived_uid("tracking", series.study_uid, "stage"),
            identifier="osteonode stage",
        ),
        finding_type=own.STAGE_FINDING,
        algorithm_id=_algorithm(assessment, "osteonode staging", prediction.model_id),
        measurements=[
            Measurement(
                name=own.PROBABILITY[letter.value], value=round(float(value), 4), unit=own.RATIO
            )
            for letter, value in prediction.probabilities.items()
        ],
        qualitative_evaluations=evaluations,
    )
    for text in _comments(assessment):
        group[0].ContentSequence.append(
            TextContentItem(
                name=own.COMMENT, value=text, relationship_type=RelationshipTypeValues.CONTAINS
            )
        )
    return group


def _comments(assessment: Assessment) -> list[str]:
    """What the reader must know, in words: use, abstention, warnings, gaps, explanation."""
    prediction, features = assessment.prediction, assessment.features
    lines = [RESEARCH_USE]
    if prediction.abstained:
        lines.append(f"Not staged: {prediction.abstained}")
    else:
        letters = ", ".join(stage.value for stage in prediction.prediction_set)
        lines.append(f"90 % prediction set: {letters or 'none'}")
    lines += [f"Warning: {found.message} [{found.code}]" for found in assessment.warnings]
    missing = [m for m in features.measurements if m.missing is not None]
    if missing:
        lines.append(
            "Not measured: "
            + ", ".join(f"{m.site.name} ({m.missing.reason})" for m in missing if m.missing)
        )
    for item in assessment.contributions[:5]:
        places = "; ".join(
            f"{site}: community {assessment.places[site].community}, "
            f"rank {assessment.places[site].strength_rank}"
            for site in item.sites[:3]
            if site in assessment.places
        )
        lines.append(
            f"Contribution: {item.feature} = {_value(item.value)}, SHAP {item.shap:+.3f}"
            + (f" (network {places})" if places else "")
        )
    return lines


def _value(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.1f}"


def _algorithm(
    assessment: Assessment, name: str, model_id: str | None = None
) -> AlgorithmIdentification:
    segmenter = assessment.features.segmenter
    parameters = [f"segmenter {segmenter.name} {segmenter.version}"]
    if model_id:
        parameters.append(f"model {model_id}")
    return AlgorithmIdentification(name=name, version=version("osteonode"), parameters=parameters)


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
    if site.level is not None:
        location, laterality = own.LEVEL_CODES[site.level], None
    elif site.muscle is not None and site.side is not None:
        location, laterality = own.MUSCLE_CODES[site.muscle], own.SIDE_CODES[site.side]
    else:
        raise ValueError(f"site {site.name} is neither a vertebra nor a muscle")
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
        finding_sites=[FindingSite(anatomic_location=location, laterality=laterality)],
        algorithm_id=_algorithm(assessment, "osteonode ROI extraction"),
        measurements=[
            Measurement(
                name=own.ATTENUATION,
                value=round(measurement.mean_hu, 2),
                unit=own.HOUNSFIELD,
                derivation=own.MEAN,
            ),
            Measurement(
                name=own.ATTENUATION,
                value=round(measurement.sd_hu, 2),
                unit=own.HOUNSFIELD,
                derivation=own.STANDARD_DEVIATION,
            ),
        ],
    )


def _region(roi: Roi, image: Instance) -> ImageRegion:
    return ImageRegion(
        graphic_type=GraphicTypeValues.POLYLINE,
        graphic_data=image_coordinates(roi.contour_lps_mm, image),
        source_image=SourceImageForRegion(
            referenced_sop_class_uid=image.sop_class_uid,
            referenced_sop_instance_uid=image.sop_instance_uid,
        ),
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
