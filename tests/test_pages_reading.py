"""The reader's word on the pages: what is asked, what is confirmed, and what is sent."""

import html
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from dicom_node.errors import WorkFailed
from dicom_node.pages.access.visitor import Identity
from dicom_node.pages.app import close_pages
from dicom_node.pages.reading import word
from dicom_node.pages.reading.level_names import renamed
from dicom_node.records.listed_studies import StudyState
from dicom_node.records.reading import MovedRegion, Reading, Rejection
from dicom_node.records.study_events import StudyEvent, events_of, note_event
from dicom_node.records.study_listing import list_result, list_state
from dicom_node.reporting.report_history import REPORT_FILE, mark_withdrawn
from dicom_node.reporting.report_model import report_json
from dicom_node.work.listing.reported_study import reported_study
from tests.page_client import PASSWORD, Answer, Browser, audit_records, make_app
from tests.simulated_worker import simulated_report, uid_of
from tests.study_builders import MadeStudy, make_study

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    made = make_app(tmp_path / "node", ("jane", "reader"), ("adam", "administrator"))
    other = Identity("rick", frozenset({"reader"}), "Roe^Richard", "Second Hospital")
    made.state.gate.accounts.add(other, PASSWORD)
    made.state.gate.accounts.add(Identity("anon", frozenset({"reader"})), PASSWORD)
    yield made
    close_pages(made)


@pytest.fixture
def study(app: FastAPI, tmp_path: Path) -> MadeStudy:
    made = make_study(app, tmp_path / "series")
    (made.report_folder / REPORT_FILE).write_bytes(simulated_report("first"))
    return made


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What went to the worker, in place of a worker: the assessment and the word."""
    given: list[Any] = []

    def take(_settings: object, assessment: str, said: Reading | Rejection) -> str:
        given.append((assessment, said))
        return "work" if isinstance(said, Reading) else said.identity

    monkeypatch.setattr(word, "send_reading", take)
    monkeypatch.setattr(word, "reject_report", take)
    return given


def signed_in(app: FastAPI, name: str) -> Browser:
    browser = Browser(app)
    browser.sign_in(name)
    return browser


def ask(browser: Browser, study: MadeStudy, **form: str) -> Answer:
    """Send the form, as a reader who saw it does."""
    page = browser.get(f"{study.address}/reading")
    return ask_from(browser, study, page, **form)


def ask_from(browser: Browser, study: MadeStudy, page: Answer, **form: str) -> Answer:
    found = re.search(r'name="report_uid" value="([\d.]+)"', page.text)
    assert found is not None
    fields = {"csrf": page.form_token, "report_uid": found[1], **form}
    return browser.post(f"{study.address}/reading/confirm", fields)


def hidden(page: Answer, *names: str) -> dict[str, str]:
    found = {}
    for name in ("csrf", *names):
        value = re.search(rf'name="{name}" value="([^"]*)"', page.text)
        assert value is not None, name
        found[name] = html.unescape(value[1])
    return found


def confirm(browser: Browser, study: MadeStudy, page: Answer) -> Answer:
    return browser.post(f"{study.address}/reading", hidden(page, "content", "seal"))


def read_version(app: FastAPI, study: MadeStudy, folder: str, **said: Any) -> Reading:
    """List a version of the report that another reader made, as the worker does."""
    reading = Reading(
        **{
            "verdict": "corrected",
            "reader": "Roe^Richard",
            "organization": "Second Hospital",
            "moment": MOMENT,
            "report_uid": uid_of("first"),
            "series_uid": study.report.series_uid,
            **said,
        }
    )
    place = study.report_folder.parent / folder
    place.mkdir()
    version = study.report.model_copy(update={"reading": reading})
    (place / "report.json").write_bytes(report_json(version))
    (place / REPORT_FILE).write_bytes(simulated_report(folder))
    _, result = reported_study(place, folder)
    with app.state.database.engine.begin() as connection:
        list_result(connection, study.row.study, result)
    return reading


def region(study: MadeStudy, site: str, number: int) -> str:
    [found] = [s for s in study.report.sites if s.name == site]
    return found.rois[number].sop_instance_uid


def test_form_shows_levels_with_outlines_and_fields(app: FastAPI, study: MadeStudy) -> None:
    page = signed_in(app, "jane").get(f"{study.address}/reading")
    assert page.status == 200
    assert "Roe, Rita" in page.text
    assert page.text.count("<details") == 11
    assert page.text.count("<polygon") == 34 * 3
    assert page.text.count('name="right.L3.1"') == 1
    assert page.text.count('name="left_out"') == 36
    assert f'/slices/{region(study, "L3", 1)}.png?window=bone"' in page.text
    assert "what is shown as L3 is L4" in page.text
    # the regions run from feet to head, the slices from head to feet
    assert re.search(r'aria-label="L3, slice 1 of 3".{0,900}data-field="L3.2"', page.text, re.S)
    assert "style=" not in page.text
    looks = [r for r in audit_records(study.settings.data_dir) if "reading" in json.dumps(r)]
    assert looks[0]["ActiveParticipant"][0]["UserID"] == "jane"


def test_accepting_is_confirmed_in_words_and_sent_once(
    app: FastAPI, study: MadeStudy, sent: list[Any]
) -> None:
    jane = signed_in(app, "jane")
    asked = ask(jane, study, word="accept")
    assert asked.status == 200
    assert not sent
    assert "Doe, Jane" in asked.text
    assert "General Hospital" in asked.text
    assert "accepted as measured" in asked.text
    for _ in range(2):
        done = confirm(jane, study, asked)
        assert (done.status, done.location) == (303, f"{study.address}?said=accepted")
    [(assessment, said)] = sent
    assert assessment == study.row.assessment
    assert (said.verdict, said.reader, said.organization) == (
        "accepted", "Doe^Jane", "General Hospital",
    )  # fmt: skip
    assert (said.report_uid, said.series_uid) == (uid_of("first"), study.report.series_uid)
    [event] = events_of(app.state.database.engine, study.row.study)
    assert (event.event, event.who, event.work) == ("said", "jane", "work")
    assert "the report is being made again" in jane.get(done.location).text
    page = jane.get(f"{study.address}/reading")
    assert "Accepted by jane" in page.text
    assert '<form method="post" action="/studies' not in page.text
    deeds = [r for r in audit_records(study.settings.data_dir) if '"accept"' in json.dumps(r)]
    assert [d["EventIdentification"]["EventOutcomeIndicator"] for d in deeds] == [0]
    # the worker has made it meanwhile: a page that is sent again does nothing either
    note(app, study, StudyEvent.ACCEPTED, "work:0")
    made = hidden(asked, "content")["content"]
    read_version(app, study, "second", **json.loads(made)["reading"])
    assert confirm(jane, study, asked).status == 303
    assert len(sent) == 1


def note(app: FastAPI, study: MadeStudy, event: StudyEvent, work: str, who: str = "node") -> None:
    with app.state.database.engine.begin() as connection:
        note_event(connection, study.row.study, event, work, "accepted", who)


def test_corrections_go_by_the_names_after_them(
    app: FastAPI, study: MadeStudy, sent: list[Any]
) -> None:
    jane = signed_in(app, "jane")
    asked = ask(
        jane, study, word="correct", levels_down="1", left_out="L1-L2_1",
        **{"right.L3.1": "2.04", "down.L3.1": "-1,5", "right.S1.0": "3", "right.L2.0": "0"},
    )  # fmt: skip
    assert "all levels named one lower" in asked.text
    assert re.search(r"L4, slice 2</th><td[^>]*>2.0 mm</td><td[^>]*>-1.5 mm<", asked.text)
    assert "left out right transversospinalis at L2-L3" in asked.text
    back = jane.post(
        f"{study.address}/reading/confirm",
        {
            **hidden(asked, "report_uid", "word", "levels_down", "left_out"),
            "right.L3.1": "2.0",
            "then": "change",
        },
    )
    assert re.search(r'name="right.L3.1" value="2.0"', back.text)
    assert re.search(r'name="left_out" value="L1-L2_1" checked', back.text)
    assert confirm(jane, study, asked).status == 303
    [(_, said)] = sent
    assert said.verdict == "corrected"
    assert (said.levels_down, said.left_out) == (1, ("L2-L3_1",))
    assert said.moved == (
        MovedRegion(site="L4", sop_instance_uid=region(study, "L3", 1), right_mm=2.0, down_mm=-1.5),
    )


def test_second_reader_builds_on_the_first(app: FastAPI, study: MadeStudy, sent: list[Any]) -> None:
    moved = (
        MovedRegion(site="L3", sop_instance_uid=region(study, "L3", 0), right_mm=4.0, down_mm=0.5),
    )
    read_version(app, study, "second", levels_down=1, left_out=("L5",), moved=moved)
    jane = signed_in(app, "jane")
    page = jane.get(f"{study.address}/reading")
    assert re.search(r'name="levels_down" value="1" checked> As shown', page.text)
    assert "2 higher: what is shown as L3 is L1" in page.text
    assert re.search(r'name="left_out" value="L5" checked', page.text)
    assert re.search(r'name="right.L3.0" value="4.0"', page.text)
    assert 'transform="translate(0.0 0.0)" data-field="L3.0" data-begin="4.0 0.5"' in page.text
    confirm(jane, study, ask(jane, study, word="accept"))
    [(_, said)] = sent
    assert (said.verdict, said.levels_down, said.left_out, said.moved) == (
        "accepted", 1, ("L5",), moved,
    )  # fmt: skip
    assert said.report_uid == uid_of("second")


def test_taking_all_corrections_back_accepts_the_program_s_own(
    app: FastAPI, study: MadeStudy, sent: list[Any]
) -> None:
    read_version(app, study, "second", levels_down=1, left_out=("L5",))
    jane = signed_in(app, "jane")
    confirm(jane, study, ask(jane, study, word="correct", levels_down="0"))
    [(_, said)] = sent
    assert (said.verdict, said.levels_down, said.left_out) == ("accepted", 0, ())


def test_rejection_needs_a_reason_and_withdraws(
    app: FastAPI, study: MadeStudy, sent: list[Any]
) -> None:
    jane = signed_in(app, "jane")
    assert ask(jane, study, word="reject", reason=" ").status == 422
    asked = ask(jane, study, word="reject", reason="<b>wrong</b>\nlevels")
    assert "&lt;b&gt;wrong&lt;/b&gt; levels" in asked.text
    confirm(jane, study, asked)
    [(_, said)] = sent
    assert said.reason == "<b>wrong</b> levels"
    assert confirm(jane, study, asked).status == 303
    assert mark_withdrawn(study.report_folder / REPORT_FILE, said.identity, said)
    note(app, study, StudyEvent.REJECTED, said.identity)
    with app.state.database.engine.begin() as connection:
        _, result = reported_study(study.report_folder, study.row.assessment)
        list_result(connection, study.row.study, result)
    assert confirm(jane, study, asked).status == 303
    assert len(sent) == 1
    page = jane.get(f"{study.address}/reading")
    assert "was rejected and is withdrawn" in page.text


def test_reason_is_one_line_of_what_can_be_seen(
    app: FastAPI, study: MadeStudy, sent: list[Any]
) -> None:
    jane = signed_in(app, "jane")
    reason = "wrong\x00 levels\r\n\u202eand\x1b[31m more\x07"
    asked = ask(jane, study, word="reject", reason=reason)
    assert asked.status == 200
    assert confirm(jane, study, asked).status == 303
    [(_, said)] = sent
    assert said.reason == "wrong levels and[31m more"
    with pytest.raises(ValidationError):
        Rejection(report_uid="1.2", reader="Doe^Jane", reason="a\x00b", moment=MOMENT)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"word": "correct"}, "Nothing is corrected"),
        ({"word": "correct", "right.L3.1": "x"}, "no number of millimetres"),
        ({"word": "correct", "right.L3.1": "nan"}, "no number of millimetres"),
        ({"word": "correct", "right.L3.1": "50", "down.L3.1": "50"}, "at most 60 mm"),
        ({"word": "correct", "levels_down": "2"}, "Choose what is to be done"),
        ({"word": "verify"}, "Choose what is to be done"),
        ({"word": "reject", "reason": "x" * 501}, "at most 500 characters"),
    ],
    ids=["nothing", "no number", "not finite", "too far", "two levels", "no word", "long reason"],
)
def test_what_cannot_be_said_comes_back_with_the_form(
    app: FastAPI, study: MadeStudy, sent: list[Any], form: dict[str, str], words: str
) -> None:
    answer = ask(signed_in(app, "jane"), study, **form)
    assert answer.status == 422
    assert words in answer.text
    assert not sent


def test_two_readers_at_once_are_told(app: FastAPI, study: MadeStudy, sent: list[Any]) -> None:
    jane, rick = signed_in(app, "jane"), signed_in(app, "rick")
    ours, theirs = (ask(who, study, word="accept") for who in (jane, rick))
    seen = rick.get(f"{study.address}/reading")
    assert confirm(jane, study, ours).status == 303
    late = confirm(rick, study, theirs)
    assert late.status == 409
    assert "Accepted by jane" in late.text
    assert "Nothing was done" in late.text
    note(app, study, StudyEvent.ACCEPTED, "work:0")
    read_version(app, study, "second", reader="Doe^Jane", verdict="accepted")
    late = confirm(rick, study, theirs)
    assert late.status == 409
    assert "Doe, Jane was sooner: accepted," in late.text
    assert ask_from(rick, study, seen, word="accept").status == 409
    assert len(sent) == 1
    [refused, _] = [
        r for r in audit_records(study.settings.data_dir) if "reading.outdated" in json.dumps(r)
    ]
    assert refused["ActiveParticipant"][0]["UserID"] == "rick"


def test_nothing_is_done_without_the_page_that_asks(
    app: FastAPI, study: MadeStudy, sent: list[Any]
) -> None:
    jane, rick = signed_in(app, "jane"), signed_in(app, "rick")
    asked = ask(jane, study, word="accept")
    fields = hidden(asked, "content", "seal")
    address = f"{study.address}/reading"
    forged = fields | {"content": fields["content"].replace("Doe^Jane", "Roe^Richard")}
    stolen = fields | {"csrf": rick.get(address).form_token}
    assert jane.post(address, {"csrf": fields["csrf"]}).status == 400
    assert jane.post(address, forged).status == 400
    assert rick.post(address, stolen).status == 400
    assert jane.post(address, {k: v for k, v in fields.items() if k != "csrf"}).status == 403
    assert not sent


def test_work_that_is_gone_is_told(
    app: FastAPI, study: MadeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> str:
        raise WorkFailed("reading.work_gone", "the record of the assessment is gone")

    monkeypatch.setattr(word, "send_reading", gone)
    jane = signed_in(app, "jane")
    answer = confirm(jane, study, ask(jane, study, word="accept"))
    assert answer.status == 409
    assert "the record of the assessment is gone" in answer.text
    assert not events_of(app.state.database.engine, study.row.study)


def test_form_is_for_readers_with_a_name_and_for_a_report_that_stands(
    app: FastAPI, study: MadeStudy
) -> None:
    address = f"{study.address}/reading"
    assert signed_in(app, "adam").get(address).status == 403
    nameless = signed_in(app, "anon").get(address)
    assert "no person or no organization" in nameless.text
    assert "reading/confirm" not in nameless.text
    jane = signed_in(app, "jane")
    assert jane.get("/studies/1.2.3/reading").status == 404
    page = jane.get(address)
    with app.state.database.engine.begin() as connection:
        list_state(connection, study.row.study, StudyState.ASSESSING)
    assert "is being measured just now" in jane.get(address).text
    assert ask_from(jane, study, page, word="accept").status == 409
    (study.report_folder / REPORT_FILE).unlink()
    assert "no report here" in jane.get(address).text


def test_images_that_are_gone_leave_the_fields(app: FastAPI, study: MadeStudy) -> None:
    for path in study.paths:
        path.unlink()
    page = signed_in(app, "jane").get(f"{study.address}/reading")
    assert "The images are no longer kept" in page.text
    assert "<polygon" not in page.text
    assert 'name="right.L3.1"' in page.text


def test_levels_end_at_l1_and_s1() -> None:
    assert [renamed(site, -1) for site in ("L1", "L2", "L5-S1_4")] == [None, "L1", "L4-L5_4"]
    assert [renamed(site, 2) for site in ("L4", "L4-L5_1")] == ["S1", None]
