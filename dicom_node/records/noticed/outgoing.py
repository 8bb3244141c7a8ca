"""Notices on their way to their targets: queued, claimed, taken or given up.

A notice is claimed before it is sent, so that of several machines one sends it. If that one dies
meanwhile, another sends it again later, under the same id.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from dicom_node.records.database import outgoing_notices

__all__ = [
    "ClaimedNotice",
    "TargetState",
    "claim_notice",
    "end_notice",
    "forget_notices",
    "put_off_notice",
    "queue_notice",
    "queued_since",
    "target_state",
]

KEPT_MS = 7 * 24 * 3600 * 1000
"""How long notices are kept, taken or not."""

table = outgoing_notices


@dataclass(frozen=True)
class ClaimedNotice:
    """A notice that is to be sent to a target now, by whoever claimed it.

    Parameters
    ----------
    notice, target
        Its id, and whom it is for.
    kind
        Of its condition.
    moment
        When it was queued.
    content
        JSON.
    attempts
        Attempts with this one.
    """

    notice: str
    target: str
    kind: str
    moment: int
    content: str
    attempts: int


@dataclass(frozen=True)
class TargetState:
    """What became of the notices for somebody who gets them.

    Parameters
    ----------
    target
        Its name.
    taken_seconds
        Since it took one last; None for never.
    waiting
        Notices that it has not taken yet.
    failing_seconds, reason
        How old the oldest of these is that was tried, and why it was not taken.
    """

    target: str
    taken_seconds: float | None = None
    waiting: int = 0
    failing_seconds: float | None = None
    reason: str = ""


def queue_notice(
    connection: sa.Connection,
    notice: str,
    targets: Iterable[str],
    condition: tuple[str, str],
    moment: int,
    content: str,
) -> None:
    """Queue a notice for its targets; it replaces one on the same condition that still waits.

    Parameters
    ----------
    connection
        To the tables of notices.
    notice
        Its id.
    targets
        Whom it is for.
    condition
        Kind and subject.
    moment
        Now.
    content
        JSON.
    """
    kind, subject = condition
    older = (table.c.kind == kind, table.c.subject == subject, table.c.ended.is_(None))
    connection.execute(sa.delete(table).where(*older))
    rows = [
        {
            "notice": notice, "target": target, "kind": kind, "subject": subject,
            "moment": moment, "content": content, "attempts": 0, "due": moment, "taken": False,
        }
        for target in targets
    ]  # fmt: skip
    connection.execute(sa.insert(table), rows)


def queued_since(connection: sa.Connection, moment: int) -> int:
    """How many notices were queued after a moment."""
    number = sa.select(sa.func.count(table.c.notice.distinct())).where(table.c.moment > moment)
    return connection.scalar(number) or 0


def claim_notice(
    connection: sa.Connection, target: str, now: int, until: int
) -> ClaimedNotice | None:
    """Claim the next notice that is due for a target; None if there is none.

    Parameters
    ----------
    connection
        To the tables of notices.
    target
        By its name.
    now
        By the clock of the database.
    until
        When it is free again, if nothing is heard of it.
    """
    due = (table.c.target == target, table.c.ended.is_(None), table.c.due <= now)
    oldest = sa.select(table.c.notice).where(*due).order_by(table.c.moment).limit(1)
    row = connection.execute(
        sa.update(table)
        .where(table.c.notice == oldest.scalar_subquery(), *due)
        .values(due=until, attempts=table.c.attempts + 1)
        .returning(table.c.notice, table.c.kind, table.c.moment, table.c.content, table.c.attempts)
    ).first()
    if row is None:
        return None
    return ClaimedNotice(row.notice, target, row.kind, row.moment, row.content, row.attempts)


def put_off_notice(
    connection: sa.Connection, claimed: ClaimedNotice, due: int, reason: str
) -> None:
    """Try a notice again later: its target did not take it."""
    _change(connection, claimed, due=due, reason=reason)


def end_notice(
    connection: sa.Connection, claimed: ClaimedNotice, now: int, *, taken: bool, reason: str = ""
) -> None:
    """End a notice that was taken, or that is given up."""
    _change(connection, claimed, ended=now, taken=taken, reason=reason)


def target_state(connection: sa.Connection, target: str, now: int) -> TargetState:
    """What became of the notices for a target, by its name and the clock of the database."""
    of_target = table.c.target == target
    waits = (of_target, table.c.ended.is_(None))
    tried = (*waits, table.c.attempts > 0, table.c.reason != "")
    taken_at = connection.scalar(
        sa.select(sa.func.max(table.c.ended)).where(of_target, table.c.taken)
    )
    waiting = connection.scalar(sa.select(sa.func.count()).where(*waits)) or 0
    failing = sa.select(table.c.moment, table.c.reason).where(*tried).order_by(table.c.moment)
    moment, reason = connection.execute(failing.limit(1)).first() or (None, "")
    return TargetState(target, _age(taken_at, now), waiting, _age(moment, now), reason)


def forget_notices(connection: sa.Connection, now: int) -> None:
    """Remove notices of long ago, whether they were taken or not."""
    connection.execute(sa.delete(table).where(table.c.moment < now - KEPT_MS))


def _age(moment: int | None, now: int) -> float | None:
    """Seconds since a moment."""
    return None if moment is None else round(max(now - moment, 0) / 1000, 1)


def _change(connection: sa.Connection, claimed: ClaimedNotice, **values: object) -> None:
    mine = (table.c.notice == claimed.notice, table.c.target == claimed.target)
    connection.execute(sa.update(table).where(*mine).values(**values))
