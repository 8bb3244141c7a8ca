"""The DICOM Structured Report: Comprehensive SR, TID 1500."""

import warnings
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

import pydicom
from highdicom.sr import ComprehensiveSR
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from dicom_node.assessment.assessment import Assessment
from dicom_node.decoding.elements import Elements
from dicom_node.decoding.inflation import plain_file
from dicom_node.decoding.raw_elements import read_header
from dicom_node.records.reading import Reading
from dicom_node.reporting import codes as own
from dicom_node.reporting.comparison_items import comparison_container
from dicom_node.reporting.content_items import (
    MODIFIES,
    OBSERVATION,
    code_item,
    container,
    person_item,
    text_item,
    uid_item,
)
from dicom_node.reporting.evaluations import coded_results, impressions, supplement
from dicom_node.reporting.measurement_groups import site_groups, slice_groups
from dicom_node.reporting.objects.kinds import ObjectKind, object_uids
from dicom_node.reporting.report_model import Comparison
from dicom_node.series.instances import PATIENT_AND_STUDY, Instance
from dicom_node.uids import derived_uid

__all__ = [
    "SrProfile",
    "build_structured_report",
    "evidence_header",
    "evidence_images",
    "report_uids",
]

MANUFACTURER = "osteonode project"
SERIES_NUMBER = 9301
"""High, so that viewers do not list the report between the series of images."""

SERIES_DESCRIPTION = "osteonode osteoporosis screening (research use)"


class SrProfile(StrEnum):
    """The forms of the report.

    ``volumetric`` has one group for each site, with the mean of its three slices; ``planar`` has
    one for each slice, as viewers need it that load measurements onto the images (OHIF).
    """

    VOLUMETRIC = "volumetric"
    PLANAR = "planar"


def report_uids(assessment_id: str) -> tuple[str, str]:
    """(series UID, SOP instance UID) of the Structured Report of one assessment."""
    return derived_uid("sr-series", assessment_id), derived_uid("sr-instance", assessment_id)


def build_structured_report(
    assessment: Assessment,
    assessment_id: str,
    predecessors: Sequence[Path] = (),
    profile: SrProfile = SrProfile.VOLUMETRIC,
    segmentation: Dataset | None = None,
    comparison: Comparison | None = None,
    earlier: Dataset | None = None,
    reading: Reading | None = None,
) -> Dataset:
    """Build the report of one assessment.

    Parameters
    ----------
    assessment
        What was measured and staged.
    assessment_id
        Seeds all UIDs of the document: the same assessment gives the same UIDs.
    predecessors
        Earlier reports of the same study that this one supersedes; named in Predecessor Documents.
    profile
        Its form; each has UIDs of its own.
    segmentation
        The Segmentation of the regions, which the report then refers to; None for none.
    comparison
        What changed since an earlier report; of the volumetric profile alone, whose means are
        those that were compared.
    earlier
        The Structured Report that it is compared with; None if it is with none.
    reading
        Of the reader who verifies it; None if it is nobody's but the program's.
    """
    planar = profile is SrProfile.PLANAR
    first, *others = evidence_images(assessment)
    evidence = [evidence_header(first.path), *(_referred(image) for image in others)]
    if segmentation is not None:
        evidence.append(segmentation)
    extra = supplement(assessment, segmentation)
    if comparison is not None and comparison.earlier is not None and earlier is not None:
        extra.ContentSequence.append(comparison_container(comparison, comparison.earlier))
        evidence.append(earlier)
    items = [
        *_context(reading),
        impressions(assessment, reading),
        coded_results(assessment),
        container(
            own.MEASUREMENTS, slice_groups(assessment) if planar else site_groups(assessment)
        ),
        extra,
    ]
    series_uid, sop_instance_uid = report_uids(assessment_id)
    number, description = SERIES_NUMBER, SERIES_DESCRIPTION
    if planar:
        series_uid, sop_instance_uid = object_uids(ObjectKind.PLANAR, assessment_id)
        number = ObjectKind.PLANAR.series_number
        description = ObjectKind.PLANAR.series_description
    document = ComprehensiveSR(
        evidence=evidence,
        content=container(own.REPORT, [], None, template="1500"),
        series_instance_uid=series_uid,
        series_number=number,
        sop_instance_uid=sop_instance_uid,
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=reading is not None,
        is_verified=reading is not None,
        verifying_observer_name=None if reading is None else reading.reader,
        verifying_organization=None if reading is None else reading.organization,
        series_description=description,
        manufacturer_model_name="osteonode",
        software_versions=version("osteonode"),
        device_serial_number="1",
        previous_versions=_previous_versions(predecessors, sop_instance_uid),
    )
    document.ContentSequence = items  # highdicom would copy all of them, several times
    if reading is not None:
        verified = document.VerifyingObserverSequence[0]
        verified.VerificationDateTime = f"{reading.moment:%Y%m%d%H%M%S}+0000"
    # dates and times of the document are this computer's; the images may be of another zone
    document.TimezoneOffsetFromUTC = datetime.now().astimezone().strftime("%z")
    document.CodingSchemeIdentificationSequence = [_coding_scheme()]
    return document


def _context(reading: Reading | None) -> list[Dataset]:
    """Language, observers and procedure (TID 1500, rows 2 to 4)."""
    person = []
    if reading is not None:
        person = [
            code_item(own.OBSERVER_TYPE, own.PERSON, OBSERVATION),
            person_item(own.PERSON_NAME, reading.reader, OBSERVATION),
            text_item(own.PERSON_ORGANIZATION, reading.organization, OBSERVATION),
        ]
    return [
        code_item(own.LANGUAGE, own.ENGLISH, MODIFIES),
        *person,
        code_item(own.OBSERVER_TYPE, own.DEVICE, OBSERVATION),
        uid_item(own.DEVICE_UID, derived_uid("device", "osteonode"), OBSERVATION),
        text_item(own.DEVICE_NAME, "osteonode", OBSERVATION),
        text_item(own.DEVICE_MANUFACTURER, MANUFACTURER, OBSERVATION),
        text_item(own.DEVICE_MODEL, "osteonode", OBSERVATION),
        code_item(own.PROCEDURE, own.CT_PROCEDURE, MODIFIES),
    ]


def evidence_images(assessment: Assessment) -> list[Instance]:
    """The images that a report names as evidence: those with regions, or else the first.

    Patient and study of the report are those of the first of them.
    """
    used = {roi.slice_index for m in assessment.features.measurements for roi in m.rois} or {0}
    return [assessment.series.slices[index] for index in sorted(used)]


def _referred(image: Instance) -> Dataset:
    """What a report needs of an image to name it as evidence."""
    found = Dataset()
    found.StudyInstanceUID = image.study_uid
    found.SeriesInstanceUID = image.series_uid
    found.SOPClassUID = image.sop_class_uid
    found.SOPInstanceUID = image.sop_instance_uid
    return found


def evidence_header(path: Path) -> Dataset:
    """Read the header of an image in a form that a report can inherit from.

    Text becomes Unicode, sequences are left out, invalid values of patient and study elements are
    emptied and missing ones added empty: a report must neither fail on what an archive holds nor
    pass on what is broken. Each slice's invalid values are warned of (`Instance.invalid`).

    Parameters
    ----------
    path
        File of the image.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of what is removed here
        source = plain_file(path, header_only=True)
        with source.open("rb") if isinstance(source, Path) else source as file:
            dataset = read_header(file)
        for tag in list(dataset.keys()):
            if _is_sequence_or_unreadable(dataset, tag):
                del dataset[tag]
        dataset.decode()
        dataset.SpecificCharacterSet = "ISO_IR 192"
        elements = Elements(dataset)
        elements.check(*dataset.dir())
        for keyword in elements.invalid:
            del dataset[keyword]
        for keyword in PATIENT_AND_STUDY:
            if keyword not in dataset:
                setattr(dataset, keyword, "")
    return dataset


def _is_sequence_or_unreadable(dataset: Dataset, tag: BaseTag) -> bool:
    try:
        return dataset[tag].VR == "SQ"
    except Exception:  # the parsers' ways to fail on hostile input are open-ended
        return True


def _previous_versions(predecessors: Sequence[Path], sop_instance_uid: str) -> list[Dataset] | None:
    """The earlier reports without this document, if it is built again; None if none is left."""
    earlier = [pydicom.dcmread(path) for path in predecessors]
    return [item for item in earlier if item.SOPInstanceUID != sop_instance_uid] or None


def _coding_scheme() -> Dataset:
    item = Dataset()
    item.CodingSchemeDesignator = own.PRIVATE_SCHEME
    item.CodingSchemeName = "osteonode private codes"
    item.CodingSchemeResponsibleOrganization = MANUFACTURER
    return item
