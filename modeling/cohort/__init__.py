"""The published cohort's table: obtained, read, checked, and parted into features and stages."""

from modeling.cohort.features import FEATURE_COLUMNS, features_of
from modeling.cohort.patients import PatientTable, read_patients
from modeling.cohort.reading import (
    AGE_COLUMN,
    COHORT_COLUMNS,
    SEX_COLUMN,
    SITE_NAMES,
    STAGE_COLUMN,
    Sex,
    Stage,
    cohort_findings,
    cohort_sha256,
    read_cohort,
    without_duplicates,
)
from modeling.cohort.table import read_table

__all__ = [
    "AGE_COLUMN",
    "COHORT_COLUMNS",
    "FEATURE_COLUMNS",
    "SEX_COLUMN",
    "SITE_NAMES",
    "STAGE_COLUMN",
    "PatientTable",
    "Sex",
    "Stage",
    "cohort_findings",
    "cohort_sha256",
    "features_of",
    "read_cohort",
    "read_patients",
    "read_table",
    "without_duplicates",
]
