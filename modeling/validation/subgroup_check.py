"""The main measures by sex, by age, and by columns of the table."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.calibration import pair_name
from modeling.cohort import PatientTable, Sex, Stage
from modeling.evaluation.figures import AGE_BANDS, age_band
from modeling.validation.coverage_check import covered
from modeling.validation.discrimination import few_patients, pair_measure, usable_pairs
from modeling.validation.patient_bootstrap import Measure, PatientDraws, wilson
from modeling.validation.predictions import Predictions
from modeling.validation.weighted_measures import (
    among,
    auroc_of,
    calibration_in_the_large_of,
    mean_measure,
)

__all__ = ["SCANNER_COLUMNS", "subgroup_measures"]

SCANNER_COLUMNS = ("manufacturer", "kernel", "contrast")
"""Columns of the node's results by which patients are parted if the table has them."""

MOST_GROUPS = 12
"""Different values of a column above which it does not part patients into groups."""


def subgroup_measures(
    found: Predictions, table: PatientTable, columns: Sequence[str], draws: PatientDraws
) -> list[dict[str, Any]]:
    """Score each subgroup, or say why not.

    Parameters
    ----------
    found
        The patients with both stages.
    table
        Their table.
    columns
        Own columns that part the patients, beside sex, age and those of `SCANNER_COLUMNS` that
        the table has.
    draws
        Patients drawn again, all of them: a subgroup's size varies as it would.

    Returns
    -------
    list of dict
        JSON-ready: ``by``, ``group``, ``patients`` (by stage), and as far as patients suffice
        ``mean_pair_auroc`` with ``pairs``, ``osteoporosis_auroc``, ``osteoporosis_intercept``
        (calibration in the large), ``coverage``; ``reason`` where something is left out.
    """
    result = []
    for by, name, chosen in _groups(found, table, columns):
        rows = np.flatnonzero(chosen)
        stages = found.stages[rows]
        counts = {s.value: int((stages == s).sum()) for s in Stage}
        entry: dict[str, Any] = {"by": by, "group": name, "patients": counts}
        if len(rows):
            entry |= _measured(found, rows, draws)
        reason = few_patients(counts)
        if reason is not None:
            entry["reason"] = reason
        result.append(entry)
    for column in _parting(table, columns):
        values = {text.strip() for text in table.own[column].iloc[found.rows]}
        if len(values) > MOST_GROUPS:
            reason = f"{len(values)} different values, more than {MOST_GROUPS}: not parted"
            result.append({"by": column, "group": "", "patients": {}, "reason": reason})
    return result


def _measured(
    found: Predictions, rows: npt.NDArray[np.intp], draws: PatientDraws
) -> dict[str, Any]:
    part = found.of(rows)
    pairs = usable_pairs(part.stages)
    measures: dict[str, Measure] = {}
    if pairs:
        measures["mean_pair_auroc"] = mean_measure([pair_measure(part, pair) for pair in pairs])
    yes = int(part.osteoporotic.sum())
    if few_patients({"no": len(rows) - yes, "yes": yes}) is None:
        stated = part.probabilities[:, 2:].sum(axis=1)
        measures["osteoporosis_auroc"] = auroc_of(stated, part.osteoporotic)
        measures["osteoporosis_intercept"] = calibration_in_the_large_of(stated, part.osteoporotic)
    estimates = draws.estimates({name: among(rows, one) for name, one in measures.items()})
    holds = covered(part)
    return {
        "pairs": [pair_name(pair) for pair in pairs],
        **{name: one.to_json() for name, one in estimates.items()},
        "coverage": wilson(int(holds.sum()), len(holds)).to_json(),
    }


def _groups(
    found: Predictions, table: PatientTable, columns: Sequence[str]
) -> Iterator[tuple[str, str, npt.NDArray[np.bool_]]]:
    sexes, ages = table.sex[found.rows], table.age[found.rows]
    for sex in Sex:
        yield "sex", sex.value, sexes == sex.cohort_code
    if np.isnan(sexes).any():
        yield "sex", "unknown", np.isnan(sexes)
    for low, high in AGE_BANDS:
        yield "age", age_band(low, high), (ages >= low) & (ages < high)
    if np.isnan(ages).any():
        yield "age", "unknown", np.isnan(ages)
    for column in _parting(table, columns):
        values = table.own[column].iloc[found.rows].str.strip().to_numpy(dtype=str)
        different = sorted(set(values))
        if len(different) <= MOST_GROUPS:
            for value in different:
                yield column, value or "empty", values == value


def _parting(table: PatientTable, columns: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*(c for c in SCANNER_COLUMNS if c in table.own), *columns]))
