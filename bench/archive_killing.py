"""Runs of a screening that are killed with their archive, and runs by a simulated clock."""

import multiprocessing
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from multiprocessing.process import BaseProcess

from sqlalchemy import Engine, func, select

from bench.archive_log import orthanc_id, sent_series
from bench.journal_reports import JournalReports
from dicom_node.archive.bookkeeping.progress import read_progress
from dicom_node.archive.bookkeeping.tables import SERIES, open_screenings
from dicom_node.archive.work.manners import Clock, local_time
from dicom_node.archive.work.running import run_screening
from dicom_node.settings.node import NodeSettings
from tests.test_node_archive_peers import Dcmqrscp, OrthancArchive

__all__ = ["Killing", "TimedRuns"]

OUTAGE_SECONDS = 15.0
"""How long the archive stays down once."""

BREAKING_SECONDS = 3.0
"""By then all that an archive's end breaks off has ended."""

SETTLING_SECONDS = 4.0
"""What is not fetched within this time is not fetched."""

PATIENCE_SECONDS = 120.0

IN_HAND = 2
"""Most series that a run has in hand."""

FORK = multiprocessing.get_context("fork")


class Sent:
    """What an archive sent of a screening's series, by its own log.

    Parameters
    ----------
    database
        Of the screening.
    archive
        Has a log.
    """

    def __init__(self, database: Engine, archive: OrthancArchive | Dcmqrscp) -> None:
        assert archive.log is not None
        self._database = database
        self._log = archive.log
        self._before = sent_series(self._log) if self._log.exists() else Counter[str]()

    def series(self, *, ended: bool = False) -> Counter[str]:
        """How often each was sent; only of those that were assessed, if these alone are asked."""
        columns = (SERIES.c.series_uid, SERIES.c.study_uid, SERIES.c.patient_id)
        asked = select(*columns).where(SERIES.c.series_uid.is_not(None))
        if ended:
            asked = asked.where(SERIES.c.outcome.is_not(None))
        with self._database.begin() as connection:
            rows = connection.execute(asked).all()
        sent = sent_series(self._log) - self._before
        return Counter(
            {
                uid: sent[uid] + sent[orthanc_id(patient or "", study, uid)]
                for uid, study, patient in rows
            }
        )


def forked(
    settings: NodeSettings, reports: JournalReports, clock: Clock = local_time
) -> BaseProcess:
    """A run in a process of its own."""
    arguments = (settings, "trial", threading.Event(), reports, clock)
    run = FORK.Process(target=run_screening, args=arguments)
    run.start()
    return run


def kill(run: BaseProcess) -> None:
    """Kill -9, and wait for it."""
    if run.pid is not None and run.is_alive():
        os.kill(run.pid, signal.SIGKILL)
    run.join()


class Killing:
    """Runs a screening until nothing is left, and kills it and its archive at random points.

    Parameters
    ----------
    settings
        Of the node.
    archive
        Runs, and has a log.
    reports
        Assess.
    """

    def __init__(
        self,
        settings: NodeSettings,
        archive: OrthancArchive | Dcmqrscp,
        reports: JournalReports,
    ) -> None:
        self.faults: list[str] = []
        self._settings = settings
        self._archive = archive
        self._reports = reports
        self._database = open_screenings(settings.database)
        self._sent = Sent(self._database, archive)
        self._dice = random.Random(16)
        self._killed: Counter[str] = Counter()
        self._ended: Counter[str] = Counter()
        self._again = 0
        self._seconds = 0.0

    def run(self, kills: int) -> None:
        """Run until nothing is left."""
        started = time.monotonic()
        while True:
            run = forked(self._settings, self._reports)
            self._kill(run, kills)
            run.join()
            self._look()
            if run.exitcode == 0:
                break
            if run.exitcode != -signal.SIGKILL:
                self.faults.append(f"a run ended with exit code {run.exitcode}")
        self._seconds = time.monotonic() - started
        if self._killed["points"] < kills:
            self.faults.append(f"all was done after {self._killed['points']} kills")
        if self._again:
            self.faults.append(f"{self._again} series fetched again that had an outcome")
        if self._reports.again() > IN_HAND * self._killed["runs"]:
            self.faults.append(f"{self._reports.again()} assessments done again")

    def told(self) -> str:
        """What was done, as a line."""
        sent = self._sent.series()
        return (
            f"{self._killed['points']} points: {self._killed['runs']} times the run and "
            f"{self._killed['archive']} times the archive killed, down for {OUTAGE_SECONDS:g} s; "
            f"{len(+sent)} series fetched {sent.total()} times, {self._again} of them after "
            f"their outcome; {self._reports.again()} assessments done again; {self._seconds:.0f} s"
        )

    def _kill(self, run: BaseProcess, kills: int) -> None:
        """Kill at random points until the run is dead, or enough was killed."""
        while self._killed["points"] < kills:
            run.join(self._dice.uniform(0.3, 2.5))
            if not run.is_alive():
                return
            self._killed["points"] += 1
            if self._killed["points"] == kills // 2:
                self._outage(run)
                continue
            whom = self._dice.choice(("run", "run", "archive", "both"))
            if whom != "run":
                self._archive.kill()
                self._killed["archive"] += 1
            if whom != "archive":
                kill(run)
                self._killed["runs"] += 1
            if whom != "run":
                time.sleep(self._dice.uniform(0.0, 2.0))
                self._archive.__enter__()
            if whom != "archive":
                return

    def _outage(self, run: BaseProcess) -> None:
        """The archive is killed and stays down: that is told, and costs no series an attempt."""
        self._archive.kill()
        self._killed["archive"] += 1
        time.sleep(BREAKING_SECONDS)
        attempts = self._attempts()
        time.sleep(OUTAGE_SECONDS - BREAKING_SECONDS)
        if not any(
            "down since" in text for text in read_progress(self._database, "trial").waits_for
        ):
            self.faults.append("status does not say that the archive is down")
        if not run.is_alive() or self._attempts() != attempts:
            self.faults.append("the outage ended the run, or cost attempts")
        self._archive.__enter__()

    def _attempts(self) -> int:
        with self._database.begin() as connection:
            return int(connection.execute(select(func.sum(SERIES.c.attempts))).scalar_one() or 0)

    def _look(self) -> None:
        """Look in the log whether anything was sent that had an outcome before."""
        sent = self._sent.series()
        self._again += sum(sent[uid] - number for uid, number in self._ended.items())
        self._ended = self._sent.series(ended=True)


class TimedRuns:
    """Runs a screening through three days of a simulated clock and looks when it fetches.

    Parameters
    ----------
    settings
        With a window from 19:00 to 6:00 and a quota.
    archive
        Runs, and has a log.
    reports
        Assess.
    quota
        Series a day.
    """

    def __init__(
        self,
        settings: NodeSettings,
        archive: OrthancArchive | Dcmqrscp,
        reports: JournalReports,
        quota: int,
    ) -> None:
        self.faults: list[str] = []
        self._settings = settings
        self._reports = reports
        self._quota = quota
        self._sent = Sent(open_screenings(settings.database), archive)
        self._now = FORK.Value("d", 0.0)

    def run(self, series: int) -> str:
        """Run until this many series are fetched; returns what was seen, as a line."""
        seen, killed = [], 0
        self._set(1, 12)
        run = forked(self._settings, self._reports, self._clock)
        for day, hour, most in (
            (1, 12, 0),
            (1, 20, self._quota),
            (2, 1, 2 * self._quota),
            (2, 12, 2 * self._quota),
            (2, 20, 2 * self._quota),
            (3, 5, series),
        ):
            before = self._fetched()
            self._set(day, hour)
            if most > before + 1:  # a killed run does not begin the quota anew
                self._wait(lambda before=before: self._fetched() > before)  # type: ignore[misc]
                kill(run)
                killed += 1
                run = forked(self._settings, self._reports, self._clock)
                self._wait(lambda most=most: self._fetched() >= most - IN_HAND)  # type: ignore[misc]
            time.sleep(SETTLING_SECONDS)
            seen.append(f"day {day}, {hour}:00: {self._fetched()}")
            if self._fetched() > (series + IN_HAND * killed if most == series else most):
                self.faults.append(f"more than {most} series were fetched on {seen[-1]}")
        run.join(PATIENCE_SECONDS)
        if run.is_alive():
            self.faults.append("the timed run does not end")
            kill(run)
        return f"quota {self._quota}, window 19:00-06:00; fetched by " + ", ".join(seen)

    def _set(self, day: int, hour: int) -> None:
        self._now.value = datetime(2026, 1, day, hour).astimezone().timestamp()

    def _clock(self) -> datetime:
        return datetime.fromtimestamp(self._now.value).astimezone()

    def _fetched(self) -> int:
        return self._sent.series().total()

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.2)
