"""All scores of a recipe on a cohort, as one JSON-ready object."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from modeling.calibration import COVERAGE, PAIRS, pair_name
from modeling.cohort import (
    Stage,
    cohort_sha256,
    features_of,
    without_duplicates,
)
from modeling.errors import UnknownRecipe
from modeling.evaluation.figures import (
    OVERALL,
    chosen_counts,
    coverage,
    decision_curves,
    figures,
    intervals,
    pair_figures,
    rounded,
    stage_figures,
    subgroups,
    within_folds,
)
from modeling.evaluation.kept_parts import claim_evaluation, evaluation_key
from modeling.evaluation.nested import (
    CONTROL_PERMUTATIONS,
    NESTED_FOLDS,
    NESTED_REPEATS,
    Progress,
    nested_predictions,
    out_of_fold,
    permuted_control,
)
from modeling.evaluation.nested_result import NestedPredictions
from modeling.evaluation.shifts import stability
from modeling.metrics import SCORE_BOOTSTRAPS, pair_aurocs
from modeling.recipes.registry import RECIPES, SELECTABLE, NamedRecipe, scores_of
from modeling.recipes.selected import SelectedRecipe

__all__ = [
    "SELECTED_RECIPE",
    "STANDARD",
    "Evaluation",
    "Protocol",
    "evaluate",
    "known_recipes",
]

FloatArray = npt.NDArray[np.float64]

SELECTED_RECIPE = "selected"
"""Name of the recipe that chooses among `modeling.recipes.registry.SELECTABLE` inside each fold."""

SCORING_LIBRARIES = ("numpy", "scikit-learn", "lightgbm", "xgboost-cpu", "catboost")
"""Libraries whose versions stand beside the scores."""


@dataclass(frozen=True)
class Protocol:
    """How much is computed.

    Parameters
    ----------
    repeats
        Times that the outer cross-validation is done, each with folds of its own.
    permutations
        Times that the stages are shuffled for the control.
    bootstraps
        Times that patients are drawn again for the intervals.
    """

    repeats: int = NESTED_REPEATS
    permutations: int = CONTROL_PERMUTATIONS
    bootstraps: int = SCORE_BOOTSTRAPS


STANDARD = Protocol()
"""What a bundle's scores and the study use."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A recipe's scores, and the predictions from which they are computed.

    Parameters
    ----------
    scores
        JSON-ready; see `evaluate`.
    predictions
        One outer cross-validation for each repeat.
    stages
        str, shape (n,): the patients' stages, A to D.
    """

    scores: dict[str, Any]
    predictions: tuple[NestedPredictions, ...]
    stages: npt.NDArray[Any]

    def summary(self) -> str:
        """The main scores as plain text."""
        s = self.scores
        lines = [
            f"{s['recipe']}: {s['description']}",
            "",
            "pair    nested  95 % interval  apparent",
        ]
        rows = [(name, p["auroc"], p["ci"], p["apparent"]) for name, p in s["pairs"].items()]
        rows.append(
            ("mean", s["mean_pair_auroc"], s["mean_pair_auroc_ci"], s["mean_pair_auroc_apparent"])
        )
        lines += [
            f"{name:7} {nested:.3f}   {low:.3f} to {high:.3f}  {apparent:.3f}"
            for name, nested, (low, high), apparent in rows
        ]
        lines += ["", *(f"{name:18} {s[name]:.3f}" for name in OVERALL)]
        if s["permuted"]["each"]:
            lines.append(f"{'stages shuffled':18} {s['permuted']['mean_pair_auroc']:.3f}")
        if s["chosen"]:
            chosen = ", ".join(f"{name} {count}" for name, count in s["chosen"].items())
            lines.append(f"chosen in the folds: {chosen}")
        return "\n".join(lines)


def known_recipes() -> tuple[str, ...]:
    """List the names of all recipes that can be evaluated."""
    return (*RECIPES, SELECTED_RECIPE)


def evaluate(
    cohort: pd.DataFrame,
    recipe: str | NamedRecipe = "default",
    *,
    seed: int = 42,
    protocol: Protocol = STANDARD,
    jobs: int = 1,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> Evaluation:
    """Score a recipe by repeated nested cross-validation.

    Everything that the recipe fits or chooses, its calibration and its prediction sets are fitted
    inside the training folds. Pairs are scored by calibrated probabilities, so that folds whose
    models differ in scale can be pooled. A figure is the mean over the repeats; intervals are
    percentiles over patients drawn again within their stages, and do not cover the choice of the
    recipe itself unless it is ``selected``.

    Parameters
    ----------
    cohort
        As `read_cohort` gives it; rows that repeat an earlier one are left out.
    recipe
        One of `known_recipes` by name, or another.
    seed
        Seed of the folds, the models, the intervals and the control.
    protocol
        How many repeats, permutations and bootstraps are computed.
    jobs
        Processes at work at once.
    progress
        Called after each fold and each permutation; None to call nothing.
    folder
        Where finished folds and permutations are kept, so that a run that was broken off goes on
        there, and where the scores are written; None for nowhere. New, empty or a former
        evaluation's; results of another cohort, recipe, seed or version are computed anew.

    Returns
    -------
    Evaluation
        Its ``scores`` hold ``recipe``, ``protocol``, ``cohort``, ``pairs`` (by name: ``auroc``,
        ``ci``, ``apparent``, ``auprc``, ``prevalence``, ``calibration_slope``,
        ``calibration_intercept``, ``brier``), ``mean_pair_auroc`` (pooled over the folds) with
        ``mean_pair_auroc_ci``, ``mean_pair_auroc_within_folds`` and
        ``mean_pair_auroc_apparent``, ``macro_auroc``, ``balanced_accuracy``, ``qwk``, ``brier``
        (0 to 2), ``ece``, ``classwise_ece``,
        ``stability`` (see `modeling.evaluation.shifts`), what `stage_figures` gives, ``coverage``,
        ``coverage_by_stage``, ``set_size``, ``intervals``,
        ``subgroups``, ``permuted``, ``decision_curves``, ``chosen`` and ``versions``.

    Raises
    ------
    UnknownRecipe
        No recipe of that name.
    StudyFolderForeign
        ``folder`` holds something other than an evaluation.
    TooFewPatients
        A stage has fewer patients than nested folds need.
    InvalidFeatures
        A stage without patients, or a column of the design without any value.
    """
    named = _recipe(recipe) if isinstance(recipe, str) else recipe
    digest = cohort_sha256(cohort)
    cohort = without_duplicates(cohort)
    features, stages = features_of(cohort)
    all_parts = protocol.repeats * NESTED_FOLDS + protocol.permutations

    def after(parts: int) -> Progress | None:
        return None if progress is None else lambda done, _: progress(parts + done, all_parts)

    key = evaluation_key(named, digest, seed, NESTED_FOLDS)
    kept = None if folder is None else claim_evaluation(folder, key)
    predictions = nested_predictions(
        named, features, stages, seed, protocol.repeats, jobs, after(0), kept
    )
    apparent = pair_aurocs(scores_of(named.make(seed).fit(features, stages), features)[1], stages)
    permuted = permuted_control(
        named,
        features,
        stages,
        seed,
        protocol.permutations,
        jobs,
        after(protocol.repeats * NESTED_FOLDS),
        kept,
    )
    scores = {
        "recipe": named.name,
        "description": named.description,
        "protocol": _stated(protocol, seed),
        "cohort": {
            "content_sha256": digest,
            "patients": {s.value: int((stages == s).sum()) for s in Stage},
        },
        **_nested_scores(predictions, apparent, stages, seed, protocol.bootstraps),
        "subgroups": subgroups(predictions, cohort, stages, seed, protocol.bootstraps),
        "permuted": {
            "mean_pair_auroc": rounded(np.mean(permuted)) if permuted else None,
            "each": [rounded(value) for value in permuted],
        },
        "decision_curves": decision_curves(predictions, stages),
        "chosen": chosen_counts(predictions),
        "versions": {name: version(name) for name in SCORING_LIBRARIES},
    }
    if kept is not None:
        kept.write_scores(scores)
    return Evaluation(scores, predictions, stages)


def _stated(protocol: Protocol, seed: int) -> dict[str, Any]:
    return {
        "folds": NESTED_FOLDS,
        "inner_folds": NESTED_FOLDS,
        "repeats": protocol.repeats,
        "seed": seed,
        "bootstraps": protocol.bootstraps,
        "permutations": protocol.permutations,
        "apparent": "fitted to and scored on the same patients",
    }


def _nested_scores(
    predictions: tuple[NestedPredictions, ...],
    apparent: Mapping[str, float],
    stages: npt.NDArray[Any],
    seed: int,
    bootstraps: int,
) -> dict[str, Any]:
    """Score the nested predictions of all patients, pair by pair and over all stages."""
    everyone = np.arange(len(stages))
    found = figures(predictions, stages, everyone)
    ranges = intervals(predictions, stages, everyone, seed, bootstraps)
    return {
        "pairs": {
            name: {
                "auroc": rounded(found[name]),
                "ci": ranges[name],
                "apparent": rounded(apparent[name]),
                **pair_figures(predictions, stages, pair),
            }
            for name, pair in zip(map(pair_name, PAIRS), PAIRS, strict=True)
        },
        "mean_pair_auroc": rounded(found["mean_pair_auroc"]),
        "mean_pair_auroc_ci": ranges["mean_pair_auroc"],
        "mean_pair_auroc_within_folds": rounded(within_folds(predictions, stages)),
        "mean_pair_auroc_apparent": rounded(np.mean(list(apparent.values()))),
        **{name: rounded(found[name]) for name in OVERALL},
        **stage_figures(predictions, stages, seed),
        "stability": stability(predictions, stages),
        "coverage_by_stage": {
            s.value: rounded(coverage(predictions, stages, np.flatnonzero(stages == s)))
            for s in Stage
        },
        "coverage_intended": COVERAGE,
        "intervals": {name: ranges[name] for name in OVERALL},
    }


def _recipe(name: str) -> NamedRecipe:
    if name not in known_recipes():
        raise UnknownRecipe(name, known_recipes())
    if name != SELECTED_RECIPE:
        return RECIPES[name]
    candidates = {known: RECIPES[known].make for known in SELECTABLE}
    return NamedRecipe(
        SELECTED_RECIPE,
        f"the best of {', '.join(SELECTABLE)} by cross-validation inside each training part",
        partial(_selected, candidates=candidates),
    )


def _selected(seed: int, candidates: Mapping[str, Callable[[int], Any]]) -> SelectedRecipe:
    return SelectedRecipe(seed, candidates, out_of_fold)
