"""Work that ended for good: listed with its reason, and taken up again on request."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dbos import WorkflowStatus

from dicom_node.errors import WorkFailed
from dicom_node.exchange.home_folder import GONE, REASONS
from dicom_node.files import make_private_folder
from dicom_node.records.database import open_database
from dicom_node.records.listed_studies import StudyState
from dicom_node.records.study_events import COMMAND_LINE, StudyEvent, note_event, now_ms
from dicom_node.records.study_listing import list_state
from dicom_node.records.worker_table import WORKFLOW_VERSION
from dicom_node.reporting.report_history import ASK_AGAIN
from dicom_node.settings.node import NodeSettings
from dicom_node.spool.spool import Spool
from dicom_node.work.sharing.lease import own_home
from dicom_node.work.sharing.work_client import queue_work, work_client
from dicom_node.work.work_queues import (
    ASSESS_QUEUE,
    assess_queue,
    delivery_queue,
    object_work,
)

__all__ = ["FailedWork", "failed_work", "retry"]

FAILED = ("ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "CANCELLED")
"""States of a DBOS workflow that ended without success."""


@dataclass(frozen=True)
class FailedWork:
    """One assessment, delivery, commitment, withdrawal or rejection that failed for good.

    Parameters
    ----------
    id
        Of the work, for `retry`.
    kind
        ``assessment``, ``delivery``, ``commitment``, ``withdrawal`` or ``rejection``, a reader's.
    study
        Key of the study in the spool.
    destination
        Name of the destination; None for an assessment or rejection.
    code, reason
        Why it failed.
    when
        When it failed (UTC).
    """

    id: str
    kind: str
    study: str
    destination: str | None
    code: str
    reason: str
    when: datetime


def failed_work(settings: NodeSettings) -> list[FailedWork]:
    """All failed work, the oldest first."""
    with work_client(settings) as client:
        found = client.list_workflows(status=list(FAILED), load_output=True)
    work = [_describe(status) for status in found if _kind(status)]
    return sorted(work, key=lambda item: item.when)


def retry(settings: NodeSettings, identity: str, who: str = COMMAND_LINE) -> None:
    """Take up work again: failed work, or the assessment of a study that was refused or reported.

    An assessment or rejection runs again from its beginning, a delivery goes on with its next
    attempt. A report that the same model made stays as it is; another model makes a new report that
    supersedes it.

    Parameters
    ----------
    settings
        Of the node.
    identity
        Of the work.
    who
        Who asked.

    Raises
    ------
    WorkFailed
        There is no such work, it is not finished, it did not fail and is no assessment, or its
        instances are no longer in the spool.
    """
    with work_client(settings) as client:
        found = client.list_workflows(workflow_ids=[identity])
        if not found or not _kind(found[0]):
            raise WorkFailed("node.unknown_work", f"there is no work {identity}")
        status = found[0]
        if status.status not in (*FAILED, "SUCCESS"):
            raise WorkFailed("node.work_goes_on", f"{identity} is not finished")
        kind = _kind(status)
        if kind == "assessment":
            queue = status.queue_name or ASSESS_QUEUE
            if queue == assess_queue(own_home(settings)):  # else another machine has them
                _check_instances(settings, _arguments(status))
            if settings.query is not None and settings.query.earlier_reports:
                folder = settings.earlier_dir / _arguments(status)[1]
                make_private_folder(folder)
                (folder / ASK_AGAIN).touch()
            _note_retry(settings, _describe(status), who)
            client.rewind_workflow(identity, queue_name=queue, application_version=WORKFLOW_VERSION)
            return
        if status.status == "SUCCESS":
            raise WorkFailed("node.work_goes_on", f"{identity} did not fail")
        if kind == "rejection":
            _note_retry(settings, _describe(status), who)
            queue = status.queue_name or ASSESS_QUEUE
            client.rewind_workflow(identity, queue_name=queue, application_version=WORKFLOW_VERSION)
            return
        report, name, attempt = _arguments(status)[:3]
        withdrawal = ":withdraw" if kind == "withdrawal" else ""
        _note_retry(settings, _describe(status), who)
        queue_work(
            client,
            "withdraw" if withdrawal else "deliver",
            f"{object_work(report, name)}{withdrawal}:{attempt + 1}",
            delivery_queue(name),
            *(report, name, attempt + 1),
        )
        # listed until the next attempt is queued: a crash in between loses nothing
        client.delete_workflow(identity)


def _note_retry(settings: NodeSettings, work: FailedWork, who: str) -> None:
    """Note that work is taken up again, before it is: its steps count by that."""
    detail = f"{work.kind} to {work.destination}" if work.destination else work.kind
    database = open_database(settings.database, make=True)
    try:
        with database.begin() as connection:
            key = f"{work.id}:{now_ms()}"
            note_event(connection, work.study, StudyEvent.RETRIED, key, detail, who)
            if work.kind == "assessment":
                list_state(connection, work.study, StudyState.WAITING)
    finally:
        database.dispose()


def _check_instances(settings: NodeSettings, arguments: list[Any]) -> None:
    """Refuse to take up an assessment whose files were removed meanwhile."""
    spool = Spool(settings.data_dir)
    _, _, names, segmentations = arguments[:4]
    paths = [path for key, stems in names.items() for path in spool.paths(key, stems)]
    for key, stems in segmentations.items():
        paths += spool.segmentation_paths(key, stems)
    if not all(path.exists() for path in paths):
        raise WorkFailed(GONE, REASONS[GONE])


def _kind(status: WorkflowStatus) -> str:
    name = status.name.rpartition(".")[2]
    return {
        "assess_series": "assessment",
        "deliver": "delivery",
        "confirm": "commitment",
        "withdraw": "withdrawal",
        "reject": "rejection",
    }.get(name, "")


def _arguments(status: WorkflowStatus) -> list[Any]:
    return list(status.input["args"]) if status.input else []


def _describe(status: WorkflowStatus) -> FailedWork:
    kind, arguments = _kind(status), _arguments(status)
    study, destination = "", None
    if arguments and kind == "rejection":
        study = str(arguments[0])
    elif arguments and kind == "assessment":
        study = str(arguments[1])
    elif arguments:
        study, destination = str(arguments[0]["study"]), str(arguments[1])
    code = getattr(status.error, "code", None) or f"node.{status.status.lower()}"
    ended = status.completed_at or status.updated_at or 0
    return FailedWork(
        id=status.workflow_id,
        kind=kind,
        study=study,
        destination=destination,
        code=str(code),
        reason=str(status.error or "interrupted too often"),
        when=datetime.fromtimestamp(ended / 1000, UTC),
    )
