"""The worker's process: starts the durable work, and hands it the studies that are complete."""

import threading
import time
from collections.abc import Callable

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer

from dicom_node.errors import OperationalError
from dicom_node.files import make_private_folder
from dicom_node.logs import log
from dicom_node.reporting.report_index import ReportIndex
from dicom_node.settings.node import NodeSettings
from dicom_node.work.arrivals import Arrivals
from dicom_node.work.assessment_pool import AssessmentPool
from dicom_node.work.assessment_steps import DISK_SECONDS
from dicom_node.work.retention import Retainer
from dicom_node.work.work_queues import ASSESS_QUEUE, WORKFLOW_VERSION, commit_queue, delivery_queue
from dicom_node.work.workflows import Worker

__all__ = ["run_worker"]

LOADING_POLL_SECONDS = 0.1
"""How often the worker looks whether the models are loaded."""

LOST_SECONDS = 30.0
"""How often the worker looks for work that the database calls running and that nobody does."""


def run_worker(
    settings: NodeSettings,
    make_pool: Callable[[NodeSettings], AssessmentPool],
    stop: threading.Event,
) -> None:
    """Work until ``stop`` is set, first on what the last run left unfinished.

    Parameters
    ----------
    settings
        Of the node.
    make_pool
        Makes the pool in which assessments run.
    stop
        Ends the work when it is set.

    Raises
    ------
    SettingsInvalid
        The bundle cannot be used.
    OperationalError
        The models do not load, the workflow database does not take its records, or work stands
        still: the process must be started again.
    """
    make_private_folder(settings.reports_dir)
    config: DBOSConfig = {
        "name": "osteonode",
        "system_database_url": settings.database,
        "application_version": WORKFLOW_VERSION,
        "executor_id": settings.executor_id,
        "log_level": "CRITICAL",
        "console_log_level": "CRITICAL",
        "serializer": DBOSPortableJSONSerializer(),
        "enable_otlp": False,
    }
    with make_pool(settings) as pool:
        loading = pool.load_model()
        while not loading.done():
            if stop.wait(LOADING_POLL_SECONDS):
                return
        model_id = loading.result()
        DBOS(config=config)
        worker = Worker(settings, pool, stop)
        worker.spool.prepare()
        ReportIndex(settings.reports_dir).prepare()
        DBOS.launch()
        try:
            for name, concurrency in (
                (ASSESS_QUEUE, settings.limits.processes),
                *((delivery_queue(destination.name), 2) for destination in settings.destinations),
                *((commit_queue(destination.name), 2) for destination in settings.destinations),
            ):
                DBOS.register_queue(
                    name,
                    worker_concurrency=concurrency,
                    polling_interval_sec=settings.poll_seconds,
                    on_conflict="always_update",
                )
            log().info("working", model_id=model_id)
            worker.audit.started("worker")
            watch(worker, settings, stop)
            worker.audit.stopped("worker")
        finally:
            DBOS.destroy(workflow_completion_timeout_sec=0)


def watch(worker: Worker, settings: NodeSettings, stop: threading.Event) -> None:
    """Queue complete studies, remove what is no longer kept, and notice work that was lost.

    Raises
    ------
    OperationalError
        As for `run_worker`.
    """
    arrivals = Arrivals(settings, worker.spool, worker.pool, worker.query, worker.enqueue)
    retainer = Retainer(settings, worker.spool, settings.reports_dir)
    suspects: set[str] = set()
    checked = time.monotonic()
    while not stop.is_set():
        if worker.broken.is_set() and not stop.wait(DISK_SECONDS):
            raise OperationalError("the workflow database does not take its records")
        arrivals.look()
        if time.monotonic() - checked > LOST_SECONDS:
            checked = time.monotonic()
            pending = {
                status.workflow_id
                for status in DBOS.list_workflows(
                    status="PENDING",
                    executor_id=settings.executor_id,
                    load_input=False,
                    load_output=False,
                )
            }
            lost = pending - worker.running
            if lost & suspects:
                # a fault of disk or database left them behind; the next start takes them up
                raise OperationalError(f"{len(lost & suspects)} workflows stand still")
            suspects = lost
            retainer.look()
        stop.wait(settings.poll_seconds)
