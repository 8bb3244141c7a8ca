"""Several workers on one PostgreSQL: what one leaves, however it ends, another does."""

import itertools
import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from dicom_node.records.database import open_database
from dicom_node.records.worker_table import end_worker, fence, listed_workers
from dicom_node.work.sharing.interruption import Interrupted
from dicom_node.work.sharing.lease import DatabaseLease, own_home
from dicom_node.work.sharing.outgoing import OutgoingObjects
from dicom_node.work.sharing.spare_capacity import is_taken, move
from dicom_node.work.work_queues import assess_queue, elsewhere_queue
from tests.postgresql import Cluster, running_cluster
from tests.simulated_machine import Machine, wait_for
from tests.simulated_worker import SlowPacs, uid_of

pytestmark = pytest.mark.peers

numbers = itertools.count()

HASTE = 3.0
"""The tests' workers notice three times as soon as the node's that one of them died."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as found:
        yield found


@pytest.fixture
def url(cluster: Cluster) -> str:
    """A database that nobody has used."""
    return f"{cluster.url}_{next(numbers)}"


@pytest.fixture
def pacs() -> Iterator[SlowPacs]:
    found = SlowPacs()
    yield found
    found.stop()


def test_another_worker_ends_what_a_killed_one_had_in_hand(
    tmp_path: Path, url: str, pacs: SlowPacs
) -> None:
    pacs.start()
    data = tmp_path / "shared"
    first = Machine(tmp_path / "1", url, [pacs.port], data, seconds=60.0, haste=HASTE).start()
    second = Machine(tmp_path / "2", url, [pacs.port], data, haste=HASTE)
    names = [f"study{k}" for k in range(4)]
    try:
        wait_for(lambda: first.events("working"), first)
        first.queue(names)
        wait_for(lambda: len(first.events("assessing")) == 2, first)
        second.start()
        wait_for(lambda: second.events("working"), second)
        first.kill()
        wait_for(lambda: set(pacs.stored) == {uid_of(name) for name in names}, second)
        assert second.events("took over work")
        assert second.command("failed").stdout.strip() == "no failed work"
    finally:
        first.stop()
        second.stop()
    assert all(len(set(forms)) == 1 for forms in pacs.stored.values())


def status_of(machine: Machine) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(machine.command("status", "--json").stdout)
    return status


def test_a_machine_without_the_files_delivers_for_a_dead_one_and_leaves_its_studies(
    tmp_path: Path, url: str, pacs: SlowPacs
) -> None:
    first = Machine(tmp_path / "1", url, [pacs.port], haste=HASTE).start()
    second = Machine(tmp_path / "2", url, [pacs.port], haste=HASTE)
    try:
        wait_for(lambda: first.events("working"), first)
        first.queue(["one"])
        wait_for(lambda: first.events("delivery attempt failed"), first)
        first.kill()
        first.queue(["two"])  # received, and not yet assessed
        second.start()
        pacs.start()
        wait_for(lambda: uid_of("one") in pacs.stored, second)
        assert not second.events("assessing")
        wait_for(lambda: len(status_of(second)["workers"]) == 1, second)
        status = status_of(second)
        assert [worker["state"] for worker in status["workers"]] == ["alive"]
        assert "1 pieces of work wait for" in status["alarms"][0]
        assert status["taken_over"] <= 2
        first.start()  # the machine is back
        wait_for(lambda: uid_of("two") in pacs.stored, first, second)
    finally:
        first.stop()
        second.stop()
    assert set(pacs.stored) == {uid_of("one"), uid_of("two")}


def test_a_worker_that_wakes_after_its_work_was_taken_sends_the_same_and_ends(
    tmp_path: Path, url: str, pacs: SlowPacs
) -> None:
    pacs.start()
    pacs.hold.set()
    first = Machine(tmp_path / "1", url, [pacs.port], haste=HASTE).start()
    second = Machine(tmp_path / "2", url, [pacs.port], haste=HASTE)
    try:
        wait_for(lambda: first.events("working"), first)
        first.queue(["one"])
        wait_for(pacs.asked.is_set, first)
        first.signal(signal.SIGSTOP)  # in the middle of its C-STORE
        second.start()
        wait_for(lambda: second.events("working"), second)
        assert not second.events("took over work")  # its lock is held: it may wake at any time
        cut_off_first_worker(url)
        pacs.hold.clear()
        wait_for(lambda: second.events("delivered"), second)
        assert second.events("took over work")
        first.signal(signal.SIGCONT)
        wait_for(lambda: first.ended is not None, first, second)
        assert first.ended not in (None, 0)
        assert first.events("work taken over")
    finally:
        first.stop()
        second.stop()
    assert set(pacs.stored) == {uid_of("one")}
    assert len(set(pacs.stored[uid_of("one")])) == 1


def test_objects_lie_in_the_database_until_all_work_on_their_study_ended(
    tmp_path: Path, url: str
) -> None:
    database = open_database(url, make=True)
    here, there = (OutgoingObjects(tmp_path / name, database) for name in ("here", "there"))
    sent = {"study": "s", "folder": "f", "file": "report.sr.dcm"}
    folder = tmp_path / "here" / "s" / "f"
    folder.mkdir(parents=True)
    (folder / "report.sr.dcm").write_bytes(b"document")
    here.keep(sent, ["report.sr.dcm"])
    assert there.read(sent) == b"document"
    assert not there.withdrawn(sent)
    (folder / "withdrawn.json").write_text('{"assessment": "b"}')
    here.keep(sent, ["report.sr.dcm"])  # as is done when it is displaced
    assert there.withdrawn(sent)
    there.remove(lambda: {"s"})
    assert there.stored(sent) == b"document"

    def assessed_meanwhile() -> set[str]:
        here.keep(sent, ["report.sr.dcm"])
        return set()

    there.remove(assessed_meanwhile)
    assert there.stored(sent) == b"document"
    there.remove(set)
    assert there.stored(sent) is None
    with pytest.raises(FileNotFoundError):
        there.read(sent)
    assert here.read(sent) == b"document"
    database.dispose()


def test_lease_outlives_a_lost_connection_and_not_a_takeover(url: str) -> None:
    stop = threading.Event()
    with DatabaseLease(url, "spool", stop) as lease, DatabaseLease(url, "spool", stop) as other:
        lease.confirm()
        assert lease.leads
        assert not other.leads
        assert lease.steady
        cut_off_first_worker(url)
        wait_for(lambda: not lease.steady)  # it has another session, too young to judge by
        lease.confirm()
        wait_for(lambda: lease.leads or other.leads)
        engine = open_database(url)
        with engine.begin() as connection:
            assert not fence(connection, lease.executor_id, other.executor_id)
            end_worker(connection, lease.executor_id)
            assert fence(connection, lease.executor_id, other.executor_id)
        engine.dispose()
        wait_for(lambda: lease.lost)
        with pytest.raises(Interrupted):
            lease.confirm()
        other.confirm()


def cut_off_first_worker(url: str) -> None:
    """End the session that holds the oldest worker's lock, as a network that fails does."""
    engine = open_database(url)
    with engine.begin() as connection:
        oldest = listed_workers(connection)[0]
        assert not oldest.over
        connection.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
                "AND (classid::bigint << 32) | objid::bigint = hashtextextended(:name, 0)"
            ),
            {"name": f"osteonode worker {oldest.executor_id}"},
        )
    engine.dispose()


def test_only_work_that_waits_is_moved_and_its_study_counts_as_taken(
    tmp_path: Path, url: str
) -> None:
    first = Machine(tmp_path / "1", url, seconds=60.0, processes=1, haste=HASTE).start()
    database = open_database(url)
    try:
        wait_for(lambda: first.events("working"), first)
        home = own_home(first.settings)
        first.queue(["one", "two"])
        [begun] = wait_for(lambda: first.events("assessing"), first)
        [waits] = {"one", "two"} - {begun["assessment"]}
        source, target = assess_queue(home), elsewhere_queue("other")
        assert not move(database, begun["assessment"], source, target)
        assert not move(database, waits, assess_queue("third"), target)
        assert not taken(database, waits)
        assert move(database, waits, source, target)
        assert not move(database, waits, source, target)
        assert taken(database, waits)
        assert not taken(database, begun["assessment"])
        queues = status_of(first)["queues"]
        assert (queues[source]["waiting"], queues[target]["waiting"]) == (0, 1)
    finally:
        first.stop()
        database.dispose()


def taken(database: sa.Engine, name: str) -> bool:
    with database.connect() as connection:
        return is_taken(connection, f"study-{name}")
