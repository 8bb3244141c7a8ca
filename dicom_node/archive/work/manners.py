"""When a series may be fetched: time of day, quota, rate, and pauses while an archive is down."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from sqlalchemy import Engine, case, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from dicom_node.archive.bookkeeping.tables import ARCHIVE_USE
from dicom_node.settings.archives import Archive

__all__ = ["Clock", "Manners", "Wait", "Window", "local_time"]

FIRST_PAUSE_SECONDS = 2.0
"""Pause after the first failure of an archive; each further one doubles it."""

Clock = Callable[[], datetime]
"""Gives the time of day of this machine, with its time zone."""


def local_time() -> datetime:
    """The time of day of this machine."""
    return datetime.now().astimezone()


@dataclass(frozen=True)
class Wait:
    """Why nothing is fetched now, and until when at the latest."""

    reason: str
    until: datetime


@dataclass(frozen=True)
class Window:
    """A time of day, over midnight if it ends before it begins."""

    begin: time
    end: time

    @classmethod
    def of(cls, text: str) -> "Window":
        """Read a window.

        >>> Window.of("19:00-06:00").begin
        datetime.time(19, 0)
        """
        begin, end = (time.fromisoformat(part) for part in text.split("-"))
        return cls(begin, end)

    def opens(self, now: datetime) -> datetime | None:
        """When it opens next; None if it is open.

        >>> Window.of("19:00-06:00").opens(datetime(2026, 1, 1, 7, 30)).isoformat()
        '2026-01-01T19:00:00'
        >>> Window.of("19:00-06:00").opens(datetime(2026, 1, 1, 5, 59)) is None
        True
        """
        clock = now.time()
        if self.begin < self.end:
            is_open = self.begin <= clock < self.end
        else:
            is_open = clock >= self.begin or clock < self.end
        if is_open:
            return None
        opening = datetime.combine(now.date(), self.begin, now.tzinfo)
        return opening if opening > now else opening + timedelta(days=1)


class Manners:
    """Asks before each series whether it may be fetched.

    Counts lie in the database: they hold for all screenings and runners that use the archive, and
    outlive them. Pauses are this runner's own.

    Parameters
    ----------
    database
        As `tables.open_screenings` gives it.
    name
        Of the archive.
    archive
        Its settings; None for a folder, which is fetched from at any time.
    clock
        The time of day.
    """

    def __init__(
        self, database: Engine, name: str, archive: Archive | None, clock: Clock = local_time
    ) -> None:
        self._database = database
        self._name = name
        self._archive = archive
        self._clock = clock
        window = None if archive is None else archive.window
        self._window = None if window is None else Window.of(window)
        self._pause_seconds = 0.0
        self._paused_until: datetime | None = None

    def prepare(self) -> None:
        """Begin to count what is asked of the archive."""
        try:
            with self._database.begin() as connection:
                connection.execute(insert(ARCHIVE_USE).values(archive=self._name))
        except IntegrityError:
            return

    def down(self) -> Wait | None:
        """The pause since the archive did not answer; None if it may be asked."""
        if self._paused_until is None or self._clock() >= self._paused_until:
            return None
        return Wait(f"{self._name} does not answer", self._paused_until)

    def wait(self) -> Wait | None:
        """Why no series may be fetched now; None if one may."""
        if (down := self.down()) is not None or self._archive is None:
            return down
        now = self._clock()
        opening = None if self._window is None else self._window.opens(now)
        if opening is not None:
            return Wait(f"outside the window {self._archive.window}", opening)
        if self._archive.series_per_day is None and self._archive.series_per_minute is None:
            return None
        with self._database.begin() as connection:
            used = connection.execute(self._of(select(ARCHIVE_USE))).one()
        quota = self._archive.series_per_day
        if quota is not None and used.day == str(now.date()) and used.fetched >= quota:
            midnight = datetime.combine(now.date() + timedelta(days=1), time(), now.tzinfo)
            return Wait(f"today's {quota} series were fetched", midnight)
        if used.next_at > now.timestamp():
            until = datetime.fromtimestamp(used.next_at, now.tzinfo)
            return Wait(f"{self._archive.series_per_minute:g} series a minute", until)
        return None

    def take(self) -> bool:
        """Count one series to be fetched; False, and none is counted, if that may not be now."""
        if self.wait() is not None:
            return False
        if self._archive is None:
            return True
        now = self._clock()
        today, moment = str(now.date()), now.timestamp()
        use, quota = ARCHIVE_USE.c, self._archive.series_per_day
        rate = self._archive.series_per_minute
        free = use.next_at <= moment
        if quota is not None:
            free &= or_(use.day != today, use.fetched < quota)
        taken = self._of(update(ARCHIVE_USE)).where(free).values(
            day=today,
            fetched=case((use.day == today, use.fetched + 1), else_=1),
            next_at=moment if rate is None else moment + 60.0 / rate,
        )  # fmt: skip
        with self._database.begin() as connection:
            return connection.execute(taken).rowcount == 1

    def failed(self, reason: str, retry_after_seconds: float | None = None) -> float:
        """Note that the archive did not answer.

        Parameters
        ----------
        reason
            In words.
        retry_after_seconds
            Pause that the archive asks for, s; None if it asks for none.

        Returns
        -------
        float
            Pause until it is asked again, s: doubled each time up to ``max_pause_seconds``.
        """
        longest = 60.0 if self._archive is None else self._archive.max_pause_seconds
        now = self._clock()
        if self.down() is None:  # of several questions that fail together one counts
            doubled = max(2 * self._pause_seconds, FIRST_PAUSE_SECONDS)
            self._pause_seconds = min(max(doubled, retry_after_seconds or 0.0), longest)
            self._paused_until = now + timedelta(seconds=self._pause_seconds)
            since = case(
                (ARCHIVE_USE.c.down_since.is_(None), now.timestamp()),
                else_=ARCHIVE_USE.c.down_since,
            )
            self._note(down_since=since, down_reason=reason)
        return self._pause_seconds

    def answered(self) -> None:
        """Note that the archive answers."""
        if self._pause_seconds:
            self._pause_seconds = 0.0
            self._paused_until = None
            self._note(down_since=None, down_reason=None)

    def _note(self, **values: Any) -> None:
        with self._database.begin() as connection:
            connection.execute(self._of(update(ARCHIVE_USE)).values(values))

    def _of(self, statement: Any) -> Any:
        return statement.where(ARCHIVE_USE.c.archive == self._name)
