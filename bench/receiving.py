"""Rate at which CT slices are received, beside dcmtk, Orthanc and a plain pynetdicom server.

Run as ``python -m bench.receiving [ROUNDS]``. dcmtk's storescu sends, TCP_NODELAY at both ends; all
receivers take turns in each round and ratios are of medians, since rates depend on the machine.
Nobody syncs its files to the disk, but for osteonode with its default durability, listed apart.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np

from dicom_node.demo import free_port, listens
from dicom_node.series.series_writer import InventedHeader, write_ct_series
from roi_extraction.phantom import PhantomParameters, make_phantom
from roi_extraction.volume import CtVolume

SLICES = 300
SENDERS = 4
SLICES_EACH = 150
"""One association sends 300 slices; four send 150 each, as their start counts too."""

TARGETS = {
    "1 association, of dcmtk": 0.45,
    "4 associations, of dcmtk": 0.6,
    "1 association, of plain pynetdicom": 1.3,
    "4 associations, of plain pynetdicom": 1.3,
    "1 association, of idle while assessing": 0.7,
}

NODELAY = {**os.environ, "TCP_NODELAY": "1"}

PLAIN = """
import sys
from pathlib import Path
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage
folder = Path(sys.argv[2])
def store(event):
    dataset = event.dataset
    dataset.file_meta = event.file_meta
    dataset.save_as(folder / f"{dataset.SOPInstanceUID}.dcm", enforce_file_format=True)
    return 0x0000
ae = AE(ae_title="OSTEONODE")
ae.add_supported_context(CTImageStorage)
ae.start_server(("127.0.0.1", int(sys.argv[1])), evt_handlers=[(evt.EVT_C_STORE, store)])
"""
"""As pynetdicom's documentation shows it."""


def write_series(folder: Path, slices: int, seed: str) -> int:
    """Write 512 x 512 slices and return their bytes."""
    pixels = np.random.default_rng(1).integers(-1000, 1000, (slices, 512, 512), dtype=np.int16)
    affine = np.array([[0, 0, 0.7, 0], [0, 0.7, 0, 0], [1.0, 0, 0, 0], [0, 0, 0, 1]], float)
    paths = write_ct_series(CtVolume(pixels, affine, 1.0), folder, InventedHeader(seed=seed))
    return sum(path.stat().st_size for path in paths)


def commands(folder: Path, port: int) -> dict[str, list[str]]:
    """How each receiver is started."""
    stored = folder / "stored"
    stored.mkdir(parents=True)
    (folder / "plain.py").write_text(PLAIN)
    (folder / "orthanc.json").write_text(
        json.dumps(
            {
                "StorageDirectory": str(stored), "IndexDirectory": str(stored), "DicomPort": port,
                "DicomAet": "OSTEONODE", "HttpServerEnabled": False, "DicomAlwaysAllowStore": True,
                "SyncStorageArea": False, "Plugins": [],
            }
        )
    )  # fmt: skip
    return {
        "dcmtk storescp": [
            "/usr/bin/storescp", "--fork", "+B", "-pdu", "131072", "-od", str(stored), str(port)
        ],
        "Orthanc": ["Orthanc", str(folder / "orthanc.json")],
        "plain pynetdicom": [sys.executable, str(folder / "plain.py"), str(port), str(stored)],
    }  # fmt: skip


def node_command(folder: Path, port: int, processes: int, durability: str) -> list[str]:
    """How the node's listener is started; with several processes by the supervisor."""
    config = folder / "node.toml"
    config.write_text(
        f"data_dir = {json.dumps(str(folder / 'data'))}\n[listener]\nport = {port}\n"
        f'processes = {processes}\ndurability = "{durability}"\nmin_free_mb = 0\n'
    )
    if processes == 1:
        arguments = ["-m", "dicom_node", "listen", "--config", str(config)]
        return [sys.executable, *arguments]
    program = (
        "from pathlib import Path\n"
        "from dicom_node.supervisor import Command, stop_on_signal, supervise\n"
        "commands = [Command(f'l{i}', ('listen', '--index', str(i)))"
        f" for i in range({processes})]\n"
        f"supervise(commands, Path({str(config)!r}), stop_on_signal())"
    )
    return [sys.executable, "-c", program]


@contextmanager
def running(command: Sequence[str], port: int) -> Iterator[None]:
    """A receiver, from when it answers until it is killed."""
    process = subprocess.Popen(
        command, env=NODELAY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start")
            time.sleep(0.1)
        time.sleep(1.0)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def send(folders: Sequence[Path], port: int) -> float:
    """Seconds that storescu takes for all folders, one association each."""
    started = time.perf_counter()
    senders = [
        subprocess.Popen(
            ["/usr/bin/storescu", "-R", "-aec", "OSTEONODE", "--max-send-pdu", "131072", "+sd",
             "127.0.0.1", str(port), str(folder)],
            env=NODELAY, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        for folder in folders
    ]  # fmt: skip
    for sender in senders:
        _, errors = sender.communicate()
        if sender.returncode != 0:
            raise RuntimeError(errors.decode())
    return time.perf_counter() - started


@contextmanager
def assessing(folder: Path) -> Iterator[None]:
    """Assessments of a phantom, one after the other, in a process of their own."""
    phantom = make_phantom(PhantomParameters.random(7), 7)
    write_ct_series(phantom.volume, folder / "ct", InventedHeader(seed="bench"))
    program = (
        "import subprocess, sys\n"
        "while True: subprocess.run([sys.executable, '-m', 'dicom_node', 'analyze', sys.argv[1],"
        " '-o', sys.argv[2]], stdout=subprocess.DEVNULL)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(folder / "ct"), str(folder / "out")],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True,
    )  # fmt: skip
    time.sleep(3.0)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def rate(
    command: str, work: Path, folders: Sequence[Path], size: int, processes: int = 1,
    durability: str = "none",
) -> float:  # fmt: skip
    """MB/s into one receiver, begun afresh."""
    folder, port = Path(tempfile.mkdtemp(dir=work)), free_port()
    if command == "osteonode":
        chosen = node_command(folder, port, processes, durability)
    else:
        chosen = commands(folder, port)[command]
    try:
        with running(chosen, port):
            return size / 1e6 / send(folders, port)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        one = write_series(work / "one", SLICES, "one")
        many = sum(write_series(work / f"m{k}", SLICES_EACH, f"m{k}") for k in range(SENDERS))
        folders = [work / f"m{k}" for k in range(SENDERS)]
        single: dict[str, list[float]] = defaultdict(list)
        multiple: dict[str, list[float]] = defaultdict(list)
        for _ in range(rounds):
            for command in ("dcmtk storescp", "Orthanc", "plain pynetdicom", "osteonode"):
                single[command].append(rate(command, work, [work / "one"], one))
                multiple[command].append(rate(command, work, folders, many))
            label = "osteonode, synced to the disk"
            single[label].append(rate("osteonode", work, [work / "one"], one, durability="fsync"))
            multiple[label].append(rate("osteonode", work, folders, many, durability="fsync"))
            label = "osteonode, 2 processes"
            multiple[label].append(rate("osteonode", work, folders, many, 2))
            with assessing(work / "assessing"):
                label = "osteonode while assessing"
                single[label].append(rate("osteonode", work, [work / "one"], one))
        report(single, multiple)


def report(single: dict[str, list[float]], multiple: dict[str, list[float]]) -> None:
    """Print medians, and the ratios beside their targets."""
    one = {name: median(rates) for name, rates in single.items()}
    four = {name: median(rates) for name, rates in multiple.items()}
    print(f"{'MB/s (median)':30} {'1 association':>14} {'4 associations':>15}")
    for name in {**one, **four}:
        cells = [f"{rates[name]:.0f}" if name in rates else "-" for rates in (one, four)]
        print(f"{name:30} {cells[0]:>14} {cells[1]:>15}")
    best = max(four["osteonode"], four["osteonode, 2 processes"])
    ratios = {
        "1 association, of dcmtk": one["osteonode"] / one["dcmtk storescp"],
        "4 associations, of dcmtk": best / four["dcmtk storescp"],
        "1 association, of plain pynetdicom": one["osteonode"] / one["plain pynetdicom"],
        "4 associations, of plain pynetdicom": best / four["plain pynetdicom"],
        "1 association, of idle while assessing": one["osteonode while assessing"]
        / one["osteonode"],
    }
    for name, ratio in ratios.items():
        verdict = "reached" if ratio >= TARGETS[name] else "NOT REACHED"
        print(f"{name:40} {ratio:.2f} (target {TARGETS[name]:.2f}) {verdict}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
