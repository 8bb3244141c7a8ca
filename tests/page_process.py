"""``osteonode web`` as a process of its own, and a browser that speaks HTTP to it."""

import json
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPSConnection
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

from dicom_node.demo import free_port, listens
from dicom_node.pages.access.accounts import Accounts
from dicom_node.pages.access.passwords import Passwords
from dicom_node.pages.access.visitor import Identity
from dicom_node.records.database import open_database
from dicom_node.settings.node import NodeSettings, load_settings
from dicom_node.settings.web import Role
from tests.page_client import PASSWORD, QUICK_HASHER, Answer

START_SECONDS = 120.0

HOST = "127.0.0.1"


class PageProcess:
    """A node's web process; ``settings`` are more lines of its settings file."""

    def __init__(self, folder: Path, settings: str = "", web: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.config = folder / "node.toml"
        self.log_path = folder / "web.log"
        data = json.dumps(str(folder / "data"))
        self.config.write_text(
            f'data_dir = {data}\n{settings}\n[web]\nhost = "{HOST}"\nport = {self.port}\n{web}'
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> NodeSettings:
        return load_settings(self.config)

    def add(self, *accounts: tuple[str, Role]) -> None:
        """Make accounts with `PASSWORD`."""
        self.settings.data_dir.mkdir(parents=True, exist_ok=True)
        engine = open_database(self.settings.database, make=True)
        made = Accounts(engine, Passwords(QUICK_HASHER))
        for name, role in accounts:
            made.add(Identity(name, frozenset({role}), "Doe^Jane", "General Hospital"), PASSWORD)
        engine.dispose()

    def start(self) -> None:
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dicom_node", "web", "--config", str(self.config)],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while not listens(self.port):
            assert self.process.poll() is None, self.log_path.read_text()
            assert time.monotonic() < deadline, "it does not answer"
            time.sleep(0.05)

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def log(self) -> str:
        return self.log_path.read_text()

    def connect(self, first: bytes = b"") -> socket.socket:
        """A connection on which some bytes were sent."""
        made = socket.create_connection((HOST, self.port), timeout=60)
        made.sendall(first)
        return made

    def raw(self, request: bytes) -> bytes:
        """What comes back for some bytes, until the connection ends."""
        found = bytearray()
        with self.connect(request) as connection:
            while True:
                try:
                    part = connection.recv(65536)
                except ConnectionResetError:
                    break
                if not part:
                    break
                found += part
        return bytes(found)


class HttpBrowser:
    """Sends requests to a port of this machine and keeps its cookies."""

    def __init__(
        self, port: int, tls: ssl.SSLContext | None = None, host: str = HOST, seconds: float = 60
    ) -> None:
        self.cookies: dict[str, str] = {}
        self.host = f"{host}:{port}"
        self._tls = tls
        self._seconds = seconds

    def _connection(self) -> HTTPConnection:
        if self._tls is None:
            return HTTPConnection(self.host, timeout=self._seconds)
        return HTTPSConnection(self.host, timeout=self._seconds, context=self._tls)

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, headers=headers)

    def post(self, path: str, form: Mapping[str, str] | None = None, **headers: str) -> Answer:
        headers = {"content-type": "application/x-www-form-urlencoded", **headers}
        return self.send("POST", path, headers=headers, body=urlencode(form or {}).encode())

    def sign_in(self, name: str, password: str = PASSWORD) -> Answer:
        return self.post("/login", {"name": name, "password": password})

    def send(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Send a request; underscores in names of headers stand for hyphens."""
        sent = {"host": self.host, "content-length": str(len(body))}
        sent |= {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        if self.cookies:
            sent.setdefault("cookie", "; ".join(f"{k}={v}" for k, v in self.cookies.items()))
        connection = self._connection()
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        cookies: SimpleCookie = SimpleCookie()
        found: dict[str, str] = {}
        for raw, value in answer.getheaders():
            name = raw.lower()
            if name == "set-cookie":
                cookies.load(value)
            found[name] = f"{found[name]}, {value}" if name in found else value
        for name, morsel in cookies.items():
            if morsel.value and morsel["max-age"] != "0":
                self.cookies[name] = morsel.value
            else:
                self.cookies.pop(name, None)
        return Answer(answer.status, found, content, cookies)


@contextmanager
def page_process(
    folder: Path, *accounts: tuple[str, Role], settings: str = "", web: str = ""
) -> Iterator[PageProcess]:
    """A web process that was started, with accounts that all have `PASSWORD`."""
    made = PageProcess(folder, settings, web)
    made.add(*accounts)
    made.start()
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.stop()
