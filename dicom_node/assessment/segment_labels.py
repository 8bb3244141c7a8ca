"""From a DICOM SEG's segments to the numbers of the label maps, and whether they are plausible."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from dicom_node.assessment.segment_codes import Segment, Structure
from roi_extraction.errors import InvalidSegmentation
from roi_extraction.labels.canal import canal_line_mm
from roi_extraction.labels.label_map import MUSCLE_NUMBERS
from roi_extraction.sites import Muscle, Side
from roi_extraction.volume import CtVolume

__all__ = ["SegmentLabels", "check_plausible", "segment_labels"]

BONE_NUMBERS = {
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
"""Structures that are one muscle of the sites; erector spinae only beside transversospinalis."""

LabelArray = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class SegmentLabels:
    """The content of a SEG on the grid of a series.

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


def segment_labels(
    indices: npt.NDArray[Any], segments: Sequence[Segment], volume: CtVolume
) -> SegmentLabels:
    """Turn the positions of segments into the numbers of the label maps.

    Parameters
    ----------
    indices
        Integer, shape of the volume: 1-based position in ``segments``, 0 for none.
    segments
        The segments that are used.
    volume
        The series' volume; a muscle drawn on both sides is parted at its vertebral canal.
    """
    bones = np.zeros(len(segments) + 1, dtype=np.uint8)
    for k, segment in enumerate(segments, 1):
        bones[k] = BONE_NUMBERS.get(segment.structure, 0)
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


def check_plausible(found: SegmentLabels, volume: CtVolume) -> None:
    """Check that levels follow each other from feet to head and that left lies left of right.

    Raises
    ------
    InvalidSegmentation
        ``segmentation.levels_out_of_order`` or ``segmentation.sides_swapped``.
    """
    heights = []
    for structure, number in BONE_NUMBERS.items():
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
