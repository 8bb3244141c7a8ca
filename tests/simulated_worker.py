"""A worker whose studies are nothing but names: all but the assessment is the node's own.

It starts within seconds and needs no children, so that many of them fit on one machine. Studies are
put into its queue by `queue_studies`.
"""

import hashlib
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from dbos import DBOSClient, DBOSPortableJSONSerializer, EnqueueOptions
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import ComprehensiveSRStorage

from dicom_node.analysis.outcome import Outcome
from dicom_node.demo import free_port
from dicom_node.files import make_private_folder, write_atomically
from dicom_node.logs import configure_logs
from dicom_node.records.worker_table import WORKFLOW_VERSION
from dicom_node.reporting.report_history import REPORT_FILE
from dicom_node.settings.node import NodeSettings, load_settings
from dicom_node.supervisor import stop_on_signal
from dicom_node.uids import derived_uid
from dicom_node.work.sharing.lease import own_home
from dicom_node.work.work_queues import assess_queue

SECONDS_VARIABLE = "SIMULATED_SECONDS"
"""Environment variable that says how long an assessment takes."""


HASTE_VARIABLE = "SIMULATED_HASTE"
"""Environment variable with the factor by which dead workers are noticed sooner, for tests."""


def make_haste(factor: float) -> None:
    """Shorten all times between the last beat of a worker and the takeover of its work."""
    from dicom_node.records import worker_table
    from dicom_node.work.sharing import lease, takeover

    silent = worker_table.SILENT_SECONDS / factor
    vars(worker_table).update(SILENT_SECONDS=silent)
    vars(takeover).update(TAKEOVER_SECONDS=takeover.TAKEOVER_SECONDS / factor)
    vars(lease).update(
        SILENT_SECONDS=silent,
        LEASE_BEAT_SECONDS=lease.LEASE_BEAT_SECONDS / factor,
        SURE_SECONDS=lease.SURE_SECONDS / factor,
    )


def simulated_report(identity: str) -> bytes:
    """The report of a simulated study, the same each time."""
    document = pydicom.Dataset()
    document.SOPClassUID = ComprehensiveSRStorage
    document.SOPInstanceUID = derived_uid("simulated", identity)
    document.StudyInstanceUID = derived_uid("simulated-study", identity)
    document.SeriesInstanceUID = derived_uid("simulated-series", identity)
    document.PatientID = identity
    document.file_meta = pydicom.dataset.FileMetaDataset()
    document.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    document.file_meta.MediaStorageSOPClassUID = document.SOPClassUID
    document.file_meta.MediaStorageSOPInstanceUID = document.SOPInstanceUID
    written = BytesIO()
    document.save_as(written, enforce_file_format=True)
    return written.getvalue()


def uid_of(name: str) -> str:
    """UID of the report of a simulated study."""
    return derived_uid("simulated", name)


class SlowPacs:
    """A storage SCP that keeps what it got, by UID; while ``hold`` is set it does not answer."""

    def __init__(self) -> None:
        self.port = free_port()
        self.stored: dict[str, list[str]] = {}
        self.asked = threading.Event()
        self.hold = threading.Event()
        self._server: Any = None

    def start(self) -> "SlowPacs":
        ae = AE(ae_title="PACS")
        ae.maximum_associations = 100
        ae.add_supported_context(ComprehensiveSRStorage)
        self._server = ae.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )
        return self

    def stop(self) -> None:
        self.hold.clear()
        if self._server is not None:
            self._server.shutdown()

    def _store(self, event: Any) -> int:
        content = event.encoded_dataset(include_meta=False)
        uid = str(event.request.AffectedSOPInstanceUID)
        self.stored.setdefault(uid, []).append(hashlib.sha256(content).hexdigest())
        self.asked.set()
        while self.hold.is_set():
            time.sleep(0.05)
        return 0x0000


class SimulatedPool:
    """In place of the node's pool: an assessment is a pause and a document."""

    def __init__(self, _settings: NodeSettings) -> None:
        self._stopped = threading.Event()

    def __enter__(self) -> "SimulatedPool":
        return self

    def __exit__(self, *_details: object) -> None:
        self._stopped.set()

    def load_model(self) -> "Future[str]":
        loaded: Future[str] = Future()
        loaded.set_result("simulated")
        return loaded

    def assess(
        self,
        _paths: list[Path],
        out: Path,
        _history: Path,
        _findings: Sequence[Any] = (),
        _reading: Mapping[str, Any] | None = None,
        _data_dir: Path | None = None,
    ) -> Outcome:
        self._stopped.wait(float(os.environ.get(SECONDS_VARIABLE, "0")))
        content = simulated_report(out.name)
        make_private_folder(out)
        write_atomically(out / REPORT_FILE, content, durable=False)
        return Outcome(
            True, "1.2", "1.2.3", None, None, (), "A", {},
            identity=out.name, folder=out.name, sha256=hashlib.sha256(content).hexdigest(),
        )  # fmt: skip


def queue_studies(settings: NodeSettings, names: Sequence[str]) -> None:
    """Put studies into the queue of the machine with these settings."""
    client = DBOSClient(
        system_database_url=settings.database, serializer=DBOSPortableJSONSerializer()
    )
    for name in names:
        options: EnqueueOptions = {
            "workflow_name": "Worker.assess_series",
            "class_name": "Worker",
            "instance_name": "worker",
            "queue_name": assess_queue(own_home(settings)),
            "workflow_id": name,
            "deduplication_id": f"study-{name}",
            "app_version": WORKFLOW_VERSION,
        }
        client.enqueue(options, name, f"study-{name}", {}, {}, [], None)
    client.destroy()


def main(config: Path) -> None:
    from dicom_node.work.worker import run_worker

    configure_logs("worker")
    make_haste(float(os.environ.get(HASTE_VARIABLE, "1")))
    run_worker(load_settings(config), SimulatedPool, stop_on_signal())  # type: ignore[arg-type]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
