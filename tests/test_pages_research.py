"""The researcher's pages: cohorts, scanners and the model."""

import csv
import io
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from dicom_node.archive.bookkeeping.overview import screenings_overview
from dicom_node.archive.bookkeeping.screenings import Question, ScreeningPlan, Screenings
from dicom_node.archive.bookkeeping.tables import SERIES
from dicom_node.archive.sources import SeriesFilter
from dicom_node.pages.app import close_pages
from dicom_node.pages.research.chart import chart_figure
from dicom_node.pages.research.cohort_results import file_of
from dicom_node.pages.research.markdown import markdown_html
from dicom_node.records.followed_studies import follow_study
from modeling import load_bundle
from modeling.drift.control_chart import control_chart
from tests.page_client import Browser, audit_records, make_app
from tests.test_node_scanner_drift import report

MARKUP = "<script>alert(1)</script>"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    made = make_app(tmp_path, ("jane", "reader"), ("rose", "researcher"), ("adam", "administrator"))
    yield made
    close_pages(made)


@pytest.fixture
def rose(app: FastAPI) -> Browser:
    browser = Browser(app)
    browser.sign_in("rose")
    return browser


def screening(app: FastAPI, name: str = "spines", own: tuple[str, ...] = ()) -> sa.Engine:
    """A screening with a row for each of some outcomes."""
    engine: sa.Engine = app.state.database.engine
    plan = ScreeningPlan(source=f"folder:/archive/{MARKUP}", own_columns=own)
    made = Screenings(engine).create(name, plan, [Question(SeriesFilter(), {"who": "Jane Doe"})])
    rows = [
        ("reported", "reported", None, None), ("assessed", "refused", "series.kvp", f"at {MARKUP}"),
        ("assessed", "refused", "series.kvp", "at 80 kVp"), ("listed", None, None, None),
        ("screened", "excluded", "series.localizer", "a scout"),
    ]  # fmt: skip
    with engine.begin() as connection:
        for number, (stage, outcome, code, reason) in enumerate(rows):
            values = {
                "screening_id": made.id, "question_id": 1, "series_uid": f"1.2.{number}",
                "study_uid": "1.2", "stage": stage, "outcome": outcome, "code": code,
                "reason": reason, "patient_id": "PAT-4711", "accession": "ACC-4711",
            }  # fmt: skip
            connection.execute(sa.insert(SERIES).values(values))
    return engine


def test_roles(app: FastAPI) -> None:
    screening(app)
    reader = Browser(app)
    reader.sign_in("jane")
    for path in ("/cohorts", "/cohorts/spines", "/scanners", "/scanners.csv"):
        assert reader.get(path).status == 403
    token = reader.get("/account").form_token
    assert reader.post("/cohorts/spines/pause", {"csrf": token}).status == 403
    for name in ("jane", "rose", "adam"):
        browser = Browser(app)
        browser.sign_in(name)
        assert browser.get("/model").status == 200


def test_screenings_are_listed_and_shown_without_path_patient_or_markup(
    app: FastAPI, rose: Browser
) -> None:
    engine = screening(app)
    found = screenings_overview(engine)[0]
    assert (found.listed, found.open, found.outcomes["refused"], found.state) == (5, 1, 2, "stands")
    Screenings(engine).create(MARKUP, ScreeningPlan(source="dimse:pacs"), [])
    listed = rose.get("/cohorts").text
    assert "&lt;script&gt;" in listed
    shown = rose.get("/cohorts/spines").text
    assert "at &lt;script&gt;" in shown
    for text in (listed, shown):
        assert MARKUP not in text
        assert "/archive" not in text
        assert "4711" not in text
    assert "series.kvp" in shown
    assert "refused by the rules" in shown


def test_pause_and_resume_need_the_token_and_are_recorded(
    app: FastAPI, rose: Browser, tmp_path: Path
) -> None:
    engine = screening(app)
    token = rose.get("/cohorts/spines").form_token
    assert rose.post("/cohorts/spines/pause", {"csrf": "0"}).status == 403
    assert not Screenings(engine).get("spines").paused
    answer = rose.post("/cohorts/spines/pause", {"csrf": token})
    assert answer.location == "/cohorts/spines?said=paused"
    assert Screenings(engine).get("spines").paused
    assert "'pause'" in str(audit_records(tmp_path)[-1])
    rose.post("/cohorts/spines/resume", {"csrf": token})
    assert not Screenings(engine).get("spines").paused
    assert rose.post("/cohorts/other/pause", {"csrf": token}).status == 404


def test_results_hold_pseudonyms_alone(app: FastAPI, rose: Browser, tmp_path: Path) -> None:
    screening(app, own=("who",))
    assert rose.get("/cohorts/spines/results/results.csv").status == 404
    token = rose.get("/cohorts/spines").form_token
    answer = rose.post("/cohorts/spines/results", {"csrf": token})
    assert answer.location == "/cohorts/spines?said=written"
    table = rose.get("/cohorts/spines/results/results.csv")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert len(rows) == 5
    assert "4711" not in table.text
    assert "Jane" not in table.text
    assert len({row["patient"] for row in rows}) == 1
    assert rose.get("/cohorts/spines/results/results.parquet").content[:4] == b"PAR1"
    assert rose.get("/cohorts/spines/results/data_dictionary.csv").status == 200
    summary = rose.get("/cohorts/spines/results/summary.html")
    assert "sandbox" in summary.headers["content-security-policy"]
    assert "script-src" not in summary.headers["content-security-policy"]
    assert MARKUP not in summary.text
    key = tmp_path / "pseudonyms.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert "results.csv" in str(audit_records(tmp_path))


def test_paths_lead_nowhere(app: FastAPI, rose: Browser, tmp_path: Path) -> None:
    engine = screening(app)
    for file in ("..%2f..%2fpseudonyms.key", "pseudonyms.key", "..", "%2e%2e"):
        assert rose.get(f"/cohorts/spines/results/{file}").status == 404
    assert rose.get("/cohorts/..%2f..").status == 404
    Screenings(engine).create("..", ScreeningPlan(source="dimse:pacs"), [])
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "results.csv").write_text("secret")
    assert file_of(app.state.settings, "..", "results.csv") is None
    token = rose.get("/cohorts/spines").form_token
    assert rose.post("/cohorts/%2e%2e/results", {"csrf": token}).status == 404


def follow(app: FastAPI, model: str = "Scanner 1", step_hu: float = 0.0) -> None:
    rng = np.random.default_rng(5)
    with app.state.database.engine.begin() as connection:
        for month in range(24):
            date = f"{2024 + month // 12}{month % 12 + 1:02d}11"
            for number in range(10):
                measured = report(rng.normal(130, 45), rng.normal(55, 4) + step_hu * (month >= 12))
                measured["acquisition"]["model"] = model
                follow_study(connection, f"{model}-{month:03d}-{number}", date, measured)


def test_scanner_that_moved_is_named_first(app: FastAPI, rose: Browser) -> None:
    assert "Nothing was measured yet." in rose.get("/scanners").text
    follow(app, "A steady one")
    follow(app, f"Moved{MARKUP}", step_hu=15.0)
    app.state.scanner_charts._until = 0.0
    assert "Nothing was measured yet." in rose.get("/scanners").text  # renewed beside
    app.state.scanner_charts.wait()
    shown = rose.get("/scanners").text
    assert MARKUP not in shown
    assert shown.index("Moved") < shown.index("A steady one")
    assert "since 2025-01" in shown
    assert '<svg class="chart"' in shown
    assert "style=" not in shown
    assert rose.get("/scanners?scanner=../x").status == 404
    rows = list(csv.DictReader(io.StringIO(rose.get("/scanners.csv").text)))
    assert {row["measure"] for row in rows} == {"l1", "muscle", "noise"}


def test_chart_places_values_by_their_size() -> None:
    rng = np.random.default_rng(3)
    months = [f"2026-{month:02d}" for month in range(1, 13)]
    chart = control_chart({month: list(rng.normal(100, 5, 20)) for month in months})
    figure = chart_figure(chart, months)
    order = sorted(figure.points, key=lambda point: point.month.median)
    assert [p.y for p in order] == sorted((p.y for p in order), reverse=True)
    assert all(figure.top <= point.y <= figure.bottom for point in figure.points)
    assert all(figure.left <= point.x <= figure.right for point in figure.points)
    assert len(figure.limits) + len(figure.firsts) == len(months)
    assert all(band.y < (band.centre_y or 0) < band.y + band.height for band in figure.limits)


def test_model_card_is_shown_as_it_is(rose: Browser) -> None:
    shown = rose.get("/model").text
    assert load_bundle().model_id in shown
    assert f"<h2>Model card: {load_bundle().model_id}</h2>" in shown
    assert "443 patients" in shown
    assert "<table>" in shown
    assert "style=" not in shown


@pytest.mark.parametrize(
    "text",
    [
        MARKUP, "[a](javascript:alert(1))", "![a](http://evil/x.png)", "<img src=x onerror=a>",
        "|a|\n|:-:|\n|b|", "[a](data:text/html,x)",
    ],
)  # fmt: skip
def test_markdown_can_do_nothing(text: str) -> None:
    shown = str(markdown_html(text))
    for trace in ("<script", "<img", 'href="javascript', 'href="data', "style="):
        assert trace not in shown
