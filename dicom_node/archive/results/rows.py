"""The rows of the results, read from the database batch by batch."""

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Engine, select

from dicom_node.archive.bookkeeping.screenings import Screening
from dicom_node.archive.bookkeeping.series_rows import Stage
from dicom_node.archive.bookkeeping.tables import QUESTION, SERIES
from dicom_node.archive.results.columns import COLUMNS
from dicom_node.archive.results.pseudonyms import Pseudonyms
from dicom_node.archive.work.measured import MeasuredSeries
from modeling.cohort.reading import MAX_AGE_YEARS
from roi_extraction.sites import SITES

__all__ = ["Cell", "ResultRow", "result_batches"]

RESULTS_AT_ONCE = 1000
"""Rows in memory; the node's database is read between the writes of others."""

OPEN = "open"
"""Outcome of a series whose work is not finished."""

SEXES = ("F", "M", "O")
"""Values of Patient's Sex (PS3.3, C.7.1.1); another counts as unknown."""


Cell = str | float | None


class ResultRow:
    """One row: its cells by column, and how far its series came."""

    def __init__(self, cells: dict[str, Cell], stage: Stage) -> None:
        self.cells = cells
        self.stage = stage


def result_batches(
    database: Engine, screening: Screening, pseudonyms: Pseudonyms | None
) -> Iterator[list[ResultRow]]:
    """Read all rows in the order in which their series were listed.

    Parameters
    ----------
    database
        As `tables.open_screenings` gives it.
    screening
        Whose rows.
    pseudonyms
        What replaces the identifiers; None keeps them.
    """
    last = 0
    joined = SERIES.outerjoin(QUESTION, SERIES.c.question_id == QUESTION.c.id)
    while True:
        asked = (
            select(SERIES, QUESTION.c.own)
            .select_from(joined)
            .where(SERIES.c.screening_id == screening.id, SERIES.c.id > last)
            .order_by(SERIES.c.id)
            .limit(RESULTS_AT_ONCE)
        )
        with database.begin() as connection:
            rows = connection.execute(asked).all()
        if rows:
            yield [_result(row, screening.plan.own_columns, pseudonyms) for row in rows]
        if len(rows) < RESULTS_AT_ONCE:
            return
        last = rows[-1].id


def _result(row: Any, own_columns: tuple[str, ...], pseudonyms: Pseudonyms | None) -> ResultRow:
    listed = json.loads(row.listed)
    age, sex = listed.get("age_years"), listed.get("sex")
    contrast = listed.get("contrast")
    cells: dict[str, Cell] = {column.name: None for column in COLUMNS}
    cells |= {
        "accession": row.accession or listed.get("accession"),
        "patient": row.patient_id or listed.get("patient_id"),
        "study_uid": row.study_uid,
        "series_uid": row.series_uid,
        "study_date": listed.get("study_date"),
        "age": round(age, 2) if age is not None and 0 < age <= MAX_AGE_YEARS else None,
        "sex": sex if sex in SEXES else None,
        **{
            name: listed.get(name)
            for name in ("manufacturer", "model", "kernel", "kvp", "slice_thickness_mm")
        },
        "contrast": None if contrast is None else _yes_or_no(contrast),
        "outcome": row.outcome or OPEN,
        "code": row.code,
        "reason": row.reason,
    }
    if row.measured is not None:
        cells |= _measured(MeasuredSeries.model_validate_json(row.measured))
    if pseudonyms is not None:
        for kind in ("accession", "patient"):
            cells[kind] = pseudonyms.name(kind, str(cells[kind] or ""))
        for kind in ("study", "series"):
            cells[f"{kind}_uid"] = pseudonyms.uid(kind, str(cells[f"{kind}_uid"] or ""))
    own = json.loads(row.own or "{}")
    cells |= {name: own.get(name) for name in own_columns}
    return ResultRow(cells, Stage(row.stage))


def _measured(found: MeasuredSeries) -> dict[str, Cell]:
    cells: dict[str, Cell] = {
        "route": found.route,
        "manufacturer": found.manufacturer,
        "model": found.model,
        "kernel": found.kernel,
        "kvp": found.kvp,
        "slice_thickness_mm": found.slice_thickness_mm,
        "contrast": _yes_or_no(found.contrast),
        "stage": found.stage,
        **{f"p_{letter}": found.probabilities.get(letter) for letter in "ABCD"},
        "prediction_set": found.prediction_set,
        "osteoporosis": found.osteoporosis,
        "l1_category": found.l1_category,
        "warnings": " ".join(found.warnings),
        "software": found.software,
        "model_id": found.model_id,
        "aorta_hu": found.aorta_hu,
        "noise_sd_hu": found.noise_sd_hu,
    }
    sites = zip(SITES, found.mean_hu, found.sd_hu, found.missing, strict=True)
    for site, mean_hu, sd_hu, missing in sites:
        cells[site.name] = mean_hu
        cells[f"{site.name}_sd"] = sd_hu
        cells[f"{site.name}_reason"] = missing
    return cells


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"
