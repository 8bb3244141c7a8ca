"""A study: steps kept whole, taken up again, reported."""

import base64
import hashlib
import json
import re
import sys
from collections.abc import Mapping
from functools import partial
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from dicom_node.cli import app
from dicom_node.commands.study import all_steps
from modeling import without_duplicates
from modeling.errors import StudyFolderForeign, StudyStepUnknown
from modeling.study import (
    Figure,
    StepResult,
    StepStatus,
    StudyInput,
    StudyOutcome,
    StudyStep,
    Table,
    run_study,
)
from modeling.study.cohort_step import COHORT_STEP, group_sizes, missing_values
from modeling.study.folder import json_ready
from modeling.study.report import StepView, readable_duration, readable_number, section_of
from tests.test_modeling_cohort import synthetic_cohort, write


def draw() -> Any:
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(4, 3))
    ax = drawing.subplots()
    ax.plot([0, 1], [0, 1], marker="o", clip_on=True)
    ax.set_xlabel("age (years)")
    return drawing


class Recorder:
    """Makes steps that note when they are run."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.given: dict[str, StudyInput] = {}
        self.broken: set[str] = set()

    def step(self, name: str, needs: tuple[str, ...] = (), **parameters: Any) -> StudyStep:
        def run(given: StudyInput) -> StepResult:
            self.runs.append(name)
            self.given[name] = given
            if name in self.broken:
                raise ArithmeticError("no <solution> found")
            draws = np.random.default_rng(given.seed).normal(size=40)
            frame = pd.DataFrame({"site": [f"L{i}" for i in range(40)], "HU": draws})
            return StepResult(
                "A <b>method</b>.\n\nOf two parts.",
                (f"{name} has p < 0.05 & more",),
                (Table("draws", "Forty draws.", frame),),
                (Figure("line", 'A line, "straight".', draw),),
                {"mean": draws.mean(), "by": {1: np.float64("nan")}},
                {"notes.graphml": b"<graphml/>"},
            )

        return StudyStep(name, f"Title of {name}", run, needs, parameters)


def go(out: Path, *steps: StudyStep, **options: Any) -> StudyOutcome:
    cohort = options.pop("cohort", None)
    cohort = synthetic_cohort(4) if cohort is None else cohort
    return run_study(cohort, out, steps, **{"seed": 1, **options})


def statuses(outcome: StudyOutcome) -> dict[str, str]:
    return {step.name: step.status.value for step in outcome.steps}


def content_of(out: Path) -> Mapping[str, bytes]:
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in ("step.json", "study.json", "report.html")
    }


def test_every_step_gets_its_folder_and_the_manifest_lists_every_file(tmp_path: Path) -> None:
    r = Recorder()
    outcome = go(tmp_path, r.step("one"), r.step("two", ("one",)))
    assert statuses(outcome) == {"one": "done", "two": "done"}
    assert r.given["two"].earlier == {"one": {"mean": pytest.approx(0.0, abs=1), "by": {"1": None}}}
    manifest = json.loads((tmp_path / "study.json").read_text())
    assert manifest["complete"] is True
    on_disk = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert set(manifest["files"]) == on_disk - {"study.json"}
    assert {"01-one/draws.csv", "02-two/line.svg", "02-two/line.png", "report.html"} <= on_disk
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest


def test_the_same_seed_and_cohort_give_the_same_bytes(tmp_path: Path) -> None:
    r = Recorder()
    for name in ("a", "b"):
        go(tmp_path / name, r.step("one"), COHORT_STEP)
    go(tmp_path / "c", r.step("one"), COHORT_STEP, seed=2)
    first, again, other = (content_of(tmp_path / name) for name in "abc")
    assert first == again
    assert first["01-one/draws.csv"] != other["01-one/draws.csv"]


def test_what_holds_is_kept_and_what_depends_on_a_change_is_run_again(tmp_path: Path) -> None:
    r = Recorder()
    first = (r.step("one"), r.step("two", ("one",)), r.step("three"))
    go(tmp_path, *first)
    go(tmp_path, *first, jobs=2)
    assert r.runs == ["one", "two", "three"]
    outcome = go(tmp_path, r.step("one", rounds=7), *first[1:])
    assert statuses(outcome) == {"one": "done", "two": "done", "three": "kept"}
    assert statuses(go(tmp_path, *first, seed=2)) == dict.fromkeys(("one", "two", "three"), "done")
    changed = synthetic_cohort(4)
    changed.loc[:0, "L1"] += 1.0
    outcome = go(tmp_path, *first, seed=2, cohort=changed)
    assert statuses(outcome) == dict.fromkeys(("one", "two", "three"), "done")


def test_a_step_may_be_a_function_bound_to_arguments(tmp_path: Path) -> None:
    def run(rounds: int, given: StudyInput) -> StepResult:
        return StepResult("m", values={"rounds": rounds})

    outcome = go(tmp_path, StudyStep("one", "One", partial(run, 7), parameters={"rounds": 7}))
    assert statuses(outcome) == {"one": "done"}
    assert json.loads((tmp_path / "01-one" / "values.json").read_text()) == {"rounds": 7}


def test_a_damaged_file_makes_its_step_run_again(tmp_path: Path) -> None:
    r = Recorder()
    steps = (r.step("one"), r.step("two"))
    go(tmp_path, *steps)
    (tmp_path / "02-two" / "draws.csv").write_text("cut")
    assert statuses(go(tmp_path, *steps)) == {"one": "kept", "two": "done"}


def test_a_step_that_has_moved_takes_its_folder_along(tmp_path: Path) -> None:
    r = Recorder()
    go(tmp_path, r.step("one"), r.step("two"))
    outcome = go(tmp_path, r.step("zero"), r.step("one"), r.step("two"))
    assert statuses(outcome) == {"zero": "done", "one": "kept", "two": "kept"}
    folders = sorted(p.name for p in tmp_path.iterdir() if p.is_dir())
    assert folders == ["01-zero", "02-one", "03-two"]


def test_an_interruption_leaves_whole_steps_and_the_next_run_goes_on(tmp_path: Path) -> None:
    r = Recorder()

    def interrupted(given: StudyInput) -> StepResult:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, r.step("one"), StudyStep("two", "Two", interrupted))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["01-one", "study.json"]
    (tmp_path / ".unfinished-x").mkdir()  # as a killed process leaves it
    outcome = go(tmp_path, r.step("one"), r.step("two"))
    assert statuses(outcome) == {"one": "kept", "two": "done"}
    assert not (tmp_path / ".unfinished-x").exists()


def test_an_interruption_while_writing_leaves_nothing_half_done(tmp_path: Path) -> None:
    def broken_off() -> Any:
        raise KeyboardInterrupt

    figure = Figure("line", "A line.", broken_off)
    table = Table("rows", "Rows.", pd.DataFrame({"a": [1]}))
    step = StudyStep("one", "One", lambda given: StepResult("m", (), (table,), (figure,)))
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, step)
    assert [p.name for p in tmp_path.iterdir()] == ["study.json"]


def test_a_step_that_fails_stops_only_those_that_need_it(tmp_path: Path) -> None:
    r = Recorder()
    steps = (r.step("one"), r.step("two", ("one",)), r.step("three"))
    r.broken.add("one")
    outcome = go(tmp_path, *steps)
    assert statuses(outcome) == {"one": "failed", "two": "blocked", "three": "done"}
    assert [step.name for step in outcome.failed] == ["one", "two"]
    assert "ArithmeticError: no <solution> found" in str(outcome.steps[0].reason)
    page = (tmp_path / "report.html").read_text()
    assert "ArithmeticError: no &lt;solution&gt; found" in page
    assert json.loads((tmp_path / "study.json").read_text())["complete"] is False
    r.broken.clear()
    assert statuses(go(tmp_path, *steps)) == {"one": "done", "two": "done", "three": "kept"}


def test_only_the_asked_steps_and_their_needs_are_run(tmp_path: Path) -> None:
    r = Recorder()
    steps = (r.step("one"), r.step("two", ("one",)), r.step("three"))
    outcome = go(tmp_path, *steps, only=["two"])
    assert statuses(outcome) == {"one": "done", "two": "done", "three": "not run"}
    assert outcome.failed == ()
    with pytest.raises(StudyStepUnknown, match="no step four; there are one, two, three"):
        go(tmp_path, *steps, only=["four"])
    outcome = go(tmp_path, *steps, only=["three"], seed=2)
    assert statuses(outcome) == {"one": "not run", "two": "not run", "three": "done"}
    assert "another cohort, seed or version" in str(outcome.steps[0].reason)
    assert "01-one/draws.csv" not in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("content", [None, "{}", '{"schema": "other/1"}', "no json"])
def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path, content: str | None) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    if content is not None:
        (tmp_path / "study.json").write_text(content)
    with pytest.raises(StudyFolderForeign, match="give another"):
        go(tmp_path, COHORT_STEP)
    assert len(list(tmp_path.iterdir())) == (1 if content is None else 2)


def test_steps_out_of_order_or_of_one_name_are_a_programming_error(tmp_path: Path) -> None:
    r = Recorder()
    with pytest.raises(ValueError, match="before one, which it needs"):
        go(tmp_path, r.step("two", ("one",)), r.step("one"))
    with pytest.raises(ValueError, match="two steps are named 'one'"):
        go(tmp_path, r.step("one"), r.step("one"))


@pytest.mark.parametrize("name", ["../evil", "a/b", ".hidden", ""])
def test_a_file_name_that_leaves_the_folder_fails_its_step(tmp_path: Path, name: str) -> None:
    step = StudyStep("one", "One", lambda given: StepResult("m", files={name: b""}))
    outcome = go(tmp_path / "out", step)
    assert outcome.steps[0].status is StepStatus.FAILED
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


class Page(HTMLParser):
    """Collects what a page refers to and how it is built."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.seen if name == tag]


def test_the_report_needs_no_network_and_no_script(tmp_path: Path) -> None:
    r = Recorder()
    go(tmp_path, COHORT_STEP, r.step("one"), r.step("two"), source="<my cohort>.tsv")
    text = (tmp_path / "report.html").read_text()
    page = Page(text)
    assert not page.all("script") + page.all("link") + page.all("iframe")
    assert "http:" not in text.replace("http://www.w3.org", "")
    assert "https:" not in text
    ids = [attrs["id"] for _, attrs in page.seen if "id" in attrs]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        href = str(link["href"])
        assert href[1:] in ids if href.startswith("#") else (tmp_path / href).is_file()
    images = page.all("img")
    assert len(images) == 3
    for image in images:
        assert image["alt"]
        kind, _, content = str(image["src"]).partition(";base64,")
        assert kind == "data:image/svg+xml"
        assert b"<svg" in base64.b64decode(content)
    assert all(attrs.get("scope") in ("col", "row") for attrs in page.all("th"))
    headings = [int(tag[1]) for tag, _ in page.seen if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(headings))
    assert "&lt;my cohort&gt;.tsv" in text
    assert "A &lt;b&gt;method&lt;/b&gt;." in text
    assert "not a medical device" in text.lower()
    assert text.count("Rows 11 to 40 of 40") == 2


def test_a_heavy_figure_is_shown_as_png(tmp_path: Path) -> None:
    def heavy() -> Any:
        drawing = draw()
        points = np.random.default_rng(0).normal(size=(2, 6000))
        drawing.axes[0].scatter(*points)
        return drawing

    step = StudyStep(
        "one", "One", lambda given: StepResult("m", figures=(Figure("f", "Noise.", heavy),))
    )
    go(tmp_path, step)
    assert (tmp_path / "01-one" / "f.svg").stat().st_size > 400_000
    sources = [
        str(image["src"]) for image in Page((tmp_path / "report.html").read_text()).all("img")
    ]
    assert [source.partition(";")[0] for source in sources] == ["data:image/png"]


def test_a_long_cell_is_cut_on_the_page_and_whole_in_the_csv(tmp_path: Path) -> None:
    formula = " + ".join(f"0.5 * [L{i}]" for i in range(80))
    table = Table("formulas", "Formulas.", pd.DataFrame({"formula": [formula]}))
    go(tmp_path, StudyStep("one", "One", lambda given: StepResult("m", tables=(table,))))
    page = (tmp_path / "report.html").read_text()
    assert formula[:100] in page
    assert formula not in page
    assert formula in (tmp_path / "01-one" / "formulas.csv").read_text()


def test_the_cohorts_findings_stand_in_the_report_the_values_and_the_manifest(
    tmp_path: Path,
) -> None:
    frame = synthetic_cohort(4)
    frame.loc[3, "L2"] = 2000.0
    doubled = pd.concat([frame, frame.iloc[[0]]], ignore_index=True)
    go(tmp_path, COHORT_STEP, cohort=doubled)
    values = json.loads((tmp_path / "01-cohort" / "values.json").read_text())
    manifest = json.loads((tmp_path / "study.json").read_text())
    assert values["patients"] == 16
    assert values["findings"] == manifest["cohort"]["findings"]
    assert [f["code"] for f in values["findings"]] == [
        "cohort.duplicate_row",
        "cohort.implausible_hu",
    ]
    page = (tmp_path / "report.html").read_text()
    assert "data rows 1 and 17 are equal" in page
    assert "L2 outside -139 to 490 HU of trabecular bone: data row 4 (2000 HU)" in page


def test_group_sizes_and_missing_values_count_what_is_there() -> None:
    frame = without_duplicates(synthetic_cohort(5))
    sizes = group_sizes(frame)[["stage", "sex", "patients"]]
    for stage, sex, count in sizes.itertuples(index=False):
        of_stage = True if stage == "all" else frame["Disease"] == stage
        of_sex = True if sex == "all" else frame["Gender"] == (sex == "male")
        assert count == (of_stage & of_sex & frame["Age"].notna()).sum()
    missing = missing_values(frame).set_index("column")
    assert missing.loc["L1-L2_3", "missing"] == 3
    assert missing.loc["L1-L2_3", "missing (%)"] == 15.0
    assert missing["missing"].sum() == frame.isna().sum().sum()


def test_values_become_plain_json_or_are_refused() -> None:
    found = json_ready({"a": np.arange(2), "b": (np.float32(0.5), np.nan, np.bool_(True)), 3: None})
    assert found == {"a": [0, 1], "b": [0.5, None, True], "3": None}
    with pytest.raises(TypeError, match="set does not go into JSON"):
        json_ready({"a": {1}})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0.00012345", "0.0001234"),
        ("0.000012345", "1.2e-05"),
        ("-12345.6", "-12346"),
        ("1e-300", "1e-300"),
        ("E", "E"),
        ("1.5.2", "1.5.2"),
        ("inf.", "inf."),
        ("", ""),
    ],
)
def test_numbers_are_shortened_for_reading_only_where_they_are_numbers(
    text: str, shown: str
) -> None:
    assert readable_number(text) == shown


def test_a_duration_never_says_sixty_seconds() -> None:
    told = [readable_duration(seconds) for seconds in (None, 59.94, 59.97, 119.9, 125.0)]
    assert told == ["", "59.9 s", "1 min 0 s", "2 min 0 s", "2 min 5 s"]


def test_the_command_lists_runs_and_refuses(tmp_path: Path) -> None:
    path, run = write(synthetic_cohort(4), tmp_path), CliRunner().invoke
    listed = run(app, ["study", "--list"])
    assert [line.split()[0] for line in listed.output.splitlines()] == [s.name for s in all_steps()]
    words = ["study", str(path), "-o", str(tmp_path / "out"), "--only", "cohort, cohort"]
    assert run(app, words).exit_code == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert [word for word in (str(tmp_path), sys.prefix) if word in page] == []
    assert run(app, ["study", str(path)]).exit_code == 2
    assert run(app, ["study", str(tmp_path / "absent.tsv"), "-o", "x"]).exit_code == 2
    assert run(app, ["study", str(path), "-o", str(tmp_path)]).exit_code == 2
    assert run(app, [*words, "--only", "nothing"]).exit_code == 2
    path.write_text("not a cohort")
    assert run(app, words).exit_code == 2


def test_the_command_offers_the_published_analysis_in_an_order_that_can_be_run() -> None:
    names = [step.name for step in all_steps()]
    wanted = "cohort characteristics comparison roc projection correlation linear elimination"
    wanted += " stacking four-class shap network"
    assert set(wanted.split()) <= set(names)
    assert len(set(names)) == len(names)
    for step in all_steps():
        assert set(step.needs) <= set(names[: names.index(step.name)])
        assert set(json_ready(step.parameters)) == set(step.parameters)


def test_the_command_ends_with_3_when_a_step_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    r = Recorder()
    r.broken.add("one")
    monkeypatch.setattr(
        "dicom_node.commands.study.all_steps", lambda _: (r.step("one"), COHORT_STEP)
    )
    path = write(synthetic_cohort(4), tmp_path)
    result = CliRunner().invoke(app, ["study", str(path), "-o", str(tmp_path / "out")])
    assert result.exit_code == 3
    assert "without results: one" in result.output


def test_the_command_checks_a_cohort(tmp_path: Path) -> None:
    frame = synthetic_cohort(4)
    frame.loc[1, "Age"] = 31.0
    path, run = write(frame, tmp_path), CliRunner().invoke
    result = run(app, ["cohort", "check", str(path)])
    assert result.exit_code == 0
    assert "data row 2 (31 years) [cohort.age_below_50]" in result.output
    path.write_text("nothing")
    result = run(app, ["cohort", "check", str(path)])
    assert result.exit_code == 2
    assert "[model.cohort_layout]" in result.output


def test_a_figure_and_the_ends_of_its_interval_share_a_column_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "01-roc").mkdir()
    rows = (
        "L1-L2_1,mean_auroc,mean_auroc_low,mean_auroc_high,n from,p,p from,p to",
        "L1,.5,.4,.6,9,1,0,2",
        "L2,.7,,,8,1,0,",
    )
    (tmp_path / "01-roc" / "areas.csv").write_text("\n".join(rows))
    record = {"tables": [{"name": "areas", "caption": "Areas."}]}
    view = StepView("roc", "Sites", "01-roc", StepStatus.DONE, 1.0, None, record)
    (table,) = section_of(view, tmp_path)["tables"]
    assert table["header"] == ["L1-L2_1", "mean auroc", "n from", "p"]
    assert table["kinds"] == ["short", "num", "num", "num"]
    assert table["first"] == [["L1", "0.5 [0.4, 0.6]", "9", "1 [0, 2]"], ["L2", "0.7", "8", "1"]]
