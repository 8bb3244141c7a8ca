"""A node whose processes are killed at random, and a PACS that misbehaves, for fault injection."""

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom.filereader import read_dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    ComprehensiveSRStorage,
    CTImageStorage,
    KeyObjectSelectionDocumentStorage,
)

from dicom_node.analysis.analysis import series_identity
from dicom_node.demo import free_port, listens
from dicom_node.reporting.structured_report import report_uids
from dicom_node.series.instances import scan_folder
from dicom_node.series.selection import check_series
from dicom_node.series.series_writer import InventedHeader, write_ct_series
from dicom_node.series.volume_reader import read_volume
from dicom_node.settings.node import Acquisition, load_settings
from dicom_node.work.failed_work import FailedWork, failed_work
from tests.command_line import run_command
from tests.dicom_builders import edit, plain_volume
from tests.kernel_memory import kernel_memory_mb
from tests.quick_assessment import MODEL_ID

LISTENER_MB = 150
"""Most that the listener may hold."""

SLICES = 36
"""The quick assessment measures in the first 33."""

DEADLINE_SECONDS = 240.0


class MoodyPacs:
    """A storage SCP that at times refuses, breaks off after it has stored, or is not there.

    ``stored`` and ``withdrawn`` are the reports and the notes of withdrawal that it got, by UID.
    """

    def __init__(self, seed: int) -> None:
        self.port = free_port()
        self.stored: dict[str, list[bytes]] = {}
        self.withdrawn: dict[str, list[bytes]] = {}
        self.moody = False
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._server: Any = None

    def start(self) -> "MoodyPacs":
        ae = AE(ae_title="PACS")
        ae.add_supported_context(ComprehensiveSRStorage)
        ae.add_supported_context(KeyObjectSelectionDocumentStorage)
        self._server = ae.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )
        return self

    def start_again(self) -> None:
        """Start if it is stopped."""
        if self._server is None:
            self.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    @property
    def superseded(self) -> set[str]:
        """UIDs that a later report names as its predecessor."""
        return {
            str(item.ReferencedSOPInstanceUID)
            for contents in self.stored.values()
            for study in _dataset(contents[0]).get("PredecessorDocumentsSequence", ())
            for series in study.ReferencedSeriesSequence
            for item in series.ReferencedSOPSequence
        }

    def _store(self, event: Any) -> int:
        mood = self._random.random() if self.moody else 1.0
        if mood < 0.15:
            return 0xA700
        with self._lock:
            uid = str(event.request.AffectedSOPInstanceUID)
            report = event.request.AffectedSOPClassUID == ComprehensiveSRStorage
            kept = self.stored if report else self.withdrawn
            kept.setdefault(uid, []).append(event.encoded_dataset(include_meta=False))
        if mood < 0.3:
            event.assoc.abort()
        return 0x0000


def _dataset(content: bytes) -> pydicom.Dataset:
    return read_dataset(BytesIO(content), is_implicit_VR=False, is_little_endian=True)


class FaultNode:
    """Listener and quick worker as processes of their own, started again when they die."""

    def __init__(
        self,
        folder: Path,
        ports: Sequence[int],
        settings: str = "",
        log: Path | None = None,
        ae_title: str = "PACS",
        destination: str = 'objects = ["sr"]',
        processes: int = 1,
        exchange: bool = False,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.data = folder / "data"
        self.log_path = log or folder / "node.log"
        self.port = free_port()
        self.config = folder / "node.toml"
        self.kills = 0
        peers = "".join(
            f"""[[destinations]]
name = "pacs{index}"
ae_title = "{ae_title}"
host = "127.0.0.1"
port = {port}
{destination}
retry_seconds = 0.3
retry_backoff = 1.1
timeout_seconds = 10
"""
            for index, port in enumerate(ports)
        )
        self.config.write_text(
            f"""data_dir = {json.dumps(str(self.data))}
quiet_seconds = 1.0
poll_seconds = 0.3
{settings}
[listener]
port = {self.port}
min_free_mb = 0
[limits]
attempts = 20
processes = {processes}
[acquisition]
min_coverage_mm = 90
{peers}"""
        )
        self._commands = {
            "listener": [sys.executable, "-m", "dicom_node", "listen"],
            "worker": [sys.executable, "-m", "tests.quick_worker"],
        }
        if exchange:
            self._commands["exchange"] = [sys.executable, "-m", "tests.held_exchange"]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stop = threading.Event()
        self._keeper = threading.Thread(target=self._keep)

    def __enter__(self) -> "FaultNode":
        self._keeper.start()
        return self

    def __exit__(self, *_details: object) -> None:
        self._stop.set()
        self._keeper.join()
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def kill(self, what: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Kill the listener, the worker, the server of its children or one of these."""
        find = {"server": servers, "child": assessing}.get(what)
        process = self._processes.get(what if find is None else "worker")
        if process is None or process.poll() is not None:
            return
        pids = [process.pid] if find is None else find(process.pid)
        for pid in pids[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
                self.kills += 1

    @contextlib.contextmanager
    def without(self, what: str) -> Iterator[None]:
        """Kill a process and do not start it again."""
        command = self._commands.pop(what)
        self._processes[what].kill()
        self._processes[what].wait()
        try:
            yield
        finally:
            self._commands[what] = command

    def peak_mb(self, what: str) -> float:
        """Most memory that the listener or the worker that runs now ever held, MB."""
        process = self._processes.get(what)
        if process is None:
            return 0.0
        with contextlib.suppress(OSError):
            return kernel_memory_mb(process.pid, "status", "VmHWM")
        return 0.0

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = self.log_path.read_text().splitlines() if self.log_path.exists() else []
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):  # a line that a kill cut short
                found.append(json.loads(line))
        return [line for line in found if line.get("event") == name]

    def wait_for(self, condition: Callable[[], Any], seconds: float = DEADLINE_SECONDS) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            result = condition()
            if result:
                return result
            time.sleep(0.1)
        raise AssertionError(f"waited in vain:\n{self.log_path.read_text()[-4000:]}")

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """What a command with the node's settings says."""
        return run_command(self.config, *words)

    def failed(self) -> list[FailedWork]:
        """What ``osteonode failed`` lists."""
        return failed_work(load_settings(self.config))

    @contextlib.contextmanager
    def locked_database(self) -> Iterator[None]:
        """Keep everyone else from writing to the workflow database."""
        connection = sqlite3.connect(self.data / "osteonode.sqlite", timeout=60)
        connection.isolation_level = None
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")
            connection.close()

    def _keep(self) -> None:
        while not self._stop.wait(0.1):
            for name, command in list(self._commands.items()):
                process = self._processes.get(name)
                if process is None or process.poll() is not None:
                    words = ["--config"] if name == "listener" else []
                    with self.log_path.open("ab") as log_file:
                        self._processes[name] = subprocess.Popen(
                            [*command, *words, str(self.config)],
                            stderr=log_file,
                            stdout=subprocess.DEVNULL,
                        )


def servers(worker: int) -> list[int]:
    """The process, none or one, that forks the children of a worker that assess."""
    return [pid for pid in _children(worker) if _is_server(pid)]


def assessing(worker: int) -> list[int]:
    """The children of a worker that do its assessments."""
    return [child for server in servers(worker) for child in _children(server)]


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def _is_server(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def quick_study(folder: Path, seed: str) -> tuple[list[Path], str]:
    """(files of a small series, UID of the one report that it must give)."""
    paths = write_ct_series(plain_volume(SLICES), folder, InventedHeader(seed=seed))
    return paths, report_uid(paths)


def report_uid(paths: Sequence[Path]) -> str:
    """UID of the report that a quick assessment of one series must give."""
    found, _ = scan_folder(paths)
    rules = Acquisition(min_coverage_mm=90)
    series = check_series(found, rules)
    return report_uids(series_identity(series, read_volume(series), rules, MODEL_ID))[1]


@dataclass(frozen=True)
class UnrulyStudy:
    """A study that arrives with a change, and what must come of it.

    ``parts`` are sent one after the other, each in any order. ``final`` are the UIDs of the reports
    that must stand in the end, ``before`` of one that may have been sent until the change came.
    ``held`` says that a contradiction keeps it back until someone decides.
    """

    parts: tuple[list[Path], ...]
    final: frozenset[str]
    before: frozenset[str] = frozenset()
    held: bool = False


def corrected(folder: Path, seed: str) -> UnrulyStudy:
    """A study that is sent again, under the same UIDs, with another patient."""
    first, before = quick_study(folder / "first", seed)
    second = [Path(shutil.copy(path, folder / path.name)) for path in first]
    for path in second:
        edit(path, PatientID="CORRECTED", PatientBirthDate="19501231")
    return UnrulyStudy((first, second), frozenset({report_uid(second)}), frozenset({before}))


def conflicting(folder: Path, seed: str) -> UnrulyStudy:
    """A study one instance of which comes a second time with other HU."""
    paths, before = quick_study(folder / "first", seed)
    other = Path(shutil.copy(paths[SLICES // 2], folder / "other.dcm"))
    edit(other, RescaleIntercept="-1000")
    return UnrulyStudy((paths, [other]), frozenset(), frozenset({before}), held=True)


def with_foreign_slice(folder: Path, seed: str) -> UnrulyStudy:
    """A study with one slice of another patient in its series."""
    paths, uid = quick_study(folder / "first", seed)
    foreign = Path(shutil.copy(paths[SLICES // 2], folder / "foreign.dcm"))
    edit(foreign, PatientID="OTHER", PatientBirthDate="19200202", SOPInstanceUID=generate_uid())
    return UnrulyStudy((paths, [foreign]), frozenset({uid}))


def plain(folder: Path, seed: str) -> UnrulyStudy:
    """A study that comes as it is."""
    paths, uid = quick_study(folder, seed)
    return UnrulyStudy((paths,), frozenset({uid}))


UNRULY = (corrected, conflicting, with_foreign_slice)
"""What can be wrong with a study."""


def send_until_taken(
    port: int, paths: Sequence[Path], chance: random.Random, seconds: float = 1200.0
) -> None:
    """Send as an archive does: again and again until each instance was taken.

    The outer slices go first, so that what is missing is always a gap in the middle; the others
    go in any order, and some of them twice.
    """
    inner = list(paths[1:-1])
    inner += chance.sample(inner, min(5, len(inner)))
    chance.shuffle(inner)
    left = [*dict.fromkeys((paths[0], paths[-1])), *inner]
    deadline = time.monotonic() + seconds
    while left:
        assert time.monotonic() < deadline, "the listener takes nothing"
        if not listens(port):  # pynetdicom leaves a socket open where nobody listens
            time.sleep(0.2)
            continue
        ae = AE(ae_title="SCANNER")
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 10
        ae.add_requested_context(CTImageStorage)
        association = ae.associate("127.0.0.1", port, ae_title="OSTEONODE")
        try:
            while left and association.is_established:
                answer = association.send_c_store(pydicom.dcmread(left[0]))
                if answer.get("Status") != 0x0000:
                    break
                left.pop(0)
        except (RuntimeError, ValueError, OSError):
            pass
        if association.is_established:
            association.release()
        if left:
            time.sleep(0.2)


def send_study(port: int, study: UnrulyStudy, chance: random.Random) -> None:
    """Send the parts of a study one after the other, each until all of it was taken."""
    for part in study.parts:
        send_until_taken(port, part, chance)
