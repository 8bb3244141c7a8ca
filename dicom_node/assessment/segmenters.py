"""Choose the segmenters of a series: those of the settings in their order, or what a user gives."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dicom_node.assessment.segmentation_object import DicomSegSegmenter, object_digest
from dicom_node.series.instances import Instance, sender_of
from dicom_node.series.selection import EligibleSeries
from dicom_node.settings.node import DEFAULT_SEGMENTERS, NodeSettings, SegmenterName
from roi_extraction import (
    Candidate,
    CtVolume,
    Finding,
    LabelMapSegmenter,
    Segmenter,
    SegmenterChain,
    SegmenterUnavailable,
    load_label_map,
)
from roi_extraction.builtin import BuiltinSegmenter
from roi_extraction.totalsegmentator import TotalSegmentatorConfig, TotalSegmentatorSegmenter

__all__ = ["SegmenterPlan", "is_dicom"]


@dataclass(frozen=True)
class SegmenterPlan:
    """Which segmenters are tried, and in which order.

    Parameters
    ----------
    names
        The segmenters of the settings.
    totalsegmentator
        How it is run, if it is one of them.
    segmentation
        A label map (NIfTI, TotalSegmentator's ``total`` v2 numbering) or DICOM SEG that is used
        in place of all of them, or None.
    bodies
        NIfTI label map of the task ``vertebrae_body`` that goes with ``segmentation``, or None.
    sources
        Calling AE titles whose DICOM SEGs are used; None: whoever gave the files is trusted.
    """

    names: tuple[SegmenterName, ...] = DEFAULT_SEGMENTERS
    totalsegmentator: TotalSegmentatorConfig | None = None
    segmentation: Path | None = None
    bodies: Path | None = None
    sources: tuple[str, ...] | None = None

    @classmethod
    def of(cls, settings: NodeSettings) -> "SegmenterPlan":
        """The plan of a node's settings."""
        section = settings.totalsegmentator
        sources = tuple(title.strip() for title in settings.dicom_seg_sources)
        if section is None:
            return cls(settings.segmenters, sources=sources)
        values = {
            **section.model_dump(),
            "licence_number": section.licence_number.get_secret_value(),
        }
        return cls(settings.segmenters, TotalSegmentatorConfig(**values), sources=sources)

    def trusted(
        self, objects: Sequence[Instance]
    ) -> tuple[tuple[Instance, ...], tuple[Finding, ...]]:
        """The DICOM SEGs that may be used, and the warning of those from other senders.

        Who sent a file is what the node itself wrote into its file meta information when it was
        received, Source Application Entity Title (0002,0016).
        """
        if self.sources is None or self.segmentation is not None or "dicom-seg" not in self.names:
            return tuple(objects), ()
        used = tuple(item for item in objects if sender_of(item.path) in self.sources)
        others = len(objects) - len(used)
        if not others:
            return used, ()
        text = (
            f"{others} DICOM SEGs were not used: they came from senders that dicom_seg_sources"
            " does not name"
        )
        return used, (Finding("segmentation.untrusted_source", text),)

    def segmenter(self, series: EligibleSeries, objects: Sequence[Instance]) -> Segmenter:
        """The segmenter for a series.

        Parameters
        ----------
        series
            The series to assess.
        objects
            The DICOM SEGs that are of it; of several the one that arrived last and serves is used.
        """
        if self.segmentation is not None:
            return SegmenterChain([self._given(self.segmentation, series)])
        candidates: list[Candidate] = []
        for name in self.names:
            if name == "dicom-seg":
                candidates += [
                    Candidate(name, _dicom_seg(item.path, series))
                    for item in _newest_first(objects)
                ]
            elif name == "totalsegmentator":
                candidates.append(Candidate(name, self._totalsegmentator))
            else:
                candidates.append(Candidate(name, _builtin))
        if not candidates:
            candidates = [Candidate("dicom-seg", _no_segmentation)]
        return SegmenterChain(candidates)

    def variant(self, objects: Sequence[Path]) -> str:
        """The part of a report's identity that comes from this plan and the series' DICOM SEGs.

        Parameters
        ----------
        objects
            The files of the DICOM SEGs, in any order.
        """
        if self.segmentation is not None:
            digests = [
                object_digest(path) if is_dicom(path) else _digest(path)
                for path in (self.segmentation, self.bodies)
                if path is not None
            ]
            return "".join(f"+{digest}" for digest in digests)
        chain = "" if self.names == DEFAULT_SEGMENTERS else "+" + ",".join(self.names)
        if "totalsegmentator" in self.names and self.totalsegmentator is not None:
            chain += "+" + ",".join(self.totalsegmentator.tasks)
        if "dicom-seg" not in self.names:
            return chain
        return chain + "".join(f"+{digest}" for digest in sorted(map(object_digest, objects)))

    def _totalsegmentator(self, _volume: CtVolume) -> Segmenter:
        if self.totalsegmentator is None:
            raise SegmenterUnavailable(
                "TotalSegmentator has no settings", "totalsegmentator.weights_missing"
            )
        return TotalSegmentatorSegmenter(self.totalsegmentator)

    def _given(self, path: Path, series: EligibleSeries) -> Candidate:
        def make(volume: CtVolume) -> Segmenter:
            bodies = None if self.bodies is None else load_label_map(self.bodies, volume)
            if is_dicom(path):
                return DicomSegSegmenter(path, series, bodies)
            return LabelMapSegmenter(load_label_map(path, volume), bodies)

        return Candidate(path.name, make)


def is_dicom(path: Path) -> bool:
    """Whether a file begins as a DICOM file does (PS3.10, section 7.1)."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _dicom_seg(path: Path, series: EligibleSeries) -> Callable[[CtVolume], Segmenter]:
    return lambda _volume: DicomSegSegmenter(path, series, reference=BuiltinSegmenter())


def _builtin(_volume: CtVolume) -> Segmenter:
    return BuiltinSegmenter()


def _no_segmentation(_volume: CtVolume) -> Segmenter:
    raise SegmenterUnavailable("no DICOM SEG of this series was received", "segmentation.none")


def _newest_first(objects: Sequence[Instance]) -> list[Instance]:
    """By the time of their files: the dates inside are the sender's to choose."""

    def arrival(item: Instance) -> tuple[int, str]:
        return item.path.stat().st_mtime_ns, item.sop_instance_uid

    return sorted(objects, key=arrival, reverse=True)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
