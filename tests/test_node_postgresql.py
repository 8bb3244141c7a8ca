"""PostgreSQL as the workflow database, as several nodes or a managed backup want it."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault_node import FaultNode, MoodyPacs, quick_study, send_until_taken
from tests.postgresql import Cluster, running_cluster

pytestmark = pytest.mark.peers


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with running_cluster() as found:
        yield found


def test_work_survives_kills_and_an_outage_of_the_database(
    tmp_path: Path, cluster: Cluster
) -> None:
    paths, uid = quick_study(tmp_path / "first", "postgresql-1")
    later, later_uid = quick_study(tmp_path / "second", "postgresql-2")
    pacs = MoodyPacs(1).start()
    settings = f'database_url = "{cluster.url}"'
    try:
        with FaultNode(tmp_path / "node", [pacs.port], settings=settings) as node:
            send_until_taken(node.port, paths, random.Random(1))
            node.wait_for(lambda: node.events("assessing"))
            node.kill("worker")
            node.wait_for(lambda: uid in pacs.stored)
            cluster.stop()
            send_until_taken(node.port, later, random.Random(2))
            cluster.start()
            node.wait_for(lambda: later_uid in pacs.stored)
            assert node.command("failed").stdout.strip() == "no failed work"
            assert "secret-of-db" not in node.log_path.read_text()
            assert not list(node.data.glob("*.sqlite"))
    finally:
        pacs.stop()
    assert set(pacs.stored) == {uid, later_uid}
    assert all(len(set(contents)) == 1 for contents in pacs.stored.values())
