"""Reads the PDUs of one association in place of pynetdicom, which takes P-DATA apart thrice.

It uses what `pynetdicom_inside` lists: ``Association.dul`` with its ``_read_pdu_data``,
``_is_transport_event`` and ``to_provider_queue``, and ``Association.dul.socket``.
"""

import select
import socket
import ssl
import struct
import time
from collections.abc import Callable

from pynetdicom.association import Association

from dicom_node.receiving.limits import HEADER_BYTES, PDU_SLACK_BYTES
from dicom_node.receiving.pynetdicom_inside import CONNECTION_CLOSED, DirectMessages
from dicom_node.receiving.store_messages import P_DATA_TF
from dicom_node.receiving.store_service import FragmentService, MessageLink

__all__ = ["receive_requested", "receive_served"]

NEXT_PDU_SECONDS = 0.02
"""How long the next PDU is waited for here: the upper layer would fall asleep in between."""

READING_SECONDS = 1.0
"""How long PDUs are read before the upper layer looks after its timers again."""

READ_AHEAD_BYTES = 256 * 1024
"""Bytes that may be read at once beyond the longest PDU."""


def receive_served(
    association: Association, make_service: Callable[[MessageLink], FragmentService]
) -> None:
    """Let a service take what comes on an association that was just requested of our server.

    Parameters
    ----------
    association
        Of `listener_server.GuardedServer`.
    make_service
        Makes the service of the link to the association.
    """
    connection = _connection(association)
    messages = DirectMessages(association, make_service)
    _PduReader(association, messages, connection, connection.recv, lambda: False).install()


def receive_requested(
    association: Association,
    make_service: Callable[[MessageLink], FragmentService],
    progress: Callable[[], object],
    max_pdu_bytes: int,
    timeout_seconds: float,
) -> None:
    """Let a service take what comes on an association that we requested, before it is used.

    Parameters
    ----------
    association
        Established, and without a message on its way.
    make_service
        Makes the service of the link to the association.
    progress
        What changes while the peer is at work although it sends no message here.
    max_pdu_bytes
        Longest P-DATA-TF body that the peer was told that we take.
    timeout_seconds
        How long the peer may pause within a PDU.

    Raises
    ------
    OSError
        The association has ended.
    """
    connection = _connection(association)
    messages = DirectMessages(association, make_service, progress)
    connection.settimeout(timeout_seconds)
    ahead = _ReadAhead(connection, max_pdu_bytes + PDU_SLACK_BYTES)
    _PduReader(association, messages, connection, ahead.exactly, ahead.holds_some).install()


class _ReadAhead:
    """The bytes of a connection, of which as many are read at once as have come.

    Parameters
    ----------
    connection
        The socket.
    longest
        Most bytes that may be asked for at once.
    """

    def __init__(self, connection: socket.socket, longest: int) -> None:
        self._connection = connection
        self._longest = longest
        self._buffer = memoryview(bytearray(longest + READ_AHEAD_BYTES))
        self._start = self._end = 0

    def holds_some(self) -> bool:
        """Whether bytes were read that nobody has asked for yet."""
        return self._start < self._end

    def exactly(self, count: int) -> memoryview:
        """The next bytes, valid until the next call; fewer if the peer closes the connection.

        Raises
        ------
        OSError
            The peer pauses for too long, or the PDU is longer than it may be.
        """
        try:
            if count > self._longest:
                raise ConnectionError("a PDU longer than was negotiated")
            if self._end - self._start < count:
                self._fill(count)
        except OSError:
            self._start = self._end = 0
            raise
        start, self._start = self._start, min(self._start + count, self._end)
        return self._buffer[start : self._start]

    def _fill(self, count: int) -> None:
        held = self._end - self._start
        self._buffer[:held] = self._buffer[self._start : self._end]
        self._start, self._end = 0, held
        while self._end < count:
            taken = self._connection.recv_into(self._buffer[self._end :])
            if not taken:
                break
            self._end += taken


class _PduReader:
    """Hands the P-DATA of one connection to the association's messages, all else to pynetdicom.

    Parameters
    ----------
    association
        Of the connection.
    messages
        Take its P-DATA.
    connection
        Its socket.
    read
        Gives so many bytes of the connection, fewer if the peer has closed it; they are valid until
        it is called again. Raises OSError, and then holds nothing ahead.
    read_ahead
        Whether ``read`` holds bytes that ``select`` knows nothing of.
    """

    def __init__(
        self,
        association: Association,
        messages: DirectMessages,
        connection: socket.socket,
        read: Callable[[int], bytes | bytearray | memoryview],
        read_ahead: Callable[[], bool],
    ) -> None:
        self._association = association
        self._dul = association.dul
        self._messages = messages
        self._connection = connection
        self._read = read
        self._read_ahead = read_ahead
        self._header = b""
        self._read_other = association.dul._read_pdu_data
        self._other_event = association.dul._is_transport_event

    def install(self) -> None:
        """Read in place of pynetdicom."""
        self._association.dimse = self._messages
        self._dul.socket.recv = self._give  # type: ignore[method-assign, union-attr]
        self._dul._read_pdu_data = self._read_pdus  # type: ignore[method-assign]
        self._dul._is_transport_event = self._event  # type: ignore[method-assign]

    def _event(self) -> bool:
        """Read what is there already, or what pynetdicom sees."""
        if not self._read_ahead():
            return self._other_event()
        self._read_pdus()
        return True

    def _read_pdus(self) -> None:
        """Read what has come, and what follows at once."""
        until = time.monotonic() + READING_SECONDS
        try:
            while self._read_pdu() and time.monotonic() < until and self._more():
                pass
        except OSError:
            self._dul.event_queue.put(CONNECTION_CLOSED)

    def _read_pdu(self) -> bool:
        """Read one PDU; whether the next may be read here too."""
        header = self._read(HEADER_BYTES)
        if len(header) < HEADER_BYTES or header[0] != P_DATA_TF:
            self._header = bytes(header)
            self._read_other()
            return False
        (length,) = struct.unpack_from(">L", header, 2)
        body = self._read(length)
        if len(body) < length:
            raise ConnectionError("closed within a PDU")
        return self._messages.receive_body(body)

    def _give(self, count: int) -> bytearray:
        """Bytes for pynetdicom, beginning with the header that was read already."""
        header, self._header = self._header, b""
        return bytearray(header or self._read(count))

    def _more(self) -> bool:
        """Whether more comes at once, and nothing is waiting to be sent."""
        if not self._dul.to_provider_queue.empty():
            return False
        if self._read_ahead():
            return True
        if isinstance(self._connection, ssl.SSLSocket) and self._connection.pending():
            return True
        return bool(select.select([self._connection], [], [], NEXT_PDU_SECONDS)[0])


def _connection(association: Association) -> socket.socket:
    link = association.dul.socket
    if link is None or link.socket is None:
        raise ConnectionError("the association has ended")
    return link.socket
