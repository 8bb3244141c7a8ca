"""Choose the segmenter: the built-in one, or label maps that the user gives."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from roi_extraction import CtVolume, LabelMapSegmenter, Segmenter, load_label_map
from roi_extraction.builtin import BuiltinSegmenter

__all__ = ["segmentation_variant", "segmenter_factory"]


def segmenter_factory(
    segmentation: Path | None, bodies: Path | None
) -> Callable[[CtVolume], Segmenter]:
    """Make the function that gives the segmenter for a volume.

    Parameters
    ----------
    segmentation
        NIfTI label map in TotalSegmentator's ``total`` v2 numbering, or None for `builtin`.
    bodies
        NIfTI label map of its task ``vertebrae_body``, or None.
    """
    if segmentation is None:
        return lambda _volume: BuiltinSegmenter()

    def from_labels(volume: CtVolume) -> Segmenter:
        return LabelMapSegmenter(
            load_label_map(segmentation, volume),
            None if bodies is None else load_label_map(bodies, volume),
        )

    return from_labels


def segmentation_variant(segmentation: Path | None, bodies: Path | None) -> str:
    """What the label maps add to a report's identity: a digest of their content."""
    paths = [path for path in (segmentation, bodies) if path is not None]
    return "".join(f"+{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in paths)
