"""The node's status and its failed work, read once for all visitors."""

import threading
import time
from dataclasses import dataclass

from fastapi import Request
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.monitoring.shared_status import SharedStatus
from dicom_node.monitoring.status import Status
from dicom_node.settings.node import NodeSettings
from dicom_node.work.failed_work import FailedWork, failed_work

__all__ = ["Moment", "NodeStatus", "node_status"]

FAILED_SECONDS = 1.0
"""For so long everybody gets the failed work that was read last."""


@dataclass(frozen=True)
class Moment:
    """What was read at one time.

    Parameters
    ----------
    status
        Of the node.
    failed
        Its failed work, the newest first; empty while the database does not answer.
    read_ms
        When, UTC, ms since the epoch.
    """

    status: Status
    failed: tuple[FailedWork, ...]
    read_ms: int


class NodeStatus:
    """Reads the status under a lock, and not more than once in `FAILED_SECONDS`.

    Parameters
    ----------
    settings
        Of the node.
    status
        Which the machine addresses read too.
    """

    def __init__(self, settings: NodeSettings, status: SharedStatus) -> None:
        self._settings = settings
        self._status = status
        self._lock = threading.Lock()
        self._last: Moment | None = None
        self._until = 0.0

    def now(self) -> Moment:
        """The node at this moment, or up to a second ago."""
        with self._lock:
            if self._last is None or time.monotonic() >= self._until:
                self._last = self._read()
                self._until = time.monotonic() + FAILED_SECONDS
            return self._last

    def forget(self) -> None:
        """Read anew at the next question: something was changed."""
        with self._lock:
            self._until = 0.0
            self._status.forget()

    def _read(self) -> Moment:
        status = self._status.now()
        try:
            failed = tuple(reversed(failed_work(self._settings)))
        except (SQLAlchemyError, OSError):  # the status names it among the problems
            failed = ()
        return Moment(status, failed, round(time.time() * 1000))


def node_status(request: Request) -> NodeStatus:
    """Give a page the status: ``Annotated[NodeStatus, Depends(node_status)]``."""
    found: NodeStatus = request.app.state.node_status
    return found
