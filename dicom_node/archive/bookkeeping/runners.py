"""Runners of a screening: their signs of life, their temporary folders, and what dead ones left."""

import fcntl
import os
import shutil
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Engine, delete, insert, select, update

from dicom_node.archive.bookkeeping.screenings import Screening
from dicom_node.archive.bookkeeping.tables import QUESTION, RUNNER, SERIES, database_now
from dicom_node.errors import OperationalError
from dicom_node.files import make_private_folder

__all__ = ["Runner"]


class Runner:
    """One process that works on a screening, as the other runners see it.

    Its temporary folder is locked as long as it lives. Who finds the folder of a dead runner
    unlocked removes it and frees its rows at once; on another machine they are free when its last
    sign of life is too old. What dead runners of other screenings left on this machine goes too.

    Parameters
    ----------
    database
        As `tables.open_screenings` gives it.
    screening
        What it works on.
    attempts
        Folder ``NAME/attempts`` of this machine, beside those of other screenings, in which each
        runner has its temporary folder.
    """

    def __init__(self, database: Engine, screening: Screening, attempts: Path) -> None:
        self.id = f"{socket.gethostname()[:80]}-{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self.folder = attempts / self.id
        self._database = database
        self._screening = screening
        self._lock = -1

    def __enter__(self) -> "Runner":
        """Register, and clear up after dead runners of this machine."""
        attempts = self.folder.parent
        make_private_folder(attempts)
        with _beginning_alone(attempts.parent.parent):
            make_private_folder(self.folder)
            self._lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            now = database_now()
            with self._database.begin() as connection:
                connection.execute(
                    insert(RUNNER).values(
                        id=self.id, screening_id=self._screening.id, started=now, beat=now
                    )
                )
            for folder in attempts.parent.parent.glob("*/attempts/*"):
                if folder != self.folder and _is_abandoned(folder):
                    if folder.parent == attempts:
                        self._forget(folder.name)
                        shutil.rmtree(folder, ignore_errors=True)
                    else:  # the folder says to the next run of its screening who died
                        for left in folder.iterdir():
                            shutil.rmtree(left, ignore_errors=True)
        return self

    def __exit__(self, *_details: object) -> None:
        """Give back what is still in hand, and leave no folder."""
        self._forget(self.id)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)

    def beat(self, waiting: str | None) -> bool:
        """Give a sign of life.

        Parameters
        ----------
        waiting
            What it waits for; None if it works.

        Returns
        -------
        bool
            Whether it is registered still; if not, another has taken its work over.
        """
        changed = (
            update(RUNNER)
            .where(RUNNER.c.id == self.id)
            .values(beat=database_now(), waiting=waiting)
        )
        with self._database.begin() as connection:
            return connection.execute(changed).rowcount == 1

    def confirm(self) -> None:
        """Return if its work is still its own; called just before something is sent.

        Raises
        ------
        OperationalError
            Another runner has taken it over.
        """
        mine = select(RUNNER.c.id).where(RUNNER.c.id == self.id)
        with self._database.begin() as connection:
            if connection.scalar(mine) is None:
                raise OperationalError("this runner counted as dead and its work was taken over")

    def _forget(self, runner: str) -> None:
        with self._database.begin() as connection:
            for table in (SERIES, QUESTION):
                mine = (table.c.screening_id == self._screening.id) & (table.c.runner == runner)
                if connection.execute(select(table.c.id).where(mine).limit(1)).first():
                    connection.execute(update(table).where(mine).values(runner=None))
            connection.execute(delete(RUNNER).where(RUNNER.c.id == runner))


@contextmanager
def _beginning_alone(screenings: Path) -> Iterator[None]:
    """Let no other runner of this machine begin meanwhile.

    It would take a folder that is there and not locked yet for that of a dead runner.
    """
    lock = os.open(screenings, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _is_abandoned(folder: Path) -> bool:
    """Whether nobody holds the lock on a runner's folder."""
    with suppress(OSError):
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(lock)
        return True
    return False
