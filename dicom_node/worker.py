"""Durable work: a DBOS workflow per study, one per report and attempt to deliver it."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
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
from pydicom.errors import InvalidDicomError

from dicom_node.analysis import Outcome, write_failure
from dicom_node.arrivals import Arrivals
from dicom_node.assessment_pool import AssessmentPool
from dicom_node.audit import AuditTrail, Peer
from dicom_node.commitment import Commitments, request_commitment
from dicom_node.delivery import send
from dicom_node.errors import (
    AssessmentFailed,
    DeliveryFailed,
    DiskFault,
    OperationalError,
    QueryFailed,
    ReportInvalid,
    WorkFailed,
)
from dicom_node.logs import log
from dicom_node.pacs_query import PacsQuery
from dicom_node.report_history import REPORT_FILE, file_digest
from dicom_node.retention import Retainer
from dicom_node.settings import Destination, NodeSettings
from dicom_node.spool import Spool, SpooledStudy
from dicom_node.uids import derived_uid
from dicom_node.work_queues import ASSESS_QUEUE, WORKFLOW_VERSION, commit_queue, delivery_queue
from roi_extraction.anatomy import Finding

__all__ = ["Worker", "run_worker"]

MAX_RETRY_SECONDS = 600.0
"""The longest pause between two attempts to deliver."""

COMMIT_LOOK_SECONDS = (0.0, 1.0, 5.0, 30.0)
"""Pauses before the first looks for an answer on storage commitment; then `LOOK_SECONDS`."""

LOOK_SECONDS = 60.0

LOST_SECONDS = 30.0
"""How often work is sought that the database calls running and nobody does."""


DISK_SECONDS = 10.0
"""Pause before a full disk is tried again, and before a process with a broken database ends."""


MAX_RECOVERIES = 1000
"""Starts of the node in the middle of one piece of work before it counts as failed."""


class Interrupted(BaseException):
    """Ends a workflow without any record of it, so that it is taken up after the next start."""


@DBOS.dbos_class()
class Worker(DBOSConfiguredInstance):
    """Assesses complete studies and delivers their reports."""

    def __init__(
        self, settings: NodeSettings, model_id: str, pool: AssessmentPool, stop: threading.Event
    ) -> None:
        super().__init__("worker")
        self.settings = settings
        self.model_id = model_id
        self.pool = pool
        self.stop = stop
        self.spool = Spool(settings.data_dir)
        self.reports = settings.data_dir / "reports"
        self.audit = AuditTrail.of(settings)
        self.commitments = Commitments(settings.data_dir)
        self.query = (
            None
            if settings.query is None
            else PacsQuery(settings.query, settings.listener.ae_title)
        )
        self.running: set[str] = set()
        self.broken = threading.Event()
        self._studies: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

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
                    self._assess,
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
                outcome = {"state": "failed", "code": AssessmentFailed.code, "reason": reason}
            if outcome["state"] == "failed":
                DBOS.run_step(
                    StepOptions(name="report failure"),
                    self._report_failure,
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
                StepOptions(name="send"), self._send, report, destination, attempt
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
                self._commitment,
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
            log().error("interrupted", assessment=identity, error=type(error).__name__)
            self.broken.set()
            raise Interrupted from error
        finally:
            self.running.discard(identity)

    def _assess(
        self,
        identity: str,
        key: str,
        names: dict[str, list[str]],
        segmentations: dict[str, list[str]],
        findings: list[list[str]],
    ) -> dict[str, Any]:
        started = time.perf_counter()
        paths = [path for series in names for path in self.spool.paths(series, names[series])]
        for series, objects in segmentations.items():
            paths += self.spool.segmentation_paths(series, objects)
        log().info("assessing", assessment=identity, study=key, instances=len(paths))
        found = [Finding(code, message) for code, message in findings]
        folder = self.reports / key
        try:
            with self._studies[key]:
                while (outcome := self._try(paths, folder / identity, found)) is None:
                    if self.stop.wait(DISK_SECONDS):
                        raise Interrupted
        except ReportInvalid as error:
            log().error("report invalid", assessment=identity, code=error.code, reason=str(error))
            return {"state": "failed", "code": error.code, "reason": str(error)}
        except OperationalError as error:
            if self.stop.is_set():
                raise Interrupted from error
            log().warning("assessment interrupted", assessment=identity, reason=str(error))
            raise
        log().info(
            "assessed" if outcome.reported else "refused",
            assessment=identity,
            study=key,
            code=outcome.code,
            reason=outcome.message,
            stage=outcome.stage,
            warnings=list(outcome.warnings),
            others=list(outcome.others),
            seconds=round(time.perf_counter() - started, 3),
        )
        state = "reported" if outcome.reported else "refused"
        self.audit.assessed(outcome.study_uid, identity, state, outcome.code, len(paths))
        if not outcome.reported:
            return {"state": state, "code": outcome.code}
        report = {
            "identity": outcome.identity or "",
            "study": key,
            "study_uid": outcome.study_uid,
            "folder": outcome.folder,
            "sha256": outcome.sha256 or "",
        }
        return {"state": state, "code": None, "report": report}

    def _try(self, paths: list[Path], folder: Path, findings: list[Finding]) -> Outcome | None:
        """One try to assess; None when the disk did not take the report."""
        try:
            return self.pool.assess(paths, folder, folder.parent, findings)
        except DiskFault as error:
            log().error("disk fault", assessment=folder.name, code=error.code, reason=str(error))
            return None

    def _report_failure(self, identity: str, key: str, code: str, reason: str) -> None:
        log().error("assessment failed", assessment=identity, code=code, reason=reason)
        write_failure(self.reports / key / identity, code, reason)
        self.audit.assessed("", identity, "failed", code, 0)

    def _path(self, report: dict[str, str]) -> Path:
        return self.reports / report["study"] / report["folder"] / REPORT_FILE

    def _send(
        self, report: dict[str, str], destination: Destination, attempt: int
    ) -> dict[str, Any]:
        """Send the very document that was checked."""
        identity = report["identity"]
        path = self._path(report)
        try:
            if file_digest(path) != report["sha256"]:
                return {
                    "state": "failed",
                    "code": "report.changed",
                    "reason": "the file is not the one that was checked",
                }
            self._check_identity(path)
            status = send(path, destination, self.settings.listener.ae_title)
        except ReportInvalid as error:
            return {"state": "failed", "code": error.code, "reason": str(error)}
        except FileNotFoundError:
            reason = "the report is no longer on the disk"
            return {"state": "failed", "code": "report.gone", "reason": reason}
        except (DeliveryFailed, QueryFailed, OSError) as error:
            code = getattr(error, "code", OperationalError.code)
            reason = str(error) if isinstance(error, OperationalError) else type(error).__name__
            self._audit_delivery(report, destination, reason)
            log().warning(
                "delivery attempt failed",
                assessment=identity,
                destination=destination.name,
                attempt=attempt,
                code=code,
                reason=reason,
            )
            return {"state": "retrying", "code": code, "reason": reason}
        log().info(
            "delivered",
            assessment=identity,
            destination=destination.name,
            attempt=attempt,
            status=f"0x{status:04X}",
        )
        self._audit_delivery(report, destination, None)
        return {"state": "delivered", "code": f"0x{status:04X}"}

    def _audit_delivery(
        self, report: dict[str, str], destination: Destination, failure: str | None
    ) -> None:
        peer = Peer(destination.ae_title, f"{destination.host}:{destination.port}")
        self.audit.delivered(peer, report["study_uid"], report["identity"], failure)

    def _check_identity(self, path: Path) -> None:
        """Compare patient and study with what the PACS says now, where one is asked."""
        if self.query is None:
            return
        document = pydicom.dcmread(path, stop_before_pixels=True)
        try:
            theirs = self.query.identity(str(document.StudyInstanceUID))
        except QueryFailed as error:
            if self.query.settings.unanswered == "hold":
                raise
            log().warning("identity not checked", reason=str(error))
            return
        differing = theirs.differs(document) if theirs is not None else ()
        if differing:
            raise ReportInvalid(
                "report.pacs_identity",
                f"the PACS has another {', '.join(differing)} for this study: the report must "
                "not be sent",
            )

    def _commitment(
        self,
        report: dict[str, str],
        destination: Destination,
        attempt: int,
        look: int,
        since: float,
    ) -> dict[str, Any]:
        """Ask at the first look, then see whether the answer has come."""
        identity = report["identity"]
        uid = derived_uid("commitment", identity, destination.name, str(attempt))
        reason = ""
        try:
            if look == 0:
                request_commitment(
                    pydicom.dcmread(self._path(report)),
                    uid,
                    destination,
                    self.settings.listener.ae_title,
                    self.commitments,
                )
            answer = self.commitments.answer(uid)
            if answer is not None and answer.committed:
                self.commitments.forget(uid)
                log().info("committed", assessment=identity, destination=destination.name)
                return {"state": "committed", "code": None}
            if answer is not None:
                self.commitments.forget(uid)
                reason = f"the peer does not keep the report {answer.reason}".strip()
            elif time.time() - since > destination.commitment_seconds:
                self.commitments.forget(uid)
                reason = f"no commitment within {destination.commitment_seconds:g} s"
        except (DeliveryFailed, OSError, InvalidDicomError) as error:
            reason = str(error) if isinstance(error, DeliveryFailed) else type(error).__name__
        if not reason:
            return {"state": "waiting", "code": None}
        log().warning(
            "not committed",
            assessment=identity,
            destination=destination.name,
            attempt=attempt,
            reason=reason,
        )
        return {"state": "retrying", "code": "node.not_committed", "reason": reason}


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
    """Queue complete studies, remove what is no longer kept, notice work that was lost."""
    arrivals = Arrivals(settings, worker.spool, worker.pool, worker.query, worker.enqueue)
    retainer = Retainer(settings, worker.spool, worker.reports)
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
