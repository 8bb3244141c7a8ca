"""The model's answer about one patient, and what the reader should know about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from modeling.bundle.nested_calls import PredictiveValues
from modeling.bundle.novelty import UNUSUAL_PERCENT
from modeling.calibration import Osteoporosis
from modeling.cohort import Sex, Stage
from roi_extraction.anatomy import Finding

__all__ = ["OTHER_SCANNER_HU", "StagePrediction", "doubts", "unknowns"]

OTHER_SCANNER_HU = 10.0
"""By how much another scanner may read all sites lower or higher, HU: models differ by less than
10 % (Westerhoff 2025), which is about this much of a lumbar vertebra."""


@dataclass(frozen=True)
class StagePrediction:
    """The model's answer about one patient.

    Parameters
    ----------
    predicted
        The most probable stage; None if the model abstains.
    probabilities
        By stage, summing to 1; empty if it abstains.
    pairwise
        By pair such as ``A/B``: the calibrated probability of the later stage, given that the
        patient is of one of the two and that they are as frequent as in the cohort; empty if it
        abstains.
    prediction_set
        Stages that cannot be ruled out; of each stage's patients, nine of ten have it in their set.
    model_id
        The bundle's identifier.
    abstained
        Why there is no stage, in words; None if there is one.
    findings
        Reasons to abstain, or cautions for the reader.
    novelty_percentile
        Share of the cohort's patients, in %, whose values lie nearer to the cohort's middle; None
        if it abstains.
    osteoporosis
        Whether it is one of the stages C and D: nine of ten patients of either kind are not told
        the contrary. None if the model abstains.
    at_minus_10_hu, at_plus_10_hu
        The most probable stage if all sites had 10 HU less, or more; None if the model abstains.
    prevalence
        Shares of the stages that the probabilities rest on; empty if the model abstains.
    predictive_values
        What the model's calls are worth at that prevalence; None if the model abstains, or if the
        bundle does not say.
    """

    predicted: Stage | None
    probabilities: Mapping[Stage, float]
    pairwise: Mapping[str, float]
    prediction_set: tuple[Stage, ...]
    model_id: str
    abstained: str | None = None
    findings: tuple[Finding, ...] = ()
    novelty_percentile: float | None = None
    osteoporosis: Osteoporosis | None = None
    at_minus_10_hu: Stage | None = None
    at_plus_10_hu: Stage | None = None
    prevalence: Mapping[Stage, float] = field(default_factory=dict)
    predictive_values: PredictiveValues | None = None

    @property
    def is_steady(self) -> bool:
        """Whether the same stage comes out if all sites had 10 HU less, or more."""
        return self.at_minus_10_hu == self.predicted == self.at_plus_10_hu


def doubts(prediction: StagePrediction) -> tuple[Finding, ...]:
    """Say why a stage should be doubted; empty if nothing speaks against it."""
    found = []
    novelty = prediction.novelty_percentile or 0.0
    if len(prediction.prediction_set) == len(Stage):
        found.append(
            Finding("model.undetermined", "the values fit all four stages: none can be ruled out")
        )
    if not prediction.is_steady:
        found.append(
            Finding(
                "model.unsteady",
                f"the most probable stage is {prediction.predicted}; with all HU 10 lower it would "
                f"be {prediction.at_minus_10_hu}, 10 higher {prediction.at_plus_10_hu}",
            )
        )
    if novelty >= UNUSUAL_PERCENT:
        found.append(
            Finding(
                "model.unusual_values",
                f"the values are more unusual than those of {novelty:.0f} % of the cohort's "
                "patients: the stage may mislead",
            )
        )
    return tuple(found)


def unknowns(age: float | None, sex: Sex | None) -> tuple[Finding, ...]:
    """Say what is unknown about a patient and stands in for it."""
    found = []
    if age is None:
        found.append(Finding("model.age_imputed", "age unknown, the cohort's median stands in"))
    if sex is None:
        found.append(
            Finding("model.sex_imputed", "sex unknown, the cohort's commoner sex stands in")
        )
    return tuple(found)
