"""Assessments whose instances lie on another machine: fetch them, assess, hand the report in.

Each attempt has a folder of its own with the shape of the node's data folder, which is removed when
the attempt ends, however it ends; what a killed worker left is removed by the next one that starts.
Nothing is written into the spool or the reports of the other machine but by that machine itself.
"""

import fcntl
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa

from dicom_node.exchange.client import HomeClient, HomeUnavailable
from dicom_node.exchange.home_folder import (
    OTHER_REPORT,
    NotGiven,
    Wanted,
    digest_of,
    written_files,
)
from dicom_node.files import make_private_folder
from dicom_node.logs import log
from dicom_node.records.instance_servers import Awaited, forget_wait, listed_servers, note_wait
from dicom_node.reporting.report_history import REPORT_FILE
from dicom_node.reporting.report_index import ReportIndex
from dicom_node.settings.node import NodeSettings
from dicom_node.spool.spool import remove_tree
from dicom_node.work.sharing.interruption import Interrupted, until_it_answers
from dicom_node.work.sharing.lease import Lease

__all__ = ["FetchedWork", "Files", "Steps"]

FETCH_AGAIN_SECONDS = 5.0
"""Pause before a machine that does not give instances is asked again."""

LOCK_FILE = ".lock"

Files = dict[str, list[str]]
"""File names without suffix, by the folder of the spool that they lie in."""

T = TypeVar("T")


class Steps(Protocol):
    """What is done with a data folder; see `AssessmentSteps`."""

    def assess(
        self,
        identity: str,
        key: str,
        names: Files,
        segmentations: Files,
        findings: list[list[str]],
        hold: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """Assess a study in it."""

    def report_failure(
        self, identity: str, key: str, code: str, reason: str, *, written: bool
    ) -> None:
        """Write down in it that an assessment failed."""


class FetchedWork:
    """Does the steps of assessments of other machines.

    Parameters
    ----------
    settings
        Of the node.
    lease
        Of this worker on its work.
    database
        With the node's own tables.
    make_steps
        Makes the steps for a data folder, whose instances are those of a spool with this name.
    stop
        Set when the process is to end.
    """

    def __init__(
        self,
        settings: NodeSettings,
        lease: Lease,
        database: sa.Engine,
        make_steps: Callable[[Path, str], Steps],
        stop: threading.Event,
    ) -> None:
        self._settings = settings
        self._lease = lease
        self._database = database
        self._make_steps = make_steps
        self._stop = stop
        self._root = settings.data_dir / "fetched"
        self._own: Path | None = None
        self._held: int | None = None

    def prepare(self) -> None:
        """Remove what workers left that were killed, and make a folder for this one."""
        make_private_folder(self._root)
        for left in self._root.iterdir():
            with suppress(FileNotFoundError):  # another worker removes it
                lock = os.open(left / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    self._remove(left)
                except BlockingIOError:  # its worker lives
                    pass
                finally:
                    os.close(lock)
        self._own = self._root / self._lease.executor_id
        make_private_folder(self._own)
        self._held = os.open(self._own / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._held, fcntl.LOCK_EX)

    def close(self) -> None:
        """Remove this worker's folder."""
        if self._own is not None and self._held is not None:
            shutil.rmtree(self._own, ignore_errors=True)
            os.close(self._held)

    def assess(
        self,
        home: str,
        identity: str,
        key: str,
        names: Files,
        segmentations: Files,
        findings: list[list[str]],
        hold: dict[str, str] | None,
    ) -> dict[str, Any]:
        """Assess one study of the spool ``home``; the others are as for `AssessmentSteps.assess`.

        It waits for the machine with that spool as long as that is away.
        """
        unread = hold is not None
        wanted = _wanted(identity, key, *(({}, {}) if unread else (names, segmentations)))

        def act(steps: Steps) -> dict[str, Any]:
            return steps.assess(identity, key, names, segmentations, findings, hold)

        try:
            return self._attempt(home, wanted, act)
        except NotGiven as error:
            return {"state": "failed", "code": error.code, "reason": str(error)}

    def report_failure(self, home: str, identity: str, key: str, code: str, reason: str) -> None:
        """Write down at the machine with the spool ``home`` that an assessment failed."""

        def act(steps: Steps) -> None:
            steps.report_failure(identity, key, code, reason, written=True)

        with suppress(NotGiven):  # others count now, so nobody looks for it
            self._attempt(home, _wanted(identity, key, {}, {}), act)

    def _attempt(self, home: str, wanted: Wanted, act: Callable[[Steps], T]) -> T:
        assert self._own is not None
        folder = self._own / wanted.assessment
        while True:
            try:
                return self._in_folder(folder, home, wanted, act)
            except NotGiven as error:
                if error.code != OTHER_REPORT:
                    raise
            finally:
                if folder.exists():
                    self._remove(folder)

    def _in_folder(self, folder: Path, home: str, wanted: Wanted, act: Callable[[Steps], T]) -> T:
        started = time.perf_counter()

        def fetch(client: HomeClient) -> frozenset[str]:
            if folder.exists():
                self._remove(folder)
            make_private_folder(folder / "reports")
            return client.fetch(wanted, folder)

        received = self._from_home(home, wanted, fetch)
        log().info(
            "instances fetched",
            assessment=wanted.assessment,
            study=wanted.study,
            instances=len(wanted.instances),
            seconds=round(time.perf_counter() - started, 3),
        )
        ReportIndex(folder / "reports").prepare()  # for what came of the patient's other studies
        work = wanted.study, wanted.assessment
        met = digest_of(folder.joinpath("reports", *work, REPORT_FILE))
        result = act(self._make_steps(folder, home))
        files = written_files(folder, *work, received)

        def hand_in(client: HomeClient) -> None:
            self._lease.confirm()
            client.hand_in(*work, files, met)

        self._from_home(home, wanted, hand_in)
        return result

    def _from_home(self, home: str, wanted: Wanted, act: Callable[[HomeClient], T]) -> T:
        """Do something with the machine that has a spool, again for as long as that is away."""
        told = ""
        while True:
            try:
                result = act(self._client(home))
                break
            except HomeUnavailable as error:
                reason = str(error)
            except OSError as error:
                reason = f"the disk here does not take them ({os.strerror(error.errno or 0)})"
            if reason != told:
                told = reason
                log().warning(
                    "waiting for instances",
                    assessment=wanted.assessment,
                    study=wanted.study,
                    reason=reason,
                )
                waits = Awaited(wanted.assessment, home, socket.gethostname(), reason)
                self._note(partial(note_wait, waits=waits))
            if self._stop.wait(FETCH_AGAIN_SECONDS) or self._lease.lost:
                raise Interrupted
        self._note(partial(forget_wait, work=wanted.assessment))
        return result

    def _client(self, home: str) -> HomeClient:
        server = until_it_answers(self._database, self._stop, listed_servers).get(home)
        exchange = self._settings.exchange
        if exchange is None:
            raise HomeUnavailable("this machine has no section [exchange] to fetch with")
        if server is None:
            raise HomeUnavailable("it does not serve them; is exchange.port set there?")
        if not server.alive:
            raise HomeUnavailable("it gives no sign of life; start osteonode serve there")
        return HomeClient(exchange, server.url)

    def _note(self, act: Callable[[sa.Connection], None]) -> None:
        until_it_answers(self._database, self._stop, act)

    def _remove(self, folder: Path) -> None:
        remove_tree(folder, overwrite=self._settings.retention.overwrite)


def _wanted(identity: str, key: str, names: Files, segmentations: Files) -> Wanted:
    return Wanted.model_validate(
        {"assessment": identity, "study": key, "series": names, "segmentations": segmentations}
    )
