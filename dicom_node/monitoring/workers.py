"""The workers of all machines, and the work that none of them can do."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dicom_node.records.instance_servers import HeldInstances
from dicom_node.records.worker_table import WORKFLOW_VERSION, WorkerRow, queue_home

__all__ = ["WorkerStatus", "alarms", "worker_statuses"]


ASSESSMENT = "assess_series"
"""Ends the name of the work that other machines can do if the images are served."""


@dataclass(frozen=True)
class WorkerStatus:
    """One worker on PostgreSQL.

    Parameters
    ----------
    name, host, version
        Its name, unique for each start; its machine; the version of its workflows.
    state
        ``alive``; ``stuck``: silent, but its connection lives, so that nobody may take its work; or
        ``dead``: its work is taken over by the next worker of its version.
    beat_seconds
        Since its last sign of life.
    in_hand
        How much work it has in hand.
    """

    name: str
    host: str
    version: str
    state: str
    beat_seconds: float
    in_hand: int


def worker_statuses(rows: Iterable[WorkerRow], unfinished: Iterable[Any]) -> list[WorkerStatus]:
    """The workers that are alive, or of which the work was not handed on yet.

    Parameters
    ----------
    rows
        The table of workers.
    unfinished
        The records of the work that waits or is in hand.
    """
    in_hand = Counter(work.executor_id for work in unfinished if work.status == "PENDING")
    return [
        WorkerStatus(
            name=row.executor_id,
            host=row.host,
            version=row.version,
            state="alive" if row.alive else "stuck" if row.stuck else "dead",
            beat_seconds=row.beat_seconds,
            in_hand=in_hand[row.executor_id],
        )
        for row in rows
        if row.alive or not row.recovered or in_hand[row.executor_id]
    ]


def alarms(
    rows: Sequence[WorkerRow], unfinished: Sequence[Any], held: HeldInstances, *, shared: bool
) -> list[str]:
    """What stands still until somebody does something.

    Parameters
    ----------
    rows, unfinished
        As for `worker_statuses`.
    held
        Which spools are served to other machines, and what waits for one.
    shared
        Whether there may be several workers; else the only one is of this version.
    """
    found = [
        f"worker {row.executor_id} is silent, but its connection lives: end its process on "
        f"{row.host}"
        for row in rows
        if row.stuck
    ]
    found += _other_versions(rows, unfinished, shared)
    return [*found, *_homeless(rows, unfinished, held), *_awaiting(rows, held)]


def _other_versions(
    rows: Sequence[WorkerRow], unfinished: Sequence[Any], shared: bool
) -> Iterator[str]:
    run = {row.version for row in rows if row.alive} if shared else {WORKFLOW_VERSION}
    versions = Counter(work.app_version for work in unfinished)
    for version in sorted(str(v) for v in versions.keys() - run - {None}):
        yield (
            f"{versions[version]} pieces of work wait for a worker with version {version} of the "
            "workflows, and none runs"
        )


def _homeless(
    rows: Sequence[WorkerRow], unfinished: Sequence[Any], held: HeldInstances
) -> Iterator[str]:
    alive = {row.home for row in rows if row.alive}
    waiting = Counter(
        home
        for work in unfinished
        if (home := queue_home(work.queue_name or ""))
        and not (alive and home in held.served and work.name.endswith(ASSESSMENT))
    )
    hosts = {row.home: row.host for row in rows}
    for home, number in sorted(waiting.items()):
        if home not in alive:
            host = hosts.get(home, "a machine that is not known any more")
            yield (
                f"{number} pieces of work wait for {host}, which holds their images (spool {home}) "
                "and has no worker"
            )


def _awaiting(rows: Sequence[WorkerRow], held: HeldInstances) -> Iterator[str]:
    hosts = {row.home: row.host for row in rows}
    for waits in held.awaited:
        host = hosts.get(waits.home, "another machine")
        yield (
            f"assessment {waits.work[:12]} on {waits.host} waits for its images on {host} "
            f"(spool {waits.home}): {waits.reason}"
        )
