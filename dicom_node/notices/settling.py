"""Which conditions are told now, so that none is told twice or too often.

A condition that was seen is told once it has lasted for its minutes; then again after
``repeat_hours`` or when it has grown tenfold; and once it was not seen for a minute, that it is
over. Whatever is told is kept in the same transaction that queues the notice.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import get_args

import sqlalchemy as sa

from dicom_node.logs import log
from dicom_node.notices.notice import NoticeState, notice_of
from dicom_node.notices.observing import Condition
from dicom_node.records.noticed.outgoing import forget_notices, queue_notice, queued_since
from dicom_node.records.noticed.standing import (
    Standing,
    put_standing,
    remove_standing,
    standing_conditions,
)
from dicom_node.settings.node import NodeSettings
from dicom_node.settings.notices import ConditionKind, Notices

__all__ = ["Pace", "settle", "step_of"]

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS

OVER_MS = MINUTE_MS
"""A condition that was not seen for so long is over: what comes and goes is told once."""

SETTLED_MINUTES = {"disk": 1.0, "stands_still": 5.0}
"""How long these last before they are told: while a node starts, or a large study passes through,
they hold for a moment."""

GROWN = 10
"""A condition about so many times as many things as were told is told again."""

DRIFT_REPEAT_MS = 7 * 24 * HOUR_MS
"""A scanner is followed by medians of months: more often there is nothing new to say."""

URGENCY: dict[str, int] = {kind: place for place, kind in enumerate(get_args(ConditionKind))}


@dataclass(frozen=True)
class Pace:
    """When a condition is told; all in ms.

    Parameters
    ----------
    delay
        How long it lasts before it is told.
    repeat
        Between two notices while it lasts.
    gap
        Between any two notices on it, at least.
    """

    delay: float
    repeat: float
    gap: float

    @classmethod
    def of(cls, notices: Notices, kind: str) -> "Pace":
        """As the settings have it for a kind of condition."""
        minutes = {
            **SETTLED_MINUTES,
            "destination_down": notices.destination_down_minutes,
            "not_ready": notices.not_ready_minutes,
        }
        repeat = notices.repeat_hours * HOUR_MS
        return cls(
            minutes.get(kind, 0.0) * MINUTE_MS,
            max(repeat, DRIFT_REPEAT_MS) if kind == "drift" else repeat,
            notices.gap_minutes * MINUTE_MS,
        )


def step_of(
    before: Standing, seen: Condition | None, now: int, pace: Pace
) -> tuple[Standing, NoticeState | None]:
    """How a condition stands now, and what is to be told of it.

    Parameters
    ----------
    before
        How it stood.
    seen
        What is seen of it; None for nothing.
    now
        UTC, ms since 1970.
    pace
        When it is told.

    Returns
    -------
    tuple
        The condition, as if it were not told; and what would be told, None for nothing.
    """
    rested = _rested(before, now, pace)
    if seen is None:
        if not before.told:
            return replace(before, since=None), None
        gone = now if before.gone is None else before.gone
        return replace(before, gone=gone), "over" if now - gone >= OVER_MS else None
    since = now if before.since is None else before.since
    after = replace(before, since=since, gone=None, count=seen.count)
    if before.told:
        again = now - (before.told_at or 0) >= pace.repeat
        grown = seen.count >= GROWN * max(before.told_count, 1)
        return after, "lasts" if rested and (again or grown) else None
    after = replace(after, since=min(max(since, seen.not_before), now))
    due = now - (after.since or now) >= pace.delay
    return after, "began" if due and rested else None


def settle(
    connection: sa.Connection,
    settings: NodeSettings,
    kinds: Collection[ConditionKind],
    seen: Iterable[Condition],
    now: int,
) -> int:
    """Keep what was seen, and queue the notices that are due.

    Parameters
    ----------
    connection
        Of a transaction in which nobody else settles.
    settings
        Of the node, with notices.
    kinds
        Kinds of conditions that were looked for.
    seen
        All conditions of these kinds that hold.
    now
        By the clock of the database.

    Returns
    -------
    int
        How many notices were queued.
    """
    notices = settings.notices
    if notices is None:
        return 0
    found = {(one.kind, one.subject): one for one in seen if one.kind in kinds}
    before = standing_conditions(connection, kinds)
    standings = dict(before)
    room = notices.per_hour - queued_since(connection, now - HOUR_MS)
    queued = 0
    for place in sorted({*before, *found}, key=lambda place: (URGENCY[place[0]], place[1])):
        kind, _ = place
        standing = standings.get(place, Standing(*place))
        after, state = step_of(standing, found.get(place), now, Pace.of(notices, kind))
        standings[place] = after
        if state is None:
            continue
        if queued >= room:
            if not standing.held:
                log().warning("notice held back", condition=kind, state=state)
            standings[place] = replace(after, held=True)
            continue
        told = found.get(place) or Condition(*place, count=after.count)
        held_back = _let_go(standings, place)
        notice = notice_of(settings, told, state, after.since or now, now, held_back)
        queue_notice(connection, notice.id, notices.target_names, place, now, notice.content)
        after = replace(after, told=True, told_at=now, told_count=told.count, held=False)
        if state == "over":
            after = replace(after, told=False, since=None, gone=None)
        standings[place] = after
        log().info("noticed", condition=kind, state=state, number=told.count)
        queued += 1
    for place, standing in standings.items():
        if _is_past(standing, now, Pace.of(notices, standing.kind)):
            remove_standing(connection, standing)
        elif standing != before.get(place):
            put_standing(connection, standing)
    forget_notices(connection, now)
    return queued


def _is_past(standing: Standing, now: int, pace: Pace) -> bool:
    """Whether nothing needs to be known of a condition any more."""
    idle = standing.since is None and not standing.told and not standing.held
    return idle and _rested(standing, now, pace)


def _rested(standing: Standing, now: int, pace: Pace) -> bool:
    """Whether the last notice on a condition is long enough ago for another."""
    return standing.told_at is None or now - standing.told_at >= pace.gap


def _let_go(standings: dict[tuple[str, str], Standing], telling: tuple[str, str]) -> int:
    """How many other notices were held back; of those that are past this is all that is said."""
    held = [place for place, one in standings.items() if one.held and place != telling]
    for place in held:
        if standings[place].since is None:
            standings[place] = replace(standings[place], held=False)
    return len(held)
