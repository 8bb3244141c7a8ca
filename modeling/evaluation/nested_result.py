"""Predictions of an outer cross-validation, and of each of its folds as plain arrays to keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.calibration import PAIRS, Osteoporosis, pair_name
from modeling.cohort import Stage
from modeling.evaluation.shifts import SHIFTS

__all__ = ["FoldResult", "NestedPredictions", "joined"]

FloatArray = npt.NDArray[np.float64]

_PAIRS = tuple(pair_name(pair) for pair in PAIRS)


@dataclass(frozen=True, eq=False)
class FoldResult:
    """Predictions of the patients of one outer fold.

    Parameters
    ----------
    unseen
        intp, shape (m,): these patients.
    scores, calibrated
        By pair name, float64, shape (m,).
    probabilities
        float64, shape (m, 4).
    shifted
        By name of `modeling.evaluation.shifts.SHIFTS`: float64, shape (m, 4).
    sets
        bool, shape (m, 4).
    osteoporosis
        str, shape (m,).
    chosen
        What the recipe says that it chose; None if it chooses nothing.
    """

    unseen: npt.NDArray[np.intp]
    scores: Mapping[str, FloatArray]
    calibrated: Mapping[str, FloatArray]
    probabilities: FloatArray
    shifted: Mapping[str, FloatArray]
    sets: npt.NDArray[np.bool_]
    osteoporosis: npt.NDArray[Any]
    chosen: str | None

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Write as plain arrays by name."""
        return {
            "unseen": self.unseen,
            "scores": np.column_stack([self.scores[name] for name in _PAIRS]),
            "calibrated": np.column_stack([self.calibrated[name] for name in _PAIRS]),
            "probabilities": self.probabilities,
            "shifted": np.stack([self.shifted[name] for name in SHIFTS]),
            "sets": self.sets,
            "osteoporosis": self.osteoporosis,
            "chosen": np.array([] if self.chosen is None else [self.chosen], dtype=np.str_),
        }

    @classmethod
    def from_arrays(cls, found: Mapping[str, npt.NDArray[Any]]) -> "FoldResult":
        """Read what `to_arrays` wrote."""
        chosen = found["chosen"].tolist()
        return cls(
            found["unseen"],
            dict(zip(_PAIRS, found["scores"].T, strict=True)),
            dict(zip(_PAIRS, found["calibrated"].T, strict=True)),
            found["probabilities"],
            dict(zip(SHIFTS, found["shifted"], strict=True)),
            found["sets"],
            found["osteoporosis"],
            str(chosen[0]) if chosen else None,
        )


@dataclass(frozen=True, eq=False)
class NestedPredictions:
    """One outer cross-validation.

    Parameters
    ----------
    scores
        By pair name, float64, shape (n,): as the recipe gives them.
    calibrated
        By pair name, float64, shape (n,): probability of the later stage, by sigmoids that were
        fitted inside the training folds.
    probabilities
        float64, shape (n, 4): of the recipe, or coupled from the calibrated pairs; calibrated by
        sigmoids of the stages that were fitted inside the training folds.
    shifted
        By name of `modeling.evaluation.shifts.SHIFTS`: the same of shifted patients.
    sets
        bool, shape (n, 4): the prediction sets, thresholds fitted inside the training folds.
    osteoporosis
        str, shape (n,): values of `modeling.calibration.Osteoporosis`, limits fitted inside the
        training folds.
    folds
        intp, shape (n,): the outer fold in which a patient was scored.
    chosen
        What the recipe says that it chose, fold by fold; empty if it chooses nothing.
    """

    scores: Mapping[str, FloatArray]
    calibrated: Mapping[str, FloatArray]
    probabilities: FloatArray
    shifted: Mapping[str, FloatArray]
    sets: npt.NDArray[np.bool_]
    osteoporosis: npt.NDArray[Any]
    folds: npt.NDArray[np.intp]
    chosen: tuple[str, ...]


def joined(parts: Sequence[FoldResult], count: int) -> NestedPredictions:
    """Join the folds of one outer cross-validation of ``count`` patients."""
    scores = {pair_name(pair): np.zeros(count) for pair in PAIRS}
    of_pairs = {pair_name(pair): np.zeros(count) for pair in PAIRS}
    probabilities = np.zeros((count, len(Stage)))
    sets = np.zeros((count, len(Stage)), dtype=bool)
    osteoporosis = np.full(count, Osteoporosis.UNDETERMINED.value)
    folds = np.zeros(count, dtype=np.intp)
    moved = {name: np.zeros((count, len(Stage))) for name in SHIFTS}
    for fold, part in enumerate(parts):
        folds[part.unseen] = fold
        for name in scores:
            scores[name][part.unseen] = part.scores[name]
            of_pairs[name][part.unseen] = part.calibrated[name]
        probabilities[part.unseen] = part.probabilities
        for name, values in part.shifted.items():
            moved[name][part.unseen] = values
        sets[part.unseen] = part.sets
        osteoporosis[part.unseen] = part.osteoporosis
    chosen = tuple(part.chosen for part in parts if part.chosen is not None)
    return NestedPredictions(
        scores, of_pairs, probabilities, moved, sets, osteoporosis, folds, chosen
    )
