"""From the published cohort to a model, and from a patient's features to a stage.

What trains, evaluates and studies is imported from its own module or sub-package: it needs
libraries that take seconds to import, and that nothing which only stages should wait for.
"""

from modeling.bundle.bundle import Bundle, load_bundle, save_bundle
from modeling.bundle.fitted import FittedParameters
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
from modeling.staging import Contribution, StagePrediction, Stager, explain, stage

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
    "without_duplicates",
]
