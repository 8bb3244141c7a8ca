"""The model's answers to the rows of a table."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed

from modeling.calibration import OSTEOPOROTIC, PAIRS, pair_name
from modeling.cohort import PatientTable, Sex, Stage
from modeling.staging import StagePrediction

__all__ = [
    "RESEARCH_USE",
    "STAGES",
    "Predictions",
    "PredictsStage",
    "predictions_of",
    "stage_rows",
]

FloatArray = npt.NDArray[np.float64]

RESEARCH_USE = "research use only, not a medical device"
"""Stands in every output."""

STAGES: tuple[str, ...] = tuple(stage.value for stage in Stage)
"""The columns of every array of probabilities."""

ROWS_AT_ONCE = 256
"""Rows that one process stages before it reports progress."""


class PredictsStage(Protocol):
    """What stages patients, as `modeling.Stager` does."""

    def stage_many(
        self,
        mean_hu: FloatArray,
        ages: Sequence[float | None],
        sexes: Sequence[Sex | None],
    ) -> list[StagePrediction]:
        """Stage each patient, or abstain with a reason."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Patients who have both a stage of the reference and one of the model.

    Parameters
    ----------
    rows
        intp, shape (n,): their rows in the table.
    stages
        str, shape (n,): of the reference, A to D.
    probabilities
        float64, shape (n, 4): columns `STAGES`.
    pairwise
        By pair name, float64, shape (n,): probability of the later stage.
    sets
        bool, shape (n, 4): the prediction sets.
    osteoporosis
        str, shape (n,): whether it is C or D, values of `modeling.calibration.Osteoporosis`.
    """

    rows: npt.NDArray[np.intp]
    stages: npt.NDArray[Any]
    probabilities: FloatArray
    pairwise: dict[str, FloatArray]
    sets: npt.NDArray[np.bool_]
    osteoporosis: npt.NDArray[Any]

    @property
    def osteoporotic(self) -> npt.NDArray[np.bool_]:
        """Whether the reference says C or D; shape (n,)."""
        return np.isin(self.stages, sorted(OSTEOPOROTIC))

    @property
    def outcomes(self) -> FloatArray:
        """The stages as ones and zeros; float64, shape (n, 4)."""
        return (self.stages[:, None] == np.array(STAGES)[None, :]).astype(np.float64)

    def of(self, rows: npt.NDArray[np.intp]) -> "Predictions":
        """Choose some of the patients, by their places among ``rows``."""
        return Predictions(
            self.rows[rows],
            self.stages[rows],
            self.probabilities[rows],
            {name: values[rows] for name, values in self.pairwise.items()},
            self.sets[rows],
            self.osteoporosis[rows],
        )


def stage_rows(
    stager: PredictsStage,
    table: PatientTable,
    rows: Sequence[int],
    *,
    shift_hu: float = 0.0,
    jobs: int = 1,
    progress: Callable[[int], None] | None = None,
) -> list[StagePrediction]:
    """Stage some rows of a table, about 1 ms of CPU a row.

    Parameters
    ----------
    stager
        The model.
    table, rows
        What to stage.
    shift_hu
        Added to every site, in HU.
    jobs
        Processes at the same time.
    progress
        Called with how many rows have just been staged.
    """
    parts = [rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE)]
    found: list[StagePrediction] = []
    for part in Parallel(n_jobs=min(jobs, max(1, len(parts))), return_as="generator")(
        delayed(_stage_part)(
            stager,
            table.mean_hu[np.array(part, dtype=np.intp)] + shift_hu,
            table.age[np.array(part, dtype=np.intp)],
            table.sex[np.array(part, dtype=np.intp)],
        )
        for part in parts
    ):
        found += part
        if progress is not None:
            progress(len(part))
    return found


def predictions_of(
    found: Sequence[StagePrediction],
    rows: npt.NDArray[np.intp],
    stages: npt.NDArray[Any],
) -> Predictions:
    """Gather the answers that have a stage; those that abstain are left out.

    Parameters
    ----------
    found
        One for each of ``rows``.
    rows
        intp, shape (m,): rows of the table.
    stages
        str, shape (m,): of the reference.
    """
    kept = np.array([k for k, one in enumerate(found) if one.predicted is not None], dtype=np.intp)
    staged = [found[k] for k in kept]
    return Predictions(
        rows[kept],
        stages[kept],
        np.array([[one.probabilities[s] for s in Stage] for one in staged]).reshape(-1, 4),
        {
            pair_name(pair): np.array([one.pairwise[pair_name(pair)] for one in staged])
            for pair in PAIRS
        },
        np.array([[s in one.prediction_set for s in Stage] for one in staged]).reshape(-1, 4),
        np.array([one.osteoporosis for one in staged], dtype=np.str_),
    )


def _stage_part(
    stager: PredictsStage, mean_hu: FloatArray, age: FloatArray, sex: FloatArray
) -> list[StagePrediction]:
    ages = [None if math.isnan(years) else float(years) for years in age]
    return stager.stage_many(mean_hu, ages, [_sex(code) for code in sex])


def _sex(code: float) -> Sex | None:
    return next((sex for sex in Sex if sex.cohort_code == code), None)
