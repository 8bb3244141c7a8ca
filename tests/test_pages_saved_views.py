"""Filters of the list of studies, and views of one's own."""

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from dicom_node.pages.app import close_pages
from dicom_node.pages.studies.saved_views import MOST_VIEWS
from dicom_node.pages.studies.views import CHOICES, OF_PATIENTS
from dicom_node.records.database import saved_views
from dicom_node.records.listed_studies import StudyState
from dicom_node.records.study_deliveries import DeliveryState, list_delivery
from dicom_node.records.study_listing import StudyResult, list_result, list_study
from dicom_node.study_facts import StudyHeader
from tests.page_client import PASSWORD, Browser, make_app


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    made = make_app(tmp_path, ("jane", "reader"), ("john", "reader"), ("adam", "administrator"))
    yield made
    close_pages(made)


def signed_in(app: FastAPI, name: str) -> Browser:
    browser = Browser(app)
    browser.sign_in(name)
    return browser


@pytest.fixture
def jane(app: FastAPI) -> Browser:
    return signed_in(app, "jane")


def save(browser: Browser, name: str, filters: str = "verdict=none&l1=low") -> tuple[int, str]:
    """Save a view by the form of the page with these filters; gives the answer."""
    page = browser.get(f"/studies?{filters}")
    form = {"csrf": page.form_token, "name": name, "filters": filters}
    answer = browser.post("/studies/views", form)
    return answer.status, answer.location or answer.text


def own(browser: Browser) -> dict[str, str]:
    """The saved views that the list shows, name and address."""
    found = re.findall(
        r'<a class="own" href="([^"]+)"[^>]*>([^<]*)</a>', browser.get("/studies").text
    )
    return {unescape(name): unescape(address) for address, name in found}


def stored(app: FastAPI) -> list[tuple[str, str, dict[str, str]]]:
    with app.state.database.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.select(saved_views))]


def add(app: FastAPI, name: str, date: str = "", delivery: str = "", **result: object) -> None:
    """List a study whose accession number is its name."""
    with app.state.database.engine.begin() as connection:
        header = StudyHeader(f"1.2.{len(name)}.{sum(name.encode())}", name, study_date=date)
        list_study(connection, name, header, 1)
        given = {"l1_hu": 80.0, "result": "staged", **result}
        list_result(connection, name, StudyResult("a", "f", StudyState.REPORTED, **given))  # type: ignore[arg-type]
        if delivery:
            place = {"study": name, "folder": "f", "file": "x", "destination": "pacs"}
            list_delivery(connection, place, "w", DeliveryState(delivery), 1)


def accessions(browser: Browser, filters: str) -> set[str]:
    page = browser.get(f"/studies?{filters}")
    assert page.status == 200
    return set(re.findall(r'<a id="s-\w+" href="[^"]+">([^<]+)</a>', page.text))


def test_filters_leave_out_what_does_not_fit(app: FastAPI, jane: Browser) -> None:
    add(app, "LOW", l1_category="low", stage="D", date="20200101", delivery="failed")
    add(app, "HIGH", l1_category="high", stage="A", date="29991231")
    add(app, "READ", l1_category="low", verdict="accepted", result="measured")
    assert accessions(jane, "l1=low") == {"LOW", "READ"}
    assert accessions(jane, "l1=low&verdict=none") == {"LOW"}
    assert accessions(jane, "stage=A") == {"HIGH"}
    assert accessions(jane, "result=measured") == {"READ"}
    assert accessions(jane, "delivery=failed") == {"LOW"}
    assert accessions(jane, "days=7") == {"HIGH"}
    assert accessions(jane, "l1=low&search=rea") == {"READ"}
    assert accessions(jane, "verdict=&l1=&result=&stage=&delivery=&days=") == {
        "LOW",
        "HIGH",
        "READ",
    }


def test_chosen_filters_stay_chosen_in_form_pages_and_renewal(jane: Browser) -> None:
    text = jane.get("/studies?l1=low&days=30").text
    assert '<option value="low" selected>' in text
    assert '<option value="30" selected>' in text
    assert '<details class="more" open>' in text
    assert 'hx-get="/studies?l1=low&amp;days=30"' in text
    assert '<details class="more">' in jane.get("/studies").text


@pytest.mark.parametrize("filters", ["l1=x", "days=3", "verdict=;", "stage=E", "delivery=gone"])
def test_other_filters_have_no_page(jane: Browser, filters: str) -> None:
    assert jane.get(f"/studies?{filters}").status == 404


def test_administrator_cannot_filter_by_what_was_measured_or_read(app: FastAPI) -> None:
    adam = signed_in(app, "adam")
    text = adam.get("/studies").text
    for name, values in CHOICES.items():
        hidden = name in OF_PATIENTS
        assert (f'id="filter-{name}"' in text) is not hidden
        assert adam.get(f"/studies?{name}={values[0]}").status == (403 if hidden else 200)
    assert save(adam, "low", "delivery=failed")[0] == 303
    token = adam.get("/studies?state=failed").form_token
    form = {"csrf": token, "name": "sly", "filters": "l1=low"}
    assert adam.post("/studies/views", form).status == 403


def test_saved_view_stands_among_the_views_and_leads_to_its_filters(
    app: FastAPI, jane: Browser
) -> None:
    add(app, "LOW", l1_category="low")
    add(app, "HIGH", l1_category="high")
    assert save(jane, "  Low,   unread ") == (303, "/studies?verdict=none&l1=low")
    assert own(jane) == {"Low, unread": "/studies?verdict=none&l1=low"}
    page = jane.get("/studies?l1=low&verdict=none").text
    assert re.search(r'class="own" href="[^"]+" aria-current="true">Low, unread<', page)
    assert accessions(jane, own(jane)["Low, unread"].partition("?")[2]) == {"LOW"}


def test_view_is_of_its_account_alone_and_can_be_removed(app: FastAPI, jane: Browser) -> None:
    john = signed_in(app, "john")
    save(jane, "mine")
    save(john, "mine", "stage=D")
    save(jane, "other")
    assert (own(john), len(own(jane))) == ({"mine": "/studies?stage=D"}, 2)
    form = {"csrf": jane.get("/studies?l1=low").form_token, "name": "mine"}
    assert jane.post("/studies/views/remove", form).location == "/studies"
    assert jane.post("/studies/views/remove", form).status == 303  # gone already
    assert list(own(jane)) == ["other"]
    assert list(own(john)) == ["mine"]


def test_same_name_stands_for_the_newer_filters(jane: Browser) -> None:
    save(jane, "mine")
    save(jane, "mine", "view=to_read")
    assert own(jane) == {"mine": "/studies?view=to_read"}


def test_no_more_views_than_a_list_can_show(app: FastAPI, jane: Browser) -> None:
    for number in range(MOST_VIEWS):
        assert save(jane, f"view {number}")[0] == 303
    status, text = save(jane, "one more")
    assert (status, f"You have {MOST_VIEWS} views; remove one first." in text) == (409, True)
    assert save(jane, "view 3", "stage=D")[0] == 303  # what is there can be changed
    assert len(stored(app)) == MOST_VIEWS


@pytest.mark.parametrize("name", ["", "   ", "x" * 41, "a\x00b", "a\u202eb"])
def test_name_that_is_none_is_refused_in_words(app: FastAPI, jane: Browser, name: str) -> None:
    status, text = save(jane, name)
    assert status == 409
    assert "A view needs a name of 1 to 40 printable characters." in text
    assert stored(app) == []


def test_markup_in_the_name_of_a_view_is_text(jane: Browser) -> None:
    name = '"><script>alert(1)</script>'
    save(jane, name)
    assert list(own(jane)) == [name]
    assert "<script>alert" not in jane.get("/studies").text


def test_search_words_are_never_saved(app: FastAPI, jane: Browser) -> None:
    page = jane.get("/studies?l1=low&search=Doe")
    assert 'name="filters" value="l1=low"' in page.text
    assert "never what was searched for" in page.text
    assert 'action="/studies/views"' not in jane.get("/studies?search=Doe").text
    assert save(jane, "sly", "l1=low&search=Doe")[0] == 404
    assert save(jane, "slyer", "after=1-Doe")[0] == 404
    assert save(jane, "nothing", "")[0] == 409
    save(jane, "l1")
    assert "Doe" not in json.dumps(stored(app))


def test_views_are_changed_by_our_forms_alone(app: FastAPI, jane: Browser) -> None:
    save(jane, "mine")
    for path in ("/studies/views", "/studies/views/remove"):
        form = {"csrf": "0", "name": "mine", "filters": "stage=A"}
        assert jane.post(path, form).status == 403
        assert Browser(app).post(path, form).status in (303, 401, 403)
    assert stored(app) == [("jane", "mine", {"verdict": "none", "l1": "low"})]


def test_views_go_with_the_account(app: FastAPI, jane: Browser) -> None:
    save(jane, "mine")
    save(signed_in(app, "john"), "his")
    accounts = app.state.gate.accounts
    identity = accounts.of("jane")
    accounts.remove("jane")
    assert [row[0] for row in stored(app)] == ["john"]
    accounts.add(identity, PASSWORD)
    assert own(signed_in(app, "jane")) == {}


def test_view_whose_filters_may_not_be_asked_any_more_is_no_link(
    app: FastAPI, jane: Browser
) -> None:
    save(jane, "mine")
    app.state.gate.accounts.set_roles("jane", ["administrator"])
    again = signed_in(app, "jane")
    assert own(again) == {}
    assert "Remove “mine”" in again.get("/studies").text
