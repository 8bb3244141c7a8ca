"""The built-in segmenter: classical, deterministic, without network weights."""

from roi_extraction.builtin.bodies import body_region
from roi_extraction.builtin.segmenter import BUILTIN_VERSION, BuiltinSegmenter
from roi_extraction.builtin.spine import find_spine

__all__ = ["BUILTIN_VERSION", "BuiltinSegmenter", "body_region", "find_spine"]
