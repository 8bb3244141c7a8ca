"""The HTTP endpoint under connections that send nothing, or send or read slowly."""

import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from dicom_node.demo import free_port
from dicom_node.exchange import impatient_http
from dicom_node.monitoring import web
from dicom_node.pages.app import make_pages
from dicom_node.settings.node import NodeSettings
from dicom_node.settings.web import Web


def healthy(port: int) -> bool:
    """Whether ``/healthz`` answers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=60) as answer:
        return bool(answer.status == 200)


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    chosen = free_port()
    settings = NodeSettings(data_dir=tmp_path, web=Web(port=chosen))
    stop = threading.Event()
    thread = threading.Thread(target=web.run_web, args=(make_pages(settings), settings, stop))
    thread.start()
    deadline = time.monotonic() + 60
    while True:
        try:
            healthy(chosen)
            break
        except OSError:
            assert time.monotonic() < deadline, "the endpoint does not answer"
            time.sleep(0.05)
    yield chosen
    stop.set()
    thread.join(60)


def closed(connection: socket.socket) -> bool:
    """Whether a connection is closed by its peer, which is waited for."""
    with suppress(ConnectionResetError):
        return connection.recv(1) == b""
    return True


def takes(connection: socket.socket, data: bytes) -> bool:
    """Whether a connection still takes data."""
    try:
        connection.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True


def connect(stack: ExitStack, port: int, first: bytes) -> socket.socket:
    connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
    connection.sendall(first)
    return connection


def test_health_answers_beside_silent_and_slow_connections(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(impatient_http, "REQUEST_SECONDS", 600.0)
    with ExitStack() as stack:
        for first in (b"", b"GET /healthz HTTP/1.1\r\n"):
            for _ in range(100):
                connect(stack, port, first)
        assert healthy(port)


def test_silent_and_slow_connections_are_closed(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(impatient_http, "REQUEST_SECONDS", 1.0)
    with ExitStack() as stack:
        silent = connect(stack, port, b"")
        slow = connect(stack, port, b"GET /healthz HTTP/1.1\r\n")
        deadline = time.monotonic() + 60
        while takes(slow, b"X"):  # a byte now and then does not help
            assert time.monotonic() < deadline, "it is left open"
            time.sleep(0.1)
        assert closed(silent)
        assert healthy(port)


def test_health_answers_beyond_the_limit_of_connections(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(impatient_http, "MAX_CONNECTIONS", 20)
    monkeypatch.setattr(impatient_http, "REQUEST_SECONDS", 600.0)
    with ExitStack() as stack:
        first, *others = [connect(stack, port, b"") for _ in range(60)]
        assert healthy(port)
        assert closed(first)
        assert all(closed(other) for other in others[:39])  # also of those that came at once


def test_readers_that_take_nothing_are_cut_and_keep_nobody_out(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(impatient_http, "MAX_CONNECTIONS", 20)
    monkeypatch.setattr(impatient_http, "READ_SECONDS", 1.0)
    with ExitStack() as stack:
        for _ in range(30):
            slow = stack.enter_context(socket.socket())
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.settimeout(60)
            slow.connect(("127.0.0.1", port))
            with suppress(OSError):
                slow.sendall(b"GET /static/style.css HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 400)
        for _ in range(5):
            assert healthy(port)
            time.sleep(0.5)
        deadline = time.monotonic() + 60
        while takes(slow, b"X"):  # nothing is read, and it ends
            assert time.monotonic() < deadline, "it is left open"
            time.sleep(0.1)


def test_reader_that_is_slow_but_reads_gets_its_answer(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(impatient_http, "READ_SECONDS", 0.5)
    monkeypatch.setattr(impatient_http, "LEAST_READ_BYTES", 1000)
    number = 400
    request = b"GET /static/style.css HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with ExitStack() as stack:
        slow = stack.enter_context(socket.socket())
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(60)
        slow.connect(("127.0.0.1", port))
        slow.sendall(request * number)
        found = bytearray()
        begun = time.monotonic()
        while found.count(b"HTTP/1.1 200 OK") < number:
            part = slow.recv(60_000)
            assert part, "it was cut"
            found += part
            if time.monotonic() - begun < 4:
                time.sleep(0.05)


def test_another_address_gets_in_while_one_holds_all_connections(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(impatient_http, "MAX_CONNECTIONS", 20)
    monkeypatch.setattr(impatient_http, "REQUEST_SECONDS", 600.0)
    with ExitStack() as stack:
        other = stack.enter_context(socket.socket())
        other.bind(("127.0.0.2", 0))
        other.settimeout(60)
        other.connect(("127.0.0.1", port))
        for _ in range(60):
            connect(stack, port, b"")
        other.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert other.recv(100).startswith(b"HTTP/1.1 200")


def test_body_that_does_not_come_ends_its_connection(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(impatient_http, "BODY_SECONDS", 1.0)
    header = b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 90\r\n"
    form = b"Content-Type: application/x-www-form-urlencoded\r\n\r\nname="
    with ExitStack() as stack:
        slow = [connect(stack, port, header + form) for _ in range(60)]
        assert healthy(port)
        assert all(closed(connection) for connection in slow)
