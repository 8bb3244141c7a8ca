"""Two machines with folders of their own: one receives and assesses nothing, the other helps."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node.demo import free_port
from tests.certificates import Authority
from tests.fault_node import FaultNode, MoodyPacs, corrected, quick_study, send_until_taken
from tests.held_exchange import hold_of
from tests.postgresql import Cluster, running_cluster

pytestmark = pytest.mark.peers


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with running_cluster() as found:
        yield found


@pytest.fixture
def pacs() -> Iterator[MoodyPacs]:
    found = MoodyPacs(1).start()
    yield found
    found.stop()


def machine(
    folder: Path, cluster: Cluster, pacs: MoodyPacs, authority: Authority, *, receives: bool
) -> FaultNode:
    """One that only receives and serves, or one that assesses."""
    key, certificate = authority.issue("127.0.0.1")
    settings = f"""database_url = "{cluster.url}"
[exchange]
certificate = "{certificate}"
key = "{key}"
ca = "{authority.path}"
allowed_names = ["127.0.0.1"]
timeout_seconds = 60
{f"port = {free_port()}" if receives else ""}
"""
    processes = 0 if receives else 1
    return FaultNode(folder, [pacs.port], settings, processes=processes, exchange=receives)


def fetched(node: FaultNode) -> set[Path]:
    return set((node.data / "fetched").rglob("*.dcm"))


def test_a_machine_assesses_what_another_received_once_whatever_is_killed_or_away(
    tmp_path: Path, cluster: Cluster, pacs: MoodyPacs
) -> None:
    authority = Authority(tmp_path / "authority")
    second, second_uid = quick_study(tmp_path / "second", "machines-2")
    own, own_uid = quick_study(tmp_path / "own", "machines-3")
    study = corrected(tmp_path / "first", "machines-1")
    (first, again), [uid], [corrected_uid] = study.parts, study.before, study.final
    receiver = machine(tmp_path / "a", cluster, pacs, authority, receives=True)
    helper = machine(tmp_path / "b", cluster, pacs, authority, receives=False)
    receiver.data.mkdir(parents=True)
    hold_of(receiver.data).touch()
    with receiver, helper:
        send_until_taken(receiver.port, first, random.Random(1))
        helper.wait_for(lambda: fetched(helper))
        helper.kill("worker")
        left = fetched(helper)
        assert left
        hold_of(receiver.data).unlink()
        helper.wait_for(lambda: uid in pacs.stored)
        assert fetched(helper) == set()
        reports = [*(receiver.data / "reports").glob("*/*/report.sr.dcm")]
        assert len(reports) == 1
        assert (reports[0].parent / "report.json").exists()
        assert not (reports[0].parent / "withdrawn.json").exists()

        send_until_taken(receiver.port, again, random.Random(4))
        helper.wait_for(lambda: corrected_uid in pacs.stored)
        assert (reports[0].parent / "withdrawn.json").exists()
        status = json.loads(receiver.command("status", "--json").stdout)
        assert status["withdrawn"] == [f"{reports[0].parts[-3]}/{reports[0].parts[-2]}"]

        hold_of(receiver.data).touch()
        send_until_taken(receiver.port, second, random.Random(2))
        helper.wait_for(lambda: fetched(helper))
        with receiver.without("exchange"):
            waits, *_ = helper.wait_for(lambda: helper.events("waiting for instances"))
            hold_of(receiver.data).unlink()
            send_until_taken(helper.port, own, random.Random(3))
            helper.wait_for(lambda: own_uid in pacs.stored)
            assert second_uid not in pacs.stored
            status = json.loads(receiver.command("status", "--json").stdout)
            [alarm] = [line for line in status["alarms"] if waits["assessment"][:12] in line]
            assert "waits for its images on" in alarm
        helper.wait_for(lambda: second_uid in pacs.stored)
        status = json.loads(receiver.command("status", "--json").stdout)
        assert status["alarms"] == []
        assert receiver.command("failed").stdout.strip() == "no failed work"
        assert receiver.events("assessing") == []
    assert {name: len(found) for name, found in pacs.stored.items()} == dict.fromkeys(
        (uid, corrected_uid, second_uid, own_uid), 1
    )
    assert fetched(helper) == set()
    assert len([*(helper.data / "reports").glob("*/*/report.sr.dcm")]) == 1
    assert len([*(receiver.data / "reports").glob("*/*/report.sr.dcm")]) == 3
