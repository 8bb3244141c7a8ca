"""The result of an analysis: reported, or refused with a code and a message."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dicom_node.reporting.report_history import KeptReport

__all__ = ["Outcome"]


@dataclass(frozen=True)
class Outcome:
    """The result of an analysis: reported, or refused with a code and a message.

    Parameters
    ----------
    reported
        Whether there is a Structured Report.
    study_uid, series_uid
        Of the series that was reported or refused; empty where it is of no one series.
    code, message
        Why the series was refused; None if it was reported.
    warnings
        Codes of the warnings.
    stage
        Letter of the stage; None if the series was not staged.
    timings_s
        Wall-clock time of each step, s; empty if nothing was assessed.
    identity
        Of the report, the same whenever the same slices meet the same model; None if refused.
    folder
        Name of the folder that holds the report: an earlier one if it was made before.
    sha256
        Of the document that was checked and may be sent; None if refused.
    others
        Series of the study that could have been assessed too.
    objects
        SHA-256 of each further object that was checked and may be sent, by the name of its file;
        of a refusal those of its page.
    unmade
        Why an object could not be made, by its kind.
    displaced
        Earlier reports on the same study or images that stand under another patient or study.
    """

    reported: bool
    study_uid: str
    series_uid: str
    code: str | None
    message: str | None
    warnings: tuple[str, ...]
    stage: str | None
    timings_s: Mapping[str, float]
    identity: str | None = None
    folder: str = ""
    sha256: str | None = None
    others: tuple[str, ...] = ()
    objects: Mapping[str, str] = field(default_factory=dict)
    unmade: Mapping[str, str] = field(default_factory=dict)
    displaced: tuple[KeptReport, ...] = ()
