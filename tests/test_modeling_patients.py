"""A table of any hospital's patients: what is read, and what is refused with its place."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from modeling.cohort import SITE_NAMES, cohort_findings, read_cohort, read_patients
from modeling.errors import (
    CohortDuplicate,
    CohortError,
    CohortLayout,
    CohortUnits,
    CohortValue,
)
from tests.test_modeling_cohort import synthetic_cohort
from tests.validation_tables import patients_frame, written

EACH = {"A": 3, "B": 3, "C": 3, "D": 3}


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet"])
def test_any_subset_of_sites_in_any_order_is_read_with_own_columns(
    tmp_path: Path, name: str
) -> None:
    frame = patients_frame(EACH)
    frame.loc[4, "L1"] = np.nan
    found = read_patients(written(frame, tmp_path / name))
    assert found.site_columns == ("L1", "L2")
    np.testing.assert_array_equal(found.mean_hu[:, 0], frame["L1"])
    np.testing.assert_array_equal(found.mean_hu[:, 1], frame["L2"])
    assert np.isnan(found.mean_hu[:, 2:]).all()
    assert list(found.own) == ["patient", "sex", "age", "ward", "Disease"]
    assert list(found.own["ward"]) == list(frame["ward"])
    np.testing.assert_array_equal(found.age, frame["age"])
    np.testing.assert_array_equal(found.sex, (frame["sex"] == "M").astype(float))
    assert found.stages is not None
    assert "".join(found.stages) == "".join(frame["Disease"])
    assert found.identifiers == tuple(frame["patient"])


def test_the_published_layout_reads_as_by_the_cohort_s_reader(tmp_path: Path) -> None:
    path = written(synthetic_cohort(), tmp_path / "cohort.tsv")
    found = read_patients(path)
    rows, left_out = found.labelled()
    assert left_out == ()
    pd.testing.assert_frame_equal(found.cohort(rows), read_cohort(path))


def changed(**cells: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Put a value into data row 3 of a column."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.astype(object)
        for column, value in cells.items():
            frame.loc[2, column] = value
        return frame

    return change


def renamed(**names: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda frame: frame.rename(columns=names)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (changed(L1="45,1"), CohortValue, "data row 3, column 'L1'.*decimal point.*found '45,1'"),
        (changed(L1="n/a"), CohortValue, "data row 3, column 'L1'.*a number or nothing.*'n/a'"),
        (changed(L1="9e9"), CohortValue, "data row 3, column 'L1'.*within 32768"),
        (changed(age="840"), CohortValue, "data row 3, column 'age'.*up to 120 years.*'840'"),
        (changed(sex="W"), CohortValue, "data row 3, column 'sex'.*found 'W'"),
        (changed(sex="2"), CohortValue, r"data row 3, column 'sex'.*F \(female\)"),
        (changed(Disease="osteopenia"), CohortValue, "column 'Disease'.*A, B, C or D"),
        (changed(patient="P0001"), CohortDuplicate, "data rows 2 and 3, column 'patient'.*'P0001'"),
        (renamed(L1="l1"), CohortLayout, "column 6, 'l1': looks like 'L1'"),
        (renamed(L1="L1 HU"), CohortLayout, "'L1 HU': looks like 'L1'"),
        (renamed(L1="L1_L2_1"), CohortLayout, "'L1_L2_1': looks like 'L1-L2_1'"),
        (renamed(L1="L1-L2_7"), CohortLayout, "'L1-L2_7': no site has that name"),
        (renamed(L1="L6"), CohortLayout, "'L6': no site has that name"),
        (renamed(sex="GENDER"), CohortLayout, "'GENDER': looks like 'Gender'"),
        (renamed(ward="Age"), CohortLayout, "'age' and 'Age' say the same"),
        (renamed(ward=" "), CohortLayout, "column 4 has no name"),
        (lambda f: f.drop(columns=["L1", "L2"]), CohortLayout, "no column is a site: name them"),
        (lambda f: f.iloc[:0], CohortLayout, "holds no patients"),
        (lambda f: f.assign(L1=f.L1 / 1000), CohortUnits, "'L1': all 12 values.*g/cm3.*mean HU"),
        (lambda f: f.assign(L1=f.L1 + 1024), CohortUnits, "'L1': the median of 12.*data row 1 has"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(
    tmp_path: Path,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    error: type[CohortError],
    message: str,
) -> None:
    path = written(change(patients_frame(EACH)), tmp_path / "t.tsv")
    with pytest.raises(error, match=message):
        read_patients(path)


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("L1,L2,L1\n1,2,3\n")
    with pytest.raises(CohortLayout, match="column 3, 'L1': an earlier column has that name"):
        read_patients(path)


def test_asked_columns_must_be_there(tmp_path: Path) -> None:
    path = written(patients_frame(EACH), tmp_path / "t.csv")
    for asked in ({"label": "dxa"}, {"identifier": "dxa"}):
        with pytest.raises(CohortLayout, match="no column is named 'dxa'"):
            read_patients(path, **asked)


def test_a_label_and_an_identifier_of_any_name_are_taken(tmp_path: Path) -> None:
    frame = patients_frame(EACH).rename(columns={"Disease": "dxa", "patient": "mrn"})
    path = written(frame, tmp_path / "t.csv")
    assert read_patients(path).stages is None
    assert read_patients(path).identifiers is None
    found = read_patients(path, label="dxa", identifier="mrn")
    assert found.stages is not None
    assert found.identifiers == tuple(frame["mrn"])


def test_the_node_s_results_read_as_they_are(tmp_path: Path) -> None:
    """A row a series: refused ones have no sites; ``stage`` is the model's, not the reference."""
    frame = patients_frame(EACH).rename(columns={"Disease": "reference"})
    frame = frame.reindex(columns=[*frame.columns, *(n for n in SITE_NAMES if n not in frame)])
    for site in ("L1", "L1-L2_1"):
        frame[f"{site}_sd"], frame[f"{site}_reason"] = 12.0, "too small"
    frame["series_uid"] = [f"1.2.{i}" for i in range(len(frame))]
    frame["stage"], frame["p_A"], frame["reason"] = "A", 0.5, "no L1, L2"
    frame.loc[5, "patient"] = "P0004"  # a second series of that patient
    frame.loc[4, ["L1", "L2"]] = np.nan  # whose first one was refused
    frame.loc[7, "reference"] = None
    frame.loc[9, "patient"] = "P0008"
    path = written(frame, tmp_path / "results.csv")
    assert read_patients(path).stages is None
    rows, left_out = read_patients(path, label="reference").labelled()
    assert list(rows) == [0, 1, 2, 3, 5, 6, 8, 10, 11]
    assert [f.code for f in left_out] == [
        "cohort.no_stage",
        "cohort.nothing_measured",
        "cohort.later_row",
    ]
    assert "1 row (data row 10) of a patient who has an earlier row" in left_out[2].message
    doubled = frame.assign(series_uid="1.2.3")
    with pytest.raises(CohortDuplicate, match="data rows 1 and 2, column 'series_uid'"):
        read_patients(written(doubled, path))


def test_findings_of_a_part_of_a_table_count_the_file_s_rows(tmp_path: Path) -> None:
    frame = patients_frame(EACH)
    frame.loc[0, "Disease"] = None
    frame.loc[8, "L1"] = 1200.0
    found = read_patients(written(frame, tmp_path / "t.csv"))
    rows, _ = found.labelled()
    [finding] = cohort_findings(found.cohort(rows))
    assert finding.message.endswith("data row 9 (1200 HU)")


def test_few_values_do_not_judge_a_unit(tmp_path: Path) -> None:
    frame = patients_frame({"A": 4})
    found = read_patients(written(frame.assign(L1=0.1), tmp_path / "t.csv"))
    assert list(found.mean_hu[:, 0]) == [0.1] * 4
