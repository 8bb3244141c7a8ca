"""The listener's sockets: whole PDUs, each read within its time and its limits."""

import select
import socket
import ssl
import struct
import time
import weakref
from collections.abc import Callable
from contextlib import suppress

from dicom_node.receiving.limits import HEADER_BYTES, P_DATA, Limit
from dicom_node.receiving.store_messages import MALFORMED, FragmentReader, fragments

__all__ = ["Guarded", "GuardedPlain", "GuardedTls"]

NEXT_MESSAGE_SECONDS = 0.002
"""After an answer the next message is on its way. The upper layer would find nothing to read yet
and pause for a millisecond, a third of the time of a CT slice; to wait for the message here saves
the pause."""

UNRECOGNISED_PDU = bytes(HEADER_BYTES)
"""A PDU of type 0, which does not exist: the upper layer answers it with an abort (PS3.8, table
9-10, event 19)."""


Piece = bytes | bytearray | memoryview
"""Some bytes that were read."""


class Guarded(socket.socket):
    """Reads whole PDUs, each within a time and a size, before the upper layer takes them.

    For the direct store service the upper layer gets a PDU's body at once. For pynetdicom's own
    store service `recv` gives no more than was asked for, as any socket, and the order of fragments
    is checked here, since that service would join pieces of different instances: a peer that breaks
    the order is aborted. All limits hold for both services. They count the bytes of data sets as
    they arrive; the copy of an instance that a store service makes while it works comes on top.
    """

    limit: Limit | None = None
    _reader: FragmentReader | None = None
    _ahead: tuple[Piece, ...] = ()
    _readable: int | None = None
    _closed_once: Callable[[], object] | None = None

    def guard(
        self, limit: Limit, closed: Callable[[], object], readable: int, *, direct: bool
    ) -> None:
        """Set the limits.

        Parameters
        ----------
        limit
            What this connection may send.
        closed
            Is called once when the connection is gone, for whatever reason.
        readable
            Descriptor of a file that always has something to read: it stands for this connection in
            ``select`` while a PDU that was read ahead waits to be taken.
        direct
            Whether the direct store service takes the messages.
        """
        self.limit = limit
        self._reader = None if direct else FragmentReader()
        self._readable = readable
        self._set_patience(limit.seconds)

        def gone() -> None:
            limit.release()
            closed()

        self._closed_once = weakref.finalize(self, gone)

    def await_request(self, seconds: float) -> bool:
        """Read the association request ahead; False if the peer closes the connection instead.

        Parameters
        ----------
        seconds
            How long it may take.

        Raises
        ------
        LimitExceeded
            Something else comes, or nothing within this time.
        """
        if self.limit is None:
            return False
        self._set_patience(seconds)
        self._ahead = self._next(self.limit, seconds)
        self._set_patience(self.limit.seconds)
        return len(self._ahead) > 1

    def fileno(self) -> int:
        """The descriptor that ``select`` waits for."""
        if self._ahead and self._readable is not None:
            return self._readable
        return super().fileno()

    def recv(self, bufsize: int, flags: int = 0) -> Piece:  # type: ignore[override]
        """Give the header of the next PDU, then its body.

        pynetdicom asks for a header's six bytes and then for the body in pieces of 4 kB, adding up
        what it gets. For the direct store service it gets the whole body at once, which is more
        than it asked for.

        Raises
        ------
        LimitExceeded
            The peer went beyond a limit.
        """
        limit = self.limit
        if limit is None or flags:
            return super().recv(bufsize, flags)
        part, *left = self._ahead or self._next(limit, limit.seconds)
        if self._reader is not None and len(part) > bufsize:
            view = memoryview(part)
            part, left = view[:bufsize], [view[bufsize:], *left]
        self._ahead = tuple(left)
        return part

    def send(self, data: bytes, flags: int = 0) -> int:  # type: ignore[override]
        """Send; after an answer wait a moment for the next message, which now has room."""
        if self.limit is None or data[0] != P_DATA:
            return super().send(data, flags)
        self.limit.answered()
        sent = super().send(data, flags)
        with suppress(OSError, ValueError):
            select.select([self], [], [], NEXT_MESSAGE_SECONDS)
        return sent

    def shutdown(self, how: int) -> None:
        """Shut down; an error, as when the peer was faster, must not keep it from being closed."""
        with suppress(OSError):
            super().shutdown(how)

    def close(self) -> None:
        """Close, and give back the memory of unanswered messages."""
        if self._closed_once is not None:
            self._closed_once()
        super().close()

    def _next(self, limit: Limit, seconds: float) -> tuple[Piece, ...]:
        """Header and body of the next PDU; less if the peer closes the connection before."""
        try:
            header = self._exactly(HEADER_BYTES, limit, seconds)
            if len(header) < HEADER_BYTES:
                return (header,)
            length = limit.body_bytes(header)
            body = self._exactly(length, limit, seconds)
            if header[0] == P_DATA and len(body) == length:
                limit.count(body)
                if not self._in_order(body):
                    return (UNRECOGNISED_PDU,)
        except MemoryError:
            self._end()
            limit.fail("out_of_memory")
        except OSError:
            self._end()
            raise
        return (header, body) if body else (header,)

    def _end(self) -> None:
        self.shutdown(socket.SHUT_RDWR)
        self.close()

    def _in_order(self, body: bytearray) -> bool:
        """Whether fragments come as DIMSE messages; not looked at for the direct store service."""
        if self._reader is None:
            return True
        try:
            for context_id, value in fragments(body):
                self._reader.take(context_id, value)
        except MALFORMED:
            self._reader = FragmentReader()
            return False
        return True

    def _exactly(self, count: int, limit: Limit, seconds: float) -> bytearray:
        deadline = time.monotonic() + seconds
        buffer = bytearray(count)
        view = memoryview(buffer)
        got = 0
        while got < count:
            try:
                taken = self._receive(view[got:])
            except TimeoutError:
                limit.fail("pdu_too_slow")
            if not taken:
                return bytearray(view[:got])
            got += taken
            if got < count and time.monotonic() > deadline:
                limit.fail("pdu_too_slow")
        return buffer

    def _set_patience(self, seconds: float) -> None:
        """Set how long each call waits for the peer."""
        self.settimeout(seconds)

    def _receive(self, view: memoryview) -> int:
        """Fill some or all of ``view`` and return how many bytes; 0 if the peer has closed.

        Raises
        ------
        TimeoutError
            Nothing came in time.
        """
        return self.recv_into(view)


class GuardedPlain(Guarded):
    """A connection without TLS: the system waits for all bytes of a PDU in one call."""

    def _set_patience(self, seconds: float) -> None:
        self.settimeout(None)
        whole, part = divmod(seconds, 1)
        interval = struct.pack("@ll", int(whole), int(part * 1e6))
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)

    def _receive(self, view: memoryview) -> int:
        try:
            return self.recv_into(view, len(view), socket.MSG_WAITALL)
        except BlockingIOError as error:
            raise TimeoutError from error


class GuardedTls(Guarded, ssl.SSLSocket):  # type: ignore[misc]
    """A connection with TLS, made by a context of which it is the ``sslsocket_class``."""
