"""The frames of a Segmentation: its bits, and the functional groups that say what each shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from dicom_node.reporting.content_items import data_set
from dicom_node.series.instances import Instance

__all__ = ["Frame", "add_frames"]


@dataclass(frozen=True, eq=False)
class Frame:
    """One segment in one image.

    Parameters
    ----------
    segment
        Its number.
    image
        What the segment was drawn on.
    pixels
        intp, shape (n,): which pixels belong to it, counted along the rows.
    """

    segment: int
    image: Instance
    pixels: npt.NDArray[np.intp]


def add_frames(
    dataset: Dataset, frames: Sequence[Frame], header: Dataset, dimensions_uid: str
) -> None:
    """Add frames, their dimensions and their functional groups (PS3.3, C.7.6.16 and C.8.20).

    Parameters
    ----------
    dataset
        The Segmentation.
    frames
        In the order of their segments, and within one from head to feet.
    header
        Of the first image (`structured_report.evidence_header`).
    dimensions_uid
        Names the dimensions.
    """
    dataset.Rows, dataset.Columns = header.Rows, header.Columns
    dataset.NumberOfFrames = len(frames)
    dataset.SamplesPerPixel = dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = dataset.PixelRepresentation = 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = _bits(frames, header.Rows * header.Columns)
    dataset.DimensionOrganizationSequence = [data_set(DimensionOrganizationUID=dimensions_uid)]
    dataset.DimensionIndexSequence = [
        _dimension(
            "ReferencedSegmentNumber", "SegmentIdentificationSequence",
            "Referenced Segment Number", dimensions_uid,
        ),
        _dimension(
            "ImagePositionPatient", "PlanePositionSequence", "Image Position Patient",
            dimensions_uid,
        ),
    ]  # fmt: skip
    dataset.SharedFunctionalGroupsSequence = [_shared(header)]
    dataset.PerFrameFunctionalGroupsSequence = _per_frame(frames)


def _bits(frames: Sequence[Frame], pixels: int) -> bytes:
    """All frames as one row of bits, the first pixel the lowest bit, of even length in bytes."""
    size = -(-len(frames) * pixels // 8)
    packed = np.zeros(size + size % 2, np.uint8)
    for number, frame in enumerate(frames):
        place, bit = np.divmod(frame.pixels + number * pixels, 8)
        np.bitwise_or.at(packed, place, np.left_shift(1, bit).astype(np.uint8))
    return packed.tobytes()


def _shared(header: Dataset) -> Dataset:
    measures = Dataset()
    for keyword in ("SliceThickness", "SpacingBetweenSlices", "PixelSpacing"):
        if keyword in header:
            measures[keyword] = header[keyword]
    orientation = Dataset()
    orientation["ImageOrientationPatient"] = header["ImageOrientationPatient"]
    return data_set(PixelMeasuresSequence=[measures], PlaneOrientationSequence=[orientation])


def _per_frame(frames: Sequence[Frame]) -> list[Dataset]:
    images = {frame.image.sop_instance_uid: frame.image for frame in frames}
    up = sorted(images.values(), key=_height)
    order = {image.sop_instance_uid: number for number, image in enumerate(up[::-1], start=1)}
    derivations = {uid: _derivation(image) for uid, image in images.items()}
    positions = {uid: _position(image) for uid, image in images.items()}
    segments = {f.segment: data_set(ReferencedSegmentNumber=f.segment) for f in frames}
    groups = []
    for frame in frames:
        uid = frame.image.sop_instance_uid
        index = MultiValue(int, (frame.segment, order[uid]))
        groups.append(
            data_set(
                DerivationImageSequence=[derivations[uid]],
                FrameContentSequence=[data_set(DimensionIndexValues=index)],
                PlanePositionSequence=[positions[uid]],
                SegmentIdentificationSequence=[segments[frame.segment]],
            )
        )
    return groups


def _height(image: Instance) -> float:
    """How far an image lies towards the head, mm."""
    return float("nan") if image.position_mm is None else float(image.position_mm[2])


def _derivation(image: Instance) -> Dataset:
    source = data_set(
        ReferencedSOPClassUID=image.sop_class_uid,
        ReferencedSOPInstanceUID=image.sop_instance_uid,
        SpatialLocationsPreserved="YES",
        PurposeOfReferenceCodeSequence=[_code(codes.DCM.SourceImageForImageProcessingOperation)],
    )
    derivation = _code(codes.cid7203.SegmentationImageDerivation)
    return data_set(SourceImageSequence=[source], DerivationCodeSequence=[derivation])


def _position(image: Instance) -> Dataset:
    position = Dataset()
    position["ImagePositionPatient"] = image.stated["ImagePositionPatient"]
    return position


def _dimension(keyword: str, group: str, label: str, dimensions_uid: str) -> Dataset:
    return data_set(
        DimensionOrganizationUID=dimensions_uid,
        DimensionIndexPointer=tag_for_keyword(keyword),
        FunctionalGroupPointer=tag_for_keyword(group),
        DimensionDescriptionLabel=label,
    )


@cache
def _code(code: Code) -> Dataset:
    return data_set(
        CodeValue=code.value, CodingSchemeDesignator=code.scheme_designator,
        CodeMeaning=code.meaning,
    )  # fmt: skip
