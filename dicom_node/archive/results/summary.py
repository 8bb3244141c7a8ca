"""What the summary page shows, counted while the table is written."""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dicom_node.archive.bookkeeping.series_rows import Outcome, Stage
from dicom_node.archive.results.flow import FlowStep, flow_of
from dicom_node.archive.results.rows import OPEN, ResultRow
from dicom_node.assessment.assessment import COHORT_KVP, SAME_KVP
from modeling.cohort import Sex
from modeling.norms import PERCENTILES, VERTEBRAE, vertebral_percentiles

__all__ = ["Measured", "Reason", "Summary"]

SEXES = {"F": Sex.FEMALE, "M": Sex.MALE}

CONTRAST_SEEN = "acquisition.contrast_seen"
"""Warning of a contrast agent in the blood that no header states."""


@dataclass(frozen=True)
class Reason:
    """Why series were not measured: outcome, code, the reason of the first of them, how many."""

    outcome: str
    code: str
    example: str
    count: int


@dataclass(frozen=True, eq=False)
class Measured:
    """Numbers of the first measured series of each patient at the cohort's tube voltage.

    Parameters
    ----------
    mean_hu
        float64, shape (n, 6): L1 to S1, HU, NaN where missing.
    cohort_hu
        float64, shape (n, 6, 3): the cohort's percentiles (`modeling.norms.PERCENTILES`) of the
        patient's age and sex, HU, NaN where they do not hold.
    age
        float64, shape (n,): years, NaN where unknown.
    sex
        str, shape (n,): F, M or empty.
    scanner
        str, shape (n,): manufacturer and model.
    """

    mean_hu: npt.NDArray[np.float64]
    cohort_hu: npt.NDArray[np.float64]
    age: npt.NDArray[np.float64]
    sex: npt.NDArray[Any]
    scanner: npt.NDArray[Any]


class Summary:
    """Takes the rows of the results batch by batch; keeps some numbers of each measured one."""

    def __init__(self) -> None:
        self.rows = 0
        self.stages: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.l1_categories: Counter[str] = Counter()
        self.warnings: Counter[str] = Counter()
        self.contrast = 0
        self.other_kvp = 0
        self.later_series = 0
        self._states: Counter[tuple[str, Stage]] = Counter()
        self._codes: Counter[tuple[str, str]] = Counter()
        self._examples: dict[tuple[str, str], str] = {}
        self._patients: set[str] = set()
        self._numbers = array("d")
        self._words: list[tuple[str, str]] = []

    def add(self, rows: Sequence[ResultRow]) -> None:
        """Count rows."""
        for row in rows:
            cells = row.cells
            outcome = str(cells["outcome"])
            self.rows += 1
            self._states[outcome, row.stage] += 1
            if outcome not in (Outcome.REPORTED, OPEN):
                key = (outcome, str(cells["code"] or ""))
                self._codes[key] += 1
                self._examples.setdefault(key, str(cells["reason"] or ""))
            if cells["software"]:
                self._add_measured(row)

    @property
    def measured(self) -> int:
        """Series that were measured."""
        return len(self._words) + self.other_kvp + self.later_series

    def flow(self, sends: bool) -> tuple[FlowStep, ...]:
        """The way from listed to reported; see `flow.flow_of`."""
        return flow_of(self._states, self._codes, sends=sends)

    def reasons(self) -> list[Reason]:
        """Why series were not measured or not delivered, the commonest first."""
        return [
            Reason(outcome, code, self._examples[outcome, code], count)
            for (outcome, code), count in self._codes.most_common()
        ]

    def numbers(self) -> Measured:
        """What the figures show."""
        values = np.array(self._numbers, dtype=np.float64).reshape(-1, 1 + len(VERTEBRAE))
        sex = np.array([words[0] for words in self._words], dtype=np.str_)
        cohort = np.full((len(values), len(VERTEBRAE), len(PERCENTILES)), np.nan)
        for row, (age, letter) in enumerate(zip(values[:, 0], sex, strict=True)):
            found = vertebral_percentiles(float(age), SEXES.get(str(letter)))
            if found is not None:
                cohort[row] = [found[name] for name in VERTEBRAE]
        scanner = np.array([words[1] for words in self._words], dtype=np.str_)
        return Measured(values[:, 1:], cohort, values[:, 0], sex, scanner)

    def _add_measured(self, row: ResultRow) -> None:
        cells = row.cells
        self.stages[str(cells["stage"] or "not staged")] += 1
        self.verdicts[str(cells["osteoporosis"] or "not staged")] += 1
        self.l1_categories[str(cells["l1_category"] or "L1 not measured")] += 1
        self.warnings.update(str(cells["warnings"] or "").split())
        patient = str(cells["patient"] or "")
        if patient and patient in self._patients:
            self.later_series += 1
            return
        kvp = cells["kvp"]
        if not isinstance(kvp, float) or abs(kvp - COHORT_KVP) > SAME_KVP:
            self.other_kvp += 1
            return
        self._patients.add(patient)
        seen = CONTRAST_SEEN in str(cells["warnings"] or "").split()
        self.contrast += cells["contrast"] == "yes" or seen
        numbers = (cells[name] for name in ("age", *VERTEBRAE))
        self._numbers.extend(v if isinstance(v, float) else float("nan") for v in numbers)
        sex = str(cells["sex"] or "")
        scanner = f"{cells['manufacturer'] or ''} {cells['model'] or ''}".strip() or "not stated"
        self._words.append((sex if sex in SEXES else "", scanner))
