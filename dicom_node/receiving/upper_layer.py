"""The listener's sockets: who may connect, how long a PDU may take, how large it may be."""

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

from dicom_node.settings.edge import Listener

__all__ = ["Budget", "Guarded", "GuardedPlain", "GuardedTls", "Limit", "LimitExceeded"]

HEADER_BYTES = 6
"""PDU type, a reserved byte, and the length of what follows (PS3.8, 9.3.1)."""

ASSOCIATE_REQUEST, P_DATA = 0x01, 0x04

MAX_CONTROL_BYTES = {0x01: 262_144, 0x05: 4, 0x06: 4, 0x07: 4}
"""What may follow the header of A-ASSOCIATE-RQ, A-RELEASE-RQ and -RP, and A-ABORT. 128
presentation contexts with all transfer syntaxes take about 200 kB. A requestor sends these and
P-DATA."""

PDU_SLACK_BYTES = 12
"""Some senders leave the headers of their values out of their count."""

MAX_COMMAND_BYTES = 16_384
"""Of one command set, which takes some hundred bytes."""

MAX_UNANSWERED = 4
"""Messages that may wait for an answer: without a negotiated window (PS3.7, D.3.3.3) one is the
rule."""


NEXT_MESSAGE_SECONDS = 0.002
"""The upper layer pauses for a millisecond when it finds nothing to read. After an answer the next
message is under way: to wait for it here saves that pause, a third of the time of a CT slice."""


class LimitExceeded(ConnectionError):
    """A peer went beyond a limit; its connection is closed. The text is the reason's name."""


class Budget:
    """Memory of the messages that are being received, over all associations."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Reserve so many bytes; False if they are not to be had."""
        with self._lock:
            if self._used + count > self._limit:
                return False
            self._used += count
            return True

    def give_back(self, count: int) -> None:
        """Return what was taken."""
        with self._lock:
            self._used -= count

    @property
    def used(self) -> int:
        """Bytes taken now."""
        return self._used


class Limit:
    """What one connection may send, and what it has sent that is not answered yet."""

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
            It is longer than a PDU of its type may be, or a requestor does not send it, or not now.
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
        """Give back what the oldest unanswered message took."""
        with self._lock:
            if self._unanswered:
                self._budget.give_back(self._unanswered.popleft())

    def release(self) -> None:
        """Give back what all messages took."""
        with self._lock:
            self._budget.give_back(self._object + sum(self._unanswered))
            self._object = 0
            self._unanswered.clear()

    def fail(self, reason: str) -> None:
        """Refuse the connection."""
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
    """Reads whole PDUs, each within a time and a size, before the upper layer takes them."""

    limit: Limit | None = None
    _ahead: tuple[bytearray, ...] = ()
    _readable: int | None = None
    _closed_once: Callable[[], object] | None = None

    def guard(self, limit: Limit, closed: Callable[[], object], readable: int) -> None:
        """Set the limits, and what is called once the connection is gone, however it went.

        ``readable`` is a file that always has something to read: it stands for this connection in
        ``select`` while a PDU that was read ahead waits to be taken.
        """
        self.limit = limit
        self._readable = readable
        self._set_patience(limit.seconds)

        def gone() -> None:
            limit.release()
            closed()

        self._closed_once = weakref.finalize(self, gone)

    def await_request(self, seconds: float) -> bool:
        """Read the association request ahead; False if the peer leaves instead.

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
        """The file to wait for."""
        if self._ahead and self._readable is not None:
            return self._readable
        return super().fileno()

    def recv(self, bufsize: int, flags: int = 0) -> bytes | bytearray:  # type: ignore[override]
        """Give the header of the next PDU, then its body.

        The upper layer asks for a header's six bytes and then for the body in pieces of 4 kB,
        adding up what it gets; it gets the body at once.

        Raises
        ------
        LimitExceeded
            The peer went beyond a limit.
        """
        limit = self.limit
        if limit is None or flags:
            return super().recv(bufsize, flags)
        part, *left = self._ahead or self._next(limit, limit.seconds)
        self._ahead = tuple(left)
        return part

    def send(self, data: bytes, flags: int = 0) -> int:  # type: ignore[override]
        """Send; an answer makes room for the next message, which is waited for a moment."""
        if self.limit is None or data[0] != P_DATA:
            return super().send(data, flags)
        self.limit.answered()
        sent = super().send(data, flags)
        with suppress(OSError, ValueError):
            select.select([self], [], [], NEXT_MESSAGE_SECONDS)
        return sent

    def shutdown(self, how: int) -> None:
        """Shut down, whether or not the peer has done so: what follows must close it."""
        with suppress(OSError):
            super().shutdown(how)

    def close(self) -> None:
        """Close, and give back what unanswered messages took."""
        if self._closed_once is not None:
            self._closed_once()
        super().close()

    def _next(self, limit: Limit, seconds: float) -> tuple[bytearray, ...]:
        """Header and body of one PDU, or less of it when the peer is gone."""
        try:
            header = self._exactly(HEADER_BYTES, limit, seconds)
            if len(header) < HEADER_BYTES:
                return (header,)
            length = limit.body_bytes(header)
            body = self._exactly(length, limit, seconds)
            if header[0] == P_DATA and len(body) == length:
                limit.count(body)
        except OSError:
            self.shutdown(socket.SHUT_RDWR)
            self.close()
            raise
        return (header, body) if body else (header,)

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
        """How long to wait for the peer in each call."""
        self.settimeout(seconds)

    def _receive(self, view: memoryview) -> int:
        """Fill ``view``, or some of it; 0 when the peer is gone, TimeoutError when it is silent."""
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
