"""The conditions that were noticed, and which machine looks at the common ones.

Conditions of the whole node stand in the workflow database, so that several machines tell them
once. Those of one machine, among them that this database does not answer, stand in a file of its
own. Times are UTC, in ms since 1970, by the clock of the database.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import sqlalchemy as sa

from dicom_node.records.database import (
    insert_into,
    make_notice_tables,
    notice_watch,
    noticed_conditions,
    open_database,
)
from dicom_node.records.study_events import now_ms

__all__ = [
    "Standing",
    "clock_ms",
    "holds_watch",
    "leave_watch",
    "notice_file",
    "open_notice_file",
    "put_standing",
    "remove_standing",
    "settling",
    "standing_conditions",
]

NOTICES_LOCK = 4_710_260_773
"""Key of the advisory lock under which conditions are settled and notices queued."""

WATCH_MS = 120_000
"""A machine that looks at the common conditions and gave no word for so long is followed by
another."""

WATCHED = "common"

table = noticed_conditions


@dataclass(frozen=True)
class Standing:
    """A condition as it stands.

    Parameters
    ----------
    kind, subject
        What it is, and of what.
    since
        Since when it holds; None while it does not.
    gone
        Since when it was not seen any more, while it is still told as lasting.
    count
        How many things it is about.
    told
        Whether the last notice said that it holds.
    told_at, told_count
        When the last notice on it was queued, and its count then.
    held
        Whether a notice on it was held back, and no later notice has said so.
    """

    kind: str
    subject: str
    since: int | None = None
    gone: int | None = None
    count: int = 1
    told: bool = False
    told_at: int | None = None
    told_count: int = 0
    held: bool = False


def notice_file(data_dir: Path) -> Path:
    """The database of a machine's own conditions and notices."""
    return data_dir / "notices.sqlite"


def open_notice_file(data_dir: Path) -> sa.Engine:
    """Open the database of a machine's own conditions, made if it is missing."""
    engine = open_database(f"sqlite:///{notice_file(data_dir).resolve()}")
    make_notice_tables(engine)
    return engine


def clock_ms(connection: sa.Connection) -> int:
    """The time by the clock that all machines share."""
    if connection.dialect.name != "postgresql":
        return now_ms()
    now = sa.select(sa.extract("epoch", sa.func.clock_timestamp()) * 1000)
    return int(connection.scalar(now) or 0)


@contextmanager
def settling(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction in which no other machine settles conditions or queues notices."""
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(NOTICES_LOCK)))
        yield connection


def holds_watch(connection: sa.Connection, holder: str, now: int) -> bool:
    """Whether a machine is the one that looks at the common conditions, for now.

    Parameters
    ----------
    connection
        Of a transaction of `settling`.
    holder
        The machine's process, by a name of its own.
    now
        By `clock_ms`.
    """
    row = connection.execute(sa.select(notice_watch)).first()
    if row is not None and row.holder != holder and row.until > now:
        return False
    put = insert_into(connection, notice_watch).values(
        place=WATCHED, holder=holder, until=now + WATCH_MS
    )
    changed = {"holder": put.excluded.holder, "until": put.excluded.until}
    connection.execute(put.on_conflict_do_update(index_elements=["place"], set_=changed))
    return True


def leave_watch(connection: sa.Connection, holder: str) -> None:
    """Leave the common conditions to another machine at once."""
    connection.execute(sa.delete(notice_watch).where(notice_watch.c.holder == holder))


def standing_conditions(
    connection: sa.Connection, kinds: Collection[str] | None = None
) -> dict[tuple[str, str], Standing]:
    """All conditions, or those of some kinds, by kind and subject."""
    found = sa.select(table).order_by(table.c.kind, table.c.subject)
    if kinds is not None:
        found = found.where(table.c.kind.in_(kinds))
    rows = connection.execute(found)
    return {(row.kind, row.subject): Standing(**row._mapping) for row in rows}


def put_standing(connection: sa.Connection, standing: Standing) -> None:
    """Keep a condition as it stands now."""
    put = insert_into(connection, table).values(asdict(standing))
    changed = {
        column.name: put.excluded[column.name] for column in table.c if not column.primary_key
    }
    connection.execute(
        put.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed)
    )


def remove_standing(connection: sa.Connection, standing: Standing) -> None:
    """Forget a condition."""
    connection.execute(
        sa.delete(table).where(table.c.kind == standing.kind, table.c.subject == standing.subject)
    )
