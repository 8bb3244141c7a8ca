"""Many workers on one PostgreSQL: nothing lost, nothing doubled, and what it costs.

The studies are nothing but names (`tests.simulated_worker`): queue, workflows, records, objects in
the database, takeover and delivery are the node's own. Workers are killed with -9 at random moments
and started again after two seconds, as the supervisor does. All share one folder. Needs root, and
PostgreSQL installed as on Debian.

    python -m bench.workers --workers 8 --studies 1000 --kills 5
    python -m bench.workers --workers 64 --studies 10000 --kills 20 --no-deliver
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import sqlalchemy as sa

from dicom_node.records.database import open_database
from tests.postgresql import Cluster
from tests.simulated_machine import Machine
from tests.simulated_worker import SlowPacs, uid_of

RESTART_SECONDS = 2.0
IDLE_SECONDS = 10.0
LIMIT_SECONDS = 3600.0
TICKS = os.sysconf("SC_CLK_TCK")

COUNT = sa.text(
    "SELECT status, count(*) FROM dbos.workflow_status WHERE name LIKE :name GROUP BY status"
)
CONNECTIONS = sa.text(
    "SELECT application_name, count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid() GROUP BY application_name"
)


class Watch:
    """Connections, and CPU time of PostgreSQL and the workers, while the studies are done."""

    def __init__(self, postmaster: int) -> None:
        self._postmaster = postmaster
        self._of_killed = 0.0
        self.connections: Counter[str] = Counter()

    def look(self, connection: sa.Connection) -> None:
        """Remember the most connections of each kind."""
        found = Counter({row[0] or "other": row[1] for row in connection.execute(CONNECTIONS)})
        self.connections |= found

    def killed(self, machine: Machine) -> None:
        self._of_killed += _cpu_s(machine.pid)

    def cpu_s(self, machines: list[Machine]) -> tuple[float, float]:
        """CPU seconds of PostgreSQL and of the workers so far."""
        children = _children(self._postmaster)
        server = _cpu_s(self._postmaster, reaped=True) + sum(_cpu_s(pid) for pid in children)
        return server, self._of_killed + sum(_cpu_s(machine.pid) for machine in machines)


def _cpu_s(pid: int, *, reaped: bool = False) -> float:
    """CPU seconds of a process, and of its children that ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11 : 15 if reaped else 13])) / TICKS


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _counts(connection: sa.Connection, workflow: str) -> Counter[str]:
    return Counter({row[0]: row[1] for row in connection.execute(COUNT, {"name": f"%{workflow}"})})


def run(workers: int, studies: int, kills: int, *, deliver: bool, seed: int) -> dict[str, object]:
    """Do it once; returns the figures."""
    folder = Path(tempfile.mkdtemp(prefix="osteonode-workers-"))
    folder.chmod(0o755)
    chance = random.Random(seed)
    pacs = SlowPacs().start()
    machines: list[Machine] = []
    try:
        with Cluster(folder / "cluster", connections=workers * 12 + 20) as cluster:
            postmaster = int((folder / "cluster/data/postmaster.pid").read_text().split()[0])
            watch = Watch(postmaster)
            ports = [pacs.port] if deliver else []
            data = folder / "data"
            machines = [
                Machine(folder / f"m{k}", cluster.url, ports, data, processes=4)
                for k in range(workers)
            ]
            names = [f"study{k}" for k in range(studies)]
            _start(machines)
            engine = open_database(cluster.url)
            before = watch.cpu_s(machines)
            time.sleep(IDLE_SECONDS)
            after = watch.cpu_s(machines)
            idle = [round((b - a) / IDLE_SECONDS, 3) for a, b in zip(before, after, strict=True)]
            began = time.monotonic()
            queueing = threading.Thread(target=_queue, args=(machines[0], names))
            queueing.start()
            left = _until_done(engine, watch, machines, studies, kills, chance, deliver=deliver)
            queueing.join()
            seconds = time.monotonic() - began
            cpu = watch.cpu_s(machines)
            with engine.connect() as connection:
                assessed = _counts(connection, "assess_series")
                delivered = _counts(connection, "deliver")
                watch.look(connection)
            engine.dispose()
            took = sum(line["number"] for m in machines for line in m.events("took over work"))
            for machine in machines:
                machine.stop()
    finally:
        for machine in machines:
            machine.stop()
        pacs.stop()
        shutil.rmtree(folder, ignore_errors=True)
    done = sum((assessed + delivered).values())
    expected = {uid_of(name) for name in names} if deliver else set()
    return {
        "workers": workers,
        "studies": studies,
        "kills": kills - left,
        "taken_over": took,
        "seconds": round(seconds, 1),
        "workflows_per_s": round(done / seconds, 1),
        "assessed": dict(assessed),
        "delivered": dict(delivered),
        "lost": len(expected - pacs.stored.keys()) + studies - assessed["SUCCESS"],
        "other_forms": sum(len(set(forms)) > 1 for forms in pacs.stored.values()),
        "sent_again": sum(len(forms) - 1 for forms in pacs.stored.values()),
        "cpu_ms_a_workflow": {
            "postgresql": round((cpu[0] - after[0]) * 1000 / done, 1),
            "workers": round((cpu[1] - after[1]) * 1000 / done, 1),
        },
        "idle_cores": {"postgresql": idle[0], "workers": idle[1]},
        "connections": dict(watch.connections),
    }


def _queue(machine: Machine, names: list[str]) -> None:
    """Queue all studies ahead of the workers, which would leave it too little of the processor."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -15)
    machine.queue(names)


def _start(machines: list[Machine]) -> None:
    for machine in machines:
        machine.start()
    while not all(machine.events("working") for machine in machines):
        dead = [machine for machine in machines if machine.ended is not None]
        assert not dead, dead[0].log_path.read_text()[-2000:]
        time.sleep(0.5)


def _until_done(
    engine: sa.Engine,
    watch: Watch,
    machines: list[Machine],
    studies: int,
    kills: int,
    chance: random.Random,
    *,
    deliver: bool,
) -> int:
    """Kill and start again until all is done; returns how many kills were not made."""
    dead: dict[int, float] = {}
    marks = sorted(chance.random() * 0.8 for _ in range(kills))
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        with engine.connect() as connection:
            done = _counts(connection, "assess_series")["SUCCESS"]
            delivered = _counts(connection, "deliver")["SUCCESS"] if deliver else studies
            watch.look(connection)
        if done == studies and delivered == studies:
            break
        while marks and done >= marks[0] * studies:
            marks.pop(0)
            index = chance.randrange(len(machines))
            if index not in dead:
                watch.killed(machines[index])
                machines[index].kill()
                dead[index] = time.monotonic()
        for index, since in list(dead.items()):
            if time.monotonic() - since > RESTART_SECONDS:
                machines[index].start()
                del dead[index]
        time.sleep(0.5)
    return len(marks)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-deliver", action="store_true")
    given = parser.parse_args()
    figures = run(
        given.workers, given.studies, given.kills, deliver=not given.no_deliver, seed=given.seed
    )
    print(json.dumps(figures, indent=2))
    sys.exit(1 if figures["lost"] or figures["other_forms"] else 0)


if __name__ == "__main__":
    main()
