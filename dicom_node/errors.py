"""Errors of the DICOM node.

NodeError
├── CodedError
│   ├── SeriesRefused      the series is not suitable; reported, never retried
│   ├── ReportInvalid      a report that must not be sent
│   ├── ReadingRefused     a reader's word that cannot be carried out; nothing was changed
│   └── WorkFailed         work that ended for good, listed until it is retried
├── SettingsInvalid        settings that cannot be used
├── ScreeningInvalid       a screening that cannot be made or used as asked
└── OperationalError       a disk, peer or process fault; retried with a limit
    ├── AssessmentFailed   the assessment's process died, ran out of time or of memory
    ├── DiskFault          the disk is full or fails
    ├── DeliveryFailed     a destination did not take an object
    ├── QueryFailed        a PACS did not answer a query
    └── IdentityUnclear    a PACS does not say clearly whose study it is
"""

__all__ = [
    "OUTDATED_READING",
    "OUTDATED_TEXT",
    "AssessmentFailed",
    "CodedError",
    "DeliveryFailed",
    "DiskFault",
    "IdentityUnclear",
    "NodeError",
    "OperationalError",
    "QueryFailed",
    "ReadingRefused",
    "ReportInvalid",
    "ScreeningInvalid",
    "SeriesRefused",
    "SettingsInvalid",
    "WorkFailed",
]


class NodeError(Exception):
    """Root of all errors of this package; ``code`` is stable."""

    code = "node.error"


class CodedError(NodeError):
    """An error whose code is an argument.

    Parameters
    ----------
    code
        Stable name of the reason.
    message
        What was found.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> "tuple[type[CodedError], tuple[str, str]]":
        """Travel between processes with both arguments."""
        return type(self), (self.code, str(self))


class SeriesRefused(CodedError):
    """A series that cannot be assessed: ``code`` names the rule, the message what was found."""


OUTDATED_READING = "reading.outdated"
OUTDATED_TEXT = "the report was superseded or withdrawn meanwhile: read the newer one"
"""What became of a reader's word on a report that does not stand any more."""


class ReadingRefused(CodedError):
    """A reader's word that cannot be carried out; nothing was changed."""


class SettingsInvalid(NodeError):
    """Settings that are missing, malformed or contradict each other."""

    code = "node.settings_invalid"


class ScreeningInvalid(NodeError):
    """A screening that cannot be made or used as asked."""

    code = "screening.invalid"


class OperationalError(NodeError):
    """A fault of a disk, a peer or a process, which may pass."""

    code = "node.operational"


class AssessmentFailed(OperationalError):
    """The process that assesses a series died or was stopped at its limits."""

    code = "node.assessment_failed"


class DiskFault(OperationalError):
    """A disk that did not take a file: full, over quota, read-only or broken."""

    code = "node.disk"


class DeliveryFailed(OperationalError):
    """A destination could not be reached or did not accept an object."""

    code = "node.delivery_failed"


class QueryFailed(OperationalError):
    """A PACS that is asked by C-FIND did not answer."""

    code = "node.query_failed"


class IdentityUnclear(OperationalError):
    """A PACS answered, but not with one patient who can be compared.

    Parameters
    ----------
    code
        Stable name of the reason.
    message
        What was found.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class WorkFailed(CodedError):
    """Work that ended for good: ``code`` and message are listed until it is retried."""


class ReportInvalid(CodedError):
    """A report failed the checks that it must pass before it is sent; ``code`` names the first."""

    code = "report.invalid"
