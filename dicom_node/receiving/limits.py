"""What one connection may send: types and lengths of PDUs, sizes of messages, memory of all."""

import struct
import threading
from collections import deque
from collections.abc import Callable

from dicom_node.receiving.store_messages import MALFORMED, is_store_request
from dicom_node.settings.edge import Listener

__all__ = [
    "HEADER_BYTES",
    "MAX_UNANSWERED",
    "PDU_SLACK_BYTES",
    "P_DATA",
    "Budget",
    "Limit",
    "LimitExceeded",
]

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

MAX_OTHER_BYTES = 1024 * 1024
"""Limit of the data set of any message but C-STORE: an answer on storage commitment takes some
hundred bytes."""

MAX_UNANSWERED = 4
"""Messages of one association that may wait for an answer: without a negotiated window (PS3.7,
D.3.3.3) a peer sends one at a time."""


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
        self._command = bytearray()
        self._most = MAX_OTHER_BYTES
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
            start = position + 6
            length, _, control = struct.unpack_from(">LBB", body, position)
            position += 4 + length
            if length < 2 or position > len(body):
                self.fail("malformed_pdu")
            if control & 1:
                self._count_command(body[start:position], last=bool(control & 2))
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

    def _count_command(self, fragment: bytes | bytearray, *, last: bool) -> None:
        self._command += fragment
        if len(self._command) > MAX_COMMAND_BYTES:
            self.fail("command_too_long")
        if len(self._unanswered) >= MAX_UNANSWERED:
            self.fail("not_waiting_for_answers")
        if last:
            try:
                store = is_store_request(bytes(self._command))
            except MALFORMED:
                store = False
            self._most = self._max_object if store else min(MAX_OTHER_BYTES, self._max_object)
            self._command.clear()

    def _count_data(self, length: int, *, last: bool) -> None:
        if self._object + length > self._most:
            self.fail("object_too_large")
        if not self._budget.take(length):
            self.fail("too_much_in_flight")
        with self._lock:
            self._object += length
            if last:
                self._unanswered.append(self._object)
                self._object = 0
