"""Durable work: a DBOS workflow for each study, one for each attempt to deliver a report."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import (
    DBOS,
    DBOSConfiguredInstance,
    PortableWorkflowError,
    SetEnqueueOptions,
    SetWorkflowID,
    StepOptions,
)
from dbos import error as dbos_error

from dicom_node.errors import AssessmentFailed, WorkFailed
from dicom_node.exchange.home_folder import GONE, OUTDATED
from dicom_node.logs import fault_fields, log
from dicom_node.records.audit import AuditTrail
from dicom_node.records.study_deliveries import DeliveryState
from dicom_node.records.study_events import StudyEvent
from dicom_node.records.worker_table import queue_home
from dicom_node.reporting.objects.files import destination_files
from dicom_node.reporting.objects.kinds import NotAnalysed
from dicom_node.reporting.report_history import REPORT_FILE, rejection_of, withdrawn_by
from dicom_node.sending.pacs_query import PacsQuery
from dicom_node.settings.node import Destination, NodeSettings
from dicom_node.spool.spool import Spool
from dicom_node.uids import content_id
from dicom_node.work.assessment_pool import AssessmentPool
from dicom_node.work.assessment_steps import AssessmentSteps
from dicom_node.work.complete_study import CompleteStudy
from dicom_node.work.delivery_steps import DeliverySteps
from dicom_node.work.listing.study_records import StudyRecords
from dicom_node.work.sharing.fetched_work import FetchedWork
from dicom_node.work.sharing.interruption import Interrupted, until_it_answers
from dicom_node.work.sharing.lease import Lease
from dicom_node.work.sharing.outgoing import OutgoingObjects
from dicom_node.work.sharing.purging import was_delivered
from dicom_node.work.sharing.spare_capacity import is_taken
from dicom_node.work.turns import Turns
from dicom_node.work.withdrawal_steps import WithdrawalSteps
from dicom_node.work.work_queues import (
    assess_queue,
    commit_queue,
    delivery_queue,
    elsewhere_queue,
    object_file,
    object_work,
)
from roi_extraction.anatomy import Finding

__all__ = ["Worker"]

MAX_RETRY_SECONDS = 600.0
"""The longest pause between two attempts to deliver."""

FIRST_COMMIT_LOOKS_SECONDS = (0.0, 1.0, 5.0, 30.0)
"""Pauses before the first looks for an answer on storage commitment."""

COMMIT_LOOK_SECONDS = 60.0
"""Pause before each later look."""

MAX_RECOVERIES = 1000
"""How often a workflow is taken up again after a start of the node; then it counts as failed."""

WITHDRAWAL_EVENTS = {
    "delivered": StudyEvent.WITHDRAWN,
    "retrying": StudyEvent.RETRYING,
    "failed": StudyEvent.WITHDRAWAL_FAILED,
}
"""Which event an attempt to withdraw is, by the state that it led to."""


@DBOS.dbos_class()
class Worker(DBOSConfiguredInstance):
    """Assesses complete studies and delivers their reports.

    Parameters
    ----------
    settings
        Of the node.
    pool
        Where assessments run.
    lease
        Of this worker on its work.
    outgoing
        Where the objects are that are to be delivered.
    database
        With the node's own tables.
    stop
        Set when the process is to end.
    """

    def __init__(
        self,
        settings: NodeSettings,
        pool: AssessmentPool,
        lease: Lease,
        outgoing: OutgoingObjects,
        database: sa.Engine,
        stop: threading.Event,
    ) -> None:
        super().__init__("worker")
        self.settings = settings
        self.pool = pool
        self.lease = lease
        self.stop = stop
        self.outgoing = outgoing
        self.database = database
        self.spool = Spool(settings.data_dir)
        self.audit = AuditTrail.of(settings)
        self.query = (
            None
            if settings.query is None
            else PacsQuery(settings.query, settings.listener.ae_title)
        )
        self.records = StudyRecords(database, settings.reports_dir, lease.home, stop)
        self.assessment_steps = self._steps_in(settings.data_dir, lease.home)
        self.fetched_work = FetchedWork(settings, lease, database, self._steps_in, stop)
        self.delivery_steps = DeliverySteps(
            settings, self.audit, self.query, outgoing, lease.confirm
        )
        self.withdrawal_steps = WithdrawalSteps(settings, self.audit, outgoing, lease.confirm)
        self.assess_queue = assess_queue(lease.home)
        self.turns = Turns()
        self.running: set[str] = set()  # identities of the workflows that this process has in hand
        self.assessing: set[str] = set()  # those of them that assess
        self.broken = threading.Event()  # a fault of database or disk: the process must end

    def _steps_in(self, data_dir: Path, home: str) -> AssessmentSteps:
        """The steps of assessments in a data folder, whose instances are those of a spool."""
        reports = self.settings.within(data_dir).reports_dir
        return AssessmentSteps(
            self.pool,
            Spool(data_dir),
            reports,
            self.audit,
            self.outgoing.under(reports),
            self.database,
            home,
            StudyRecords(self.database, reports, home, self.stop),
            self.stop,
        )

    def enqueue(
        self, study: CompleteStudy, findings: Sequence[Finding], changed: float, sender: str
    ) -> None:
        """Queue the assessment of a complete study, unless the same was queued before.

        Parameters
        ----------
        study
            The study's files in the spool, and whether they are assessed.
        findings
            What its report must warn of.
        changed
            When its last instance arrived, in seconds since the epoch. A study that was refused
            or failed before that was sent again, so it is assessed again.
        sender
            AE title that it came from; senders take turns.

        Raises
        ------
        dbos.error.DBOSQueueDeduplicatedError
            An assessment of the study as it was before is still queued or running.
        """
        identity = study.identity
        while self._withdrawn(study.key, identity):
            # what counted before counts again, but a report that was withdrawn is not sent again
            identity = content_id(identity, "after withdrawal")
        before = DBOS.get_workflow_status(identity)
        if before is not None:
            self.spool.assessing(study.key, identity)
            reported = (before.output or {}).get("state") == "reported"
            ended = before.status in ("SUCCESS", "ERROR")
            if ended and not reported and changed * 1000 > (before.dequeued_at or 0):
                self.records.queued(study.key, study.header, changed, identity)
                DBOS.rewind_workflow(identity, queue_name=self.assess_queue)
            taken = before.queue_name == elsewhere_queue(queue_home(before.queue_name or ""))
            if before.status == "ENQUEUED" and before.queue_name != self.assess_queue and not taken:
                # sent to this machine too while another did not come to it, or is down
                DBOS.resume_workflow(identity, queue_name=self.assess_queue)
            if before.status == "SUCCESS" and before.output is not None:
                state = before.output["state"]
                self.records.unchanged(study.key, study.header, changed, identity, state)
            return
        if self.lease.home and until_it_answers(
            self.database, self.stop, partial(is_taken, study=study.key)
        ):
            raise dbos_error.DBOSQueueDeduplicatedError(identity, self.assess_queue, study.key)
        newest = self.spool.newest_assessment(study.key)
        self.spool.assessing(study.key, identity)  # before it can begin
        self.records.queued(study.key, study.header, changed, identity)
        try:
            self._enqueue_assessment(study, identity, findings, sender)
        except dbos_error.DBOSQueueDeduplicatedError:
            self.spool.assessing(study.key, newest)
            raise
        self._forget_failed(study.key, identity)

    def _enqueue_assessment(
        self, study: CompleteStudy, identity: str, findings: Sequence[Finding], sender: str
    ) -> None:
        waiting = DBOS.list_workflows(
            status="ENQUEUED",
            queue_name=self.assess_queue,
            limit=1,
            load_input=False,
            load_output=False,
        )
        turn = self.turns.number(sender, waiting[0].priority if waiting else None)
        with (
            SetWorkflowID(identity),
            SetEnqueueOptions(deduplication_id=study.key, priority=turn),
        ):
            DBOS.enqueue_workflow(
                self.assess_queue,
                self.assess_series,
                identity,
                study.key,
                study.names,
                study.segmentations,
                [[finding.code, finding.message] for finding in findings],
                None if study.hold is None else asdict(study.hold),
                None,
                self.lease.home,
            )

    def _withdrawn(self, study: str, assessment: str) -> bool:
        path = self.settings.reports_dir / study / assessment / REPORT_FILE
        return withdrawn_by(path) is not None and rejection_of(path) is None

    def _forget_failed(self, study: str, newest: str) -> None:
        """Take a study's assessments and rejections off the failed work: others count now."""
        of_studies = {self.assess_series.__qualname__: 1, self.reject.__qualname__: 0}
        for name, place in of_studies.items():
            for status in DBOS.list_workflows(status="ERROR", name=name, load_output=False):
                arguments = status.input["args"] if status.input else ()
                if status.workflow_id != newest and study in arguments[place : place + 1]:
                    DBOS.delete_workflow(status.workflow_id)

    @DBOS.workflow(max_recovery_attempts=MAX_RECOVERIES)
    def assess_series(
        self,
        identity: str,
        key: str,
        names: dict[str, list[str]],
        segmentations: dict[str, list[str]],
        findings: list[list[str]],
        hold: dict[str, str] | None = None,
        read: dict[str, Any] | None = None,
        home: str = "",
    ) -> dict[str, Any]:
        """Assess one study and queue the delivery of its report to every destination.

        The parameters are those of `AssessmentSteps.assess`; ``home`` is the spool that the files
        lie in where there are several, else empty.
        """
        with self._runs(), self._assesses():
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
                    hold,
                    read,
                    home,
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
                    self._report_failure,
                    identity,
                    key,
                    outcome["code"],
                    outcome["reason"],
                    home,
                    written=read is None,
                )
                raise WorkFailed(outcome["code"], outcome["reason"])
            for destination in self.settings.destinations:
                for sent in self._objects_for(destination, outcome):
                    self.records.delivery_waits(sent, destination.name)
                    self._enqueue_delivery(sent, destination, 1, 0.0)
                if destination.withdraw:
                    for wrong in outcome.get("displaced", ()):
                        self._enqueue_withdrawal(wrong, destination, 1, 0.0)
            timings_s = outcome.get("timings_s", {})
            return {"state": outcome["state"], "code": outcome["code"], "timings_s": timings_s}

    def _assess(
        self,
        identity: str,
        key: str,
        names: dict[str, list[str]],
        segmentations: dict[str, list[str]],
        findings: list[list[str]],
        hold: dict[str, str] | None,
        read: dict[str, Any] | None,
        home: str,
    ) -> dict[str, Any]:
        """Assess where the files are: here, also if they were sent here too, or fetched."""
        steps = self.assessment_steps
        if self._is_own(home) or steps.holds(identity, key, names, segmentations):
            return steps.assess(identity, key, names, segmentations, findings, hold, read)
        return self.fetched_work.assess(home, identity, key, names, segmentations, findings, hold)

    def _is_own(self, home: str) -> bool:
        """Whether work on a spool is done in this machine's own; all is, where nothing travels."""
        return home in ("", self.lease.home) or self.settings.exchange is None

    def _report_failure(
        self, identity: str, key: str, code: str, reason: str, home: str, *, written: bool
    ) -> None:
        if self._is_own(home) or code in (GONE, OUTDATED):  # nothing is written then
            self.assessment_steps.report_failure(identity, key, code, reason, written=written)
        else:
            self.fetched_work.report_failure(home, identity, key, code, reason)

    @DBOS.workflow(max_recovery_attempts=MAX_RECOVERIES)
    def reject(self, key: str, said: dict[str, str]) -> dict[str, Any]:
        """Withdraw what stands of a study from every destination: a reader rejected it.

        The parameters are those of `AssessmentSteps.reject`.
        """
        with self._runs():
            outcome: dict[str, Any] = DBOS.run_step(
                StepOptions(name="reject"), self.assessment_steps.reject, key, said
            )
            if outcome["state"] == "failed":
                raise WorkFailed(outcome["code"], outcome["reason"])
            for destination in self.settings.destinations:
                for wrong in outcome["wrong"] if destination.withdraw else ():
                    self._enqueue_withdrawal(wrong, destination, 1, 0.0)
            return {"state": "rejected", "code": None}

    def _objects_for(
        self, destination: Destination, outcome: dict[str, Any]
    ) -> Iterator[dict[str, str]]:
        """The objects that a destination gets of an assessment, as `DeliverySteps.send` takes them.

        What could not be made, or was not asked for when the report was made, is logged.
        """
        report, objects = outcome.get("report"), outcome.get("objects", {})
        if report is None:
            return
        if outcome["state"] == "refused":
            form = destination.not_analysed
            page = "" if form is None else NotAnalysed(form).file_name
            if page in objects:
                yield {**report, "file": page, "sha256": objects[page]}
            return
        for name in destination_files(destination):
            if name == REPORT_FILE:
                yield report
            elif name in objects:
                yield {**report, "file": name, "sha256": objects[name]}
            else:
                log().warning(
                    "object not there",
                    assessment=report["identity"],
                    destination=destination.name,
                    object=name,
                )

    @DBOS.workflow(max_recovery_attempts=MAX_RECOVERIES)
    def deliver(self, report: dict[str, str], name: str, attempt: int) -> dict[str, Any]:
        """Try once to deliver an object; if that fails, queue the next attempt after a pause.

        The parameters are those of `DeliverySteps.send`, with the destination by its name.
        """
        with self._runs():
            destination = self._destination(report, name, attempt)
            self.records.delivery(report, name, attempt, DeliveryState.SENDING)
            sent: dict[str, Any] = DBOS.run_step(
                StepOptions(name="send"), self.delivery_steps.send, report, destination, attempt
            )
            self.records.delivery(report, name, attempt, DeliveryState(sent["state"]), sent)
            if sent["state"] == "delivered":
                if destination.commitment:
                    self._enqueue_commit(report, destination, attempt, 0)
                return sent
            if sent["state"] == "withdrawn":
                return sent
            if sent["state"] == "retrying":
                return self._again(report, destination, attempt, sent)
            raise self._failed(report, name, sent["code"], sent["reason"])

    @DBOS.workflow(max_recovery_attempts=MAX_RECOVERIES)
    def confirm(
        self, report: dict[str, str], name: str, attempt: int, look: int, since: float
    ) -> dict[str, Any]:
        """Look once for storage commitment; without it in time, queue another delivery.

        The parameters are those of `DeliverySteps.commitment`, with the destination by its name.
        """
        with self._runs():
            destination = self._destination(report, name, attempt)
            found: dict[str, Any] = DBOS.run_step(
                StepOptions(name="commitment"),
                self.delivery_steps.commitment,
                report,
                destination,
                attempt,
                look,
                since,
            )
            if found["state"] == "waiting":
                self._enqueue_commit(report, destination, attempt, look + 1, since)
                return found
            self.records.delivery(report, name, attempt, DeliveryState(found["state"]), found)
            self.delivery_steps.forget_commitment(report, destination, attempt)
            if found["state"] == "retrying":
                return self._again(report, destination, attempt, found)
            return found

    @DBOS.workflow(max_recovery_attempts=MAX_RECOVERIES)
    def withdraw(self, report: dict[str, str], name: str, attempt: int) -> dict[str, Any]:
        """Try once to withdraw an object of a report from a destination that got it.

        The parameters are those of `deliver`; ``report`` is the one that is withdrawn.
        """
        with self._runs():
            destination = self._destination(report, name, attempt)
            had: str = DBOS.run_step(
                StepOptions(name="delivered"), self._delivered, report["sha256"], name
            )
            if had == "no":
                return {"state": "not delivered", "code": None}
            if had == "sending":
                again = self._again
                waits = {"state": "waiting", "code": None, "reason": "it is being sent"}
                return again(report, destination, attempt, waits, self._enqueue_withdrawal)
            sent: dict[str, Any] = DBOS.run_step(
                StepOptions(name="send withdrawal"),
                self.withdrawal_steps.send,
                report,
                destination,
                attempt,
            )
            self.records.withdrawal(report, name, attempt, WITHDRAWAL_EVENTS[sent["state"]], sent)
            if sent["state"] == "retrying":
                return self._again(report, destination, attempt, sent, self._enqueue_withdrawal)
            if sent["state"] == "failed":
                raise self._failed(report, name, sent["code"], sent["reason"])
            return sent

    def _delivered(self, sha256: str, name: str) -> str:
        """Whether a destination has got a document: yes, no, or that it is being sent."""
        states = set()
        for status in DBOS.list_workflows(
            name=self.deliver.__qualname__, queue_name=delivery_queue(name)
        ):
            if status.input and status.input["args"][0].get("sha256") == sha256:
                state = (status.output or {}).get("state") if status.status == "SUCCESS" else None
                states.add("delivered" if state == "delivered" else status.status)
        if "delivered" in states or until_it_answers(
            self.database, self.stop, lambda connection: was_delivered(connection, sha256, name)
        ):
            return "yes"
        return "sending" if "PENDING" in states else "no"

    def _destination(self, report: dict[str, str], name: str, attempt: int) -> Destination:
        for destination in self.settings.destinations:
            if destination.name == name:
                return destination
        log().error("delivery failed", destination=name, code="node.unknown_destination")
        unknown = {
            "code": "node.unknown_destination",
            "reason": f"the settings name no destination {name}",
        }
        self.records.delivery(report, name, attempt, DeliveryState.FAILED, unknown)
        raise WorkFailed(unknown["code"], unknown["reason"])

    def _failed(self, report: dict[str, str], name: str, code: str, reason: str) -> WorkFailed:
        log().error(
            "delivery failed",
            assessment=report["identity"],
            destination=name,
            object=object_file(report),
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
        enqueue: Callable[[dict[str, str], Destination, int, float], None] | None = None,
    ) -> dict[str, Any]:
        """Queue the next attempt after its pause, or end the work as failed."""
        if attempt % destination.max_attempts == 0:
            place = report, destination.name, attempt
            if enqueue is None:
                self.records.delivery(*place, DeliveryState.FAILED, outcome)
            else:
                self.records.withdrawal(*place, StudyEvent.WITHDRAWAL_FAILED, outcome)
            raise self._failed(report, destination.name, outcome["code"], outcome["reason"])
        tried = attempt % destination.max_attempts
        # the exponent is bounded: it would overflow long before the attempts end
        pause = destination.retry_seconds * destination.retry_backoff ** min(tried - 1, 100)
        queue = enqueue or self._enqueue_delivery
        queue(report, destination, attempt + 1, min(pause, MAX_RETRY_SECONDS))
        return outcome

    def _enqueue_delivery(
        self, report: dict[str, str], destination: Destination, attempt: int, pause: float
    ) -> None:
        with (
            SetWorkflowID(f"{object_work(report, destination.name)}:{attempt}"),
            SetEnqueueOptions(delay_seconds=pause or None),
        ):
            DBOS.enqueue_workflow(
                delivery_queue(destination.name), self.deliver, report, destination.name, attempt
            )

    def _enqueue_withdrawal(
        self, report: dict[str, str], destination: Destination, attempt: int, pause: float
    ) -> None:
        with (
            SetWorkflowID(f"{object_work(report, destination.name)}:withdraw:{attempt}"),
            SetEnqueueOptions(delay_seconds=pause or None),
        ):
            DBOS.enqueue_workflow(
                delivery_queue(destination.name), self.withdraw, report, destination.name, attempt
            )

    def _enqueue_commit(
        self,
        report: dict[str, str],
        destination: Destination,
        attempt: int,
        look: int,
        since: float | None = None,
    ) -> None:
        pauses = FIRST_COMMIT_LOOKS_SECONDS
        pause = pauses[look] if look < len(pauses) else COMMIT_LOOK_SECONDS
        pause = min(pause, destination.commitment_seconds)
        with (
            SetWorkflowID(f"{object_work(report, destination.name)}:{attempt}:commit:{look}"),
            SetEnqueueOptions(delay_seconds=pause or None),
        ):
            DBOS.enqueue_workflow(
                commit_queue(destination.name, report.get("home", "")),
                self.confirm,
                report,
                destination.name,
                attempt,
                look,
                time.time() if since is None else since,
            )

    @contextmanager
    def _assesses(self) -> Iterator[None]:
        """Note the workflow as one that takes capacity."""
        identity = DBOS.workflow_id or ""
        self.assessing.add(identity)
        try:
            yield
        finally:
            self.assessing.discard(identity)

    @contextmanager
    def _runs(self) -> Iterator[None]:
        """Note the workflow as running; after a fault of the node leave it to the next start."""
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
