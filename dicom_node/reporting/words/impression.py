"""The verdict for a reader: at most three sentences and 60 words, the same on every output.

First the bone density, by L1 and by the cohort's model, and what it means where the two disagree;
then what limits it; then what it is not. `docs/wording.md` holds the words of every case.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dicom_node.assessment.assessment import COHORT_KVP, SAME_KVP, Assessment
from dicom_node.reporting.words.refusal_words import refusal_advice
from dicom_node.reporting.words.thresholds import (
    L1_OSTEOPOROSIS_SENSITIVE_HU,
    L1_OSTEOPOROSIS_SPECIFIC_HU,
    L1Category,
    bone_offset_hu,
    l1_threshold,
    l1_words,
)
from dicom_node.reporting.words.warning_words import LIMITS
from modeling import Stage, StagePrediction
from modeling.calibration import OSTEOPOROTIC, Osteoporosis

__all__ = [
    "MAX_CALLED",
    "NOT_A_DIAGNOSIS",
    "STAGE_NAMES",
    "STAGE_WORDS",
    "Evidence",
    "evidence_of",
    "impression",
    "is_decided",
    "lacks_regions",
    "mix_words",
    "refusal_impression",
    "steadiness_words",
]

MAX_CALLED = 2
"""Stages that a prediction set may hold for the stage to be called: of more none is."""

MAX_LIMITS = 3
"""Limits that the impression names; the others are counted."""

NOT_A_DIAGNOSIS = "Research use, not a diagnosis; fractures are not looked for."
"""The last sentence of every impression."""

STAGE_WORDS = {
    Stage.A: "normal bone",
    Stage.B: "osteopenia",
    Stage.C: "osteoporosis",
    Stage.D: "osteoporosis with fracture",
}
"""The cohort's groups, in the impression's words."""

STAGE_NAMES = {
    Stage.A: "normal",
    Stage.B: "osteopenia",
    Stage.C: "osteoporosis",
    Stage.D: "osteoporotic fracture",
}
"""The stages by their names, in a word or two."""

THRESHOLD_WORDS = {
    "low": "likely at the published threshold of {specific:g} HU",
    "middle": "not excluded between the published {specific:g} and {sensitive:g} HU",
    "high": "unlikely above the published threshold of {sensitive:g} HU",
}
"""What each category of L1 says of osteoporosis (Pickhardt 2013)."""

TOO_LITTLE = frozenset(
    ("model.too_few_vertebrae", "model.too_few_muscles", "model.lumbosacral_missing")
)
"""Why a scan that ends above the sacrum has a measured L1 and no stage."""


@dataclass(frozen=True)
class Evidence:
    """What an impression is written from.

    Parameters
    ----------
    l1_hu
        Mean of L1, HU; None if it was not measured.
    kvp
        Tube voltage, kV; None if it is unknown.
    at_cohort_kvp
        Whether thresholds and model hold for the X-ray spectrum.
    stages
        The prediction set; empty if the model gives no stage.
    codes
        Codes of all warnings.
    missing
        Number of the sites without a value.
    offset_hu
        How much the thresholds of L1 lie higher on this scanner, HU.
    osteoporosis
        Whether the model finds one of the stages C and D; None if it gives no stage.
    """

    l1_hu: float | None
    kvp: float | None = COHORT_KVP
    at_cohort_kvp: bool = True
    stages: tuple[Stage, ...] = ()
    codes: tuple[str, ...] = ()
    missing: int = 0
    offset_hu: float = 0.0
    osteoporosis: Osteoporosis | None = None


def evidence_of(assessment: Assessment) -> Evidence:
    """What the impression of an assessment is written from."""
    measurements = assessment.features.measurements
    l1 = assessment.features.by_name["L1"]
    return Evidence(
        l1_hu=None if l1.missing is not None else l1.mean_hu,
        kvp=assessment.series.first.kvp,
        at_cohort_kvp=assessment.at_cohort_kvp,
        stages=_stages(assessment.prediction),
        codes=tuple(finding.code for finding in assessment.warnings),
        missing=sum(measurement.missing is not None for measurement in measurements),
        offset_hu=bone_offset_hu(assessment),
        osteoporosis=assessment.prediction.osteoporosis,
    )


def is_decided(prediction: StagePrediction) -> bool:
    """Whether the model's answer may be called by the letter of one stage."""
    return bool(prediction.predicted) and len(prediction.prediction_set) <= MAX_CALLED


def mix_words(prevalence: Mapping[Stage, float]) -> str:
    """Which patients the probabilities hold for.

    >>> mix_words({Stage.A: 0.45, Stage.B: 0.38, Stage.C: 0.12, Stage.D: 0.05})[:64]
    'Probabilities hold for patients of whom 45 % are of stage A, 38 '
    """
    shares = [f"{100 * share:.0f} % of {stage}" for stage, share in prevalence.items()]
    said = f"{', '.join(shares[:-1])} and {shares[-1]}".replace("of A", "are of stage A", 1)
    return (
        f"Probabilities hold for patients of whom {said}. Among others the stages are otherwise "
        "frequent; the cohort is of one hospital."
    )


def steadiness_words(stage: Stage | None, lower: Stage | None, higher: Stage | None) -> str:
    """What another scanner would do to the most probable stage."""
    if stage == lower == higher:
        return f"The most probable stage stays {stage} where all HU are 10 lower or higher."
    return f"The most probable stage, {stage}, is {lower} at 10 HU less and {higher} at 10 HU more."


def lacks_regions(evidence: Evidence) -> bool:
    """Whether too few regions were measured for the model to give a stage."""
    return bool(TOO_LITTLE & set(evidence.codes))


def impression(evidence: Evidence) -> tuple[str, ...]:
    """The sentences, in the order in which they are read.

    >>> impression(Evidence(None, stages=(Stage.A,)))[0]
    "L1 not measured; the cohort's model finds it most like normal bone."
    """
    limits = _limits(evidence)
    return (
        f"{_bone(evidence)}.",
        *((f"Limited by {limits}.",) if limits else ()),
        NOT_A_DIAGNOSIS,
    )


def refusal_impression(code: str, message: str) -> tuple[str, ...]:
    """The sentences of a scan that was not analysed: the reason, and what would help."""
    return (
        f"Not analysed: {message.rstrip('.')}.",
        f"{refusal_advice(code)}.",
        "Nothing was measured: this says nothing of the bone.",
    )


def _stages(prediction: StagePrediction) -> tuple[Stage, ...]:
    if prediction.predicted is None:
        return ()
    return prediction.prediction_set or (prediction.predicted,)


def _bone(evidence: Evidence) -> str:
    l1_hu, stages, offset_hu = evidence.l1_hu, evidence.stages, evidence.offset_hu
    found = "L1 not measured" if l1_hu is None else f"L1 {l1_words(l1_hu, offset_hu)} HU"
    if not evidence.at_cohort_kvp:
        return f"{found}, {_spectrum(evidence.kvp)}"
    category = None if l1_hu is None else l1_threshold(l1_hu, offset_hu)
    if category is not None:
        found += f": osteoporosis {_threshold(category, offset_hu)}"
    words = [STAGE_WORDS[stage] for stage in stages]
    if not stages and lacks_regions(evidence):
        return f"{found}; too few regions were measured for a stage"
    if not stages:
        return f"{found}; the cohort's model gives no stage"
    if len(stages) > MAX_CALLED:
        return f"{found}; the cohort's model {_undetermined(evidence.osteoporosis)}"
    if _contradict(stages, category):
        return (
            f"{found}, but the cohort's model, which weighs all vertebrae and muscles, finds it "
            f"most like {' or '.join(words)}"
        )
    if len(stages) > 1:
        return f"{found}; the cohort's model does not decide between {' and '.join(words)}"
    return f"{found}; the cohort's model finds it most like {words[0]}"


def _undetermined(osteoporosis: Osteoporosis | None) -> str:
    """What the model says where it calls no stage."""
    if osteoporosis is Osteoporosis.YES:
        return "finds osteoporosis likely and decides on no stage"
    if osteoporosis is Osteoporosis.NO:
        return "finds osteoporosis unlikely and decides on no stage"
    return "is undetermined"


def _threshold(category: L1Category, offset_hu: float) -> str:
    """What the category of L1 says, with the thresholds as they lie on this scanner."""
    words = THRESHOLD_WORDS[category].format(
        specific=L1_OSTEOPOROSIS_SPECIFIC_HU + offset_hu,
        sensitive=L1_OSTEOPOROSIS_SENSITIVE_HU + offset_hu,
    )
    return words.replace("published", "published, here shifted,") if offset_hu else words


def _spectrum(kvp: float | None) -> str:
    """Why neither thresholds nor model hold."""
    if kvp is None:
        return "at an unknown tube voltage: thresholds and model do not hold"
    if abs(kvp - COHORT_KVP) <= SAME_KVP:
        return "with several X-ray spectra: thresholds and model do not hold"
    return f"at {kvp:g} kVp: thresholds and model hold for {COHORT_KVP:g} kVp only"


def _contradict(stages: Collection[Stage], category: str | None) -> bool:
    """Whether no stage that the model leaves is what the threshold of L1 says."""
    dense = not OSTEOPOROTIC & set(stages)
    return (category == "low" and dense) or (category == "high" and set(stages) <= OSTEOPOROTIC)


def _limits(evidence: Evidence) -> str:
    codes = set(evidence.codes)
    found = list(dict.fromkeys(words for code, words in LIMITS.items() if code in codes))
    if evidence.missing:
        found.append(f"{evidence.missing} of 36 regions missing")
    named = found[:MAX_LIMITS]
    if len(found) > MAX_LIMITS:
        named = [*found[: MAX_LIMITS - 1], f"{len(found) - MAX_LIMITS + 1} more"]
    return ", ".join(named[:-1]) + (" and " if len(named) > 1 else "") + "".join(named[-1:])
