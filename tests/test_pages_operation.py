"""The administrator's pages: work, rules and destinations."""

import os
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from dicom_node.errors import AssessmentFailed, SeriesRefused, WorkFailed
from dicom_node.monitoring.shared_status import SharedStatus
from dicom_node.monitoring.status import Queue, Status, StatusReader
from dicom_node.pages.access.visitor import Identity
from dicom_node.pages.app import close_pages, make_pages
from dicom_node.pages.operation import node_status as status_module
from dicom_node.pages.operation import work_page
from dicom_node.pages.operation.node_status import NodeStatus
from dicom_node.pages.operation.removals import NextRemovals
from dicom_node.pages.operation.rule_trial import judged
from dicom_node.pages.operation.rules_pool import MOST_AT_ONCE, ChildrenBusy, rules_pool
from dicom_node.records.study_deliveries import DeliveryState, list_delivery
from dicom_node.records.study_listing import list_study
from dicom_node.series.selection import check_series
from dicom_node.settings.node import Acquisition, AcquisitionRules, Destination, NodeSettings
from dicom_node.settings.notices import Notices, Webhook
from dicom_node.settings.web import Web
from dicom_node.settings.work import Retention
from dicom_node.spool.spool import Spool, spool_name
from dicom_node.study_facts import StudyHeader
from dicom_node.work.discarding import Item
from dicom_node.work.failed_work import FailedWork
from tests.dicom_builders import edit, instances, plain_series
from tests.notice_targets import HookServer
from tests.page_client import PASSWORD, QUICK_HASHER, Browser, audit_records, make_app

MARKUP = "<script>alert(1)</script>"
KEY = spool_name("1.2.3")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    made = make_app(tmp_path, ("jane", "reader"), ("rose", "researcher"), ("adam", "administrator"))
    yield made
    close_pages(made)


@pytest.fixture
def adam(app: FastAPI) -> Browser:
    browser = Browser(app)
    browser.sign_in("adam")
    return browser


def failed(number: int = 1, **values: Any) -> FailedWork:
    given = {
        "id": f"work-{number}", "kind": "assessment", "study": KEY, "destination": None,
        "code": "node.assessment_failed", "reason": f"died {MARKUP}",
        "when": datetime(2026, 11, 30, 8, tzinfo=UTC), **values,
    }  # fmt: skip
    return FailedWork(**given)


def with_failed(monkeypatch: pytest.MonkeyPatch, *work: FailedWork) -> None:
    monkeypatch.setattr(status_module, "failed_work", lambda _settings: list(work))


def upload(browser: Browser, content: bytes, token: str | None = None) -> Any:
    boundary = uuid.uuid4().hex
    token = browser.get("/rules").form_token if token is None else token
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{token}\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="header"; filename="../../a"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode() + content + f"\r\n--{boundary}--\r\n".encode()  # fmt: skip
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    return browser.send("POST", "/rules/header", headers=headers, body=body)


@pytest.mark.parametrize("name", ["jane", "rose"])
def test_other_roles_see_none_of_it(app: FastAPI, name: str) -> None:
    browser = Browser(app)
    browser.sign_in(name)
    for path in (
        "/work",
        "/work/now",
        "/work/notices",
        f"/work/studies/{KEY}",
        "/rules",
        "/destinations",
    ):
        assert browser.get(path).status == 403
    token = browser.get("/account").form_token
    for path in (
        "/work/retry-all",
        "/work/notices/test",
        "/rules/study",
        "/destinations/pacs/echo",
    ):
        assert browser.post(path, {"csrf": token}).status == 403


def test_changes_need_the_forms_token(adam: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    with_failed(monkeypatch, failed())
    retried: list[str] = []
    monkeypatch.setattr(work_page, "retry", lambda _s, work, who: retried.append(work))
    for path in ("/work/retry", "/work/retry-all", f"/work/studies/{KEY}/discard", "/rules/study"):
        assert adam.post(path, {"work": "work-1", "csrf": "0"}).status == 403
    assert upload(adam, b"", token="0").status == 403
    assert not retried


def test_work_page_shows_a_node_without_anything(adam: Browser) -> None:
    answer = adam.get("/work")
    assert answer.status == 200
    assert "worker gives no sign of life" in answer.text
    assert "Nothing failed." in answer.text
    assert adam.get("/work/now").text.count("<html") == 0


def test_status_is_read_once_a_second_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    status = Status(True, (), {}, 0, 0, 0)

    def read(_self: StatusReader) -> Status:
        reads.append(1)
        return status

    monkeypatch.setattr(StatusReader, "read", read)
    with_failed(monkeypatch)
    settings = NodeSettings(data_dir=tmp_path)
    found = NodeStatus(settings, SharedStatus(settings))
    assert [found.now().status for _ in range(5)] == [status] * 5
    assert len(reads) == 1
    found.forget()
    found.now()
    assert len(reads) == 2


def test_what_waits_for_what(tmp_path: Path) -> None:
    destination = Destination(name="pacs", ae_title="PACS", host="pacs", port=104)
    settings = NodeSettings(data_dir=tmp_path, destinations=(destination,))
    queues = {
        "assess": Queue(3, 1, 5.0), "deliver-pacs": Queue(2, 0, 9.0),
        "deliver-old": Queue(1, 0, 1.0), "commit-pacs@0f3a": Queue(4, 0, 1.0),
        "idle": Queue(0, 2, 1.0),
    }  # fmt: skip
    lines = list(work_page.waits_in_words(Status(True, (), {}, 0, 0, 7, queues), settings))
    assert len(lines) == 5
    assert "7" in lines[0]
    assert "3 wait for a free place; 1 are in hand" in lines[1]
    assert "2 wait for pacs" in lines[2]
    assert "not among the destinations" in lines[3]
    assert "4 wait for the word of pacs" in lines[4]
    dead = Status(False, ("worker gives no sign of life",), {}, 0, 0, 0, queues)
    assert "none gives a sign of life" in next(work_page.waits_in_words(dead, settings))


def test_failed_work_is_retried_one_by_one_by_code_and_all(
    adam: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_failed(monkeypatch, failed(1), failed(2, code="x.y", kind="delivery", destination="pacs"))
    retried: list[tuple[str, str]] = []
    monkeypatch.setattr(work_page, "retry", lambda _s, work, who: retried.append((work, who)))
    shown = adam.get("/work")
    assert MARKUP not in shown.text
    assert "died &lt;script&gt;" in shown.text
    form = {"csrf": shown.form_token}
    assert adam.post("/work/retry", {**form, "work": "work-2"}).location == "/work?said=retried"
    adam.post("/work/retry-all", {**form, "code": "node.assessment_failed"})
    adam.post("/work/retry-all", form)
    assert retried == [(f"work-{n}", "adam") for n in (2, 1, 2, 1)]
    assert adam.post("/work/retry", {**form, "work": "../other"}).status == 409
    assert "Taken up again." in adam.get("/work?said=retried").text
    assert adam.get("/work?said=title").status == 200
    assert str(audit_records(tmp_path)).count("'retry'") == 4


def test_what_cannot_be_retried_is_said_and_recorded(
    adam: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_failed(monkeypatch, failed())

    def refuse(*_values: object, **_named: object) -> None:
        raise WorkFailed("node.instances_gone", "the instances were removed")

    monkeypatch.setattr(work_page, "retry", refuse)
    answer = adam.post("/work/retry-all", {"csrf": adam.get("/work").form_token})
    assert answer.status == 409
    assert "the instances were removed" in answer.text
    assert "the instances were removed" in str(audit_records(tmp_path)[-1])


def test_images_are_discarded_only_after_a_yes(
    adam: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime(2026, 11, 30, tzinfo=UTC)
    items = [Item("aa", "conflict", (tmp_path / "a",), f"PACS{MARKUP}", moment, moment)]
    items.append(Item("bb", "foreign", (tmp_path / "b",), "CT", moment, moment))
    monkeypatch.setattr(work_page, "items_of", lambda _settings, key: items if key == KEY else [])
    removed: list[tuple[list[str], str]] = []

    def discard(*values: Any, overwrite: bool, who: str) -> None:
        removed.append(([item.id for item in values[-1]], who))

    monkeypatch.setattr(work_page, "discard_items", discard)
    page = adam.get(f"/work/studies/{KEY}")
    assert MARKUP not in page.text
    form = {"csrf": page.form_token, "item": "aa"}
    asked = adam.post(f"/work/studies/{KEY}/discard", form)
    assert "Are you sure?" in asked.text
    assert "bb" not in asked.text.partition("<table")[2].partition("</table>")[0]
    assert not removed
    assert adam.post(f"/work/studies/{KEY}/discard", {"csrf": page.form_token}).status == 409
    for unknown in ("cc", "../aa"):
        sure = {**form, "item": unknown, "sure": "yes"}
        assert adam.post(f"/work/studies/{KEY}/discard", sure).status == 409
    assert not removed
    done = adam.post(f"/work/studies/{KEY}/discard", {**form, "sure": "yes"})
    assert done.location == "/work?said=discarded"
    assert removed == [(["aa"], "adam")]
    assert "'discard'" in str(audit_records(tmp_path)[-1])


@pytest.mark.parametrize("key", ["..", "%2e%2e%2f..", "x" * 40, f"{KEY}0", f"{KEY}%0a"])
def test_only_a_studys_key_becomes_a_path(adam: Browser, key: str) -> None:
    assert adam.get(f"/work/studies/{key}").status == 404
    form = {"csrf": adam.get("/rules").form_token, "study": key}
    assert adam.post("/rules/study", form).status == 404


def test_next_removal_is_that_of_the_oldest_folder(tmp_path: Path) -> None:
    rules = Retention(instance_days=2, report_days=None)
    settings = NodeSettings(data_dir=tmp_path, retention=rules)
    series = Spool(tmp_path).series
    for name, age_s in (("a", 1000), ("b", 5000)):
        (series / name).mkdir(parents=True)
        os.utime(series / name, (1e9 - age_s, 1e9 - age_s))
    instances_, reports, work = NextRemovals(settings).now()
    assert instances_.next_ms == round((1e9 - 5000 + 2 * 86400) * 1000)
    assert instances_.overdue
    assert (reports.days, reports.next_ms, work.days) == (None, None, 365.0)


@pytest.mark.parametrize(
    ("changes", "rule", "outcome"),
    [
        ({}, "tube_voltage", "pass"),
        ({"kvp": 100.0}, "tube_voltage", "refuse"),
        ({"kvp": None}, "tube_voltage", "refuse"),
        ({"modality": "MR"}, "kind", "refuse"),
        ({"contrast_agent": "iodine"}, "contrast", "warn"),
        ({"pixel_spacing_mm": (4.0, 4.0)}, "pixel_size", "refuse"),
        ({"pixel_spacing_mm": (2.0, 2.0)}, "large_pixels", "warn"),
        ({"slice_thickness_mm": 7.0}, "slice_thickness", "refuse"),
        ({"patient_position": ""}, "patient_position_missing", "warn"),
        ({"study_uid": ""}, "identity", "refuse"),
        ({"has_rescale": False}, "pixels", "refuse"),
    ],
)
def test_each_rule_has_its_own_verdict(changes: dict[str, Any], rule: str, outcome: str) -> None:
    members = instances(80, **changes)
    found = judged(members, Acquisition(), alone=False)
    assert found.verdicts[rule].outcome == outcome
    assert set(found.verdicts) >= set(AcquisitionRules.model_fields)
    if outcome != "refuse":
        check_series(members, Acquisition())
        assert found.outcome != "refuse"
        return
    with pytest.raises(SeriesRefused) as refused:
        check_series(members, Acquisition())
    assert refused.value.code in {verdict.code for verdict in found.verdicts.values()}
    assert found.outcome == "refuse"


def test_several_broken_rules_are_all_named() -> None:
    members = [replace(i, contrast_agent="iodine") for i in instances(10, kvp=80.0)]
    strict = Acquisition(rules=AcquisitionRules(contrast="strict"))
    verdicts = judged(members, strict, alone=False).verdicts
    assert [n for n in verdicts if verdicts[n].outcome == "refuse"] == [
        "tube_voltage", "coverage", "contrast",
    ]  # fmt: skip
    one = judged(members[:1], strict, alone=True).verdicts
    assert (one["coverage"].outcome, one["stack"].outcome) == ("open", "open")
    assert (one["contrast"].outcome, one["noise"].outcome) == ("refuse", "open")


def test_header_is_judged_in_a_child_and_not_kept(adam: Browser, tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    path = plain_series(tmp_path / "given", 3)[0]
    edit(path, KVP="80", Manufacturer=f"GE {MARKUP}")
    answer = upload(adam, path.read_bytes())
    assert answer.status == 200
    assert "acquired at 80 kVp" in answer.text
    assert MARKUP not in answer.text
    assert "'try'" in str(audit_records(tmp_path)[-1])


def test_hostile_file_ends_only_its_child(adam: Browser, tmp_path: Path) -> None:
    nonsense = upload(adam, b"no DICOM at all")
    assert nonsense.status == 422
    assert "cannot be read as DICOM" in nonsense.text
    assert upload(adam, b"\0" * 128 + b"DICM" + bytes(range(256)) * 16).status in (200, 422)
    with (
        rules_pool(NodeSettings(data_dir=tmp_path)) as pool,
        pytest.raises(AssessmentFailed),
    ):
        pool._run(os._exit, 10.0, 9)
    assert adam.get("/rules").status == 200
    too_large = upload(adam, bytes(1_100_000))
    assert too_large.status == 413


def test_few_children_at_once(tmp_path: Path) -> None:
    settings = NodeSettings(data_dir=tmp_path)
    pools = [rules_pool(settings) for _ in range(MOST_AT_ONCE + 1)]
    for pool in pools[:-1]:
        pool.__enter__()
    with pytest.raises(ChildrenBusy):
        pools[-1].__enter__()
    for pool in pools[:-1]:
        pool.__exit__(None, None, None)
    with rules_pool(settings):
        pass


def test_rules_page_names_every_setting(adam: Browser) -> None:
    shown = adam.get("/rules").text
    for rule in AcquisitionRules.model_fields:
        assert f"acquisition.rules.{rule}" in shown
    assert "Patient" not in shown.partition("<table")[0]


def test_received_study_is_chosen_without_its_patient(adam: Browser, app: FastAPI) -> None:
    with app.state.database.engine.begin() as connection:
        header = StudyHeader("1.2.3", accession="A-17", patient_name="Doe^Jane")
        list_study(connection, KEY, header, 1)
    assert "A-17" in adam.get("/rules").text
    assert "Doe" not in adam.get("/rules").text
    assert "A-17" in adam.get("/rules?accession=a-1").text
    assert "A-17" not in adam.get("/rules?accession=doe").text


def destinations_app(folder: Path, **changes: Any) -> FastAPI:
    made = make_app(folder, ("adam", "administrator"))
    peer = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 1, **changes}
    settings = made.state.settings.model_copy(update={"destinations": (Destination(**peer),)})
    made.state.settings = settings
    return made


def test_destinations_show_their_last_results(tmp_path: Path) -> None:
    app = destinations_app(tmp_path)
    place = {"study": KEY, "folder": "f", "destination": "pacs"}
    with app.state.database.engine.begin() as connection:
        rows = [
            ("a", DeliveryState.DELIVERED, ""), ("b", DeliveryState.FAILED, f"no {MARKUP}"),
            ("c", DeliveryState.WAITING, ""),
        ]  # fmt: skip
        for file, state, reason in rows:
            list_delivery(connection, {**place, "file": file}, file, state, 1, "x", reason)
    browser = Browser(app)
    browser.sign_in("adam")
    shown = browser.get("/destinations").text
    assert "no &lt;script&gt;" in shown
    assert "127.0.0.1:1" in shown
    close_pages(app)


def test_echo_says_why_a_destination_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = destinations_app(tmp_path, timeout_seconds=90)
    browser = Browser(app)
    browser.sign_in("adam")
    form = {"csrf": browser.get("/destinations").form_token}
    assert browser.post("/destinations/other/echo", form).status == 404
    answer = browser.post("/destinations/pacs/echo", form)
    assert "pacs did not answer" in answer.text
    assert "'echo'" in str(audit_records(tmp_path)[-1])
    asked: list[float] = []
    monkeypatch.setattr(
        "dicom_node.pages.operation.destinations_page.echo",
        lambda destination, _title: asked.append(destination.timeout_seconds),
    )
    assert "pacs answered" in browser.post("/destinations/pacs/echo", form).text
    assert asked == [10.0]
    close_pages(app)


def test_notices_are_shown_and_tried(tmp_path: Path) -> None:
    with HookServer() as good, HookServer([500]) as bad:
        webhooks = tuple(
            Webhook(name=name, url=one.url) for name, one in (("good", good), ("bad", bad))
        )
        settings = NodeSettings(
            data_dir=tmp_path, web=Web(), notices=Notices(webhooks=webhooks, conditions=("disk",))
        )
        app = make_pages(settings, QUICK_HASHER)
        app.state.gate.accounts.add(Identity("adam", frozenset({"administrator"})), PASSWORD)
        adam = Browser(app)
        adam.sign_in("adam")
        page = adam.get("/work/notices")
        assert "webhook good" in page.text
        assert "The settings choose: disk." in page.text
        text = adam.post("/work/notices/test", {"csrf": page.form_token}).text
        close_pages(app)
    assert "webhook good took the test notice (HTTP 204)." in text
    assert "webhook bad did not take the test notice: answered HTTP 500." in text
    assert [one["state"] for one in (*good.notices, *bad.notices)] == ["test", "test"]
    deeds = [record for record in audit_records(tmp_path) if "'notify'" in str(record)]
    assert [record["EventIdentification"]["EventOutcomeIndicator"] for record in deeds] == [0, 4]


def test_node_that_tells_nobody_says_so(adam: Browser) -> None:
    page = adam.get("/work/notices")
    assert "Nobody is told" in page.text
    token = adam.get("/account").form_token
    assert adam.post("/work/notices/test", {"csrf": token}).status == 404
