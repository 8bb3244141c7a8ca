"""A patient's stage by a trained bundle, and its explanation; nothing is fitted here."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.bundle.bundle import Bundle
from modeling.bundle.novelty import UNUSUAL_PERCENT
from modeling.calibration import pair_scores, prediction_set
from modeling.cohort import SITE_NAMES, Sex, Stage
from modeling.design import DESIGN, design_matrix, impute
from modeling.errors import InvalidFeatures
from modeling.explainers import tree_explainer
from roi_extraction.anatomy import Finding

__all__ = ["Contribution", "StagePrediction", "Stager", "explain", "stage"]

FloatArray = npt.NDArray[np.float64]


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
    """

    predicted: Stage | None
    probabilities: Mapping[Stage, float]
    pairwise: Mapping[str, float]
    prediction_set: tuple[Stage, ...]
    model_id: str
    abstained: str | None = None
    findings: tuple[Finding, ...] = ()
    novelty_percentile: float | None = None


@dataclass(frozen=True)
class Contribution:
    """One input's share in a stage's probability.

    Parameters
    ----------
    feature
        A site's name, ``age``, ``sex``, or words that say what is derived.
    value
        The input as measured, or None where the cohort's median stood in.
    shap
        SHAP value: how much it moves the probability, in units of probability.
    sites
        The measured sites behind it; empty for age and sex.
    """

    feature: str
    value: float | None
    shap: float
    sites: tuple[str, ...]


class Stager:
    """Stages and explains one patient after another by one bundle, whose explainer is made once.

    Parameters
    ----------
    bundle
        The trained model.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def prepare(self) -> None:
        """Make the explainer now; else the first explanation does."""
        _ = self._explainer

    def stage(self, mean_hu: npt.ArrayLike, age: float | None, sex: Sex | None) -> StagePrediction:
        """Stage one patient, or abstain with a reason.

        Parameters
        ----------
        mean_hu
            float64, shape (36,): mean HU in the cohort's order, NaN where missing.
        age
            Years; None if unknown, the cohort's median then stands in.
        sex
            None if unknown, the cohort's commoner sex then stands in.

        Raises
        ------
        InvalidFeatures
            Another shape, or not numbers.
        """
        values = _checked(mean_hu)
        fitted = self.bundle.fitted
        refusals = fitted.limits.refusals(values, age)
        if refusals:
            said = "; ".join(finding.message for finding in refusals)
            return StagePrediction(None, {}, {}, (), self.bundle.model_id, said, refusals)
        row = impute(_design_row(values, age, sex), fitted.medians)
        found = np.asarray(self.bundle.forest.predict_proba(row), dtype=np.float64)
        probabilities = dict(zip(Stage, map(float, found[0]), strict=True))
        within = prediction_set(probabilities, fitted.thresholds)
        novelty = fitted.novelty.percentile(values)
        return StagePrediction(
            predicted=max(Stage, key=lambda stage: probabilities[stage]),
            probabilities=probabilities,
            pairwise={
                name: fitted.sigmoids[name](float(scores[0]))
                for name, scores in pair_scores(found).items()
            },
            prediction_set=within,
            model_id=self.bundle.model_id,
            findings=(
                *fitted.limits.cautions(values, age),
                *_unknowns(age, sex),
                *_doubts(within, novelty),
            ),
            novelty_percentile=novelty,
        )

    def explain(
        self,
        mean_hu: npt.ArrayLike,
        age: float | None,
        sex: Sex | None,
        stage: Stage | None = None,
    ) -> tuple[Contribution, ...]:
        """Share out a stage's probability among the inputs, the largest share first.

        The shares and `base_probability` add up to the probability that `stage` reports.

        Parameters
        ----------
        mean_hu, age, sex
            As for `stage`.
        stage
            Which stage's probability; the predicted one if None.

        Returns
        -------
        tuple of Contribution
            One for each input of the model; empty where the model abstains.

        References
        ----------
        Lundberg SM et al. From local explanations to global understanding with explainable AI for
        trees. Nat Mach Intell 2020, doi 10.1038/s42256-019-0138-9.
        """
        values = _checked(mean_hu)
        if self.bundle.fitted.limits.refusals(values, age):
            return ()
        raw = _design_row(values, age, sex)
        row = impute(raw, self.bundle.fitted.medians)
        if stage is None:
            stage = list(Stage)[int(self.bundle.forest.predict_proba(row)[0].argmax())]
        shares = self._explainer.shap_values(row)[0, :, list(Stage).index(stage)]
        measured = dict(zip(SITE_NAMES, values, strict=True))
        found = [
            Contribution(
                feature.name,
                None if np.isnan(value) else float(measured.get(feature.name, value)),
                float(share),
                feature.sites,
            )
            for feature, value, share in zip(DESIGN, raw[0], shares, strict=True)
        ]
        return tuple(sorted(found, key=lambda contribution: -abs(contribution.shap)))

    def base_probability(self, stage: Stage) -> float:
        """Give the probability of a stage before anything is known about the patient."""
        return float(self._explainer.expected_value[list(Stage).index(stage)])

    @cached_property
    def _explainer(self) -> Any:
        return tree_explainer(self.bundle.forest)


def stage(
    bundle: Bundle, mean_hu: npt.ArrayLike, age: float | None, sex: Sex | None
) -> StagePrediction:
    """Stage one patient; see `Stager.stage`."""
    return Stager(bundle).stage(mean_hu, age, sex)


def explain(
    bundle: Bundle, mean_hu: npt.ArrayLike, age: float | None, sex: Sex | None
) -> tuple[Contribution, ...]:
    """Explain one patient's predicted stage; see `Stager.explain`, which keeps its explainer."""
    return Stager(bundle).explain(mean_hu, age, sex)


def _checked(mean_hu: npt.ArrayLike) -> FloatArray:
    try:
        values = np.asarray(mean_hu, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidFeatures("the features are not numbers") from error
    if values.shape != (len(SITE_NAMES),):
        raise InvalidFeatures(f"expected {len(SITE_NAMES)} values, found shape {values.shape}")
    return values


def _design_row(mean_hu: FloatArray, age: float | None, sex: Sex | None) -> FloatArray:
    return design_matrix(
        mean_hu[None, :],
        np.array([np.nan if age is None else age], dtype=np.float64),
        np.array([np.nan if sex is None else sex.cohort_code], dtype=np.float64),
    )


def _doubts(within: tuple[Stage, ...], novelty: float) -> tuple[Finding, ...]:
    found = []
    if len(within) == len(Stage):
        found.append(
            Finding("model.undetermined", "the values fit all four stages: none can be ruled out")
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


def _unknowns(age: float | None, sex: Sex | None) -> tuple[Finding, ...]:
    found = []
    if age is None:
        found.append(Finding("model.age_imputed", "age unknown, the cohort's median stands in"))
    if sex is None:
        found.append(
            Finding("model.sex_imputed", "sex unknown, the cohort's commoner sex stands in")
        )
    return tuple(found)
