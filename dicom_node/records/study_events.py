"""What happened with each study, in its order."""

import time
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from dicom_node.records.database import insert_into, study_events

__all__ = [
    "COMMAND_LINE",
    "NODE",
    "EventOfStudy",
    "StudyEvent",
    "events_of",
    "note_event",
    "now_ms",
    "turn_of",
]

NODE = "node"
"""Who does what nobody asked for."""

COMMAND_LINE = "command line"
"""Who asked, where a command did."""


class StudyEvent(StrEnum):
    """The things that can happen with a study."""

    WAITING = "waiting"
    """It is not complete, and waits for what is missing."""
    QUEUED = "queued"
    """It is complete, and waits for its turn."""
    ASSESSING = "assessing"
    REPORTED = "reported"
    REFUSED = "refused"
    FAILED = "failed"
    RETRIED = "retried"
    """Somebody asked for work to be taken up again."""
    DISPLACED = "displaced"
    """Its report stands under another patient."""
    DISCARDED = "discarded"
    """Somebody removed instances of it that stood in conflict or apart."""
    DELIVERED = "delivered"
    COMMITTED = "committed"
    """A destination said that it keeps an object."""
    RETRYING = "retrying"
    """An attempt to deliver, to get a commitment or to withdraw failed."""
    DELIVERY_FAILED = "delivery_failed"
    WITHDRAWN = "withdrawn"
    WITHDRAWAL_FAILED = "withdrawal_failed"
    SAID = "said"
    """A reader gave a word on its report, which is then carried out."""
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CORRECTED = "corrected"


@dataclass(frozen=True)
class EventOfStudy:
    """Something that happened with a study.

    Parameters
    ----------
    number
        Orders the events of all studies.
    moment
        UTC, ms since the epoch.
    event
        What it was.
    work
        Id of the work that it belongs to; the same event of the same work is noted once.
    detail
        In words; may be empty.
    who
        `NODE`, `COMMAND_LINE`, or the name of a user.
    """

    number: int
    moment: int
    event: StudyEvent
    work: str
    detail: str
    who: str


def now_ms() -> int:
    """The time, UTC, ms since the epoch."""
    return time.time_ns() // 1_000_000


def note_event(
    connection: sa.Connection,
    study: str,
    event: StudyEvent,
    work: str,
    detail: str = "",
    who: str = NODE,
    moment: int | None = None,
) -> None:
    """Note something that happened, unless it is noted already.

    Parameters
    ----------
    connection
        To the node's own tables.
    study
        Key of the study in the spool.
    event, work, detail, who
        As in `EventOfStudy`.
    moment
        UTC, ms since the epoch; None for now.
    """
    row = {
        "study": study,
        "moment": now_ms() if moment is None else moment,
        "event": str(event),
        "work": work,
        "detail": detail,
        "who": who,
    }
    connection.execute(insert_into(connection, study_events).values(row).on_conflict_do_nothing())


def turn_of(connection: sa.Connection, study: str, assessment: str) -> str:
    """The id of one turn of an assessment, which keeps its identity when it is taken up again.

    A step that is repeated after a crash is of the same turn.
    """
    asked = (StudyEvent.QUEUED, StudyEvent.RETRIED)
    found = sa.select(sa.func.count()).where(
        study_events.c.study == study,
        study_events.c.event.in_(asked),
        study_events.c.work.startswith(f"{assessment}:", autoescape=True),
    )
    return f"{assessment}:{connection.scalar(found)}"


def events_of(engine: sa.Engine, study: str) -> tuple[EventOfStudy, ...]:
    """What happened with a study, by its key in the spool, the first thing first."""
    found = sa.select(*(study_events.c[name] for name in EventOfStudy.__dataclass_fields__)).where(
        study_events.c.study == study
    )
    with engine.connect() as connection:
        rows = connection.execute(found.order_by(study_events.c.moment, study_events.c.number))
        return tuple(
            EventOfStudy(**{**row._mapping, "event": StudyEvent(row.event)}) for row in rows
        )
