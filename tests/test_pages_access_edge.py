"""What every answer keeps: host names, headers, bodies, proxies, words."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import ValidationError
from starlette.requests import HTTPConnection
from typer.testing import CliRunner

from dicom_node.cli import app as command
from dicom_node.pages.access.request_origin import client_address
from dicom_node.pages.app import close_pages
from dicom_node.pages.rendering import _texts
from dicom_node.settings.web import Oidc, Web, WebProxy
from tests.page_client import QUICK_HASHER, Browser, audit_records, make_app

PAGES = Path(__file__).parents[1] / "dicom_node" / "pages"

PROXY = WebProxy(networks=("10.0.0.0/24",), roles={"reader": ("radiology",)})  # type: ignore[arg-type]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    made = make_app(tmp_path, ("jane", "reader"))
    yield made
    close_pages(made)


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[FastAPI]:
    made = make_app(
        tmp_path, login="proxy", proxy=PROXY, host="0.0.0.0", public_url="https://node.hospital"
    )
    yield made
    close_pages(made)


def test_every_answer_has_its_security_headers(app: FastAPI) -> None:
    signed_in = Browser(app)
    signed_in.sign_in("jane")

    seen = set()
    for browser in (Browser(app), signed_in):
        for path in (
            "/",
            "/login",
            "/account",
            "/no",
            "/static/style.css",
            "/static/no",
            "/healthz",
        ):
            answer = browser.get(path)
            seen.add(answer.status)
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'")
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "same-origin"
            assert answer.headers["cross-origin-opener-policy"] == "same-origin"
            assert "no-store" in answer.headers["cache-control"] or path.startswith("/static/s")
    assert seen == {200, 303, 404}
    refused = Browser(app, host="evil.example").get("/login")
    assert (refused.status, "content-security-policy" in refused.headers) == (421, True)


def test_fault_is_told_in_words_without_its_text(app: FastAPI) -> None:
    signed_in = Browser(app)
    signed_in.sign_in("jane")

    def fault() -> None:
        raise RuntimeError("JANE DOE")

    app.add_api_route("/fault", fault)
    answer = signed_in.send("GET", "/fault", faulty=True)
    assert (answer.status, "JANE" in answer.text) == (500, False)
    assert "stands in the log" in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    page = signed_in.get("/no")
    assert (page.status, "nothing at this address" in page.text) == (404, True)
    assert "Research use, not a medical device" in page.text


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "127.0.0.1/x", "", "[::1",
     "10.0.0.1:8080", "localhost:8080:80", "localhost, evil.example"],
)  # fmt: skip
def test_pages_answer_to_no_foreign_host_name(app: FastAPI, host: str) -> None:
    assert Browser(app, host=host).get("/login").status == 421
    assert Browser(app, host=host).get("/healthz").status == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080"])
def test_pages_answer_to_their_own_names(app: FastAPI, host: str) -> None:
    assert Browser(app, host=host).get("/login").status == 200


def test_second_host_header_and_forwarded_hosts_do_not_count(app: FastAPI) -> None:
    assert Browser(app).send("GET", "/login", pairs=(("host", "evil.example"),)).status == 421
    answer = Browser(app).get("/account", x_forwarded_host="evil.example", forwarded="host=evil")
    assert answer.location == "/login?to=%2Faccount"


def test_names_of_the_settings_count() -> None:
    web = Web(host="0.0.0.0", names=("node.hospital",), public_url="https://pages.hospital:8443")
    assert web.answers_to("node.hospital")
    assert web.answers_to("pages.hospital")
    assert web.answers_to("10.1.2.3")
    assert not web.answers_to("localhost")
    assert not web.answers_to("evil.example")
    assert not Web().answers_to("10.1.2.3")


@pytest.mark.parametrize(
    "path",
    ["/static/../texts.toml", "/static/%2e%2e/texts.toml", "/static//etc/passwd", "/static/..\\x",
     "//evil.example/account", "/account/", "/Account", "/account/..", "/healthz/../account",
     "/login/../account", "/account%2f", "/static/style.css/../../app.py"],
)  # fmt: skip
def test_tricks_with_paths_reach_nothing(app: FastAPI, path: str) -> None:
    answer = Browser(app).get(path)
    assert answer.status in (303, 404)
    assert "jane" not in answer.text
    assert "import" not in answer.text


def test_host_header_cannot_make_a_page_look_like_an_open_one(app: FastAPI) -> None:
    for host in ("127.0.0.1/login?", "127.0.0.1:8080/healthz#"):
        assert Browser(app, host=host).get("/account").status == 421


def test_body_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    app = make_app(tmp_path, ("jane", "reader"), max_body_mb=0.01)
    form = {"name": "jane", "password": "x" * 20_000}
    assert Browser(app).post("/login", form).status == 413
    lying = Browser(app).post("/login", form, content_length="10")
    assert lying.status in (400, 413)
    assert Browser(app).post("/login", form, content_length="-1").status == 413
    assert Browser(app).sign_in("jane").status == 303
    close_pages(app)


def test_markup_in_a_name_is_text(app: FastAPI) -> None:
    answer = Browser(app).sign_in('"><script>alert(1)</script>', "x", to='/"><b>')
    assert "<script>alert" not in answer.text
    assert "<b>" not in answer.text
    assert "&lt;script&gt;" in answer.text


def test_proxy_is_believed_from_its_network_only(proxied: FastAPI, tmp_path: Path) -> None:
    headers = {"x_remote_user": "jane", "x_remote_roles": "radiology,it"}
    outside = Browser(proxied, address="10.0.1.5", host="node.hospital")
    for _ in range(2):
        answer = outside.get("/login", **headers)
        assert (answer.status, "which says who you are" in answer.text) == (403, True)
    spoofed = outside.get("/login", x_forwarded_for="10.0.0.9", **headers)
    assert spoofed.status == 403
    assert outside.cookies == {}
    assert outside.sign_in("jane").status == 404
    inside = Browser(proxied, address="10.0.0.9", host="node.hospital")
    assert inside.get("/login", x_forwarded_for="192.0.2.7", **headers).status == 303
    shown = inside.get("/account", **headers).text
    assert "Reader" in shown
    assert "Administrator" not in shown
    records = audit_records(tmp_path)
    assert [r["EventIdentification"]["EventOutcomeIndicator"] for r in records] == [4, 4, 4, 0]
    addresses = [r["ActiveParticipant"][0]["NetworkAccessPointID"] for r in records]
    assert addresses == ["10.0.1.5"] * 3 + ["192.0.2.7"]


def test_session_behind_a_proxy_is_of_the_one_it_names_now(proxied: FastAPI) -> None:
    browser = Browser(proxied, address="10.0.0.9", host="node.hospital")
    jane = {"x_remote_user": "jane", "x_remote_roles": "radiology"}
    browser.get("/login", **jane)
    assert browser.get("/account", **jane).status == 200
    assert browser.get("/account", x_remote_user="rose").status == 303
    assert browser.get("/account", x_remote_user="jane").status == 303
    assert browser.get("/account").status == 303
    thief = Browser(proxied, "10.0.1.5", "node.hospital", cookies=dict(browser.cookies))
    assert thief.get("/account", **jane).status == 303
    doubled = (("x-remote-user", "rose"), ("x-remote-user", "jane"))
    assert browser.send("GET", "/login", pairs=doubled).status == 403


def test_proxy_headers_are_ignored_where_login_is_local(app: FastAPI) -> None:
    answer = Browser(app).get("/account", x_remote_user="jane", x_remote_roles="reader")
    assert answer.status == 303


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", "1.1.1.1", "192.0.2.1"),
        ("10.0.0.1", "1.1.1.1, 192.0.2.9", "192.0.2.9"),
        ("10.0.0.1", "192.0.2.9, 10.0.0.2", "192.0.2.9"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("::ffff:10.0.0.1", "192.0.2.9", "192.0.2.9"),
        ("2001:db8:1:2:3::4", "", "2001:db8:1:2::/64"),
        ("::1", "", "::1"),
    ],
)
def test_address_is_that_before_the_trusted_proxies(
    peer: str, forwarded: str, address: str
) -> None:
    scope: dict[str, Any] = {
        "type": "http",
        "client": (peer, 1),
        "headers": [(b"x-forwarded-for", forwarded.encode())],
    }
    assert client_address(HTTPConnection(scope), Web(proxy=PROXY)) == address


def test_login_none_is_for_this_machine_alone(tmp_path: Path) -> None:
    for wrong in ({"host": "0.0.0.0"}, {"names": ("x",)}, {"public_url": "http://x"}):
        with pytest.raises(ValidationError, match="for this machine only"):
            Web(login="none", **wrong)
    app = make_app(tmp_path, login="none")
    assert Browser(app, host="evil.example:8080").get("/").status == 421
    browser = Browser(app)
    assert browser.get(browser.get("/account").location).location == "/account"
    shown = browser.get("/account")
    assert (shown.status, "Administrator" in shown.text) == (200, True)
    assert browser.post("/account/sessions").status == 403
    close_pages(app)


@pytest.mark.parametrize(
    ("web", "said"),
    [
        ({"login": "proxy"}, "web.proxy"),
        ({"login": "oidc"}, "web.oidc"),
        ({"names": ("http://x",)}, "no host name"),
        ({"public_url": "https://x/sub"}, "without a path"),
        ({"public_url": "x"}, "an address such as"),
        ({"proxy": {"networks": []}}, "networks"),
    ],
)
def test_web_settings_that_cannot_hold_are_refused(web: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(said)):
        Web(**web)


@pytest.mark.parametrize("issuer", ["http://issuer.hospital", "https://u@x", "https://x?a=b", "x"])
def test_issuer_needs_https(issuer: str) -> None:
    with pytest.raises(ValidationError, match="https address"):
        Oidc(issuer=issuer, client_id="c", client_secret="s")  # type: ignore[arg-type]


def test_openness_is_warned_of() -> None:
    assert Web().warnings == ()
    assert len(Web(host="0.0.0.0").warnings) == 2
    assert "web.tls" in Web(host="0.0.0.0").warnings[1]
    assert "web.public_url" in Web(public_url="http://node.hospital").warnings[0]
    assert "web.login" in Web(login="none").warnings[0]


def test_every_text_that_is_used_exists_and_every_text_is_used() -> None:
    sources = "\n".join(
        path.read_text(encoding="utf-8")
        for path in sorted(PAGES.rglob("*"))
        if path.suffix in (".py", ".html")
    )
    keys = set(_texts())
    whole = set(re.findall(r"""["'](\w+\.\w+)["']""", sources))
    begun = tuple(
        {
            *re.findall(r"""["'](\w+\.\w*)["']\s*~""", sources),
            *re.findall(r"""\btext\(\s*f"(\w+\.\w*)\{""", sources),
        }
    )
    assert set(re.findall(r"""\btext\(\s*["'](\w+\.\w+)["'](?!\s*~)""", sources)) <= keys
    assert all(any(key.startswith(one) for key in keys) for one in begun)
    by_name = {f"navigation.{name}" for name in re.findall(r'_entry\("(\w+)"', sources)}
    assert by_name <= keys
    assert begun
    assert {k for k in keys - whole - by_name if not k.startswith(begun)} == set()


def test_accounts_are_kept_by_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = "dicom_node.pages.access.passwords.PasswordHasher"
    monkeypatch.setattr(hasher, lambda: QUICK_HASHER)
    config = tmp_path / "node.toml"
    config.write_text(f'data_dir = "{tmp_path / "data"}"\n')

    def run(*words: str, typed: str = "") -> tuple[int, str]:
        result = CliRunner().invoke(command, ["user", *words, "--config", str(config)], input=typed)
        return result.exit_code, result.output

    words = ("add", "jane", "--role", "reader", "--person", "Doe^Jane", "--organization", "GH")
    assert run(*words, typed="long enough words\nlong enough words\n")[0] == 0
    code, listed = run("list")
    assert (code, "jane\treader\tDoe^Jane\tGH\t0 sessions" in listed) == (0, True)
    for refused in (
        ("add", "jane", "--role", "reader", "--password-stdin"),
        ("add", "Jane Doe", "--role", "reader", "--password-stdin"),
        ("add", "rose", "--role", "king", "--password-stdin"),
        ("add", "rose", "--role", "reader", "--person", "Rose", "--password-stdin"),
        ("password", "nobody", "--password-stdin"),
        ("remove", "nobody"),
        ("roles", "nobody", "--role", "reader"),
    ):
        assert run(*refused, typed="long enough words\n")[0] == 2, refused
    for weak in ("short", "aaaaaaaaaaaaaaa", "rose-likes-roses", "x" * 2000):
        assert run("add", "rose", "--role", "reader", "--password-stdin", typed=weak)[0] == 2
    assert run("password", "jane", "--password-stdin", typed="other long words\n")[0] == 0
    assert run("roles", "jane", "--role", "researcher", "--role", "reader")[0] == 0
    assert run("unlock", "jane")[0] == 0
    assert "reader, researcher" in run("list")[1]
    assert run("remove", "jane")[0] == 0
    assert "no accounts" in run("list")[1]
    changes = [r["EventIdentification"] for r in audit_records(tmp_path / "data")]
    assert [c["EventOutcomeDescription"] for c in changes] == [
        "added", "password changed", "roles changed", "unlocked", "removed",
    ]  # fmt: skip
    assert {c["EventTypeCode"][0]["csd-code"] for c in changes} == {"110137"}
