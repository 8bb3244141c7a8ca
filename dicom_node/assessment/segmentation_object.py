"""Use a DICOM SEG as a segmenter: check it against the series and bring it to the series' grid."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import numpy.typing as npt
import pydicom

from dicom_node.assessment.segment_codes import Segment, describe_segment
from dicom_node.assessment.segment_labels import SegmentLabels, check_plausible, segment_labels
from dicom_node.assessment.segmentation_levels import check_levels
from dicom_node.decoding.inflation import plain_file
from dicom_node.foreign_text import cleaned
from dicom_node.series.selection import EligibleSeries
from roi_extraction.anatomy import Anatomy, Segmenter, SegmenterIdentity
from roi_extraction.errors import InvalidSegmentation
from roi_extraction.labels.files import resample_labels
from roi_extraction.labels.label_map import LabelMapSegmenter
from roi_extraction.volume import CtVolume

__all__ = ["DicomSegSegmenter", "object_digest", "read_segments"]

VERSION = "1"
"""Version of this segmenter; raised when it reads a SEG differently."""


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
    reference
        The segmenter whose levels its own must be, or None: it is trusted.
    """

    def __init__(
        self,
        path: Path,
        series: EligibleSeries,
        bodies: npt.NDArray[np.integer[Any]] | None = None,
        reference: Segmenter | None = None,
    ) -> None:
        self.path = path
        self.series = series
        self.bodies = bodies
        self.reference = reference

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
        SeriesRefused
            Its levels are not those of the reference (``segmentation.levels_disagree``).
        """
        found = read_segments(self.path, self.series, volume)
        segmenter = LabelMapSegmenter(found.labels, self.bodies, found.muscles, self.identity)
        anatomy = segmenter.segment(volume)
        if self.reference is None:
            return anatomy
        findings = check_levels(anatomy, volume, self.reference)
        return replace(anatomy, findings=(*anatomy.findings, *findings))


def object_digest(path: Path) -> str:
    """SHA-256 of a SEG's identity and pixels, the same however its header was encoded."""
    try:
        dataset = pydicom.dcmread(plain_file(path), specific_tags=["SOPInstanceUID", "PixelData"])
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
        The series' volume: int16 HU, shape (slices, rows, columns).

    Raises
    ------
    InvalidSegmentation
        The SEG cannot be used; each reason has its own code.
    """
    try:
        source = highdicom.seg.segread(plain_file(path))
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
    found = segment_labels(indices, segments, volume)
    check_plausible(found, volume)
    return found


def _check_reference(source: pydicom.Dataset, series: EligibleSeries) -> None:
    referenced = [
        str(item.SeriesInstanceUID) for item in source.get("ReferencedSeriesSequence", ())
    ]
    if series.series_uid not in referenced:
        raise InvalidSegmentation(
            "the SEG references "
            + (f"series {', '.join(map(cleaned, referenced[:8]))}" if referenced else "no series")
            + f", not {series.series_uid}",
            "segmentation.other_series",
        )
    if str(source.StudyInstanceUID) != series.study_uid:
        raise InvalidSegmentation(
            f"the SEG is of study {cleaned(source.StudyInstanceUID)},"
            f" the series of {series.study_uid}",
            "segmentation.other_study",
        )
    frame = series.first.frame_of_reference_uid
    own = str(source.get("FrameOfReferenceUID", ""))
    if own != frame:
        raise InvalidSegmentation(
            "the SEG lies in another frame of reference than the series",
            "segmentation.other_frame_of_reference",
        )
    _check_patient(source, series)


def _check_patient(source: pydicom.Dataset, series: EligibleSeries) -> None:
    """Compare the patients; their values are not told."""
    images = pydicom.dcmread(
        plain_file(series.first.path, header_only=True),
        stop_before_pixels=True,
        specific_tags=["PatientID", "IssuerOfPatientID"],
    )
    issuers = {_text(dataset, "IssuerOfPatientID") for dataset in (source, images)} - {""}
    if _text(source, "PatientID") != _text(images, "PatientID") or len(issuers) > 1:
        raise InvalidSegmentation(
            "the SEG has another Patient ID or issuer of it than the images",
            "segmentation.other_patient",
        )


def _text(dataset: pydicom.Dataset, keyword: str) -> str:
    return str(dataset.get(keyword) or "").strip()


def _check_segments(segments: Sequence[Segment], labels: Sequence[str]) -> None:
    if not segments:
        names = ", ".join(cleaned(label) for label in labels[:8])
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
