"""Signing in, sessions and forms: what lets a visitor in, and what does not."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute

from dicom_node.pages.access import guard
from dicom_node.pages.access.accounts import Accounts
from dicom_node.pages.access.guard import OPEN_PATHS, RoleGuard, anyone
from dicom_node.pages.access.sessions import Sessions
from dicom_node.pages.access.visitor import Identity, Visitor
from dicom_node.pages.app import ROOMS, close_pages
from dicom_node.records.database import open_database, sessions
from tests.page_client import PASSWORD, Browser, Clock, audit_records, make_app


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    made = make_app(tmp_path, ("jane", "reader"), ("rose", "researcher"), ("adam", "administrator"))
    yield made
    close_pages(made)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    opened = open_database(f"sqlite:///{tmp_path}/node.sqlite", make=True)
    yield opened
    opened.dispose()


def page_routes() -> list[APIRoute]:
    """All routes of all rooms but those for which nobody need be signed in."""
    found = [route for room in ROOMS for route in room.routes if isinstance(route, APIRoute)]
    return [route for route in found if route.path not in OPEN_PATHS]


def addressed(route: APIRoute) -> str:
    return re.sub(r"\{.*?\}", "1.2.3", route.path)


def test_no_page_is_shown_without_signing_in(app: FastAPI) -> None:
    assert len(page_routes()) >= 5
    for route in page_routes():
        for method in sorted(route.methods or ()):
            answer = Browser(app).send(method, addressed(route))
            assert (answer.status, answer.location.partition("?")[0]) == (303, "/login"), route.path
            assert answer.content == b""


def test_every_page_asks_for_a_role_or_for_anyone() -> None:
    for route in page_routes():
        asked = [dependant.call for dependant in route.dependant.dependencies]
        assert any(isinstance(call, RoleGuard) or call is anyone for call in asked), route.path


def test_signing_in_goes_to_the_page_that_was_asked_for(app: FastAPI) -> None:
    browser = Browser(app)
    refused = browser.get("/account?x=1&y=2")
    assert refused.location == "/login?to=%2Faccount%3Fx%3D1%26y%3D2"
    assert 'value="/account?x=1&amp;y=2"' in browser.get(refused.location).text
    assert browser.sign_in("jane", to="/account?x=1").location == "/account?x=1"
    shown = browser.get("/account")
    assert (shown.status, "Doe, Jane" in shown.text) == (200, True)
    assert browser.get("/").location == browser.get("/login").location == "/studies"


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "\t//evil", "/\r\nX: y"]
)
def test_signing_in_leads_to_no_other_site(app: FastAPI, target: str) -> None:
    assert Browser(app).sign_in("jane", to=target).location == "/studies"


def test_session_cookie_is_for_this_host_and_for_no_script(tmp_path: Path) -> None:
    plain = make_app(tmp_path / "plain", ("jane", "reader"))
    cookie = Browser(plain).sign_in("jane").cookies["osteonode_session"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "strict", "/")
    assert (cookie["secure"], cookie["domain"], cookie["max-age"]) == ("", "", "")
    assert len(cookie.value) == 43
    secure = make_app(tmp_path / "secure", ("jane", "reader"), public_url="https://node.hospital")
    browser = Browser(secure, host="node.hospital")
    answer = browser.sign_in("jane")
    assert set(answer.cookies) == {"__Host-osteonode_session", "__Host-osteonode_browser"}
    assert all(cookie["secure"] is True for cookie in answer.cookies.values())
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    for made in (plain, secure):
        close_pages(made)


def test_token_of_before_signing_in_is_worth_nothing_after(app: FastAPI) -> None:
    planted = "A" * 43
    victim = Browser(app, cookies={"osteonode_session": planted})
    victim.sign_in("jane")
    assert victim.cookies["osteonode_session"] != planted
    assert Browser(app, cookies={"osteonode_session": planted}).get("/account").status == 303
    first = dict(victim.cookies)
    victim.post("/login", {"name": "jane", "password": PASSWORD})
    assert victim.cookies != first
    assert Browser(app, cookies=first).get("/account").status == 303


def test_only_the_digest_of_a_token_is_kept_and_opens_nothing(app: FastAPI, tmp_path: Path) -> None:
    browser = Browser(app)
    browser.sign_in("jane")
    token = browser.cookies["osteonode_session"]
    assert token.encode() not in (tmp_path / "osteonode.sqlite").read_bytes()
    with app.state.database.engine.connect() as connection:
        digest = connection.execute(sa.select(sessions.c.digest)).scalar_one()
    for stolen in (digest, digest[:43], token[:-1], token + "A", "", "' OR 1=1 --"):
        thief = Browser(app, cookies={"osteonode_session": stolen})
        assert thief.get("/account").status == 303


def test_signing_out_ends_the_session_for_a_copy_of_its_cookie_too(app: FastAPI) -> None:
    browser = Browser(app)
    browser.sign_in("jane")
    copy = Browser(app, cookies=dict(browser.cookies))
    answer = browser.post("/logout", {"csrf": copy.get("/account").form_token})
    assert (answer.status, "osteonode_session" in browser.cookies) == (200, False)
    assert copy.get("/account").status == 303


def test_sessions_end_idle_and_at_their_longest(engine: sa.Engine) -> None:
    clock = Clock()
    table = Sessions(engine, idle_ms=1_800_000, longest_ms=43_200_000, clock=clock)
    identity = Identity("jane", frozenset({"reader"}))
    token = table.begin(identity, "10.0.0.1")
    clock.now += 1799
    assert table.of(token, in_use=False) is not None
    clock.now += 2
    assert table.of(token) is None
    token = table.begin(identity, "10.0.0.1")
    for _ in range(28):
        clock.now += 1500
        found = table.of(token)
        assert found is not None
        assert found.identity == identity
    clock.now += 1300
    assert table.of(token) is None
    table.begin(identity, "10.0.0.1")
    with engine.connect() as connection:
        counted = sa.select(sa.func.count()).select_from(sessions)
        assert connection.execute(counted).scalar_one() == 1


def test_page_that_refreshes_itself_does_not_lengthen_a_session(app: FastAPI) -> None:
    browser = Browser(app)
    browser.sign_in("jane")
    engine = app.state.database.engine
    earlier = int(time.time() * 1000) - 20 * 60_000
    with engine.begin() as connection:
        connection.execute(sessions.update().values(used=earlier))

    def used() -> int:
        with engine.connect() as connection:
            return int(connection.execute(sa.select(sessions.c.used)).scalar_one())

    assert browser.get("/account", hx_request="true").status == 200
    assert used() == earlier
    assert browser.get("/account").status == 200
    assert used() > earlier


def test_one_name_has_a_limited_number_of_sessions(engine: sa.Engine) -> None:
    clock = Clock()
    table = Sessions(engine, 10**9, 10**9, clock)
    tokens = []
    for _ in range(25):
        clock.now += 1
        tokens.append(table.begin(Identity("jane", frozenset({"reader"})), "10.0.0.1"))
    assert [table.of(token) is not None for token in tokens] == [False] * 5 + [True] * 20
    assert table.end_all("jane", but=tokens[-1]) == 19
    assert [found.began for found in table.of_name("jane")] == [1_000_025_000]


def test_other_password_or_roles_end_all_sessions(app: FastAPI) -> None:
    made: Accounts = app.state.gate.accounts
    changes = [
        lambda: made.set_password("jane", "another long password"),
        lambda: made.set_roles("jane", {"researcher"}),
        lambda: made.remove("jane"),
    ]
    passwords = [PASSWORD, "another long password", "another long password"]
    for change, password in zip(changes, passwords, strict=True):
        browser = Browser(app)
        browser.sign_in("jane", password)
        assert browser.get("/account").status == 200
        change()
        assert browser.get("/account").status == 303
    assert Browser(app).sign_in("jane", "another long password").status == 401


def test_visitor_changes_the_own_password_and_other_sessions_end(app: FastAPI) -> None:
    here, elsewhere = Browser(app), Browser(app)
    here.sign_in("jane")
    elsewhere.sign_in("jane")
    token = here.get("/account").form_token
    new = "several words of my own"

    def change(old: str, first: str, second: str) -> int:
        form = {"csrf": token, "old": old, "new": first, "again": second}
        return here.post("/account/password", form).status

    assert change("wrong", new, new) == change(PASSWORD, new, new + "x") == 400
    assert change(PASSWORD, "short", "short") == 400
    assert change(PASSWORD, new, new) == 303
    assert (here.get("/account").status, elsewhere.get("/account").status) == (200, 303)
    assert Browser(app).sign_in("jane", new).status == 303


def test_what_was_typed_as_an_unknown_name_is_told_nobody(app: FastAPI, tmp_path: Path) -> None:
    Browser(app).sign_in("my-secret-passw0rd", "x")
    Browser(app).sign_in("jane", "wrong-passw0rd")
    text = "".join(file.read_text() for file in (tmp_path / "audit").iterdir())
    assert "passw0rd" not in text
    users = [r["ActiveParticipant"][0]["UserID"] for r in audit_records(tmp_path)]
    assert users == ["unknown", "jane"]
    assert b"passw0rd" not in (tmp_path / "osteonode.sqlite").read_bytes()


@pytest.mark.parametrize(
    ("headers", "token", "status"),
    [
        ({}, True, 200),
        ({}, False, 403),
        ({"origin": "http://127.0.0.1:8080", "sec_fetch_site": "same-origin"}, True, 200),
        ({"origin": "http://evil.example"}, True, 403),
        ({"origin": "null"}, True, 403),
        ({"origin": "http://127.0.0.1:8081"}, True, 403),
        ({"sec_fetch_site": "cross-site"}, True, 403),
        ({"sec_fetch_site": "same-site"}, True, 403),
        ({"sec_fetch_site": "none"}, True, 403),
        ({"sec_fetch_site": "same-origin"}, False, 403),
    ],
)
def test_form_counts_only_from_our_page_with_the_sessions_token(
    app: FastAPI, headers: dict[str, str], token: bool, status: int
) -> None:
    browser = Browser(app)
    browser.sign_in("jane")
    form = {"csrf": browser.get("/account").form_token} if token else {}
    assert browser.post("/account/sessions", form, **headers).status == status
    assert (browser.get("/account").status, bool(browser.cookies)) == (200, True)


def test_form_token_of_another_session_is_refused_and_recorded(
    app: FastAPI, tmp_path: Path
) -> None:
    mallory, jane = Browser(app), Browser(app)
    mallory.sign_in("rose")
    jane.sign_in("jane")
    stolen = mallory.get("/account").form_token
    for answer in (
        jane.post("/logout", {"csrf": stolen}),
        jane.post("/logout", x_csrf_token=stolen),
        jane.send("POST", f"/logout?csrf={jane.get('/account').form_token}"),
        jane.post("/logout", x_csrf_token="é"),
    ):
        assert answer.status == 403
        assert "not come from a page of this session" in answer.text
    own = jane.get("/account").form_token
    assert jane.post("/account/sessions", x_csrf_token=own).status == 200
    last = audit_records(tmp_path)[-1]
    assert last["EventIdentification"]["EventOutcomeDescription"] == "form"
    assert last["ActiveParticipant"][0]["UserID"] == "jane"


def test_other_site_cannot_sign_a_visitor_in(app: FastAPI) -> None:
    form = {"name": "rose", "password": PASSWORD}
    for headers in ({"origin": "http://evil.example"}, {"sec_fetch_site": "cross-site"}):
        answer = Browser(app).post("/login", form, **headers)
        assert (answer.status, dict(answer.cookies)) == (403, {})


def test_nothing_is_changed_by_get(app: FastAPI) -> None:
    browser = Browser(app)
    browser.sign_in("jane")
    for path in ("/logout", "/account/sessions", "/account/password"):
        assert browser.get(path).status == 405
    assert browser.get("/account").status == 200


def test_page_of_another_role_is_refused_in_words_and_recorded(tmp_path: Path) -> None:
    app = make_app(tmp_path, ("jane", "reader"), ("rose", "researcher"), ("adam", "administrator"))
    router = APIRouter()
    pages = {
        "/r": guard.reader,
        "/c": guard.researcher,
        "/a": guard.administrator,
        "/ra": guard.reader_or_administrator,
    }
    for path, role in pages.items():

        @router.get(path)
        def shown(visitor: Visitor = Depends(role)) -> str:  # noqa: B008
            return visitor.name

    app.include_router(router)
    seen = {}
    for name in ("jane", "rose", "adam"):
        browser = Browser(app)
        browser.sign_in(name)
        seen[name] = [path for path in pages if browser.get(path).status == 200]
        refused = browser.get("/r" if name == "rose" else "/c" if name == "jane" else "/r")
        assert (refused.status, "for another role than yours" in refused.text) == (403, True)
    assert seen == {"jane": ["/r", "/ra"], "rose": ["/c"], "adam": ["/c", "/a", "/ra"]}
    reasons = [
        r["EventIdentification"].get("EventOutcomeDescription") for r in audit_records(tmp_path)
    ]
    assert reasons.count("role") >= 3
    close_pages(app)
