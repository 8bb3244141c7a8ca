"""The header of one received instance, read before any pixel is decoded."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.charset import default_encoding
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.tag import Tag

from dicom_node.decoding.elements import Elements
from dicom_node.decoding.inflation import InflatesTooFar, plain_file
from dicom_node.decoding.prepared import held_element, prepared_dataset, same_tag
from dicom_node.decoding.raw_elements import read_header
from dicom_node.decoding.recall import ENCODING_TAG, HeaderMemory, Recall
from dicom_node.decoding.stored_plane import StoredPlane, stored_plane
from dicom_node.series.content import header_digests
from dicom_node.series.spectral import is_multienergy, spectral_sign

__all__ = [
    "PATIENT_AND_STUDY",
    "SEGMENTATION_STORAGE",
    "Instance",
    "UnreadableFile",
    "age_years",
    "instance_of",
    "read_instance",
    "scan_folder",
    "sender_of",
]

SEGMENTATION_STORAGE = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""Segmentation Storage and Label Map Segmentation Storage (PS3.4, table B.5-1)."""


PATIENT_AND_STUDY = (
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

STATED = (
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID",
    "StudyInstanceUID", *PATIENT_AND_STUDY, "Rows", "Columns", "PixelSpacing",
    "ImageOrientationPatient", "ImagePositionPatient",
)  # fmt: skip
"""Elements with which a report is compared before it is sent, beside their character set."""


@dataclass(frozen=True, eq=False)
class Instance:
    """The header of one instance.

    Missing values are None or empty, never a default that could pass for a value.

    Parameters
    ----------
    orientation
        float64, shape (2, 3): Image Orientation (Patient), unit vectors along rows and columns.
    position_mm
        float64, shape (3,): Image Position (Patient), LPS mm.
    pixel_spacing_mm
        Distance between rows and between columns, mm.
    inherited_digest, measured_digest
        Of its elements, as `content.HeaderDigests` has them.
    sex
        Patient's Sex as it is stated; one that is not M, F or O counts as ``invalid``.
    has_rescale
        Whether Rescale Slope and Intercept are numbers and the slope is above zero.
    acquisition_time_s
        Acquisition Time, s since midnight.
    spectral
        What says that the image was computed from several X-ray spectra; empty if nothing does.
    multienergy
        Whether it was acquired with several spectra.
    invalid
        Keywords of the elements that were read and hold no valid value.
    stored
        Where its pixels lie in the file, if they are not compressed.
    stated
        The elements of `STATED` as they stand in the file, for the check of the report; empty for
        an instance that was not read from a file.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    modality: str
    image_type: tuple[str, ...]
    transfer_syntax_uid: str
    lossy: str
    kvp: float | None
    slice_thickness_mm: float | None
    pixel_spacing_mm: tuple[float, float] | None
    rows: int | None
    columns: int | None
    orientation: npt.NDArray[np.float64] | None
    position_mm: npt.NDArray[np.float64] | None
    instance_number: int | None
    acquisition_number: int | None
    frames: int
    kernel: str
    contrast_agent: str
    manufacturer: str
    model: str
    series_description: str
    has_rescale: bool
    sex: str
    age_years: float | None
    patient_position: str
    frame_of_reference_uid: str = ""
    referenced_series_uids: tuple[str, ...] = ()
    gantry_tilt_deg: float | None = None
    inherited_digest: str = ""
    measured_digest: str = ""
    patient_id: str = ""
    acquisition_time_s: float | None = None
    spectral: str = ""
    multienergy: bool = False
    invalid: tuple[str, ...] = ()
    stored: StoredPlane | None = None
    stated: Dataset = field(default_factory=Dataset, repr=False)


@dataclass(frozen=True)
class UnreadableFile:
    """A file that cannot be read as a DICOM instance, and the reason."""

    path: Path
    reason: str


def read_instance(path: Path, memory: HeaderMemory | None = None) -> Instance:
    """Read one file's header.

    Parameters
    ----------
    path
        The file.
    memory
        What was read from other files of its series; None if it is alone.

    Raises
    ------
    pydicom.errors.InvalidDicomError
        Not a DICOM file.
    OSError, ValueError, EOFError
        Damaged before the pixel data.
    """
    memory = memory or HeaderMemory()
    source = plain_file(path, header_only=True)
    with source.open("rb") if isinstance(source, Path) else source as file:
        dataset = read_header(file)
        stated = _stated(dataset)
        recall = memory.of(dataset)
        instance = instance_of(path, dataset, recall)
        if not isinstance(source, Path):
            return replace(instance, stated=stated)
        elements = Elements(dataset, recall)
        plane = stored_plane(file, instance.transfer_syntax_uid, elements, recall)
        return replace(instance, stored=plane, stated=stated)


def _stated(dataset: Dataset) -> Dataset:
    """The elements of `STATED` that a data set holds, none of them looked at."""
    elements = ((tag, held_element(dataset, tag)) for tag in _STATED_TAGS)
    held = {tag: element for tag, element in elements if element is not None}
    encoding = dataset.original_character_set
    if dataset.original_encoding == (False, True):
        return prepared_dataset(held, (default_encoding, encoding))
    found = Dataset(held)
    implicit, little = dataset.original_encoding
    found.set_original_encoding(implicit, little, encoding)
    return found


def instance_of(path: Path, dataset: Dataset, recall: Recall | None = None) -> Instance:
    """The header of a file that was read, with or without its pixels."""
    recall = recall or HeaderMemory().of(dataset)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of what is invalid: it counts as missing
        return _instance(path, dataset, recall)


def _instance(path: Path, dataset: Dataset, recall: Recall) -> Instance:
    meta = dataset.file_meta
    digests = header_digests(dataset, recall)
    elements = Elements(dataset, recall)
    position = elements.numbers("ImagePositionPatient", 3)
    sop_instance_uid = elements.text("SOPInstanceUID")
    instance_number = elements.integer("InstanceNumber")
    acquisition_time_s = _acquisition_time_s(elements)
    in_common = recall.alike("instance", lambda: _in_common(Elements(dataset, recall)))
    invalid = dict.fromkeys((*in_common["invalid"], *elements.invalid))
    sop_class_uid = in_common["sop_class_uid"] or str(meta.get("MediaStorageSOPClassUID", ""))
    return Instance(**{
        **in_common,
        "path": path,
        "sop_class_uid": sop_class_uid,
        "sop_instance_uid": sop_instance_uid,
        "transfer_syntax_uid": str(meta.get("TransferSyntaxUID", "")),
        "position_mm": None if position is None else np.array(position),
        "instance_number": instance_number,
        "acquisition_time_s": acquisition_time_s,
        "invalid": tuple(invalid),
        "inherited_digest": digests.inherited,
        "measured_digest": digests.measured,
    })  # fmt: skip


def _in_common(elements: Elements) -> dict[str, Any]:
    """The fields of an `Instance` that most images of a series have in common."""
    elements.check(*PATIENT_AND_STUDY, "PatientAge")
    slope, intercept = elements.positive("RescaleSlope"), elements.number("RescaleIntercept")
    spacing = elements.numbers("PixelSpacing", 2)
    orientation = elements.numbers("ImageOrientationPatient", 6)
    found = {
        "sop_class_uid": elements.text("SOPClassUID"),
        "study_uid": elements.text("StudyInstanceUID"),
        "series_uid": elements.text("SeriesInstanceUID"),
        "modality": elements.text("Modality"),
        "image_type": tuple(str(part).strip().upper() for part in elements.values("ImageType")),
        "lossy": elements.text("LossyImageCompression"),
        "kvp": elements.number("KVP"),
        "slice_thickness_mm": elements.positive("SliceThickness"),
        "pixel_spacing_mm": None if spacing is None else (spacing[0], spacing[1]),
        "rows": elements.integer("Rows"),
        "columns": elements.integer("Columns"),
        "orientation": None if orientation is None else np.reshape(orientation, (2, 3)),
        "acquisition_number": elements.integer("AcquisitionNumber"),
        "frames": elements.integer("NumberOfFrames") or 1,
        "kernel": "\\".join(str(part) for part in elements.values("ConvolutionKernel")),
        "contrast_agent": _contrast(elements),
        "manufacturer": elements.text("Manufacturer"),
        "model": elements.text("ManufacturerModelName"),
        "series_description": elements.text("SeriesDescription"),
        "has_rescale": bool(slope) and intercept is not None,
        "sex": elements.text("PatientSex"),
        "age_years": _age_years(elements),
        "patient_position": elements.text("PatientPosition").upper(),
        "frame_of_reference_uid": elements.text("FrameOfReferenceUID"),
        "referenced_series_uids": _referenced_series(elements),
        "gantry_tilt_deg": elements.number("GantryDetectorTilt"),
        "patient_id": elements.text("PatientID"),
        "spectral": spectral_sign(elements),
        "multienergy": is_multienergy(elements),
    }
    return {**found, "invalid": elements.invalid}


def sender_of(path: Path) -> str:
    """Calling AE title of who sent a file: the node wrote it into its file meta information.

    Returns
    -------
    str
        Source Application Entity Title (0002,0016); empty if there is none or no such file.
    """
    try:
        meta = read_file_meta_info(path)
    except Exception:  # of a user's file anything may be wrong
        return ""
    return str(meta.get("SourceApplicationEntityTitle") or "").strip()


def _referenced_series(elements: Elements) -> tuple[str, ...]:
    items = elements.items("ReferencedSeriesSequence")
    found = [Elements(item).text("SeriesInstanceUID") for item in items]
    return tuple(uid for uid in found if uid)


def scan_folder(paths: Iterable[Path]) -> tuple[list[Instance], list[UnreadableFile]]:
    """Read the headers of many files; an unreadable file does not stop the others."""
    instances: list[Instance] = []
    unreadable: list[UnreadableFile] = []
    memory = HeaderMemory()
    for path in sorted(paths):
        if path.name.upper() == "DICOMDIR":
            continue
        try:
            instance = read_instance(path, memory)
        except InvalidDicomError:
            unreadable.append(UnreadableFile(path, _other_format(path)))
        except FileNotFoundError:  # such as one that is being replaced
            unreadable.append(UnreadableFile(path, "gone before it was read"))
        except InflatesTooFar:
            unreadable.append(UnreadableFile(path, "inflates to more than any image"))
        except Exception as error:  # the parsers' ways to fail on hostile input are open-ended
            unreadable.append(UnreadableFile(path, f"damaged header ({type(error).__name__})"))
        else:
            if instance.sop_instance_uid or instance.rows:
                instances.append(instance)
            else:
                unreadable.append(UnreadableFile(path, "no image and no UID, truncated or damaged"))
    return instances, unreadable


def _other_format(path: Path) -> str:
    """What a file is that is not DICOM, with what to do where it could have been meant."""
    try:
        with path.open("rb") as file:
            start = file.read(352)
    except OSError:
        return "not a DICOM file"
    name = path.name.lower()
    if start[344:347] in (b"n+1", b"ni1") or name.endswith((".nii", ".nii.gz")):
        return (
            "NIfTI, which has no patient, tube voltage or kernel: give the DICOM series itself; "
            "a label map of it goes with --segmentation"
        )
    if start[:4] == b"NRRD" or name.endswith((".nrrd", ".nhdr", ".mha", ".mhd")):
        return "a research volume (NRRD or MetaImage): give the DICOM series itself"
    if start[:4] == b"PK\x03\x04" or start[:2] == b"\x1f\x8b":
        return "a packed archive: unpack it first"
    return "not a DICOM file"


def _contrast(elements: Elements) -> str:
    """The contrast agent, or which attribute says that one was given; empty if none does."""
    agent = elements.text("ContrastBolusAgent")
    if agent.upper() in ("NONE", "NO", "N", "W/O", "WITHOUT"):
        return ""
    if agent:
        return agent
    if elements.values("ContrastBolusAgentSequence"):
        return "Contrast/Bolus Agent Sequence"
    if elements.number("ContrastBolusVolume"):
        return "Contrast/Bolus Volume"
    for keyword in ("ContrastBolusRoute", "ContrastBolusStartTime"):
        if elements.text(keyword):
            return keyword
    return ""


def _age_years(elements: Elements) -> float | None:
    """Patient's Age (0010,1010), else from birth date and study date; None if neither is known."""
    return age_years(*map(elements.text, ("PatientAge", "PatientBirthDate", "StudyDate")))


def age_years(age: str, birth: str, study: str) -> float | None:
    """The age at the study, years; None if it is not known.

    Parameters
    ----------
    age
        Patient's Age, as "065Y".
    birth, study
        Patient's Birth Date and Study Date, as YYYYMMDD; looked at if ``age`` is no age.
    """
    per_year = {"Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}
    if len(age) == 4 and age[:3].isdecimal() and age.isascii() and age[3] in per_year:
        return int(age[:3]) / per_year[age[3]]
    dates = birth + study
    if len(birth) == 8 and len(study) == 8 and dates.isdecimal() and dates.isascii():
        years = int(study[:4]) - int(birth[:4]) - (study[4:] < birth[4:])
        return float(years) if 0 <= years <= 120 else None
    return None


def _acquisition_time_s(elements: Elements) -> float | None:
    """Acquisition Time, or the time in Acquisition DateTime, in seconds since midnight."""
    time = elements.text("AcquisitionTime") or elements.text("AcquisitionDateTime")[8:]
    clock = time[:6]
    if len(clock) != 6 or not (clock.isdecimal() and clock.isascii()):
        return None
    fraction = time[6:13]
    known = fraction[:1] == "." and fraction[1:].isdecimal() and fraction.isascii()
    seconds = int(clock[:2]) * 3600 + int(clock[2:4]) * 60 + int(clock[4:6])
    return seconds + (float(fraction) if known else 0.0)


_STATED_TAGS = tuple(same_tag(int(Tag(of))) for of in (ENCODING_TAG, *STATED))
