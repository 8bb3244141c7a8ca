"""How a study and each of its steps ended."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

__all__ = ["StepOutcome", "StepStatus", "StudyOutcome"]


class StepStatus(StrEnum):
    """How a step ended."""

    DONE = "done"
    KEPT = "kept"
    FAILED = "failed"
    BLOCKED = "blocked"
    SKIPPED = "skipped"
    NOT_RUN = "not run"

    @property
    def has_results(self) -> bool:
        """Whether its folder holds results of this cohort, seed and software."""
        return self in (StepStatus.DONE, StepStatus.KEPT)

    @property
    def is_failure(self) -> bool:
        """Whether it was asked for, could be done, and has no results."""
        return self in (StepStatus.FAILED, StepStatus.BLOCKED)


@dataclass(frozen=True)
class StepOutcome:
    """How one step ended.

    Parameters
    ----------
    name, title, folder
        The step and its folder's name.
    status
        `StepStatus`.
    seconds
        How long it took when it was run; None without results.
    reason
        Why it has no results; None if it has.
    """

    name: str
    title: str
    folder: str
    status: StepStatus
    seconds: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class StudyOutcome:
    """How a study ended: its steps in order, and its report."""

    steps: tuple[StepOutcome, ...]
    report: Path

    @property
    def failed(self) -> tuple[StepOutcome, ...]:
        """The steps that were asked for, could be done, and have no results."""
        return tuple(step for step in self.steps if step.status.is_failure)

    @property
    def skipped(self) -> tuple[StepOutcome, ...]:
        """The steps for which this cohort has too little."""
        return tuple(step for step in self.steps if step.status is StepStatus.SKIPPED)
