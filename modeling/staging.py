"""A patient's stage by a trained bundle, and its explanation; nothing is fitted here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from modeling.bundle.bundle import Bundle
from modeling.bundle.nested_calls import PredictiveValues
from modeling.calibration import (
    most_probable,
    osteoporosis_set,
    pair_scores,
    prediction_set,
)
from modeling.cohort import SITE_NAMES, Sex, Stage
from modeling.design import DESIGN, design_matrix, impute
from modeling.errors import InvalidFeatures
from modeling.stage_calibration import calibrated, calibrated_shares
from modeling.stage_prediction import (
    OTHER_SCANNER_HU,
    StagePrediction,
    doubts,
    unknowns,
)
from modeling.staging_rules import COHORT_RULES, StagingRules, at_prevalence
from roi_extraction.anatomy import Finding

__all__ = ["Contribution", "StagePrediction", "Stager", "explain", "stage"]

FloatArray = npt.NDArray[np.float64]


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


PATIENTS_AT_ONCE = 64
"""Patients whose ways through the trees are followed together: they stay in the cache."""


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

    @property
    def prevalence(self) -> Mapping[Stage, float]:
        """Shares of the stages among the patients who are staged."""
        return self.rules.prevalence or self.bundle.prevalence

    @cached_property
    def predictive_values(self) -> PredictiveValues | None:
        """What calls are worth at that prevalence; None if the bundle does not say."""
        calls = self.bundle.calls
        if calls is None:
            return None
        return calls.predictive_values(self.bundle.prevalence, self.prevalence)

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
        return self.stage_many(_checked(mean_hu)[None, :], [age], [sex])[0]

    def stage_many(
        self,
        mean_hu: FloatArray,
        ages: Sequence[float | None],
        sexes: Sequence[Sex | None],
    ) -> list[StagePrediction]:
        """Stage many patients at once; each gets exactly what `stage` gives for them alone.

        About 1 ms of CPU a patient.

        Parameters
        ----------
        mean_hu
            float64, shape (n, 36): mean HU in the cohort's order, NaN where missing.
        ages, sexes
            n each, as for `stage`.

        Returns
        -------
        list of StagePrediction
            One for each patient, in order.
        """
        refused = [self._refusals(values, age) for values, age in zip(mean_hu, ages, strict=True)]
        found = [_abstained(self.bundle.model_id, refusals) for refusals in refused]
        kept = [place for place, refusals in enumerate(refused) if not refusals]
        for start in range(0, len(kept), PATIENTS_AT_ONCE):
            places = kept[start : start + PATIENTS_AT_ONCE]
            known = [(ages[place], sexes[place]) for place in places]
            staged = self._staged(mean_hu[places], known)
            for place, prediction in zip(places, staged, strict=True):
                found[place] = prediction
        return found

    def _staged(
        self, mean_hu: FloatArray, known: Sequence[tuple[float | None, Sex | None]]
    ) -> list[StagePrediction]:
        """Stage patients for whom the model does not abstain."""
        fitted, moves = self.bundle.fitted, (0.0, -OTHER_SCANNER_HU, OTHER_SCANNER_HU)
        moved = np.concatenate([mean_hu + move for move in moves])
        rows = _design(moved, [*known] * len(moves))
        uncalibrated = self.bundle.forest.probabilities(impute(rows, fitted.medians))
        by_move = calibrated(uncalibrated, fitted.stage_sigmoids).reshape(len(moves), -1, 4)
        scores = pair_scores(by_move[0])
        return [
            self._prediction(
                values,
                *known[patient],
                by_move[:, patient].tolist(),
                {name: float(of_pair[patient]) for name, of_pair in scores.items()},
            )
            for patient, values in enumerate(mean_hu)
        ]

    def _prediction(
        self,
        values: FloatArray,
        age: float | None,
        sex: Sex | None,
        by_move: Sequence[Sequence[float]],
        scores: Mapping[str, float],
    ) -> StagePrediction:
        """Say what the model answers, by calibrated probabilities here, 10 HU lower and higher."""
        fitted = self.bundle.fitted
        here, lower, higher = (dict(zip(Stage, each, strict=True)) for each in by_move)
        cohort = self.bundle.prevalence
        probabilities, *others = (
            at_prevalence(each, cohort, self.prevalence) for each in (here, lower, higher)
        )
        predicted, at_minus, at_plus = map(most_probable, (probabilities, *others))
        kept = prediction_set(here, fitted.thresholds)
        found = StagePrediction(
            predicted=predicted,
            probabilities=probabilities,
            pairwise={name: fitted.sigmoids[name](score) for name, score in scores.items()},
            prediction_set=tuple(s for s in Stage if s in kept or s is predicted),
            model_id=self.bundle.model_id,
            novelty_percentile=fitted.novelty.percentile(values),
            osteoporosis=osteoporosis_set(here, fitted.osteoporosis),
            at_minus_10_hu=at_minus,
            at_plus_10_hu=at_plus,
            prevalence=self.prevalence,
            predictive_values=self.predictive_values,
        )
        findings = (*fitted.limits.cautions(values, age), *unknowns(age, sex), *doubts(found))
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
        They are exact SHAP values of the forests' probability; what is not additive, the
        proportional odds and the calibration, is shared out by the convention of
        `modeling.stage_calibration.calibrated_shares`.
        About 7 ms of CPU.

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
        raw = _design(values[None, :], [(age, sex)])
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


def _design(mean_hu: FloatArray, known: Sequence[tuple[float | None, Sex | None]]) -> FloatArray:
    """Derive the inputs, float64, shape (n, 43), of patients of whom age and sex may be known."""
    ages = [np.nan if age is None else age for age, _ in known]
    sexes = [np.nan if sex is None else sex.cohort_code for _, sex in known]
    return design_matrix(
        mean_hu, np.array(ages, dtype=np.float64), np.array(sexes, dtype=np.float64)
    )


def _abstained(model_id: str, refusals: Sequence[Finding]) -> StagePrediction:
    said = "; ".join(finding.message for finding in refusals)
    return StagePrediction(None, {}, {}, (), model_id, said, tuple(refusals))
