"""Growing pauses after failed tries to sign in, by account and address, or by familiar browser."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from dicom_node.records.database import familiar_browsers, login_failures

__all__ = ["ACCOUNT", "ADDRESS", "BROWSER", "Lockout", "Subject"]

FIRST_LOCK_SECONDS = 2.0
LONGEST_LOCK_SECONDS = 900.0

FAILURES_FORGOTTEN_SECONDS = 24 * 3600.0
"""Failures are forgotten so long after the last."""

MOST_SUBJECTS = 20_000
"""Names and addresses that are counted one by one; any further share one count."""

OTHERS = "others"


@dataclass(frozen=True)
class Subject:
    """Whose failures are counted: a kind of name, and how many failures are free of a pause."""

    kind: str
    free: int


ACCOUNT = Subject("account", 5)
ADDRESS = Subject("address", 20)
BROWSER = Subject("browser", 5)
"""A browser in which the account was signed in to before; see `familiar_browsers`."""


class Lockout:
    """The table of failed tries, which all web processes share and a restart keeps.

    Parameters
    ----------
    engine
        The node's database.
    clock
        Gives the time, s since 1970.
    """

    def __init__(self, engine: sa.Engine, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock

    def claim(self, name: str, address: str, browser: str = "") -> float:
        """Ask for a try to sign in, which counts as failed until `forgive` takes it back.

        It is counted before the password is looked at, so that tries at the same moment count too.

        Parameters
        ----------
        name
            As it was typed.
        address
            Of the visitor.
        browser
            Token of a browser that is familiar to the account: its tries count for themselves.

        Returns
        -------
        float
            0, or for how many seconds no try is taken; then none is counted.
        """
        now = self._clock()
        subjects = _subjects(name, address, browser)
        for _ in range(3):
            try:
                with self._engine.begin() as connection:
                    return self._claimed(connection, subjects, now)
            except IntegrityError:
                # another process counted the same subject for the first time
                continue
        return FIRST_LOCK_SECONDS

    def forgive(self, name: str, address: str, browser: str = "") -> None:
        """The try succeeded: account or browser begins anew, the address gets this try back."""
        own, *others = _subjects(name, address, browser)
        with self._engine.begin() as connection:
            connection.execute(login_failures.delete().where(_is(*own)))
            fewer = login_failures.c.failures - 1
            for other in others:
                connection.execute(
                    login_failures.update()
                    .where(_is(*other), login_failures.c.failures > 0)
                    .values(failures=fewer, until=0)
                )

    def unlock(self, name: str) -> bool:
        """Forget the failures of an account and its browsers; return whether it had any."""
        browsers = familiar_browsers.delete().where(familiar_browsers.c.name == name)
        with self._engine.begin() as connection:
            connection.execute(browsers)
            forgotten = connection.execute(login_failures.delete().where(_is(ACCOUNT, name)))
        return forgotten.rowcount > 0

    def locked_seconds(self, name: str) -> float:
        """For how long no try for an account is taken, s; 0 if it is not locked."""
        with self._engine.connect() as connection:
            found = connection.execute(
                sa.select(login_failures.c.until).where(_is(ACCOUNT, name))
            ).scalar_one_or_none()
        return max(0.0, (found or 0) / 1000 - self._clock())

    def _claimed(
        self, connection: sa.Connection, subjects: Sequence[tuple[Subject, str]], now: float
    ) -> float:
        forgotten = int((now - FAILURES_FORGOTTEN_SECONDS) * 1000)
        # as a first statement it also keeps other processes waiting on SQLite
        connection.execute(login_failures.delete().where(login_failures.c.last < forgotten))
        counts = [_Count.read(connection, *subject) for subject in subjects]
        wait = max(count.until_ms / 1000 - now for count in counts)
        if wait > 0:
            return wait
        for count in counts:
            count.write(connection, now)
        return 0.0


@dataclass
class _Count:
    """The failures of one account or address; ``failures`` is None before the first."""

    subject: Subject
    key: str
    failures: int | None
    until_ms: int

    @classmethod
    def read(cls, connection: sa.Connection, subject: Subject, name: str) -> "_Count":
        """Read it; beyond `MOST_SUBJECTS` those that were never seen are counted together."""
        for key in (_key(subject, name), _key(subject, OTHERS)):
            row = connection.execute(
                login_failures.select().where(login_failures.c.subject == key).with_for_update()
            ).one_or_none()
            if row is not None:
                return cls(subject, key, row.failures, row.until)
            total = sa.select(sa.func.count()).select_from(login_failures)
            if connection.execute(total).scalar_one() < MOST_SUBJECTS:
                break
        return cls(subject, key, None, 0)

    def write(self, connection: sa.Connection, now: float) -> None:
        """Count one more, and set the pause that follows from it."""
        failures = (self.failures or 0) + 1
        pause = _pause_seconds(failures - self.subject.free)
        until = int((now + pause) * 1000) if pause else 0
        values = {"failures": failures, "last": int(now * 1000), "until": until}
        if self.failures is None:
            connection.execute(login_failures.insert().values(subject=self.key, **values))
        else:
            chosen = login_failures.c.subject == self.key
            connection.execute(login_failures.update().where(chosen).values(**values))


def _subjects(name: str, address: str, browser: str) -> list[tuple[Subject, str]]:
    """By what a try is counted; the first is whose success ends the count."""
    if browser:
        return [(BROWSER, f"{browser} {name}")]
    return [(ACCOUNT, name), (ADDRESS, address)]


def _is(subject: Subject, name: str) -> sa.ColumnElement[bool]:
    return login_failures.c.subject == _key(subject, name)


def _pause_seconds(beyond: int) -> float:
    """The pause after so many failures beyond the free ones: doubled each time, up to a limit."""
    if beyond <= 0:
        return 0.0
    return min(LONGEST_LOCK_SECONDS, FIRST_LOCK_SECONDS * 2.0 ** min(beyond - 1, 30))


def _key(subject: Subject, name: str) -> str:
    """The name as a digest: what was typed there may be a password."""
    digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
    return f"{subject.kind} {digest}"
