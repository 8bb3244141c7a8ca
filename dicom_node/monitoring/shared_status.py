"""The node's status, read once for all who ask at about the same time."""

import threading
import time

from dicom_node.monitoring.status import Status, StatusReader
from dicom_node.settings.node import NodeSettings

__all__ = ["SharedStatus"]

STATUS_SECONDS = 1.0
"""For so long everybody gets what was read last."""


class SharedStatus:
    """Reads the status one at a time, and not more than once in `STATUS_SECONDS`.

    Parameters
    ----------
    settings
        Of the node.
    """

    def __init__(self, settings: NodeSettings) -> None:
        self._reader = StatusReader(settings)
        self._lock = threading.Lock()
        self._last: Status | None = None
        self._until = 0.0

    def now(self) -> Status:
        """The status at this moment, or up to a second ago."""
        with self._lock:
            if self._last is None or time.monotonic() >= self._until:
                self._last = self._reader.read()
                self._until = time.monotonic() + STATUS_SECONDS
            return self._last

    def forget(self) -> None:
        """Read anew at the next question: something was changed."""
        with self._lock:
            self._until = 0.0

    def close(self) -> None:
        """Leave the database."""
        with self._lock:
            self._reader.close()
