"""A table of patients with the model's answer beside each, as CSV, TSV or Parquet."""

import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from modeling.cohort import PatientTable, Stage
from modeling.cohort.table import PARQUET_SUFFIXES, TEXT_SEPARATORS
from modeling.files import write_whole
from modeling.staging import StagePrediction
from modeling.validation.predictions import RESEARCH_USE

__all__ = ["ANSWER_COLUMNS", "STAGED_FILE", "staged_file", "staged_table", "write_staged_table"]

STAGED_FILE = "stages.csv"
"""Name of the file in a folder."""

PROBABILITY_DIGITS = 6
"""Decimals of a probability: more than 300 trees resolve."""

ANSWER_COLUMNS = (
    "stage", *(f"p_{stage.value}" for stage in Stage), "prediction_set", "osteoporosis",
    "abstained", "findings", "novelty_percentile", "model_id", "intended_use",
)  # fmt: skip
"""The columns that are added; a table's own columns of these names are replaced."""


def staged_table(table: PatientTable, found: Sequence[StagePrediction]) -> pd.DataFrame:
    """Put the answers beside the table's own columns; sites are left out.

    Parameters
    ----------
    table
        What was staged.
    found
        One for each row.

    Returns
    -------
    DataFrame
        The table's columns that are no site, as text, in its order; then `ANSWER_COLUMNS`.
    """
    own = table.own.drop(columns=[name for name in ANSWER_COLUMNS if name in table.own])
    answers = pd.DataFrame([_answer(one) for one in found], columns=list(ANSWER_COLUMNS))
    return pd.concat([own, answers], axis="columns")


def staged_file(out: Path) -> Path:
    """Say which file is written: ``out`` itself by its suffix, or `STAGED_FILE` in that folder."""
    suffixes = (*TEXT_SEPARATORS, *PARQUET_SUFFIXES)
    return out if out.suffix.lower() in suffixes and not out.is_dir() else out / STAGED_FILE


def write_staged_table(frame: pd.DataFrame, path: Path) -> None:
    """Write by suffix; the same table and model give the same bytes."""
    suffix = path.suffix.lower()
    if suffix in PARQUET_SUFFIXES:
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        content = buffer.getvalue()
    else:
        text = frame.to_csv(index=False, lineterminator="\n", sep=TEXT_SEPARATORS[suffix])
        content = text.encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)


def _answer(found: StagePrediction) -> dict[str, object]:
    novelty = found.novelty_percentile
    return {
        "stage": "" if found.predicted is None else found.predicted.value,
        **{
            f"p_{stage.value}": round(found.probabilities[stage], PROBABILITY_DIGITS)
            if found.predicted is not None
            else None
            for stage in Stage
        },
        "prediction_set": "".join(stage.value for stage in found.prediction_set),
        "osteoporosis": found.osteoporosis or "",
        "abstained": found.abstained or "",
        "findings": "; ".join(f"{f.code}: {f.message}" for f in found.findings),
        "novelty_percentile": None if novelty is None else round(novelty, 1),
        "model_id": found.model_id,
        "intended_use": RESEARCH_USE,
    }
