"""The listener's sockets: how long a PDU may take, how large it and its message may be."""

import select
import socket
import ssl
import struct
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from dicom_node.receiving.store_messages import MALFORMED, FragmentReader, fragments
from dicom_node.settings.edge import Listener

__all__ = ["Budget", "Guarded", "GuardedPlain", "GuardedTls", "Limit", "LimitExceeded"]

HEADER_BYTES = 6
"""PDU type, a reserved byte, and the length of what follows (PS3.8, 9.3.1)."""

ASSOCIATE_REQUEST, P_DATA = 0x01, 0x04

MAX_CONTROL_BYTES = {0x01: 262_144, 0x05: 4, 0x06: 4, 0x07: 4}
"""Bytes that may follow the header of A-ASSOCIATE-RQ, A-RELEASE-RQ and -RP, and A-ABORT: all PDUs,
beside P-DATA, that a requestor sends. 128 presentation contexts with all transfer syntaxes take
about 200 kB."""

PDU_SLACK_BYTES = 12
"""Accepted above the longest PDU: some senders do not count the headers of its values."""

MAX_COMMAND_BYTES = 16_384
"""Limit of one command set, which takes some hundred bytes."""

MAX_UNANSWERED = 4
"""Messages of one association that may wait for an answer: without a negotiated window (PS3.7,
D.3.3.3) a peer sends one at a time."""

NEXT_MESSAGE_SECONDS = 0.002
"""After an answer the next message is on its way. The upper layer would find nothing to read yet
and pause for a millisecond, a third of the time of a CT slice; to wait for the message here saves
the pause."""

UNRECOGNISED_PDU = bytes(HEADER_BYTES)
"""A PDU of type 0, which does not exist: the upper layer answers it with an abort (PS3.8, table
9-10, event 19)."""


Piece = bytes | bytearray | memoryview
"""Some bytes that were read."""


class LimitExceeded(ConnectionError):
    """A peer went beyond a limit; its connection is closed. The text is the reason's name."""


class Budget:
    """Memory of the messages that are being received, over all associations."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Reserve ``count`` bytes; False if that many are not left."""
        with self._lock:
            if self._used + count > self._limit:
                return False
            self._used += count
            return True

    def give_back(self, count: int) -> None:
        """Return ``count`` bytes that were taken."""
        with self._lock:
            self._used -= count

    @property
    def used(self) -> int:
        """Bytes that are taken now."""
        return self._used


class Limit:
    """What one connection may send, and how much of what it has sent is not answered yet.

    Parameters
    ----------
    settings
        The listener's.
    budget
        Shared by all connections.
    refuse
        Is called with the name of the limit that was exceeded.
    """

    def __init__(self, settings: Listener, budget: Budget, refuse: Callable[[str], None]) -> None:
        self.seconds = settings.idle_seconds
        self._max_pdu = settings.max_pdu_bytes + PDU_SLACK_BYTES
        self._max_object = settings.max_object_mb * 1024 * 1024
        self._budget = budget
        self._refuse = refuse
        self._requested = False
        self._command = 0
        self._object = 0
        self._unanswered: deque[int] = deque()
        self._lock = threading.Lock()

    def body_bytes(self, header: bytearray) -> int:
        """The length of what follows a PDU's header.

        Raises
        ------
        LimitExceeded
            The PDU is longer than its type allows, or a requestor must not send it at this point.
        """
        kind, _, length = struct.unpack(">BBL", header)
        allowed = self._max_pdu if kind == P_DATA else MAX_CONTROL_BYTES.get(kind)
        first, self._requested = not self._requested, True
        if allowed is None or first != (kind == ASSOCIATE_REQUEST):
            self.fail("unexpected_pdu")
        elif length > allowed:
            self.fail("pdu_too_long")
        return int(length)

    def count(self, body: bytes | bytearray) -> None:
        """Count the fragments of a P-DATA PDU.

        Parameters
        ----------
        body
            What follows the PDU's header.

        Raises
        ------
        LimitExceeded
            The command or the data set is too long, or too much is being received at once.
        """
        position = 0
        while position + 6 <= len(body):
            length, _, control = struct.unpack_from(">LBB", body, position)
            position += 4 + length
            if length < 2 or position > len(body):
                self.fail("malformed_pdu")
            if control & 1:
                self._count_command(length, last=bool(control & 2))
            else:
                self._count_data(length, last=bool(control & 2))
        if position != len(body):
            self.fail("malformed_pdu")

    def answered(self) -> None:
        """Give back the memory of the oldest unanswered message."""
        with self._lock:
            if self._unanswered:
                self._budget.give_back(self._unanswered.popleft())

    def release(self) -> None:
        """Give back the memory of all messages."""
        with self._lock:
            self._budget.give_back(self._object + sum(self._unanswered))
            self._object = 0
            self._unanswered.clear()

    def fail(self, reason: str) -> None:
        """Report the limit that was exceeded, and raise LimitExceeded."""
        self._refuse(reason)
        raise LimitExceeded(reason)

    def _count_command(self, length: int, *, last: bool) -> None:
        self._command += length
        if self._command > MAX_COMMAND_BYTES:
            self.fail("command_too_long")
        if len(self._unanswered) >= MAX_UNANSWERED:
            self.fail("not_waiting_for_answers")
        if last:
            self._command = 0

    def _count_data(self, length: int, *, last: bool) -> None:
        if self._object + length > self._max_object:
            self.fail("object_too_large")
        if not self._budget.take(length):
            self.fail("too_much_in_flight")
        with self._lock:
            self._object += length
            if last:
                self._unanswered.append(self._object)
                self._object = 0


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
        except OSError:
            self.shutdown(socket.SHUT_RDWR)
            self.close()
            raise
        return (header, body) if body else (header,)

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
