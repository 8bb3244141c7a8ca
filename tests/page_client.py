"""A browser's side of the pages in the tests: the application is called without a socket."""

import asyncio
import json
import re
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from argon2 import PasswordHasher
from fastapi import FastAPI

from dicom_node.pages.access.visitor import Identity
from dicom_node.pages.app import make_pages
from dicom_node.settings.node import NodeSettings
from dicom_node.settings.web import Role, Web

PASSWORD = "correct horse battery"

LISTENING_SECONDS = 5.0
"""The browser stays for the whole answer; a file is sent only as long as somebody listens."""

QUICK_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Answer:
    """What came back; ``headers`` by names in small letters, several of one name joined."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    cookies: Mapping[str, Morsel[str]]

    @property
    def text(self) -> str:
        return self.content.decode()

    @property
    def location(self) -> str:
        return self.headers.get("location", "")

    @property
    def form_token(self) -> str:
        found = re.search(r'name="csrf" value="(\w+)"', self.text)
        assert found is not None, "the page has no form of a session"
        return found[1]


@dataclass
class Browser:
    """Sends requests to an application and keeps its cookies."""

    app: FastAPI
    address: str = "127.0.0.1"
    host: str = "127.0.0.1:8080"
    scheme: str = "http"
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, headers=headers)

    def post(self, path: str, form: Mapping[str, str] | None = None, **headers: str) -> Answer:
        headers = {"content-type": "application/x-www-form-urlencoded", **headers}
        return self.send("POST", path, headers=headers, body=urlencode(form or {}).encode())

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        pairs: tuple[tuple[str, str], ...] = (),
        faulty: bool = False,
    ) -> Answer:
        """Send a request; underscores in names of headers stand for hyphens.

        With ``faulty`` the application may raise after its answer, as it does for a server's log.
        """
        parts = urlsplit(f"http://-{path}")
        given = {name.replace("_", "-").lower(): value for name, value in (headers or {}).items()}
        sent = {"host": self.host, "content-length": str(len(body)), **given}
        if self.cookies:
            sent.setdefault("cookie", "; ".join(f"{k}={v}" for k, v in self.cookies.items()))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": self.scheme,
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "root_path": "",
            "headers": [(n.encode(), v.encode("latin-1")) for n, v in (*sent.items(), *pairs)],
            "client": (self.address, 40000),
            "server": ("127.0.0.1", 8080),
        }
        answer = asyncio.run(_asked(self.app, scope, body, faulty))
        for name, morsel in answer.cookies.items():
            if morsel.value and morsel["max-age"] != "0":
                self.cookies[name] = morsel.value
            else:
                self.cookies.pop(name, None)
        return answer

    def sign_in(self, name: str, password: str = PASSWORD, **form: str) -> Answer:
        return self.post("/login", {"name": name, "password": password, **form})


def make_app(folder: Path, *accounts: tuple[str, Role], **web: Any) -> FastAPI:
    """The pages of a node with an account for each name and role; all have `PASSWORD`."""
    settings = NodeSettings(data_dir=folder, web=Web(**web))
    app = make_pages(settings, QUICK_HASHER)
    for name, role in accounts:
        identity = Identity(name, frozenset({role}), "Doe^Jane", "General Hospital")
        app.state.gate.accounts.add(identity, PASSWORD)
    return app


def audit_records(folder: Path) -> list[dict[str, Any]]:
    """All records of a node's audit trail."""
    files = sorted((folder / "audit").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


async def _asked(app: FastAPI, scope: dict[str, Any], body: bytes, faulty: bool) -> Answer:
    start: dict[str, Any] = {}
    content = bytearray()
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await asyncio.sleep(LISTENING_SECONDS)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            content.extend(message.get("body", b""))

    with suppress(RuntimeError) if faulty else nullcontext():
        await app(scope, receive, send)
    cookies: SimpleCookie = SimpleCookie()
    headers: dict[str, str] = {}
    for raw_name, raw_value in start["headers"]:
        name, value = raw_name.decode(), raw_value.decode("latin-1")
        if name == "set-cookie":
            cookies.load(value)
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Answer(start["status"], headers, bytes(content), cookies)
