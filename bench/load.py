"""Half an hour at the machine's limit: nothing lost, nothing twice, memory flat.

Run as ``python -m bench.load [--minutes 30]``. Two senders keep a backlog of studies before a whole
node (``osteonode serve`` with two assessments at a time and the HTTP endpoint): phantoms of two
sizes, some studies too short to be assessed, some sent a second time. At the end the stand-in PACS
must hold exactly one report for each study that can be assessed, with the very numbers that
``osteonode analyze`` gives for the same volume on an idle machine, and no process may have grown.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import psutil
import pydicom
import typer

from dicom_node.demo import free_port
from dicom_node.series.series_writer import InventedHeader, write_ct_series
from dicom_node.uids import derived_uid
from roi_extraction.phantom import PhantomParameters, make_phantom
from roi_extraction.volume import CtVolume
from tests.node_process import Node, Pacs

KINDS = {
    "256 x 256, 3 mm": ({}, 0.75),
    "512 x 512, 1.5 mm": (
        {"rows": 512, "columns": 512, "slice_thickness_mm": 1.5, "slice_step_mm": 1.5}, 0.15,
    ),
}  # fmt: skip
"""Phantoms, and which share of the studies each of them is; the rest is too short."""

PHANTOM_SEED = 7
SHORT = "too short"
SHORT_SLICES = 25
DOUBLES = 0.15
"""Share of the associations that send a study once more."""

SENDERS = 2
BACKLOG = 8
"""Studies that wait or are assessed, before the senders pause: the node always has work."""

SAMPLE_SECONDS = 10.0
WARM_UP = 0.25
"""Share of the time after which memory counts: libraries are loaded, buffers have their size."""

MAX_GROWTH = 0.10
"""From the first to the last third of the rest, of the memory that one process of a kind that
lasts exceeds in a tenth of the samples."""

LASTING = ("serve", "listen", "work", "web")
"""Kinds of processes that live as long as the node; a child assesses once and ends."""

DRAIN_SECONDS = 600.0

SETTINGS = """
[limits]
processes = 2
[web]
port = {port}
"""


@dataclass
class Sent:
    """The studies that were sent, by Study Instance UID."""

    kinds: dict[str, str] = field(default_factory=dict)
    answered: dict[str, float] = field(default_factory=dict)
    doubles: int = 0
    slices: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def volumes() -> dict[str, CtVolume]:
    """One volume of each kind."""
    found = {
        kind: make_phantom(PhantomParameters.random(PHANTOM_SEED, **changes), PHANTOM_SEED).volume
        for kind, (changes, _share) in KINDS.items()
    }
    whole = next(iter(found.values()))
    short = whole.hu[:SHORT_SLICES]
    return {**found, SHORT: CtVolume(short, whole.affine, whole.slice_thickness_mm)}


def alone(volume: CtVolume, folder: Path) -> tuple[tuple[float, ...], float]:
    """Numbers of the report of one volume, and the seconds of a warm assessment, without load."""
    program = (
        "import sys, time; from pathlib import Path\n"
        "from dicom_node.analysis.analysis import analyse\n"
        "from dicom_node.analysis.models import load_models\n"
        "from dicom_node.assessment.segmenters import SegmenterPlan\n"
        "from dicom_node.settings.node import Acquisition\n"
        "files = sorted(Path(sys.argv[1]).iterdir())\n"
        "for turn in range(3):\n"
        "    started = time.perf_counter()\n"
        "    analyse(files, Path(sys.argv[2]) / str(turn), Acquisition(), *load_models(None),"
        " SegmenterPlan(names=('builtin',)))\n"
        "    print(time.perf_counter() - started)"
    )
    write_ct_series(volume, folder / "ct", InventedHeader(seed="alone"))
    result = subprocess.run(
        [sys.executable, "-c", program, str(folder / "ct"), str(folder / "out")],
        capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    [report] = (folder / "out" / "2").rglob("report.sr.dcm")
    return numbers(pydicom.dcmread(report)), float(result.stdout.split()[-1])


def numbers(document: pydicom.Dataset) -> tuple[float, ...]:
    """All numeric values of a Structured Report, in its order."""
    found = [float(item.NumericValue) for item in document.get("MeasuredValueSequence", ())]
    for item in document.get("ContentSequence", ()):
        found += numbers(item)
    return tuple(found)


def send(folder: Path, port: int) -> None:
    """Send by dcmtk until all is taken, as a PACS does."""
    command = [
        "/usr/bin/storescu", "-R", "-aec", "OSTEONODE", "+sd", "127.0.0.1", str(port), str(folder)
    ]  # fmt: skip
    for _ in range(20):
        result = subprocess.run(
            command, capture_output=True, env={**os.environ, "TCP_NODELAY": "1"}, timeout=600
        )
        if result.returncode == 0:
            return
        time.sleep(1.0)
    raise RuntimeError("a study was not taken")


def sender(
    number: int, work: Path, node: Node, pacs: Pacs, by_kind: dict[str, CtVolume], sent: Sent,
    stop: threading.Event,
) -> None:  # fmt: skip
    """Keep the backlog filled."""
    own = random.Random(number)
    shares = [share for _, share in KINDS.values()]
    kept: list[Path] = []
    count = 0
    while not stop.is_set():
        with sent.lock:
            waiting = sum(kind != SHORT for kind in sent.kinds.values()) - len(pacs.uids)
        if waiting >= BACKLOG:
            stop.wait(0.2)
            continue
        if kept and own.random() < DOUBLES:
            send(own.choice(kept), node.port)
            with sent.lock:
                sent.doubles += 1
            continue
        [kind] = own.choices([*KINDS, SHORT], [*shares, 1 - sum(shares)])
        seed = f"load-{number}-{count}"
        count += 1
        folder = work / seed
        paths = write_ct_series(by_kind[kind], folder, InventedHeader(seed=seed))
        uid = derived_uid("invented-study", seed)
        with sent.lock:
            sent.kinds[uid] = kind
            sent.slices += len(paths)
        send(folder, node.port)
        with sent.lock:
            sent.answered[uid] = time.time()
        if len(kept) < 3 and kind != SHORT:
            kept.append(folder)
        else:
            shutil.rmtree(folder)


def memory(root: psutil.Process) -> dict[str, float]:
    """Proportional resident memory, MB, of the largest process of each kind."""
    found: dict[str, float] = defaultdict(float)
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.Error):
            words = process.cmdline()
            kind = next((word for word in LASTING if word in words), "")
            if not kind and any("forkserver" in word for word in words):
                kind = "assessment"
            if kind:
                found[kind] = max(found[kind], process.memory_full_info().pss / 1e6)
    return found


def growth(samples: list[tuple[float, float]], start: float, end: float) -> dict[str, float]:
    """Memory exceeded in a tenth of the first and of the last third after the warm-up; the peak."""
    begin = start + WARM_UP * (end - start)
    third = (end - begin) / 3
    early, late = (
        np.quantile([mb for at, mb in samples if low <= at < low + third], 0.9)
        for low in (begin, end - third)
    )
    peak = max(mb for _, mb in samples)
    return {"early": round(early), "late": round(late), "peak": round(peak),
            "growth": round(late / early - 1, 3)}  # fmt: skip


def fetch(port: int, path: str) -> float:
    """Seconds that the HTTP endpoint takes to answer."""
    started = time.perf_counter()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        answer.read()
    return time.perf_counter() - started


def soak(work: Path, minutes: float) -> dict[str, object]:
    by_kind = volumes()
    expected = {kind: alone(by_kind[kind], work / f"alone-{n}") for n, kind in enumerate(KINDS)}
    web = free_port()
    sent, stop = Sent(), threading.Event()
    samples: dict[str, list[tuple[float, float]]] = defaultdict(list)
    answers: list[float] = []
    with Pacs() as pacs:
        node = Node(work / "node", pacs.port)
        node.config.write_text(node.config.read_text() + SETTINGS.format(port=web))
        with node:
            watched = psutil.Process(node.process.pid)
            start = time.monotonic()
            end = start + minutes * 60
            threads = [
                threading.Thread(target=sender, args=(n, work, node, pacs, by_kind, sent, stop))
                for n in range(SENDERS)
            ]
            for thread in threads:
                thread.start()
            while time.monotonic() < end:
                time.sleep(SAMPLE_SECONDS)
                now = time.monotonic()
                for kind, megabytes in memory(watched).items():
                    samples[kind].append((now, megabytes))
                answers.append(fetch(web, "/metrics"))
                if len(answers) % 30 == 0:
                    last = {kind: round(values[-1][1]) for kind, values in samples.items()}
                    print(
                        f"{now - start:5.0f} s  {len(pacs.stored)} reports  MB {last}", flush=True
                    )
            under_load = len(pacs.stored)
            stop.set()
            for thread in threads:
                thread.join()
            wanted = {uid for uid, kind in sent.kinds.items() if kind != SHORT}
            deadline = time.monotonic() + DRAIN_SECONDS
            while time.monotonic() < deadline and (
                len(pacs.stored) < len(wanted)
                or len(node.events("refused")) < len(sent.kinds) - len(wanted)
            ):
                time.sleep(1.0)
            time.sleep(10.0)  # a second report would come now
            ready = fetch(web, "/readyz")
            refused = Counter(event["code"] for event in node.events("refused"))
            deaths = len(node.events("process died"))
            faults = Counter(
                event["event"] for name in ("unforeseen fault", "assessment interrupted",
                "assessment failed", "delivery attempt failed") for event in node.events(name)
            )  # fmt: skip
            delivered = {e["assessment"]: e["timestamp"] for e in node.events("delivered")}
            assessed = [e["seconds"] for e in node.events("assessed")]
            database = sum(f.stat().st_size for f in (work / "node/data").glob("*.sqlite*"))
    reports = Counter(str(document.StudyInstanceUID) for document in pacs.stored)
    other = sum(
        numbers(document) != expected[sent.kinds[str(document.StudyInstanceUID)]][0]
        for document in pacs.stored
    )
    grown = {kind: growth(values, start, end) for kind, values in samples.items()}
    flat = all(grown[kind]["growth"] <= MAX_GROWTH for kind in LASTING)
    each_once = set(reports) == wanted and set(reports.values()) <= {1}
    short = len(sent.kinds) - len(wanted)
    return {
        "ok": each_once and flat and not other and not deaths and not faults
        and sum(refused.values()) == short,
        "minutes": minutes,
        "studies": dict(Counter(sent.kinds.values())),
        "slices": sent.slices,
        "sent once more": sent.doubles,
        "reports": len(pacs.stored),
        "reports an hour": round(under_load / minutes * 60),
        "one report for each study": each_once,
        "reports with other numbers than alone": other,
        "refused": dict(refused),
        "processes that died": deaths,
        "faults": dict(faults),
        "deliveries": len(delivered),
        "assessment seconds, median under load": round(median(assessed), 2),
        "assessment seconds alone": {k: round(s, 2) for k, (_, s) in expected.items()},
        "metrics seconds, median and most": [round(median(answers), 3),
                                             round(max(answers), 3)],
        "ready at the end after s": round(ready, 3),
        "database MB": round(database / 1e6, 1),
        "memory MB": grown,
    }  # fmt: skip


def main(
    minutes: Annotated[float, typer.Option(help="How long studies are sent.")] = 30.0,
) -> None:
    """Send, watch, compare; exit 1 if anything is not as it must be."""
    work = Path(tempfile.mkdtemp(prefix="osteonode-load-"))
    result = soak(work, minutes)
    print(json.dumps(result, indent=1))
    if not result["ok"]:
        print(f"kept: {work}")
        raise typer.Exit(1)
    shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    typer.run(main)
