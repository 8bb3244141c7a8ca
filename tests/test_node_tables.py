"""The commands that take a table of patients: ``stage``, ``validate`` and ``study``."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from dicom_node.cli import app
from modeling import Sex, Stager, load_bundle
from modeling.cohort import SITE_NAMES
from modeling.study import StepResult, StudyInput, StudyStep
from modeling.study.cohort_step import COHORT_STEP
from modeling.validation.staged_table import ANSWER_COLUMNS
from tests.test_modeling_cohort import synthetic_cohort
from tests.validation_tables import patients_frame, whole_frame, written

run = CliRunner().invoke


def test_a_table_is_staged_row_by_row_with_its_own_columns(tmp_path: Path) -> None:
    frame = whole_frame(6).sample(frac=1.0, axis="columns", random_state=3)
    frame["note"] = ["plain", "with, comma", 'with "quotes"', "", "x", "y"]
    frame["stage"] = "old"
    frame.loc[2, list(SITE_NAMES[:3])] = None
    path = written(frame, tmp_path / "table.csv")
    for name in ("one", "two"):
        assert run(app, ["stage", str(path), "-o", str(tmp_path / name)]).exit_code == 0
    content = (tmp_path / "one" / "stages.csv").read_bytes()
    assert content == (tmp_path / "two" / "stages.csv").read_bytes()
    with (tmp_path / "one" / "stages.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    own = [name for name in frame if name not in SITE_NAMES and name != "stage"]
    assert list(rows[0]) == [*own, *ANSWER_COLUMNS]
    assert [row["id"] for row in rows] == list(frame["id"])
    assert [row["note"] for row in rows] == list(frame["note"])
    stager = Stager(load_bundle())
    for row, values in zip(rows, frame[list(SITE_NAMES)].to_numpy(dtype=float), strict=True):
        wanted = stager.stage(values, 60.0, Sex.FEMALE)
        assert row["stage"] == (wanted.predicted or "")
        assert row["prediction_set"] == "".join(wanted.prediction_set)
        assert row["abstained"] == (wanted.abstained or "")
        assert row["model_id"] == wanted.model_id
        for stage, probability in wanted.probabilities.items():
            assert float(row[f"p_{stage}"]) == pytest.approx(probability, abs=1e-6)
        assert row["osteoporosis"] == (wanted.osteoporosis or "")
    assert rows[2]["p_A"] == ""
    assert "3 of 6 vertebrae measured" in rows[2]["abstained"]
    assert {row["intended_use"] for row in rows} == {"research use only, not a medical device"}


def test_osteoporosis_in_a_table_is_the_report_s_and_not_the_set_s(tmp_path: Path) -> None:
    stager = Stager(load_bundle())
    frame = whole_frame(40)
    wanted = [
        stager.stage(values, 60.0, Sex.FEMALE)
        for values in frame[list(SITE_NAMES)].to_numpy(dtype=float)
    ]
    path = written(frame, tmp_path / "table.csv")
    assert run(app, ["stage", str(path), "-o", str(tmp_path)]).exit_code == 0
    table = pd.read_csv(tmp_path / "stages.csv", keep_default_na=False)
    assert list(table["osteoporosis"]) == [str(one.osteoporosis) for one in wanted]
    by_set = table["prediction_set"].map(
        lambda letters: {(True, False): "no", (False, True): "yes"}.get(
            (bool(set("AB") & set(letters)), bool(set("CD") & set(letters))), "undetermined"
        )
    )
    assert (by_set != table["osteoporosis"]).any()


def test_the_suffix_of_out_chooses_the_format(tmp_path: Path) -> None:
    path = written(whole_frame(2), tmp_path / "table.tsv")
    for name in ("s.parquet", "s.tsv", "s.csv"):
        assert run(app, ["stage", str(path), "-o", str(tmp_path / name)]).exit_code == 0
    parquet = pd.read_parquet(tmp_path / "s.parquet")
    text = pd.read_csv(tmp_path / "s.csv", dtype={"id": str}, keep_default_na=False)
    assert list(parquet) == list(text)
    assert list(parquet["p_A"]) == list(text["p_A"])
    assert len((tmp_path / "s.tsv").read_text().splitlines()[0].split("\t")) == len(list(text))
    before = path.read_bytes()
    result = run(app, ["stage", str(path), "-o", str(path)])
    assert (result.exit_code, path.read_bytes()) == (2, before)


def test_a_table_that_cannot_be_read_ends_with_2_and_its_place(tmp_path: Path) -> None:
    frame = whole_frame(3).astype(object)
    frame.loc[1, "L3"] = "120,5"
    path = written(frame, tmp_path / "table.tsv")
    for command in ("stage", "validate"):
        result = run(app, [command, str(path), "-o", str(tmp_path / "out")])
        assert result.exit_code == 2
        assert "data row 2, column 'L3'" in result.output
        assert "[model.cohort_value]" in result.output
        assert run(app, [command, str(tmp_path / "absent"), "-o", "x"]).exit_code == 2
    assert not (tmp_path / "out").exists()


def test_a_labelled_table_is_validated_by_the_built_in_model(tmp_path: Path) -> None:
    path = written(whole_frame(24), tmp_path / "table.csv")
    out, copy = tmp_path / "out", tmp_path / "copy.json"
    words = ["validate", str(path), "-o", str(out), "--no-offset", "--bootstraps", "100"]
    result = run(app, [*words, "--json", str(copy)])
    assert result.exit_code == 0, result.output
    assert "research use only" in result.output
    found = json.loads(copy.read_text())
    assert copy.read_bytes() == (out / "validation.json").read_bytes()
    assert found["model_id"] == load_bundle().model_id
    assert set(found["pairs"]) == {"A/B", "A/C", "A/D", "B/C", "B/D", "C/D"}
    assert found["osteoporosis"]["n"] == [12, 12]
    assert found["recalibrated"]["offset"]["reason"] == "not asked for"
    assert run(app, [*words, "--label", "dxa"]).exit_code == 2
    assert run(app, [*words, "--json", str(tmp_path)]).exit_code == 2
    assert run(app, ["validate", str(path), "-o", str(tmp_path)]).exit_code == 2


def test_a_study_of_another_layout_skips_what_cannot_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modeling.cohort import features_of

    def four_stages(given: StudyInput) -> StepResult:
        features_of(given.cohort)
        return StepResult("four stages")

    steps = (
        COHORT_STEP,
        StudyStep("four", "Four stages", four_stages),
        StudyStep("later", "Later", four_stages, needs=("four",)),
    )
    monkeypatch.setattr("dicom_node.commands.study.all_steps", lambda _: steps)
    path = written(patients_frame({"A": 4, "C": 4}), tmp_path / "table.csv")
    result = run(app, ["study", str(path), "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "skipped: Four stages, Later" in result.output
    manifest = json.loads((tmp_path / "out" / "study.json").read_text())
    assert manifest["complete"] is True
    assert [(s["status"], s["reason"]) for s in manifest["steps"]] == [
        ("done", None),
        ("skipped", "the cohort has no patient of stage B, D"),
        ("skipped", "it needs four, without results"),
    ]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "This cohort has too little for some steps" in page
    assert 'class="notice failure"' not in page


def test_a_study_tells_which_rows_were_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.commands.study.all_steps", lambda _: (COHORT_STEP,))
    frame = synthetic_cohort(4).rename(columns={"Disease": "dxa"})
    frame.loc[2, "dxa"] = None
    path = written(frame, tmp_path / "table.csv")
    out = str(tmp_path / "out")
    assert run(app, ["study", str(path), "-o", out]).exit_code == 2
    assert run(app, ["study", str(path), "-o", out, "--label", "dxa"]).exit_code == 0
    manifest = json.loads((tmp_path / "out" / "study.json").read_text())
    assert manifest["cohort"]["patients"] == 15
    assert "data row 3" in manifest["cohort"]["findings"][0]["message"]


def test_the_commands_import_nothing_heavy_until_they_run() -> None:
    code = (
        "import sys, dicom_node.commands.tables; "
        "print([n for n in ('pandas', 'sklearn', 'matplotlib', 'modeling') if n in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
