"""An HTTP server and an SMTP server on the loopback that keep what they are told."""

import base64
import json
import socketserver
import ssl
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self


def server_side(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


class _Running:
    """A server in a thread; while ``hold`` is set it does not answer."""

    def __init__(self) -> None:
        self.hold = threading.Event()
        self._ended = threading.Event()
        self._server: socketserver.BaseServer | None = None

    def _start(self, server: socketserver.BaseServer) -> None:
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def wait_while_held(self) -> None:
        while self.hold.is_set() and not self._ended.wait(0.02):
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self._ended.set()
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()


@dataclass(frozen=True)
class Posted:
    """A request that came."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def notice(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class HookServer(_Running):
    """Answers each POST with the next of ``statuses``, and with the last one from then on.

    A redirect leads to ``/elsewhere``. While ``dribble`` is set the answer comes byte by byte.
    """

    def __init__(
        self, statuses: Sequence[int] = (204,), tls: tuple[Path, Path] | None = None
    ) -> None:
        super().__init__()
        self.posted: list[Posted] = []
        self.statuses = list(statuses)
        self.dribble = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 20

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.posted.append(Posted(self.path, dict(self.headers), body))
                hook.wait_while_held()
                while hook.dribble.is_set():
                    self.wfile.write(b"H")
                    if hook._ended.wait(0.05):
                        return
                status = hook.statuses[0] if len(hook.statuses) == 1 else hook.statuses.pop(0)
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_words: object) -> None:
                pass

            def finish(self) -> None:
                with suppress(OSError):  # the client went
                    super().finish()

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_details: object) -> None:
                pass

        server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            context = server_side(*tls)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = int(server.server_address[1])
        self.scheme = "http" if tls is None else "https"
        self._start(server)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hook"

    @property
    def notices(self) -> list[dict[str, Any]]:
        return [one.notice for one in self.posted]


@dataclass
class Mailed:
    """A mail that was taken: its envelope and its content."""

    sender: str
    recipients: list[str]
    content: bytes
    encrypted: bool
    user: str

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.content, policy=policy.default)

    @property
    def text(self) -> str:
        return str(self.message.get_content())


@dataclass
class _Session:
    sender: str = ""
    recipients: list[str] = field(default_factory=list)
    encrypted: bool = False
    user: str = ""


class MailServer(_Running):
    """Takes mails; ``tls`` (key and certificate) is offered by STARTTLS, or at once."""

    def __init__(
        self,
        tls: tuple[Path, Path] | None = None,
        *,
        at_once: bool = False,
        login: tuple[str, str] | None = None,
        refused: Sequence[str] = (),
        greeting: int = 220,
    ) -> None:
        super().__init__()
        self.mails: list[Mailed] = []
        context = None if tls is None else server_side(*tls)
        server_ = self

        class Handler(socketserver.StreamRequestHandler):
            timeout = 20

            def handle(self) -> None:
                session = _Session()
                if at_once and context is not None:
                    self._encrypt(session)
                server_.wait_while_held()
                self._say(f"{greeting} test")
                while line := self.rfile.readline(2000):
                    verb, _, rest = line.decode().strip().partition(" ")
                    if not self._one(session, verb.upper(), rest):
                        return

            def _one(self, session: _Session, verb: str, rest: str) -> bool:
                if verb == "EHLO":
                    offered = ["test", "8BITMIME"]
                    if context is not None and not session.encrypted:
                        offered.append("STARTTLS")
                    if login is not None:
                        offered.append("AUTH PLAIN")
                    for name in offered[:-1]:
                        self._say(f"250-{name}")
                    self._say(f"250 {offered[-1]}")
                elif verb == "STARTTLS" and context is not None:
                    self._say("220 go")
                    self._encrypt(session)
                elif verb == "AUTH":
                    given = base64.b64decode(rest.partition(" ")[2]).decode().split("\0")[1:]
                    session.user = given[0]
                    right = login is not None and tuple(given) == login
                    self._say("235 in" if right else "535 no such login")
                elif verb == "MAIL":
                    session.sender = rest.partition("<")[2].partition(">")[0]
                    self._say("250 ok")
                elif verb == "RCPT":
                    name = rest.partition("<")[2].partition(">")[0]
                    if name not in refused:
                        session.recipients.append(name)
                    self._say("550 5.1.1 nobody" if name in refused else "250 ok")
                elif verb == "DATA":
                    self._say("354 go")
                    lines = []
                    while (line := self.rfile.readline()) not in (b".\r\n", b""):
                        lines.append(line.removeprefix(b"."))
                    server_.mails.append(
                        Mailed(
                            session.sender, session.recipients, b"".join(lines),
                            session.encrypted, session.user,
                        )
                    )  # fmt: skip
                    self._say("250 taken")
                else:
                    self._say("221 bye" if verb == "QUIT" else "250 ok")
                    return verb != "QUIT"
                return True

            def finish(self) -> None:
                super().finish()
                if isinstance(self.connection, ssl.SSLSocket):
                    self.connection.close()

            def _say(self, text: str) -> None:
                self.wfile.write(f"{text}\r\n".encode())

            def _encrypt(self, session: _Session) -> None:
                assert context is not None
                self.request = self.connection = context.wrap_socket(
                    self.connection, server_side=True
                )
                self.rfile = self.connection.makefile("rb", -1)
                self.wfile = self.connection.makefile("wb", 0)
                session.encrypted = True

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False
            allow_reuse_address = True

            def handle_error(self, *_details: object) -> None:
                pass

        server = Server(("127.0.0.1", 0), Handler)
        self.port = int(server.server_address[1])
        self._start(server)
