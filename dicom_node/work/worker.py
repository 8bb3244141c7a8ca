"""The worker's process: starts the durable work, and hands it the studies that are complete."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from dicom_node.errors import OperationalError
from dicom_node.files import make_private_folder
from dicom_node.logs import log
from dicom_node.records.database import open_database
from dicom_node.records.scanner_drift import DriftWatch
from dicom_node.records.worker_table import WORKFLOW_VERSION, queue_home
from dicom_node.reporting.report_index import ReportIndex
from dicom_node.settings.node import NodeSettings
from dicom_node.work.arrivals import Arrivals
from dicom_node.work.assessment_pool import AssessmentPool
from dicom_node.work.assessment_steps import DISK_SECONDS
from dicom_node.work.listing.list_upkeep import ListUpkeep
from dicom_node.work.retention import Retainer, open_studies
from dicom_node.work.sharing.interruption import Interrupted
from dicom_node.work.sharing.lease import DatabaseLease, Lease, make_lease
from dicom_node.work.sharing.outgoing import OutgoingObjects
from dicom_node.work.sharing.purging import Purger
from dicom_node.work.sharing.spare_capacity import SpareCapacity
from dicom_node.work.sharing.takeover import Takeover, hand_on
from dicom_node.work.work_queues import (
    assess_queue,
    commit_queue,
    delivery_queue,
    elsewhere_queue,
)
from dicom_node.work.workflows import Worker

__all__ = ["run_worker"]

LOADING_POLL_SECONDS = 0.1
"""How often the worker looks whether the models are loaded."""

ENGINE_CONNECTIONS = 3
"""Connections of the workflow engine to PostgreSQL, besides the one on which it listens."""

OWN_CONNECTIONS = 1
"""Connections of the node's own tables to PostgreSQL, besides the one that holds the lock."""

LOOKS_PER_SECOND = 100.0
"""The most looks of all workers at all queues together: of many each looks more rarely."""

OBJECTS_SECONDS = 600.0
"""How often objects are removed of which all deliveries ended."""

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
    with make_pool(settings) as pool:
        loading = pool.load_model()
        while not loading.done():
            if stop.wait(LOADING_POLL_SECONDS):
                return
        model_id = loading.result()
        with make_lease(settings, stop) as lease:
            database = open_database(settings.database, connections=OWN_CONNECTIONS, make=True)
            try:
                _work(settings, pool, lease, database, model_id, stop)
            finally:
                database.dispose()


def _work(
    settings: NodeSettings,
    pool: AssessmentPool,
    lease: Lease,
    database: sa.Engine,
    model_id: str,
    stop: threading.Event,
) -> None:
    config: DBOSConfig = {
        "name": "osteonode",
        "system_database_url": settings.database,
        "application_version": WORKFLOW_VERSION,
        "executor_id": lease.executor_id,
        "log_level": "CRITICAL",
        "console_log_level": "CRITICAL",
        "serializer": DBOSPortableJSONSerializer(),
        "enable_otlp": False,
    }
    if settings.on_postgresql:
        config["sys_db_pool_size"] = ENGINE_CONNECTIONS
    DBOS(config=config)
    objects = OutgoingObjects(
        settings.reports_dir, database if settings.on_postgresql else None, stop
    )
    worker = Worker(settings, pool, lease, objects, database, stop)
    worker.spool.prepare()
    ReportIndex(settings.reports_dir).prepare()
    if settings.exchange is not None:
        worker.fetched_work.prepare()
    if lease.home:
        DBOS.listen_queues(_queues_to_listen_to(settings, lease.home))
    DBOS.launch()
    takeover = None
    spare = None
    try:
        if isinstance(lease, DatabaseLease):
            hand_on(settings.executor_id)  # what version 0.2.0 left under a name of its own
            takeover = Takeover(database, lease)
            takeover.start()
            if settings.exchange is not None and settings.limits.processes:
                spare = SpareCapacity(
                    database,
                    takeover,
                    lease.home,
                    lambda: settings.limits.processes - len(worker.assessing),
                )
        _register_queues(settings, lease.home, 1 if takeover is None else takeover.alive)
        upkeep = ListUpkeep(database, worker.spool, settings.reports_dir, lease.home, stop)
        upkeep.start()
        log().info("working", model_id=model_id)
        worker.audit.started("worker")
        watch(worker, settings, upkeep, takeover, spare, stop)
        worker.audit.stopped("worker")
    finally:
        if takeover is not None:
            takeover.stop()
        DBOS.destroy(workflow_completion_timeout_sec=0)
        worker.fetched_work.close()


def _queues(settings: NodeSettings, home: str) -> dict[str, int]:
    """The queues of a worker, and how much of each it does at a time."""
    names = [destination.name for destination in settings.destinations]
    return {
        **_assessments(settings, home),
        **{delivery_queue(name): 2 for name in names},
        **{commit_queue(name, home): 2 for name in names},
    }


def _assessments(settings: NodeSettings, home: str) -> dict[str, int]:
    """The queues of assessments: the spool's own, and with ``[exchange]`` those of other spools."""
    processes = settings.limits.processes
    queues = [assess_queue(home)] if processes else []
    if processes and settings.exchange is not None:
        queues.append(elsewhere_queue(home))
    return dict.fromkeys(queues, processes)


def _queues_to_listen_to(settings: NodeSettings, home: str) -> list[str]:
    """The queues of a worker on PostgreSQL: its own, and those that are nobody's in particular.

    Among the latter are those of destinations that the settings name no longer, whose work fails.
    """
    client = DBOSClient(
        system_database_url=settings.database, serializer=DBOSPortableJSONSerializer()
    )
    try:
        known = [queue.name for queue in client.list_queues()]
    except DBAPIError:  # a new database, without queues
        known = []
    finally:
        client.destroy()
    common = {name for name in known if queue_home(name) in ("", home)}
    common -= {assess_queue(home), elsewhere_queue(home)}
    return sorted({*common, *_queues(settings, home)})


def _register_queues(settings: NodeSettings, home: str, workers: int) -> None:
    """Register the queues, with pauses between two looks that fit the number of workers."""
    queues = _queues(settings, home)
    pause = max(settings.poll_seconds, workers * len(queues) / LOOKS_PER_SECOND)
    for name, concurrency in queues.items():
        DBOS.register_queue(
            name,
            worker_concurrency=concurrency,
            polling_interval_sec=pause,
            on_conflict="always_update",
        )


def watch(
    worker: Worker,
    settings: NodeSettings,
    upkeep: ListUpkeep,
    takeover: Takeover | None,
    spare: SpareCapacity | None,
    stop: threading.Event,
) -> None:
    """Queue complete studies, remove what is no longer kept, and notice work that was lost.

    Raises
    ------
    OperationalError
        As for `run_worker`.
    """
    arrivals = Arrivals(
        settings, worker.spool, worker.pool, worker.query, worker.enqueue, worker.records.waits
    )
    retainer = Retainer(settings, worker.spool, settings.reports_dir)
    purger = Purger(settings.retention.work_days, worker.database, worker.deliver.__qualname__)
    drift = DriftWatch(worker.database, settings.data_dir)
    suspects: set[str] = set()
    checked = removed = time.monotonic()
    workers = 1 if takeover is None else takeover.alive
    while not stop.is_set():
        if worker.broken.is_set() and not stop.wait(DISK_SECONDS):
            raise OperationalError("the workflow database does not take its records")
        if worker.lease.lost:
            raise OperationalError("another worker took over the work of this one")
        if worker.lease.leads:
            with suppress(Interrupted):  # by the stop
                arrivals.look()
        if spare is not None:
            try:
                spare.look()
            except SQLAlchemyError as error:
                log().warning("database does not answer", error=type(error).__name__)
        if takeover is not None and takeover.alive != workers:
            workers = takeover.alive
            _register_queues(settings, worker.lease.home, workers)
        if time.monotonic() - checked > LOST_SECONDS:
            checked = time.monotonic()
            pending = {
                status.workflow_id
                for status in DBOS.list_workflows(
                    status="PENDING",
                    executor_id=worker.lease.executor_id,
                    load_input=False,
                    load_output=False,
                )
            }
            lost = pending - worker.running
            if lost & suspects:
                # a fault of disk or database left them behind; the next start takes them up
                raise OperationalError(f"{len(lost & suspects)} workflows stand still")
            suspects = lost
            if worker.lease.leads:
                retainer.look()
                try:
                    upkeep.look()
                    purger.look()
                    drift.look()
                    if time.monotonic() - removed > OBJECTS_SECONDS:
                        removed = time.monotonic()
                        worker.outgoing.remove(open_studies)
                except SQLAlchemyError as error:
                    log().warning("database does not answer", error=type(error).__name__)
        stop.wait(settings.poll_seconds)
