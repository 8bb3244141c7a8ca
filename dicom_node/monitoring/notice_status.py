"""What is told of the node, and whether those who are to be told take it."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.records.database import open_database
from dicom_node.records.noticed.outgoing import TargetState, target_state
from dicom_node.records.noticed.standing import clock_ms, notice_file, standing_conditions
from dicom_node.settings.node import NodeSettings

__all__ = ["NoticeStatus", "notice_status"]


@dataclass(frozen=True)
class NoticeStatus:
    """The notices of a node.

    Parameters
    ----------
    told
        The conditions that were told and are not over, as ``destination_down pacs``.
    targets
        Who gets notices, in the order of the settings.
    """

    told: tuple[str, ...] = ()
    targets: tuple[TargetState, ...] = ()


def notice_status(settings: NodeSettings, tables: sa.Engine | None) -> NoticeStatus:
    """Read the notices of this machine and, while the database answers, of the whole node.

    Parameters
    ----------
    settings
        Of the node.
    tables
        The node's own tables; None if there are none yet.
    """
    if settings.notices is None:
        return NoticeStatus()
    names = settings.notices.target_names
    told: list[str] = []
    states: dict[str, list[TargetState]] = {name: [] for name in names}
    own = None
    if notice_file(settings.data_dir).is_file():
        own = open_database(f"sqlite:///{notice_file(settings.data_dir).resolve()}")
    try:
        for ledger in (own, tables):
            if ledger is None:
                continue
            with suppress(SQLAlchemyError), ledger.connect() as connection:
                now = clock_ms(connection)
                standing = standing_conditions(connection).values()
                told += [f"{one.kind} {one.subject}".strip() for one in standing if one.told]
                for name in names:
                    states[name].append(target_state(connection, name, now))
    finally:
        if own is not None:
            own.dispose()
    return NoticeStatus(tuple(told), tuple(_joined(name, states[name]) for name in names))


def _joined(name: str, states: Iterable[TargetState]) -> TargetState:
    """The state of a target over all databases: what failed longest, and what was taken last."""
    found = list(states)
    taken = [one.taken_seconds for one in found if one.taken_seconds is not None]
    failed = [one for one in found if one.failing_seconds is not None]
    longest = max(failed, key=lambda one: one.failing_seconds or 0.0, default=TargetState(name))
    waiting = sum(one.waiting for one in found)
    return replace(longest, taken_seconds=min(taken, default=None), waiting=waiting)
