"""Two machines and PostgreSQL, each in a network of its own: what one leaves, the other does.

Each is a network namespace with one wire to a bridge.

1. The first machine has two assessments in hand when its wire is cut: nothing tells PostgreSQL or
   the other machine that it is gone. The second must take them over, and the first, when it is
   back, must find out and end. They share a folder: only the network is cut.
2. The first machine received a study and assesses nothing; the second, with a folder of its own,
   fetches it, assesses it and hands its report in. Told are the cost of the transfer and its ratio
   to the assessment. The study is a phantom of 512 x 512 pixels in slices of 1 mm.

Needs root, `ip` (iproute2) and PostgreSQL installed as on Debian.

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
from typing import Any

import pydicom

from dicom_node.series.series_writer import InventedHeader, write_ct_series
from dicom_node.spool.spool import Spool
from roi_extraction.phantom import PhantomParameters, make_phantom
from tests.certificates import Authority
from tests.postgresql import Cluster
from tests.simulated_machine import Machine, wait_for

BRIDGE = "osteonode-hub"
PLACES = {"osteonode-db": 1, "osteonode-m1": 2, "osteonode-m2": 3}
"""Network namespaces, and the last number of their addresses."""

FETCHED_SECONDS = 600.0
"""How long the second case may take."""


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


def cut_off(folder: Path, cluster: Cluster) -> dict[str, Any]:
    """Cut off a machine with work in hand, and let it come back."""
    data = folder / "data"
    first, second = (
        Machine(folder / name, cluster.url, (), data, seconds=seconds, prefix=inside(name))
        for name, seconds in (("osteonode-m1", 600.0), ("osteonode-m2", 0.0))
    )
    with ExitStack() as stack:
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
        return {
            "cut_off_to_done_s": round(taken, 1),
            "back_to_ended_s": round(time.monotonic() - back, 1),
            "exit_status": first.ended,
            "told": bool(first.events("work taken over")),
        }


class WholeNode:
    """`osteonode serve` of one machine, with a data folder of its own."""

    def __init__(
        self, folder: Path, place: str, cluster: Cluster, authority: Authority, processes: int
    ) -> None:
        folder.mkdir()
        self.data = folder / "data"
        self._log = folder / "log"
        key, certificate = authority.issue(_address(place))
        config = folder / "node.toml"
        config.write_text(
            f"""data_dir = {json.dumps(str(self.data))}
database_url = "{cluster.url}_fetched"
quiet_seconds = 1.0
[limits]
processes = {processes}
[exchange]
host = "{_address(place)}"
port = 11443
certificate = "{certificate}"
key = "{key}"
ca = "{authority.path}"
"""
        )
        self._command = [*inside(place), sys.executable, "-m", "dicom_node", "serve", "--config"]
        self._command.append(str(config))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("wb") as log_file:
            self._process = subprocess.Popen(self._command, stderr=log_file)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)

    def event(self, name: str) -> dict[str, Any]:
        """The first line of its log with this event, once it is there."""
        deadline = time.monotonic() + FETCHED_SECONDS
        while time.monotonic() < deadline:
            for line in self._log.read_text().splitlines():
                if line.startswith("{") and json.loads(line)["event"] == name:
                    found: dict[str, Any] = json.loads(line)
                    return found
            time.sleep(0.2)
        raise AssertionError(f"no {name!r} in {self._log.read_text()[-3000:]}")


def receive(data: Path, folder: Path) -> int:
    """Put a phantom study into a spool, and return its bytes."""
    parameters = PhantomParameters.random(
        7, rows=512, columns=512, slice_thickness_mm=1.0, slice_step_mm=1.0
    )
    spool = Spool(data, durable=False)
    spool.prepare()
    total = 0
    paths = write_ct_series(make_phantom(parameters, 7).volume, folder, InventedHeader(seed="two"))
    for path in paths:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        content = path.read_bytes()
        total += len(content)
        uids = str(header.SeriesInstanceUID), str(header.SOPInstanceUID)
        spool.store(content, *uids, study_uid=str(header.StudyInstanceUID))
    return total


def elsewhere(folder: Path, cluster: Cluster) -> dict[str, Any]:
    """Assess on one machine what the other received."""
    authority = Authority(folder / "authority")
    first, second = (
        WholeNode(folder / f"whole-{place}", place, cluster, authority, processes)
        for place, processes in (("osteonode-m1", 0), ("osteonode-m2", 1))
    )
    size_mb = receive(first.data, folder / "phantom") / 1e6
    with ExitStack() as stack:
        for node in (first, second):
            stack.callback(node.stop)
            node.start()
        fetched, assessed = second.event("instances fetched"), second.event("assessed")
        first.event("report taken in")
        left = [*(second.data / "fetched").rglob("*.dcm")]
        kept = [*(first.data / "reports").glob("*/*/report.sr.dcm")]
    return {
        "study_mb": round(size_mb, 1),
        "instances": fetched["instances"],
        "fetch_s": fetched["seconds"],
        "fetch_s_per_100_mb": round(fetched["seconds"] / size_mb * 100, 2),
        "assessment_s": assessed["seconds"],
        "fetch_to_assessment": round(fetched["seconds"] / assessed["seconds"], 3),
        "left_at_the_second": len(left),
        "reports_at_the_first": len(kept),
    }


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="osteonode-two-"))
    folder.chmod(0o755)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.enter_context(networks())
        place = "osteonode-db"
        cluster = Cluster(folder / "db", address=_address(place), prefix=inside(place))
        stack.enter_context(cluster)
        figures = {"cut_off": cut_off(folder, cluster), "elsewhere": elsewhere(folder, cluster)}
    print(json.dumps(figures, indent=2))
    cut, fetched = figures["cut_off"], figures["elsewhere"]
    right = cut["cut_off_to_done_s"] < 60 and cut["told"]
    right &= (fetched["left_at_the_second"], fetched["reports_at_the_first"]) == (0, 1)
    sys.exit(0 if right else 1)


if __name__ == "__main__":
    main()
