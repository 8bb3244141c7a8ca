"""A whole node as its own process group, and a storage SCP to receive its reports."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from dicom_node.demo import free_port, listens
from dicom_node.records.database import open_database
from dicom_node.records.listed_studies import study_of
from dicom_node.records.study_events import events_of
from dicom_node.settings.node import load_settings

DEADLINE_SECONDS = 180.0


class Pacs:
    """A storage SCP that remembers each C-STORE; ``answer`` decides the status.

    Objects of the classes in ``refused`` are not taken.
    """

    def __init__(self, answer: Callable[[int], int] = lambda _count: 0x0000) -> None:
        self.port = free_port()
        self.stored: list[pydicom.Dataset] = []
        self.refused: set[str] = set()
        self.asked = threading.Event()
        self._answer = answer
        self._count = 0

    def __enter__(self) -> "Pacs":
        ae = AE(ae_title="PACS")
        for sop_class in (
            ComprehensiveSRStorage,
            SecondaryCaptureImageStorage,
            EncapsulatedPDFStorage,
            SegmentationStorage,
            KeyObjectSelectionDocumentStorage,
        ):
            ae.add_supported_context(sop_class)
        self._server = ae.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )
        return self

    def __exit__(self, *_details: object) -> None:
        assert self._server is not None
        self._server.shutdown()

    @property
    def uids(self) -> set[str]:
        return {str(dataset.SOPInstanceUID) for dataset in self.stored}

    def _store(self, event: Any) -> int:
        dataset = event.dataset
        self._count += 1
        self.asked.set()
        refused = dataset.SOPClassUID in self.refused
        status = 0xA700 if refused else self._answer(self._count)
        if status == 0x0000:
            self.stored.append(dataset)
        return status


class Node:
    """``osteonode serve`` in a process group of its own.

    A ``quick`` node has the worker of `tests.quick_worker`: its assessments take no time, and it
    takes the small series of `tests.fault_node.quick_study`.
    """

    def __init__(
        self,
        folder: Path,
        destination_port: int,
        ae_title: str = "PACS",
        destination: str = 'objects = ["sr"]',
        *,
        quick: bool = False,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.config = folder / "node.toml"
        self.log_path = folder / "node.log"
        self.config.write_text(
            f"""data_dir = {json.dumps(str(folder / "data"))}
quiet_seconds = 3.0
poll_seconds = 0.3
[listener]
port = {self.port}
[[destinations]]
name = "pacs"
ae_title = "{ae_title}"
host = "127.0.0.1"
port = {destination_port}
retry_seconds = 0.5
{destination}
"""
        )
        self._program = "dicom_node"
        if quick:
            self._program = "tests.quick_node"
            text = self.config.read_text().replace("quiet_seconds = 3.0", "quiet_seconds = 1.0")
            self.config.write_text(f"{text}[acquisition]\nmin_coverage_mm = 90\n")

    def start(self) -> "Node":
        with self.log_path.open("ab") as log_file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self._program, "serve", "--config", str(self.config)],
                stderr=log_file,
                start_new_session=True,
            )
        self.wait_for(lambda: listens(self.port))
        return self

    def __enter__(self) -> "Node":
        return self.start()

    def __exit__(self, *_details: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """Kill -9 everything that the node started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def events(self, name: str, after: int = 0) -> list[dict[str, Any]]:
        """The events of a name, all of them or those after so many lines of the log."""
        lines = self.log_path.read_text().splitlines()[after:] if self.log_path.exists() else []
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in found if line["event"] == name]

    def wait_for(self, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the node died:\n{self.log_path.read_text()[-3000:]}")
            result = condition()
            if result:
                return result
            time.sleep(0.05)
        raise AssertionError(f"waited in vain:\n{self.log_path.read_text()[-3000:]}")

    def study_events(self, study_uid: str) -> list[str]:
        """What the node's database says happened with a study, in its order."""
        engine = open_database(load_settings(self.config).database)
        try:
            study = study_of(engine, study_uid)
            return [] if study is None else [e.event.value for e in events_of(engine, study.study)]
        finally:
            engine.dispose()

    def reports(self, study_uid: str | None = None) -> list[dict[str, Any]]:
        """The reports on all studies, or on one."""
        paths = (self.folder / "data" / "reports").glob("*/*/report.json")
        found = [json.loads(path.read_text()) for path in paths]
        return [r for r in found if study_uid is None or r["study_uid"] == study_uid]

    def send(self, paths: list[Path], ae_title: str = "SCANNER") -> None:
        """C-STORE files in this order; an answer that pynetdicom loses is asked for again.

        On a busy machine its reactor can take the answer for a request and drop it.
        """
        left = list(paths)
        for _ in range(10):
            self._send(left, ae_title)
            if not left:
                return
        raise AssertionError(f"{len(left)} files were not answered")

    def _send(self, left: list[Path], ae_title: str) -> None:
        ae = AE(ae_title=ae_title)
        ae.dimse_timeout = 2  # below the quiet time: a lost answer must not look like the end
        first = pydicom.dcmread(left[0])
        ae.add_requested_context(first.SOPClassUID, first.file_meta.TransferSyntaxUID)
        association = ae.associate("127.0.0.1", self.port, ae_title="OSTEONODE")
        assert association.is_established
        while left and association.is_established:
            answer = association.send_c_store(pydicom.dcmread(left[0]))
            if "Status" not in answer:
                return
            assert answer.Status == 0x0000
            left.pop(0)
        association.release()
