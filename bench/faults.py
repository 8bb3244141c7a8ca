"""Fault injection, long form: kills at random moments, a full disk, a locked database, outages.

Studies are sent, two at once, out of order and with doubles, while listener, worker and the
worker's child are killed with -9. Every second study comes with a change: a corrected patient
under the same UIDs, an instance that comes twice with other HU, a slice of another patient. At the
end both stand-in PACS must hold the reports that the content demands, and beside them at most those
that were sent before a change came; what contradicts itself is held and listed. Deflated bombs are
sent all the while, and the listener's memory is watched. The assessments are quick ones
(`tests.quick_worker`): everything but the measuring is the node's own.

    python -m bench.faults --kills 200 --seed 1
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests import fuzzing
from tests.fault_node import (
    LISTENER_MB,
    UNRULY,
    FaultNode,
    MoodyPacs,
    UnrulyStudy,
    plain,
    send_study,
)

KILLS_PER_STUDY = 2
PAUSE_SECONDS = {"listener": (0.2, 6.0), "child": (0.0, 10.0), "worker": (1.0, 30.0)}
"""From the start of a process to its end: one that never gets to work proves little."""

STARTED = {
    "listener": ("listening", None),
    "child": ("process started", "assessment"),
    "worker": ("working", None),
}
"""Event that tells of the start."""

LISTENER_SHARE = 0.6
"""Of all kills at most: it starts so fast that it would take most of them."""

FAULT_SECONDS = (2.0, 6.0)
DISK_MB_PER_STUDY = 1
"""Its slices and reports take .5 MB; the rest is soon filled."""


@contextmanager
def small_disk(folder: Path, studies: int) -> Iterator[bool]:
    """A file system of its own that can be filled; yields False where none can be mounted."""
    folder.mkdir(parents=True)
    size = 16 + DISK_MB_PER_STUDY * studies
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=0700", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)


def fill(folder: Path) -> Path:
    """Take all that is free."""
    path = folder / "filler"
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return path


def faults(
    node: FaultNode,
    peers: Sequence[MoodyPacs],
    disk: Path | None,
    chance: random.Random,
    stop: threading.Event,
    counts: Counter[str],
) -> None:
    """Every few seconds another fault that passes."""
    while not stop.wait(chance.uniform(5, 15)):
        seconds = chance.uniform(*FAULT_SECONDS)
        what = chance.choice(["outage", "database locked", *(["disk full"] if disk else [])])
        counts[what] += 1
        if what == "outage":
            peer = chance.choice(peers)
            peer.stop()
            stop.wait(seconds)
            peer.start()
        elif what == "disk full" and disk:
            filler = fill(disk)
            stop.wait(seconds)
            filler.unlink(missing_ok=True)
        elif (node.data / "osteonode.sqlite").exists():
            try:
                with node.locked_database():
                    stop.wait(seconds)
            except Exception as error:
                print(f"lock not taken: {type(error).__name__}", flush=True)


def watch_bombed(
    node: FaultNode, stop: threading.Event, counts: Counter[str], peaks: Counter[str]
) -> None:
    """Send bombs, and note what the listener held at most, until the end."""
    while not stop.wait(1.0):
        with suppress(Exception):  # a listener that is killed under it
            counts["bombs stored"] += fuzzing.send_bomb(node.port)
            counts["bombs"] += 1
        for what in ("listener", "worker"):
            peaks[what] = max(peaks[what], round(node.peak_mb(what)))


class Killer:
    """Kills the node's processes at random, each some time after it was last started."""

    def __init__(self, node: FaultNode, kills: int, chance: random.Random) -> None:
        self.killed: Counter[str] = Counter()
        self._node = node
        self._kills = kills
        self._chance = chance
        self._starts: Counter[str] = Counter()
        self._due: dict[str, float] = {}

    @property
    def done(self) -> bool:
        return sum(self.killed.values()) >= self._kills

    def look(self) -> None:
        """Kill what is due now."""
        for what, (event, process) in STARTED.items():
            found = [e for e in self._node.events(event) if e.get("process") == process]
            if len(found) > self._starts[what]:
                self._starts[what] = len(found)
                pause = self._chance.uniform(*PAUSE_SECONDS[what])
                self._due[what] = time.monotonic() + pause
            if time.monotonic() < self._due.get(what, float("inf")):
                continue
            if what == "listener" and self.killed[what] >= LISTENER_SHARE * self._kills:
                continue
            del self._due[what]
            before = self._node.kills
            self._node.kill(what)
            self.killed[what] += self._node.kills - before


def start_senders(port: int, studies: Sequence[UnrulyStudy], seed: int) -> list[threading.Thread]:
    """Two threads that send all studies, one at a time each."""
    waiting = list(studies)
    lock = threading.Lock()

    def send(number: int) -> None:
        own = random.Random(seed * 1000 + number)
        while True:
            with lock:
                if not waiting:
                    return
                study = waiting.pop()
            send_study(port, study, own)

    senders = [threading.Thread(target=send, args=(number,)) for number in range(2)]
    for sender in senders:
        sender.start()
    return senders


def soak(folder: Path, kills: int, seed: int) -> dict[str, object]:
    chance = random.Random(seed)
    started = time.monotonic()
    count = max(2, kills // KILLS_PER_STUDY)
    kinds = [plain if k % 2 else UNRULY[k // 2 % len(UNRULY)] for k in range(count)]
    studies = [make(folder / "ct" / str(k), f"soak-{seed}-{k}") for k, make in enumerate(kinds)]
    expected = {uid for study in studies for uid in study.final}
    passing = {uid for study in studies for uid in study.before}
    held = sum(study.held for study in studies)
    peers = [MoodyPacs(seed).start(), MoodyPacs(seed + 1).start()]
    for peer in peers:
        peer.moody = True
    counts: Counter[str] = Counter()
    stop = threading.Event()
    with small_disk(folder / "disk", count) as mounted:
        disk = folder / "disk" if mounted else None
        with FaultNode(
            (disk or folder) / "node",
            [peer.port for peer in peers],
            "max_wait_seconds = 20.0",
            log=folder / "node.log",
        ) as node:
            senders = start_senders(node.port, studies, seed)
            other = threading.Thread(target=faults, args=(node, peers, disk, chance, stop, counts))
            other.start()
            peaks: Counter[str] = Counter()
            watcher = threading.Thread(target=watch_bombed, args=(node, stop, counts, peaks))
            watcher.start()
            killer = Killer(node, kills, chance)
            last = time.monotonic()
            while not killer.done:
                time.sleep(0.2)
                killer.look()
                if time.monotonic() - last > 30:
                    last = time.monotonic()
                    have = [len(expected & set(peer.stored)) for peer in peers]
                    print(f"kills {dict(killer.killed)}, reports {have} of {count}", flush=True)
            for thread in senders:
                thread.join()
            stop.set()
            other.join()
            watcher.join()
            for peer in peers:
                peer.moody = False
                peer.start_again()
            node.wait_for(lambda: all(expected <= set(peer.stored) for peer in peers), seconds=1200)
            node.wait_for(lambda: conflicts(node.command("failed").stdout) == held, seconds=600)
            failed = node.command("failed").stdout
            restarts = len(node.events("working"))
    stored = [set(peer.stored) for peer in peers]
    for peer in peers:
        peer.stop()
    same = all(expected <= found <= expected | passing for found in stored)
    identical = all(len(set(c)) == 1 for peer in peers for c in peer.stored.values())
    reasons = [line for line in failed.splitlines() if line.startswith("\t")]
    only_held = len(reasons) == conflicts(failed) == held
    small = peaks["listener"] <= LISTENER_MB
    return {
        "ok": same and identical and only_held and small and not counts["bombs stored"],
        "seed": seed,
        "kills": dict(killer.killed),
        "faults": dict(counts),
        "small disk": mounted,
        "studies": count,
        "of them held": held,
        "starts of the worker": restarts,
        "right reports in both": same,
        "no report in two forms": identical,
        "most memory, MB": dict(peaks),
        "failed work": failed.strip(),
        "seconds": round(time.monotonic() - started),
    }


def conflicts(failed: str) -> int:
    """Studies that are held because instances contradict each other."""
    return failed.count("input.conflicting_instance")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="osteonode-faults-"))
    os.environ.setdefault("PYTHONPATH", str(Path(__file__).parents[1]))
    result = soak(folder, arguments.kills, arguments.seed)
    print(json.dumps(result, indent=1))
    if not result["ok"]:
        print(f"kept: {folder}")
        sys.exit(1)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
