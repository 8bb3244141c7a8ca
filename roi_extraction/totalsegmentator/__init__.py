"""TotalSegmentator as a segmenter: an optional extra, run in a process of its own."""

from roi_extraction.totalsegmentator.adapter import (
    TotalSegmentatorConfig,
    TotalSegmentatorSegmenter,
)
from roi_extraction.totalsegmentator.weights import DATASETS, check_weights

__all__ = ["DATASETS", "TotalSegmentatorConfig", "TotalSegmentatorSegmenter", "check_weights"]
