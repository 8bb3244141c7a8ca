"""Connections to an archive: no more are used at once than are allowed at the moment."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["ConnectionSlots"]


class ConnectionSlots:
    """Counts the connections that one process uses; many threads may ask.

    Parameters
    ----------
    allowed
        Most connections at once, until `allow` says otherwise.
    """

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._used = 0
        self._changed = threading.Condition()
        self._kept: Callable[[], int] = int
        self._trim: Callable[[], None] = lambda: None

    @property
    def allowed(self) -> int:
        """Most connections at once."""
        return self._allowed

    @property
    def used(self) -> int:
        """Connections in use."""
        return self._used

    @property
    def open(self) -> int:
        """Connections in use, and those that are kept open between two questions."""
        return self._used + self._kept()

    def keep(self, kept: Callable[[], int], trim: Callable[[], None]) -> None:
        """Tell how many connections are kept open between questions, and how surplus ones end."""
        self._kept, self._trim = kept, trim

    def allow(self, most: int) -> None:
        """Change how many may be used; those in use beyond it go on to their end."""
        with self._changed:
            self._allowed = most
            self._changed.notify_all()
        self._trim()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait until one more connection may be used, and use it in the block."""
        with self._changed:
            self._changed.wait_for(lambda: self._used < self._allowed)
            self._used += 1
        try:
            yield
        finally:
            with self._changed:
                self._used -= 1
                self._changed.notify()
            self._trim()
