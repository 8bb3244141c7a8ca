"""Records of work: old ones go, and work passes from one worker to another."""

import hashlib
import itertools
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID
from dbos._dbos import _get_or_create_dbos_registry

from dicom_node.errors import WorkFailed
from dicom_node.monitoring.status import StatusReader
from dicom_node.records.database import open_database
from dicom_node.records.reading import Rejection
from dicom_node.records.study_events import events_of
from dicom_node.records.worker_table import WORKFLOW_VERSION
from dicom_node.settings.node import Destination, NodeSettings
from dicom_node.work.complete_study import CompleteStudy
from dicom_node.work.failed_work import failed_work, retry
from dicom_node.work.retention import open_studies
from dicom_node.work.sharing import purging
from dicom_node.work.sharing.lease import SoleLease
from dicom_node.work.sharing.outgoing import OutgoingObjects
from dicom_node.work.sharing.purging import Purger, was_delivered
from dicom_node.work.sharing.takeover import hand_on
from dicom_node.work.workflows import Worker
from tests.postgresql import Cluster, running_cluster
from tests.simulated_worker import SimulatedPool, simulated_report

numbers = itertools.count()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as found:
        yield found


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peers)])
def url(request: pytest.FixtureRequest) -> str | None:
    """A database that nobody has used."""
    if request.param == "sqlite":
        return None
    return f"{request.getfixturevalue('cluster').url}_{next(numbers)}"


@pytest.fixture
def worker(tmp_path: Path, url: str | None) -> Iterator[Worker]:
    """A worker that delivers and takes up no assessment by itself."""
    settings = NodeSettings(
        data_dir=tmp_path,
        database_url=url,
        destinations=(
            Destination(name="pacs", ae_title="PACS", host="h", port=104, objects=("sr",)),
        ),
    )
    config: DBOSConfig = {
        "name": "osteonode",
        "system_database_url": settings.database,
        "application_version": WORKFLOW_VERSION,
        "executor_id": "here",
        "log_level": "CRITICAL",
        "console_log_level": "CRITICAL",
        "serializer": DBOSPortableJSONSerializer(),
        "enable_otlp": False,
    }
    DBOS(config=config)
    stop = threading.Event()
    database = open_database(settings.database, make=True)
    made = Worker(
        settings,
        SimulatedPool(settings),  # type: ignore[arg-type]
        SoleLease(tmp_path, "here", stop),
        OutgoingObjects(settings.reports_dir, database if settings.on_postgresql else None),
        database,
        stop,
    )
    made.spool.prepare()
    DBOS.launch()
    DBOS.register_queue("deliver-pacs", polling_interval_sec=0.05)
    try:
        yield made
    finally:
        DBOS.destroy(workflow_completion_timeout_sec=0)
        _get_or_create_dbos_registry().instance_info_map.clear()  # a process has one worker
        database.dispose()


def run(worker: Worker, name: str) -> None:
    """Assess a simulated study, as its queue would, and deliver its report to nobody."""
    worker.delivery_steps.send = lambda *_arguments: {  # type: ignore[method-assign]
        "state": "delivered", "code": "0x0000",
    }  # fmt: skip
    with SetWorkflowID(name):
        worker.assess_series(name, f"study-{name}", {}, {}, [])
    DBOS.retrieve_workflow(f"{name}:pacs:1").get_result(polling_interval_sec=0.05)


def digest(name: str) -> str:
    return hashlib.sha256(simulated_report(name)).hexdigest()


def ids() -> set[str]:
    return {status.workflow_id for status in DBOS.list_workflows(status="SUCCESS")}


def purge(worker: Worker, monkeypatch: pytest.MonkeyPatch, days: float = 2.0) -> None:
    """Purge as if it were three days later."""
    now = time.time
    with monkeypatch.context() as context:
        context.setattr(time, "time", lambda: now() + 3 * 86400.0)
        Purger(days, worker.database, worker.deliver.__qualname__).look()


def test_old_records_go_and_sums_and_deliveries_stay(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = StatusReader(worker.settings)
    for name in ("a", "b", "c"):
        run(worker, name)
    before = reader.read()
    assert before.finished["deliver-pacs", "delivered", "0x0000"] == 3
    monkeypatch.setattr(purging, "BATCH", 2)
    purge(worker, monkeypatch, days=4.0)
    assert len(ids()) == 6
    purge(worker, monkeypatch)
    assert not ids()
    with worker.database.connect() as connection:
        assert was_delivered(connection, digest("b"), "pacs")
        assert not was_delivered(connection, digest("b"), "other")
    assert worker._delivered(digest("c"), "pacs") == "yes"
    assert worker._delivered(digest("d"), "pacs") == "no"
    run(worker, "d")
    fresh = StatusReader(worker.settings)
    for status in (reader.read(), fresh.read()):
        assert status.finished["none", "reported", ""] == 4
        assert status.finished["deliver-pacs", "delivered", "0x0000"] == 4
        assert status.durations["deliver-pacs"].number == 4
    reader.close()
    fresh.close()


def test_study_that_is_sent_again_after_its_records_are_gone_is_queued_once_more(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(worker, "a")
    study = CompleteStudy("study-a", "a", {}, {})
    worker.enqueue(study, (), time.time() + 60, "SCANNER")
    assert DBOS.get_workflow_status("a").status == "SUCCESS"  # type: ignore[union-attr]
    purge(worker, monkeypatch)
    worker.enqueue(study, (), time.time() + 60, "SCANNER")
    assert DBOS.get_workflow_status("a").queue_name == "assess"  # type: ignore[union-attr]


def test_withdrawn_report_is_not_sent_again_after_its_records_are_gone(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(worker, "a")
    folder = worker.settings.reports_dir / "study-a" / "a"
    (folder / "withdrawn.json").write_text('{"assessment": "b"}')
    purge(worker, monkeypatch)
    worker.enqueue(CompleteStudy("study-a", "a", {}, {}), (), time.time(), "SCANNER")
    assert DBOS.get_workflow_status("a") is None
    assert [status.status for status in DBOS.list_workflows()] == ["ENQUEUED"]


def change(worker: Worker, name: str, **columns: str) -> None:
    """Change the record of some work, as another process would."""
    engine = sa.create_engine(worker.settings.database)
    changed = ", ".join(f"{key} = :{key}" for key in columns)
    schema = "dbos." if worker.settings.on_postgresql else ""
    with engine.begin() as connection:
        connection.execute(
            sa.text(f"UPDATE {schema}workflow_status SET {changed} WHERE workflow_uuid = :name"),
            {"name": name, **columns},
        )
    engine.dispose()


def test_study_that_waits_on_another_machine_and_is_sent_here_too_is_assessed_here(
    worker: Worker,
) -> None:
    study = CompleteStudy("study-a", "a", {}, {})
    worker.enqueue(study, (), time.time(), "SCANNER")
    change(worker, "a", queue_name="assess@elsewhere")
    worker.enqueue(study, (), time.time(), "SCANNER")
    found = DBOS.get_workflow_status("a")
    assert found is not None
    assert (found.status, found.queue_name) == ("ENQUEUED", "assess")


def test_work_of_another_worker_is_handed_on_once_and_only_in_this_version(worker: Worker) -> None:
    """The contract of the function of DBOS that is not public."""
    for name, executor, version in (
        ("dead", "gone", WORKFLOW_VERSION),
        ("alive", "there", WORKFLOW_VERSION),
        ("older", "gone", "0"),
    ):
        run(worker, name)
        change(
            worker,
            name,
            status="PENDING",
            executor_id=executor,
            application_version=version,
            queue_name="elsewhere",
        )
    assert hand_on("gone") == 1
    assert hand_on("gone") == 0
    states = {s.workflow_id: (s.status, s.queue_name) for s in DBOS.list_workflows()}
    assert states["dead"] == ("ENQUEUED", "elsewhere")
    assert states["alive"][0] == states["older"][0] == "PENDING"


def test_rejection_that_was_not_carried_out_is_failed_work_and_can_be_retried(
    worker: Worker,
) -> None:
    said = Rejection(
        report_uid="1.2.3", reader="Doe^Jane", reason="wrong levels",
        moment=datetime(2026, 1, 2, tzinfo=UTC),
    )  # fmt: skip
    for key in ("study-a", "study-b"):
        with SetWorkflowID(f"{said.identity}-{key}"), pytest.raises(WorkFailed, match="superseded"):
            worker.reject(key, said.model_dump(mode="json"))
    assert {work.study for work in failed_work(worker.settings)} == {"study-a", "study-b"}
    # other instances of the study count by now
    worker._forget_failed("study-b", "newest")
    [failed] = failed_work(worker.settings)
    assert (failed.kind, failed.study, failed.destination) == ("rejection", "study-a", None)
    assert (failed.code, failed.id) == ("reading.outdated", f"{said.identity}-study-a")
    assert "superseded or withdrawn" in failed.reason
    assert "study-a" in open_studies()  # its reports stay for the retry
    retry(worker.settings, failed.id, who="adam")
    assert failed_work(worker.settings) == []
    status = DBOS.get_workflow_status(failed.id)
    assert status is not None
    assert (status.status, status.queue_name) == ("ENQUEUED", "assess")
    events = [(e.event.value, e.detail, e.who) for e in events_of(worker.database, "study-a")]
    assert events[1:] == [("retried", "rejection", "adam")]
    with pytest.raises(WorkFailed, match="not finished"):
        retry(worker.settings, failed.id)
