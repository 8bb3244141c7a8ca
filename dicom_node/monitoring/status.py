"""What the node is doing, read from its folders and its database, so that restarts lose nothing."""

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOSClient, DBOSPortableJSONSerializer, WorkflowStatus
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.monitoring.finished_work import FinishedWork
from dicom_node.monitoring.notice_status import NoticeStatus, notice_status
from dicom_node.monitoring.workers import WorkerStatus, alarms, worker_statuses
from dicom_node.records.counters import read_counters
from dicom_node.records.database import has_tables, open_database
from dicom_node.records.heartbeat import STALE_SECONDS, heartbeat_ages
from dicom_node.records.instance_servers import HeldInstances, held_instances
from dicom_node.records.scanner_drift import ScannerStep, read_steps
from dicom_node.records.withdrawals import Withdrawals
from dicom_node.records.work_totals import (
    DURATION_BOUNDS_S,
    NO_QUEUE,
    STEP_BOUNDS_S,
    Durations,
)
from dicom_node.records.worker_table import WorkerRow, listed_workers
from dicom_node.settings.node import NodeSettings
from dicom_node.spool.spool import Spool

__all__ = ["DISK_NEARLY_FULL", "Queue", "Status", "StatusReader"]

DISK_NEARLY_FULL = "the disk is nearly full"
"""What `Status.problems` says of a disk with less than `listener.min_free_mb` left."""

UNFINISHED = ["ENQUEUED", "DELAYED", "PENDING"]
"""States of a DBOS workflow that waits or is worked on."""


@dataclass(frozen=True)
class Queue:
    """One queue: how much waits, how much is in hand, and how old the oldest of both is."""

    waiting: int
    running: int
    oldest_seconds: float


@dataclass(frozen=True)
class Status:
    """A moment of the node.

    Parameters
    ----------
    ready, problems
        Whether it can work, and why not.
    processes
        Seconds since each process last gave a sign of life.
    free_bytes
        Free space of the disk with the spool.
    series, arriving
        Series in the spool, and studies that arrive or wait to be looked at.
    queues
        By name: ``assess``, and for each destination one of deliveries and one of commitments.
    finished
        How much work ended, by queue, state and code.
    durations
        How long the finished work took, by queue.
    steps
        How long the steps of the assessments took, by step.
    received
        The listener's counters, by name and label.
    withdrawn
        Reports that stood under another patient or study, as ``study/assessment``.
    workers
        On PostgreSQL the workers of all machines.
    taken_over
        How much work of dead workers was taken over by others in the last 30 days.
    alarms
        What stands still until somebody does something.
    scanner_steps
        Scanners whose HU are not where they were.
    notices
        What is told of the node, and whether those who are to be told take it.
    """

    ready: bool
    problems: tuple[str, ...]
    processes: Mapping[str, float]
    free_bytes: int
    series: int
    arriving: int
    queues: Mapping[str, Queue] = field(default_factory=dict)
    finished: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    durations: Mapping[str, Durations] = field(default_factory=dict)
    steps: Mapping[str, Durations] = field(default_factory=dict)
    received: Mapping[tuple[str, str], int] = field(default_factory=dict)
    withdrawn: tuple[str, ...] = ()
    workers: tuple[WorkerStatus, ...] = ()
    taken_over: int = 0
    alarms: tuple[str, ...] = ()
    scanner_steps: tuple[ScannerStep, ...] = ()
    notices: NoticeStatus = field(default_factory=NoticeStatus)

    def to_json(self) -> dict[str, Any]:
        """The same for ``json.dumps``: lists of named values in place of tuples as keys."""
        content = asdict(self)
        content["finished"] = [
            {"queue": queue, "state": state, "code": code, "number": number}
            for (queue, state, code), number in sorted(self.finished.items())
        ]
        content["received"] = [
            {"name": name, "label": label, "number": number}
            for (name, label), number in sorted(self.received.items())
        ]
        content["duration_bounds_s"] = DURATION_BOUNDS_S
        content["step_bounds_s"] = STEP_BOUNDS_S
        return content


class StatusReader:
    """Reads the status as often as it is asked; finished work is read from the database once.

    Parameters
    ----------
    settings
        Of the node.
    """

    def __init__(self, settings: NodeSettings) -> None:
        self._settings = settings
        self._spool = Spool(settings.data_dir)
        self._client: DBOSClient | None = None
        self._tables: sa.Engine | None = None
        self._has_tables = False
        self._done = FinishedWork()

    def close(self) -> None:
        """Leave the database."""
        if self._client is not None:
            self._client.destroy()
            self._client = None
        if self._tables is not None:
            self._tables.dispose()
            self._tables = None

    def read(self) -> Status:
        """The status at this moment."""
        settings = self._settings
        problems: list[str] = []
        now = time.time()
        ages = heartbeat_ages(settings.counters_dir)
        expected = [f"listener-{index}" for index in range(settings.listener.processes)]
        if settings.exchange is not None and settings.exchange.port is not None:
            expected.append("exchange")
        for name in (*expected, "worker"):
            if ages.get(name, STALE_SECONDS) >= STALE_SECONDS:
                problems.append(f"{name} gives no sign of life")
        free = self._spool.free_bytes()
        if free < settings.listener.min_free_mb * 1024 * 1024:
            problems.append(DISK_NEARLY_FULL)
        unfinished: list[WorkflowStatus] = []
        rows: list[WorkerRow] = []
        held = HeldInstances()
        try:
            unfinished = self._read_work()
            rows, held = self._read_workers(unfinished)
        except (SQLAlchemyError, OSError) as error:
            problems.append(f"the database does not answer ({type(error).__name__})")
        return Status(
            ready=not problems,
            problems=tuple(problems),
            processes={name: round(age, 1) for name, age in sorted(ages.items())},
            free_bytes=free,
            series=_entries(self._spool.series),
            arriving=_entries(self._spool.record.arriving),
            queues=_queues(unfinished, now),
            finished=self._done.totals.finished,
            durations=self._done.totals.durations,
            steps=self._done.totals.steps,
            received=read_counters(settings.counters_dir.glob("*.json")),
            withdrawn=Withdrawals(settings.data_dir).listed(),
            workers=tuple(worker_statuses(rows, unfinished)),
            taken_over=sum(row.taken_over for row in rows),
            alarms=(
                *alarms(rows, unfinished, held, shared=settings.on_postgresql),
                *_silent_notices(settings, ages),
            ),
            scanner_steps=read_steps(settings.data_dir),
            notices=notice_status(settings, self._tables if self._has_tables else None),
        )

    def _read_work(self) -> list[WorkflowStatus]:
        """Count what ended, and list what waits or is in hand."""
        if self._client is None:
            self._client = DBOSClient(
                system_database_url=self._settings.database,
                serializer=DBOSPortableJSONSerializer(),
            )
        if self._tables is None:
            self._tables = open_database(self._settings.database)
        self._has_tables = has_tables(self._tables)
        self._done.read(self._client, self._tables if self._has_tables else None)
        return self._client.list_workflows(status=UNFINISHED, load_input=False, load_output=False)

    def _read_workers(
        self, unfinished: Iterable[WorkflowStatus]
    ) -> tuple[list[WorkerRow], HeldInstances]:
        if not self._settings.on_postgresql or self._tables is None:
            return [], HeldInstances()
        in_hand = [work.workflow_id for work in unfinished if work.status == "PENDING"]
        with self._tables.connect() as connection:
            return listed_workers(connection), held_instances(connection, in_hand)


def _silent_notices(settings: NodeSettings, ages: Mapping[str, float]) -> Iterator[str]:
    """An alarm if the process that tells of all others gives no sign of life."""
    if settings.notices is not None and ages.get("notify", STALE_SECONDS) >= STALE_SECONDS:
        yield "notify gives no sign of life: nobody is told of anything"


def _entries(folder: Path) -> int:
    return sum(1 for _ in os.scandir(folder)) if folder.is_dir() else 0


def _queues(unfinished: Iterable[WorkflowStatus], now: float) -> dict[str, Queue]:
    groups: defaultdict[str, list[WorkflowStatus]] = defaultdict(list)
    for work in unfinished:
        groups[work.queue_name or NO_QUEUE].append(work)
    return {name: _queue(works, now) for name, works in sorted(groups.items())}


def _queue(works: Iterable[WorkflowStatus], now: float) -> Queue:
    works = list(works)
    running = sum(work.status == "PENDING" for work in works)
    oldest = min((work.created_at or now * 1000) for work in works) / 1000
    return Queue(len(works) - running, running, round(max(now - oldest, 0.0), 1))
