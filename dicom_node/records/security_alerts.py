"""Refusals in the audit trail: each one, but of a flood the first ones and their number."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from dicom_node.records.audit import Peer

__all__ = ["MOST_EACH_MINUTE", "Refusals", "SecurityAlerts"]

WINDOW_SECONDS = 60.0

LOOK_SECONDS = 1.0
"""How often it is looked which minutes are over."""

MOST_EACH_MINUTE = 10
"""Records a minute for one reason and one address; what is above them is one record."""

MAX_SOURCES = 1000
"""Reasons and addresses that are counted one by one in a minute; others share a count by reason."""

MANY = "many addresses"


class Refusals(Protocol):
    """Takes records of refusals: the audit trail."""

    def refused(self, peer: Peer, reason: str, count: int = 1) -> None:
        """Somebody was refused, ``count`` times."""


@dataclass
class _Window:
    """A minute of one reason and address: when it began, and how many refusals it had."""

    began: float
    peer: Peer
    count: int = 0


class SecurityAlerts:
    """Writes a Security Alert for each refusal.

    Parameters
    ----------
    audit
        Takes the records.
    clock
        Gives the time, s.
    """

    def __init__(self, audit: Refusals, clock: Callable[[], float] = time.monotonic) -> None:
        self._audit = audit
        self._clock = clock
        self._windows: dict[tuple[str, str], _Window] = {}
        self._looked = clock()
        self._lock = threading.Lock()

    def refused(self, peer: Peer, reason: str) -> None:
        """Record that a connection, an association or a message was refused.

        Parameters
        ----------
        peer
            Who was refused; its address has no port, which differs each time.
        reason
            Stable name of the reason.
        """
        if self._clock() - self._looked > LOOK_SECONDS:
            self.flush()
        with self._lock:
            key = (reason, peer.address)
            if key not in self._windows and len(self._windows) >= MAX_SOURCES:
                key, peer = (reason, MANY), Peer("", MANY)
            window = self._windows.setdefault(key, _Window(self._clock(), peer))
            window.count += 1
            written = window.count <= MOST_EACH_MINUTE
        if written:
            self._audit.refused(peer, reason)

    def flush(self, *, everything: bool = False) -> None:
        """Write the numbers of what was not recorded one by one in the minutes that are over.

        Parameters
        ----------
        everything
            Whether to write those of the current minutes too, as before the process ends.
        """
        now = self._looked = self._clock()
        with self._lock:
            over = {
                key: window
                for key, window in self._windows.items()
                if everything or now - window.began >= WINDOW_SECONDS
            }
            for key in over:
                del self._windows[key]
        for (reason, _), window in over.items():
            if window.count > MOST_EACH_MINUTE:
                self._audit.refused(window.peer, reason, window.count - MOST_EACH_MINUTE)
