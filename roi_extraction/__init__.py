"""From a lumbar CT volume to 36 named Hounsfield features."""

from roi_extraction.anatomy import (
    Anatomy,
    Finding,
    Landmark,
    LevelNaming,
    Missing,
    MissingReason,
    NamingRoute,
    Region,
    RegionSlice,
    Segmenter,
    SegmenterIdentity,
    SpineLandmarks,
)
from roi_extraction.chain import Candidate, SegmenterChain
from roi_extraction.correction import Correction, MovedRoi
from roi_extraction.errors import (
    CorrectionInvalid,
    FieldOfViewTooSmall,
    InvalidSegmentation,
    InvalidVolume,
    LevelsAmbiguous,
    LevelsNotCovered,
    NoSegmenterServed,
    RoiError,
    SegmenterUnavailable,
    SpineNotFound,
)
from roi_extraction.extraction import extract
from roi_extraction.features import FEATURE_SCHEMA_VERSION, FeatureVector, Roi, SiteMeasurement
from roi_extraction.labels.files import load_label_map, resample_labels
from roi_extraction.labels.label_map import MUSCLE_NUMBERS, LabelMapSegmenter
from roi_extraction.measurement import measure
from roi_extraction.picture import render_rois
from roi_extraction.placement import EllipseRoi, place
from roi_extraction.sites import SITES, SITES_BY_NAME, DiscLevel, Level, Muscle, Side, Site
from roi_extraction.volume import EFFECTIVE_SLICE_MM, CtVolume

__all__ = [
    "EFFECTIVE_SLICE_MM",
    "FEATURE_SCHEMA_VERSION",
    "MUSCLE_NUMBERS",
    "SITES",
    "SITES_BY_NAME",
    "Anatomy",
    "Candidate",
    "Correction",
    "CorrectionInvalid",
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
    "LevelNaming",
    "LevelsAmbiguous",
    "LevelsNotCovered",
    "Missing",
    "MissingReason",
    "MovedRoi",
    "Muscle",
    "NamingRoute",
    "NoSegmenterServed",
    "Region",
    "RegionSlice",
    "Roi",
    "RoiError",
    "Segmenter",
    "SegmenterChain",
    "SegmenterIdentity",
    "SegmenterUnavailable",
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
    "resample_labels",
]
