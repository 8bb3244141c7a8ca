"""A labelled table against a bundle as it is, and against the bundle recalibrated."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.cohort import STAGE_COLUMN, PatientTable, Stage, cohort_findings
from modeling.errors import CohortLayout, NothingToValidate
from modeling.metrics import SCORE_BOOTSTRAPS
from modeling.staging import StagePrediction
from modeling.validation.calibration_check import calibration_measures
from modeling.validation.coverage_check import coverage_measures
from modeling.validation.decision_curve import decision_measures
from modeling.validation.discrimination import osteoporosis_measures, pair_measures
from modeling.validation.patient_bootstrap import PatientDraws
from modeling.validation.predictions import (
    RESEARCH_USE,
    STAGES,
    Predictions,
    PredictsStage,
    predictions_of,
    stage_rows,
)
from modeling.validation.recalibration import OFFSETS_HU, recalibrations
from modeling.validation.subgroup_check import subgroup_measures
from modeling.validation.training_check import training_check

__all__ = ["SCHEMA", "Choices", "Validation", "validate"]

SCHEMA = "osteonode.validation/1"
"""Format of the JSON."""


@dataclass(frozen=True)
class Choices:
    """How a validation is done.

    Parameters
    ----------
    seed
        Seed of the draws and the folds.
    bootstraps
        Times that patients are drawn again for the intervals.
    subgroups
        Own columns that part the patients, beside sex, age and the scanner's.
    offset
        Whether the recalibration by an offset is done, which stages all patients up to ten times
        more.
    jobs
        Processes at the same time.
    """

    seed: int = 42
    bootstraps: int = SCORE_BOOTSTRAPS
    subgroups: tuple[str, ...] = ()
    offset: bool = True
    jobs: int = 1


@dataclass(frozen=True, eq=False)
class Validation:
    """The results, and the predictions that they are computed from.

    Parameters
    ----------
    results
        JSON-ready; see `validate`.
    predictions
        The patients with both stages.
    """

    results: dict[str, Any]
    predictions: Predictions


def validate(
    table: PatientTable,
    stager: PredictsStage,
    manifest: Mapping[str, Any],
    choices: Choices,
    progress: Callable[[int, int], None] | None = None,
) -> Validation:
    """Hold a labelled table against a model.

    Parameters
    ----------
    table
        As `modeling.cohort.read_patients` gives it, with stages.
    stager
        The model.
    manifest
        The bundle's manifest: model id, cohort and scores.
    choices
        How it is done.
    progress
        Called with how many patients have been staged, of how many at most.

    Returns
    -------
    Validation
        Its ``results`` hold ``schema``, ``research_use``, ``model_id``, ``figures_are``
        (``external``, ``possibly apparent`` or ``apparent``), ``apparent_because``, ``table``,
        ``bootstrap``, ``pairs``,
        ``mean_pair_auroc`` with ``mean_pair_auroc_ci`` and ``mean_pair_auroc_of``,
        ``osteoporosis``, ``calibration``, ``coverage``, ``decision_curves``, ``subgroups``,
        ``recalibrated`` and ``model_scores``, the bundle's own nested ones.

    Raises
    ------
    CohortLayout
        A table without stages, or without a column that should part it.
    NothingToValidate
        No patient has both a stage of the reference and one of the model.
    """
    _check_columns(table, choices.subgroups)
    chosen, left_out = table.labelled()
    cohort = table.cohort(chosen)
    kept = ~cohort.duplicated().to_numpy()
    rows = chosen[kept]
    assert table.stages is not None
    count = _counter(len(rows) * (1 + (len(OFFSETS_HU) + 1 if choices.offset else 0)), progress)
    found = stage_rows(stager, table, rows.tolist(), jobs=choices.jobs, progress=count)
    predictions = predictions_of(found, rows, table.stages[rows])
    if not len(predictions.rows):
        raise NothingToValidate(_nothing(len(chosen), found))
    restaged = _restaging(table, stager, predictions, choices.jobs, count)
    draws = PatientDraws(len(predictions.rows), choices.bootstraps, choices.seed)
    pairs = pair_measures(predictions, draws)
    figures_are, because = training_check(table, manifest, pairs)
    findings = (*left_out, *cohort_findings(cohort))
    results = {
        "schema": SCHEMA,
        "research_use": RESEARCH_USE,
        "model_id": manifest["model_id"],
        "figures_are": figures_are,
        "apparent_because": because,
        "table": _described(table, cohort.shape[0] - int(kept.sum()), found, predictions)
        | {"findings": [{"code": f.code, "message": f.message} for f in findings]},
        "bootstrap": {
            "draws": choices.bootstraps,
            "seed": choices.seed,
            "of": "patients, with replacement",
        },
        **pairs,
        "osteoporosis": osteoporosis_measures(predictions, draws),
        "calibration": calibration_measures(predictions, draws),
        "coverage": coverage_measures(predictions, draws),
        "decision_curves": decision_measures(predictions, draws),
        "subgroups": subgroup_measures(predictions, table, choices.subgroups, draws),
        "recalibrated": recalibrations(
            predictions,
            _cohort_shares(manifest),
            restaged if choices.offset else None,
            choices.seed,
            draws,
        ),
        "model_scores": _model_scores(manifest),
    }
    return Validation(results, predictions)


def _counter(most: int, progress: Callable[[int, int], None] | None) -> Callable[[int], None]:
    """Add up how many patients have been staged, and tell it."""
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(done, most)

    return count


def _check_columns(table: PatientTable, subgroups: Sequence[str]) -> None:
    if table.stages is None:
        raise CohortLayout(
            "no column has the reference's stage: name it "
            f"{STAGE_COLUMN!r}, or say which one it is by --label",
            (STAGE_COLUMN,),
        )
    missing = [name for name in subgroups if name not in table.own]
    if missing:
        raise CohortLayout(f"no column is named {', '.join(map(repr, missing))}", missing)


def _nothing(labelled: int, found: Sequence[StagePrediction]) -> str:
    if not labelled:
        return "no row has both a stage of the reference and a measured site"
    first = found[0].abstained
    return f"the model abstains for all {labelled} patients; the first: {first}"


def _restaging(
    table: PatientTable,
    stager: PredictsStage,
    predictions: Predictions,
    jobs: int,
    count: Callable[[int], None],
) -> Callable[[float], npt.NDArray[np.float64]]:
    """Stage the same patients with an offset; where the model then abstains, shares are even."""

    def restaged(offset_hu: float) -> npt.NDArray[np.float64]:
        if offset_hu == 0:
            return predictions.probabilities
        found = stage_rows(
            stager, table, predictions.rows.tolist(), shift_hu=offset_hu, jobs=jobs, progress=count
        )
        even = dict.fromkeys(Stage, 1 / len(Stage))
        return np.array([[(one.probabilities or even)[s] for s in Stage] for one in found])

    return restaged


def _described(
    table: PatientTable, repeated: int, found: Sequence[StagePrediction], predictions: Predictions
) -> dict[str, Any]:
    why = Counter(
        next((finding.code for finding in one.findings), "model.abstained")
        for one in found
        if one.predicted is None
    )
    return {
        "source": table.source,
        "rows": len(table),
        "patients": len(found),
        "repeated_rows": repeated,
        "staged": {s: int((predictions.stages == s).sum()) for s in STAGES},
        "abstained": dict(sorted(why.items())),
        "sites": list(table.site_columns),
    }


def _cohort_shares(manifest: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    counts = np.array([manifest["cohort"]["patients"][s] for s in STAGES], dtype=np.float64)
    return np.asarray(counts / counts.sum())


def _model_scores(manifest: Mapping[str, Any]) -> dict[str, Any]:
    scores = manifest.get("scores", {})
    named = ("mean_pair_auroc", "mean_pair_auroc_ci", "coverage", "brier")
    return {name: scores.get(name) for name in named} | {
        "pairs": {name: pair.get("auroc") for name, pair in scores.get("pairs", {}).items()},
        "figures_are": "nested cross-validation on the model's own cohort",
    }
