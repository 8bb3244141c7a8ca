"""The published analysis as steps that run one after another and can be taken up again."""

from modeling.study.outcome import StepOutcome, StepStatus, StudyOutcome
from modeling.study.runner import run_study
from modeling.study.step import Figure, StepResult, StudyInput, StudyStep, Table

__all__ = [
    "Figure",
    "StepOutcome",
    "StepResult",
    "StepStatus",
    "StudyInput",
    "StudyOutcome",
    "StudyStep",
    "Table",
    "run_study",
]
