"""One process that works on a screening until nothing is left, it is paused, or it is stopped."""

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from dbos import DBOSClient, DBOSPortableJSONSerializer
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.analysis.outcome import Outcome as Analysis
from dicom_node.archive.bookkeeping.archive_share import ArchiveShare
from dicom_node.archive.bookkeeping.runners import Runner
from dicom_node.archive.bookkeeping.screenings import Screening, Screenings
from dicom_node.archive.bookkeeping.series_rows import Due, SeriesRows
from dicom_node.archive.bookkeeping.tables import open_screenings
from dicom_node.archive.slots import ConnectionSlots
from dicom_node.archive.sources import SourceUnavailable
from dicom_node.archive.work.asking import Asking
from dicom_node.archive.work.manners import Clock, Manners, local_time
from dicom_node.archive.work.series_work import SeriesWork, WatchedSource
from dicom_node.archive.work.source_names import (
    SourceName,
    SourceOpener,
    archive_of,
    destination_of,
    make_source,
)
from dicom_node.errors import DiskFault, OperationalError
from dicom_node.logs import fault_fields, log
from dicom_node.records.audit import AuditTrail
from dicom_node.sending.pacs_query import PacsQuery
from dicom_node.settings.node import NodeSettings
from dicom_node.spool.spool import Spool
from dicom_node.work.assessment_pool import AssessmentPool, assess_in_child
from dicom_node.work.assessment_steps import DISK_SECONDS
from dicom_node.work.delivery_steps import DeliverySteps
from dicom_node.work.sharing.lease import own_home
from dicom_node.work.sharing.outgoing import OutgoingObjects
from dicom_node.work.work_queues import assess_queue

__all__ = ["LiveWork", "NicePool", "remove_folder", "run_screening", "screening_folder"]

NICENESS = 10
"""Of the children that assess for a screening: live studies come first."""

IDLE_SECONDS = 0.3
"""Pause of a thread that found nothing to do."""

RUNNER_BEAT_SECONDS = 1.0
"""Seconds between two signs of life, each with a look whether the screening is paused."""

JUDGED_AT_ONCE = 100
"""Series whose headers are looked at between two records of it."""

END_SECONDS = 10.0
"""How long threads may take to end; a transfer that takes longer is broken off."""

LIVE_SECONDS = 2.0
"""How long the answer holds whether the node has live work."""


def assess_nicely(*arguments: object) -> Analysis:
    """In the child: assess with a low priority."""
    os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    return assess_in_child(*arguments)  # type: ignore[arg-type]


class NicePool(AssessmentPool):
    """The node's pool with children of low priority."""

    analysis = staticmethod(assess_nicely)


def screening_folder(settings: NodeSettings, name: str) -> Path:
    """Where a screening keeps its reports and, of one attempt, its images."""
    return settings.data_dir / "screenings" / name


class LiveWork:
    """Whether the node has studies in hand that came in by themselves.

    Parameters
    ----------
    settings
        Of the node.
    """

    def __init__(self, settings: NodeSettings) -> None:
        self._arriving = Spool(settings.data_dir).record.arriving
        self._settings = settings
        self._client: DBOSClient | None = None
        self._asked = -LIVE_SECONDS
        self._lock = threading.Lock()
        self._found = False

    def exists(self) -> bool:
        """Whether a study arrives, waits for its assessment, or is assessed."""
        with self._lock:
            if time.monotonic() - self._asked >= LIVE_SECONDS:
                self._found = self._arrives() or self._waits()
                self._asked = time.monotonic()
            return self._found

    def _arrives(self) -> bool:
        with contextlib.suppress(FileNotFoundError), os.scandir(self._arriving) as entries:
            return any(True for _ in entries)
        return False

    def _waits(self) -> bool:
        if not self._arriving.is_dir():  # no node has worked here
            return False
        try:
            if self._client is None:
                self._client = DBOSClient(
                    system_database_url=self._settings.database,
                    serializer=DBOSPortableJSONSerializer(),
                )
            waiting = self._client.list_workflows(
                status=["ENQUEUED", "PENDING"],
                queue_name=assess_queue(own_home(self._settings)),
                limit=1,
                load_input=False,
                load_output=False,
            )
        except SQLAlchemyError:
            return False
        return bool(waiting)


def run_screening(
    settings: NodeSettings,
    name: str,
    stop: threading.Event,
    make_pool: Callable[[NodeSettings], AssessmentPool] = NicePool,
    clock: Clock = local_time,
    open_source: SourceOpener = make_source,
) -> None:
    """Work on a screening until every series has its outcome, or ``stop`` is set.

    Several of these may work on one screening, on one machine or on many.

    Parameters
    ----------
    settings
        Of the node.
    name
        Of the screening.
    stop
        Ends it; what is in hand is given back.
    make_pool
        Makes the pool of children that assess.
    clock
        The time of day.
    open_source
        Opens the source by its name.

    Raises
    ------
    ScreeningInvalid
        There is no such screening, or its source or destination is not in the settings any more.
    SettingsInvalid
        The model cannot be used.
    """
    database = open_screenings(settings.database)
    screenings = Screenings(database)
    screening = screenings.get(name)
    folder = screening_folder(settings, name)
    named = SourceName.of(screening.plan.source)
    archive = archive_of(named, settings)
    sent_to = destination_of(screening.plan.send_to, settings)
    destination = None if sent_to is None else sent_to.destination
    manners = Manners(database, screening.plan.source, archive, clock)
    manners.prepare()
    audit = AuditTrail.of(settings)
    own = settings.model_copy(
        update={
            "data_dir": folder,
            "destinations": () if destination is None else (destination,),
            "query": None,
        }
    )
    query = None
    if settings.query is not None:
        query = PacsQuery(settings.query, settings.listener.ae_title)
    with Runner(database, screening, folder / "attempts") as runner:
        slots, share = ConnectionSlots(1), None
        if archive is not None:
            most = archive.max_connections
            share = ArchiveShare(database, screening.plan.source, most, runner.id)
            slots.allow(share.allot(0))
        source = WatchedSource(open_source(named, archive, settings, folder, slots), manners)
        rows = SeriesRows(database, screening, runner.id)
        delivery = None
        if sent_to is not None:
            outgoing = OutgoingObjects(own.reports_dir)
            delivery = DeliverySteps(own, audit, query, outgoing, runner.confirm, sent_to.transmit)
        audit.started("screening")
        with make_pool(own) as pool, _database_faults():
            work = SeriesWork(
                own, screening.plan, folder, rows, source, pool, audit, stop, delivery, destination
            )
            asking = Asking(screenings, screening, rows, source, runner.id)
            live = LiveWork(settings)
            run = _Run(
                screenings, screening, runner, rows, work, asking, manners, live, slots, share
            )
            run.until_done(settings.limits.processes + 1, pool, stop)
        run.join()
        source.close()
        audit.stopped("screening")
    database.dispose()


@contextlib.contextmanager
def _database_faults() -> Iterator[None]:
    """Say in the node's own errors that the database failed: the next start goes on."""
    try:
        yield
    except SQLAlchemyError as error:
        kind = type(error).__name__
        raise OperationalError(f"the database does not take its records ({kind})") from error


class _Run:
    """The threads of a runner: one lists, one looks at headers, some fetch and assess."""

    def __init__(
        self,
        screenings: Screenings,
        screening: Screening,
        runner: Runner,
        rows: SeriesRows,
        work: SeriesWork,
        asking: Asking,
        manners: Manners,
        live: LiveWork,
        slots: ConnectionSlots,
        share: ArchiveShare | None,
    ) -> None:
        self._screenings = screenings
        self._screening = screening
        self._runner = runner
        self._rows = rows
        self._work = work
        self._asking = asking
        self._manners = manners
        self._live = live
        self._slots = slots
        self._share = share
        self._done = threading.Event()
        self._paused = threading.Event()
        self._faults: list[Exception] = []
        self._threads: list[threading.Thread] = []

    def until_done(self, workers: int, pool: AssessmentPool, stop: threading.Event) -> None:
        """Work until nothing is left or the process is to stop; `join` waits for the threads.

        Raises
        ------
        Exception
            What ended a thread, or the models that cannot be loaded.
        """
        loading = pool.load_model()
        steps = [self._asking.ask_next, self._judge, *[self._fetch] * workers]
        if self._screening.plan.send_to is not None:
            steps.append(self._send)
        for step in steps:
            thread = threading.Thread(target=self._repeat, args=(step,), daemon=True)
            self._threads.append(thread)
            thread.start()
        try:
            while not (stop.is_set() or self._faults or self._done.is_set()):
                if loading.done():
                    loading.result()
                self._look()
                stop.wait(0.0 if self._done.is_set() else RUNNER_BEAT_SECONDS)
        except BaseException:
            stop.set()
            raise
        finally:
            self._done.set()
        if self._faults:
            stop.set()
            raise self._faults[0]

    def join(self) -> None:
        """Wait until the threads have given back what they had in hand."""
        deadline = time.monotonic() + END_SECONDS
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))

    def _look(self) -> None:
        """Give a sign of life, look for a pause, and whether all is done."""
        waiting = self._waiting()
        if not self._runner.beat(waiting):
            raise OperationalError("this runner counted as dead and its work was taken over")
        if self._share is not None:
            self._slots.allow(self._share.allot(self._slots.open))
        if self._screenings.is_paused(self._screening):
            self._paused.set()
        else:
            self._paused.clear()
        if not self._screenings.open_questions(self._screening) and not self._rows.unfinished():
            self._done.set()

    def _waiting(self) -> str | None:
        """Why this runner begins no series; None if it may."""
        if self._paused.is_set():
            return "paused"
        if (wait := self._manners.wait()) is not None:
            return f"{wait.reason}, until {wait.until:%Y-%m-%d %H:%M:%S}"
        if not self._slots.allowed:
            return "other runs have all max_connections of the archive"
        return "live studies come first" if self._live.exists() else None

    def _repeat(self, step: Callable[[], bool]) -> None:
        """Take a step again and again; one that found nothing to do pauses."""
        while not self._done.is_set():
            try:
                found = self._may_ask() and step()
            except SourceUnavailable as error:
                log().warning("source unavailable", code=error.code, reason=str(error))
                found = False
            except DiskFault as error:
                log().error("disk fault", code=error.code, reason=str(error))
                self._done.wait(DISK_SECONDS)
                found = False
            except Exception as error:  # the process ends: another start takes its work up
                log().error("unforeseen fault", **fault_fields(error))
                self._faults.append(error)
                return
            if not found:
                self._done.wait(IDLE_SECONDS)

    def _may_ask(self) -> bool:
        """Whether the source may be asked anything now."""
        if self._paused.is_set() or not self._slots.allowed:
            return False
        return self._manners.down() is None

    def _judge(self) -> bool:
        rows = self._rows.claim(Due.SCREEN, JUDGED_AT_ONCE)
        if rows:
            self._work.judge(rows)
        return bool(rows)

    def _fetch(self) -> bool:
        if self._manners.wait() is not None or self._live.exists():
            return False
        rows = self._rows.claim(Due.FETCH)
        if not rows:
            return False
        if not self._manners.take():
            self._rows.put_back(rows[0])
            return False
        self._work.fetch_and_assess(rows[0], self._runner.folder / str(rows[0].id))
        return True

    def _send(self) -> bool:
        rows = self._rows.claim(Due.SEND)
        if rows:
            self._work.send(rows[0])
        return bool(rows)


def remove_folder(settings: NodeSettings, name: str) -> None:
    """Remove what a screening left on this machine's disk."""
    shutil.rmtree(screening_folder(settings, name), ignore_errors=True)
