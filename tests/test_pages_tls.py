"""The pages by TLS: certificates, cookies, versions, and what comes to the port without it."""

import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.page_process import HOST, HttpBrowser, PageProcess, page_process


class Secured:
    """A server process by TLS, and what browsers need to trust it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder / "ca")
        self.key, self.certificate = folder / "web.key.pem", folder / "web.cert.pem"
        self.renew(self.authority)

    def renew(self, authority: Authority) -> None:
        key, certificate = authority.issue(HOST)
        shutil.copyfile(key, self.key)
        shutil.copyfile(certificate, self.certificate)

    @property
    def web(self) -> str:
        return f'[web.tls]\ncertificate = "{self.certificate}"\nkey = "{self.key}"\n'

    def context(self, authority: Authority | None = None) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str((authority or self.authority).path))


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Secured:
    return Secured(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def server(secured: Secured) -> Iterator[PageProcess]:
    with page_process(secured.folder / "node", ("jane", "reader"), web=secured.web) as made:
        yield made


def test_cookies_are_held_to_this_host_and_to_tls(server: PageProcess, secured: Secured) -> None:
    browser = HttpBrowser(server.port, secured.context())
    answer = browser.sign_in("jane")
    assert answer.status == 303
    assert set(answer.cookies) == {"__Host-osteonode_session", "__Host-osteonode_browser"}
    for cookie in answer.cookies.values():
        assert (cookie["secure"], cookie["httponly"], cookie["path"]) == (True, True, "/")
        assert (cookie["samesite"], cookie["domain"]) == ("strict", "")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    shown = browser.get("/account")
    assert (shown.status, "strict-transport-security" in shown.headers) == (200, True)
    # a cookie of the name without the prefix, as another host of the domain could set, is none
    other = HttpBrowser(server.port, secured.context())
    other.cookies = {"osteonode_session": browser.cookies["__Host-osteonode_session"]}
    assert other.get("/account").status == 303


def test_plain_http_on_the_port_of_tls_gets_no_page_and_harms_nothing(
    server: PageProcess, secured: Secured
) -> None:
    for request in (
        b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"\r\n" * 100,
        b"\x00" * 5000,
    ):
        assert b"HTTP" not in server.raw(request)
        assert b"html" not in server.raw(request)
    assert HttpBrowser(server.port, secured.context()).get("/login").status == 200
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
def test_old_versions_of_tls_are_refused(
    server: PageProcess, secured: Secured, version: ssl.TLSVersion
) -> None:
    context = secured.context()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with pytest.raises(ssl.SSLError), socket.create_connection((HOST, server.port), 60) as plain:
        context.wrap_socket(plain, server_hostname=HOST)


@pytest.mark.parametrize(
    ("version", "spoken"),
    [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")],
)
def test_new_versions_of_tls_are_spoken_with_forward_secrecy(
    server: PageProcess, secured: Secured, version: ssl.TLSVersion, spoken: str
) -> None:
    context = secured.context()
    context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection((HOST, server.port), 60) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as secure,
    ):
        assert secure.version() == spoken
        cipher = secure.cipher()
        assert cipher is not None
        assert cipher[0].startswith(("ECDHE", "TLS_"))
        assert cipher[0].endswith(("GCM_SHA384", "GCM-SHA384", "GCM_SHA256", "GCM-SHA256"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES256-SHA:AES128-SHA256")
    with pytest.raises(ssl.SSLError), socket.create_connection((HOST, server.port), 60) as plain:
        context.wrap_socket(plain, server_hostname=HOST)


def test_handshakes_that_never_end_are_ended_and_keep_nobody_out(
    server: PageProcess, secured: Secured
) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(server.connect()) for _ in range(300)]
        half = stack.enter_context(server.connect(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"))
        begun = time.monotonic()
        assert HttpBrowser(server.port, secured.context()).get("/login").status == 200
        assert time.monotonic() - begun < 3
        for connection in (silent[0], half):
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""
        assert time.monotonic() - begun < 30


def test_another_certificate_counts_from_the_next_start(tmp_path: Path) -> None:
    secured = Secured(tmp_path)
    with page_process(tmp_path / "node", ("jane", "reader"), web=secured.web) as server:
        assert HttpBrowser(server.port, secured.context()).get("/login").status == 200
        other = Authority(tmp_path / "other")
        secured.renew(other)
        assert HttpBrowser(server.port, secured.context()).get("/login").status == 200
        server.stop()
        server.start()
        assert HttpBrowser(server.port, secured.context(other)).get("/login").status == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            HttpBrowser(server.port, secured.context()).get("/login")
        # a key that does not belong to it ends the start with what is wrong
        server.stop()
        shutil.copyfile(Authority(tmp_path / "third").issue(HOST)[0], secured.key)
        with pytest.raises(AssertionError, match=r"web\.tls"):
            server.start()
        assert server.process is not None
        assert server.process.wait(30) == 2
