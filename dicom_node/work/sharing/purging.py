"""Remove the records of work that ended long ago, and keep what is still asked of them.

The records of failed work stay until it is retried. Of the others, sums are kept for `status`, and
what was delivered where, for a report that is found to stand under another patient later. A study
whose records are gone and that is sent again is assessed again: its report is on the disk, or is
made anew with the same UIDs and bytes, so that a destination gets nothing that it did not have.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa
from dbos import DBOS, WorkflowStatus

from dicom_node.logs import log
from dicom_node.records.database import delivered_objects
from dicom_node.records.work_totals import WorkTotals
from dicom_node.work.retention import DAY_SECONDS

__all__ = ["Purger", "was_delivered"]

PURGE_SECONDS = 3600.0
"""How often old records are looked for."""

BATCH = 500
"""Records that are removed at a time."""

PURGE_LOCK = 4_710_260_772
"""Key of the advisory lock of the worker that purges."""

MAX_BATCHES = 40
"""Batches of one look, so that other things of the worker do not wait for long."""


class Purger:
    """Removes records of work by the setting ``retention.work_days``.

    Parameters
    ----------
    days
        How long they are kept after the end of the work; None for ever.
    database
        With the node's own tables.
    deliver
        Name of the workflow that delivers.
    """

    def __init__(self, days: float | None, database: sa.Engine, deliver: str) -> None:
        self._days = days
        self._database = database
        self._deliver = deliver
        self._looked: float | None = None

    def look(self) -> None:
        """Remove what is due, at most every `PURGE_SECONDS`."""
        if self._days is None:
            return
        if self._looked is not None and time.monotonic() - self._looked < PURGE_SECONDS:
            return
        self._looked = time.monotonic()
        with self._database.connect() as connection, _alone(connection) as alone:
            if alone:
                self._purge_all(connection, time.time() - self._days * DAY_SECONDS)

    def _purge_all(self, connection: sa.Connection, before: float) -> None:
        number = 0
        for _ in range(MAX_BATCHES):
            batch = DBOS.list_workflows(
                status="SUCCESS",
                completed_before=time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(before)),
                limit=BATCH,
            )
            if not batch:
                break
            self._purge(connection, batch)
            number += len(batch)
        if number:
            log().info("records purged", number=number)

    def _purge(self, connection: sa.Connection, batch: Sequence[WorkflowStatus]) -> None:
        delivered = {
            (str(work.input["args"][0].get("sha256", "")), str(work.input["args"][1]))
            for work in batch
            if work.name == self._deliver
            and work.input
            and isinstance(work.output, dict)
            and work.output.get("state") == "delivered"
        }
        with connection.begin():  # before: a crash must not forget a delivery
            for sha256, destination in delivered:
                if not was_delivered(connection, sha256, destination):
                    connection.execute(
                        sa.insert(delivered_objects).values(sha256=sha256, destination=destination)
                    )
        DBOS.delete_workflows([work.workflow_id for work in batch])
        totals = WorkTotals()
        for work in batch:
            totals.count(work)
        with connection.begin():
            totals.add_purged(connection)
            totals.store_purged(connection)


@contextmanager
def _alone(connection: sa.Connection) -> Iterator[bool]:
    """Keep other workers from purging meanwhile; False if one does."""
    if connection.dialect.name != "postgresql":
        yield True
        return
    alone = bool(connection.scalar(sa.select(sa.func.pg_try_advisory_lock(PURGE_LOCK))))
    connection.commit()
    try:
        yield alone
    finally:
        connection.rollback()
        if alone:
            connection.execute(sa.select(sa.func.pg_advisory_unlock(PURGE_LOCK)))


def was_delivered(connection: sa.Connection, sha256: str, destination: str) -> bool:
    """Whether a destination got a document by a delivery of which the record was purged."""
    found = sa.select(delivered_objects).where(
        delivered_objects.c.sha256 == sha256, delivered_objects.c.destination == destination
    )
    return connection.execute(found).first() is not None
