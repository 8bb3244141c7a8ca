"""HTTP connections that are closed when their requests or their readers are too slow."""

import asyncio
import fcntl
import termios
from array import array
from collections import Counter
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["IMPATIENT_LOOP", "ImpatientHttp", "ImpatientLoop"]

IMPATIENT_LOOP = "dicom_node.exchange.impatient_http:ImpatientLoop"
"""The loop for uvicorn's setting of that name."""

REQUEST_SECONDS = 5.0
"""How long a connection may take for one request, from its beginning to the end of its header."""

HANDSHAKE_SECONDS = 5.0
"""How long a connection may take for the handshake of TLS."""

BODY_SECONDS = 30.0
"""How long the body of a request may take after its header."""

READ_SECONDS = 30.0
"""A reader takes `LEAST_READ_BYTES` of a waiting answer in such a time, or is cut off."""

LEAST_READ_BYTES = 32 * 1024

MAX_CONNECTIONS = 256
"""Open connections; of more one is closed, see `ImpatientHttp`."""


class ImpatientHttp(H11Protocol):
    """uvicorn's HTTP connection, closed when its request or its reader is too slow.

    Where there are more than `MAX_CONNECTIONS`, the address that has most of them loses one: that
    which waits longest for a request or a reader, else the oldest.

    Parameters
    ----------
    *args, **kwargs
        As for uvicorn's protocol.
    """

    read_seconds: float | None = None
    """In place of `READ_SECONDS`."""

    least_read_bytes: int | None = None
    """In place of `LEAST_READ_BYTES`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.made = 0.0
        self.waits_since: float | None = None
        self.stalls_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None
        self._in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request; beyond the limit a connection is closed."""
        super().connection_made(transport)
        self.made = self.loop.time()
        self._wait()
        if len(self.connections) > MAX_CONNECTIONS:
            chosen = self._one_too_many()
            # many may come before its end is noticed: it must not be chosen again
            self.connections.discard(chosen)
            chosen.transport.abort()

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

    def pause_writing(self) -> None:
        """Begin to watch whether the reader takes what was written."""
        super().pause_writing()
        self.stalls_since = self.loop.time()
        self._watch_reader()

    def resume_writing(self) -> None:
        """Go on, for it has."""
        self._stop_watching()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        self._stop_watching()
        super().connection_lost(exc)

    def reader_cut(self) -> None:
        """Say that a reader is cut off."""

    @property
    def idle_since(self) -> float | None:
        """Since when nothing came or was taken, by the loop's clock; None while it is answered."""
        if self.timeout_keep_alive_task is not None:
            return self.made
        return self.waits_since or self.stalls_since

    @property
    def address(self) -> str:
        """Of the other end."""
        return self.client[0] if self.client else ""

    def _one_too_many(self) -> "ImpatientHttp":
        found = [other for other in self.connections if isinstance(other, ImpatientHttp)]
        [(most, _)] = Counter(other.address for other in found).most_common(1)
        theirs = [o for o in found if o.address == most and o is not self] or [self]
        idle = [(since, other) for other in theirs if (since := other.idle_since) is not None]
        if idle:
            return min(idle, key=lambda pair: pair[0])[1]
        return min(theirs, key=lambda other: other.made)

    def _wait(self, seconds: float | None = None) -> None:
        if self._timer is None:
            self.waits_since = self.loop.time()
            wait = REQUEST_SECONDS if seconds is None else seconds
            self._timer = self.loop.call_later(wait, self.transport.abort)

    def _stop_waiting(self) -> None:
        self.waits_since = None
        self._in_body = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def _unread(self) -> int:
        """Bytes that were written and that the reader has not taken, also those in the kernel."""
        unsent = self.transport.get_write_buffer_size()
        number = array("i", [0])
        with suppress(OSError, AttributeError):  # the connection ended just now
            fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, number)
        return unsent + number[0]

    def _watch_reader(self) -> None:
        seconds = READ_SECONDS if self.read_seconds is None else self.read_seconds
        self._reader_timer = self.loop.call_later(seconds, self._look_at_reader, self._unread)

    def _look_at_reader(self, before: int) -> None:
        least = LEAST_READ_BYTES if self.least_read_bytes is None else self.least_read_bytes
        if before - self._unread >= least:
            self._watch_reader()
            return
        self.reader_cut()
        self.transport.abort()

    def _stop_watching(self) -> None:
        self.stalls_since = None
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None


class ImpatientLoop(asyncio.SelectorEventLoop):
    """A loop whose servers end a handshake of TLS after `HANDSHAKE_SECONDS`.

    uvicorn has no setting for that, but one for the loop.
    """

    async def create_server(self, *args: Any, **kwargs: Any) -> asyncio.Server:
        """Make a server; the parameters are those of asyncio."""
        if kwargs.get("ssl") is not None:
            kwargs.setdefault("ssl_handshake_timeout", HANDSHAKE_SECONDS)
        return await super().create_server(*args, **kwargs)
