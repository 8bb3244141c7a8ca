"""The work that ended: how much, with what outcome, and how long it took."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dbos import DBOSClient

__all__ = ["DURATION_BOUNDS_S", "NO_QUEUE", "Durations", "FinishedWork"]

FINISHED = ["SUCCESS", "ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "CANCELLED"]
"""States of a DBOS workflow that ended."""

ENDS = {"ERROR": "failed"}
"""What an end without a result of its own is called."""

PAGE = 1000
"""Finished workflows that are read at a time."""

OVERLAP_MS = 5000
"""Finished work is looked for again so far back: processes commit in any order."""

DURATION_BOUNDS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
"""Upper bounds of the groups into which durations are counted, in seconds."""

NO_QUEUE = "none"
"""Stands for the queue of work that was started without one."""


@dataclass(frozen=True)
class Durations:
    """How long finished work took, from being taken up to its end.

    Parameters
    ----------
    counts
        For each of `DURATION_BOUNDS_S`, how much work took at most so long.
    total_seconds
        Sum over all work.
    number
        How much work this is.
    """

    counts: tuple[int, ...]
    total_seconds: float
    number: int


class FinishedWork:
    """Counts finished workflows as they come; each is counted once, however often it is read."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._read_until_ms = 0
        self._finished: Counter[tuple[str, str, str]] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._buckets: defaultdict[str, list[int]] = defaultdict(
            lambda: [0] * len(DURATION_BOUNDS_S)
        )
        self._numbers: Counter[str] = Counter()

    @property
    def finished(self) -> dict[tuple[str, str, str], int]:
        """How much work ended, by queue, state and code."""
        return dict(self._finished)

    @property
    def durations(self) -> dict[str, Durations]:
        """How long it took, by queue."""
        return {
            queue: Durations(tuple(self._buckets[queue]), self._seconds[queue], number)
            for queue, number in self._numbers.items()
        }

    def read(self, client: DBOSClient) -> None:
        """Count what ended since the last reading."""
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
            queue = work.queue_name or NO_QUEUE
            output = work.output if isinstance(work.output, dict) else {}
            state = str(output.get("state") or ENDS.get(work.status) or work.status.lower())
            code = output.get("code") or getattr(work.error, "code", None) or ""
            self._finished[queue, state, str(code)] += 1
            if work.dequeued_at is None:
                continue
            seconds = max(ended - work.dequeued_at, 0) / 1000
            self._numbers[queue] += 1
            self._seconds[queue] += seconds
            for index, bound in enumerate(DURATION_BOUNDS_S):
                self._buckets[queue][index] += seconds <= bound


def _iso(milliseconds: int) -> str:
    moment = time.gmtime(milliseconds / 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", moment)
