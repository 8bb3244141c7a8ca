"""Hostile requests to a server process: paths, headers, bodies, log-in tries, stolen sessions."""

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from dicom_node.pages.app import close_pages
from dicom_node.records.database import login_failures, open_database
from dicom_node.reporting.objects.kinds import ObjectKind
from tests.page_client import PASSWORD, audit_records, make_app
from tests.page_process import HttpBrowser, PageProcess, page_process
from tests.study_builders import make_study

TRIES = 1500
"""Log-in tries of the flood; docs/threats.md has the figures of ten thousand."""

SEGMENTS = (
    "..", "%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%5c..%5cetc", "%00", "1.2.3%00.png",
    "%c0%ae%c0%ae%c0%af", "%ff%fe", "%ed%a0%80", "%0d%0aX-Injected:%20yes", "1.2.3%2f..%2f..",
    "1..2", ".", "%25", "%", "%zz", "~", "1.2.3;x=y", "9" * 65, "9" * 20000, "%f0%9f%a6%b4",
    "' OR 1=1 --".replace(" ", "%20"), "-1", "0", "nul", "%e2%80%ae",
)  # fmt: skip
"""What stands in place of a name or UID in a path."""

PLACES = (
    "/studies/{}", "/studies/{}/reading", "/studies/{}/files/report.json",
    "/studies/1.2.3/files/{}",
    "/studies/1.2.3/slices/{}.png", "/cohorts/{}", "/cohorts/{}/results/results.csv",
    "/cohorts/x/results/{}", "/work/studies/{}", "/static/{}", "/{}", "/{}/login", "/login/{}",
)  # fmt: skip

QUERIES = (
    "/studies?search={}", "/studies?after={}", "/studies?before={}-x", "/studies?state={}",
    "/rules?accession={}", "/scanners?scanner={}", "/work?said={}", "/cohorts?x={}",
    "/studies?search=a&search={}", "/studies?" + "search=b&" * 2000 + "x={}",
    "/login?to={}", "/login/issuer?state={}&code={}", "/studies?view={}", "/studies?search[]={}",
)  # fmt: skip

NAMES = (("jane", "reader"), ("rose", "researcher"), ("adam", "administrator"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageProcess]:
    with page_process(tmp_path_factory.mktemp("attacks"), *NAMES) as made:  # type: ignore[arg-type]
        yield made


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[PageProcess]:
    """A server of its own, for what leaves traces: pauses, many sessions."""
    with page_process(tmp_path / "node", *NAMES) as made:  # type: ignore[arg-type]
        yield made


def signed_in(server: PageProcess, name: str, password: str = PASSWORD) -> HttpBrowser:
    browser = HttpBrowser(server.port)
    assert browser.sign_in(name, password).status == 303
    return browser


@pytest.mark.parametrize("name", ["nobody", "jane", "rose", "adam"])
def test_odd_paths_and_queries_are_answered_without_a_fault(server: PageProcess, name: str) -> None:
    browser = HttpBrowser(server.port) if name == "nobody" else signed_in(server, name)
    for pattern in (*PLACES, *QUERIES):
        for part in SEGMENTS:
            answer = browser.get(pattern.replace("{}", part))
            allowed = (200, 303) if pattern in QUERIES else (200, 303, 404, 403)
            assert answer.status in (*allowed, 400, 401, 403, 404, 422), (pattern, part[:40])
            assert "x-injected" not in answer.headers
            assert b"root:" not in answer.content
            assert answer.status == 303 or "jane" not in answer.text or name == "jane"
    assert "unforeseen fault" not in server.log()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no host
        (b"GET /login HTTP/1.1\r\nHost: a\r\nHost: 127.0.0.1\r\n\r\n", 400),
        (b"GET http://evil.example/login HTTP/1.1\r\nHost: 127.0.0.1\r\n", 404),
        (b"GET //evil.example/login HTTP/1.1\r\nHost: 127.0.0.1\r\n", 404),
        (b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\r\n b\r\n", 200),  # a folded header
        (b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: \xb2\r\n", 400),
        (b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1, 2\r\n", 400),
        (b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: " + b"a=b; " * 40_000, 400),
        (b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: y\r\n" * 100_000, 400),
        (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: 127.0.0.1\r\n", 400),
        (b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\nX\x00: y\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), 400),  # TLS on a plain port
        (b"GET /login HTTP/9.9\r\nHost: 127.0.0.1\r\n", 200),  # answered as HTTP/1.1
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n", 421),  # names no host
        (b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1\r\n", 404),
        (b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n", 200),
        (b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n", 200),
        (b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: =;;;\xff=\xfe; osteonode_session\r\n",
         200),
        (b"GET /static/style.css HTTP/1.1\r\nHost: 127.0.0.1\r\nRange: bytes="
         + b",".join(b"%d-%d" % (n, n) for n in range(0, 9000, 2)) + b"\r\n", 0),
    ],
)  # fmt: skip
def test_odd_requests_end_their_own_connection_only(
    server: PageProcess, request_: bytes, status: int
) -> None:
    answer = server.raw(request_ + b"Connection: close\r\n\r\n")
    found = int(answer.split(b" ")[1]) if answer else 400
    assert found == status or (status == 0 and found in (200, 206, 416))
    assert len(answer) < 100_000
    assert HttpBrowser(server.port).get("/login").status == 200


def test_two_requests_in_one_are_not_taken_for_one_of_another(server: PageProcess) -> None:
    smuggled = b"GET /account HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    both = (
        b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (len(smuggled) + 5)
    )
    answer = server.raw(both + smuggled + b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    # either it is refused, or each request is answered for itself, none with a session
    statuses = re.findall(rb"HTTP/1.1 (\d+)", answer)
    assert statuses[0] in (b"400", b"401")
    assert b"200" not in statuses
    for coding in (b"chunked, identity", b"xchunked", b"gzip", b"chunked\r\nTransfer-Encoding: x"):
        refused = server.raw(
            b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: " + coding + b"\r\n\r\n"
        )
        assert refused.split(b" ")[1] in (b"400", b"501")


def multipart(parts: list[bytes]) -> tuple[dict[str, str], bytes]:
    body = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"
    return {"content-type": "multipart/form-data; boundary=b"}, body


def test_bodies_that_are_bombs_are_refused_soon(server: PageProcess) -> None:
    browser = signed_in(server, "adam")
    token = browser.get("/account").form_token
    field = b'Content-Disposition: form-data; name="a"\r\n\r\nx'
    file = b'Content-Disposition: form-data; name="header"; filename="a"\r\n\r\nx'
    form = {"content-type": "application/x-www-form-urlencoded"}
    bodies = [
        multipart([field] * 15_000),
        multipart([file] * 12_000),
        multipart([b"X: " + b"y" * 900_000 + b"\r\n\r\nx"]),
        multipart([b"X: y\r\n" * 100_000 + b"\r\nx"]),
        multipart([b"Content-Disposition: form-data\r\n\r\nx"]),
        ({"content-type": "multipart/form-data"}, b"--b\r\n"),
        ({"content-type": "multipart/form-data; boundary=" + "b" * 5000}, b"--b\r\n"),
        ({"content-type": "multipart/form-data; boundary=\xe9"}, b"--b\r\n"),
        (form, b"&" * 1_000_000),
        (form, b"a=b&" * 250_000),
        (form, b"a" * 1_000_000),
        (form, b"%41" * 333_000),
        (form, b"a=%ff%fe%00\xff&=&==&%"),
        ({"content-type": "application/json"}, b"[" * 900_000),
        *(
            ({"content-type": f"multipart/form-data; boundary=b; charset={charset}"}, body)
            for charset in ("punycode", "idna", "unicode_escape", "utf-7", "utf-16")
            for body in (
                multipart([b'Content-Disposition: form-data; name="name"\r\n\r\n\\ud800'])[1],
                multipart([b'Content-Disposition: form-data; name="to"\r\n\r\n' + b"a" * 900_000])[
                    1
                ],
            )
        ),
        ({"content-type": "\xff/\xff; charset=nonsense"}, b"x" * 1000),
        (form, b"x" * 2_000_000),
    ]
    before = psutil.Process(server.process.pid).cpu_times().user  # type: ignore[union-attr]
    for headers, body in bodies:
        for path in ("/login", "/rules/header", "/studies/1.2.3/reading", "/account/password"):
            for given in ({}, {"x-csrf-token": token}):
                answer = browser.send("POST", path, headers={**headers, **given}, body=body)
                assert 400 <= answer.status < 500, (path, headers, len(body))
    took = psutil.Process(server.process.pid).cpu_times().user - before  # type: ignore[union-attr]
    assert took < 60, f"{took:.0f} CPU seconds"
    assert "unforeseen fault" not in server.log()


def test_ten_thousand_tries_take_little_and_keep_out_nobody_who_was_here_before(
    fresh: PageProcess,
) -> None:
    process = psutil.Process(fresh.process.pid)  # type: ignore[union-attr]
    owner = signed_in(fresh, "jane")
    held = dict(owner.cookies)
    memory = process.memory_info().rss
    numbers: dict[int, int] = {}
    lock = threading.Lock()

    def attack(place: int) -> None:
        browser = HttpBrowser(fresh.port)
        for number in range(TRIES // 4):
            name = "jane" if number % 2 else f"guess{place}x{number}"
            status = browser.sign_in(name, f"guess number {number}").status
            with lock:
                numbers[status] = numbers.get(status, 0) + 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(attack, range(4)))
    assert set(numbers) <= {401, 429}
    assert numbers[401] < 40  # so many cost a hash
    assert process.memory_info().rss - memory < 200_000_000
    engine = open_database(fresh.settings.database)
    with engine.connect() as connection:
        rows = connection.execute(sa.select(sa.func.count()).select_from(login_failures))
        assert rows.scalar_one() < 40
    engine.dispose()
    assert len(audit_records(fresh.settings.data_dir)) < 60
    # the account is locked for strangers, not where its owner signed in before
    stranger = HttpBrowser(fresh.port)
    assert stranger.sign_in("jane").status == 429
    again = HttpBrowser(fresh.port)
    again.cookies = {name: value for name, value in held.items() if "browser" in name}
    assert again.sign_in("jane").status == 303
    assert owner.get("/account").status == 200


def test_a_familiar_browser_has_its_own_few_tries(fresh: PageProcess) -> None:
    thief = HttpBrowser(fresh.port)
    owner = signed_in(fresh, "jane")
    thief.cookies = {n: v for n, v in owner.cookies.items() if "browser" in n}
    stolen = dict(thief.cookies)
    statuses = [thief.sign_in("jane", f"guess number {n}").status for n in range(12)]
    assert statuses[:5] == [401] * 5
    assert statuses.count(401) < 9
    assert thief.sign_in("jane").status == 429
    assert HttpBrowser(fresh.port).sign_in("jane").status == 303  # that count is another one
    for cookies in ({"osteonode_browser": "A" * 43}, {"osteonode_browser": "' OR 1=1 --"}):
        browser = HttpBrowser(fresh.port)
        browser.cookies = dict(cookies)
        assert browser.sign_in("rose").status == 303
        assert browser.cookies["osteonode_browser"] != cookies["osteonode_browser"]
    for _ in range(7):
        thief.cookies = dict(stolen)
        other = thief.sign_in("adam", "guess")  # it is jane's browser alone
    assert other.status == 429


def test_a_stolen_session_ends_with_the_owners(fresh: PageProcess) -> None:
    owner = signed_in(fresh, "jane")
    thief = HttpBrowser(fresh.port)
    thief.cookies = dict(owner.cookies)
    assert thief.get("/account").status == 200  # docs/threats.md: not bound to an address
    token = owner.get("/account").form_token
    new = "several words of my own"
    form = {"csrf": token, "old": PASSWORD, "new": new, "again": new}
    assert owner.post("/account/password", form).status == 303
    assert thief.get("/account").status == 303
    assert owner.get("/account").status == 200
    thief.cookies = dict(owner.cookies)
    owner.post("/logout", {"csrf": owner.get("/account").form_token})
    assert thief.get("/account").status == 303
    # nor does a session that was fixed before
    fixed = HttpBrowser(fresh.port)
    fixed.cookies = {"osteonode_session": thief.cookies["osteonode_session"]}
    planted = dict(fixed.cookies)
    assert fixed.sign_in("jane", new).status == 303
    assert fixed.cookies["osteonode_session"] != planted["osteonode_session"]
    thief.cookies = planted
    assert thief.get("/account").status == 303


def test_passwords_are_checked_few_at_once_and_pages_go_on_beside(fresh: PageProcess) -> None:
    """Fifty at once from as many addresses as a proxy names, all with names of their own."""
    fresh.stop()
    with fresh.config.open("a") as config:
        config.write('[web.proxy]\nnetworks = ["127.0.0.1/32"]\n')
    fresh.start()
    reader = signed_in(fresh, "jane")
    process = psutil.Process(fresh.process.pid)  # type: ignore[union-attr]
    before, peak, slowest = process.memory_info().rss, 0, 0.0
    done = threading.Event()

    def guess(number: int) -> int:
        browser = HttpBrowser(fresh.port)
        form = {"name": f"name{number}", "password": "guess"}
        return browser.post("/login", form, x_forwarded_for=f"192.0.2.{number}").status

    def attack() -> list[int]:
        with ThreadPoolExecutor(50) as pool:
            found = [status for _ in range(2) for status in pool.map(guess, range(50))]
        done.set()
        return found

    with ThreadPoolExecutor(1) as pool:
        flood = pool.submit(attack)
        while not done.wait(0.05):
            peak = max(peak, process.memory_info().rss)
            begun = time.monotonic()
            assert reader.get("/studies").status == 200
            slowest = max(slowest, time.monotonic() - begun)
        statuses = flood.result()
    assert set(statuses) == {401, 429}
    assert peak - before < 300_000_000  # two at a time, 64 MB each
    assert slowest < 5


def test_hundreds_of_idle_connections_keep_nobody_out(server: PageProcess) -> None:
    with ExitStack() as stack:
        for number in range(600):
            stack.enter_context(server.connect(b"GET /login HTTP/1.1\r\n" if number % 2 else b""))
        begun = time.monotonic()
        assert signed_in(server, "jane").get("/studies").status == 200
        assert time.monotonic() - begun < 5
        assert psutil.Process(server.process.pid).num_fds() < 300  # type: ignore[union-attr]


def test_readers_of_a_large_file_that_take_nothing_cost_little_memory(tmp_path: Path) -> None:
    server = PageProcess(tmp_path / "node")
    app = make_app(server.settings.data_dir, ("jane", "reader"))
    study = make_study(app, tmp_path / "series")
    (study.report_folder / ObjectKind.SEG.file_name).write_bytes(bytes(100_000_000))
    close_pages(app)
    server.start()
    process = psutil.Process(server.process.pid)  # type: ignore[union-attr]
    browser = signed_in(server, "jane")
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    request = (
        f"GET {study.address}/files/{ObjectKind.SEG.file_name} HTTP/1.1\r\n"
        f"Host: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n"
    ).encode()
    before = process.memory_info().rss
    with ExitStack() as stack:
        slow = [stack.enter_context(server.connect(request)) for _ in range(20)]
        assert all(connection.recv(12) == b"HTTP/1.1 200" for connection in slow)
        assert browser.get("/studies").status == 200
        assert process.memory_info().rss - before < 100_000_000
    whole = browser.get(f"{study.address}/files/{ObjectKind.SEG.file_name}")
    assert (whole.status, len(whole.content)) == (200, 100_000_000)
    server.stop()
