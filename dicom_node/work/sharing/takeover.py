"""Workers on PostgreSQL take over the work of those that died.

A worker is dead when its last beat is too old, or it said that it ended, and its lock is free. It
is first fenced: its row is marked, so that it never beats again should it wake. Then what it had in
hand goes back to its queues. Each step may be done again, so nothing is lost if the survivor dies
too.
"""

import threading
import time

import sqlalchemy as sa
from dbos import DBOS
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.logs import fault_fields, log
from dicom_node.records.worker_table import (
    WORKFLOW_VERSION,
    WorkerRow,
    fence,
    forget_workers,
    listed_workers,
    mark_recovered,
    worker_lock,
)
from dicom_node.work.sharing.lease import DatabaseLease

__all__ = ["Takeover", "hand_on"]

TAKEOVER_SECONDS = 3.0
"""Seconds between two looks for dead workers, with few workers."""

TAKEOVERS_PER_SECOND = 8.0
"""The most looks of all workers together: with many workers each looks more rarely."""

STRAY_SECONDS = 30.0
"""How often work is looked for that a dead worker took up after its work was handed on."""


def hand_on(executor_id: str) -> int:
    """Put the work that a dead worker had in hand back into its queues.

    Only work of this version of the workflows is handed on, and only what is still the dead
    worker's: a repeat finds nothing. This is the only place that calls this function of DBOS,
    which is not public (``DBOS._recover_pending_workflows``, the same in DBOS 3.4; held by a test).

    Returns
    -------
    int
        How many workflows were handed on.
    """
    return len(DBOS._recover_pending_workflows([executor_id]))


class Takeover:
    """Looks for dead workers from a thread of its own.

    Parameters
    ----------
    engine
        With the table of workers.
    lease
        Of the worker that looks.
    """

    def __init__(self, engine: sa.Engine, lease: DatabaseLease) -> None:
        self._engine = engine
        self._lease = lease
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._strays_looked = time.monotonic()
        self.alive = 1  # workers that are alive, roughly: up to the next power of two
        self.gone_homes: frozenset[str] = frozenset()  # spools of which all workers are gone

    def start(self) -> None:
        """Look once, and begin to look from time to time."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        """End, before the workflow engine ends."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        pause = TAKEOVER_SECONDS
        while not self._ended.wait(pause):
            try:
                self.look()
            except SQLAlchemyError as error:
                log().warning("takeover put off", error=type(error).__name__)
            except Exception as error:
                log().error("unforeseen fault", **fault_fields(error))
            pause = max(TAKEOVER_SECONDS, self.alive / TAKEOVERS_PER_SECOND)

    def look(self) -> None:
        """Look once, and take what dead workers left."""
        with self._connect() as connection:
            rows = listed_workers(connection)
            self.alive = _rounded(max(sum(row.alive for row in rows), 1))
            if not self._lease.steady:
                self.gone_homes = frozenset()
                return
            living = {row.home for row in rows if row.alive or row.locked}
            self.gone_homes = frozenset(row.home for row in rows) - living
            gone = [row for row in rows if self._is_gone(row)]
            strays: set[str] = set()
            if time.monotonic() - self._strays_looked > STRAY_SECONDS:
                self._strays_looked = time.monotonic()
                strays = _with_work([row.executor_id for row in gone if row.recovered])
                forget_workers(connection)
            for row in gone:
                if not row.recovered or row.executor_id in strays:
                    self._take(connection, row)

    def _is_gone(self, row: WorkerRow) -> bool:
        other = row.executor_id != self._lease.executor_id
        return other and not row.alive and not row.locked and row.version == WORKFLOW_VERSION

    def _take(self, connection: sa.Connection, row: WorkerRow) -> None:
        """Fence a dead worker and hand its work on, while its lock keeps everyone else away."""
        key = worker_lock(row.executor_id)
        if not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(key))):
            return
        try:
            if not fence(connection, row.executor_id, self._lease.executor_id):
                return
            number = hand_on(row.executor_id)
            mark_recovered(connection, row.executor_id, self._lease.executor_id, number)
        finally:
            connection.execute(sa.select(sa.func.pg_advisory_unlock(key)))
        if number:
            log().warning("took over work", host=row.host, number=number)

    def _connect(self) -> sa.Connection:
        return self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")


def _rounded(number: int) -> int:
    """A number up to the next power of two: what follows from it should not change all the time.

    >>> [_rounded(number) for number in (1, 2, 3, 33)]
    [1, 2, 4, 64]
    """
    return 1 << (number - 1).bit_length()


def _with_work(executor_ids: list[str]) -> set[str]:
    """Which of these workers have work in hand by the records."""
    if not executor_ids:
        return set()
    found = DBOS.list_workflows(
        status="PENDING", executor_id=executor_ids, load_input=False, load_output=False
    )
    return {str(status.executor_id) for status in found}
