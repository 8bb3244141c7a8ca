"""All that receiving uses of pynetdicom's inside, which any release of it may change.

For the direct store service, and for what an archive sends on an association that was requested of
it; `missing_internals` looks for these when the listener starts, and
without one of them pynetdicom's own store service is used:

- ``Association.dimse``: replaced on each association, so that its ``receive_primitive`` gets the
  fragments and its ``get_msg`` waits for messages instead of looking for them.
- ``DIMSEServiceProvider``, its ``msg_queue``, ``dimse_timeout`` and ``maximum_pdu_size``, and
  ``P_DATA.presentation_data_value_list``: messages that are not C-STORE are handed on by them.
- ``Association.dul.event_queue``: takes the event that aborts the association of a peer that broke
  the protocol.
- ``Association.dul.socket``, an ``AssociationSocket``: its ``send`` takes the answers; its ``recv``
  adds up what the connection gives, which here may be a whole PDU at once (`upper_layer`).
- ``Association.dul._read_pdu_data`` and ``_is_transport_event``, and ``to_provider_queue`` of the
  same: replaced by `pdu_reader` where an archive sends a series, so that P-DATA goes to the service
  without being taken apart three times.

Whichever service is used, with something to fall back on:

- ``Association.acse.send_reject`` and ``Association.kill``: a rejection with a reason of our own;
  without them the association is aborted.
- ``Association.dul.socket.socket``: the peer's certificate; without it audit records name none.

Both services need that ``AssociationSocket`` reads and writes by ``recv`` and ``send`` of the
socket that `listener_server` gives it: this is how the limits hold. The rest of what the listener
uses is documented: events and their handlers, ``AE.make_server(server_class=...)``, ``abort``.
"""

import inspect
import queue
from collections.abc import Callable, Iterable
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association

from dicom_node.logs import fault_fields, log
from dicom_node.receiving.store_messages import MALFORMED, StoreRequest, fragments
from dicom_node.receiving.store_service import FragmentService, MessageLink, StoreService

try:
    from pynetdicom.dimse import DIMSEServiceProvider
    from pynetdicom.pdu_primitives import P_DATA
    from pynetdicom.transport import AssociationSocket

    NOT_IMPORTED = ""
except ImportError as fault:  # a later release has moved it
    NOT_IMPORTED = fault.name or "pynetdicom"
    DIMSEServiceProvider = P_DATA = AssociationSocket = object  # type: ignore[assignment,misc]

__all__ = [
    "CONNECTION_CLOSED",
    "DirectMessages",
    "missing_internals",
    "peer_certificate",
    "reject",
    "serve_directly",
]

MESSAGE_WAIT_SECONDS = 0.005
"""How long the association's thread waits for a message before it looks whether the association has
ended."""

CONNECTION_CLOSED = "Evt17"
"""Event of the upper layer for a connection that has ended (PS3.8, table 9-10)."""

INVALID_PDU = "Evt19"
"""Event of the upper layer that ends an association with an abort (PS3.8, table 9-10)."""

METHODS: tuple[tuple[type, str, tuple[str, ...]], ...] = (
    (DIMSEServiceProvider, "__init__", ("self", "assoc")),
    (DIMSEServiceProvider, "get_msg", ("self", "block")),
    (DIMSEServiceProvider, "receive_primitive", ("self", "primitive")),
    (AssociationSocket, "recv", ("self", "nr_bytes")),
    (AssociationSocket, "send", ("self", "bytestream")),
)
"""What is replaced or called: class, name, parameters."""

ATTRIBUTES = (
    "accepted_contexts",
    "dimse.dimse_timeout",
    "dimse.maximum_pdu_size",
    "dimse.msg_queue",
    "dul.event_queue",
    "dul._is_transport_event",
    "dul._read_pdu_data",
    "dul.socket",
    "dul.to_provider_queue",
)
"""What an association has before its connection is there."""


class DirectMessages(DIMSEServiceProvider):
    """pynetdicom's message service of one association, whose fragments a service gets.

    Parameters
    ----------
    association
        The association.
    make_service
        Makes the service of the link to the association.
    progress
        What changes while the peer is at work although it sends no message here.
    """

    def __init__(
        self,
        association: Association,
        make_service: Callable[[MessageLink], FragmentService],
        progress: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(association)
        self._service = make_service(self)
        self._progress = progress
        self._heard = 0

    def get_msg(self, block: bool = False) -> tuple[Any, Any]:
        """Give the next message that is not C-STORE, and its context, or (None, None).

        The association's thread asks again and again without a pause. It is made to wait a moment
        here: meanwhile the interpreter is free for the thread that reads the connection. With
        ``block`` it waits as long as the peer goes on, with pauses of at most ``dimse_timeout``.
        """
        while True:
            before = (self._heard, self._progress())
            try:
                return self.msg_queue.get(
                    timeout=self.dimse_timeout if block else MESSAGE_WAIT_SECONDS
                )
            except queue.Empty:
                if not block or before == (self._heard, self._progress()):
                    return None, None

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take the fragments of a P-DATA primitive."""
        self._take(primitive.presentation_data_value_list)

    def receive_body(self, body: bytes | bytearray | memoryview) -> bool:
        """Take the fragments of a P-DATA-TF PDU; False if the association ends."""
        return self._take(fragments(body))

    def _take(self, values: Iterable[tuple[int, bytes | memoryview]]) -> bool:
        self._heard += 1
        try:
            for context_id, value in values:
                self._service.take(context_id, value)
        except MALFORMED:
            self.dul.event_queue.put(INVALID_PDU)
            return False
        except MemoryError as fault:
            log().warning("association out of memory", **fault_fields(fault))
            self.dul.event_queue.put(INVALID_PDU)
            return False
        return True

    def transfer_syntax(self, context_id: int) -> str:
        """The transfer syntax of an accepted context; ValueError if it is not accepted."""
        for context in self.assoc.accepted_contexts:
            if context.context_id == context_id:
                return str(context.transfer_syntax[0])
        raise ValueError("not an accepted presentation context")

    def pass_on(self, context_id: int, value: bytes) -> None:
        """Let pynetdicom take a fragment."""
        other = P_DATA()
        # the setter refuses the tuples that its own type asks for
        other.presentation_data_value_list = [[context_id, value]]  # type: ignore[list-item]
        super().receive_primitive(other)

    def send(self, pdu: bytes) -> None:
        """Send a PDU; nothing happens if the connection has ended."""
        connection = self.dul.socket
        if connection is not None:
            connection.send(pdu)


def missing_internals() -> tuple[str, ...]:
    """Names, in pynetdicom, of what the direct store service needs and this release has not."""
    if NOT_IMPORTED:
        return (NOT_IMPORTED,)
    missing = []
    for owner, name, parameters in METHODS:
        method = getattr(owner, name, None)
        if method is None or tuple(inspect.signature(method).parameters) != parameters:
            missing.append(f"{owner.__name__}.{name}")
    if not hasattr(P_DATA, "presentation_data_value_list"):
        missing.append("P_DATA.presentation_data_value_list")
    try:
        association = Association(AE(), "acceptor")
    except Exception:  # whatever a later release may ask for
        return (*missing, "Association")
    for path in ATTRIBUTES:
        found: Any = association
        for name in path.split("."):
            found = getattr(found, name, missing)
        if found is missing:
            missing.append(f"Association.{path}")
    return tuple(missing)


def serve_directly(association: Association, store: Callable[[StoreRequest], int | None]) -> None:
    """Let an association that was just requested answer C-STORE by a `StoreService`.

    Parameters
    ----------
    association
        Whose messages are taken.
    store
        As for `StoreService`.
    """
    association.dimse = DirectMessages(association, lambda link: StoreService(link, store))


def reject(association: Association, result: int, source: int, diagnostic: int) -> None:
    """Refuse an association that was just requested.

    Parameters
    ----------
    association
        The one that is refused.
    result, source, diagnostic
        Of the A-ASSOCIATE-RJ (PS3.8, table 9-21).
    """
    send_reject = getattr(association.acse, "send_reject", None)
    kill = getattr(association, "kill", None)
    if send_reject is None or kill is None:
        association.abort()
        return
    send_reject(result, source, diagnostic)
    kill()


def peer_certificate(association: Association) -> dict[str, Any] | None:
    """The certificate of the peer as ``getpeercert`` gives it; None if it is not known.

    Raises
    ------
    OSError, ValueError
        The connection has ended.
    """
    found: Any = association
    for name in ("dul", "socket", "socket", "getpeercert"):
        found = getattr(found, name, None)
    return found() if callable(found) else None
