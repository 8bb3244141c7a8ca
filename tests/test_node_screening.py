"""A screening: every series gets its row and its outcome, whatever happens in between."""

import csv
import multiprocessing
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from dicom_node.archive.bookkeeping.progress import progress_text, read_progress
from dicom_node.archive.bookkeeping.runners import Runner
from dicom_node.archive.bookkeeping.screenings import Question, Screenings
from dicom_node.archive.bookkeeping.series_rows import Due, Outcome, SeriesRows, Stage
from dicom_node.archive.bookkeeping.tables import ARCHIVE_USE, RUNNER, SERIES, open_screenings
from dicom_node.archive.results.writing import write_results
from dicom_node.archive.sources import SeriesFilter
from dicom_node.archive.work import running, series_work
from dicom_node.errors import OperationalError, ScreeningInvalid
from dicom_node.settings.node import NodeSettings
from tests.node_process import Pacs
from tests.screening_builders import (
    PATIENCE_SECONDS,
    MemorySource,
    TemplateReports,
    listed,
    make_screening,
    run_trial,
    settings_in,
    template_report,
)

ARCHIVE = """
[[archives]]
name = "pacs"
{manners}
[archives.dicomweb]
url = "http://127.0.0.1:1/"
"""

DESTINATION = """
[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = {port}
objects = ["sr"]
max_attempts = 2
retry_seconds = 0.01
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return template_report(tmp_path_factory.mktemp("template"))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are short, so that a test takes no time."""
    monkeypatch.setattr(running, "IDLE_SECONDS", 0.01)
    monkeypatch.setattr(running, "RUNNER_BEAT_SECONDS", 0.05)
    monkeypatch.setattr(series_work, "RETRY_SECONDS", 0.01)


def table(settings: NodeSettings, folder: Path) -> list[dict[str, str]]:
    """The results, read back from the CSV."""
    out = folder / "out" / "results.csv"
    write_results(open_screenings(settings.database), "trial", out, None)
    with out.open(newline="") as file:
        return list(csv.DictReader(file))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def settled(count: Callable[[], int]) -> int:
    """A number that has not changed for a second, which is waited for."""
    before = -1
    while (now := count()) != before:
        before = now
        time.sleep(1.0)
    return now


def test_every_series_has_a_row_with_its_own_outcome(tmp_path: Path, template: Path) -> None:
    settings = settings_in(tmp_path)
    series = [
        listed(1),
        listed(2, kvp=140.0),
        listed(3),
        listed(4),
        listed(5),
        listed(6, kernel="BONE"),
        listed(7, slice_thickness_mm=7.0),
        listed(8, instances=5),
        listed(9, kernel=None),
        listed(1),
    ]
    source = MemorySource(series, tmp_path / "journal")
    source.incomplete, source.unlisted = {"1.2.4.1"}, {"1.2.9.1"}
    make_screening(settings)
    run_trial(settings, source, TemplateReports(template, refused=["1.2.3.1"], failing=["1.2.5.1"]))
    rows = {row["series_uid"]: row for row in table(settings, tmp_path)}
    assert {uid: (row["outcome"], row["code"]) for uid, row in rows.items()} == {
        "1.2.1.1": ("reported", ""),
        "1.2.2.1": ("excluded", "series.kvp"),
        "1.2.3.1": ("refused", "series.missing_slices"),
        "1.2.4.1": ("incomplete", "archive.incomplete"),
        "1.2.5.1": ("failed", "node.assessment_failed"),
        "1.2.6.1": ("excluded", "acquisition.kernel_lung_bone"),
        "1.2.7.1": ("excluded", "series.slice_thickness"),
        "1.2.8.1": ("excluded", "series.too_few_slices"),
        "1.2.9.1": ("incomplete", "archive.incomplete"),
    }
    assert rows["1.2.1.1"]["L1"] == "100.0"
    assert rows["1.2.1.1"]["L1-L2_3_reason"] == "too_small"
    assert rows["1.2.4.1"]["reason"] == "1 of 80 instances came"
    assert Counter(source.fetched()) == {
        "1.2.1.1": 1,
        "1.2.3.1": 1,
        "1.2.4.1": settings.limits.attempts,
        "1.2.5.1": settings.limits.attempts,
    }
    assert "header" not in source.asked, "what is listed was enough"
    assert list((settings.data_dir / "screenings" / "trial" / "attempts").iterdir()) == []


def test_an_archive_that_is_down_costs_no_series_an_attempt(
    tmp_path: Path, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_in(tmp_path)
    source = MemorySource([listed(1), listed(2)], tmp_path / "journal")
    source.down = True
    make_screening(settings)
    monkeypatch.setattr("dicom_node.archive.work.manners.FIRST_PAUSE_SECONDS", 0.05)
    run = threading.Thread(target=run_trial, args=(settings, source, TemplateReports(template)))
    run.start()
    database = open_screenings(settings.database)
    wait_until(lambda: len(source.asked) > 3)
    assert any("down since" in reason for reason in read_progress(database, "trial").waits_for)
    source.down = False
    run.join(PATIENCE_SECONDS)
    assert [row["outcome"] for row in table(settings, tmp_path)] == ["reported"] * 2
    assert not read_progress(database, "trial").waits_for


def test_killed_runs_leave_a_complete_table_and_fetch_nothing_twice_that_was_assessed(
    tmp_path: Path, template: Path
) -> None:
    settings = settings_in(tmp_path, "[limits]\nattempts = 3")
    make_screening(settings)
    series = [listed(number) for number in range(40)]
    journal = tmp_path / "journal"
    source = MemorySource(series, journal, seconds=0.03)
    reports = TemplateReports(template, seconds=0.03)
    dice = random.Random(16)
    fork = multiprocessing.get_context("fork")
    database = open_screenings(settings.database)
    assessed: Counter[str] = Counter()
    for _ in range(10):
        run = fork.Process(target=run_trial, args=(settings, source, reports))
        run.start()
        run.join(dice.uniform(0.1, 0.6))
        assert run.pid is not None
        if run.is_alive():
            os.kill(run.pid, signal.SIGKILL)
        run.join()
        fetched = Counter(source.fetched())
        for uid, number in assessed.items():
            assert fetched[uid] == number, "fetched again after it was assessed"
        with database.begin() as connection:
            ended = select(SERIES.c.series_uid).where(SERIES.c.outcome.is_not(None))
            assessed = Counter({uid: fetched[uid] for uid in connection.execute(ended).scalars()})
    run_trial(settings, source, reports)
    rows = table(settings, tmp_path)
    assert Counter(row["outcome"] for row in rows) == {"reported": 40}
    assert len({row["series_uid"] for row in rows}) == 40
    assert list((settings.data_dir / "screenings" / "trial" / "attempts").iterdir()) == []
    with database.begin() as connection:
        assert connection.execute(select(RUNNER)).all() == []


def test_two_runners_share_the_work(tmp_path: Path, template: Path) -> None:
    settings = settings_in(tmp_path)
    make_screening(settings)
    source = MemorySource([listed(k) for k in range(30)], tmp_path / "journal", seconds=0.01)
    reports = TemplateReports(template)
    runs = [threading.Thread(target=run_trial, args=(settings, source, reports)) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(PATIENCE_SECONDS)
    assert sorted(source.fetched()) == sorted(f"1.2.{k}.1" for k in range(30))
    assert Counter(r["outcome"] for r in table(settings, tmp_path)) == {"reported": 30}


def test_a_stale_runner_loses_its_series_and_can_record_nothing_more(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    screening = make_screening(settings)
    database = open_screenings(settings.database)
    with (
        Runner(database, screening, tmp_path / "data/trial/attempts") as first,
        Runner(database, screening, tmp_path / "other machine/trial/attempts") as second,
    ):
        rows = SeriesRows(database, screening, first.id)
        rows.add(Question(SeriesFilter()), [listed(1)])
        (row,) = rows.claim(Due.SCREEN)
        others = SeriesRows(database, screening, second.id)
        assert others.claim(Due.SCREEN) == []
        with database.begin() as connection:
            connection.execute(RUNNER.update().where(RUNNER.c.id == first.id).values(beat=0.0))
        assert [taken.id for taken in others.claim(Due.SCREEN)] == [row.id]
        assert not rows.advance(row, Stage.SCREENED, Due.FETCH)
        assert not rows.end(row, Outcome.FAILED, code="x", reason="y")


def test_a_runner_that_another_cleared_away_ends(tmp_path: Path, template: Path) -> None:
    settings = settings_in(tmp_path)
    make_screening(settings)
    source = MemorySource([listed(k) for k in range(400)], tmp_path / "journal", seconds=0.05)
    database = open_screenings(settings.database)
    faults: list[BaseException] = []

    def run() -> None:
        try:
            run_trial(settings, source, TemplateReports(template))
        except OperationalError as error:
            faults.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: bool(source.fetched()))
    with database.begin() as connection:
        connection.execute(RUNNER.delete())
    thread.join(PATIENCE_SECONDS)
    assert len(faults) == 1
    assert len(source.fetched()) < 400


def test_a_pause_takes_effect_on_a_running_runner(tmp_path: Path, template: Path) -> None:
    settings = settings_in(tmp_path)
    make_screening(settings)
    source = MemorySource([listed(k) for k in range(60)], tmp_path / "journal", seconds=0.1)
    screenings = Screenings(open_screenings(settings.database))
    run = threading.Thread(target=run_trial, args=(settings, source, TemplateReports(template)))
    run.start()
    wait_until(lambda: bool(source.fetched()))
    screenings.set_paused("trial", True)
    assert settled(lambda: len(source.fetched())) < 60
    assert "paused" in progress_text(read_progress(open_screenings(settings.database), "trial"))
    screenings.set_paused("trial", False)
    run.join(PATIENCE_SECONDS)
    assert len(source.fetched()) == 60


def test_a_stop_gives_back_what_is_in_hand(tmp_path: Path, template: Path) -> None:
    settings = settings_in(tmp_path)
    make_screening(settings)
    source = MemorySource([listed(k) for k in range(60)], tmp_path / "journal", seconds=0.02)
    stop = threading.Event()
    run = threading.Thread(
        target=run_trial, args=(settings, source, TemplateReports(template), stop)
    )
    run.start()
    wait_until(lambda: bool(source.fetched()))
    stop.set()
    run.join(PATIENCE_SECONDS)
    with open_screenings(settings.database).begin() as connection:
        held = select(SERIES.c.id).where(SERIES.c.runner.is_not(None))
        assert connection.execute(held).all() == []


def test_live_studies_come_first(tmp_path: Path, template: Path) -> None:
    settings = settings_in(tmp_path)
    make_screening(settings)
    source = MemorySource([listed(1)], tmp_path / "journal")
    arriving = settings.data_dir / "spool" / "arriving"
    arriving.mkdir(parents=True)
    (arriving / "study").touch()
    database = open_screenings(settings.database)
    run = threading.Thread(target=run_trial, args=(settings, source, TemplateReports(template)))
    run.start()
    wait_until(lambda: "live studies come first" in read_progress(database, "trial").waits_for)
    assert source.fetched() == []
    (arriving / "study").unlink()
    run.join(PATIENCE_SECONDS)
    assert source.fetched() == ["1.2.1.1"]


def test_the_window_and_the_quota_hold_over_restarts_on_a_simulated_clock(
    tmp_path: Path, template: Path
) -> None:
    manners = 'window = "19:00-06:00"\nseries_per_day = 3'
    settings = settings_in(tmp_path, ARCHIVE.format(manners=manners))
    make_screening(settings, source="dicomweb:pacs")
    source = MemorySource([listed(k) for k in range(5)], tmp_path / "journal")
    database = open_screenings(settings.database)
    now = [datetime(2026, 1, 1, 18, 0).astimezone()]

    def run_for_a_moment() -> tuple[int, tuple[str, ...]]:
        stop = threading.Event()
        arguments = (settings, source, TemplateReports(template), stop, lambda: now[0])
        run = threading.Thread(target=run_trial, args=arguments)
        run.start()

        def settled() -> bool:
            found = read_progress(database, "trial")
            return not run.is_alive() or (
                bool(found.waits_for) and found.due["screen"] == 0 and found.series == 5
            )

        time.sleep(0.2)
        wait_until(settled)
        waits = read_progress(database, "trial").waits_for
        stop.set()
        run.join(PATIENCE_SECONDS)
        return len(source.fetched()), waits

    assert run_for_a_moment() == (0, ("outside the window 19:00-06:00, until 2026-01-01 19:00:00",))
    now[0] += timedelta(hours=2)
    for _ in range(2):
        fetched, waits = run_for_a_moment()
        assert fetched == 3
        assert waits == ("today's 3 series were fetched, until 2026-01-02 00:00:00",)
    now[0] += timedelta(hours=5)
    assert run_for_a_moment()[0] == 5
    with database.begin() as connection:
        assert connection.execute(select(ARCHIVE_USE.c.fetched)).scalar_one() == 2


def test_an_unknown_and_an_ambiguous_accession_have_outcomes_of_their_own(
    tmp_path: Path, template: Path
) -> None:
    settings = settings_in(tmp_path)
    wanted = SeriesFilter()
    questions = [
        Question(replace(wanted, accession=accession), {"note": accession.lower()})
        for accession in ("A1", "A99", "A2", "A3")
    ]
    series = [
        listed(1),
        listed(2),
        listed(12, accession="A2"),
        listed(3, modality="MR", kvp=None),
    ]
    make_screening(settings, questions, own_columns=("note",))
    source = MemorySource(series, tmp_path / "journal")
    run_trial(settings, source, TemplateReports(template))
    rows = table(settings, tmp_path)
    assert [(r["accession"], r["outcome"], r["code"], r["note"]) for r in rows] == [
        ("A1", "reported", "", "a1"),
        ("A99", "unknown", "list.unknown", "a99"),
        ("A2", "ambiguous", "list.ambiguous", "a2"),
        ("A3", "excluded", "series.not_ct", "a3"),
    ]
    assert source.fetched() == ["1.2.1.1"]


def test_reports_are_sent_to_the_destination_that_was_named(tmp_path: Path, template: Path) -> None:
    with Pacs() as pacs:
        settings = settings_in(tmp_path, DESTINATION.format(port=pacs.port))
        make_screening(settings, send_to="pacs")
        series = [listed(1), listed(2), listed(3, kvp=140.0)]
        source = MemorySource(series, tmp_path / "journal")
        run_trial(settings, source, TemplateReports(template, refused=["1.2.2.1"]))
    assert pacs.uids == {"1.2.1.1.1"}
    assert [r["outcome"] for r in table(settings, tmp_path)] == ["reported", "refused", "excluded"]
    audit = next((settings.data_dir / "audit").glob("audit-*.jsonl")).read_text()
    assert audit.count('"DICOM Instances Transferred"') == 1
    assert audit.count('"DICOM Instances Accessed"') == 2


def test_what_a_destination_does_not_take_keeps_its_values(tmp_path: Path, template: Path) -> None:
    with Pacs(lambda _count: 0xA700) as pacs:
        settings = settings_in(tmp_path, DESTINATION.format(port=pacs.port))
        make_screening(settings, send_to="pacs")
        source = MemorySource([listed(1)], tmp_path / "journal")
        run_trial(settings, source, TemplateReports(template))
    (row,) = table(settings, tmp_path)
    assert (row["outcome"], row["code"], row["L1"]) == (
        "undelivered",
        "node.delivery_failed",
        "100.0",
    )
    assert "0xA700" in row["reason"]
    assert source.fetched() == ["1.2.1.1"]


def test_a_screening_with_a_runner_cannot_be_removed(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    screening = make_screening(settings)
    database = open_screenings(settings.database)
    with (
        Runner(database, screening, tmp_path / "attempts"),
        pytest.raises(ScreeningInvalid, match="runners work on trial"),
    ):
        Screenings(database).remove("trial")
    Screenings(database).remove("trial")
    with pytest.raises(ScreeningInvalid, match="no screening is named trial"):
        Screenings(database).get("trial")
