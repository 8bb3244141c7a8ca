"""The DICOM Structured Report: Comprehensive SR, TID 1500, by highdicom."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pydicom
from highdicom.sr import (
    AlgorithmIdentification,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.valuerep import DA, TM

from dicom_node.assessment.assessment import Assessment
from dicom_node.reporting import codes as own
from dicom_node.reporting.report import l1_category
from dicom_node.reporting.report_model import RESEARCH_USE
from dicom_node.series.instances import Instance
from dicom_node.uids import derived_uid
from roi_extraction.features import Roi, SiteMeasurement

__all__ = ["build_structured_report", "report_uids"]

MANUFACTURER = "osteonode project"
SERIES_NUMBER = 9301
"""High, so that a report does not sort between the images' series."""

INHERITED = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""Patient and study elements that a report takes from its images and must have (PS3.3, type 2)."""

PIXEL_CENTRE = 0.5
"""SCOORD counts from the corner of the first pixel (DICOM PS3.3, C.18.6.1.2)."""


def report_uids(assessment_id: str) -> tuple[str, str]:
    """(series UID, SOP instance UID) of the report of one assessment."""
    return derived_uid("sr-series", assessment_id), derived_uid("sr-instance", assessment_id)


def build_structured_report(
    assessment: Assessment, assessment_id: str, predecessors: Sequence[Path] = ()
) -> Dataset:
    """Build the report of one assessment.

    Parameters
    ----------
    assessment
        What was measured and staged.
    assessment_id
        Seeds all UIDs of the document, so that the same assessment gives the same ones.
    predecessors
        Earlier reports of the same study that this one supersedes; named in Predecessor Documents.
    """
    series = assessment.series
    groups = [
        _site_group(measurement, assessment)
        for measurement in assessment.features.measurements
        if measurement.missing is None
    ]
    used = sorted(
        {roi.slice_index for m in assessment.features.measurements for roi in m.rois}
    ) or [0]
    evidence = [evidence_header(series.slices[index].path) for index in used]
    observer = ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=derived_uid("device", "osteonode"),
            name="osteonode",
            manufacturer_name=MANUFACTURER,
            model_name="osteonode",
        ),
    )
    content = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer),
        procedure_reported=own.CT_PROCEDURE,
        imaging_measurements=[_stage_group(assessment), *groups],
        title=codes.DCM.ImagingMeasurementReport,
    )
    series_uid, sop_instance_uid = report_uids(assessment_id)
    document = ComprehensiveSR(
        evidence=evidence,
        content=content[0],
        series_instance_uid=series_uid,
        series_number=SERIES_NUMBER,
        sop_instance_uid=sop_instance_uid,
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=False,
        is_verified=False,
        series_description="osteonode osteoporosis screening (research use)",
        manufacturer_model_name="osteonode",
        software_versions=version("osteonode"),
        device_serial_number="1",
        previous_versions=_previous_versions(predecessors, sop_instance_uid),
    )
    document.CodingSchemeIdentificationSequence = [_coding_scheme()]
    return document


def evidence_header(path: Path) -> Dataset:
    """Read an image's header into a form that a report can inherit from.

    Text becomes Unicode, patient and study elements that must be present are filled with nothing,
    dates and times that are none are emptied: a report must not fail on what an archive holds.
    """
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    dataset.decode()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword in INHERITED:
        element = dataset.get_item(keyword) if keyword in dataset else None
        if element is None:
            setattr(dataset, keyword, "")
            continue
        try:
            parse = {"DA": DA, "TM": TM}.get(dataset[keyword].VR, str)
            parse(str(dataset[keyword].value or ""))
        except (ValueError, TypeError, OverflowError):
            del dataset[keyword]
            setattr(dataset, keyword, "")
    return dataset


def _previous_versions(predecessors: Sequence[Path], sop_instance_uid: str) -> list[Dataset] | None:
    """The earlier reports without this very document, built again; None if there are none."""
    earlier = [pydicom.dcmread(path) for path in predecessors]
    return [item for item in earlier if item.SOPInstanceUID != sop_instance_uid] or None


def _coding_scheme() -> Dataset:
    item = Dataset()
    item.CodingSchemeDesignator = own.PRIVATE_SCHEME
    item.CodingSchemeName = "osteonode private codes"
    item.CodingSchemeResponsibleOrganization = MANUFACTURER
    return item


def _stage_group(assessment: Assessment) -> MeasurementsAndQualitativeEvaluations:
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
    """What the reader must know in words: use, abstention, warnings, explanation, network."""
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


def _site_group(
    measurement: SiteMeasurement, assessment: Assessment
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    site, series = measurement.site, assessment.series
    if site.level is not None:
        location, laterality = own.LEVELS[site.level], None
    elif site.muscle is not None and site.side is not None:
        location, laterality = own.MUSCLES[site.muscle], own.SIDES[site.side]
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
    contour_lps_mm: Sequence[Sequence[float]] | np.ndarray, image: Instance
) -> np.ndarray:
    """Closed (column, row) SCOORD polygon of an LPS contour on one source image.

    Returns
    -------
    numpy.ndarray
        float64, shape (n + 1, 2), the first point repeated at the end.
    """
    if image.orientation is None or image.position_mm is None or image.pixel_spacing_mm is None:
        raise ValueError("the source image has no geometry")
    offset = np.asarray(contour_lps_mm, dtype=np.float64) - image.position_mm
    row_mm, column_mm = image.pixel_spacing_mm
    column = offset @ image.orientation[0] / column_mm + PIXEL_CENTRE
    row = offset @ image.orientation[1] / row_mm + PIXEL_CENTRE
    points = np.column_stack([column, row])
    return np.vstack([points, points[:1]])
