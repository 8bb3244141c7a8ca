"""What a model's calls are worth at a prevalence, by its out-of-fold answers on its own cohort."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.calibration import OSTEOPOROTIC, Osteoporosis
from modeling.cohort import Stage

__all__ = ["CallValue", "NestedCalls", "PredictiveValues", "call_value"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

CALL_DIGITS = 4
"""Decimals of a probability in the file."""

VALUE_DIGITS = 3
"""Decimals of a predictive value: 443 patients tell no more."""

COLUMNS = ("stage", *(f"p_{stage.value}" for stage in Stage), "osteoporosis")
"""The file's columns: the reference's stage, the calibrated probabilities, the answer."""

_ORDER = np.array([stage.value for stage in Stage])
_IS_LATE = np.isin(_ORDER, sorted(OSTEOPOROTIC))


@dataclass(frozen=True)
class CallValue:
    """How often a call, and its contrary, are right.

    Parameters
    ----------
    positive
        Positive predictive value, 0 to 1; None where nobody would be called so.
    negative
        Negative predictive value, 0 to 1; None where everybody would be called so.
    """

    positive: float | None
    negative: float | None


@dataclass(frozen=True)
class PredictiveValues:
    """What the model's calls are worth at one prevalence.

    Parameters
    ----------
    stages
        By stage: of its being the most probable one, against any other.
    osteoporosis_call
        Of the most probable stage being C or D, against A or B.
    osteoporosis_answer
        Of the answers on osteoporosis: positive of a yes, negative of a no.
    """

    stages: Mapping[Stage, CallValue]
    osteoporosis_call: CallValue
    osteoporosis_answer: CallValue


@dataclass(frozen=True, eq=False)
class NestedCalls:
    """What the recipe said, in nested cross-validation, of patients whom it had not seen.

    Parameters
    ----------
    stages
        str, shape (n,): of the reference, one for each patient and repeat.
    probabilities
        float64, shape (n, 4): calibrated, in the cohort's mix of stages.
    answers
        str, shape (n,): values of `modeling.calibration.Osteoporosis`.
    """

    stages: npt.NDArray[Any]
    probabilities: FloatArray
    answers: npt.NDArray[Any]

    def predictive_values(
        self, cohort: Mapping[Stage, float], prevalence: Mapping[Stage, float]
    ) -> PredictiveValues:
        """Say what calls are worth where the stages are as frequent as ``prevalence`` says.

        The most probable stage is that of the probabilities re-weighted for the prevalence, as in
        staging. Sensitivity and specificity are those out of fold; they hold if patients of one
        stage look alike here and in the cohort.

        Parameters
        ----------
        cohort
            Shares of the stages in the cohort.
        prevalence
            Shares of the stages among the patients who are staged.
        """
        shares = np.array([prevalence[stage] for stage in Stage])
        weights = shares / np.array([cohort[stage] for stage in Stage])
        called = (self.probabilities * weights).argmax(axis=1)
        return PredictiveValues(
            {
                stage: self._value(called == k, called != k, np.arange(len(_ORDER)) == k, shares)
                for k, stage in enumerate(Stage)
            },
            self._value(_IS_LATE[called], ~_IS_LATE[called], _IS_LATE, shares),
            self._value(
                self.answers == Osteoporosis.YES, self.answers == Osteoporosis.NO, _IS_LATE, shares
            ),
        )

    def _value(
        self, said: BoolArray, denied: BoolArray, true_stages: BoolArray, shares: FloatArray
    ) -> CallValue:
        own = [self.stages == stage for stage in _ORDER]
        of_said = shares * [float(said[rows].mean()) for rows in own]
        of_denied = shares * [float(denied[rows].mean()) for rows in own]
        return call_value(of_said, of_denied, true_stages)

    def to_csv(self) -> bytes:
        """Write as CSV; rows are sorted, so that none can be told to be a patient of the table."""
        numbers = [[f"{p:.{CALL_DIGITS}f}" for p in row] for row in self.probabilities]
        rows = zip(self.stages, numbers, self.answers, strict=True)
        target = io.StringIO()
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(sorted([stage, *each, answer] for stage, each, answer in rows))
        return target.getvalue().encode()

    @classmethod
    def from_csv(cls, data: bytes) -> "NestedCalls":
        """Read what `to_csv` wrote; ValueError for anything else."""
        header, *rows = csv.reader(io.StringIO(data.decode()))
        if tuple(header) != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
            raise ValueError(f"expected the columns {', '.join(COLUMNS)}")
        stages = np.array([Stage(row[0]).value for row in rows])
        if set(stages) != set(_ORDER):
            raise ValueError("a stage has no row")
        answers = np.array([Osteoporosis(row[-1]).value for row in rows])
        return cls(stages, np.array([row[1:-1] for row in rows], dtype=np.float64), answers)


def call_value(said: FloatArray, denied: FloatArray, true_stages: BoolArray) -> CallValue:
    """Find the predictive values of a call.

    Parameters
    ----------
    said, denied
        float64, shape (4,): of all patients, the share who are of each stage and called so, and of
        each stage and called otherwise.
    true_stages
        bool, shape (4,): of which stages the call is right.

    References
    ----------
    Altman DG, Bland JM. Diagnostic tests 2: predictive values. BMJ 1994,
    doi 10.1136/bmj.309.6947.102.

    Examples
    --------
    Sensitivity .8 and specificity .9 at a prevalence of a tenth:

    >>> said, denied = np.array([0.09, 0, 0, 0.08]), np.array([0.81, 0, 0, 0.02])
    >>> call_value(said, denied, np.array([False, False, True, True]))
    CallValue(positive=0.471, negative=0.976)
    """

    def share(right: float, all_: float) -> float | None:
        return round(right / all_, VALUE_DIGITS) if all_ > 0 else None

    return CallValue(
        share(float(said[true_stages].sum()), float(said.sum())),
        share(float(denied[~true_stages].sum()), float(denied.sum())),
    )
