"""The list of studies with their deliveries and events, on SQLite and PostgreSQL."""

import itertools
import json
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
import sqlalchemy as sa

from dicom_node.records.database import (
    listed_studies,
    open_database,
    study_deliveries,
    study_events,
)
from dicom_node.records.listed_studies import (
    ListedStudy,
    StudyFilter,
    StudyState,
    counts,
    studies_page,
    study_of,
)
from dicom_node.records.study_deliveries import (
    DeliveryState,
    deliveries_of,
    list_delivery,
    list_withdrawal,
    queue_delivery,
)
from dicom_node.records.study_events import StudyEvent, events_of, note_event, turn_of
from dicom_node.records.study_listing import (
    StudyResult,
    forget_study,
    list_result,
    list_state,
    list_study,
    study_keys,
)
from dicom_node.reporting.report_history import REPORT_FILE
from dicom_node.reporting.report_index import ReportIndex
from dicom_node.series.study_header import scanner_header
from dicom_node.spool.spool import Spool
from dicom_node.study_facts import StudyHeader
from dicom_node.work.listing import list_upkeep
from dicom_node.work.listing.list_upkeep import ListUpkeep
from dicom_node.work.listing.study_records import StudyRecords
from roi_extraction.anatomy import Finding
from tests.dicom_builders import edit, plain_series
from tests.postgresql import Cluster, running_cluster
from tests.simulated_worker import simulated_report

numbers = itertools.count()

COVERED = "USING COVERING INDEX listed_studies_page"

PLACE = {"study": "s", "folder": "f", "file": "report.sr.dcm", "destination": "pacs"}

STAGED = StudyResult(
    *("one", "one", StudyState.REPORTED), result="staged", l1_hu=120.5, l1_category="middle",
    stage="B", osteoporosis="no", warnings=("input.gap", "series.kernel"),
)  # fmt: skip


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as found:
        yield found


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peers)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    url = f"sqlite:///{tmp_path / 'node.db'}"
    if request.param == "postgresql":
        url = f"{request.getfixturevalue('cluster').url}_listing{next(numbers)}"
    engine = open_database(url, make=True)
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'node.db'}", make=True)
    yield engine
    engine.dispose()


def enter(engine: sa.Engine, study: str, moment: int, result: StudyResult, **header: str) -> None:
    header = {"study_uid": f"1.2.{moment}"} | header
    with engine.begin() as connection:
        list_study(connection, study, StudyHeader(**header), moment)
        list_result(connection, study, result, moment)


def page(engine: sa.Engine, **wanted: Any) -> list[str]:
    return [row.study for row in studies_page(engine, StudyFilter(**wanted))]


def events(engine: sa.Engine, study: str) -> list[StudyEvent]:
    return [event.event for event in events_of(engine, study)]


def test_study_is_read_as_it_was_entered(database: sa.Engine) -> None:
    header = StudyHeader(
        "1.2.3", "A1", "P1", "DOE^JANE", "19500102", "F", "20260301", "GE", "R", "S"
    )
    with database.begin() as connection:
        list_study(connection, "s", header, 5, "home")
        list_state(connection, "s", StudyState.WAITING, "input.gap", "a slice is missing")
    found = study_of(database, "1.2.3")
    assert found is not None
    assert replace(found, changed=0) == ListedStudy(
        **vars(header), study="s", home="home", code="input.gap", reason="a slice is missing",
        received=5,
    )  # fmt: skip
    with database.begin() as connection:
        list_study(connection, "s", StudyHeader(accession="A2"), None, "home")
        list_result(connection, "s", STAGED, 9)
    found = study_of(database, "1.2.3")
    assert found == ListedStudy(
        **{**vars(header), **vars(STAGED), "accession": "A2"},
        study="s", home="home", received=5, changed=9,
    )  # fmt: skip
    assert study_of(database, "1.2.4") is None
    with database.connect() as connection:
        assert study_keys(connection, "home") == {"s"}
        assert study_keys(connection, "") == set()


def test_header_can_neither_steer_a_terminal_nor_fill_a_page(database: sa.Engine) -> None:
    name = "Roe\x1b[2J\r\n\u202egni^\u200bA" + "\u0300" * 40
    enter(
        database, "s", 1, STAGED, patient_name=name, accession="x" * 300, model='<i>"\x1b[2J',
        patient_id="\ue000\ud800 7",
    )  # fmt: skip
    [found] = studies_page(database, StudyFilter())
    assert found.patient_name.startswith("Roe [2J gni^\u00c0")
    assert len(found.patient_name) < 20
    assert found.accession == f"{'x' * 64} (cut, 300 characters)"
    assert (found.model, found.patient_id) == ("_i____2J", "\ufffd\ufffd 7")


def test_names_are_listed_in_their_own_letters_and_found_with_and_without_accents(
    database: sa.Engine,
) -> None:
    enter(database, "a", 1, STAGED, patient_name="M\u00fcller^Zo\u00eb", accession="2026/17")
    enter(database, "b", 2, STAGED, patient_name="Yamada^Tarou", ideographic_name="山田^太郎")
    enter(database, "c", 3, STAGED, patient_name="Straße^\u0141ucja", patient_id="\U00020000-1")
    names = [row.patient_name for row in studies_page(database, StudyFilter())]
    assert names == ["Straße^\u0141ucja", "Yamada^Tarou", "M\u00fcller^Zo\u00eb"]
    for search in ("m\u00fcll", "MULLER Z", "mu\u0308ller", "2026/1"):
        assert page(database, search=search) == ["a"], search
    for search in ("yama", "山田", "山田 太郎"):
        assert page(database, search=search) == ["b"], search
    assert page(database, search="strasse") == page(database, search="\U00020000") == ["c"]
    assert page(database, search="山田", by_patient=False) == []


def test_each_filter_finds_what_fits_it(database: sa.Engine) -> None:
    refused = StudyResult("two", "two", StudyState.REFUSED, "series.kvp", "140 kV", "refused")
    enter(
        database, "a", 1, STAGED, patient_name="DOE^JANE", accession="ACC-1", study_date="20260301"
    )
    enter(database, "b", 2, refused, patient_id="pid7", study_date="20250301")
    with database.begin() as connection:
        list_study(connection, "c", StudyHeader("1.9"), 3)
        list_state(connection, "c", StudyState.ASSESSING)
        connection.execute(sa.update(listed_studies).where(listed_studies.c.study == "a")
                           .values(verdict="accepted"))  # fmt: skip
        queue_delivery(connection, {**PLACE, "study": "a"}, "w", 1)
        list_delivery(connection, {**PLACE, "study": "b"}, "w", DeliveryState.FAILED, 1)
        list_delivery(
            connection, {**PLACE, "study": "b", "file": "x"}, "w", DeliveryState.FAILED, 1
        )
    assert page(database) == ["c", "b", "a"]
    assert page(database, state="refused") == ["b"]
    assert page(database, verdict="accepted") == ["a"]
    assert page(database, result="staged") == ["a"]
    assert page(database, stage="B") == ["a"]
    assert page(database, osteoporosis="no") == ["a"]
    assert page(database, warning="series.kernel") == ["a"]
    assert page(database, warning="series") == []
    assert page(database, warning="series%") == []
    assert page(database, since="20251231") == ["a"]
    assert page(database, until="20251231") == ["b"]
    assert page(database, since="20250301", until="20260301") == ["b", "a"]
    assert page(database, delivery="failed") == ["b"]
    assert page(database, destination="pacs", delivery="waiting") == ["a"]
    assert page(database, destination="pacs") == ["b", "a"]
    assert page(database, destination="other") == []
    assert page(database, search="doe^j") == page(database, search="Doe J") == ["a"]
    assert page(database, search="acc-") == page(database, search="ACC-1") == ["a"]
    assert page(database, search="PID7") == ["b"]
    assert page(database, search="1.2.") == ["b", "a"]
    assert page(database, search="jane") == page(database, search="%") == []
    assert page(database, search="1.2.", state="reported", destination="pacs") == ["a"]
    assert counts(database) == {
        StudyState.REPORTED: 1, StudyState.REFUSED: 1, StudyState.ASSESSING: 1,
    }  # fmt: skip


def test_pages_follow_each_other_without_gap_or_double(database: sa.Engine) -> None:
    for number in range(7):  # two and three at the same moment
        enter(database, f"s{number}", number // 3, STAGED)
    seen: list[str] = []
    after = None
    while rows := studies_page(database, StudyFilter(stage="B"), after, limit=2):
        seen += [row.study for row in rows]
        after = rows[-1].changed, rows[-1].study
    assert seen == [f"s{number}" for number in reversed(range(7))]


def test_search_that_fits_many_finds_the_newest(
    database: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.records.listed_studies.MOST_NARROWED", 2)
    for number in range(5):
        enter(database, f"s{number}", number, STAGED, patient_id=f"P{number}")
        with database.begin() as connection:
            queue_delivery(connection, {**PLACE, "study": f"s{number}"}, "w", 1)
    every = ["s4", "s3", "s2", "s1", "s0"]
    assert page(database, search="p") == every
    assert page(database, search="p4") == ["s4"]
    for wanted in ({"destination": "pacs"}, {"delivery": "waiting"}):
        assert page(database, **wanted) == every
    assert page(database, destination="pacs", delivery="waiting", search="p") == every


def test_verdict_on_an_earlier_report_does_not_stay(database: sa.Engine) -> None:
    enter(database, "s", 1, replace(STAGED, verdict="rejected", reader="R", read_at=3))
    assert [row.verdict for row in studies_page(database, StudyFilter())] == ["rejected"]
    with database.begin() as connection:
        list_result(connection, "s", replace(STAGED, assessment="two", folder="two"))
    [row] = studies_page(database, StudyFilter())
    assert (row.verdict, row.reader, row.read_at) == ("none", "", None)


def test_filter_reads_the_index_of_the_pages_alone(sqlite: sa.Engine) -> None:
    """So that a page costs no more than one pass through the index, 10 ms for 50,000 studies."""
    enter(sqlite, "s", 1, STAGED, study_date="20260301")
    asked: list[str] = []
    with sqlite.connect() as connection:

        def explain(_c: Any, _u: Any, statement: str, parameters: Any, *_rest: Any) -> None:
            if statement.startswith("SELECT") and "LIMIT" in statement:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                asked.extend(row.detail for row in plan)

        sa.event.listen(sqlite, "before_cursor_execute", explain)
        wanted: tuple[dict[str, Any], ...] = (
            {}, {"state": "reported"}, {"verdict": "none"}, {"result": "staged"}, {"stage": "B"},
            {"osteoporosis": "no"}, {"warning": "input.gap"}, {"since": "20200101"},
        )  # fmt: skip
        for values in wanted:
            for after in (None, (5, "x")):
                assert studies_page(sqlite, StudyFilter(**values), after)
        sa.event.remove(sqlite, "before_cursor_execute", explain)
    assert len(asked) == 2 * len(wanted)
    for step in asked:
        assert re.match(
            r"(SCAN|SEARCH) listed_studies USING COVERING INDEX listed_studies_page", step
        )
        assert "TEMP B-TREE" not in step


def test_step_that_is_repeated_takes_no_state_back(database: sa.Engine) -> None:
    def state(given: DeliveryState, attempt: int) -> str:
        with database.begin() as connection:
            list_delivery(connection, PLACE, f"w:{attempt}", given, attempt, "c", "r")
        [found] = deliveries_of(database, "s")
        return f"{found.state} {found.attempt}"

    assert state(DeliveryState.SENDING, 1) == "sending 1"
    assert state(DeliveryState.RETRYING, 1) == "retrying 1"
    assert state(DeliveryState.SENDING, 2) == "sending 2"
    assert state(DeliveryState.RETRYING, 1) == "sending 2"
    assert state(DeliveryState.DELIVERED, 2) == "delivered 2"
    assert state(DeliveryState.COMMITTED, 2) == "committed 2"
    assert state(DeliveryState.DELIVERED, 2) == "committed 2"
    with database.begin() as connection:
        queue_delivery(connection, PLACE, "w:1", 1)
    [found] = deliveries_of(database, "s")
    assert found.state is DeliveryState.COMMITTED
    with database.begin() as connection:
        list_withdrawal(connection, PLACE, "w:withdraw:1", DeliveryState.WITHDRAWN)
    assert state(DeliveryState.DELIVERED, 2) == "withdrawn 2"
    [found] = deliveries_of(database, "s")
    assert (found.work, found.code) == ("w:withdraw:1", "")


def test_event_is_noted_once_and_again_after_a_retry(database: sa.Engine) -> None:
    def assess() -> None:
        with database.begin() as connection:
            note_event(connection, "s", StudyEvent.REFUSED, turn_of(connection, "s", "id"), "why")

    assess()
    assess()
    assert events(database, "s") == [StudyEvent.REFUSED]
    with database.begin() as connection:
        note_event(connection, "s", StudyEvent.RETRIED, "id:77", who="command line")
        note_event(connection, "s", StudyEvent.RETRIED, "id2:78")
    assess()
    assess()
    assert sorted(events(database, "s")) == sorted(
        [StudyEvent.REFUSED, StudyEvent.RETRIED, StudyEvent.RETRIED, StudyEvent.REFUSED]
    )
    found = {event.who for event in events_of(database, "s") if event.work == "id:77"}
    assert found == {"command line"}


def test_study_that_is_forgotten_leaves_nothing(database: sa.Engine) -> None:
    for study in ("s", "t"):
        enter(database, study, 1, STAGED)
        with database.begin() as connection:
            queue_delivery(connection, {**PLACE, "study": study}, "w", 1)
            note_event(connection, study, StudyEvent.QUEUED, "w")
    with database.begin() as connection:
        forget_study(connection, "s")
        left = [
            connection.scalars(sa.select(table.c.study)).all()
            for table in (listed_studies, study_deliveries, study_events)
        ]
    assert left == [["t"]] * 3


def test_name_is_its_first_form_with_the_ideographic_one_beside_it() -> None:
    image = pydicom.Dataset()
    image.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    image.PatientID = "7"
    image.ConvolutionKernel = ["A", "B"]
    found = scanner_header(image)
    assert (found.patient_name, found.ideographic_name) == ("Yamada^Tarou", "山田^太郎")
    assert (found.patient_id, found.study_date) == ("7", "")
    assert "A" in found.kernel
    for name, listed in (
        ("=山田^太郎", "山田^太郎"), ("^^=^=やまだ^たろう", "やまだ^たろう"), ("==", ""),
    ):  # fmt: skip
        image.PatientName = name
        found = scanner_header(image)
        assert (found.patient_name, found.ideographic_name) == (listed, "")


@pytest.mark.parametrize(
    ("charset", "written", "name"),
    [
        ("ISO_IR 100", b"M\xfcller^J\xf6rg", "Müller^Jörg"),
        ("ISO_IR 192", "Łukasiewicz^Zoë".encode(), "Łukasiewicz^Zoë"),
        ("ISO_IR 144", "Иванова^Анна".encode("iso8859-5"), "Иванова^Анна"),
        ("", b"M\xfcller^J\xf6rg", "Müller^Jörg"),
    ],
    ids=["latin", "unicode", "cyrillic", "not stated"],
)
def test_name_is_decoded_by_the_character_set_of_its_file(
    tmp_path: Path, charset: str, written: bytes, name: str
) -> None:
    path = plain_series(tmp_path, 1)[0]
    edit(path, SpecificCharacterSet=charset, PatientName="X" * 40)
    path.write_bytes(path.read_bytes().replace(b"X" * 40, written.ljust(40)))
    assert scanner_header(pydicom.dcmread(path)).patient_name == name


def records(engine: sa.Engine, tmp_path: Path) -> StudyRecords:
    return StudyRecords(engine, tmp_path / "reports", "", threading.Event())


def test_study_waits_is_queued_and_assessed_with_each_event_once(
    database: sa.Engine, tmp_path: Path
) -> None:
    worker = records(database, tmp_path)
    header = StudyHeader("1.2", patient_name="DOE")
    for _ in range(2):
        worker.waits("s", header, 5.0, [Finding("input.gap", "slice 3 is missing")])
    [row] = studies_page(database, StudyFilter())
    assert (row.state, row.code, row.reason) == ("waiting", "input.gap", "slice 3 is missing")
    for _ in range(2):
        worker.queued("s", header, 5.0, "id")
    for _ in range(2):
        worker.assessing("s", "id")
    for _ in range(2):
        worker.refused("s", "id", "1.2", "series.kvp", "140 kV", ("input.gap",))
    [row] = studies_page(database, StudyFilter(state="refused", warning="input.gap"))
    assert (row.patient_name, row.code, row.result) == ("DOE", "series.kvp", "refused")
    assert events(database, "s") == ["waiting", "queued", "assessing", "refused"]
    worker.failed("s", "id", "node.assessment_failed", "killed")
    worker.could_not("s", "id", "node.instances_gone", "gone")
    [row] = studies_page(database, StudyFilter())
    assert (row.state, row.code) == ("failed", "node.assessment_failed")


def test_study_that_waited_and_did_not_change_is_what_it_was(
    database: sa.Engine, tmp_path: Path
) -> None:
    worker = records(database, tmp_path)
    folder = tmp_path / "reports" / "s" / "id"
    folder.mkdir(parents=True)
    refusal = {"refused": {"code": "series.kvp", "message": "140 kV"}, "warnings": []}
    (folder / "report.json").write_text(json.dumps(refusal))
    worker.refused("s", "id", "1.2", "series.kvp", "140 kV")
    worker.waits("s", StudyHeader(), 6.0, [Finding("input.gap", "a gap")])
    worker.unchanged("s", StudyHeader(), 6.0, "id", "refused")
    [row] = studies_page(database, StudyFilter())
    assert (row.state, row.code, row.reason) == ("refused", "series.kvp", "140 kV")


def write_report(folder: Path, name: str, moment: float) -> None:
    place = folder / name
    place.mkdir(parents=True)
    (place / REPORT_FILE).write_bytes(simulated_report(name))
    report = {
        "study_uid": "1.2", "refused": None, "result": "staged",
        "warnings": [{"code": "input.gap", "message": "m"}],
        "acquisition": {"manufacturer": "GE", "model": "R", "kernel": "S"},
        "l1_threshold": {"mean_hu": 99.5, "category": "low"},
        "stage": {"predicted": "C", "osteoporosis": "yes"},
    }  # fmt: skip
    (place / "report.json").write_text(json.dumps(report))
    for path in place.iterdir():
        os.utime(path, (moment, moment))


def test_reports_from_before_the_list_are_entered_and_what_is_listed_stays(
    database: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_upkeep, "UPKEEP_AT_ONCE", 2)
    spool, reports = Spool(tmp_path), tmp_path / "reports"
    spool.prepare()
    reports.mkdir()
    ReportIndex(reports).prepare()
    for study in ("a", "b", "c"):
        write_report(reports / study, f"{study}1", 100.0)
    write_report(reports / "a", "a2", 200.0)
    failure = {"refused": {"code": "node.assessment_failed", "message": "killed"}, "warnings": []}
    (reports / "d" / "d1").mkdir(parents=True)
    (reports / "d" / "d1" / "report.json").write_text(json.dumps(failure))
    (reports / "e" / "e1").mkdir(parents=True)
    (reports / "e" / "e1" / "report.json").write_text("{damaged")
    enter(database, "c", 1, replace(STAGED, stage="D"))
    upkeep = ListUpkeep(database, spool, reports, "", threading.Event())
    for _ in range(2):
        upkeep.fill()
    rows = {row.study: row for row in studies_page(database, StudyFilter())}
    assert sorted(rows) == ["a", "b", "c", "d"]
    a = rows["a"]
    assert (a.folder, a.stage, a.l1_hu, a.osteoporosis) == ("a2", "C", 99.5, "yes")
    assert (a.patient_id, a.manufacturer, a.warnings) == ("a2", "GE", ("input.gap",))
    assert a.changed == 200_000
    assert rows["c"].stage == "D"
    assert (rows["d"].state, rows["d"].reason) == ("failed", "killed")
    assert events(database, "a") == [StudyEvent.REPORTED]


def test_study_leaves_the_list_once_instances_and_reports_are_gone(
    database: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_upkeep, "UPKEEP_SECONDS", 0.0)
    spool, reports = Spool(tmp_path), tmp_path / "reports"
    spool.prepare()
    reports.mkdir()
    upkeep = ListUpkeep(database, spool, reports, "", threading.Event())
    (reports / "reported").mkdir()
    (spool.studies / "received").mkdir()
    for study in ("reported", "received", "gone"):
        enter(database, study, 1, STAGED)
    with database.begin() as connection:
        list_study(connection, "elsewhere", StudyHeader(), 1, "another machine's")
    upkeep.look()
    assert len(page(database)) == 4, "without its index the folder is of a disk that is not mounted"
    ReportIndex(reports).prepare()
    upkeep.look()
    assert sorted(page(database)) == ["elsewhere", "received", "reported"]
