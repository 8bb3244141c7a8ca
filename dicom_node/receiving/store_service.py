"""The direct store service: C-STORE requests, answered where their last fragment is read.

pynetdicom takes each message apart with general means, hands it to another thread that looks for
it every millisecond, and builds the answer as a data set of its own: half of the time that a CT
slice takes (``python -m bench.receiving``). A C-STORE command has eight known elements; here they
are read and answered directly, in the thread that reads the connection. All other messages stay
pynetdicom's.
"""

from collections.abc import Callable
from typing import Protocol

from dicom_node.receiving.store_messages import (
    LAST,
    FragmentReader,
    StoreCommand,
    StoreRequest,
    answer_pdus,
)

__all__ = ["FragmentService", "MessageLink", "StoreService"]


class MessageLink(Protocol):
    """The association that a `StoreService` serves."""

    @property
    def maximum_pdu_size(self) -> int:
        """Longest P-DATA-TF body, in bytes, that the peer takes; 0 is no limit."""

    def transfer_syntax(self, context_id: int) -> str:
        """The transfer syntax of an accepted context; ValueError if it is not accepted."""

    def pass_on(self, context_id: int, value: bytes) -> None:
        """Take a fragment of a message that is not C-STORE."""

    def send(self, pdu: bytes) -> None:
        """Send a PDU; nothing happens if the connection has ended."""


class FragmentService(Protocol):
    """Takes the fragments of the messages of one association."""

    def take(self, context_id: int, value: bytes | memoryview) -> None:
        """Take one fragment.

        Parameters
        ----------
        context_id
            Presentation context of the fragment.
        value
            The message control header, one byte, and the fragment.

        Raises
        ------
        ValueError, KeyError, struct.error
            The peer broke the protocol; the association is to be aborted.
        """


class StoreService:
    """Answers the C-STORE requests of one association and passes on all other messages.

    Parameters
    ----------
    link
        The association.
    store
        Keeps an instance and returns the status of the answer, or None if none is to be sent.
    """

    def __init__(self, link: MessageLink, store: Callable[[StoreRequest], int | None]) -> None:
        self._link = link
        self._store = store
        self._reader = FragmentReader()
        self._transfer_syntax = ""
        self._content: list[memoryview] = []

    def take(self, context_id: int, value: bytes | memoryview) -> None:
        """Take one fragment, as `FragmentService.take`; the last one of a request answers it."""
        command = self._reader.command
        other = self._reader.take(context_id, value)
        if other is not None:
            self._link.pass_on(context_id, other)
        elif command is not None:
            self._content.append(memoryview(value)[1:])
            if value[0] & LAST:
                self._answer(command)
        elif self._reader.command is not None:
            self._transfer_syntax = self._link.transfer_syntax(context_id)

    def _answer(self, command: StoreCommand) -> None:
        fragments, self._content = self._content, []
        content = b"".join(fragments)
        del fragments
        request = StoreRequest(
            command.sop_class_uid, command.sop_instance_uid, self._transfer_syntax, content
        )
        status = self._store(request)
        if status is None:
            return
        for pdu in answer_pdus(command, status, self._link.maximum_pdu_size):
            self._link.send(pdu)
