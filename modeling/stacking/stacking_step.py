"""Stacking as a step of a study: all combinations, the published figures, the nested ones."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from modeling.calibration import PAIRS, pair_name
from modeling.cohort import SITE_NAMES, features_of
from modeling.stacking.boosting import BaseModel, ModelSpec
from modeling.stacking.figures import (
    plot_calibration,
    plot_confusion,
    plot_precision_recall,
    plot_roc,
    plot_score_histograms,
    plot_stacks,
)
from modeling.stacking.passes import BasePasses
from modeling.stacking.protocol import (
    Nested,
    StackSearch,
    nested_protocol,
    search_stacks,
    stack_name,
)
from modeling.stacking.published import (
    PUBLISHED_AUROC,
    PUBLISHED_FEATURES,
    PUBLISHED_MODELS,
    SELECTED_MODELS,
)
from modeling.stacking.recipe import LIGHT_MODELS, PublishedRecipe
from modeling.stacking.scores import PairOutcome, PairScores, score_pair, score_table
from modeling.study.step import Figure, StepResult, StudyInput, StudyStep, Table

__all__ = ["STACKING_STEP", "STUDY_MODELS", "run_stacking"]

STUDY_MODELS: Mapping[BaseModel, ModelSpec] = {
    **SELECTED_MODELS,
    BaseModel.RANDOM_FOREST: ModelSpec.of(BaseModel.RANDOM_FOREST, n_estimators=1000, max_depth=5),
}
"""The published base models, the forest with 1000 of its 3000 trees."""

FIXED = "published sets and stacks (apparent)"
NESTED = "chosen inside the folds (nested)"

STACKING_METHOD = (
    "Base models ({models}) are stacked by logistic regression (Wolpert 1992, doi "
    "10.1016/S0893-6080(05)80023-1), pair by pair, on the published sets of sites; missing values "
    "go down a side that the trees learn. Folds are shared, so that 15 fits of each base model "
    "serve all 15 combinations and every patient is scored by a stack that never saw them. "
    "'Apparent' is the published protocol (Wang 2025): its sets and combinations were chosen on "
    "patients of the published cohort, so on that cohort its scores are too high. 'Nested' chooses "
    "sites and combination anew inside each of five folds ({light}; elimination core {core}). "
    "Intervals are 95 % percentiles of 1000 bootstrap draws of patients, stage by stage. Accuracy "
    "is at 0.5; that at Youden's cut is apparent."
)


def run_stacking(
    given: StudyInput,
    models: Mapping[BaseModel, ModelSpec] = STUDY_MODELS,
    nested_models: Mapping[BaseModel, ModelSpec] = LIGHT_MODELS,
    candidates: Sequence[str] = SITE_NAMES,
) -> StepResult:
    """Stack ``models``, reproduce the published figures, and set the nested ones beside them.

    Parameters
    ----------
    given
        Cohort, seed and jobs.
    models
        The four base models of the 15 combinations.
    nested_models, candidates
        Base models and sites of the nested recipe, which is fitted once an outer fold.
    """
    passes = BasePasses(*features_of(given.cohort), given.seed, jobs=given.jobs)
    specs = tuple(models.values())
    searches = {
        pair: search_stacks(passes, pair, PUBLISHED_FEATURES[pair], specs)
        for pair in map(pair_name, PAIRS)
    }
    fixed = {
        pair: found.outcomes[tuple(models[spec.model] for spec in PUBLISHED_MODELS[pair])]
        for pair, found in searches.items()
    }
    recipe = PublishedRecipe(
        given.seed, tuple(nested_models.values()), candidates=candidates, jobs=given.jobs
    )
    nested = nested_protocol(given.cohort, recipe, given.seed)
    variants = {FIXED: fixed, NESTED: nested.outcomes}
    scores = {
        name: {pair: score_pair(found, given.seed) for pair, found in of_pairs.items()}
        for name, of_pairs in variants.items()
    }
    return StepResult(
        STACKING_METHOD.format(
            models="; ".join(map(str, specs)),
            light="; ".join(map(str, nested_models.values())),
            core=recipe.core,
        ),
        _findings(scores, searches),
        _tables(scores, searches, nested),
        _figures(variants, nested.outcomes, searches),
        {
            "variants": {
                name: {pair: _numbers(found) for pair, found in of_pairs.items()}
                for name, of_pairs in scores.items()
            },
            "mean_auroc": {name: _mean(of_pairs) for name, of_pairs in scores.items()},
            "combinations": {
                pair: {stack_name(stack): value for stack, value in found.auroc.items()}
                for pair, found in searches.items()
            },
        },
    )


def _findings(
    scores: Mapping[str, Mapping[str, PairScores]], searches: Mapping[str, StackSearch]
) -> tuple[str, ...]:
    fixed, nested = _mean(scores[FIXED]), _mean(scores[NESTED])
    spread = [max(s.auroc.values()) - min(s.auroc.values()) for s in searches.values()]
    return (
        f"Mean AUROC of the six pairs: {fixed:.3f} with the published sets and stacks "
        f"(apparent), {nested:.3f} with sites and stack chosen inside the folds; "
        f"{np.mean(list(PUBLISHED_AUROC.values())):.3f} was published.",
        f"Choosing on the patients that are scored is worth {fixed - nested:.3f} of mean AUROC.",
        f"The best and the worst of the 15 combinations differ by {min(spread):.3f} to "
        f"{max(spread):.3f}, the best being chosen by that score.",
    )


def _tables(
    scores: Mapping[str, Mapping[str, PairScores]],
    searches: Mapping[str, StackSearch],
    nested: Nested,
) -> tuple[Table, ...]:
    combinations = pd.DataFrame(
        {
            "combination": [stack_name(stack) for stack in next(iter(searches.values())).outcomes],
            **{pair: [round(v, 3) for v in s.auroc.values()] for pair, s in searches.items()},
        }
    )
    compared = pd.DataFrame(
        {
            "pair": list(PUBLISHED_AUROC),
            "published": list(PUBLISHED_AUROC.values()),
            **{
                name: [round(of_pairs[pair].auroc.value, 3) for pair in PUBLISHED_AUROC]
                for name, of_pairs in scores.items()
            },
        }
    )
    return (
        Table(
            "stacking-scores",
            "AUROC, AUPRC and accuracy of each pair with 95 % intervals, after Table 1 of the "
            "publication.",
            score_table(scores),
        ),
        Table("stacking-published", "AUROC beside the published figures.", compared),
        Table(
            "stacking-combinations",
            "AUROC of all 15 combinations on the published sets of sites (apparent).",
            combinations,
        ),
        Table(
            "stacking-choices",
            "What the nested protocol chose in each outer fold.",
            _choices(nested),
        ),
    )


def _figures(
    variants: Mapping[str, Mapping[str, PairOutcome]],
    nested: Mapping[str, PairOutcome],
    searches: Mapping[str, StackSearch],
) -> tuple[Figure, ...]:
    auroc = {
        pair: {stack_name(stack): value for stack, value in found.auroc.items()}
        for pair, found in searches.items()
    }
    return (
        Figure("roc", "ROC curves of the six pairs.", lambda: plot_roc(variants)),
        Figure(
            "precision-recall",
            "Precision against recall; grey: share of the later stage.",
            lambda: plot_precision_recall(variants),
        ),
        Figure(
            "calibration",
            "Observed share of the later stage in six groups of equal size, with 95 % intervals.",
            lambda: plot_calibration(variants),
        ),
        Figure(
            "score-histograms",
            "Probabilities of the two stages of each pair (nested).",
            lambda: plot_score_histograms(nested),
        ),
        Figure(
            "confusion",
            "Patients by true and called stage at a probability of 0.5 (nested).",
            lambda: plot_confusion(nested),
        ),
        Figure(
            "combinations",
            "AUROC of the 15 combinations on the published sets of sites (apparent).",
            lambda: plot_stacks(auroc),
        ),
    )


def _choices(nested: Nested) -> pd.DataFrame:
    rows = []
    for pair, folds in nested.sites.items():
        count = Counter(site for sites in folds for site in sites)
        always = [site for site, times in count.items() if times == len(folds)]
        for fold, (sites, stack) in enumerate(zip(folds, nested.stacks[pair], strict=True), 1):
            rows.append(
                {
                    "pair": pair,
                    "outer fold": fold,
                    "sites": len(sites),
                    "combination": stack_name(stack),
                    "chosen": ", ".join(sites),
                    "in all folds": ", ".join(always) or "none",
                }
            )
    return pd.DataFrame(rows)


def _numbers(found: PairScores) -> dict[str, Any]:
    return {
        name: [estimate.value, estimate.low, estimate.high]
        for name, estimate in (
            ("auroc", found.auroc),
            ("auprc", found.auprc),
            ("accuracy", found.accuracy),
            ("balanced_accuracy", found.balanced_accuracy),
        )
    } | {"brier": found.brier}


def _mean(scores: Mapping[str, PairScores]) -> float:
    return float(np.mean([found.auroc.value for found in scores.values()]))


STACKING_STEP = StudyStep("stacking", "Stacked base models", run_stacking)
