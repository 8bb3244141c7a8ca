"""Accounts, sessions, lock-out and readings on PostgreSQL, with two web processes."""

import inspect
from collections.abc import Iterator

import pytest

from dicom_node.records.database import open_database
from dicom_node.work.listing.kept_readings import KeptReading, keep_reading, kept_readings
from roi_extraction import sites
from tests import test_pages_access as access
from tests import test_pages_lockout as lockout
from tests.page_client import PASSWORD
from tests.page_process import HttpBrowser, PageProcess, page_process
from tests.postgresql import Cluster, running_cluster

pytestmark = pytest.mark.peers

NAMES = (("jane", "reader"), ("rose", "researcher"), ("adam", "administrator"))

ON_A_DATABASE = [
    test
    for module in (access, lockout)
    for name, test in inspect.getmembers(module, inspect.isfunction)
    if name.startswith("test_") and list(inspect.signature(test).parameters) == ["engine"]
]
"""What the tests of access hold of the tables alone."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as found:
        yield found


@pytest.fixture(scope="module")
def two(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[PageProcess, PageProcess]]:
    """Two web processes of one database."""
    folder = tmp_path_factory.mktemp("two")
    settings = f'database_url = "{cluster.url}"'
    with (
        page_process(folder / "first", *NAMES, settings=settings) as first,  # type: ignore[arg-type]
        page_process(folder / "second", settings=settings) as second,
    ):
        yield first, second
    assert not list(folder.rglob("*.sqlite"))
    for process in (first, second):
        assert "secret-of-db" not in process.log()


@pytest.mark.parametrize("number", range(len(ON_A_DATABASE)))
def test_tables_hold_there_too(cluster: Cluster, number: int) -> None:
    test = ON_A_DATABASE[number]
    engine = open_database(cluster.url.replace("/osteonode", f"/t{number}"), make=True)
    try:
        test(engine)
    finally:
        engine.dispose()


def test_sessions_count_at_both_and_end_at_both(two: tuple[PageProcess, PageProcess]) -> None:
    first, second = two
    here, there = HttpBrowser(first.port), HttpBrowser(second.port)
    assert here.sign_in("jane").status == 303
    there.cookies = dict(here.cookies)
    assert there.get("/account").status == 200
    token = here.get("/account").form_token
    assert there.post("/account/sessions", {"csrf": token}).status == 200
    new = "several words of my own"
    form = {"csrf": token, "old": PASSWORD, "new": new, "again": new}
    assert there.post("/account/password", form).status == 303
    assert here.get("/account").status == 303
    assert HttpBrowser(first.port).sign_in("jane").status == 401
    assert here.sign_in("jane", new).status == 303
    there.post("/logout", {"csrf": there.get("/account").form_token})
    assert (here.get("/account").status, there.get("/account").status) == (200, 303)


def test_roles_hold_there_too(two: tuple[PageProcess, PageProcess]) -> None:
    shown = {
        "jane": ("/studies", "/agreement", "/model"),
        "rose": ("/cohorts", "/scanners", "/model"),
        "adam": (
            "/studies",
            "/agreement",
            "/work",
            "/rules",
            "/destinations",
            "/cohorts",
            "/scanners",
            "/model",
        ),
    }
    every = {path for paths in shown.values() for path in paths}
    for name, paths in shown.items():
        browser = HttpBrowser(two[1].port)
        for password in (PASSWORD, "several words of my own"):
            browser.sign_in(name, password)
        for path in every:
            assert browser.get(path).status == (200 if path in paths else 403), (name, path)
    # PostgreSQL takes no NUL in a text: it is no outage of the database
    for path in ("/studies?search=%00", "/rules?accession=a%00", "/studies/1.2%00"):
        assert browser.get(path).status == 400
    assert browser.get("/cohorts/%ff%fe").status == 404


def test_tries_are_counted_over_both(two: tuple[PageProcess, PageProcess]) -> None:
    statuses = [
        HttpBrowser(process.port).sign_in("rose", f"guess number {number}").status
        for number in range(6)
        for process in two
    ]
    assert statuses[:5] == [401] * 5
    assert 429 in statuses[5:]
    assert HttpBrowser(two[0].port).sign_in("rose").status == 429


def test_readings_are_kept_and_counted_there_too(two: tuple[PageProcess, PageProcess]) -> None:
    first, second = two
    site = sites.SITES[0].name
    engine = open_database(first.settings.database)
    with engine.begin() as connection:
        for number in range(3):
            word = KeptReading(
                study=f"{number:040x}", work=f"work-{number}", own="a", moment=1_790_000_000_000,
                verdict="corrected", reader="Doe^Jane", levels_down=0, scanner="GE", reason="",
                before={site: 100.0}, after={site: 100.0 + number},
            )  # fmt: skip
            for _ in range(2):  # a step that is repeated keeps it once
                keep_reading(connection, word)
    assert [word.after[site] for word in kept_readings(engine)] == [100.0, 101.0, 102.0]
    engine.dispose()
    for process in (first, second):
        browser = HttpBrowser(process.port)
        browser.sign_in("adam")
        table = browser.get("/agreement.csv").text
        assert f"HU difference,{site},1,-0.96,2.96,3" in table
        assert "corrected by reader,Doe^Jane,3" in table
