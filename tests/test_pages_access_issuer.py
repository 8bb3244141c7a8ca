"""Signing in at an OpenID Connect issuer, also one that lies."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from joserfc import jwk

from dicom_node.pages.app import close_pages
from dicom_node.settings.web import Oidc
from tests.fake_issuer import CLIENT, SECRET, FakeIssuer, running_issuer
from tests.page_client import Browser, audit_records, make_app


@pytest.fixture
def issuer() -> Iterator[FakeIssuer]:
    with running_issuer() as running:
        yield running


@pytest.fixture
def app(tmp_path: Path, issuer: FakeIssuer) -> Iterator[FastAPI]:
    oidc = Oidc(
        issuer=issuer.address,
        client_id=CLIENT,
        client_secret=SECRET,  # type: ignore[arg-type]
        roles={"reader": ("radiology",), "administrator": ("it",)},
    )
    made = make_app(tmp_path, login="oidc", oidc=oidc, public_url="https://node.hospital")
    yield made
    close_pages(made)


def browser_of(app: FastAPI) -> Browser:
    return Browser(app, host="node.hospital", scheme="https")


def test_issuer_signs_a_visitor_in_with_roles_and_person(
    app: FastAPI, issuer: FakeIssuer, tmp_path: Path
) -> None:
    browser = browser_of(app)
    sent = browser.get("/login?to=/account")
    assert sent.location.startswith(f"{issuer.address}/authorize?")
    assert "redirect_uri=https%3A%2F%2Fnode.hospital%2Flogin%2Fissuer" in sent.location
    ticket = sent.cookies["__Host-osteonode_ticket"]
    assert (ticket["httponly"], ticket["secure"], ticket["samesite"]) == (True, True, "lax")
    state, code = issuer.grant(sent.location)
    back = browser.get(f"/login/issuer?state={state}&code={code}")
    assert (back.status, back.location) == (303, "/account")
    assert back.cookies["__Host-osteonode_session"]["samesite"] == "lax"
    assert "__Host-osteonode_ticket" not in browser.cookies
    shown = browser.get("/account").text
    assert "jane.doe" in shown
    assert "Doe, Jane" in shown
    assert "Reader" in shown
    assert "Administrator" not in shown
    assert audit_records(tmp_path)[-1]["ActiveParticipant"][0]["UserID"] == "jane.doe"
    again = browser_of(app)
    again.cookies = {"__Host-osteonode_ticket": ticket.value}
    assert again.get(f"/login/issuer?state={state}&code={code}").status == 403


def test_answer_counts_only_in_the_browser_that_asked(app: FastAPI, issuer: FakeIssuer) -> None:
    mallory, jane = browser_of(app), browser_of(app)
    state, code = issuer.grant(mallory.get("/login").location)
    assert jane.get(f"/login/issuer?state={state}&code={code}").status == 403
    jane.get("/login")
    assert jane.get(f"/login/issuer?state={state}&code={code}").status == 403
    assert "__Host-osteonode_session" not in jane.cookies
    for query in ("", "?state=&code=", "?error=access_denied", "?state=%C3%A9&code=x"):
        assert jane.get(f"/login/issuer{query}").status == 403


def test_code_without_the_verifier_of_the_ticket_is_worth_nothing(
    app: FastAPI, issuer: FakeIssuer
) -> None:
    victim, mallory = browser_of(app), browser_of(app)
    _, code = issuer.grant(victim.get("/login").location)
    state, _ = issuer.grant(mallory.get("/login").location)
    assert mallory.get(f"/login/issuer?state={state}&code={code}").status == 403


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "http://127.0.0.1:1"},
        {"aud": "another"},
        {"aud": ["another", CLIENT]},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"exp": 1_700_000_000},
        {"exp": None},
        {"nonce": "another"},
        {"nonce": None},
        {"preferred_username": None},
        {"preferred_username": "a\nb"},
        {"sub": None},
    ],
    ids=str,
)
def test_token_that_is_not_for_us_now_and_this_try_is_refused(
    app: FastAPI, issuer: FakeIssuer, claims: dict[str, Any]
) -> None:
    issuer.claims = claims
    browser = browser_of(app)
    state, code = issuer.grant(browser.get("/login").location)
    answer = browser.get(f"/login/issuer?state={state}&code={code}")
    assert (answer.status, "did not confirm who you are" in answer.text) == (403, True)
    assert browser.cookies == {}


def test_token_signed_by_another_key_is_refused(app: FastAPI, issuer: FakeIssuer) -> None:
    issuer.signing_key = jwk.ECKey.generate_key("P-256", {"kid": "k1"})
    browser = browser_of(app)
    state, code = issuer.grant(browser.get("/login").location)
    assert browser.get(f"/login/issuer?state={state}&code={code}").status == 403
    issuer.signing_key, issuer.algorithm = jwk.OctKey.import_key(SECRET * 2), "HS256"
    state, code = issuer.grant(browser.get("/login").location)
    assert browser.get(f"/login/issuer?state={state}&code={code}").status == 403


@pytest.mark.parametrize(
    ("claim", "roles"),
    [(["it", "radiology"], ["Administrator", "Reader"]),
     ("it radiology", ["Administrator", "Reader"]),
     (["reader"], []), ({"it": 1}, ["Administrator"]), (7, []), (None, [])],
)  # fmt: skip
def test_only_mapped_roles_count(
    app: FastAPI, issuer: FakeIssuer, claim: object, roles: list[str]
) -> None:
    issuer.claims = {"roles": claim}
    browser = browser_of(app)
    state, code = issuer.grant(browser.get("/login").location)
    browser.get(f"/login/issuer?state={state}&code={code}")
    shown = browser.get("/account").text
    assert [r for r in ("Administrator", "Reader", "Researcher") if f">{r}<" in shown] == roles


def test_issuer_that_does_not_answer_is_told_in_words(tmp_path: Path) -> None:
    with running_issuer() as issuer:
        oidc = Oidc(issuer=issuer.address, client_id=CLIENT, client_secret=SECRET)  # type: ignore[arg-type]
    app = make_app(tmp_path, login="oidc", oidc=oidc, public_url="https://node.hospital")
    answer = browser_of(app).get("/login")
    assert (answer.status, "does not answer" in answer.text) == (503, True)
    assert browser_of(app).sign_in("jane").status == 404
    close_pages(app)
