"""A patient's stage by a trained bundle, and its explanation; nothing is fitted here."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from modeling.bundle.bundle import Bundle
from modeling.bundle.novelty import UNUSUAL_PERCENT
from modeling.calibration import (
    Osteoporosis,
    most_probable,
    osteoporosis_set,
    pair_scores,
    prediction_set,
)
from modeling.cohort import SITE_NAMES, Sex, Stage
from modeling.design import DESIGN, design_matrix, impute
from modeling.errors import InvalidFeatures
from modeling.stage_calibration import calibrated, calibrated_shares
from modeling.staging_rules import COHORT_RULES, StagingRules, at_prevalence
from roi_extraction.anatomy import Finding

__all__ = ["Contribution", "StagePrediction", "Stager", "explain", "stage"]

FloatArray = npt.NDArray[np.float64]

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

    @property
    def is_steady(self) -> bool:
        """Whether the same stage comes out if all sites had 10 HU less, or more."""
        return self.at_minus_10_hu == self.predicted == self.at_plus_10_hu


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
    """Stages and explains one patient after another by one bundle, whose paths are laid out once.

    Parameters
    ----------
    bundle
        The trained model.
    rules
        What the user decides about staging.
    """

    def __init__(self, bundle: Bundle, rules: StagingRules = COHORT_RULES) -> None:
        self.bundle = bundle
        self.rules = rules

    def prepare(self) -> None:
        """Lay out the trees' paths now; else the first explanation does, in about 50 ms."""
        _ = self.bundle.forest.base

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
        refusals = self._refusals(values, age)
        if refusals:
            said = "; ".join(finding.message for finding in refusals)
            return StagePrediction(None, {}, {}, (), self.bundle.model_id, said, refusals)
        moved = [values, values - OTHER_SCANNER_HU, values + OTHER_SCANNER_HU]
        rows = np.concatenate([_design_row(each, age, sex) for each in moved])
        uncalibrated = self.bundle.forest.probabilities(impute(rows, fitted.medians))
        here, lower, higher = (
            dict(zip(Stage, map(float, found), strict=True))
            for found in calibrated(uncalibrated, fitted.stage_sigmoids)
        )
        prevalence = self.rules.prevalence or self.bundle.prevalence
        probabilities, *others = (
            at_prevalence(each, self.bundle.prevalence, prevalence)
            for each in (here, lower, higher)
        )
        predicted, at_minus, at_plus = map(most_probable, (probabilities, *others))
        kept = prediction_set(here, fitted.thresholds)
        within = tuple(stage for stage in Stage if stage in kept or stage is predicted)
        novelty = fitted.novelty.percentile(values)
        found = StagePrediction(
            predicted=predicted,
            probabilities=probabilities,
            pairwise={
                name: fitted.sigmoids[name](float(scores[0]))
                for name, scores in pair_scores(uncalibrated[:1]).items()
            },
            prediction_set=within,
            model_id=self.bundle.model_id,
            novelty_percentile=novelty,
            osteoporosis=osteoporosis_set(here, fitted.osteoporosis),
            at_minus_10_hu=at_minus,
            at_plus_10_hu=at_plus,
            prevalence=prevalence,
        )
        findings = (
            *fitted.limits.cautions(values, age),
            *_unknowns(age, sex),
            *_doubts(found),
        )
        return replace(found, findings=findings)

    def _refusals(self, values: FloatArray, age: float | None) -> tuple[Finding, ...]:
        return self.bundle.fitted.limits.refusals(
            values, age, without_l5_s1=self.rules.without_l5_s1
        )

    def explain(
        self,
        mean_hu: npt.ArrayLike,
        age: float | None,
        sex: Sex | None,
        stage: Stage | None = None,
    ) -> tuple[Contribution, ...]:
        """Share out a stage's probability among the inputs, the largest share first.

        The shares and `base_probability` add up to the probability in the cohort's mix of stages.
        They are exact SHAP values of the forests' probability; its calibration, which is not
        additive, is shared out by the convention of `modeling.stage_calibration.calibrated_shares`.
        About 12 ms of CPU.

        Parameters
        ----------
        mean_hu, age, sex
            As for `stage`.
        stage
            Which stage's probability; the most probable one in the cohort's mix if None.

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
        if self._refusals(values, age):
            return ()
        raw = _design_row(values, age, sex)
        row = impute(raw, self.bundle.fitted.medians)
        forest, sigmoids = self.bundle.forest, self.bundle.fitted.stage_sigmoids
        every = calibrated_shares(forest.shares(row[0]), forest.base, sigmoids)
        if stage is None:
            base = calibrated(forest.base[None, :], sigmoids)[0]
            stage = list(Stage)[int((base + every.sum(axis=0)).argmax())]
        shares = every[:, list(Stage).index(stage)]
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
        forest, sigmoids = self.bundle.forest, self.bundle.fitted.stage_sigmoids
        return float(calibrated(forest.base[None, :], sigmoids)[0, list(Stage).index(stage)])


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


def _doubts(prediction: StagePrediction) -> tuple[Finding, ...]:
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


def _unknowns(age: float | None, sex: Sex | None) -> tuple[Finding, ...]:
    found = []
    if age is None:
        found.append(Finding("model.age_imputed", "age unknown, the cohort's median stands in"))
    if sex is None:
        found.append(
            Finding("model.sex_imputed", "sex unknown, the cohort's commoner sex stands in")
        )
    return tuple(found)
