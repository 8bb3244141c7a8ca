"""The header of one received instance, read before any pixel is decoded."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info

from dicom_node.series.content import content_digests
from dicom_node.series.inflation import plain_file

__all__ = [
    "SEGMENTATION_STORAGE",
    "Instance",
    "UnreadableFile",
    "instance_of",
    "read_instance",
    "referenced_series",
    "scan_folder",
    "sender_of",
]

SEGMENTATION_STORAGE = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""Segmentation Storage and Label Map Segmentation Storage (PS3.4, table B.5-1)."""


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
        Of its elements, as `content.ContentDigests` has them.
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


@dataclass(frozen=True)
class UnreadableFile:
    """A file that cannot be read as a DICOM instance, and the reason."""

    path: Path
    reason: str


def read_instance(path: Path) -> Instance:
    """Read one file's header.

    Raises
    ------
    pydicom.errors.InvalidDicomError
        Not a DICOM file.
    OSError, ValueError, EOFError
        Damaged before the pixel data.
    """
    return instance_of(
        path, pydicom.dcmread(plain_file(path, header_only=True), stop_before_pixels=True)
    )


def instance_of(path: Path, dataset: FileDataset) -> Instance:
    """The header of a file that was read, with or without its pixels."""
    meta = dataset.file_meta
    digests = content_digests(dataset)
    spacing = _floats(dataset, "PixelSpacing", 2)
    orientation = _floats(dataset, "ImageOrientationPatient", 6)
    position = _floats(dataset, "ImagePositionPatient", 3)
    return Instance(
        path=path,
        sop_class_uid=_text(dataset, "SOPClassUID") or str(meta.get("MediaStorageSOPClassUID", "")),
        sop_instance_uid=_text(dataset, "SOPInstanceUID"),
        study_uid=_text(dataset, "StudyInstanceUID"),
        series_uid=_text(dataset, "SeriesInstanceUID"),
        modality=_text(dataset, "Modality"),
        image_type=tuple(str(part).strip().upper() for part in _values(dataset, "ImageType")),
        transfer_syntax_uid=str(meta.get("TransferSyntaxUID", "")),
        lossy=_text(dataset, "LossyImageCompression"),
        kvp=_number(dataset, "KVP"),
        slice_thickness_mm=_number(dataset, "SliceThickness"),
        pixel_spacing_mm=None if spacing is None else (spacing[0], spacing[1]),
        rows=_integer(dataset, "Rows"),
        columns=_integer(dataset, "Columns"),
        orientation=None if orientation is None else np.reshape(orientation, (2, 3)),
        position_mm=None if position is None else np.array(position),
        instance_number=_integer(dataset, "InstanceNumber"),
        acquisition_number=_integer(dataset, "AcquisitionNumber"),
        frames=_integer(dataset, "NumberOfFrames") or 1,
        kernel="\\".join(str(part) for part in _values(dataset, "ConvolutionKernel")),
        contrast_agent=_contrast(dataset),
        manufacturer=_text(dataset, "Manufacturer"),
        model=_text(dataset, "ManufacturerModelName"),
        series_description=_text(dataset, "SeriesDescription"),
        has_rescale="RescaleSlope" in dataset and "RescaleIntercept" in dataset,
        sex=_text(dataset, "PatientSex").upper(),
        age_years=_age_years(dataset),
        patient_position=_text(dataset, "PatientPosition").upper(),
        frame_of_reference_uid=_text(dataset, "FrameOfReferenceUID"),
        referenced_series_uids=referenced_series(dataset),
        gantry_tilt_deg=_number(dataset, "GantryDetectorTilt"),
        inherited_digest=digests.inherited,
        measured_digest=digests.measured,
    )


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


def referenced_series(dataset: Dataset) -> tuple[str, ...]:
    """Series Instance UIDs that an object, such as a segmentation, references."""
    found = [
        _text(item, "SeriesInstanceUID") for item in _items(dataset, "ReferencedSeriesSequence")
    ]
    return tuple(uid for uid in found if uid)


def scan_folder(paths: Iterable[Path]) -> tuple[list[Instance], list[UnreadableFile]]:
    """Read the headers of many files; an unreadable file does not stop the others."""
    instances: list[Instance] = []
    unreadable: list[UnreadableFile] = []
    for path in sorted(paths):
        if path.name.upper() == "DICOMDIR":
            continue
        try:
            instance = read_instance(path)
        except InvalidDicomError:
            unreadable.append(UnreadableFile(path, "not a DICOM file"))
        except Exception as error:  # the parsers' ways to fail on hostile input are open-ended
            unreadable.append(UnreadableFile(path, f"damaged header ({type(error).__name__})"))
        else:
            if instance.sop_instance_uid or instance.rows:
                instances.append(instance)
            else:
                unreadable.append(UnreadableFile(path, "no image and no UID, truncated or damaged"))
    return instances, unreadable


def _items(dataset: Dataset, keyword: str) -> Sequence[Dataset]:
    value = dataset.get(keyword)
    return tuple(value) if isinstance(value, pydicom.Sequence) else ()


def _values(dataset: Dataset, keyword: str) -> Sequence[object]:
    value = dataset.get(keyword)
    if value is None or value == "":
        return ()
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return (value,)
    return tuple(value)


def _text(dataset: Dataset, keyword: str) -> str:
    return "\\".join(str(part) for part in _values(dataset, keyword)).strip()


def _number(dataset: Dataset, keyword: str) -> float | None:
    numbers = _floats(dataset, keyword, 1)
    return None if numbers is None else numbers[0]


def _integer(dataset: Dataset, keyword: str) -> int | None:
    number = _number(dataset, keyword)
    return None if number is None else int(number)


def _floats(dataset: Dataset, keyword: str, count: int) -> list[float] | None:
    try:
        numbers = [float(str(part)) for part in _values(dataset, keyword)]
    except ValueError:
        return None
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        return None
    return numbers


def _contrast(dataset: Dataset) -> str:
    """The contrast agent, or which attribute says that one was given; empty if none does."""
    agent = _text(dataset, "ContrastBolusAgent")
    if agent.upper() in ("NONE", "NO", "N", "W/O", "WITHOUT"):
        return ""
    if agent:
        return agent
    if dataset.get("ContrastBolusAgentSequence"):
        return "Contrast/Bolus Agent Sequence"
    if _number(dataset, "ContrastBolusVolume"):
        return "Contrast/Bolus Volume"
    for keyword in ("ContrastBolusRoute", "ContrastBolusStartTime"):
        if _text(dataset, keyword):
            return keyword
    return ""


def _age_years(dataset: Dataset) -> float | None:
    """Patient's Age (0010,1010), else from birth date and study date; None if neither is known."""
    text = _text(dataset, "PatientAge")
    per_year = {"Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}
    if len(text) == 4 and text[:3].isdigit() and text[3] in per_year:
        return int(text[:3]) / per_year[text[3]]
    birth, study = _text(dataset, "PatientBirthDate"), _text(dataset, "StudyDate")
    if len(birth) == 8 and len(study) == 8 and birth.isdigit() and study.isdigit():
        years = int(study[:4]) - int(birth[:4]) - (study[4:] < birth[4:])
        return float(years) if 0 <= years <= 120 else None
    return None
