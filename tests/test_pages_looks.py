"""Every page as people see and use it: dark and light, wide and narrow, by keyboard and without
JavaScript.

With ``OSTEONODE_PICTURES=FOLDER`` each of them is also kept there as a picture.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.sync_api import Page
from sqlalchemy.exc import OperationalError

from bench.npm_package import PackageUnavailable
from dicom_node.errors import DeliveryFailed, WorkFailed
from dicom_node.notices.targets import TrialAnswer
from dicom_node.pages.access.lockout import Lockout
from dicom_node.pages.access.visitor import Identity
from dicom_node.pages.app import ROOMS, make_pages
from dicom_node.pages.operation import destinations_page, notices_page, work_page
from dicom_node.pages.reading import word
from dicom_node.pages.studies import study_page
from dicom_node.settings.node import NodeSettings
from tests.axe import LOOKS, axe_script, violations
from tests.conftest import unavailable
from tests.furnished_node import Furnished, furnish
from tests.page_client import PASSWORD
from tests.page_visits import ROUTE_HEADER, WIDER_THAN_THE_WINDOW, Visits, visits

pytestmark = pytest.mark.viewers

BUILD = Path(__file__).parents[1] / "build"

PICTURES = os.environ.get("OSTEONODE_PICTURES")

WIDTHS = (1600, 1024, 390)

NARROWEST = 320
"""Width in CSS pixels in which nothing may have to be moved sideways (WCAG 2.2, 1.4.10)."""

HEIGHT = 1000


Act = Callable[[Page, Furnished], object]
"""What somebody does on a page."""


@dataclass(frozen=True)
class Look:
    """A page to be looked at.

    Parameters
    ----------
    name
        Of its pictures.
    route
        Which answers; empty for a page that stands in for any.
    who
        Account that looks; empty for nobody.
    address
        Where they go; ``MAIN``, ``GONE`` and ``KEY`` stand for studies.
    act
        What they do there.
    status
        Of the answer.
    """

    name: str
    route: str
    who: str
    address: str
    act: Act | None = None
    status: int = 200


def press(selector: str) -> Act:
    return lambda page, _node: page.click(selector)


def fill(send: str, **fields: str) -> Act:
    def act(page: Page, _node: Furnished) -> None:
        for name, value in fields.items():
            page.fill(f"#{name}", value)
        page.click(send)

    return act


def upload(page: Page, node: Furnished) -> None:
    page.set_input_files("#header", node.main.paths[0])
    page.click("form[enctype] button")


def upload_nonsense(page: Page, _node: Furnished) -> None:
    page.set_input_files("#header", {"name": "a", "mimeType": "x/y", "buffer": b"no DICOM"})
    page.click("form[enctype] button")


def correct(page: Page, _node: Furnished) -> None:
    page.click("label:has-text('1 lower')")
    page.fill('[name="right.L1.0"]', "4.5")
    page.click("form[data-most-mm] button")


def accept_for_good(page: Page, _node: Furnished) -> None:
    page.click("button[value=accept]")
    page.click("main .row form:first-child button")


def save_view(page: Page, _node: Furnished) -> None:
    page.click(".own-views summary")
    page.fill("#view-name", " ")
    page.click("form[action='/studies/views'] button")


def choose(page: Page, node: Furnished) -> None:
    page.check(f"input[value={node.items[0].id}]")
    page.click("main form button")


STUDY = "/studies/{study_uid}"
READING = f"{STUDY}/reading"

LOOKS_OF_PAGES = (
    Look("login", "GET /login", "", "/login?to=/studies"),
    Look(
        "login-refused",
        "POST /login",
        "",
        "/login",
        fill("main button", name="jane", password="x"),
        401,
    ),
    Look(
        "login-wait",
        "POST /login",
        "",
        "/login",
        fill("main button", name="nobody", password="x"),
        429,
    ),
    Look("issuer", "GET /login/issuer", "", "/login/issuer", status=404),
    Look("goodbye", "POST /logout", "lena", "/account", press(".who button")),
    Look("account", "GET /account", "jane", "/account"),
    Look("account-nameless", "GET /account", "anon", "/account"),
    Look(
        "account-ended",
        "POST /account/sessions",
        "eve",
        "/account",
        press("main form[action='/account/sessions'] button"),
    ),
    Look(
        "account-refused",
        "POST /account/password",
        "jane",
        "/account",
        fill(
            "section.narrow button",
            old="wrong one",
            new="long enough for all",
            again="long enough for all",
        ),
        400,
    ),
    Look("studies", "GET /studies", "jane", "/studies"),
    Look("studies-searched", "GET /studies", "jane", "/studies?view=to_read&search=nobody"),
    Look("studies-filtered", "GET /studies", "jane", "/studies?verdict=none&l1=low"),
    Look("view-refused", "POST /studies/views", "jane", "/studies?l1=low", save_view, 409),
    Look("studies-administrator", "GET /studies", "adam", "/studies"),
    Look("study", f"GET {STUDY}", "jane", "MAIN"),
    Look("study-soft", f"GET {STUDY}", "jane", "MAIN?slice=40&window=soft&said=corrected"),
    Look("study-read", f"GET {STUDY}", "jane", "GONE"),
    Look("study-refused", f"GET {STUDY}", "jane", "/studies/1.2.826.0.7"),
    Look("study-failed", f"GET {STUDY}", "jane", "/studies/1.2.826.0.8?said=not_retried"),
    Look("study-markup", f"GET {STUDY}", "jane", "/studies/1.2.826.0.12"),
    Look("study-administrator", f"GET {STUDY}", "adam", "MAIN"),
    Look("reading", f"GET {READING}", "jane", "MAIN/reading"),
    Look("reading-nameless", f"GET {READING}", "anon", "MAIN/reading"),
    Look("reading-nothing", f"GET {READING}", "jane", "/studies/1.2.826.0.7/reading"),
    Look(
        "reading-wrong",
        f"POST {READING}/confirm",
        "jane",
        "MAIN/reading",
        press("form[data-most-mm] button"),
        422,
    ),
    Look(
        "confirm-accept",
        f"POST {READING}/confirm",
        "jane",
        "MAIN/reading",
        press("button[value=accept]"),
    ),
    Look("confirm-correct", f"POST {READING}/confirm", "jane", "MAIN/reading", correct),
    Look(
        "confirm-reject",
        f"POST {READING}/confirm",
        "jane",
        "MAIN/reading",
        fill("button.danger", reason="The levels are named one too high."),
    ),
    Look("not-done", f"POST {READING}", "jane", "MAIN/reading", accept_for_good, 409),
    Look("agreement", "GET /agreement", "adam", "/agreement"),
    Look("work", "GET /work", "adam", "/work"),
    Look(
        "work-refused",
        "POST /work/retry",
        "adam",
        "/work",
        press("form[action='/work/retry'] button"),
        409,
    ),
    Look(
        "work-all-refused",
        "POST /work/retry-all",
        "adam",
        "/work",
        press("form[action='/work/retry-all'] button"),
        409,
    ),
    Look("discard", "GET /work/studies/{study}", "adam", "/work/studies/KEY"),
    Look(
        "discard-nothing-chosen",
        "POST /work/studies/{study}/discard",
        "adam",
        "/work/studies/KEY",
        press("main form button"),
        409,
    ),
    Look("discard-sure", "POST /work/studies/{study}/discard", "adam", "/work/studies/KEY", choose),
    Look("notices", "GET /work/notices", "adam", "/work/notices"),
    Look(
        "notices-tested",
        "POST /work/notices/test",
        "adam",
        "/work/notices",
        press("form[action='/work/notices/test'] button"),
    ),
    Look("rules", "GET /rules", "adam", "/rules"),
    Look("rules-header", "POST /rules/header", "adam", "/rules", upload),
    Look("rules-unreadable", "POST /rules/header", "adam", "/rules", upload_nonsense, 422),
    Look(
        "rules-study",
        "POST /rules/study",
        "adam",
        "/rules?accession=CT-2026/0988",
        press("form[action='/rules/study'] button"),
        404,
    ),
    Look("destinations", "GET /destinations", "adam", "/destinations"),
    Look(
        "destinations-silent",
        "POST /destinations/{name}/echo",
        "adam",
        "/destinations",
        press("main form button"),
    ),
    Look("cohorts", "GET /cohorts", "rose", "/cohorts"),
    Look("cohort", "GET /cohorts/{name}", "rose", "/cohorts/spines-2025?said=written"),
    Look("scanners", "GET /scanners", "rose", "/scanners"),
    Look("model", "GET /model", "rose", "/model"),
    Look("fault-403", "", "rose", "/work", status=403),
    Look("fault-404", "", "jane", "/nothing", status=404),
    Look("fault-500", "", "jane", "/broken", status=500),
    Look("fault-503", "", "jane", "/silent", status=503),
)

NO_PAGES = {
    "POST /studies/views/remove": "leads back to the list",
    "GET /work/now": "a part of the page of work",
    "GET /studies/{study_uid}/slices/{sop_instance_uid}.png": "a picture",
    "GET /studies/{study_uid}/files/{name}": "a file",
    "POST /studies/{study_uid}/retry": "leads back to the study",
    "GET /agreement.csv": "a file",
    "GET /scanners.csv": "a file",
    "POST /cohorts/{name}/pause": "leads back to the screening",
    "POST /cohorts/{name}/resume": "leads back to the screening",
    "POST /cohorts/{name}/results": "leads back to the screening",
    "GET /cohorts/{name}/results/{file}": "a file",
    "GET /": "leads to the first page",
}
"""Routes that show no page of their own, each with what it does."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Furnished:
    """The node that is looked at, where nothing that people ask for is carried out."""
    folder = tmp_path_factory.mktemp("looks")
    readers = [(name, "reader") for name in ("jane", "lena", "eve")]
    made = furnish(folder, *readers, ("adam", "administrator"), ("rose", "researcher"))
    made.app.state.gate.accounts.add(Identity("anon", frozenset({"reader"})), PASSWORD)
    return made


@pytest.fixture(scope="module")
def visitors(node: Furnished) -> Iterator[Visits]:
    def refuse(*_values: object, **_named: object) -> None:
        raise WorkFailed("reading.work_gone", "the record of the assessment is gone")

    def silent(*_values: object) -> None:
        raise DeliveryFailed("it does not answer: connection refused")

    def untold(_settings: object) -> list[TrialAnswer]:
        return [TrialAnswer("team", False, "it does not answer")]

    def claim(_lockout: Lockout, name: str, *_from: str) -> float:
        return 59.0 if name == "nobody" else 0.0

    app = node.app
    app.add_api_route("/broken", broken)
    app.add_api_route("/silent", no_database)
    with pytest.MonkeyPatch.context() as patch, visits(app) as found:
        for module, name, instead in (
            (work_page, "retry", refuse), (study_page, "retry", refuse),
            (word, "send_reading", refuse), (destinations_page, "echo", silent),
            (Lockout, "claim", claim), (notices_page, "try_targets", untold),
            (work_page, "items_of", lambda _settings, _key: list(node.items)),
        ):  # fmt: skip
            patch.setattr(module, name, instead)
        yield found


def broken() -> None:
    raise RuntimeError("on purpose")


def no_database() -> None:
    raise OperationalError("select", {}, Exception("on purpose"))


@pytest.fixture(scope="module")
def axe() -> str:
    try:
        return axe_script(BUILD / "axe")
    except PackageUnavailable as error:
        unavailable(str(error))
        raise


def routes(app: FastAPI) -> set[str]:
    """Method and path of everything in the rooms."""
    return {
        f"{method} {route.path}"  # type: ignore[attr-defined]
        for room in ROOMS
        for route in room.routes
        for method in route.methods  # type: ignore[attr-defined]
    }


def test_every_route_is_looked_at_or_shows_no_page(tmp_path: Path) -> None:
    found = routes(make_pages(NodeSettings(data_dir=tmp_path)))
    looked_at = {look.route for look in LOOKS_OF_PAGES} - {""}
    assert found - looked_at - set(NO_PAGES) == set()
    assert (looked_at | set(NO_PAGES)) - found == set()
    assert not looked_at & set(NO_PAGES)


@pytest.mark.parametrize("look", LOOKS_OF_PAGES, ids=[look.name for look in LOOKS_OF_PAGES])
def test_page_can_be_read_and_used(look: Look, node: Furnished, visitors: Visits, axe: str) -> None:
    address = look.address.replace("MAIN", node.main.address).replace("GONE", node.gone.address)
    address = address.replace("KEY", node.main.row.study)
    controls = []
    for scripts in (False, True):
        visit = visitors.of(look.who, scripts=scripts)
        visit.open(address)
        if look.act is not None:
            look.act(visit.page, node)
            visit.page.wait_for_load_state()
        assert visit.answer.status == look.status
        assert look.route in ("", visit.answer.headers.get(ROUTE_HEADER.lower()))
        controls.append(visit.controls())
    assert controls[0] == controls[1]
    page, faults = visit.page, list[str]()
    page.evaluate(axe)
    for scheme in ("light", "dark"):
        for width in WIDTHS:
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": HEIGHT})
            whole = (scheme, width) in {("light", WIDTHS[0]), ("dark", WIDTHS[-1])}
            found = violations(page, () if whole else LOOKS)
            if page.evaluate(WIDER_THAN_THE_WINDOW) > 0:
                found.append("wider than the window")
            faults += [f"{scheme}, {width}: {fault}" for fault in found]
            if PICTURES:
                picture = Path(PICTURES) / f"{look.name}-{width}-{scheme}.png"
                page.screenshot(path=picture, full_page=True)
    page.set_viewport_size({"width": NARROWEST, "height": HEIGHT})
    if page.evaluate(WIDER_THAN_THE_WINDOW) > 0:
        faults.append("wider than the narrowest window")
    page.set_viewport_size({"width": WIDTHS[1], "height": HEIGHT})
    faults += visit.keyboard_faults()
    assert faults + visit.faults == []
