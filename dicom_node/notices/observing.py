"""What is the matter with the node now, as conditions that name no patient.

The conditions of one machine are that it is not ready and that its disk fills up; all others are
of the whole node and are seen from any of its machines.
"""

import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from dicom_node.errors import DeliveryFailed
from dicom_node.monitoring.status import DISK_NEARLY_FULL, Status
from dicom_node.records.database import study_deliveries
from dicom_node.records.study_deliveries import DeliveryState
from dicom_node.settings.node import NodeSettings
from dicom_node.settings.notices import ConditionKind
from dicom_node.spool.spool import Spool
from dicom_node.work.failed_work import failed_work

__all__ = ["MACHINE_KINDS", "Condition", "common_conditions", "machine_conditions"]

MACHINE_KINDS: tuple[ConditionKind, ...] = ("not_ready", "disk")
"""What is of one machine."""

CODE = re.compile(r"[a-z][a-z0-9_.]{0,63}")
"""Codes as this program gives them; another one is not told."""

TAKEN_STATES = (DeliveryState.DELIVERED, DeliveryState.COMMITTED)

OF_DESTINATION = (DeliveryFailed.code, "node.not_committed")
"""Codes of deliveries that failed by the destination, and not by the report."""


@dataclass(frozen=True)
class Condition:
    """Something that somebody should see to.

    Parameters
    ----------
    kind
        What it is, one of `ConditionKind`.
    subject
        Of what: a destination's name, a measure of a scanner; empty where there is one of its kind.
    count
        How many things it is about.
    details
        What is seen, in words of this program.
    codes
        Reasons by their codes, with their numbers.
    not_before
        It did not hold before this, UTC, ms since 1970.
    """

    kind: str
    subject: str = ""
    count: int = 1
    details: tuple[str, ...] = ()
    codes: Mapping[str, int] = field(default_factory=dict)
    not_before: int = 0


def machine_conditions(settings: NodeSettings, status: Status) -> Iterator[Condition]:
    """What is the matter with this machine."""
    problems = tuple(p for p in status.problems if p != DISK_NEARLY_FULL)
    if problems:
        yield Condition("not_ready", details=problems, count=len(problems))
    spool = Spool(settings.data_dir).root
    if not spool.exists():  # a new node's listener has not made it yet
        return
    least = settings.listener.min_free_mb * 1024 * 1024
    percent = None if settings.notices is None else settings.notices.disk_free_percent
    if percent is not None:
        least = max(least, round(shutil.disk_usage(spool).total * percent / 100))
    if status.free_bytes < least:
        free, wanted = (f"{bytes_ / 1024**3:.1f} GB" for bytes_ in (status.free_bytes, least))
        yield Condition("disk", details=(free, wanted))


def common_conditions(
    settings: NodeSettings, status: Status, tables: sa.Engine
) -> Iterator[Condition]:
    """What is the matter with the whole node.

    Raises
    ------
    sqlalchemy.exc.SQLAlchemyError
        The database does not answer.
    """
    failed = Counter(_told_code(work.code) for work in failed_work(settings))
    if failed:
        yield Condition("failed_work", count=failed.total(), codes=dict(sorted(failed.items())))
    for destination in settings.destinations:
        yield from _destination(tables, destination.name)
    if status.alarms:
        yield Condition("stands_still", count=len(status.alarms), details=status.alarms)
    for step in status.scanner_steps:
        change = f"{step.change_hu:+.1f} HU since {step.since}"
        yield Condition("drift", f"{step.scanner}, {step.measure}", details=(change,))


def _destination(tables: sa.Engine, name: str) -> Iterator[Condition]:
    """A destination with something that is tried again, or failed since it took anything last."""
    table = study_deliveries
    there = table.c.destination == name
    again = sa.or_(
        table.c.state == DeliveryState.RETRYING,
        sa.and_(table.c.state == DeliveryState.SENDING, table.c.attempt > 1),
    )
    failed = (table.c.state == DeliveryState.FAILED, table.c.code.in_(OF_DESTINATION))
    number = sa.select(sa.func.count())
    taken = sa.select(sa.func.max(table.c.changed)).where(there, table.c.state.in_(TAKEN_STATES))
    with tables.connect() as connection:
        waiting = connection.scalar(number.where(there, again)) or 0
        if not waiting and not connection.scalar(number.where(there, *failed)):
            return
        last = connection.scalar(taken) or 0
        lost = connection.scalar(number.where(there, *failed, table.c.changed > last)) or 0
        if waiting or lost:
            yield Condition("destination_down", name, count=waiting + lost, not_before=last)


def _told_code(code: str) -> str:
    return code if CODE.fullmatch(code) else "other"
