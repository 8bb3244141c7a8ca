"""The list of studies and the page of each: what they show, and to whom."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi import FastAPI

from dicom_node.errors import WorkFailed
from dicom_node.pages.app import close_pages
from dicom_node.pages.studies import listing, study_page
from dicom_node.pages.studies.numbers import KEPT_SECONDS, numbers_of
from dicom_node.records.listed_studies import StudyState
from dicom_node.records.study_deliveries import DeliveryState, list_delivery
from dicom_node.records.study_events import StudyEvent, note_event
from dicom_node.records.study_listing import StudyResult, list_result, list_state, list_study
from dicom_node.settings.web import Role, Web
from dicom_node.study_facts import StudyHeader
from tests.page_client import Browser, audit_records, make_app
from tests.study_builders import FOLDER, HEADER, MadeStudy, make_study

VIEWER = "https://viewer.hospital/?StudyInstanceUIDs={study_uid}&number={accession}"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    folder = tmp_path_factory.mktemp("pages") / "node"
    people: tuple[tuple[str, Role], ...] = (
        ("jane", "reader"), ("adam", "administrator"), ("rose", "researcher"),
    )  # fmt: skip
    made = make_app(folder, *people, viewer_url=VIEWER)
    yield made
    close_pages(made)


@pytest.fixture(scope="module")
def study(app: FastAPI, tmp_path_factory: pytest.TempPathFactory) -> MadeStudy:
    made = make_study(app, tmp_path_factory.mktemp("series") / "series", HEADER)
    with app.state.database.engine.begin() as connection:
        for file, state in (("report.sr.dcm", "failed"), ("report.sc.dcm", "committed")):
            place = {"study": made.row.study, "folder": FOLDER, "file": file, "destination": "pacs"}
            list_delivery(
                connection, place, f"work-{file}", DeliveryState(state), 2, "x", "was not there"
            )
        note_event(connection, made.row.study, StudyEvent.QUEUED, "w1", moment=1_000)
        note_event(connection, made.row.study, StudyEvent.RETRIED, "w2", "<i>why</i>", "jane")
    return made


@pytest.fixture(scope="module")
def reader(app: FastAPI) -> Browser:
    browser = Browser(app)
    browser.sign_in("jane")
    return browser


@pytest.fixture(scope="module")
def administrator(app: FastAPI) -> Browser:
    browser = Browser(app)
    browser.sign_in("adam")
    return browser


def add(app: FastAPI, key: str, header: StudyHeader, result: StudyResult | None = None) -> None:
    with app.state.database.engine.begin() as connection:
        list_study(connection, key, header, 1)
        if result is not None:
            list_result(connection, key, result)


def refuse(app: FastAPI, key: str, header: StudyHeader, code: str, reason: str) -> None:
    add(app, key, header)
    with app.state.database.engine.begin() as connection:
        list_state(connection, key, StudyState.REFUSED, code, reason)


def accessions(text: str) -> list[str]:
    return re.findall(r'<a id="s-\w+" href="[^"]+">([^<]+)</a>', text)


def test_the_list_shows_a_study_to_a_reader(study: MadeStudy, reader: Browser) -> None:
    answer = reader.get("/studies?search=ACC-1")
    assert answer.status == 200
    for shown in (
        "ACC-1", "Roe, Rita", "P-1", "2026-03-01", "GE Revolution", "<strong>100</strong> HU",
        "Stage C, most like osteoporosis", "to read", "Contrast agent stated", "failed 1",
    ):  # fmt: skip
        assert shown in answer.text


def test_an_administrator_sees_neither_patient_nor_values(
    study: MadeStudy, administrator: Browser
) -> None:
    for path in ("/studies", study.address):
        answer = administrator.get(path)
        assert answer.status == 200
        assert "ACC-1" in answer.text
        assert "failed" in answer.text
        for hidden in (
            "Roe", "Rita", "P-1", "1955", "Revolution", "100 HU", "<strong>100", "osteoporosis",
            "<svg",
        ):  # fmt: skip
            assert hidden not in answer.text, (path, hidden)


def test_an_administrator_cannot_find_out_a_name_by_searching(
    study: MadeStudy, administrator: Browser, reader: Browser
) -> None:
    for words in ("roe", "P-1"):
        assert accessions(administrator.get(f"/studies?search={words}").text) == []
        assert accessions(reader.get(f"/studies?search={words}").text) == ["ACC-1"]
    assert accessions(administrator.get("/studies?search=acc-1").text) == ["ACC-1"]
    assert administrator.get("/studies?view=low_unread").status == 403


@pytest.mark.parametrize("path", ["/files/report.json", "/slices/1.2.3.png"])
def test_an_administrator_gets_no_file(study: MadeStudy, administrator: Browser, path: str) -> None:
    assert administrator.get(study.address + path).status == 403


def test_a_researcher_sees_no_study(app: FastAPI, study: MadeStudy) -> None:
    browser = Browser(app)
    browser.sign_in("rose")
    for path in ("/studies", study.address, f"{study.address}/files/report.json"):
        assert browser.get(path).status == 403


def test_a_study_shows_what_was_measured(study: MadeStudy, reader: Browser) -> None:
    answer = reader.get(study.address)
    for shown in (
        *study.report.impression, "a contrast agent is stated", "too small for a region of 150 mm2",
        "100 ± 20 HU", "Slice 39 of 40 from the head", "L1 vertebral body: 120 HU",
    ):  # fmt: skip
        assert shown in answer.text.replace("&#39;", "'"), shown


def test_levels_lead_to_their_middle_slices(study: MadeStudy, reader: Browser) -> None:
    text = reader.get(f"{study.address}?slice=3&window=soft").text
    # the builder's vertebrae lie one slice above the other, from L1 at the feet
    assert re.findall(r'id="level-(\w\d)" href="\?slice=(\d+)', text) == [
        ("L1", "39"), ("L2", "38"), ("L3", "37"), ("L4", "36"), ("L5", "35"), ("S1", "34"),
    ]  # fmt: skip
    assert 'rel="prev" href="?slice=2&amp;window=soft#picture"' in text
    assert 'rel="next" href="?slice=4&amp;window=soft#picture"' in text
    assert ".png?window=soft" in text


def test_the_picture_of_the_report_stands_in_for_images_that_are_gone(
    app: FastAPI, study: MadeStudy, reader: Browser
) -> None:
    picture = study.report_folder / "rois.png"
    picture.write_bytes(b"picture")
    away = study.paths[0].parent.with_name("away")
    shutil.move(study.paths[0].parent, away)
    try:
        answer = reader.get(study.address)
        assert "no longer kept on this node" in answer.text
        assert f"{study.address}/files/rois.png" in answer.text
        assert '<svg class="slice"' not in answer.text
    finally:
        shutil.move(away, study.paths[0].parent)
        picture.unlink()


def test_l1_of_the_same_patient_is_a_curve(app: FastAPI, study: MadeStudy, reader: Browser) -> None:
    old = replace(HEADER, study_uid="1.2.3.50", study_date="20240301", accession="OLD")
    other = replace(old, study_uid="1.2.3.51", birth_date="19700101", accession="OTHER")
    for key, header, hu in (("old", old, 151.0), ("other", other, 188.0)):
        add(app, key, header, StudyResult("a", FOLDER, StudyState.REPORTED, "", "", "staged", hu))
    text = reader.get(study.address).text
    assert '<svg class="curve"' in text
    assert "151 HU" in text
    assert "188 HU" not in text


def test_the_viewer_is_linked_with_quoted_values(study: MadeStudy, reader: Browser) -> None:
    expected = VIEWER.format(study_uid=study.row.study_uid, accession="ACC-1")
    assert expected.replace("&", "&amp;") in reader.get(study.address).text


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert({study_uid})", "ftp://viewer/{study_uid}", "https://{study_uid}/",
        "https://viewer/{patient_name}", "https://viewer/{study_uid.__class__}",
        "https://viewer/{study_uid!r}", "https://viewer/{", "//viewer/{study_uid}",
    ],
)  # fmt: skip
def test_other_viewer_addresses_are_refused(address: str) -> None:
    with pytest.raises(ValueError, match="viewer_url"):
        Web(viewer_url=address)


def test_files_are_given_to_keep(study: MadeStudy, reader: Browser) -> None:
    answer = reader.get(f"{study.address}/files/report.json")
    assert json.loads(answer.content)["study_uid"] == study.row.study_uid
    assert answer.headers["content-disposition"] == 'attachment; filename="report.json"'
    for name in ("report.pdf", "..%2freport.json", "report.invalid.dcm", "%2e%2e"):
        assert reader.get(f"{study.address}/files/{name}").status == 404


def test_a_failed_delivery_is_taken_up_again_in_the_visitors_name(
    study: MadeStudy, reader: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(study_page, "retry", lambda _settings, work, who: asked.append((work, who)))
    form = {"csrf": reader.get(study.address).form_token, "work": "work-report.sr.dcm"}
    answer = reader.post(f"{study.address}/retry", form)
    assert answer.location == f"{study.address}?said=retried#deliveries"
    assert asked == [("work-report.sr.dcm", "jane")]
    record = audit_records(study.settings.data_dir)[-1]["ParticipantObjectIdentification"][0]
    assert {"type": "deed", "value": "retry"} in record["ParticipantObjectDetail"]
    for other in ("work-report.sc.dcm", "of another study"):
        assert reader.post(f"{study.address}/retry", {**form, "work": other}).status == 404
    assert len(asked) == 1


def test_work_that_goes_on_is_said(
    study: MadeStudy, reader: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise WorkFailed("node.work_goes_on", "it is not finished")

    monkeypatch.setattr(study_page, "retry", refused)
    form = {"csrf": reader.get(study.address).form_token, "work": "work-report.sr.dcm"}
    assert "said=not_retried" in reader.post(f"{study.address}/retry", form).location
    assert audit_records(study.settings.data_dir)[-1]["EventIdentification"][
        "EventOutcomeDescription"
    ] == "node.work_goes_on"  # fmt: skip


def test_every_look_is_recorded(study: MadeStudy, reader: Browser) -> None:
    before = len(audit_records(study.settings.data_dir))
    reader.get("/studies")
    reader.get("/studies", hx_request="true")
    reader.get(study.address)
    reader.get(f"{study.address}/files/report.txt")
    reader.get(f"{study.address}/files/report.json")
    new = audit_records(study.settings.data_dir)[before:]
    shown = [
        (item["ParticipantObjectID"], item["ParticipantObjectDetail"][0]["value"])
        for item in (record["ParticipantObjectIdentification"][0] for record in new)
    ]
    uid = study.row.study_uid
    assert shown == [("", "studies"), ("", "studies"), (uid, "study"), (uid, "report.json")]


def test_markup_from_headers_is_text(app: FastAPI, reader: Browser) -> None:
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    header = StudyHeader("1.2.3.60", f"EVIL{evil}", evil, evil, evil, evil, evil, evil, evil, evil)
    refuse(app, "evil", header, f"series.kvp{evil}", evil)
    with app.state.database.engine.begin() as connection:
        note_event(connection, "evil", StudyEvent.FAILED, "w", evil, evil)
    for path in ("/studies?search=evil", "/studies/1.2.3.60", f"/studies?search={evil[2:10]}"):
        answer = reader.get(path)
        assert answer.status == 200
        assert "<script>alert" not in answer.text
        assert "<img src=x" not in answer.text


def test_refused_studies_say_why_and_what_would_help(app: FastAPI, reader: Browser) -> None:
    header = StudyHeader("1.2.3.61", "REFUSED")
    refuse(app, "refused", header, "series.kvp", "found 80 kVp")
    for path in ("/studies?state=refused", "/studies/1.2.3.61"):
        text = reader.get(path).text
        assert "Not assessed" in text
        assert "found 80 kVp" in text
        assert "Send a series that was acquired at 120 kVp" in text


def test_views_and_states_lead_to_their_studies(
    app: FastAPI, study: MadeStudy, reader: Browser
) -> None:
    low = StudyHeader("1.2.3.62", "LOW")
    result = StudyResult("a", FOLDER, StudyState.REPORTED, l1_hu=80.0, l1_category="low")
    add(app, "low", low, result)
    read = StudyHeader("1.2.3.63", "READ")
    add(app, "read", read, replace(result, verdict="accepted"))
    found = accessions(reader.get("/studies?view=low_unread").text)
    assert "LOW" in found
    assert "READ" not in found
    assert "READ" not in accessions(reader.get("/studies?view=to_read").text)
    assert accessions(reader.get("/studies?view=deliveries_failed").text) == ["ACC-1"]
    assert "ACC-1" not in accessions(reader.get("/studies?state=refused").text)


@pytest.mark.parametrize(
    "query", ["view=x", "state=x", "after=x", "before=1", "search=" + "x" * 201]
)
def test_other_questions_have_no_page(reader: Browser, query: str) -> None:
    assert reader.get(f"/studies?{query}").status == 404


def test_pages_lead_forward_and_back_by_key(
    app: FastAPI, reader: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "ROWS", 2)
    for k in range(5):
        add(app, f"paged{k}", StudyHeader(f"1.2.3.7.{k}", f"PAGED-{k}"))
    pages, address = [], "/studies?search=paged"
    while address:
        text = reader.get(address).text
        pages.append(accessions(text))
        found = re.search(r'id="following" rel="next" href="([^"]+)"', text)
        address = "" if found is None else found[1].replace("&amp;", "&")
    assert [len(page) for page in pages] == [2, 2, 1]
    back = []
    while found := re.search(r'id="previous" rel="prev" href="([^"]+)"', text):
        text = reader.get(found[1].replace("&amp;", "&")).text
        back.append(accessions(text))
    assert back == [pages[1], pages[0]]


@pytest.mark.parametrize("uid", ["1.2.3.999", "x", "..", "1" * 65, "1.2%2f..%2f1"])
def test_unknown_studies_have_no_page(reader: Browser, uid: str) -> None:
    assert reader.get(f"/studies/{uid}").status == 404


def test_the_table_renews_itself_in_place(study: MadeStudy, reader: Browser) -> None:
    text = reader.get("/studies?search=ACC-1").text
    assert 'id="studies" hx-get="/studies?search=ACC-1" hx-trigger="every 30s"' in text


def test_numbers_stand_beside_the_states_and_are_counted_anew(
    app: FastAPI, study: MadeStudy, reader: Browser
) -> None:
    engine = app.state.database.engine
    now = 1_000_000.0
    before = sum(numbers_of(engine, lambda: now).values())
    add(app, "counted", StudyHeader("1.2.3.64", "COUNTED"))
    assert sum(numbers_of(engine, lambda: now + KEPT_SECONDS).values()) == before
    anew = numbers_of(engine, lambda: now + KEPT_SECONDS + 1)
    assert sum(anew.values()) == before + 1
    assert f"All studies {before + 1}<" in reader.get("/studies").text
