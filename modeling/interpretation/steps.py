"""The steps of interpretation, in their order."""

from modeling.interpretation.four_class_step import FOUR_CLASS_STEP
from modeling.interpretation.shap_step import shap_step
from modeling.pair_trees import PairCore
from modeling.study.step import StudyStep

__all__ = ["interpretation_steps"]


def interpretation_steps(core: PairCore = PairCore.LIGHTGBM) -> tuple[StudyStep, ...]:
    """Give the steps in the order in which they run, with a core of the pair models."""
    return (FOUR_CLASS_STEP, shap_step(core))
