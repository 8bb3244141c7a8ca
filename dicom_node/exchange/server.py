"""The server of a machine's instances: what it answers, and how much at a time.

``POST /fetch`` answers what an assessment needs as a stream of `archive_stream`; ``PUT
/reports/STUDY/ASSESSMENT`` takes in what it wrote, and nothing else is answered. Peers need a
certificate of the authority that the settings name; nothing of a patient is logged.
"""

import asyncio
import contextlib
import json
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.errors import OperationalError
from dicom_node.exchange.archive_stream import BrokenStream, pack, unpack
from dicom_node.exchange.door import make_door
from dicom_node.exchange.home_folder import GONE, HomeFolder, NotGiven, Wanted, may_come
from dicom_node.logs import fault_fields, log
from dicom_node.records.audit import AuditTrail
from dicom_node.records.database import open_database
from dicom_node.records.heartbeat import keep_beating
from dicom_node.records.instance_servers import announce_server, withdraw_server
from dicom_node.records.security_alerts import SecurityAlerts
from dicom_node.settings.edge import Exchange
from dicom_node.settings.node import NodeSettings
from dicom_node.spool.home import spool_home
from dicom_node.tls import server_context

__all__ = ["KEPT", "make_app", "make_server", "run_exchange"]

ANNOUNCE_SECONDS = 4.0
"""How often the server says in the database that it is there."""

MAX_REQUEST_BYTES = 1 << 20
"""Most that a request for instances may have: some 20,000 of them."""

MAX_REPORT_BYTES = 64 << 20
"""Most that a report with all that belongs to it may have."""

KEPT = "taken-in"
"""Folder in the data folder where what is handed in is unpacked."""

SERVER_POLL_SECONDS = 0.25
"""How often it is looked whether the server is to end."""


class _TooMuch(Exception):
    """A request that is too long."""


class _Stream(StreamingResponse):
    """A stream that gives its place back when it ends, however it ends."""

    def __init__(self, pieces: Iterator[bytes], transfers: threading.Semaphore) -> None:
        super().__init__(pieces, media_type="application/x-tar")
        self._transfers = transfers

    async def __call__(self, *asgi: Any) -> None:
        """Send it."""
        try:
            await super().__call__(*asgi)
        finally:
            self._transfers.release()


def make_app(settings: NodeSettings, exchange: Exchange) -> FastAPI:
    """The application over a data folder.

    Parameters
    ----------
    settings
        Of the node.
    exchange
        Their section: how many transfers there may be at a time, and how slow each.
    """
    app = FastAPI(title="osteonode", docs_url=None, redoc_url=None, openapi_url=None)
    home = HomeFolder(settings.data_dir)
    transfers = threading.Semaphore(exchange.max_transfers)

    @app.post("/fetch")
    async def fetch(request: Request) -> Response:
        """Give an assessment its instances."""
        if not transfers.acquire(blocking=False):
            return _busy()
        try:
            content = await _body(request, MAX_REQUEST_BYTES, exchange.timeout_seconds)
            wanted = Wanted.model_validate_json(content)
            files = await run_in_threadpool(home.files, wanted)
        except (NotGiven, _TooMuch, TimeoutError, ValidationError) as error:
            transfers.release()
            return _refusal(error)
        except BaseException:
            transfers.release()
            raise
        number = len(wanted.instances)
        log().info("handed out", study=wanted.study, instances=number, peer=_host(request))
        return _Stream(pack(files), transfers)

    @app.put("/reports/{study}/{assessment}")
    async def take(request: Request, study: str, assessment: str) -> Response:
        """Take in what an assessment wrote."""
        if not transfers.acquire(blocking=False):
            return _busy()
        try:
            Wanted(assessment=assessment, study=study, series={}, segmentations={})
            content = await _body(request, MAX_REPORT_BYTES, exchange.timeout_seconds)
            met = request.headers.get("If-Match", "").strip('"')
            await run_in_threadpool(_take, settings, home, (study, assessment), content, met)
        except (NotGiven, BrokenStream, _TooMuch, TimeoutError, ValidationError) as error:
            return _refusal(error)
        finally:
            transfers.release()
        log().info("report taken in", study=study, assessment=assessment, peer=_host(request))
        return Response(status_code=204)

    @app.exception_handler(Exception)
    def unforeseen(_request: Request, error: Exception) -> Response:
        """Log where it arose; the peer learns no more than that it did."""
        log().error("unforeseen fault", **fault_fields(error))
        return _answer(500, "exchange.fault")

    return app


def _take(
    settings: NodeSettings, home: HomeFolder, work: tuple[str, str], content: bytes, met: str
) -> None:
    place = settings.data_dir / KEPT
    place.mkdir(mode=0o700, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=place))
    try:
        names = unpack(
            BytesIO(content).read, folder, lambda name: may_come(*work, name), MAX_REPORT_BYTES
        )
        home.take(*work, folder, names, met)
    finally:
        shutil.rmtree(folder)


async def _body(request: Request, most_bytes: int, seconds: float) -> bytes:
    content = bytearray()
    async with asyncio.timeout(seconds):
        async for piece in request.stream():
            content += piece
            if len(content) > most_bytes:
                raise _TooMuch
    return bytes(content)


def _busy() -> Response:
    return _answer(503, "exchange.busy")


def _refusal(error: Exception) -> Response:
    if isinstance(error, NotGiven):
        return _answer(410 if error.code == GONE else 409, error.code)
    if isinstance(error, _TooMuch):
        return _answer(413, "exchange.too_much")
    if isinstance(error, TimeoutError):
        return _answer(408, "exchange.too_slow")
    return _answer(400, "exchange.malformed")


def _answer(status: int, code: str) -> Response:
    content = json.dumps({"code": code})
    # what was not read of a request would be taken for the next one
    headers = {"Connection": "close", "Cache-Control": "no-store"}
    return Response(content, status, media_type="application/json", headers=headers)


def _host(request: Request) -> str:
    return "" if request.client is None else request.client.host


def run_exchange(settings: NodeSettings, stop: threading.Event) -> None:
    """Serve until ``stop`` is set, and say in the database that this machine does.

    Raises
    ------
    OperationalError
        The address cannot be used.
    SettingsInvalid
        A certificate, key or CA cannot be used.
    ValueError
        The settings have no port to serve at.
    """
    exchange = settings.exchange
    if exchange is None or exchange.port is None:
        raise ValueError("no exchange.port in the settings")
    for warning in exchange.warnings:
        log().warning("exchange is open", reason=warning)
    shutil.rmtree(settings.data_dir / KEPT, ignore_errors=True)  # what a crash left
    server = make_server(settings, exchange)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    keep_beating(settings.counters_dir, "exchange", stop)
    log().info("exchange started", host=exchange.host, port=exchange.port)
    url = f"https://{_bracketed(exchange.reached_as)}:{exchange.port}"
    _announce_until(settings, url, lambda: stop.is_set() or not thread.is_alive())
    stopped = stop.is_set()
    server.should_exit = True
    thread.join(10)
    if not stopped:
        raise OperationalError(
            f"the address {exchange.host}:{exchange.port} of [exchange] cannot be used"
        )


def make_server(settings: NodeSettings, exchange: Exchange) -> uvicorn.Server:
    """The server, not started; the parameters are those of `make_app`."""
    config = uvicorn.Config(
        make_app(settings, exchange),
        host=exchange.host,
        port=exchange.port or 0,
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        http=make_door(exchange, SecurityAlerts(AuditTrail.of(settings))),
        timeout_keep_alive=5,
        timeout_graceful_shutdown=5,
    )
    config.load()
    config.ssl = server_context(exchange.server_tls, "exchange")
    return uvicorn.Server(config)


def _announce_until(settings: NodeSettings, url: str, ended: Callable[[], bool]) -> None:
    """Say in the database that this machine serves its instances, again and again."""
    home, host = spool_home(settings.data_dir / "spool"), socket.gethostname()
    database: sa.Engine | None = None
    announced = -ANNOUNCE_SECONDS
    try:
        while not ended():
            if time.monotonic() - announced >= ANNOUNCE_SECONDS:
                announced = time.monotonic()
                try:
                    database = database or open_database(settings.database, make=True)
                    with database.begin() as connection:
                        announce_server(connection, home, host, url)
                except SQLAlchemyError as error:
                    log().warning("database does not answer", error=type(error).__name__)
            time.sleep(SERVER_POLL_SECONDS)
        if database is not None:
            with contextlib.suppress(SQLAlchemyError), database.begin() as connection:
                withdraw_server(connection, home, url)
    finally:
        if database is not None:
            database.dispose()


def _bracketed(host: str) -> str:
    """A host as a URL has it: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host
