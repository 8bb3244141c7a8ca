"""Counts and durations of work that ended: by queue, outcome, and step of the assessments."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from dicom_node.records.database import purged_work

__all__ = ["DURATION_BOUNDS_S", "NO_QUEUE", "STEP_BOUNDS_S", "Durations", "WorkTotals"]

ENDS = {"ERROR": "failed"}
"""What an end without a result of its own is called."""

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
        counts = tuple(int(seconds <= bound) for bound in self._bounds_s)
        self.join(name, Durations(counts, seconds, 1))

    def join(self, name: str, more: Durations) -> None:
        before = self._durations.get(name, Durations((0,) * len(self._bounds_s), 0.0, 0))
        self._durations[name] = Durations(
            tuple(a + b for a, b in zip(before.counts, more.counts, strict=True)),
            before.total_seconds + more.total_seconds,
            before.number + more.number,
        )

    def durations(self) -> dict[str, Durations]:
        return dict(self._durations)


class WorkTotals:
    """Sums over work that ended."""

    def __init__(self) -> None:
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

    def count(self, work: Any) -> None:
        """Count a finished workflow by its record, with its output."""
        queue = work.queue_name or NO_QUEUE
        output = work.output if isinstance(work.output, dict) else {}
        state = str(output.get("state") or ENDS.get(work.status) or work.status.lower())
        code = output.get("code") or getattr(work.error, "code", None) or ""
        self._finished[queue, state, str(code)] += 1
        for step, seconds in output.get("timings_s", {}).items():
            self._steps.add(step, seconds)
        if work.dequeued_at is not None:
            ended = int(work.completed_at or work.updated_at or 0)
            self._work.add(queue, max(ended - work.dequeued_at, 0) / 1000)

    def add_purged(self, connection: sa.Connection) -> None:
        """Add what was counted of work of which the records were purged."""
        for kind, name, content in connection.execute(sa.select(purged_work)):
            value = json.loads(content)
            if kind == "finished":
                queue, state, code = json.loads(name)
                self._finished[queue, state, code] += value
                continue
            tally = self._work if kind == "work" else self._steps
            tally.join(name, Durations(**{**value, "counts": tuple(value["counts"])}))

    def store_purged(self, connection: sa.Connection) -> None:
        """Store these sums as those of all work of which the records were purged."""
        rows = [("finished", json.dumps(key), json.dumps(n)) for key, n in self._finished.items()]
        for kind, tally in (("work", self._work), ("step", self._steps)):
            rows += [(kind, name, json.dumps(asdict(d))) for name, d in tally.durations().items()]
        connection.execute(sa.delete(purged_work))
        if rows:
            names = ("kind", "name", "content")
            connection.execute(
                sa.insert(purged_work), [dict(zip(names, row, strict=True)) for row in rows]
            )
