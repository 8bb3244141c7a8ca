"""From a lumbar CT volume to 36 named Hounsfield features."""

from roi_extraction.anatomy import (
    Anatomy,
    Finding,
    Landmark,
    Missing,
    MissingReason,
    Region,
    RegionSlice,
    Segmenter,
    SegmenterIdentity,
    SpineLandmarks,
)
from roi_extraction.errors import (
    FieldOfViewTooSmall,
    InvalidSegmentation,
    InvalidVolume,
    LevelsAmbiguous,
    LevelsNotCovered,
    RoiError,
    SpineNotFound,
)
from roi_extraction.extraction import extract
from roi_extraction.features import FEATURE_SCHEMA_VERSION, FeatureVector, Roi, SiteMeasurement
from roi_extraction.label_map import LabelMapSegmenter, load_label_map
from roi_extraction.measurement import measure
from roi_extraction.picture import render_rois
from roi_extraction.placement import EllipseRoi, place
from roi_extraction.sites import SITES, SITES_BY_NAME, DiscLevel, Level, Muscle, Side, Site
from roi_extraction.volume import EFFECTIVE_SLICE_MM, CtVolume

__all__ = [
    "EFFECTIVE_SLICE_MM",
    "FEATURE_SCHEMA_VERSION",
    "SITES",
    "SITES_BY_NAME",
    "Anatomy",
    "CtVolume",
    "DiscLevel",
    "EllipseRoi",
    "FeatureVector",
    "FieldOfViewTooSmall",
    "Finding",
    "InvalidSegmentation",
    "InvalidVolume",
    "LabelMapSegmenter",
    "Landmark",
    "Level",
    "LevelsAmbiguous",
    "LevelsNotCovered",
    "Missing",
    "MissingReason",
    "Muscle",
    "Region",
    "RegionSlice",
    "Roi",
    "RoiError",
    "Segmenter",
    "SegmenterIdentity",
    "Side",
    "Site",
    "SiteMeasurement",
    "SpineLandmarks",
    "SpineNotFound",
    "extract",
    "load_label_map",
    "measure",
    "place",
    "render_rois",
]
