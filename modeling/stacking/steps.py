"""The steps of stacking, in their order."""

from modeling.stacking.elimination_step import ELIMINATION_STEP
from modeling.stacking.stacking_step import STACKING_STEP
from modeling.study.step import StudyStep

__all__ = ["STACKING_STEPS"]

STACKING_STEPS: tuple[StudyStep, ...] = (ELIMINATION_STEP, STACKING_STEP)
"""In the order in which they run."""
