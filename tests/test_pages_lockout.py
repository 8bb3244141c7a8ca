"""Tries to sign in: hashes, pauses, and the browsers that are familiar to an account."""

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from fastapi import FastAPI

from dicom_node.pages.access import lockout
from dicom_node.pages.access.accounts import Accounts
from dicom_node.pages.access.familiar_browsers import FAMILIAR_SECONDS, FamiliarBrowsers
from dicom_node.pages.access.lockout import Lockout
from dicom_node.pages.access.passwords import Busy, Passwords
from dicom_node.pages.access.visitor import Identity
from dicom_node.pages.app import close_pages
from dicom_node.records.database import accounts, login_failures, open_database
from tests.page_client import PASSWORD, QUICK_HASHER, Browser, Clock, audit_records, make_app


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


def test_wrong_name_and_wrong_password_have_one_answer_and_one_time(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    slow = Passwords(PasswordHasher(time_cost=8, memory_cost=8192, parallelism=1))
    app.state.gate._passwords = slow
    app.state.gate.accounts.add(Identity("jane", frozenset({"reader"})), PASSWORD)
    pages, seconds = [], []
    for name in ("jane", "nobody"):
        durations = []
        for number in range(3):
            began = time.process_time()  # what others do at the same time is not counted
            answer = Browser(app, address=f"10.0.0.{number}").sign_in(name, "wrong password")
            durations.append(time.process_time() - began)
            assert answer.status == 401
        pages.append(answer.text.replace(name, "NAME"))
        seconds.append(min(durations))
    assert pages[0] == pages[1]
    assert 0.5 < seconds[0] / seconds[1] < 2
    close_pages(app)


def test_hash_of_older_parameters_is_made_anew(engine: sa.Engine) -> None:
    Accounts(engine, Passwords(QUICK_HASHER)).add(Identity("jane", frozenset({"reader"})), PASSWORD)
    stronger = Accounts(
        engine, Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    )

    def stored() -> str:
        with engine.connect() as connection:
            return str(connection.execute(sa.select(accounts.c.password)).scalar_one())

    assert "m=8,t=1" in stored()
    assert stronger.with_password("jane", "wrong") is None
    assert "m=8,t=1" in stored()
    assert stronger.with_password("jane", PASSWORD) is not None
    assert "m=16,t=2" in stored()
    assert stronger.with_password("jane", PASSWORD) is not None


def test_few_passwords_are_checked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicom_node.pages.access.passwords.WAIT_SECONDS", 0.01)
    passwords = Passwords(QUICK_HASHER)
    with passwords._turn(), passwords._turn(), pytest.raises(Busy):
        passwords.matches("x", None)
    assert not passwords.matches("x", None)


def test_password_is_not_changed_while_too_many_are_checked(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.pages.access.passwords.WAIT_SECONDS", 0.01)
    browser = Browser(app)
    browser.sign_in("jane")
    new = "several words of my own"
    form = {"csrf": browser.get("/account").form_token, "old": PASSWORD, "new": new, "again": new}
    passwords = app.state.gate._passwords
    with passwords._turn(), passwords._turn():
        answer = browser.post("/account/password", form)
        assert (answer.status, "Many are signing in" in answer.text) == (429, True)
        with pytest.raises(Busy):
            passwords.hashed("x")
    assert browser.post("/account/password", form).status == 303


def test_no_more_checks_wait_than_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicom_node.pages.access.passwords.MOST_WAITING", 1)
    passwords = Passwords(QUICK_HASHER)
    with passwords._turn(), passwords._turn():
        waiting = threading.Thread(target=passwords.matches, args=("x", None))
        waiting.start()
        while passwords._places._value:
            time.sleep(0.001)
        begun = time.monotonic()
        with pytest.raises(Busy):
            passwords.matches("x", None)
        assert time.monotonic() - begun < 1
    waiting.join()


def test_familiar_browsers_are_few_and_forgotten(engine: sa.Engine) -> None:
    clock = Clock()
    browsers = FamiliarBrowsers(engine, clock)
    planted = "A" * 43
    tokens = []
    for _ in range(25):
        clock.now += 1
        tokens.append(browsers.remember(planted, "jane"))
    assert planted not in tokens
    assert [browsers.knows(token, "jane") for token in tokens] == [False] * 5 + [True] * 20
    assert not browsers.knows(tokens[-1], "rick")
    assert browsers.remember(tokens[-1], "rick") == tokens[-1]  # two users of one workstation
    assert browsers.knows(tokens[-1], "rick")
    assert browsers.knows(tokens[-1], "jane")
    Lockout(engine, clock).unlock("jane")
    assert not browsers.knows(tokens[-1], "jane")
    clock.now += FAMILIAR_SECONDS
    assert not browsers.knows(tokens[-1], "rick")
    assert browsers.remember(tokens[-1], "rick") != tokens[-1]


def test_pauses_grow_and_are_forgotten(engine: sa.Engine) -> None:
    clock = Clock()
    doors = Lockout(engine, clock)
    assert [doors.claim("jane", f"10.0.0.{n}") for n in range(6)] == [0.0] * 6
    pauses = []
    for _ in range(12):
        wait = Lockout(engine, clock).claim("jane", "10.9.9.9")  # as another process would
        pauses.append(round(wait))
        clock.now += wait + 0.01
        assert doors.claim("jane", "10.9.9.9") == 0
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]
    assert doors.locked_seconds("jane") > 800
    assert doors.unlock("jane")
    assert doors.claim("jane", "10.7.7.7") == 0
    clock.now += lockout.FAILURES_FORGOTTEN_SECONDS + 1
    doors.claim("rose", "10.0.0.1")
    with engine.connect() as connection:
        counted = sa.select(sa.func.count()).select_from(login_failures)
        assert connection.execute(counted).scalar_one() == 2


def test_own_account_does_not_clear_the_failures_of_an_address(engine: sa.Engine) -> None:
    clock = Clock()
    doors = Lockout(engine, clock)
    for number in range(20):
        assert doors.claim(f"name{number}", "10.0.0.1") == 0
        if number % 4 == 0:
            assert doors.claim("own", "10.0.0.1") == 0
            doors.forgive("own", "10.0.0.1")
    assert doors.claim("another", "10.0.0.1") == 0
    assert doors.claim("another", "10.0.0.1") > 0
    assert doors.claim("another", "10.0.0.2") == 0


def test_names_without_end_are_counted_together(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lockout, "MOST_SUBJECTS", 10)
    doors = Lockout(engine, Clock())
    waits = [doors.claim(f"name{n}", f"10.0.{n // 250}.{n % 250}") for n in range(60)]
    assert sum(wait == 0 for wait in waits) < 30
    with engine.connect() as connection:
        counted = sa.select(sa.func.count()).select_from(login_failures)
        assert connection.execute(counted).scalar_one() <= 12


def test_ten_thousand_tries_leave_little_behind(app: FastAPI, tmp_path: Path) -> None:
    browser = Browser(app, address="10.0.0.66")
    gate = app.state.gate
    statuses = [browser.sign_in("jane", f"guess number {n}").status for n in range(60)]
    assert statuses[:5] == [401] * 5
    assert set(statuses) == {401, 429}
    assert statuses.count(401) < 15
    for _ in range(9_940):
        gate.audited.login_refused("jane", "10.0.0.66", "lock-out")
    right = browser.sign_in("jane")
    assert (right.status, int(right.headers["retry-after"]) >= 1) == (429, True)
    close_pages(app)
    records = audit_records(tmp_path)
    assert len(records) <= 25
    described = [r["EventIdentification"]["EventOutcomeDescription"] for r in records]
    counted = [int(m[1]) for text in described if (m := re.search(r", (\d+) times", text))]
    assert len(described) - len(counted) + sum(counted) == 10_001
    gate.lockout.unlock("jane")
    assert Browser(app, address="10.0.0.67").sign_in("jane").status == 303
