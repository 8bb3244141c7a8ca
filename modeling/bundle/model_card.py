"""The model card: what a bundle was made from, how well it scores, and where its limits are."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from modeling.bundle.nested_calls import CallValue, PredictiveValues
from modeling.cohort import Stage

__all__ = ["model_card"]

CARD_TEMPLATE = """# Model card: {model_id}

Research use. Not a medical device; it makes no diagnosis and replaces no DXA.

## What it is for

It names the stage among four whose patients a lumbar CT at 120 kVp resembles most, from the mean
HU of 32 trabecular and muscle sites, age and sex: A normal (T-score -1.0 or higher), B osteopenia,
C osteoporosis (T-score -2.5 or lower), D osteoporosis with a fragility fracture. **Stage D means
that the values look like those of patients with an osteoporotic fracture; it does not say that a
fracture was seen.** It is meant for research on opportunistic screening. It is not meant for
treatment decisions, other tube voltages, enhanced scans without a look at the warnings, patients
under 50, or follow-up of one patient.

## Data

The published cohort of Wang et al. 2025 (medRxiv 2025.02.12.25321163): one hospital, one scanner
model (GE Revolution), 120 kVp, 3 mm slices, patients aged 50 and over. There is no external cohort.
After rows that repeat another are left out: {patients}. Content SHA-256
`{digest}`. Findings in the table:

{findings}

## Method

Two forests of extremely randomised trees (150 each): A, B, or C and D; then C or D; a fifth of
each probability comes from proportional odds over the same inputs. Inputs are the six vertebrae,
features derived patient by patient from 32 sites, age and sex; cohort medians stand in for what is
missing. Each patient is joined by three copies at random offsets of all sites
(SD 15 HU) and with sites missing as often as this software misses them, so that the stage depends
less on a scanner's offset. One sigmoid a stage, after which the four sum to 1; one sigmoid a pair;
prediction sets by class-conditional conformal prediction at {intended:.0%}. Seed {seed}. Libraries:
{libraries}.

## Results

{repeats} times {folds}-fold cross-validation; everything that is fitted, calibration and sets
included, is fitted inside the training folds. Intervals: patients drawn again {bootstraps} times.
They do not cover the choice of the recipe, which was made on these patients. *Apparent* is what
the same patients give when they are scored by the model that was fitted to them: it says nothing
about other patients.

{pairs}

| Measure | Nested | 95 % interval |
|---|---|---|
{overall}

Taken within each fold the mean pair AUROC is {within:.3f}. Stages drawn from the model's own
probabilities, so that calibration is perfect, show by chance a calibration error of {noise:.3f}
and a class-wise one of {classwise_noise:.3f}: less cannot be told apart from none. The intervals of
both errors are biased upward. Calibration slope by stage (ideally 1): {slopes}.

With the stages shuffled, the recipe on the same folds gives a mean pair AUROC of {permuted:.3f}
over {permutations} shuffles (.5 is right; calibration and sets are left out here).

## Prediction sets

Nested coverage by stage: {coverage}. A set holds {set_size:.2f} stages on average: honest, and
wide.

Osteoporosis (C or D), yes or no: {decided:.1%} of the patients are decided, the others
undetermined; of those with C or D {coverage_yes:.1%}, of the others {coverage_no:.1%} are not told
the contrary (nested; {intended:.0%} each intended).

{values}## Another scanner's offset

Out of fold, patients shifted, the model not:

| Shift in HU | Stage changes | Predicted A/B/C/D | Mean pair AUROC, pooled |
|---|---|---|---|
{stability}

## Subgroups

| Group | Patients A/B/C/D | Mean pair AUROC | 95 % interval | Coverage | |
|---|---|---|---|---|---|
{subgroups}

## Limits

- One hospital, one scanner model, one protocol: expect less elsewhere.
- The truth is DXA, with its own errors; C and D differ by fractures that the publication does not
  describe one by one.
- A dense fractured or cemented vertebra raises HU; such bodies are flagged, not corrected.
- The model abstains with fewer than 4 vertebrae or 6 muscle sites, and far outside the cohort.
- Men with osteoporosis are few: their figures are wide.
"""

MEASURE_WORDS = {
    "macro_auroc": "macro AUROC (one stage against the others)",
    "balanced_accuracy": "balanced accuracy (.25 is chance)",
    "qwk": "quadratic-weighted kappa",
    "brier": "Brier score (0 to 2, lower is better)",
    "ece": "expected calibration error",
    "classwise_ece": "class-wise calibration error",
    "coverage": "coverage of the prediction sets",
    "set_size": "stages in a prediction set",
}


def model_card(
    model_id: str,
    stated: Mapping[str, Any],
    libraries: Mapping[str, str],
    values: Sequence[tuple[Mapping[Stage, float], PredictiveValues]] = (),
) -> str:
    """Write a bundle's card.

    Parameters
    ----------
    model_id
        The bundle's identifier.
    stated
        ``cohort``, ``seed`` and ``scores`` as the manifest states them; the scores as
        `modeling.evaluation.recipe_evaluation.evaluate` gives them.
    libraries
        Versions by name.
    values
        What calls are worth, at some shares of the stages; empty if it is not known.

    Returns
    -------
    str
        Markdown.
    """
    scores, cohort = stated["scores"], stated["cohort"]
    protocol = scores["protocol"]
    return CARD_TEMPLATE.format(
        model_id=model_id,
        patients=", ".join(f"{n} {Stage(s).label}" for s, n in cohort["patients"].items()),
        digest=cohort["content_sha256"],
        findings="\n".join(f"- {finding}" for finding in cohort["findings"]) or "- none",
        intended=scores["coverage_intended"],
        seed=stated["seed"],
        libraries=", ".join(f"{name} {number}" for name, number in libraries.items()),
        repeats=protocol["repeats"],
        folds=protocol["folds"],
        bootstraps=protocol["bootstraps"],
        permutations=protocol["permutations"],
        pairs=_pairs(scores),
        overall="\n".join(
            f"| {words} | {scores[name]:.3f} | {_interval(scores['intervals'][name])} |"
            for name, words in MEASURE_WORDS.items()
        ),
        within=scores["mean_pair_auroc_within_folds"],
        noise=scores["ece_noise"],
        classwise_noise=scores["classwise_ece_noise"],
        slopes=", ".join(f"{s} {v:.2f}" for s, v in scores["stage_slopes"].items()),
        **scores["osteoporosis"],
        permuted=scores["permuted"]["mean_pair_auroc"],
        coverage=", ".join(f"{s} {v:.3f}" for s, v in scores["coverage_by_stage"].items()),
        set_size=scores["set_size"],
        values=_values(values) if values else "",
        stability="\n".join(_shift(*item) for item in scores["stability"].items()),
        subgroups="\n".join(map(_subgroup, scores["subgroups"])),
    )


def _pairs(scores: Mapping[str, Any]) -> str:
    lines = [
        "| Pair | Nested AUROC, pooled | 95 % interval | Apparent "
        "| AUPRC (share of the later stage) | Calibration slope, intercept |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {p['auroc']:.3f} | {_interval(p['ci'])} | {p['apparent']:.3f} "
        f"| {p['auprc']:.3f} ({p['prevalence']:.2f}) "
        f"| {p['calibration_slope']:.2f}, {p['calibration_intercept']:+.2f} |"
        for name, p in scores["pairs"].items()
    ]
    lines.append(
        f"| mean | {scores['mean_pair_auroc']:.3f} | {_interval(scores['mean_pair_auroc_ci'])} "
        f"| {scores['mean_pair_auroc_apparent']:.3f} | | |"
    )
    return "\n".join(lines)


VALUES_TEMPLATE = """## What a call is worth

Positive and negative predictive values by the nested answers, if patients of one stage look alike
there and here. They depend on how frequent A/B/C/D are: the first mix is the cohort's, the second
an assumed one with fewer patients of C and D.

{table}

"""

CALLS: Mapping[str, Callable[[PredictiveValues], CallValue]] = {
    "stage A": lambda found: found.stages[Stage.A],
    "stage B": lambda found: found.stages[Stage.B],
    "stage C": lambda found: found.stages[Stage.C],
    "stage D": lambda found: found.stages[Stage.D],
    "stage C or D, against A or B": lambda found: found.osteoporosis_call,
    "answer on osteoporosis (yes, no)": lambda found: found.osteoporosis_answer,
}


def _values(values: Sequence[tuple[Mapping[Stage, float], PredictiveValues]]) -> str:
    mixes = ["/".join(f".{100 * share:02.0f}" for share in mix.values()) for mix, _ in values]
    lines = [
        "| Call |" + "".join(f" PPV at {mix} | NPV at {mix} |" for mix in mixes),
        "|---|" + "---|---|" * len(values),
    ]
    for words, value_of in CALLS.items():
        found = [value_of(each) for _, each in values]
        cells = [_worth(share) for one in found for share in (one.positive, one.negative)]
        lines.append(f"| {words} | {' | '.join(cells)} |")
    return VALUES_TEMPLATE.format(table="\n".join(lines))


def _worth(share: float | None) -> str:
    return "-" if share is None else f"{share:.2f}"


def _shift(name: str, found: Mapping[str, Any]) -> str:
    shares = " / ".join(f"{share:.2f}" for share in found["predicted"].values())
    return f"| {name} | {found['flips']:.1%} | {shares} | {found['mean_pair_auroc']:.3f} |"


def _subgroup(group: Mapping[str, Any]) -> str:
    counts = " / ".join(str(n) for n in group["patients"].values())
    reason = group.get("reason", "")
    if "mean_pair_auroc" not in group:
        return f"| {group['group']} | {counts} | - | - | - | {reason} |"
    return (
        f"| {group['group']} | {counts} | {group['mean_pair_auroc']:.3f} "
        f"| {_interval(group['ci'])} | {group['coverage']:.3f} | {reason} |"
    )


def _interval(bounds: list[float]) -> str:
    return f"{bounds[0]:.3f} to {bounds[1]:.3f}"
