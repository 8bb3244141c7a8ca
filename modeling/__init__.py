"""From the published cohort to a model, and from a patient's features to a stage."""

from modeling.bundle.bundle import Bundle, FittedParameters, load_bundle, save_bundle
from modeling.cohort import (
    COHORT_COLUMNS,
    SITE_NAMES,
    Sex,
    Stage,
    cohort_findings,
    cohort_sha256,
    read_cohort,
    without_duplicates,
)
from modeling.errors import (
    BundleError,
    BundleIncompatible,
    BundleNotFound,
    BundleTampered,
    BundleUntrusted,
    CohortError,
    CohortFormat,
    CohortLayout,
    CohortValue,
    InvalidFeatures,
    ModelingError,
    UnknownParameter,
)
from modeling.recipes.stage_forest import StageForest
from modeling.staging import Contribution, StagePrediction, Stager, explain, stage
from modeling.training import train, train_bundle

__all__ = [
    "COHORT_COLUMNS",
    "SITE_NAMES",
    "Bundle",
    "BundleError",
    "BundleIncompatible",
    "BundleNotFound",
    "BundleTampered",
    "BundleUntrusted",
    "CohortError",
    "CohortFormat",
    "CohortLayout",
    "CohortValue",
    "Contribution",
    "FittedParameters",
    "InvalidFeatures",
    "ModelingError",
    "Sex",
    "Stage",
    "StageForest",
    "StagePrediction",
    "Stager",
    "UnknownParameter",
    "cohort_findings",
    "cohort_sha256",
    "explain",
    "load_bundle",
    "read_cohort",
    "save_bundle",
    "stage",
    "train",
    "train_bundle",
    "without_duplicates",
]
