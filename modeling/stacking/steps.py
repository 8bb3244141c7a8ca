"""The steps of this package, in their order."""

from modeling.stacking.elimination_step import ELIMINATION_STEP
from modeling.stacking.stacking_step import STACKING_STEP

__all__ = ["STACKING_STEPS"]

STACKING_STEPS = (ELIMINATION_STEP, STACKING_STEP)
