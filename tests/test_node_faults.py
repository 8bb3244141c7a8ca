"""The short form of the fault injection; ``make soak`` runs the long one."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from dicom_node.demo import free_port
from tests import fuzzing
from tests.fault_node import (
    LISTENER_MB,
    UNRULY,
    FaultNode,
    MoodyPacs,
    UnrulyStudy,
    plain,
    quick_study,
    send_study,
    send_until_taken,
)

pytestmark = [
    # pynetdicom's own sockets and threads, when the listener is killed under them
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture
def pacs() -> Iterator[list[MoodyPacs]]:
    peers = [MoodyPacs(1).start(), MoodyPacs(2).start()]
    yield peers
    for peer in peers:
        peer.stop()


def everywhere(peers: Sequence[MoodyPacs], expected: set[str]) -> bool:
    return all(set(expected) <= set(peer.stored) for peer in peers)


@contextmanager
def sending(node: FaultNode, studies: Sequence[UnrulyStudy]) -> Iterator[None]:
    """Each study has a sender of its own, and all have sent what they had at the end."""
    senders = [
        threading.Thread(target=send_study, args=(node.port, study, random.Random(k)))
        for k, study in enumerate(studies)
    ]
    for sender in senders:
        sender.start()
    yield
    for sender in senders:
        sender.join()


def test_random_kills_outages_and_disorder_end_with_the_same_reports(
    tmp_path: Path, pacs: list[MoodyPacs]
) -> None:
    chance = random.Random(20)
    studies = [plain(tmp_path / str(k), f"fault-{k}") for k in range(3)]
    expected = {uid for study in studies for uid in study.final}
    with FaultNode(tmp_path / "node", [peer.port for peer in pacs]) as node:
        for peer in pacs:
            peer.moody = True
        with sending(node, studies):
            pacs[1].stop()
            for what in ("listener", "worker", "child", "server", "listener", "child"):
                time.sleep(chance.uniform(0.5, 3.0))
                node.kill(what)
        node.wait_for(lambda: node.events("assessed"))
        node.kill("worker")
        pacs[1].start()
        for peer in pacs:
            peer.moody = False
        node.wait_for(lambda: everywhere(pacs, expected))
        assert node.kills >= 3
    for peer in pacs:
        assert set(peer.stored) == expected
        assert all(len(set(contents)) == 1 for contents in peer.stored.values())
        assert peer.superseded == set()


def test_random_kills_while_studies_change_end_as_without_kills(
    tmp_path: Path, pacs: list[MoodyPacs]
) -> None:
    chance = random.Random(21)
    studies = [make(tmp_path / make.__name__, make.__name__) for make in UNRULY]
    final = {uid for study in studies for uid in study.final}
    before = {uid for study in studies for uid in study.before}
    ports = [peer.port for peer in pacs]
    with FaultNode(tmp_path / "node", ports, "max_wait_seconds = 5.0") as node:
        for peer in pacs:
            peer.moody = True
        with sending(node, studies):
            for what in ("listener", "child", "listener"):
                time.sleep(chance.uniform(0.5, 3.0))
                node.kill(what)
        node.wait_for(lambda: node.events("assessed"))
        node.kill("worker")
        assert not any(fuzzing.send_bomb(node.port) for _ in range(5))
        assert node.peak_mb("listener") < LISTENER_MB
        for peer in pacs:
            peer.moody = False
        node.wait_for(lambda: everywhere(pacs, final))
        node.wait_for(lambda: any("different images" in work.reason for work in node.failed()))
        failed = node.command("failed").stdout
    assert failed.count("input.conflicting_instance") == 1, failed
    for peer in pacs:
        assert final <= set(peer.stored) <= final | before
        assert all(len(set(contents)) == 1 for contents in peer.stored.values())
        assert peer.superseded == set()
    assert "CORRECTED" not in node.log_path.read_text()


def test_locked_database_and_dead_destination_delay_nobody_for_good(
    tmp_path: Path, pacs: list[MoodyPacs]
) -> None:
    paths, uid = quick_study(tmp_path / "s", "locked")
    pacs[1].stop()
    with FaultNode(tmp_path / "node", [peer.port for peer in pacs]) as node:
        node.wait_for(lambda: node.events("working"))
        with node.locked_database():
            send_until_taken(node.port, paths, random.Random(1))
            time.sleep(2.0)
            assert not node.events("assessing")
        node.wait_for(lambda: uid in pacs[0].stored)
        node.wait_for(lambda: len(node.events("delivery attempt failed")) > 3)
        assert not pacs[1].stored
        pacs[1].start()
        node.wait_for(lambda: uid in pacs[1].stored)
    assert [len(peer.stored[uid]) for peer in pacs] == [1, 1]


@pytest.mark.parametrize("command", ["work", "serve"])
def test_bundle_that_cannot_be_used_ends_the_node_with_status_2(
    tmp_path: Path, command: str
) -> None:
    (tmp_path / "bundle").mkdir()
    config = tmp_path / "node.toml"
    config.write_text(
        f'data_dir = "{tmp_path / "data"}"\nbundle = "{tmp_path / "bundle"}"\n'
        f"[listener]\nport = {free_port()}\n"
    )
    result = subprocess.run(
        [sys.executable, "-m", "dicom_node", command, "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.returncode == 2
    assert "manifest" in result.stderr
    assert "Traceback" not in result.stderr


def test_worker_that_is_stopped_while_assessing_leaves_the_work_to_its_next_start(
    tmp_path: Path, pacs: list[MoodyPacs], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUICK_SECONDS", "3")
    paths, uid = quick_study(tmp_path / "s", "stopped")
    with FaultNode(tmp_path / "node", [peer.port for peer in pacs]) as node:
        send_until_taken(node.port, paths, random.Random(1))
        node.wait_for(lambda: node.events("assessing"))
        node.kill("worker", signal.SIGTERM)
        node.wait_for(lambda: everywhere(pacs, {uid}))
        assert len(node.events("working")) == 2
        assert node.command("failed").returncode == 0
