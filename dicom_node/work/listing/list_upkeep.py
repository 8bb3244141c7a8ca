"""Keep the list of studies in step with the disk: enter what it lacks, take out what is gone."""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa

from dicom_node.logs import log
from dicom_node.records.listed_studies import StudyState
from dicom_node.records.study_events import StudyEvent, note_event
from dicom_node.records.study_listing import (
    StudyResult,
    forget_study,
    list_result,
    list_study,
    study_keys,
)
from dicom_node.reporting.report_history import REPORT_FILE
from dicom_node.reporting.report_index import INDEX
from dicom_node.spool.spool import Spool
from dicom_node.study_facts import StudyHeader
from dicom_node.work.listing.reported_study import reported_study
from dicom_node.work.sharing.interruption import Interrupted, until_it_answers

__all__ = ["ListUpkeep"]

UPKEEP_SECONDS = 600.0
"""How often it is looked for studies that are gone; as often as they are removed."""

UPKEEP_AT_ONCE = 100
"""Studies that are entered or taken out in one transaction."""

PAUSE_SECONDS = 0.01
"""Between two reports that are read, for the worker's other threads."""

ENDS = {
    StudyState.REPORTED: StudyEvent.REPORTED,
    StudyState.REFUSED: StudyEvent.REFUSED,
    StudyState.FAILED: StudyEvent.FAILED,
}

Found = tuple[str, StudyHeader, StudyResult, int]
"""A study's key, whose it is, what its newest report says, and when that was written, ms."""


class ListUpkeep:
    """Looks after the list of one spool's studies.

    Parameters
    ----------
    database
        With the node's own tables.
    spool
        Where the received instances lie.
    reports
        Folder of the reports, with a folder a study in it.
    home
        Name of the spool where there are several, else empty.
    stop
        Set when the process is to end.
    """

    def __init__(
        self, database: sa.Engine, spool: Spool, reports: Path, home: str, stop: threading.Event
    ) -> None:
        self._database = database
        self._spool = spool
        self._reports = reports
        self._home = home
        self._stop = stop
        self._looked: float | None = None

    def start(self) -> None:
        """Begin to `fill` in the background."""
        threading.Thread(target=self._fill_quietly, daemon=True).start()

    def _fill_quietly(self) -> None:
        with suppress(Interrupted):
            self.fill()

    def fill(self) -> None:
        """Enter the studies with a report that the list lacks: those from before there was one.

        Costs 10 ms a study; what is in the list stays as it is.

        Raises
        ------
        Interrupted
            The process is to end.
        """
        listed: set[str] = until_it_answers(
            self._database, self._stop, lambda connection: study_keys(connection, self._home)
        )
        with suppress(OSError):
            folders = [p for p in self._reports.iterdir() if p.is_dir() and p.name != INDEX]
            lacking = [folder for folder in folders if folder.name not in listed]
            batch: list[Found] = []
            for found in self._newest_reports(lacking):
                batch.append(found)
                if len(batch) == UPKEEP_AT_ONCE:
                    self._enter(batch)
                    batch = []
            self._enter(batch)

    def look(self) -> None:
        """Take out the studies whose instances and reports are gone, every `UPKEEP_SECONDS`."""
        if self._looked is not None and time.monotonic() - self._looked < UPKEEP_SECONDS:
            return
        self._looked = time.monotonic()
        with self._database.connect() as connection:  # before: what comes meanwhile is kept
            listed = study_keys(connection, self._home)
        if not (self._reports / INDEX).is_dir() or not self._spool.studies.is_dir():
            return  # a disk that is not mounted
        kept = {path.name for place in (self._reports, self._spool.studies)
                for path in place.iterdir()}  # fmt: skip
        gone = sorted(listed - kept)
        for start in range(0, len(gone), UPKEEP_AT_ONCE):
            with self._database.begin() as connection:
                for study in gone[start : start + UPKEEP_AT_ONCE]:
                    forget_study(connection, study)
        if gone:
            log().info("studies taken off the list", number=len(gone))

    def _newest_reports(self, folders: Iterable[Path]) -> Iterator[Found]:
        for folder in folders:
            if self._stop.wait(PAUSE_SECONDS):
                raise Interrupted
            try:
                written = {
                    path.parent: path.stat().st_mtime_ns
                    for name in (REPORT_FILE, "report.json")
                    for path in folder.glob(f"*/{name}")
                }
                if written:
                    newest = max(written, key=lambda place: (written[place], place.name))
                    moment = written[newest] // 1_000_000
                    yield (folder.name, *reported_study(newest, newest.name), moment)
            except Exception as error:  # what lies there may be damaged in any way
                log().warning("study not listed", study=folder.name, error=type(error).__name__)

    def _enter(self, batch: list[Found]) -> None:
        def enter(connection: sa.Connection) -> None:
            for study, header, result, moment in batch:
                if list_study(connection, study, header, moment, self._home, renew=False):
                    list_result(connection, study, result, moment)
                    turn = f"{result.assessment}:0"
                    note_event(connection, study, ENDS[result.state], turn, moment=moment)

        if batch:
            until_it_answers(self._database, self._stop, enter)
