"""From a cohort to a bundle."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from modeling.bundle.bundle import Bundle, pack, save_bundle
from modeling.bundle.fitted import FittedParameters
from modeling.bundle.limits import fit_limits
from modeling.bundle.nested_calls import NestedCalls
from modeling.bundle.novelty import fit_novelty
from modeling.calibration import (
    fit_conformal,
    fit_osteoporosis_limits,
    fit_sigmoids,
    pair_scores,
)
from modeling.cohort import (
    AGE_COLUMN,
    SITE_NAMES,
    Stage,
    cohort_findings,
    cohort_sha256,
    features_of,
    read_cohort,
    without_duplicates,
)
from modeling.evaluation.nested import out_of_fold
from modeling.evaluation.recipe_evaluation import STANDARD, Evaluation, Protocol, evaluate
from modeling.recipes.registry import DEFAULT_RECIPE, RECIPES
from modeling.recipes.stage_forest import StageForest
from modeling.stage_calibration import calibrated, fit_stage_sigmoids

__all__ = ["train", "train_bundle"]


def train(
    cohort: pd.DataFrame,
    seed: int,
    *,
    file_sha256: str | None = None,
    protocol: Protocol = STANDARD,
    jobs: int = 1,
) -> Bundle:
    """Train the recipe on a cohort and score it; the same cohort and seed give the same bytes.

    Parameters
    ----------
    cohort
        As `read_cohort` gives it; rows that repeat an earlier one are left out.
    seed
        Seed of the forest, the folds and the intervals.
    file_sha256
        SHA-256 of the cohort's file, for the manifest; None if there is no file.
    protocol
        How many repeats, permutations and bootstraps the scores rest on.
    jobs
        Processes for computing them.

    Raises
    ------
    InvalidFeatures
        A stage without patients, or a column without any value.
    """
    findings = cohort_findings(cohort)
    digest = cohort_sha256(cohort)
    cohort = without_duplicates(cohort)
    features, stages = features_of(cohort)
    found = out_of_fold(RECIPES[DEFAULT_RECIPE].make, features, stages, seed)
    assert found.probabilities is not None
    model = StageForest(random_state=seed).fit(features, stages)
    mean_hu = cohort[list(SITE_NAMES)].to_numpy(dtype=np.float64)
    stage_sigmoids = fit_stage_sigmoids(found.probabilities, stages)
    probabilities = calibrated(found.probabilities, stage_sigmoids)
    fitted = FittedParameters(
        model.medians_,
        stage_sigmoids,
        fit_sigmoids(pair_scores(probabilities), stages),
        fit_conformal(probabilities, stages),
        fit_osteoporosis_limits(probabilities, stages),
        fit_limits(mean_hu, cohort[AGE_COLUMN].to_numpy(dtype=np.float64)),
        fit_novelty(mean_hu),
    )
    evaluation = evaluate(cohort, DEFAULT_RECIPE, seed=seed, protocol=protocol, jobs=jobs)
    provenance: dict[str, Any] = {
        "cohort": {
            "file_sha256": file_sha256,
            "content_sha256": digest,
            "patients": {s.value: int((stages == s).sum()) for s in Stage},
            "findings": [finding.message for finding in findings],
        },
        "seed": seed,
        "scores": evaluation.scores,
    }
    return pack(model.blend_, fitted, provenance, _calls(evaluation))


def _calls(evaluation: Evaluation) -> NestedCalls:
    """Gather the out-of-fold answers of all repeats."""
    repeats = evaluation.predictions
    return NestedCalls(
        np.tile(evaluation.stages, len(repeats)),
        np.concatenate([repeat.probabilities for repeat in repeats]),
        np.concatenate([repeat.osteoporosis for repeat in repeats]),
    )


def train_bundle(
    cohort_path: Path,
    out: Path,
    seed: int,
    network: dict[str, Any] | None = None,
    protocol: Protocol = STANDARD,
    jobs: int = 1,
) -> Bundle:
    """Train on a cohort's file and write the bundle.

    Parameters
    ----------
    cohort_path
        The cohort in the published layout.
    out
        The bundle's folder; made if absent.
    seed
        Seed of everything drawn.
    network
        The cohort's network in node-link form, to travel in the bundle; None for none.
    protocol
        How many repeats, permutations and bootstraps the scores rest on.
    jobs
        Processes for computing them.

    Raises
    ------
    CohortError
        The cohort cannot be used.
    """
    cohort = read_cohort(cohort_path)
    digest = hashlib.sha256(cohort_path.read_bytes()).hexdigest()
    return save_bundle(
        train(cohort, seed, file_sha256=digest, protocol=protocol, jobs=jobs), out, network=network
    )
