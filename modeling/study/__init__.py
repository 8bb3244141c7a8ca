"""The published analysis as steps that run one after another and can be taken up again."""

from modeling.study.step import Figure, StepResult, StudyInput, StudyStep, Table

__all__ = ["Figure", "StepResult", "StudyInput", "StudyStep", "Table"]
