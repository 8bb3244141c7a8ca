"""C-STORE messages as bytes: the order of their fragments, the request's command, the response.

Nothing here knows pynetdicom: the direct store service answers with it, and the listener's sockets
check with it what pynetdicom's own store service would take although it must not.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = [
    "COMMAND",
    "LAST",
    "MALFORMED",
    "P_DATA_TF",
    "FragmentReader",
    "StoreCommand",
    "StoreRequest",
    "answer_pdus",
    "fragments",
    "is_progress",
    "is_store_request",
    "read_command",
]

AFFECTED_SOP_CLASS_UID = 0x0002
COMMAND_FIELD = 0x0100
MESSAGE_ID = 0x0110
MESSAGE_ID_BEING_RESPONDED_TO = 0x0120
COMMAND_DATA_SET_TYPE = 0x0800
STATUS = 0x0900
AFFECTED_SOP_INSTANCE_UID = 0x1000
"""Element numbers of group 0000 (PS3.7, table E.1-1)."""

C_STORE_RQ, C_STORE_RSP = 0x0001, 0x8001
C_GET_RSP, C_MOVE_RSP = 0x8010, 0x8021
NO_DATA_SET = 0x0101

GOING_ON = (0xFF00, 0xFF01)
"""Statuses of what goes on (PS3.7, C.1.3)."""

REQUESTS = (
    C_STORE_RQ, 0x0010, 0x0020, 0x0021, 0x0030, 0x0100, 0x0110, 0x0120, 0x0130, 0x0140, 0x0150,
)  # fmt: skip
COMMAND_FIELDS = frozenset([*REQUESTS, *(field | 0x8000 for field in REQUESTS), 0x0FFF])
"""All commands that there are: requests, their responses, and C-CANCEL (PS3.7, table E.1-1)."""

COMMAND, LAST = 0x01, 0x02
"""Bits of a fragment's message control header (PS3.8, E.2)."""

P_DATA_TF = 0x04

MALFORMED = (ValueError, KeyError, struct.error)
"""What reading raises for fragments that are no DIMSE messages."""


@dataclass(frozen=True)
class StoreRequest:
    """An instance that a peer wants to be kept.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid
        As the command announces them.
    transfer_syntax
        UID of the encoding of ``content``.
    content
        The data set as it came, without file meta information.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str
    content: bytes


@dataclass(frozen=True)
class StoreCommand:
    """The command of a C-STORE request whose data set follows.

    Parameters
    ----------
    context_id
        Presentation context of the message.
    elements
        As `read_command` gives them.
    """

    context_id: int
    elements: dict[int, bytes]

    @property
    def sop_class_uid(self) -> str:
        """The announced SOP class; empty where there is none."""
        return self._text(AFFECTED_SOP_CLASS_UID)

    @property
    def sop_instance_uid(self) -> str:
        """The announced SOP instance; empty where there is none."""
        return self._text(AFFECTED_SOP_INSTANCE_UID)

    def _text(self, element: int) -> str:
        return self.elements.get(element, b"").decode("ascii", "replace").rstrip("\0 ")


class FragmentReader:
    """Follows the fragments of one association and tells C-STORE requests from other messages.

    Attributes
    ----------
    command
        The C-STORE request whose data set is being received; None between requests.
    """

    def __init__(self) -> None:
        self.command: StoreCommand | None = None
        self._arriving = bytearray()

    def take(self, context_id: int, value: bytes | memoryview) -> bytes | None:
        """Read the next fragment.

        Parameters
        ----------
        context_id
            Presentation context of the fragment.
        value
            The message control header, one byte, and the fragment.

        Returns
        -------
        bytes or None
            A fragment, with its header, of a message that is not C-STORE; command sets are given
            whole, with their last fragment. None if there is nothing to hand on.

        Raises
        ------
        ValueError, KeyError, struct.error
            It is no part of a DIMSE message, or does not belong where it comes.
        """
        control = value[0]
        command = self.command
        if command is not None and (control & COMMAND or context_id != command.context_id):
            raise ValueError("a fragment of something else in the middle of a data set")
        if control & COMMAND:
            self._arriving += value[1:]
            if not control & LAST:
                return None
            whole = bytes(self._arriving)
            self._arriving.clear()
            return self._begin(context_id, whole)
        if command is None:
            return bytes(value)
        if control & LAST:
            self.command = None
        return None

    def _begin(self, context_id: int, command: bytes) -> bytes | None:
        elements = read_command(command)
        field = _number(elements, COMMAND_FIELD)
        if field not in COMMAND_FIELDS:
            raise ValueError("no command of DIMSE")
        if field != C_STORE_RQ:
            return bytes([COMMAND | LAST]) + command
        if _number(elements, COMMAND_DATA_SET_TYPE) == NO_DATA_SET:
            raise ValueError("C-STORE without a data set")
        _number(elements, MESSAGE_ID)
        self.command = StoreCommand(context_id, elements)
        return None


def fragments(body: bytes | bytearray | memoryview) -> Iterator[tuple[int, memoryview]]:
    """Each presentation data value of a P-DATA-TF PDU (PS3.8, 9.3.5).

    Parameters
    ----------
    body
        What follows the header of the PDU.

    Yields
    ------
    tuple
        Presentation context, and the message control header with its fragment.

    Raises
    ------
    ValueError, struct.error
        The lengths of the values do not make up the body.
    """
    view = memoryview(body)
    position = 0
    while position < len(view):
        length, context_id = struct.unpack_from(">LB", view, position)
        if length < 2 or position + 4 + length > len(view):
            raise ValueError("a value ends behind its PDU")
        yield context_id, view[position + 5 : position + 4 + length]
        position += 4 + length


def read_command(command: bytes) -> dict[int, bytes]:
    """Take a command set apart, which is always implicit VR little endian (PS3.7, 6.3.1).

    Parameters
    ----------
    command
        All of it, without message control headers.

    Returns
    -------
    dict
        The values of group 0000 by their element numbers.

    Raises
    ------
    ValueError, struct.error
        The bytes are not a command set.
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


def is_progress(command: bytes) -> bool:
    """Whether a command set says that a C-GET or C-MOVE goes on; raises as `is_store_request`."""
    elements = read_command(command)
    return (
        _number(elements, COMMAND_FIELD) in (C_GET_RSP, C_MOVE_RSP)
        and _number(elements, STATUS) in GOING_ON
        and _number(elements, COMMAND_DATA_SET_TYPE) == NO_DATA_SET
    )


def is_store_request(command: bytes) -> bool:
    """Whether a command set is a C-STORE request; raises as `read_command` and KeyError."""
    return _number(read_command(command), COMMAND_FIELD) == C_STORE_RQ


def answer_pdus(request: StoreCommand, status: int, max_pdu: int) -> list[bytes]:
    """Encode a C-STORE response.

    Parameters
    ----------
    request
        What is answered.
    status
        Of the response.
    max_pdu
        Longest P-DATA-TF body, in bytes, that the peer takes (PS3.8, D.1); 0 is no limit.

    Returns
    -------
    list of bytes
        Whole P-DATA-TF PDUs.
    """
    elements = request.elements
    body = b"".join(
        struct.pack("<HHL", 0, element, len(value)) + value
        for element, value in (
            (AFFECTED_SOP_CLASS_UID, elements.get(AFFECTED_SOP_CLASS_UID, b"")),
            (COMMAND_FIELD, struct.pack("<H", C_STORE_RSP)),
            (MESSAGE_ID_BEING_RESPONDED_TO, elements[MESSAGE_ID]),
            (COMMAND_DATA_SET_TYPE, struct.pack("<H", NO_DATA_SET)),
            (STATUS, struct.pack("<H", status)),
            (AFFECTED_SOP_INSTANCE_UID, elements.get(AFFECTED_SOP_INSTANCE_UID, b"")),
        )
    )
    command = struct.pack("<HHLL", 0, 0, 4, len(body)) + body
    most = max(max_pdu - 6, 1) if max_pdu else len(command)
    pieces = [command[start : start + most] for start in range(0, len(command), most)]
    return [
        struct.pack(
            ">BBLLBB",
            P_DATA_TF, 0, len(piece) + 6, len(piece) + 2, request.context_id,
            COMMAND | (LAST if piece is pieces[-1] else 0),
        )
        + piece
        for piece in pieces
    ]  # fmt: skip


def _number(elements: dict[int, bytes], element: int) -> int:
    return int(struct.unpack("<H", elements[element])[0])
