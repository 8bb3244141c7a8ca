"""The table of workers on PostgreSQL: who works, since when, and when each last gave a sign."""

from dataclasses import dataclass

import sqlalchemy as sa

from dicom_node.records.database import workers

__all__ = [
    "HOME_MARK",
    "SILENT_SECONDS",
    "WORKFLOW_VERSION",
    "WorkerRow",
    "add_worker",
    "beat",
    "end_worker",
    "fence",
    "forget_workers",
    "homed_queue",
    "listed_workers",
    "mark_recovered",
    "queue_home",
    "spool_lock",
    "worker_lock",
]

WORKFLOW_VERSION = "2"
"""Raised when a workflow's steps change: recovery takes up work of the same version only."""

SILENT_SECONDS = 12.0
"""A worker whose last beat is older is dead if its lock is free too."""

STUCK_SECONDS = 40.0
"""A worker that was silent for so long and whose lock is not free needs somebody to end it."""

HOME_MARK = "@"
"""Stands in a queue's name before the spool that its work is bound to."""

WORKER_LOCK = "osteonode worker "
"""Begins what the key of a worker's lock is made from."""

HELD_LOCKS = sa.text(
    "SELECT (classid::bigint << 32) | objid::bigint AS key FROM pg_locks "
    "WHERE locktype = 'advisory' AND objsubid = 1 AND granted "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
"""The advisory locks with keys of 64 bits that somebody holds in this database."""

KEPT_DAYS = 30
"""How long the row of a dead worker whose work was handed on is kept."""


@dataclass(frozen=True)
class WorkerRow:
    """One start of a worker.

    Parameters
    ----------
    executor_id, host, home, version
        Its name, unique for each start; its machine, the spool that it assesses from, and the
        version of its workflows.
    age_seconds, beat_seconds
        Since its start and since its last beat, s.
    over
        Whether it ended, or its work was taken by another.
    recovered
        Whether its work was handed on.
    locked
        Whether somebody holds its lock: the worker, or the one who just takes its work.
    taken_over
        How much work it took over from others.
    """

    executor_id: str
    host: str
    home: str
    version: str
    age_seconds: float
    beat_seconds: float
    over: bool
    recovered: bool
    locked: bool
    taken_over: int

    @property
    def alive(self) -> bool:
        """Whether it gives signs of life."""
        return not self.over and self.beat_seconds < SILENT_SECONDS

    @property
    def stuck(self) -> bool:
        """Whether it is silent and yet not gone: its work can be taken by nobody."""
        return not self.over and self.locked and self.beat_seconds > STUCK_SECONDS


def homed_queue(queue: str, home: str) -> str:
    """The queue of the work that only the machines with one spool can do; all can without a name.

    >>> homed_queue("assess", "0f3a"), homed_queue("assess", "")
    ('assess@0f3a', 'assess')
    """
    return f"{queue}{HOME_MARK}{home}" if home else queue


def queue_home(queue: str) -> str:
    """The spool that a queue's work is bound to; empty if all machines can do it.

    >>> queue_home("assess@0f3a"), queue_home("deliver-pacs")
    ('0f3a', '')
    """
    return queue.partition(HOME_MARK)[2]


def worker_lock(executor_id: str) -> sa.ColumnElement[int]:
    """The key of the advisory lock that a worker holds while it is alive."""
    return sa.func.hashtextextended(WORKER_LOCK + executor_id, 0)


def spool_lock(home: str) -> sa.ColumnElement[int]:
    """The key of the advisory lock of the one worker that looks for the studies of a spool."""
    return sa.func.hashtextextended(f"osteonode spool {home}", 0)


def add_worker(connection: sa.Connection, executor_id: str, host: str, home: str) -> None:
    """Enter a worker that starts."""
    now = sa.func.clock_timestamp()
    connection.execute(
        sa.insert(workers).values(
            executor_id=executor_id, host=host, home=home, version=WORKFLOW_VERSION,
            started=now, beat=now,
        )
    )  # fmt: skip


def beat(connection: sa.Connection, executor_id: str) -> bool:
    """Give a sign of life; whether the worker's work is still its own."""
    given = connection.execute(
        sa.update(workers)
        .where(workers.c.executor_id == executor_id, workers.c.taken.is_(None))
        .values(beat=sa.func.clock_timestamp())
    )
    return given.rowcount > 0


def end_worker(connection: sa.Connection, executor_id: str) -> None:
    """Note that a worker ended by itself: its work may be taken at once."""
    connection.execute(
        sa.update(workers)
        .where(workers.c.executor_id == executor_id)
        .values(ended=sa.func.clock_timestamp())
    )


def fence(connection: sa.Connection, executor_id: str, by: str) -> bool:
    """Mark a silent worker as dead, so that it never beats again; False if it is not silent."""
    silent = sa.func.clock_timestamp() - sa.func.make_interval(0, 0, 0, 0, 0, 0, SILENT_SECONDS)
    marked = connection.execute(
        sa.update(workers)
        .where(
            workers.c.executor_id == executor_id,
            workers.c.taken.is_not(None) | workers.c.ended.is_not(None) | (workers.c.beat < silent),
        )
        .values(taken=sa.func.coalesce(workers.c.taken, sa.func.clock_timestamp()), taken_by=by)
    )
    return marked.rowcount > 0


def mark_recovered(connection: sa.Connection, executor_id: str, by: str, number: int) -> None:
    """Note that ``number`` workflows of a dead worker were handed on."""
    connection.execute(
        sa.update(workers)
        .where(workers.c.executor_id == executor_id)
        .values(recovered=sa.func.clock_timestamp())
    )
    connection.execute(
        sa.update(workers)
        .where(workers.c.executor_id == by)
        .values(taken_over=workers.c.taken_over + number)
    )


def forget_workers(connection: sa.Connection) -> None:
    """Remove the rows of workers that are long gone."""
    old = sa.func.clock_timestamp() - sa.func.make_interval(0, 0, 0, KEPT_DAYS)
    connection.execute(
        sa.delete(workers).where(workers.c.recovered.is_not(None), workers.c.beat < old)
    )


def listed_workers(connection: sa.Connection) -> list[WorkerRow]:
    """All workers, the oldest first."""
    now = sa.func.clock_timestamp()
    held = HELD_LOCKS.columns(sa.column("key", sa.BigInteger)).subquery()
    key = sa.func.hashtextextended(sa.literal(WORKER_LOCK) + workers.c.executor_id, 0)
    found = connection.execute(
        sa.select(
            workers,
            sa.extract("epoch", now - workers.c.started).label("age_seconds"),
            sa.extract("epoch", now - workers.c.beat).label("beat_seconds"),
            key.in_(sa.select(held.c.key)).label("locked"),
        ).order_by(workers.c.started)
    )
    return [
        WorkerRow(
            executor_id=row.executor_id,
            host=row.host,
            home=row.home,
            version=row.version,
            age_seconds=round(max(float(row.age_seconds), 0.0), 1),
            beat_seconds=round(max(float(row.beat_seconds), 0.0), 1),
            over=row.ended is not None or row.taken is not None,
            recovered=row.recovered is not None,
            locked=bool(row.locked),
            taken_over=row.taken_over,
        )
        for row in found
    ]
