"""The steps of the descriptive and classical statistics, in their order."""

from modeling.statistics.characteristics_step import characteristics_step
from modeling.statistics.descriptive_steps import comparison_step, roc_step
from modeling.statistics.linear_step import linear_step
from modeling.statistics.multivariate_steps import correlation_step, projection_step
from modeling.study.step import StudyStep

__all__ = ["STATISTICS_STEPS"]

STATISTICS_STEPS: tuple[StudyStep, ...] = (
    StudyStep("characteristics", "Characteristics of the patients", characteristics_step),
    StudyStep("comparison", "Sites compared between the stages", comparison_step),
    StudyStep("roc", "Single sites as tests", roc_step),
    StudyStep("projection", "PCA and PLS-DA", projection_step),
    StudyStep("correlation", "Correlation and clusters of the sites", correlation_step),
    StudyStep("linear", "Linear formulas", linear_step),
)
"""In reading order; none needs another."""
