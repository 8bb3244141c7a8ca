"""Which object of a study is where on its way to which destination."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from dicom_node.records.database import insert_into, study_deliveries
from dicom_node.records.study_events import now_ms

__all__ = [
    "DeliveryState",
    "StudyDelivery",
    "deliveries_of",
    "delivery_states",
    "list_delivery",
    "list_withdrawal",
    "queue_delivery",
]

table = study_deliveries


class DeliveryState(StrEnum):
    """Where an object is on its way to a destination."""

    WAITING = "waiting"
    SENDING = "sending"
    RETRYING = "retrying"
    """An attempt failed, another follows."""
    DELIVERED = "delivered"
    COMMITTED = "committed"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


ENDS = (DeliveryState.COMMITTED, DeliveryState.WITHDRAWN)
"""States that a step which is repeated after a crash must not take back."""

CHANGING = ("work", "state", "code", "reason", "changed")


@dataclass(frozen=True)
class StudyDelivery:
    """An object of a study on its way to a destination.

    Parameters
    ----------
    study
        Key of the study in the spool.
    folder
        Name of the report's folder.
    file
        Name of the object's file in it.
    destination
        By its name in the settings.
    work
        Id of the work; of failed work the id that `failed_work.retry` takes.
    state, code, reason
        Where it is, and why.
    attempt
        Number of the attempt, from 1.
    changed
        When that was, UTC, ms since the epoch.
    """

    study: str
    folder: str
    file: str
    destination: str
    work: str
    state: DeliveryState
    code: str
    reason: str
    attempt: int
    changed: int


def queue_delivery(
    connection: sa.Connection, place: Mapping[str, str], work: str, attempt: int
) -> None:
    """List an object that waits for its first attempt; one that is listed stays as it is.

    Parameters
    ----------
    connection
        To the node's own tables.
    place
        ``study``, ``folder``, ``file`` and ``destination``.
    work, attempt
        As in `StudyDelivery`.
    """
    row = _row(place, work, DeliveryState.WAITING, attempt, "", "")
    connection.execute(insert_into(connection, table).values(row).on_conflict_do_nothing())


def list_delivery(
    connection: sa.Connection,
    place: Mapping[str, str],
    work: str,
    state: DeliveryState,
    attempt: int,
    code: str = "",
    reason: str = "",
) -> None:
    """List where an object is now.

    What a repeated step says later than it was is not taken: that of an earlier attempt, or of
    the same attempt before its end.

    Parameters
    ----------
    connection
        To the node's own tables.
    place
        ``study``, ``folder``, ``file`` and ``destination``.
    work, state, attempt, code, reason
        As in `StudyDelivery`.
    """
    put = insert_into(connection, table).values(_row(place, work, state, attempt, code, reason))
    newer = put.excluded.attempt > table.c.attempt
    if state in ENDS:
        newer = put.excluded.attempt >= table.c.attempt
    open_still = sa.and_(
        put.excluded.attempt == table.c.attempt, table.c.state.not_in([str(end) for end in ENDS])
    )
    changed = {name: put.excluded[name] for name in (*CHANGING, "attempt")}
    connection.execute(
        put.on_conflict_do_update(
            index_elements=list(table.primary_key), set_=changed, where=sa.or_(newer, open_still)
        )
    )


def list_withdrawal(
    connection: sa.Connection,
    place: Mapping[str, str],
    work: str,
    state: DeliveryState,
    code: str = "",
    reason: str = "",
) -> None:
    """List that an object was withdrawn, or could not be.

    The attempts to withdraw have numbers of their own; that of the delivery stays.

    Parameters
    ----------
    connection
        To the node's own tables.
    place
        ``study``, ``folder``, ``file`` and ``destination``.
    work, state, code, reason
        As in `StudyDelivery`.
    """
    put = insert_into(connection, table).values(_row(place, work, state, 1, code, reason))
    changed = {name: put.excluded[name] for name in CHANGING}
    connection.execute(
        put.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed)
    )


def deliveries_of(engine: sa.Engine, study: str) -> tuple[StudyDelivery, ...]:
    """What of a study is to be where, by its key in the spool, the newest first."""
    found = sa.select(table).where(table.c.study == study)
    order = (table.c.changed.desc(), table.c.destination, table.c.folder, table.c.file)
    with engine.connect() as connection:
        return tuple(
            StudyDelivery(**{**row._mapping, "state": DeliveryState(row.state)})
            for row in connection.execute(found.order_by(*order))
        )


def delivery_states(
    engine: sa.Engine, reports: Collection[tuple[str, str]]
) -> dict[str, dict[DeliveryState, int]]:
    """How many objects of some reports are in each state, by the key of their study.

    Parameters
    ----------
    engine
        Of the node's own tables.
    reports
        Study and folder of each.
    """
    columns = (table.c.study, table.c.folder, table.c.state)
    found = sa.select(*columns, sa.func.count()).group_by(*columns)
    found = found.where(table.c.study.in_([study for study, _ in reports]))
    states: dict[str, dict[DeliveryState, int]] = {}
    with engine.connect() as connection:
        for study, folder, state, number in connection.execute(found):
            if (study, folder) in reports:
                states.setdefault(study, {})[DeliveryState(state)] = number
    return states


def _row(
    place: Mapping[str, str], work: str, state: str, attempt: int, code: str, reason: str
) -> dict[str, str | int]:
    return {
        **{name: place[name] for name in ("study", "folder", "file", "destination")},
        "work": work,
        "state": str(state),
        "code": code,
        "reason": reason,
        "attempt": attempt,
        "changed": now_ms(),
    }
