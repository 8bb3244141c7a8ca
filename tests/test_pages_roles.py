"""Who may ask for what: every route by every role, on a server process over HTTP."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Mount

from dicom_node.pages.app import ROOMS, make_pages
from dicom_node.settings.node import NodeSettings
from dicom_node.settings.web import Role, Web
from tests.page_client import PASSWORD
from tests.page_process import HttpBrowser, PageProcess, page_process

NAMES: dict[str, Role] = {"jane": "reader", "rose": "researcher", "adam": "administrator"}

EVERYBODY = frozenset({"nobody", *NAMES.values()})
SIGNED_IN = EVERYBODY - {"nobody"}
READER = frozenset({"reader"})
LOOKER = frozenset({"reader", "administrator"})
RESEARCHER = frozenset({"researcher", "administrator"})
ADMINISTRATOR = frozenset({"administrator"})

ALLOWED = {
    "GET /healthz": EVERYBODY,
    "GET /readyz": EVERYBODY,
    "GET /metrics": EVERYBODY,
    "GET /login": EVERYBODY,
    "POST /login": EVERYBODY,
    "GET /login/issuer": EVERYBODY,
    "POST /logout": SIGNED_IN,
    "GET /": SIGNED_IN,
    "GET /account": SIGNED_IN,
    "POST /account/sessions": SIGNED_IN,
    "POST /account/password": SIGNED_IN,
    "GET /work": ADMINISTRATOR,
    "GET /work/now": ADMINISTRATOR,
    "GET /work/notices": ADMINISTRATOR,
    "POST /work/notices/test": ADMINISTRATOR,
    "POST /work/retry": ADMINISTRATOR,
    "POST /work/retry-all": ADMINISTRATOR,
    "GET /work/studies/{study}": ADMINISTRATOR,
    "POST /work/studies/{study}/discard": ADMINISTRATOR,
    "GET /rules": ADMINISTRATOR,
    "POST /rules/header": ADMINISTRATOR,
    "POST /rules/study": ADMINISTRATOR,
    "GET /destinations": ADMINISTRATOR,
    "POST /destinations/{name}/echo": ADMINISTRATOR,
    "GET /cohorts": RESEARCHER,
    "GET /cohorts/{name}": RESEARCHER,
    "POST /cohorts/{name}/pause": RESEARCHER,
    "POST /cohorts/{name}/resume": RESEARCHER,
    "POST /cohorts/{name}/results": RESEARCHER,
    "GET /cohorts/{name}/results/{file}": RESEARCHER,
    "GET /scanners": RESEARCHER,
    "GET /scanners.csv": RESEARCHER,
    "GET /model": SIGNED_IN,
    "GET /studies": LOOKER,
    "POST /studies/views": LOOKER,
    "POST /studies/views/remove": LOOKER,
    "GET /studies/{study_uid}": LOOKER,
    "POST /studies/{study_uid}/retry": LOOKER,
    "GET /studies/{study_uid}/slices/{sop_instance_uid}.png": READER,
    "GET /studies/{study_uid}/files/{name}": READER,
    "GET /studies/{study_uid}/reading": READER,
    "POST /studies/{study_uid}/reading/confirm": READER,
    "POST /studies/{study_uid}/reading": READER,
    "GET /agreement": LOOKER,
    "GET /agreement.csv": LOOKER,
}
"""Who may ask for each route; a route that is not here fails `test_every_route_has_its_roles`."""

OPEN = {route for route, roles in ALLOWED.items() if "nobody" in roles}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageProcess]:
    folder = tmp_path_factory.mktemp("roles")
    with page_process(folder, *NAMES.items()) as made:
        yield made


def signed_in(server: PageProcess, name: str) -> HttpBrowser:
    browser = HttpBrowser(server.port)
    assert browser.sign_in(name).status == 303
    return browser


def addressed(route: str) -> tuple[str, str]:
    """Method and an address of a route."""
    method, _, path = route.partition(" ")
    return method, re.sub(r"\{.*?\}", "1.2.3", path)


def test_every_route_has_its_roles(tmp_path: Path) -> None:
    app = make_pages(NodeSettings(data_dir=tmp_path, web=Web()))
    routes = [route for room in ROOMS for route in room.routes]
    routes += [route for route in app.routes if isinstance(route, APIRoute)]
    found = {
        f"{method} {route.path}"
        for route in routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert found == set(ALLOWED)
    assert {mount.path for mount in app.routes if isinstance(mount, Mount)} == {"/static"}


@pytest.mark.parametrize("name", ["nobody", *NAMES])
def test_every_route_lets_in_its_roles_and_no_other(server: PageProcess, name: str) -> None:
    role = NAMES.get(name, "nobody")
    browser = HttpBrowser(server.port) if name == "nobody" else signed_in(server, name)
    token = "" if name == "nobody" else browser.get("/account").form_token
    for route, roles in ALLOWED.items():
        if route in ("POST /logout", "POST /account/sessions"):
            continue  # they end the session that is tried
        method, path = addressed(route)
        answer = browser.send(method, path, headers={"x-csrf-token": token})
        refused = (answer.status, answer.location.partition("?")[0])
        if role in roles:
            assert answer.status not in (403, 500), route
            assert name == "nobody" or refused != (303, "/login"), route
        elif name == "nobody":
            assert refused == (303, "/login"), route
            assert answer.content == b""
        else:
            assert answer.status == 403, route
            assert "for another role than yours" in answer.text


@pytest.mark.parametrize("name", NAMES)
def test_no_change_without_the_token_of_the_own_session_and_from_no_other_page(
    server: PageProcess, name: str
) -> None:
    browser = signed_in(server, name)
    own = browser.get("/account").form_token
    foreign = signed_in(server, "rose" if name == "jane" else "jane").get("/account").form_token
    home = f"http://{browser.host}"
    for route in ALLOWED:
        method, path = addressed(route)
        if method == "GET" or route in OPEN:
            continue
        for token in ("", foreign, own[:-1], own.upper(), "é", "0" * 64):
            for answer in (
                browser.post(path, {"csrf": token}),
                browser.post(path, x_csrf_token=token.encode().decode("latin-1")),
                browser.post(f"{path}?csrf={own}", {"csrf": token}),
            ):
                assert answer.status == 403, (route, token)
        for headers in (
            {"origin": "http://evil.example"},
            {"origin": "null"},
            {"origin": f"{home}.evil.example"},
            {"origin": home.replace("http:", "ftp:")},
            {"origin": "http://["},
            {"origin": home, "sec_fetch_site": "cross-site"},
            {"origin": home, "sec_fetch_site": "same-site"},
        ):
            answer = browser.post(path, {"csrf": own}, **headers)
            assert (answer.status, "not come from a page" in answer.text) == (403, True), route
    assert browser.get("/account").form_token == own


def test_other_methods_change_nothing(server: PageProcess) -> None:
    browser = signed_in(server, "jane")
    token = browser.get("/account").form_token
    for route in ALLOWED:
        _, path = addressed(route)
        for method in ("HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "GOT"):
            answer = browser.send(method, path, headers={"x-csrf-token": token})
            assert answer.status in (405, 404), (method, path)
    overridden = {"x-http-method-override": "POST", "x-csrf-token": token}
    assert browser.send("GET", "/logout", headers=overridden).status == 405
    assert browser.get("/account").status == 200


def test_password_is_never_told_again(server: PageProcess) -> None:
    assert PASSWORD not in server.log()
