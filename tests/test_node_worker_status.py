"""What status and metrics say of the workers of all machines."""

from types import SimpleNamespace
from typing import Any

import pytest

from dicom_node.monitoring.metrics import StatusCollector
from dicom_node.monitoring.status import Status
from dicom_node.monitoring.status_text import status_text
from dicom_node.monitoring.workers import alarms, worker_statuses
from dicom_node.records.instance_servers import HeldInstances
from dicom_node.records.worker_table import WORKFLOW_VERSION, WorkerRow


def row(name: str, **changes: Any) -> WorkerRow:
    """A worker that is alive, unless it is changed."""
    content: dict[str, Any] = {
        "executor_id": name, "host": f"host-of-{name}", "home": f"spool-of-{name}",
        "version": WORKFLOW_VERSION, "age_seconds": 99.0, "beat_seconds": 1.0, "over": False,
        "recovered": False, "locked": True, "taken_over": 0,
    }  # fmt: skip
    return WorkerRow(**{**content, **changes})


def work(queue: str, executor: str = "", version: str = WORKFLOW_VERSION) -> Any:
    return SimpleNamespace(
        queue_name=queue,
        executor_id=executor,
        app_version=version,
        status="PENDING" if executor else "ENQUEUED",
    )


ROWS = [
    row("a"),
    row("stuck", beat_seconds=50.0),
    row("dead", beat_seconds=50.0, locked=False),
    row("gone", over=True, recovered=True, locked=False),
]


def test_workers_are_alive_stuck_or_dead_and_those_that_left_nothing_are_not_listed() -> None:
    found = worker_statuses(ROWS, [work("assess@x", "a"), work("assess@x")])
    assert {(w.name, w.state, w.in_hand) for w in found} == {
        ("a", "alive", 1),
        ("stuck", "stuck", 0),
        ("dead", "dead", 0),
    }


def test_what_stands_still_is_an_alarm() -> None:
    unfinished = [
        work("assess@spool-of-a"),
        work("deliver-pacs"),
        work("deliver-pacs", version="older"),
        work("assess@spool-of-dead"),
        work("commit-pacs@spool-of-dead"),
        work("assess@never-seen"),
    ]
    stuck, version, lost, dead = alarms(ROWS, unfinished, HeldInstances(), shared=True)
    assert "end its process on host-of-stuck" in stuck
    assert "version older" in version
    assert "a machine that is not known any more" in lost
    assert "2 pieces of work wait for host-of-dead" in dead
    assert not alarms([row("a")], unfinished[:2], HeldInstances(), shared=True)


@pytest.mark.parametrize(("version", "number"), [(WORKFLOW_VERSION, 0), ("older", 1)])
def test_sqlite_has_one_worker_of_the_version_that_is_installed(version: str, number: int) -> None:
    assert (
        len(alarms([], [work("assess", version=version)], HeldInstances(), shared=False)) == number
    )


def test_status_and_metrics_name_workers_and_alarms() -> None:
    status = Status(
        True, (), {}, 0, 0, 0,
        workers=tuple(worker_statuses(ROWS, [])), taken_over=3, alarms=("look here",),
    )  # fmt: skip
    text = status_text(status)
    assert "ALARM: look here" in text
    assert "workers, 3 pieces of work taken over" in text
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for metric in StatusCollector(lambda: status).collect()
        for sample in metric.samples
    }
    assert samples["osteonode_alarms",] == 1
    assert samples["osteonode_workers", "dead"] == 1
    assert samples["osteonode_worker_silent_seconds", "host-of-stuck"] == 50
    assert samples["osteonode_work_taken_over",] == 3
