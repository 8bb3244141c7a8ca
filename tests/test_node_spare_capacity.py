"""When a worker takes work of another machine: never before its own, nor what it cannot fetch."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import sqlalchemy as sa

from dicom_node.records.instance_servers import InstanceServer
from dicom_node.work.sharing import spare_capacity
from dicom_node.work.sharing.spare_capacity import OWN_SECONDS, SpareCapacity
from dicom_node.work.sharing.takeover import Takeover


class Machines:
    """The work of three spools as the database tells it; ``own`` looks for more to do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waiting: dict[str, list[Any]] = {}
        self.served = {"a": True, "b": True}
        self.free = 2
        self.moved: list[str] = []
        self.now = 1000.0
        monkeypatch.setattr(spare_capacity, "DBOS", SimpleNamespace(list_workflows=self._listed))
        monkeypatch.setattr(spare_capacity, "move", self._move)
        monkeypatch.setattr(spare_capacity, "listed_servers", self._servers)
        monkeypatch.setattr(spare_capacity, "time", SimpleNamespace(monotonic=lambda: self.now))
        self.takeover = cast(Takeover, SimpleNamespace(alive=1, gone_homes=frozenset({"gone"})))
        engine = sa.create_engine("sqlite://")
        self.spare = SpareCapacity(engine, self.takeover, "own", lambda: self.free)

    def queue(self, queue: str, name: str, home: str | None) -> None:
        arguments: list[Any] = [
            name,
            "study",
            {},
            {},
            [],
            None,
            None,
            *([] if home is None else [home]),
        ]
        work = SimpleNamespace(workflow_id=name, queue_name=queue, input={"args": arguments})
        self.waiting.setdefault(queue, []).append(work)

    def look(self, seconds: float = OWN_SECONDS + 3) -> list[str]:
        """What was taken by two looks so many seconds apart."""
        self.now += 100
        self.spare.look()
        self.now += seconds
        self.spare.look()
        return self.moved

    def _listed(self, queue_name: list[str], limit: int, **_more: Any) -> list[Any]:
        return [work for name in queue_name for work in self.waiting.get(name, [])][:limit]

    def _move(self, _database: object, work: str, source: str, target: str) -> bool:
        assert target == "assess-elsewhere@own"
        self.waiting[source] = [w for w in self.waiting[source] if w.workflow_id != work]
        self.moved.append(work)
        self.free -= 1
        return True

    def _servers(self, _connection: object) -> dict[str, InstanceServer]:
        return {
            home: InstanceServer(home, home, "https://x", alive)
            for home, alive in self.served.items()
        }


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Machines:
    return Machines(monkeypatch)


def test_as_much_is_taken_as_there_is_capacity_for(machines: Machines) -> None:
    for number in range(3):
        machines.queue("assess@a", f"work{number}", "a")
    assert machines.look() == ["work0", "work1"]


def test_own_work_comes_first(machines: Machines) -> None:
    machines.queue("assess@own", "mine", "own")
    machines.queue("assess@a", "theirs", "a")
    assert machines.look() == []
    machines.waiting["assess@own"] = []
    assert machines.look() == ["theirs"]


def test_nothing_is_taken_without_capacity(machines: Machines) -> None:
    machines.free = 0
    machines.queue("assess@a", "theirs", "a")
    assert machines.look() == []


def test_a_machine_has_some_seconds_to_begin_its_own_work(machines: Machines) -> None:
    machines.queue("assess@a", "theirs", "a")
    assert machines.look(OWN_SECONDS - 1) == []


def test_work_of_a_machine_that_does_not_serve_its_instances_stays_there(
    machines: Machines,
) -> None:
    machines.served = {"a": False}
    machines.queue("assess@a", "silent", "a")
    machines.queue("assess@c", "unknown", "c")
    assert machines.look() == []


def test_what_a_dead_machine_had_taken_is_taken_on_also_by_who_has_the_instances(
    machines: Machines,
) -> None:
    machines.queue("assess-elsewhere@gone", "of a", "a")
    machines.queue("assess-elsewhere@gone", "of our own", "own")
    machines.queue("assess-elsewhere@gone", "of nobody", "c")
    machines.queue("assess-elsewhere@alive", "in good hands", "a")
    assert machines.look() == ["of a", "of our own"]


def test_work_that_does_not_say_where_its_instances_are_is_left(machines: Machines) -> None:
    machines.queue("assess@a", "of an older version", None)
    assert machines.look() == []
