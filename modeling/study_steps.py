"""All steps of a study that modeling offers, gathered from its rooms, in their order."""

from modeling.evaluation.evaluation_step import EVALUATION_STEP
from modeling.interpretation.steps import INTERPRETATION_STEPS
from modeling.stacking.steps import STACKING_STEPS
from modeling.statistics.steps import STATISTICS_STEPS
from modeling.study.cohort_step import COHORT_STEP
from modeling.study.step import StudyStep

__all__ = ["MODELING_STEPS"]

MODELING_STEPS: tuple[StudyStep, ...] = (
    COHORT_STEP,
    *STATISTICS_STEPS,
    *STACKING_STEPS,
    EVALUATION_STEP,
    *INTERPRETATION_STEPS,
)
"""In the order in which they run; each stands after those that it needs."""
