"""What kind of result a scan led to: the word by which machines tell reports apart."""

from enum import StrEnum
from typing import Literal

from dicom_node.reporting.words.impression import MAX_CALLED, Evidence, lacks_regions

__all__ = ["AssessedKind", "ResultKind", "result_kind"]


class ResultKind(StrEnum):
    """What a reader can take from a report."""

    STAGED = "staged"
    """A stage is called."""
    UNDETERMINED = "undetermined"
    """The model leaves too many stages for one to be called."""
    L1_ALONE = "l1_alone"
    """L1 against its published thresholds: the scan shows too few regions for a stage."""
    MEASURED = "measured"
    """HU alone: neither a stage nor the thresholds of L1 can be given."""
    REFUSED = "refused"
    """Nothing was measured."""


AssessedKind = Literal[
    ResultKind.STAGED, ResultKind.UNDETERMINED, ResultKind.L1_ALONE, ResultKind.MEASURED
]
"""What a scan that was measured can lead to."""


def result_kind(evidence: Evidence) -> AssessedKind:
    """The kind of an assessed scan's result.

    Parameters
    ----------
    evidence
        What its impression is written from.

    Examples
    --------
    >>> result_kind(Evidence(120.0, codes=("model.too_few_vertebrae",)))
    <ResultKind.L1_ALONE: 'l1_alone'>
    """
    if evidence.stages:
        called = len(evidence.stages) <= MAX_CALLED
        return ResultKind.STAGED if called else ResultKind.UNDETERMINED
    if evidence.l1_hu is not None and evidence.at_cohort_kvp and lacks_regions(evidence):
        return ResultKind.L1_ALONE
    return ResultKind.MEASURED
