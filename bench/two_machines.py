"""Two machines and PostgreSQL, each in a network of its own: one machine is cut off, then is back.

Each is a network namespace with one wire to a bridge. The first machine has two assessments in hand
when its wire is cut: nothing tells PostgreSQL or the other machine that it is gone. The second must
take them over, and the first, when it is back, must find out and end. They share a folder: only the
network is cut. Needs root, `ip` (iproute2) and PostgreSQL installed as on Debian.

    python -m bench.two_machines
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.postgresql import Cluster
from tests.simulated_machine import Machine, wait_for

BRIDGE = "osteonode-hub"
PLACES = {"osteonode-db": 1, "osteonode-m1": 2, "osteonode-m2": 3}
"""Network namespaces, and the last number of their addresses."""


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _address(place: str) -> str:
    return f"10.123.45.{PLACES[place]}"


@contextmanager
def networks() -> Iterator[None]:
    """The places with their wires, all in a further namespace with the bridge."""
    made = [BRIDGE, *PLACES]
    try:
        for name in made:
            _ip("netns", "add", name)
        _ip("-n", BRIDGE, "link", "add", "hub", "type", "bridge")
        _ip("-n", BRIDGE, "link", "set", "hub", "up")
        for place, number in PLACES.items():
            end = f"wire{number}"
            _ip("-n", BRIDGE, "link", "add", end, "type", "veth", "peer", "eth", "netns", place)
            _ip("-n", BRIDGE, "link", "set", end, "master", "hub")
            _ip("-n", BRIDGE, "link", "set", end, "up")
            _ip("-n", place, "address", "add", f"{_address(place)}/24", "dev", "eth")
            _ip("-n", place, "link", "set", "eth", "up")
            _ip("-n", place, "link", "set", "lo", "up")
        yield
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def inside(place: str) -> list[str]:
    """What begins a command that is run in a place."""
    return ["ip", "netns", "exec", place]


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="osteonode-two-"))
    folder.chmod(0o755)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.enter_context(networks())
        place = "osteonode-db"
        cluster = Cluster(folder / "db", address=_address(place), prefix=inside(place))
        stack.enter_context(cluster)
        data = folder / "data"
        first, second = (
            Machine(folder / name, cluster.url, (), data, seconds=seconds, prefix=inside(name))
            for name, seconds in (("osteonode-m1", 600.0), ("osteonode-m2", 0.0))
        )
        for machine in (first, second):
            stack.callback(machine.stop)
        first.start()
        wait_for(lambda: first.events("working"), first)
        first.queue_inside(["one", "two"])
        wait_for(lambda: len(first.events("assessing")) == 2, first)
        second.start()
        wait_for(lambda: second.events("working"), second)
        _ip("-n", BRIDGE, "link", "set", "wire2", "down")
        cut = time.monotonic()
        wait_for(lambda: len(second.events("assessed")) == 2, second)
        taken = time.monotonic() - cut
        _ip("-n", BRIDGE, "link", "set", "wire2", "up")
        back = time.monotonic()
        wait_for(lambda: first.ended is not None, first)
        figures = {
            "cut_off_to_done_s": round(taken, 1),
            "back_to_ended_s": round(time.monotonic() - back, 1),
            "exit_status": first.ended,
            "told": bool(first.events("work taken over")),
        }
    print(json.dumps(figures, indent=2))
    sys.exit(0 if taken < 60 and figures["told"] else 1)


if __name__ == "__main__":
    main()
