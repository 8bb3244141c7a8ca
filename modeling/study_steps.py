"""All steps of a study that modeling offers, gathered from its rooms, in their order."""

from modeling.evaluation.evaluation_step import EVALUATION_STEP
from modeling.interpretation.steps import interpretation_steps
from modeling.pair_trees import PairCore
from modeling.stacking.steps import STACKING_STEPS
from modeling.statistics.steps import STATISTICS_STEPS
from modeling.study.cohort_step import COHORT_STEP
from modeling.study.step import StudyStep

__all__ = ["modeling_steps"]


def modeling_steps(core: PairCore = PairCore.LIGHTGBM) -> tuple[StudyStep, ...]:
    """Give the steps in the order in which they run; each stands after those that it needs.

    Parameters
    ----------
    core
        The library that grows the trees of the pair models which the SHAP step explains.
    """
    return (
        COHORT_STEP,
        *STATISTICS_STEPS,
        *STACKING_STEPS,
        EVALUATION_STEP,
        *interpretation_steps(core),
    )
