"""HTTP connections that are closed when their requests are too slow."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["ImpatientHttp"]

REQUEST_SECONDS = 5.0
"""How long a connection may take for one request, from its beginning to the end of its header."""

BODY_SECONDS = 30.0
"""How long the body of a request may take after its header."""

MAX_CONNECTIONS = 256
"""Open connections; of more the one that has waited longest without a request is closed."""


class ImpatientHttp(H11Protocol):
    """uvicorn's HTTP connection, closed when its request does not come in time.

    Parameters
    ----------
    *args, **kwargs
        As for uvicorn's protocol.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waits_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request; beyond the limit the one that waits longest is closed."""
        super().connection_made(transport)
        self._wait()
        if len(self.connections) > MAX_CONNECTIONS:
            waiting = [
                (other.waits_since, other)
                for other in self.connections
                if isinstance(other, ImpatientHttp) and other.waits_since is not None
            ]
            min(waiting, key=lambda pair: pair[0])[1].transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take some bytes; time runs until they make a whole request."""
        self._wait()
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            return
        if not self.cycle.more_body:
            self._stop_waiting()
        elif not self._in_body:
            self._stop_waiting()
            self._in_body = True
            self._wait(BODY_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self, seconds: float = REQUEST_SECONDS) -> None:
        if self._timer is None:
            self.waits_since = self.loop.time()
            self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _stop_waiting(self) -> None:
        self.waits_since = None
        self._in_body = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
