"""What the node is doing, read from its folders and its database, so that it survives restarts."""

import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dbos import DBOSClient, DBOSPortableJSONSerializer
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.records.counters import read_counters
from dicom_node.records.heartbeat import STALE_SECONDS, heartbeat_ages
from dicom_node.settings.node import NodeSettings
from dicom_node.spool.spool import Spool

__all__ = ["DURATION_BOUNDS_S", "Durations", "Queue", "Status", "StatusReader"]

UNFINISHED = ["ENQUEUED", "DELAYED", "PENDING"]
FINISHED = ["SUCCESS", "ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "CANCELLED"]
"""States of a DBOS workflow."""

ENDS = {"ERROR": "failed"}
"""What an end without a result of its own is called."""

PAGE = 1000
"""Finished workflows that are read at a time."""

OVERLAP_MS = 5000
"""Finished work is looked for again so far back: processes commit in any order."""

DURATION_BOUNDS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600)


@dataclass(frozen=True)
class Queue:
    """One queue: what waits, what is in hand, and how old the oldest of it is."""

    waiting: int
    running: int
    oldest_seconds: float


@dataclass(frozen=True)
class Durations:
    """How long finished work took, from being taken up to its end; ``counts`` by upper bound."""

    counts: tuple[int, ...]
    total_seconds: float
    number: int


@dataclass(frozen=True)
class Status:
    """A moment of the node.

    Parameters
    ----------
    ready, problems
        Whether it can work, and why not.
    processes
        Seconds since each process last gave a sign of life.
    series, arriving
        Series in the spool, and studies that arrive or wait to be looked at.
    queues
        By name: ``assess``, and one for each destination.
    finished
        How much work ended, by queue, state and code.
    received
        The listener's counters, by name and label.
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
    received: Mapping[tuple[str, str], int] = field(default_factory=dict)

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
        return content


class StatusReader:
    """Reads the status again and again; what was finished is counted once.

    Parameters
    ----------
    settings
        Of the node.
    """

    def __init__(self, settings: NodeSettings) -> None:
        self._settings = settings
        self._spool = Spool(settings.data_dir)
        self._client: DBOSClient | None = None
        self._seen: dict[str, int] = {}
        self._read_until_ms = 0
        self._finished: Counter[tuple[str, str, str]] = Counter()
        self._seconds: defaultdict[str, list[float]] = defaultdict(lambda: [0.0])
        self._buckets: defaultdict[str, list[int]] = defaultdict(
            lambda: [0] * len(DURATION_BOUNDS_S)
        )
        self._numbers: Counter[str] = Counter()

    def close(self) -> None:
        """Leave the database."""
        if self._client is not None:
            self._client.destroy()
            self._client = None

    def read(self) -> Status:
        """Look now."""
        settings = self._settings
        problems: list[str] = []
        now = time.time()
        ages = heartbeat_ages(settings.counters_dir)
        expected = [f"listener-{index}" for index in range(settings.listener.processes)]
        for name in (*expected, "worker"):
            if ages.get(name, STALE_SECONDS) >= STALE_SECONDS:
                problems.append(f"{name} gives no sign of life")
        free = self._spool.free_bytes()
        if free < settings.listener.min_free_mb * 1024 * 1024:
            problems.append("the disk is nearly full")
        queues: dict[str, Queue] = {}
        try:
            queues = self._read_database(now)
        except (SQLAlchemyError, OSError) as error:
            problems.append(f"the database does not answer ({type(error).__name__})")
        return Status(
            ready=not problems,
            problems=tuple(problems),
            processes={name: round(age, 1) for name, age in sorted(ages.items())},
            free_bytes=free,
            series=_entries(self._spool.series),
            arriving=_entries(self._spool.record.arriving),
            queues=queues,
            finished=dict(self._finished),
            durations={
                queue: Durations(tuple(self._buckets[queue]), sum(self._seconds[queue]), number)
                for queue, number in self._numbers.items()
            },
            received=read_counters(settings.counters_dir.glob("*.json")),
        )

    def _read_database(self, now: float) -> dict[str, Queue]:
        if self._client is None:
            self._client = DBOSClient(
                system_database_url=self._settings.database,
                serializer=DBOSPortableJSONSerializer(),
            )
        self._count_finished(self._client)
        unfinished = self._client.list_workflows(
            status=UNFINISHED, load_input=False, load_output=False
        )
        groups: defaultdict[str, list[Any]] = defaultdict(list)
        for work in unfinished:
            groups[work.queue_name or "none"].append(work)
        return {name: _queue(works, now) for name, works in sorted(groups.items())}

    def _count_finished(self, client: DBOSClient) -> None:
        since = max(self._read_until_ms - OVERLAP_MS, 0)
        offset = 0
        while True:
            page = client.list_workflows(
                status=FINISHED,
                completed_after=_iso(since),
                load_input=False,
                limit=PAGE,
                offset=offset,
            )
            self._count(page)
            if len(page) < PAGE:
                break
            offset += PAGE
        oldest = self._read_until_ms - 2 * OVERLAP_MS
        self._seen = {key: ended for key, ended in self._seen.items() if ended >= oldest}

    def _count(self, works: Iterable[Any]) -> None:
        for work in works:
            ended = int(work.completed_at or work.updated_at or 0)
            if work.workflow_id in self._seen:
                continue
            self._seen[work.workflow_id] = ended
            self._read_until_ms = max(self._read_until_ms, ended)
            queue = work.queue_name or "none"
            output = work.output if isinstance(work.output, dict) else {}
            state = str(output.get("state") or ENDS.get(work.status) or work.status.lower())
            code = output.get("code") or getattr(work.error, "code", None) or ""
            self._finished[queue, state, str(code)] += 1
            if work.dequeued_at is None:
                continue
            seconds = max(ended - work.dequeued_at, 0) / 1000
            self._numbers[queue] += 1
            self._seconds[queue][0] += seconds
            for index, bound in enumerate(DURATION_BOUNDS_S):
                self._buckets[queue][index] += seconds <= bound


def _entries(folder: Path) -> int:
    return sum(1 for _ in os.scandir(folder)) if folder.is_dir() else 0


def _queue(works: Iterable[Any], now: float) -> Queue:
    works = list(works)
    running = sum(work.status == "PENDING" for work in works)
    oldest = min((work.created_at or now * 1000) for work in works) / 1000
    return Queue(len(works) - running, running, round(max(now - oldest, 0.0), 1))


def _iso(milliseconds: int) -> str:
    moment = time.gmtime(milliseconds / 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", moment)
