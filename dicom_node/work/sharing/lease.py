"""A worker's hold on its work: who it is, and whether what it has in hand is still its own.

On SQLite there is one worker, and a lock on a file keeps a second one out. On PostgreSQL each start
of a worker has a name and a row of its own, holds an advisory lock on a connection of its own, and
beats. When the beat stops and the lock is free, another takes its work (`takeover`); one that was
only cut off for a while and comes back before that goes on as if nothing had been.
"""

import fcntl
import os
import socket
import threading
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.errors import OperationalError
from dicom_node.logs import log
from dicom_node.records.database import open_database
from dicom_node.records.worker_table import (
    SILENT_SECONDS,
    add_worker,
    beat,
    end_worker,
    spool_lock,
    worker_lock,
)
from dicom_node.settings.node import NodeSettings
from dicom_node.spool.home import spool_home
from dicom_node.work.sharing.interruption import Interrupted

__all__ = ["DatabaseLease", "Lease", "SoleLease", "make_lease", "own_home"]

LEASE_BEAT_SECONDS = 2.0
"""Seconds between two beats."""

SURE_SECONDS = 8.0
"""So long after a beat nobody can have taken the work; less than `SILENT_SECONDS`."""

OTHER_WORKER_SECONDS = 30.0
"""How long a start waits for another worker on the same SQLite to end."""

LEASE_LOOK_SECONDS = 0.1
"""How often a wait looks whether it is over."""


class Lease(Protocol):
    """Who a worker is, and whether its work is its own."""

    executor_id: str
    home: str

    def __enter__(self) -> Self:
        """Take hold."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go: others may take what was left."""

    @property
    def lost(self) -> bool:
        """Whether another worker took the work: the process must end."""

    @property
    def leads(self) -> bool:
        """Whether this worker is the one that looks for complete studies in the spool."""

    def confirm(self) -> None:
        """Return once the work is known to be this worker's; called before each side effect.

        Raises
        ------
        Interrupted
            It is not, or the process is to end.
        """


class SoleLease:
    """The hold of the only worker, on SQLite.

    Parameters
    ----------
    folder
        The node's data folder.
    executor_id
        Its name, the same after each start.
    stop
        Set when the process is to end.
    """

    lost = False
    leads = True
    home = ""

    def __init__(self, folder: Path, executor_id: str, stop: threading.Event) -> None:
        self.executor_id = executor_id
        self._path = folder / "worker.lock"
        self._stop = stop
        self._file: int | None = None

    def __enter__(self) -> Self:
        """Wait until a worker that was here before has ended.

        Raises
        ------
        OperationalError
            It does not end.
        """
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + OTHER_WORKER_SECONDS
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return self
            except BlockingIOError:
                if time.monotonic() > deadline or self._stop.wait(LEASE_LOOK_SECONDS):
                    os.close(self._file)
                    raise OperationalError(
                        "another worker works in this data_dir; several need PostgreSQL"
                    ) from None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let the next one in."""
        if self._file is not None:
            os.close(self._file)

    def confirm(self) -> None:
        """Return: there is no other worker."""


class DatabaseLease:
    """The hold of one of several workers, on PostgreSQL.

    Parameters
    ----------
    url
        Of the workflow database.
    home
        Name of the spool that it assesses from.
    stop
        Set when the process is to end.
    """

    def __init__(self, url: str, home: str, stop: threading.Event) -> None:
        self.host = socket.gethostname()
        self.executor_id = f"{self.host}-{uuid.uuid4().hex[:12]}"
        self.home = home
        self._stop = stop
        self._engine = open_database(url, make=True)
        self._session: sa.Connection | None = None
        self._confirmed = 0.0
        self._reconnected = -SILENT_SECONDS
        self._leads = False
        self._lost = threading.Event()
        self._ended = threading.Event()
        self._beating = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Enter the row, take the lock, and begin to beat."""
        with self._engine.begin() as connection:
            add_worker(connection, self.executor_id, self.host, self.home)
        self._beat()
        self._beating.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Say that this worker ended, and free its lock."""
        self._ended.set()
        self._beating.join()
        try:
            if self._session is not None:
                end_worker(self._session, self.executor_id)
        except SQLAlchemyError:  # the others find out by themselves
            pass
        self._drop()
        self._engine.dispose()

    @property
    def lost(self) -> bool:
        """Whether another worker took the work."""
        return self._lost.is_set()

    @property
    def leads(self) -> bool:
        """Whether this worker holds the lock on its spool."""
        return self._leads and self._sure()

    @property
    def steady(self) -> bool:
        """Whether the session is old enough to judge others by: all lose theirs in an outage."""
        return self._sure() and time.monotonic() - self._reconnected > SILENT_SECONDS

    def confirm(self) -> None:
        """Wait for a beat if the last one is too old to be sure."""
        while not self.lost and not self._sure():
            if self._stop.wait(LEASE_LOOK_SECONDS):
                break
        if self.lost or not self._sure():
            raise Interrupted

    def _sure(self) -> bool:
        return not self.lost and time.monotonic() - self._confirmed < SURE_SECONDS

    def _run(self) -> None:
        while not self._ended.wait(LEASE_BEAT_SECONDS) and not self.lost:
            try:
                self._beat()
            except SQLAlchemyError as error:
                if self._session is not None:
                    log().warning("connection of the worker lost", error=type(error).__name__)
                self._drop()
        self._leads = False

    def _beat(self) -> None:
        asked = time.monotonic()  # before: the answer may have taken long
        if self._session is None:
            session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            lock = sa.select(sa.func.pg_try_advisory_lock(worker_lock(self.executor_id)))
            if not session.scalar(lock):
                session.close()  # the lock is with our last session, or with who takes our work
                return
            self._session = session
            if self._confirmed:
                self._reconnected = asked
        if not beat(self._session, self.executor_id):
            log().error("work taken over", host=self.host)
            self._lost.set()
            return
        if not self._leads:
            lead = sa.select(sa.func.pg_try_advisory_lock(spool_lock(self.home)))
            self._leads = bool(self._session.scalar(lead))
        self._confirmed = asked

    def _drop(self) -> None:
        """Leave a session that is broken or not needed any more."""
        self._leads = False
        if self._session is not None:
            self._session.invalidate()
            self._session.close()
            self._session = None


def own_home(settings: NodeSettings) -> str:
    """The name of this machine's spool, or of the one that it shares; empty on SQLite."""
    return spool_home(settings.data_dir / "spool") if settings.on_postgresql else ""


def make_lease(settings: NodeSettings, stop: threading.Event) -> Lease:
    """The hold of a worker with these settings."""
    if settings.on_postgresql:
        return DatabaseLease(settings.database, own_home(settings), stop)
    return SoleLease(settings.data_dir, settings.executor_id, stop)
