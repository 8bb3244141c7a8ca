"""Domain errors of modeling.

ModelingError
├── CohortError
│   ├── CohortFormat         a file that is not a table of a known format
│   ├── CohortLayout         a table whose columns are not the published ones in their order
│   ├── CohortValue          a cell whose value its column cannot hold
│   ├── CohortDuplicate      two rows of one patient or one series
│   ├── CohortUnits          a column whose values as a whole are no HU
│   └── CohortFetchError
│       ├── PipMissing       this Python has no pip
│       ├── DownloadFailed   pip did not get the archive: no network, not on the index, too slow
│       ├── ArchiveInvalid   not the archive that holds the table, or an unsafe one
│       ├── CohortMismatch   the table does not have the published table's SHA-256
│       └── CohortExists     another file lies where the table should go
├── StudyError
│   ├── StudyFolderForeign   the folder holds something other than a study
│   ├── StudyStepUnknown     a step that does not exist
│   └── StepNotPossible      this cohort has too little for a step
├── EvaluationError
│   ├── UnknownRecipe        no recipe of that name
│   └── TooFewPatients       a stage has too few patients for the folds
├── NothingToValidate        a table without a patient who has both a stage and a prediction
├── UnknownParameter         a base model's parameter that it would ignore
├── InvalidFeatures          a feature array of the wrong shape, type or column order
│   └── StagesAbsent         a cohort without patients of some stage
└── BundleError
    ├── BundleNotFound       no manifest, or a file that the manifest lists is absent
    ├── BundleTampered       a file or the manifest does not have the digest it should
    ├── BundleIncompatible   made for another feature schema, bundle format or site order
    └── BundleUntrusted      the forest file asks for types that a forest does not need
"""

from collections.abc import Sequence

__all__ = [
    "ArchiveInvalid",
    "BundleError",
    "BundleIncompatible",
    "BundleNotFound",
    "BundleTampered",
    "BundleUntrusted",
    "CohortDuplicate",
    "CohortError",
    "CohortExists",
    "CohortFetchError",
    "CohortFormat",
    "CohortLayout",
    "CohortMismatch",
    "CohortUnits",
    "CohortValue",
    "DownloadFailed",
    "EvaluationError",
    "InvalidFeatures",
    "ModelingError",
    "NothingToValidate",
    "PipMissing",
    "StagesAbsent",
    "StepNotPossible",
    "StudyError",
    "StudyFolderForeign",
    "StudyStepUnknown",
    "TooFewPatients",
    "UnknownParameter",
    "UnknownRecipe",
]


class ModelingError(Exception):
    """Root of all errors of this package; ``code`` is stable, the message is for the reader."""

    code = "model.error"


class CohortError(ModelingError):
    """A cohort table that cannot be used."""

    code = "model.cohort"


class CohortFormat(CohortError):
    """A file that is not separated text or Parquet."""

    code = "model.cohort_format"


class CohortLayout(CohortError):
    """The columns are not the 39 published ones in their order."""

    code = "model.cohort_layout"

    def __init__(
        self, message: str, missing: Sequence[str] = (), unknown: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.missing = tuple(missing)
        self.unknown = tuple(unknown)


class CohortValue(CohortError):
    """A cell whose value its column cannot hold; ``row`` counts data rows from 1."""

    code = "model.cohort_value"

    def __init__(self, row: int, column: str, found: str, expected: str) -> None:
        super().__init__(f"data row {row}, column {column!r}: expected {expected}, found {found!r}")
        self.row = row
        self.column = column
        self.found = found


class CohortDuplicate(CohortError):
    """Two rows that name the same patient or series; ``rows`` are the data rows, from 1."""

    code = "model.cohort_duplicate"

    def __init__(self, rows: tuple[int, int], column: str, found: str, remedy: str) -> None:
        super().__init__(
            f"data rows {rows[0]} and {rows[1]}, column {column!r}: both {found!r}; {remedy}"
        )
        self.rows = rows
        self.column = column


class CohortUnits(CohortError):
    """A column whose values as a whole are no HU."""

    code = "model.cohort_units"

    def __init__(self, column: str, found: str, remedy: str) -> None:
        super().__init__(f"column {column!r}: {found}; {remedy}")
        self.column = column


class CohortFetchError(CohortError):
    """The published table could not be obtained."""

    code = "model.cohort_fetch"


class PipMissing(CohortFetchError):
    """There is no pip in this Python."""

    code = "model.cohort_fetch_pip"


class DownloadFailed(CohortFetchError):
    """The archive did not come from the package index."""

    code = "model.cohort_fetch_download"


class ArchiveInvalid(CohortFetchError):
    """The archive is damaged, unsafe, or lacks the table."""

    code = "model.cohort_fetch_archive"


class CohortMismatch(CohortFetchError):
    """The archive's table is not the published one."""

    code = "model.cohort_fetch_mismatch"


class CohortExists(CohortFetchError):
    """Another file lies where the table should go."""

    code = "model.cohort_fetch_exists"


class StudyError(ModelingError):
    """A study that cannot be run."""

    code = "model.study"


class StudyFolderForeign(StudyError):
    """The folder given for the study holds something other than a study."""

    code = "model.study_folder"


class StudyStepUnknown(StudyError):
    """A name that no step has; ``known`` are the names of all steps."""

    code = "model.study_step"

    def __init__(self, unknown: Sequence[str], known: Sequence[str]) -> None:
        super().__init__(f"no step {', '.join(unknown)}; there are {', '.join(known)}")
        self.unknown = tuple(unknown)
        self.known = tuple(known)


class StepNotPossible(StudyError):
    """A cohort that has too little for a step, such as a stage without patients."""

    code = "model.step_not_possible"


class EvaluationError(ModelingError):
    """A recipe that cannot be evaluated."""

    code = "model.evaluation"


class UnknownRecipe(EvaluationError):
    """There is no recipe of that name."""

    code = "model.unknown_recipe"

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"no recipe {name!r}; there are {', '.join(known)}")
        self.name = name
        self.known = tuple(known)


class TooFewPatients(EvaluationError):
    """A stage has too few patients for the folds."""

    code = "model.too_few_patients"

    def __init__(self, stage: str, found: int, needed: int) -> None:
        super().__init__(f"stage {stage} has {found} patients; the folds need {needed}")
        self.stage = stage
        self.found = found
        self.needed = needed


class InvalidFeatures(ModelingError):
    """Features of the wrong shape, type or order."""

    code = "model.invalid_features"


class StagesAbsent(InvalidFeatures):
    """A cohort without patients of some stage; ``stages`` are their letters."""

    code = "model.stages_absent"

    def __init__(self, stages: Sequence[str]) -> None:
        super().__init__(f"the cohort has no patient of stage {', '.join(stages)}")
        self.stages = tuple(stages)


class NothingToValidate(ModelingError):
    """No patient of the table has both a stage of the reference and one of the model."""

    code = "model.nothing_to_validate"


class UnknownParameter(ModelingError):
    """A parameter that the base model does not have, or that is given another way."""

    code = "model.unknown_parameter"

    def __init__(self, model: str, names: Sequence[str], known: Sequence[str]) -> None:
        super().__init__(
            f"{model} has no parameter {', '.join(map(repr, names))}; it has {', '.join(known)}"
        )
        self.names = tuple(names)


class BundleError(ModelingError):
    """A model bundle that cannot be used."""

    code = "model.bundle"


class BundleNotFound(BundleError):
    """The bundle's manifest, or a file that it lists, is absent."""

    code = "model.bundle_not_found"


class BundleTampered(BundleError):
    """A file does not have the digest that the manifest states."""

    code = "model.bundle_tampered"


class BundleIncompatible(BundleError):
    """The bundle was made for other features or by another format of this software."""

    code = "model.bundle_incompatible"


class BundleUntrusted(BundleError):
    """The forest's file asks to build types outside the trusted list."""

    code = "model.bundle_untrusted"

    def __init__(self, types: Sequence[str]) -> None:
        super().__init__(f"the forest's file asks for untrusted types: {', '.join(types)}")
        self.types = tuple(types)
