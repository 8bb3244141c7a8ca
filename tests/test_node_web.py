"""The HTTP endpoint under connections that send nothing, or send it slowly."""

import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from dicom_node.demo import free_port
from dicom_node.monitoring import web
from dicom_node.pages.app import make_pages
from dicom_node.settings.node import NodeSettings
from dicom_node.settings.web import Web


def health_seconds(port: int) -> float:
    """How long ``/healthz`` takes to answer."""
    started = time.monotonic()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=30) as answer:
        assert answer.status == 200
    return time.monotonic() - started


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
            health_seconds(chosen)
            break
        except OSError:
            assert time.monotonic() < deadline, "the endpoint does not answer"
            time.sleep(0.05)
    yield chosen
    stop.set()
    thread.join(60)


def connect(stack: ExitStack, port: int, first: bytes) -> socket.socket:
    connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
    connection.sendall(first)
    return connection


def test_health_answers_within_a_second_beside_silent_and_slow_connections(port: int) -> None:
    with ExitStack() as stack:
        silent = [connect(stack, port, b"") for _ in range(100)]
        slow = [connect(stack, port, b"GET /healthz HTTP/1.1\r\n") for _ in range(100)]
        assert health_seconds(port) < 1
        deadline = time.monotonic() + web.REQUEST_SECONDS + 10
        for number in range(3):  # a byte now and then does not help them
            time.sleep(web.REQUEST_SECONDS / 4)
            for connection in slow:
                connection.sendall(b"X-Slow: %d\r\n" % number)
        assert health_seconds(port) < 1
        for connection in (*silent, *slow):
            connection.settimeout(max(deadline - time.monotonic(), 0.1))
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""


def test_health_answers_beyond_the_limit_of_connections(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "MAX_CONNECTIONS", 20)
    with ExitStack() as stack:
        for _ in range(60):
            connect(stack, port, b"")
        assert health_seconds(port) < 1


def test_body_that_does_not_come_ends_its_connection(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "BODY_SECONDS", 1.0)
    header = b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 90\r\n"
    form = b"Content-Type: application/x-www-form-urlencoded\r\n\r\nname="
    with ExitStack() as stack:
        slow = [connect(stack, port, header + form) for _ in range(60)]
        assert health_seconds(port) < 1
        for connection in slow:
            connection.settimeout(10)
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""
