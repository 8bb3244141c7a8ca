"""The cohort's table: what is read, and what is refused with its place."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from modeling import (
    COHORT_COLUMNS,
    CohortError,
    CohortFormat,
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
    + [("L5", text) for text in ("n/a", "45,1", "inf", "nan", "1e9", "4_5")],
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


@pytest.mark.parametrize("name", ["c.tsv", "c.txt", "c.tab", "c.CSV", "c.parquet", "c.pq", "c.dat"])
def test_every_format_reads_to_the_same_cohort(tmp_path: Path, name: str) -> None:
    frame = synthetic_cohort()
    path = tmp_path / name
    if path.suffix in (".parquet", ".pq", ".dat"):  # Parquet is known by its first bytes as well
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, sep="," if path.suffix == ".CSV" else "\t", index=False)
    pd.testing.assert_frame_equal(read_cohort(path), frame)


def test_parquet_of_other_types_is_read_and_checked_by_row_and_column(tmp_path: Path) -> None:
    frame = synthetic_cohort()
    path = tmp_path / "cohort.parquet"
    typed = frame.astype({"Disease": "category", "Gender": "int64", "Age": "float32"})
    typed.to_parquet(path, index=False)
    pd.testing.assert_frame_equal(read_cohort(path), frame)
    typed.assign(L3=[*["12"] * 4, "x", *["12"] * 55]).to_parquet(path, index=False)
    with pytest.raises(CohortValue, match=r"data row 5, column 'L3'.*found 'x'"):
        read_cohort(path)
    typed.drop(columns="Age").to_parquet(path, index=False)
    with pytest.raises(CohortLayout, match="missing Age"):
        read_cohort(path)


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    frame = synthetic_cohort()
    path = write(frame, tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    pd.testing.assert_frame_equal(read_cohort(path), frame)


def test_quoted_cells_read_as_the_same_cells(tmp_path: Path) -> None:
    frame = synthetic_cohort()
    path = tmp_path / "cohort.csv"
    frame.to_csv(path, index=False, quoting=csv.QUOTE_ALL)
    pd.testing.assert_frame_equal(read_cohort(path), frame)


def text_of(frame: pd.DataFrame, separator: str = "\t") -> bytes:
    return frame.to_csv(sep=separator, index=False).encode()


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("c.tsv", lambda f: text_of(f, ","), CohortLayout, "separated by commas.*says tabs"),
        ("c.csv", lambda f: text_of(f, ";"), CohortLayout, "separated by semicolons.*says commas"),
        ("c.csv", lambda f: text_of(f), CohortLayout, "separated by tabs.*name it .tsv"),
        ("c.xlsx", lambda f: b"PK\x03\x04 zip", CohortFormat, "Excel workbook.*save it as"),
        ("c.csv", lambda f: b"PK\x03\x04 zip", CohortFormat, "Excel workbook"),
        ("c.xls", lambda f: b"\xd0\xcf\x11\xe0", CohortFormat, "old Excel"),
        ("c.ods", lambda f: b"text", CohortFormat, "suffix '.ods': save it as"),
        ("cohort", lambda f: b"text", CohortFormat, "suffix ''"),
        ("c.tsv", lambda f: text_of(f).decode().encode("utf-16"), CohortFormat, "UTF-16"),
        ("c.tsv", lambda f: text_of(f) + b"\xff", CohortFormat, "not UTF-8"),
        ("c.tsv", lambda f: text_of(f).replace(b"\n", b"\r"), CohortFormat, "old Macintosh"),
        ("c.parquet", lambda f: text_of(f), CohortFormat, "named as Parquet but"),
        ("c.parquet", lambda f: b"PAR1 broken PAR1", CohortFormat, "damaged Parquet"),
        ("c.tsv", lambda f: b'"Disease\tGender', CohortLayout, "the header: a quoted cell.*close"),
        (
            "c.csv",
            lambda f: text_of(f, ",").replace(b"\nB,", b'\n"B"x,', 1),
            CohortLayout,
            "data row 16: a quoted cell does not end",
        ),
        (
            "c.csv",
            lambda f: text_of(f, ",").replace(b"55.0", b"55,0", 1),
            CohortLayout,
            "data row 1 has 40 cells instead of 39; decimal commas",
        ),
        (
            "c.tsv",
            lambda f: text_of(f).replace(b"55.0", b"55,0", 1),
            CohortValue,
            "data row 1, column 'Age': expected a number with a decimal point.*'55,0'",
        ),
        ("c.tsv", lambda f: text_of(f).replace(b"\nB", b"\n\nB", 1), CohortLayout, "blank"),
    ],
)
def test_a_foreign_file_is_refused_with_what_was_found_and_what_to_do(
    tmp_path: Path,
    name: str,
    content: Callable[[pd.DataFrame], bytes],
    error: type[CohortError],
    message: str,
) -> None:
    path = tmp_path / name
    path.write_bytes(content(synthetic_cohort()))
    with pytest.raises(error, match=message):
        read_cohort(path)


def test_implausible_values_are_reported_with_their_rows_and_stay() -> None:
    frame = synthetic_cohort()
    frame.loc[[0, 1, 2, 3, 4, 5], "L1"] = 1200.0
    frame.loc[9, "S1"] = 490.0  # the range's own end is plausible
    frame.loc[11, "L5-S1_6"] = -190.5
    frame.loc[12, "Age"] = 49.0
    before = frame.copy()
    findings = cohort_findings(frame)
    assert [f.code for f in findings] == [
        "cohort.age_below_50",
        "cohort.implausible_hu",
        "cohort.implausible_hu",
    ]
    assert "data row 13 (49 years)" in findings[0].message
    assert "L1 outside -139 to 490 HU" in findings[1].message
    assert findings[1].message.endswith("data row 5 (1200 HU) and 1 more")
    assert "L5-S1_6 outside -190 to 150 HU of muscle: data row 12" in findings[2].message
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.shared
def test_the_published_cohort_reads_with_its_one_duplicate(shared_data: Path) -> None:
    cohort = read_cohort(shared_data / "cohort" / "cohort.tsv")
    assert len(cohort) == 444
    findings = cohort_findings(cohort)
    assert [f.code for f in findings] == [
        "cohort.duplicate_row",
        "cohort.age_below_50",
        *["cohort.implausible_hu"] * 6,
    ]
    assert "data row 391 (3029.83 HU)" in findings[2].message
