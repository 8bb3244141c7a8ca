"""Durable work: one DBOS workflow per series, one per report and destination."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dbos import (
    DBOS,
    DBOSConfig,
    DBOSConfiguredInstance,
    DBOSPortableJSONSerializer,
    SetEnqueueOptions,
    SetWorkflowID,
    StepOptions,
)

from dicom_node.analysis import write_failure
from dicom_node.assessment_pool import AssessmentPool
from dicom_node.audit import AuditTrail, Peer
from dicom_node.delivery import send
from dicom_node.errors import AssessmentFailed, DeliveryFailed, OperationalError, ReportInvalid
from dicom_node.logs import log
from dicom_node.segmenters import SegmenterPlan
from dicom_node.settings import Destination, NodeSettings
from dicom_node.spool import Spool, SpooledSeries
from dicom_node.uids import assessment_id

__all__ = ["Worker", "run_worker"]

WORKFLOW_VERSION = "1"
"""Raised when a workflow's steps change: recovery takes up work of the same version only."""

ASSESS_QUEUE = "assess"

MAX_RETRY_SECONDS = 600.0
"""The longest pause between two attempts to deliver."""


@DBOS.dbos_class()
class Worker(DBOSConfiguredInstance):
    """Assesses complete series and delivers their reports."""

    def __init__(
        self, settings: NodeSettings, model_id: str, pool: AssessmentPool, stop: threading.Event
    ) -> None:
        super().__init__("worker")
        self.settings = settings
        self.model_id = model_id
        self.plan = SegmenterPlan.of(settings)
        self.pool = pool
        self.stop = stop
        self.spool = Spool(settings.data_dir)
        self.reports = settings.data_dir / "reports"
        self.audit = AuditTrail.of(settings)

    def enqueue(self, series: SpooledSeries, changed: float) -> None:
        """Queue the assessment of a complete series; once reported, again is a no-op.

        Parameters
        ----------
        series
            What lies in the spool.
        changed
            When its last instance arrived, in seconds since the epoch: a series that was refused
            or failed before then was sent again, and is assessed again.
        """
        objects = self.spool.segmentation_paths(series.key, series.segmentations)
        variant = self.plan.variant(objects)
        identity = assessment_id(series.key, series.digest, self.model_id + variant)
        before = DBOS.get_workflow_status(identity)
        sent_again = (
            before is not None
            and before.status == "SUCCESS"
            and (before.output or {}).get("state") != "reported"
            and changed * 1000 > (before.created_at or 0)
        )
        with SetWorkflowID(f"{identity}:{changed:.3f}" if sent_again else identity):
            DBOS.enqueue_workflow(
                ASSESS_QUEUE,
                self.assess_series,
                identity,
                series.key,
                list(series.names),
                list(series.segmentations),
            )

    @DBOS.workflow()
    def assess_series(
        self, identity: str, key: str, names: list[str], segmentations: list[str] | None = None
    ) -> dict[str, Any]:
        """Assess one series and hand its report to every destination."""
        try:
            outcome: dict[str, Any] = DBOS.run_step(
                StepOptions(
                    name="assess",
                    retries_allowed=True,
                    max_attempts=self.settings.limits.attempts,
                    interval_seconds=1.0,
                ),
                self._assess,
                identity,
                key,
                names,
                segmentations or [],
            )
        except Exception as error:  # retries are used up: listed as failed, with its reason
            if self.stop.is_set():
                raise  # stopped in the middle: not recorded, taken up after the next start
            last = (getattr(error, "errors", None) or [error])[-1]
            reason = str(last) if isinstance(last, AssessmentFailed) else type(last).__name__
            log().error(
                "assessment failed", assessment=identity, code=AssessmentFailed.code, reason=reason
            )
            DBOS.run_step(
                StepOptions(name="report failure"),
                self._report_failure,
                identity,
                key,
                AssessmentFailed.code,
                reason,
            )
            return {"state": "failed", "code": AssessmentFailed.code}
        if not outcome["reported"]:
            return {"state": "refused", "code": outcome["code"]}
        for destination in self.settings.destinations:
            self._enqueue_delivery(identity, key, destination, 1, 0.0)
        return {"state": "reported", "code": None}

    @DBOS.workflow()
    def deliver(self, identity: str, key: str, name: str, attempt: int) -> dict[str, Any]:
        """Try once to deliver one report; after a failure the next attempt waits in the queue."""
        found = [d for d in self.settings.destinations if d.name == name]
        if not found:
            log().error("delivery failed", assessment=identity, destination=name, reason="unknown")
            return {"state": "failed", "code": "node.unknown_destination"}
        destination = found[0]
        status: int = DBOS.run_step(
            StepOptions(name="send"), self._send, identity, key, destination, attempt
        )
        if status >= 0:
            return {"state": "delivered", "code": f"0x{status:04X}"}
        if attempt < destination.max_attempts:
            pause = destination.retry_seconds * destination.retry_backoff ** (attempt - 1)
            self._enqueue_delivery(
                identity, key, destination, attempt + 1, min(pause, MAX_RETRY_SECONDS)
            )
            return {"state": "retrying", "code": DeliveryFailed.code}
        log().error(
            "delivery failed", assessment=identity, destination=name, code=DeliveryFailed.code
        )
        return {"state": "failed", "code": DeliveryFailed.code}

    def _enqueue_delivery(
        self, identity: str, key: str, destination: Destination, attempt: int, pause: float
    ) -> None:
        with (
            SetWorkflowID(f"{identity}:{destination.name}:{attempt}"),
            SetEnqueueOptions(delay_seconds=pause or None),
        ):
            DBOS.enqueue_workflow(
                _delivery_queue(destination),
                self.deliver,
                identity,
                key,
                destination.name,
                attempt,
            )

    def _assess(
        self, identity: str, key: str, names: list[str], segmentations: list[str]
    ) -> dict[str, Any]:
        started = time.perf_counter()
        log().info("assessing", assessment=identity, series=key, instances=len(names))
        try:
            outcome = self.pool.assess(
                [
                    *self.spool.paths(key, names),
                    *self.spool.segmentation_paths(key, segmentations),
                ],
                self._folder(identity, key),
                self.reports / key,
            )
        except ReportInvalid as error:
            log().error("report invalid", assessment=identity, code=error.code, reason=str(error))
            self._report_failure(identity, key, error.code, str(error))
            return {"reported": False, "code": error.code}
        except OperationalError as error:
            log().warning("assessment interrupted", assessment=identity, reason=str(error))
            raise
        log().info(
            "assessed" if outcome.reported else "refused",
            assessment=identity,
            series=key,
            code=outcome.code,
            reason=outcome.message,
            stage=outcome.stage,
            warnings=list(outcome.warnings),
            seconds=round(time.perf_counter() - started, 3),
        )
        state = "reported" if outcome.reported else "refused"
        self.audit.assessed(outcome.study_uid, identity, state, outcome.code, len(names))
        return {"reported": outcome.reported, "code": outcome.code}

    def _report_failure(self, identity: str, key: str, code: str, reason: str) -> None:
        write_failure(self._folder(identity, key), code, reason)
        self.audit.assessed("", identity, "failed", code, 0)

    def _folder(self, identity: str, key: str) -> Path:
        return self.reports / key / identity

    def _send(self, identity: str, key: str, destination: Destination, attempt: int) -> int:
        """Return the peer's status, or -1 for an attempt that failed and may be repeated."""
        path = self._folder(identity, key) / "report.sr.dcm"
        try:
            status = send(path, destination, self.settings.listener.ae_title)
        except DeliveryFailed as error:
            self._audit_delivery(identity, key, destination, str(error))
            log().warning(
                "delivery attempt failed",
                assessment=identity,
                destination=destination.name,
                attempt=attempt,
                reason=str(error),
            )
            return -1
        log().info(
            "delivered",
            assessment=identity,
            destination=destination.name,
            attempt=attempt,
            status=f"0x{status:04X}",
        )
        self._audit_delivery(identity, key, destination, None)
        return status

    def _audit_delivery(
        self, identity: str, key: str, destination: Destination, failure: str | None
    ) -> None:
        report = json.loads((self._folder(identity, key) / "report.json").read_text())
        peer = Peer(destination.ae_title, f"{destination.host}:{destination.port}")
        self.audit.delivered(peer, report["study_uid"], identity, failure)


def _delivery_queue(destination: Destination) -> str:
    return f"deliver-{destination.name}"


def run_worker(
    settings: NodeSettings,
    model_id: str,
    make_pool: Callable[[NodeSettings], AssessmentPool],
    stop: threading.Event,
) -> None:
    """Watch the spool and work until ``stop`` is set; what was interrupted before is taken up."""
    (settings.data_dir / "reports").mkdir(mode=0o700, parents=True, exist_ok=True)
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
        DBOS(config=config)
        worker = Worker(settings, model_id, pool, stop)
        worker.spool.prepare()
        DBOS.launch()
        try:
            for name, concurrency in (
                (ASSESS_QUEUE, settings.limits.processes),
                *((_delivery_queue(destination), 2) for destination in settings.destinations),
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
    """Queue every series in which nothing has arrived for the quiet time."""
    queued: dict[str, float] = {}
    while not stop.is_set():
        for key, changed in worker.spool.changes():
            if queued.get(key) == changed or time.time() - changed < settings.quiet_seconds:
                continue
            series = worker.spool.load(key)
            if series.names:
                worker.enqueue(series, changed)
            queued[key] = changed
        stop.wait(settings.poll_seconds)
