"""Domain errors of modeling.

ModelingError
├── CohortError
│   ├── CohortLayout         a table whose columns are not the published ones, in their order
│   └── CohortValue          a cell that cannot be what its column holds
├── InvalidFeatures          a feature array of the wrong shape, type or column order
└── BundleError
    ├── BundleNotFound       no manifest, or a file that the manifest lists is absent
    ├── BundleTampered       a file or the manifest does not have the digest it should
    ├── BundleIncompatible   made for another feature schema, bundle format or site order
    └── BundleUntrusted      the forest file asks for types that a forest does not need
"""

from collections.abc import Sequence

__all__ = [
    "BundleError",
    "BundleIncompatible",
    "BundleNotFound",
    "BundleTampered",
    "BundleUntrusted",
    "CohortError",
    "CohortLayout",
    "CohortValue",
    "InvalidFeatures",
    "ModelingError",
]


class ModelingError(Exception):
    """Root of all errors of this package; ``code`` is stable, the message is for the reader."""

    code = "model.error"


class CohortError(ModelingError):
    """A cohort table that cannot be used."""

    code = "model.cohort"


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
    """A cell holds what its column cannot; ``row`` counts data rows from 1."""

    code = "model.cohort_value"

    def __init__(self, row: int, column: str, found: str, expected: str) -> None:
        super().__init__(f"data row {row}, column {column!r}: expected {expected}, found {found!r}")
        self.row = row
        self.column = column
        self.found = found


class InvalidFeatures(ModelingError):
    """Features of the wrong shape, type or order."""

    code = "model.invalid_features"


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
