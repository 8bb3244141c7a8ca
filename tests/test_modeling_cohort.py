"""The cohort's table: what is read, and what is refused with its place."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from modeling import (
    COHORT_COLUMNS,
    CohortLayout,
    CohortValue,
    Stage,
    cohort_findings,
    cohort_sha256,
    read_cohort,
    without_duplicates,
)


def synthetic_cohort(per_stage: int = 15, seed: int = 0) -> pd.DataFrame:
    """Patients whose bone loses 40 HU a stage; no real patient."""
    rng = np.random.default_rng(seed)
    rows = []
    for step, stage in enumerate(Stage):
        for _ in range(per_stage):
            bone = rng.normal(190 - 40 * step, 15) + rng.normal(0, 8, 6)
            muscle = rng.normal(45 - 5 * step, 6) + rng.normal(0, 5, 30)
            rows.append([stage.value, float(rng.integers(2)), 55.0 + 5 * step, *bone, *muscle])
    frame = pd.DataFrame(rows, columns=list(COHORT_COLUMNS))
    frame.loc[::7, "L1-L2_3"] = np.nan
    return frame


def write(frame: pd.DataFrame, folder: Path) -> Path:
    path = folder / "cohort.tsv"
    frame.to_csv(path, sep="\t", index=False)
    return path


def test_a_written_cohort_reads_back_equal(tmp_path: Path) -> None:
    frame = synthetic_cohort()
    found = read_cohort(write(frame, tmp_path))
    pd.testing.assert_frame_equal(found, frame)
    assert cohort_sha256(found) == cohort_sha256(frame)


@pytest.mark.parametrize(
    ("column", "text"),
    [("Disease", "E"), ("Disease", ""), ("Gender", "2"), ("Age", "-4"), ("Age", "150")]
    + [("L5", text) for text in ("n/a", "45,1", "inf", "nan", "1e9")],
)
def test_a_bad_cell_is_refused_with_row_and_column(tmp_path: Path, column: str, text: str) -> None:
    frame = synthetic_cohort().astype(object)
    frame.loc[2, column] = text
    path = tmp_path / "cohort.tsv"
    frame.to_csv(path, sep="\t", index=False)
    with pytest.raises(CohortValue, match=f"data row 3, column '{column}'") as caught:
        read_cohort(path)
    assert (caught.value.row, caught.value.column) == (3, column)


def test_missing_and_unknown_columns_are_named(tmp_path: Path) -> None:
    frame = synthetic_cohort().rename(columns={"L5": "L6"})
    with pytest.raises(CohortLayout, match="missing L5; unknown 'L6'") as caught:
        read_cohort(write(frame, tmp_path))
    assert (caught.value.missing, caught.value.unknown) == (("L5",), ("L6",))


def test_a_permuted_column_order_is_refused(tmp_path: Path) -> None:
    columns = list(COHORT_COLUMNS)
    columns[3], columns[4] = columns[4], columns[3]
    with pytest.raises(CohortLayout, match="column 4 is 'L2'"):
        read_cohort(write(synthetic_cohort()[columns], tmp_path))


@pytest.mark.parametrize("text", ["", "\t".join(COHORT_COLUMNS), "\t".join(COHORT_COLUMNS) + "\nA"])
def test_a_table_without_whole_rows_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cohort.tsv"
    path.write_text(text)
    with pytest.raises(CohortLayout):
        read_cohort(path)


def test_a_repeated_patient_is_reported_and_left_out() -> None:
    frame = synthetic_cohort()
    doubled = pd.concat([frame, frame.iloc[[7]]], ignore_index=True)
    assert [f.message for f in cohort_findings(doubled)] == ["data rows 8 and 61 are equal"]
    assert cohort_findings(frame) == ()
    pd.testing.assert_frame_equal(without_duplicates(doubled), frame)


@pytest.mark.shared
def test_the_published_cohort_reads_with_its_one_duplicate(shared_data: Path) -> None:
    cohort = read_cohort(shared_data / "cohort" / "cohort.tsv")
    assert len(cohort) == 444
    assert [f.code for f in cohort_findings(cohort)] == ["cohort.duplicate_row"]
