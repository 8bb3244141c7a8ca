"""Digests of what an instance holds: what a report inherits from it, and what is measured on it."""

import hashlib
import warnings
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import partial

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from dicom_node.decoding.recall import HeaderMemory, Recall

__all__ = [
    "DESCRIBING",
    "INHERITED_STUDY",
    "MEASURED",
    "HeaderDigests",
    "header_digests",
    "is_inherited",
    "pixels_digest",
]

INHERITED_GROUPS = (0x0010, 0x0012)
"""Groups of the patient and of the clinical trial, all of which count as inherited."""

INHERITED_STUDY = (
    "StudyDate", "StudyTime", "AccessionNumber", "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName", "ReferringPhysicianIdentificationSequence",
    "ConsultingPhysicianName", "ConsultingPhysicianIdentificationSequence", "StudyDescription",
    "ProcedureCodeSequence", "PhysiciansOfRecord", "PhysiciansOfRecordIdentificationSequence",
    "NameOfPhysiciansReadingStudy", "PhysiciansReadingStudyIdentificationSequence",
    "ReferencedStudySequence", "ReferencedPatientSequence", "StudyID", "RequestingService",
    "RequestingServiceCodeSequence", "ReasonForPerformedProcedureCodeSequence",
    "AdmittingDiagnosesDescription", "AdmittingDiagnosesCodeSequence", "ReasonForVisit",
    "ReasonForVisitCodeSequence", "AdmissionID", "IssuerOfAdmissionIDSequence",
    "ServiceEpisodeID", "ServiceEpisodeDescription", "IssuerOfServiceEpisodeIDSequence",
    "PatientState", "ReferencedPatientPhotoSequence",
)  # fmt: skip
"""Elements of other groups that highdicom copies from an image into a report: modules General
Study and Patient Study (PS3.3, C.7.2.1 and C.7.2.2)."""

DESCRIBING = ("SeriesDescription", "ImageComments", "DerivationDescription")
"""Texts that tell images computed from several spectra from plain ones. They may be corrected, as
patient and study may, without speaking of other pixels."""

MEASURED = (
    "SOPClassUID", "Modality", "ImageType", "LossyImageCompression", "KVP", "SliceThickness",
    "PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient", "FrameOfReferenceUID",
    "PatientPosition", "GantryDetectorTilt", "AcquisitionNumber", "NumberOfFrames",
    "ConvolutionKernel", "Manufacturer", "ManufacturerModelName", "ContrastBolusAgent",
    "ContrastBolusAgentSequence", "ContrastBolusVolume", "ContrastBolusRoute",
    "ContrastBolusStartTime", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation",
    "PlanarConfiguration", "AcquisitionTime", "AcquisitionDateTime", "InstanceNumber",
    "MultienergyCTAcquisition", "MultienergyCTCharacteristicsSequence",
    "MonoenergeticEnergyEquivalent", "BitsAllocated", "BitsStored",
    "HighBit", "PixelRepresentation",
    "PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept",
    "RescaleType", "ModalityLUTSequence",
    # of a segmentation
    "ReferencedSeriesSequence", "SegmentationType", "SegmentSequence", "MaximumFractionalValue",
    "DimensionIndexSequence", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
"""Elements beside the pixels that selection, geometry, acquisition rules and HU depend on. Those of
the patient that staging reads too, sex and age, count as inherited: they may be corrected."""

OWN_OF_AN_IMAGE = (
    "ImagePositionPatient", "AcquisitionNumber", "AcquisitionTime", "AcquisitionDateTime",
    "InstanceNumber",
)  # fmt: skip
"""Those of them that usually differ from image to image of a series."""

NUMBERS = ("DS", "IS", "FL", "FD", "US", "SS", "UL", "SL")
"""Value representations whose numbers count, not how they are written."""


@dataclass(frozen=True)
class HeaderDigests:
    """SHA-256, in hexadecimal, of the two parts of a header that a report depends on.

    Parameters
    ----------
    inherited
        Patient and study elements, and `DESCRIBING`.
    measured
        The elements of `MEASURED`.
    """

    inherited: str
    measured: str


def header_digests(dataset: Dataset, recall: Recall | None = None) -> HeaderDigests:
    """Digest a data set; neither its encoding nor the order of its elements matters.

    An element without a value counts as absent.

    Parameters
    ----------
    dataset
        Any data set.
    recall
        What was read from the same elements of other files; None to read all anew.
    """
    recall = recall or HeaderMemory().of(dataset)
    inherited = frozenset(
        tag for tag in recall.tags if is_inherited(tag) or tag in _DESCRIBING_TAGS
    )
    measured = _MEASURED_TAGS & recall.tags
    alike = measured - _OWN_TAGS

    def texts_of(tags: Set[int]) -> dict[int, str]:
        return {tag: recall.once("digest", tag, partial(_text, dataset, tag)) for tag in tags}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that do not fit their representation
        in_common = recall.alike(("texts", alike), lambda: texts_of(alike))
        return HeaderDigests(
            recall.alike(inherited, lambda: _digest(texts_of(inherited))),
            _digest({**in_common, **texts_of(measured & _OWN_TAGS)}),
        )


def pixels_digest(dataset: Dataset) -> str:
    """SHA-256, in hexadecimal, of Pixel Data as encoded; of nothing if there is none."""
    pixels = dataset.get_item("PixelData")
    raw = None if pixels is None else pixels.value
    return hashlib.sha256(raw if isinstance(raw, bytes) else b"").hexdigest()


def is_inherited(tag: int) -> bool:
    """Whether a report takes an element from its images."""
    return tag >> 16 in INHERITED_GROUPS or tag in _STUDY_TAGS


def _digest(texts: Mapping[int, str]) -> str:
    """Of the elements' texts in the order of their tags."""
    joined = "".join([texts[tag] for tag in sorted(texts)])
    return hashlib.sha256(joined.encode("utf-8", "backslashreplace")).hexdigest()


def _text(dataset: Dataset, tag: int) -> str:
    """One element as text with its tag and its length; empty if it has no value."""
    element_tag = Tag(tag)
    text = _value(dataset, element_tag)
    return f"{element_tag!s}{len(text)}:{text}" if text else ""


def _value(dataset: Dataset, tag: BaseTag) -> str:
    """One element's value as text; of a damaged one its bytes."""
    try:
        element = dataset[tag]
    except Exception:  # foreign values fail in open-ended ways
        return repr(dataset.get_item(tag).value)
    value = element.value
    if element.VR == "SQ":
        items = ("".join(_text(item, tag) for tag in sorted(item.keys())) for item in value)
        return "".join(f"[{item}]" for item in items)
    if value is None or value == "":
        return ""
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    parts = list(value) if isinstance(value, MultiValue | list) else [value]
    texts = [_part(part, element.VR) for part in parts]
    if element.keyword == "LossyImageCompression" and texts == ["00"]:
        return ""  # says what absence says; some add it when they compress without loss
    return "\\".join(texts)


def _part(part: object, vr: str) -> str:
    text = str(part).strip(" \0")
    if vr in NUMBERS and text:
        try:
            return repr(float(text))
        except ValueError:
            return text
    return text


_STUDY_TAGS = frozenset(int(Tag(keyword)) for keyword in INHERITED_STUDY)
_DESCRIBING_TAGS = frozenset(int(Tag(keyword)) for keyword in DESCRIBING)
_OWN_TAGS = frozenset(int(Tag(keyword)) for keyword in OWN_OF_AN_IMAGE)
_MEASURED_TAGS = frozenset(int(Tag(keyword)) for keyword in MEASURED)
