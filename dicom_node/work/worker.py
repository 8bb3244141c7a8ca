"""Durable work: a DBOS workflow per study, one per report and attempt to deliver it."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from dbos import (
    DBOS,
    DBOSConfig,
    DBOSConfiguredInstance,
    DBOSPortableJSONSerializer,
    PortableWorkflowError,
    SetEnqueueOptions,
    SetWorkflowID,
    StepOptions,
)
from dbos import error as dbos_error

from dicom_node.errors import (
    AssessmentFailed,
    OperationalError,
    WorkFailed,
)
from dicom_node.logs import fault_fields, log
from dicom_node.settings.node import Destination, NodeSettings
from dicom_node.spool.spool import SpooledStudy
from dicom_node.work.arrivals import Arrivals
from dicom_node.work.assessment_pool import AssessmentPool
from dicom_node.work.retention import Retainer
from dicom_node.work.work_queues import ASSESS_QUEUE, WORKFLOW_VERSION, commit_queue, delivery_queue
from dicom_node.work.work_steps import DISK_SECONDS, Interrupted, WorkSteps
from roi_extraction.anatomy import Finding

__all__ = ["Worker", "run_worker"]

MAX_RETRY_SECONDS = 600.0
"""The longest pause between two attempts to deliver."""

COMMIT_LOOK_SECONDS = (0.0, 1.0, 5.0, 30.0)
"""Pauses before the first looks for an answer on storage commitment; then `LOOK_SECONDS`."""

LOOK_SECONDS = 60.0

LOST_SECONDS = 30.0
"""How often work is sought that the database calls running and nobody does."""


MAX_RECOVERIES = 1000
"""Starts of the node in the middle of one piece of work before it counts as failed."""


@DBOS.dbos_class()
class Worker(DBOSConfiguredInstance):
    """Assesses complete studies and delivers their reports."""

    def __init__(self, settings: NodeSettings, pool: AssessmentPool, stop: threading.Event) -> None:
        super().__init__("worker")
        self.settings = settings
        self.steps = WorkSteps(settings, pool, stop)
        self.running: set[str] = set()
        self.broken = threading.Event()

    def enqueue(self, study: SpooledStudy, findings: Sequence[Finding], changed: float) -> None:
        """Queue the assessment of a complete study; once assessed, again is a no-op.

        Parameters
        ----------
        study
            What lies in the spool.
        findings
            What its report must warn of.
        changed
            When its last instance arrived, in seconds since the epoch: a study that was refused
            or failed before then was sent again, and is assessed again.

        Raises
        ------
        dbos.error.DBOSQueueDeduplicatedError
            The study is being assessed with what it was before.
        """
        identity = study.identity
        before = DBOS.get_workflow_status(identity)
        if before is not None:
            reported = (
                before.status == "SUCCESS" and (before.output or {}).get("state") == "reported"
            )
            ended = before.status in ("SUCCESS", "ERROR")
            if ended and not reported and changed * 1000 > (before.dequeued_at or 0):
                DBOS.rewind_workflow(identity, queue_name=ASSESS_QUEUE)
            return
        with (
            SetWorkflowID(identity),
            SetEnqueueOptions(deduplication_id=study.key),
        ):
            DBOS.enqueue_workflow(
                ASSESS_QUEUE,
                self.assess_series,
                identity,
                study.key,
                {series.key: list(series.names) for series in study.series},
                {series.key: list(series.segmentations) for series in study.series},
                [[finding.code, finding.message] for finding in findings],
            )

    @DBOS.workflow(max_recovery_attempts=MAX_RECOVERIES)
    def assess_series(
        self,
        identity: str,
        key: str,
        names: dict[str, list[str]],
        segmentations: dict[str, list[str]],
        findings: list[list[str]],
    ) -> dict[str, Any]:
        """Assess the series of one study and hand the report to every destination."""
        with self._runs():
            try:
                outcome: dict[str, Any] = DBOS.run_step(
                    StepOptions(
                        name="assess",
                        retries_allowed=True,
                        max_attempts=self.settings.limits.attempts,
                        interval_seconds=1.0,
                    ),
                    self.steps.assess,
                    identity,
                    key,
                    names,
                    segmentations,
                    findings,
                )
            except (
                AssessmentFailed,
                PortableWorkflowError,  # the same, read back from the record
                dbos_error.DBOSMaxStepRetriesExceeded,
            ) as error:
                last = (getattr(error, "errors", None) or [error])[-1]
                reason = str(last) if isinstance(last, AssessmentFailed) else type(last).__name__
                if not isinstance(last, AssessmentFailed | PortableWorkflowError):
                    log().error("unforeseen fault", assessment=identity, **fault_fields(last))
                outcome = {"state": "failed", "code": AssessmentFailed.code, "reason": reason}
            if outcome["state"] == "failed":
                DBOS.run_step(
                    StepOptions(name="report failure"),
                    self.steps.report_failure,
                    identity,
                    key,
                    outcome["code"],
                    outcome["reason"],
                )
                raise WorkFailed(outcome["code"], outcome["reason"])
            if outcome["state"] == "reported":
                for destination in self.settings.destinations:
                    self._enqueue_delivery(outcome["report"], destination, 1, 0.0)
            return {"state": outcome["state"], "code": outcome["code"]}

    @DBOS.workflow(max_recovery_attempts=MAX_RECOVERIES)
    def deliver(self, report: dict[str, str], name: str, attempt: int) -> dict[str, Any]:
        """Try once to deliver one report; after a failure the next attempt waits in the queue."""
        with self._runs():
            destination = self._destination(name)
            sent: dict[str, Any] = DBOS.run_step(
                StepOptions(name="send"), self.steps.send, report, destination, attempt
            )
            if sent["state"] == "delivered":
                if destination.commitment:
                    self._enqueue_commit(report, destination, attempt, 0)
                return sent
            if sent["state"] == "retrying":
                return self._again(report, destination, attempt, sent)
            raise self._failed(report, name, sent["code"], sent["reason"])

    @DBOS.workflow(max_recovery_attempts=MAX_RECOVERIES)
    def confirm(
        self, report: dict[str, str], name: str, attempt: int, look: int, since: float
    ) -> dict[str, Any]:
        """Ask for storage commitment, or look for the answer; in time the report is sent again."""
        with self._runs():
            destination = self._destination(name)
            found: dict[str, Any] = DBOS.run_step(
                StepOptions(name="commitment"),
                self.steps.commitment,
                report,
                destination,
                attempt,
                look,
                since,
            )
            if found["state"] == "waiting":
                self._enqueue_commit(report, destination, attempt, look + 1, since)
            elif found["state"] == "retrying":
                return self._again(report, destination, attempt, found)
            return found

    def _destination(self, name: str) -> Destination:
        for destination in self.settings.destinations:
            if destination.name == name:
                return destination
        log().error("delivery failed", destination=name, code="node.unknown_destination")
        raise WorkFailed("node.unknown_destination", f"the settings name no destination {name}")

    def _failed(self, report: dict[str, str], name: str, code: str, reason: str) -> WorkFailed:
        log().error(
            "delivery failed",
            assessment=report["identity"],
            destination=name,
            code=code,
            reason=reason,
        )
        return WorkFailed(code, reason)

    def _again(
        self,
        report: dict[str, str],
        destination: Destination,
        attempt: int,
        outcome: dict[str, Any],
    ) -> dict[str, Any]:
        """Queue the next attempt after its pause, or end the work as failed."""
        if attempt % destination.max_attempts == 0:
            raise self._failed(report, destination.name, outcome["code"], outcome["reason"])
        tried = attempt % destination.max_attempts
        # the exponent is bounded: it would overflow long before the attempts end
        pause = destination.retry_seconds * destination.retry_backoff ** min(tried - 1, 100)
        self._enqueue_delivery(report, destination, attempt + 1, min(pause, MAX_RETRY_SECONDS))
        return outcome

    def _enqueue_delivery(
        self, report: dict[str, str], destination: Destination, attempt: int, pause: float
    ) -> None:
        with (
            SetWorkflowID(f"{report['identity']}:{destination.name}:{attempt}"),
            SetEnqueueOptions(delay_seconds=pause or None),
        ):
            DBOS.enqueue_workflow(
                delivery_queue(destination.name), self.deliver, report, destination.name, attempt
            )

    def _enqueue_commit(
        self,
        report: dict[str, str],
        destination: Destination,
        attempt: int,
        look: int,
        since: float | None = None,
    ) -> None:
        pauses = COMMIT_LOOK_SECONDS
        pause = pauses[look] if look < len(pauses) else LOOK_SECONDS
        pause = min(pause, destination.commitment_seconds)
        with (
            SetWorkflowID(f"{report['identity']}:{destination.name}:{attempt}:commit:{look}"),
            SetEnqueueOptions(delay_seconds=pause or None),
        ):
            DBOS.enqueue_workflow(
                commit_queue(destination.name),
                self.confirm,
                report,
                destination.name,
                attempt,
                look,
                time.time() if since is None else since,
            )

    @contextmanager
    def _runs(self) -> Iterator[None]:
        """Keep account of what this process works on, and leave undone what a fault interrupts."""
        identity = DBOS.workflow_id or ""
        self.running.add(identity)
        try:
            yield
        except (WorkFailed, dbos_error.DBOSException):
            raise
        except Exception as error:  # the database, or the disk below it
            log().error("interrupted", assessment=identity, **fault_fields(error))
            self.broken.set()
            raise Interrupted from error
        finally:
            self.running.discard(identity)


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
        worker = Worker(settings, pool, stop)
        worker.steps.spool.prepare()
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
            worker.steps.audit.started("worker")
            watch(worker, settings, stop)
            worker.steps.audit.stopped("worker")
        finally:
            DBOS.destroy(workflow_completion_timeout_sec=0)


def watch(worker: Worker, settings: NodeSettings, stop: threading.Event) -> None:
    """Queue complete studies, remove what is no longer kept, notice work that was lost."""
    steps = worker.steps
    arrivals = Arrivals(settings, steps.spool, steps.pool, steps.query, worker.enqueue)
    retainer = Retainer(settings, steps.spool, steps.reports)
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
                # a fault of disk or database left them behind: a new process takes them up
                raise OperationalError(f"{len(lost & suspects)} workflows stand still")
            suspects = lost
            retainer.look()
        stop.wait(settings.poll_seconds)
