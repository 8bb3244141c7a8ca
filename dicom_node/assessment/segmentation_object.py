"""DICOM SEG objects as a segmenter: checked against the series, brought to its grid."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import numpy.typing as npt
import pydicom

from dicom_node.assessment.segment_codes import Segment, Structure, describe_segment
from dicom_node.series.selection import EligibleSeries
from roi_extraction.anatomy import Anatomy, SegmenterIdentity
from roi_extraction.errors import InvalidSegmentation
from roi_extraction.labels.canal import canal_line_mm
from roi_extraction.labels.files import resample_labels
from roi_extraction.labels.label_map import MUSCLE_NUMBERS, LabelMapSegmenter
from roi_extraction.sites import Muscle, Side
from roi_extraction.volume import CtVolume

__all__ = [
    "DicomSegSegmenter",
    "SegmentLabels",
    "object_digest",
    "read_segments",
]

VERSION = "1"

NUMBERS = {
    Structure.SACRUM: 25,
    Structure.S1: 26,
    Structure.L5: 27,
    Structure.L4: 28,
    Structure.L3: 29,
    Structure.L2: 30,
    Structure.L1: 31,
    Structure.T12: 32,
    Structure.T11: 33,
    Structure.T10: 34,
}
"""Bones in the numbering of `LabelMapSegmenter`, from feet to head."""

COMPARTMENT_NUMBERS = {
    (Structure.DEEP_BACK, Side.LEFT): 86,
    (Structure.DEEP_BACK, Side.RIGHT): 87,
    (Structure.ILIOPSOAS, Side.LEFT): 88,
    (Structure.ILIOPSOAS, Side.RIGHT): 89,
}
"""Groups of muscles in the same numbering."""

SINGLE_MUSCLES = {
    Structure.TRANSVERSOSPINALIS: Muscle.TRANSVERSOSPINALIS,
    Structure.LONGISSIMUS: Muscle.LONGISSIMUS,
    Structure.ERECTOR_SPINAE: Muscle.LONGISSIMUS,
    Structure.PSOAS: Muscle.PSOAS_MAJOR,
}
"""Structures that are a site's own muscle; erector spinae only beside transversospinalis."""

LabelArray = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class SegmentLabels:
    """A SEG's content on a series' grid.

    Parameters
    ----------
    labels
        uint8, shape of the volume: bones and groups of muscles, as `LabelMapSegmenter` numbers
        them.
    muscles
        uint8, likewise: single muscles in `MUSCLE_NUMBERS`.
    """

    labels: LabelArray
    muscles: LabelArray


class DicomSegSegmenter:
    """Localises the sites from a DICOM SEG of the same series.

    Parameters
    ----------
    path
        The SEG.
    series
        The series that it must reference.
    bodies
        Integer, shape of the volume: 1 vertebral body, 2 disc, or None.
    """

    def __init__(
        self,
        path: Path,
        series: EligibleSeries,
        bodies: npt.NDArray[np.integer[Any]] | None = None,
    ) -> None:
        self.path = path
        self.series = series
        self.bodies = bodies

    @property
    def identity(self) -> SegmenterIdentity:
        """Name and version, as reported."""
        return SegmenterIdentity("dicom-seg", VERSION)

    def segment(self, volume: CtVolume) -> Anatomy:
        """Localise the 36 sites.

        Raises
        ------
        RoiError
            The SEG does not belong to the series or does not hold what is needed; its ``code``
            begins with ``segmentation.`` or ``roi.``.
        """
        found = read_segments(self.path, self.series, volume)
        segmenter = LabelMapSegmenter(found.labels, self.bodies, found.muscles, self.identity)
        return segmenter.segment(volume)


def object_digest(path: Path) -> str:
    """SHA-256 of a SEG's identity and pixels, the same however its header was encoded."""
    try:
        dataset = pydicom.dcmread(path, specific_tags=["SOPInstanceUID", "PixelData"])
        parts = [str(dataset.SOPInstanceUID).encode(), bytes(dataset.PixelData)]
    except Exception:  # damaged: its bytes are its identity
        parts = [path.read_bytes()]
    return hashlib.sha256(b"\n".join(parts)).hexdigest()


def read_segments(path: Path, series: EligibleSeries, volume: CtVolume) -> SegmentLabels:
    """Read the segments that can be used and bring them to the series' grid.

    Parameters
    ----------
    path
        A DICOM SEG, binary or label map.
    series
        The series that it must reference.
    volume
        The series' volume.

    Raises
    ------
    InvalidSegmentation
        With a code of its own for each reason.
    """
    try:
        source = highdicom.seg.segread(path)
    except Exception as error:  # parsers fail in open-ended ways on foreign objects
        raise InvalidSegmentation(
            f"the DICOM SEG cannot be read ({type(error).__name__})", "segmentation.unreadable"
        ) from error
    _check_reference(source, series)
    if str(source.SegmentationType) == "FRACTIONAL":
        raise InvalidSegmentation(
            "the SEG is of type FRACTIONAL; binary segments or a label map are needed",
            "segmentation.fractional",
        )
    segments = [
        segment
        for item in source.SegmentSequence
        if int(item.SegmentNumber) != 0 and (segment := describe_segment(item)) is not None
    ]
    _check_segments(
        segments, [str(item.get("SegmentLabel", "")) for item in source.SegmentSequence]
    )
    numbers = [segment.number for segment in segments]
    try:
        stack = source.get_volume(
            segment_numbers=numbers, combine_segments=True, relabel=True, dtype=np.uint8
        )
    except Exception as error:
        if "overlap" in str(error).lower():
            raise InvalidSegmentation(
                "segments of the SEG overlap: a voxel can belong to one structure only",
                "segmentation.overlap",
            ) from error
        raise InvalidSegmentation(
            f"the SEG's frames cannot be put into a volume ({type(error).__name__})",
            "segmentation.unreadable",
        ) from error
    if not stack.array.any():
        raise InvalidSegmentation("the SEG's segments are empty", "segmentation.empty")
    affine = np.asarray(stack.affine, dtype=np.float64)
    indices = resample_labels(np.asarray(stack.array, np.uint8), affine, volume, "the SEG")
    found = _to_labels(indices, segments, volume)
    _check_plausible(found, volume)
    return found


def _check_reference(source: pydicom.Dataset, series: EligibleSeries) -> None:
    referenced = [
        str(item.SeriesInstanceUID) for item in source.get("ReferencedSeriesSequence", ())
    ]
    if series.series_uid not in referenced:
        raise InvalidSegmentation(
            "the SEG references "
            + (f"series {', '.join(referenced)}" if referenced else "no series")
            + f", not {series.series_uid}",
            "segmentation.other_series",
        )
    if str(source.StudyInstanceUID) != series.study_uid:
        raise InvalidSegmentation(
            f"the SEG is of study {source.StudyInstanceUID}, the series of {series.study_uid}",
            "segmentation.other_study",
        )
    frame = series.first.frame_of_reference_uid
    own = str(source.get("FrameOfReferenceUID", ""))
    if frame and own and own != frame:
        raise InvalidSegmentation(
            "the SEG lies in another frame of reference than the series",
            "segmentation.other_frame_of_reference",
        )


def _check_segments(segments: Sequence[Segment], labels: Sequence[str]) -> None:
    if not segments:
        names = ", ".join(repr(label) for label in labels[:8])
        raise InvalidSegmentation(
            f"the SEG holds no known structure; its {len(labels)} segments are {names}",
            "segmentation.no_known_segments",
        )
    keys = [(segment.structure, segment.side) for segment in segments]
    doubled = sorted(
        {structure.value for structure, side in keys if keys.count((structure, side)) > 1}
    )
    mixed = sorted(
        {
            structure.value
            for structure, side in keys
            if side is None
            and not structure.is_bone
            and any(other is structure and s is not None for other, s in keys)
        }
    )
    if doubled or mixed:
        raise InvalidSegmentation(
            f"more than one segment claims to be {', '.join(doubled or mixed)}",
            "segmentation.contradiction",
        )
    if sum(s.structure.is_bone for s in segments) < 2 or all(s.structure.is_bone for s in segments):
        names = ", ".join(segment.structure.value for segment in segments)
        raise InvalidSegmentation(
            f"the SEG holds {names} only; at least two lumbar vertebrae and a muscle (psoas,"
            " erector spinae) are needed",
            "segmentation.incomplete",
        )


def _to_labels(
    indices: npt.NDArray[Any], segments: Sequence[Segment], volume: CtVolume
) -> SegmentLabels:
    """Turn 1-based positions in ``segments`` into the numbers of the label maps."""
    bones = np.zeros(len(segments) + 1, dtype=np.uint8)
    for k, segment in enumerate(segments, 1):
        bones[k] = NUMBERS.get(segment.structure, 0)
    labels: LabelArray = bones[indices]
    left = _left_of_canal(volume, labels) if any(_is_both(s) for s in segments) else None
    structures = {segment.structure for segment in segments}
    fine = Structure.TRANSVERSOSPINALIS in structures
    groups = {side: np.zeros(len(segments) + 1, dtype=np.uint8) for side in Side}
    singles = {side: np.zeros(len(segments) + 1, dtype=np.uint8) for side in Side}
    for k, segment in enumerate(segments, 1):
        structure = segment.structure
        if structure is Structure.ERECTOR_SPINAE and Structure.LONGISSIMUS in structures:
            continue
        if structure is Structure.ERECTOR_SPINAE and not fine:
            structure = Structure.DEEP_BACK
        for side in Side:
            if segment.side not in (None, side):
                continue
            groups[side][k] = COMPARTMENT_NUMBERS.get((structure, side), 0)
            if structure in SINGLE_MUSCLES:
                singles[side][k] = MUSCLE_NUMBERS[side, SINGLE_MUSCLES[structure]]
    if left is None:
        # every muscle has its side: the two tables never name the same segment
        return SegmentLabels(
            labels + (groups[Side.LEFT] | groups[Side.RIGHT])[indices],
            (singles[Side.LEFT] | singles[Side.RIGHT])[indices],
        )
    return SegmentLabels(
        labels + np.where(left, groups[Side.LEFT][indices], groups[Side.RIGHT][indices]),
        np.where(left, singles[Side.LEFT][indices], singles[Side.RIGHT][indices]),
    )


def _is_both(segment: Segment) -> bool:
    return segment.side is None and not segment.structure.is_bone


def _left_of_canal(volume: CtVolume, labels: LabelArray) -> npt.NDArray[np.bool_]:
    """Which voxels lie left of the vertebral canal; bool, shape of the volume."""
    line = canal_line_mm(volume, labels)
    left = np.empty(volume.shape, dtype=bool)
    rows, columns = np.indices(volume.shape[1:])
    for k in range(volume.shape[0]):
        points = volume.to_lps(np.stack([np.full_like(rows, k), rows, columns], axis=-1))
        left[k] = points[..., 0] > np.interp(points[..., 2], line[:, 2], line[:, 0])
    return left


def _check_plausible(found: SegmentLabels, volume: CtVolume) -> None:
    """Levels must follow each other from feet to head, and left must lie left of right."""
    heights = []
    for structure, number in NUMBERS.items():
        slices = np.flatnonzero((found.labels == number).any(axis=(1, 2)))
        if slices.size:
            heights.append((structure, float(slices.mean())))
    for (lower, low), (upper, high) in pairwise(heights):
        if high <= low:
            raise InvalidSegmentation(
                f"{upper} lies below {lower} in the SEG", "segmentation.levels_out_of_order"
            )
    pairs = [(found.labels, 86, 87), (found.labels, 88, 89)]
    pairs += [(found.muscles, left, left - 3) for left in (4, 5, 6)]
    for array, left, right in pairs:
        columns = [_mean_column(array == number) for number in (left, right)]
        if columns[0] is not None and columns[1] is not None and columns[0] <= columns[1]:
            raise InvalidSegmentation(
                "a segment called left lies to the right of its partner called right",
                "segmentation.sides_swapped",
            )


def _mean_column(mask: npt.NDArray[np.bool_]) -> float | None:
    counts = mask.sum(axis=(0, 1))
    return float(counts @ np.arange(counts.size) / counts.sum()) if counts.any() else None
