"""The work that ended: how much, with what outcome, and how long it took."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dbos import DBOSClient

__all__ = ["DURATION_BOUNDS_S", "NO_QUEUE", "STEP_BOUNDS_S", "Durations", "FinishedWork"]

FINISHED = ["SUCCESS", "ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "CANCELLED"]
"""States of a DBOS workflow that ended."""

ENDS = {"ERROR": "failed"}
"""What an end without a result of its own is called."""

PAGE = 1000
"""Finished workflows that are read at a time."""

OVERLAP_MS = 5000
"""Finished work is looked for again so far back: processes commit in any order."""

DURATION_BOUNDS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
"""Upper bounds of the groups into which durations of work are counted, in seconds."""

STEP_BOUNDS_S = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)
"""The same for a step of an assessment."""

NO_QUEUE = "none"
"""Stands for the queue of work that was started without one."""


@dataclass(frozen=True)
class Durations:
    """How long some work took.

    Parameters
    ----------
    counts
        For each upper bound of the groups, how much work took at most so long.
    total_seconds
        Sum over all work.
    number
        How much work this is.
    """

    counts: tuple[int, ...]
    total_seconds: float
    number: int


class _Tally:
    """Counts durations by a name, in groups with these upper bounds in seconds."""

    def __init__(self, bounds_s: Sequence[float]) -> None:
        self._bounds_s = bounds_s
        self._durations: dict[str, Durations] = {}

    def add(self, name: str, seconds: float) -> None:
        before = self._durations.get(name, Durations((0,) * len(self._bounds_s), 0.0, 0))
        counts = zip(before.counts, self._bounds_s, strict=True)
        self._durations[name] = Durations(
            tuple(count + (seconds <= bound) for count, bound in counts),
            before.total_seconds + seconds,
            before.number + 1,
        )

    def durations(self) -> dict[str, Durations]:
        return dict(self._durations)


class FinishedWork:
    """Counts finished workflows as they come; each is counted once, however often it is read."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._read_until_ms = 0
        self._finished: Counter[tuple[str, str, str]] = Counter()
        self._work = _Tally(DURATION_BOUNDS_S)
        self._steps = _Tally(STEP_BOUNDS_S)

    @property
    def finished(self) -> dict[tuple[str, str, str], int]:
        """How much work ended, by queue, state and code."""
        return dict(self._finished)

    @property
    def durations(self) -> dict[str, Durations]:
        """How long it took from being taken up to its end, by queue."""
        return self._work.durations()

    @property
    def steps(self) -> dict[str, Durations]:
        """How long the steps of the assessments took that led to a report, by step."""
        return self._steps.durations()

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
            for step, seconds in output.get("timings_s", {}).items():
                self._steps.add(step, seconds)
            if work.dequeued_at is not None:
                self._work.add(queue, max(ended - work.dequeued_at, 0) / 1000)


def _iso(milliseconds: int) -> str:
    moment = time.gmtime(milliseconds / 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", moment)
