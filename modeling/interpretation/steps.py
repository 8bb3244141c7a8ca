"""The steps of interpretation, in their order."""

from modeling.interpretation.four_class_step import FOUR_CLASS_STEP
from modeling.interpretation.shap_step import SHAP_STEP
from modeling.study.step import StudyStep

__all__ = ["INTERPRETATION_STEPS"]

INTERPRETATION_STEPS: tuple[StudyStep, ...] = (FOUR_CLASS_STEP, SHAP_STEP)
"""In the order in which they run."""
