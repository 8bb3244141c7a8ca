"""C-STORE requests, answered where their last fragment is read.

pynetdicom takes each message apart with general means, hands it to another thread that looks for
it every millisecond, and builds the answer as a data set of its own: half of the time that a CT
slice takes (``python -m bench.receiving``). A C-STORE command has eight known elements; here they
are read and answered directly, in the thread that reads the connection. All other messages stay
pynetdicom's.
"""

import queue
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from dicom_node.logs import log
from dicom_node.statuses import PROCESSING_FAILURE

__all__ = ["StoreRequest", "StoreService"]

AFFECTED_SOP_CLASS_UID = 0x0002
COMMAND_FIELD = 0x0100
MESSAGE_ID = 0x0110
MESSAGE_ID_BEING_RESPONDED_TO = 0x0120
COMMAND_DATA_SET_TYPE = 0x0800
STATUS = 0x0900
AFFECTED_SOP_INSTANCE_UID = 0x1000
"""Element numbers of group 0000 (PS3.7, table E.1-1)."""

C_STORE_RQ, C_STORE_RSP = 0x0001, 0x8001
NO_DATA_SET = 0x0101

COMMAND, LAST = 0x01, 0x02
"""Bits of a fragment's message control header (PS3.8, E.2)."""

P_DATA_TF = 0x04

LOOK_SECONDS = 0.005
"""Pause of the association's thread, which also sees the end of the association to."""

INVALID_PDU = "Evt19"
"""Event of the upper layer that ends an association with an abort (PS3.8, table 9-10)."""


@dataclass(frozen=True)
class StoreRequest:
    """What a peer asks to be kept.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid
        As the command announces them.
    transfer_syntax
        Of ``content``.
    content
        The data set as it came, without file meta information.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str
    content: bytes


@dataclass(frozen=True)
class _Command:
    context_id: int
    transfer_syntax: str
    elements: dict[int, bytes]


class StoreService(DIMSEServiceProvider):
    """The messages of one association; its C-STORE requests go to ``store``.

    Parameters
    ----------
    association
        Whose messages these are.
    store
        Keeps an instance and gives the status of the answer, or None if there is none to be given.
    """

    def __init__(
        self,
        association: Association,
        store: Callable[[Association, StoreRequest], int | None],
    ) -> None:
        super().__init__(association)
        self._store = store
        self._arriving = bytearray()
        self._command: _Command | None = None
        self._fragments: list[memoryview] = []

    def get_msg(self, block: bool = False) -> tuple[Any, Any]:
        """Give the next message that is not C-STORE, and its context, or (None, None).

        The association's thread asks for it without end; here it waits a moment, for it needs the
        interpreter that the connection's thread is using.
        """
        try:
            return self.msg_queue.get(timeout=self.dimse_timeout if block else LOOK_SECONDS)
        except queue.Empty:
            return None, None

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take the fragments of a P-DATA; the last one of a C-STORE request answers it."""
        try:
            for context_id, value in primitive.presentation_data_value_list:
                self._take(context_id, value)
        except (ValueError, KeyError, struct.error):
            self.dul.event_queue.put(INVALID_PDU)

    def _take(self, context_id: int, value: bytes) -> None:
        control, fragment = value[0], memoryview(value)[1:]
        command = self._command
        if command is not None and (control & COMMAND or context_id != command.context_id):
            raise ValueError("a fragment of something else in the middle of a data set")
        if control & COMMAND:
            self._arriving += fragment
            if control & LAST:
                self._begin(context_id, bytes(self._arriving))
                self._arriving.clear()
        elif command is None:
            self._pass_on(context_id, value)
        else:
            self._fragments.append(fragment)
            if control & LAST:
                self._finish(command)

    def _begin(self, context_id: int, command: bytes) -> None:
        elements = read_command(command)
        if _number(elements, COMMAND_FIELD) != C_STORE_RQ:
            self._pass_on(context_id, bytes([COMMAND | LAST]) + command)
            return
        if _number(elements, COMMAND_DATA_SET_TYPE) == NO_DATA_SET:
            raise ValueError("C-STORE without a data set")
        _number(elements, MESSAGE_ID)
        [transfer_syntax] = (
            str(context.transfer_syntax[0])
            for context in self.assoc.accepted_contexts
            if context.context_id == context_id
        )
        self._command = _Command(context_id, transfer_syntax, elements)

    def _finish(self, command: _Command) -> None:
        content = b"".join(self._fragments)
        self._command, self._fragments = None, []
        elements = command.elements
        request = StoreRequest(
            _text(elements, AFFECTED_SOP_CLASS_UID),
            _text(elements, AFFECTED_SOP_INSTANCE_UID),
            command.transfer_syntax,
            content,
        )
        try:
            status = self._store(self.assoc, request)
        except Exception as fault:  # the association goes on
            log().error("unforeseen fault", error=type(fault).__name__)
            status = PROCESSING_FAILURE
        if status is None:
            return
        connection = self.dul.socket
        if connection is None:  # it has ended meanwhile
            return
        for pdu in answer_pdus(elements, status, command.context_id, self.maximum_pdu_size):
            connection.send(pdu)

    def _pass_on(self, context_id: int, value: bytes) -> None:
        other = P_DATA()
        # the setter refuses the tuples that its own type asks for
        other.presentation_data_value_list = [[context_id, value]]  # type: ignore[list-item]
        super().receive_primitive(other)


def read_command(command: bytes) -> dict[int, bytes]:
    """Take a command set apart, which is always implicit VR little endian (PS3.7, 6.3.1).

    Returns
    -------
    dict
        The values of group 0000 by their element numbers.

    Raises
    ------
    ValueError, struct.error
        It is none.
    """
    elements = {}
    position = 0
    while position < len(command):
        group, element, length = struct.unpack_from("<HHL", command, position)
        position += 8 + length
        if group or position > len(command):
            raise ValueError("not a command set")
        elements[element] = command[position - length : position]
    return elements


def answer_pdus(
    request: dict[int, bytes], status: int, context_id: int, max_pdu: int
) -> list[bytes]:
    """The P-DATA-TF PDUs of a C-STORE response, as `read_command` gives the request.

    Parameters
    ----------
    max_pdu
        What the peer takes (PS3.8, D.1); 0 is no limit.
    """
    body = b"".join(
        struct.pack("<HHL", 0, element, len(value)) + value
        for element, value in (
            (AFFECTED_SOP_CLASS_UID, request.get(AFFECTED_SOP_CLASS_UID, b"")),
            (COMMAND_FIELD, struct.pack("<H", C_STORE_RSP)),
            (MESSAGE_ID_BEING_RESPONDED_TO, request[MESSAGE_ID]),
            (COMMAND_DATA_SET_TYPE, struct.pack("<H", NO_DATA_SET)),
            (STATUS, struct.pack("<H", status)),
            (AFFECTED_SOP_INSTANCE_UID, request.get(AFFECTED_SOP_INSTANCE_UID, b"")),
        )
    )
    command = struct.pack("<HHLL", 0, 0, 4, len(body)) + body
    most = max(max_pdu - 6, 1) if max_pdu else len(command)
    pieces = [command[start : start + most] for start in range(0, len(command), most)]
    return [
        struct.pack(
            ">BBLLBB",
            P_DATA_TF, 0, len(piece) + 6, len(piece) + 2, context_id,
            COMMAND | (LAST if piece is pieces[-1] else 0),
        )
        + piece
        for piece in pieces
    ]  # fmt: skip


def _number(elements: dict[int, bytes], element: int) -> int:
    return int(struct.unpack("<H", elements[element])[0])


def _text(elements: dict[int, bytes], element: int) -> str:
    return elements.get(element, b"").decode("ascii", "replace").rstrip("\0 ")
