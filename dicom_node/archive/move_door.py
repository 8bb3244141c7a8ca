"""The door of C-MOVE: a storage SCP that takes only instances that were just asked for."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification

from dicom_node.archive.arrivals import Arrivals
from dicom_node.archive.instance_stream import (
    FETCHED_CLASSES,
    FETCHED_SYNTAXES,
    InstanceStream,
)
from dicom_node.archive.sources import SourceUnavailable
from dicom_node.errors import SettingsInvalid
from dicom_node.receiving.listener import handle_echo
from dicom_node.receiving.listener_server import GuardedServer
from dicom_node.receiving.pdu_reader import receive_served
from dicom_node.receiving.store_service import MessageLink
from dicom_node.records.audit import AuditTrail
from dicom_node.records.counters import Counters
from dicom_node.records.security_alerts import SecurityAlerts
from dicom_node.sending.delivery import PLAIN_SYNTAXES
from dicom_node.settings.archives import Archive, DimseArchive
from dicom_node.settings.edge import Listener

__all__ = ["MoveDoor"]

ASSOCIATIONS_PER_MOVE = 4
"""Associations that an archive may open for one move; some send on several."""


class MoveDoor:
    """Listens on ``move_port`` from the first move on, for all moves together.

    Parameters
    ----------
    archive
        With the most moves at once, and how long the archive may pause.
    peer
        With AE title, address and TLS of the door.
    """

    def __init__(self, archive: Archive, peer: DimseArchive) -> None:
        self._archive = archive
        self._peer = peer
        self._lock = threading.Lock()
        self._waiting: list[Arrivals] = []
        self._server: GuardedServer | None = None
        self._streams: dict[object, InstanceStream] = {}

    @contextmanager
    def expecting(self, arrivals: Arrivals) -> Iterator[None]:
        """Take the instances of a move within the block.

        Raises
        ------
        SourceUnavailable
            The port cannot be listened on.
        """
        with self._lock:
            if self._server is None:
                self._server = self._listen()
            self._waiting.append(arrivals)
        try:
            yield
        finally:
            with self._lock:
                self._waiting.remove(arrivals)

    def close(self) -> None:
        """Stop listening."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.shutdown()

    def _takers(self, uid: str) -> list[Arrivals]:
        """Who lacks an instance; KeyError if nobody asked for it."""
        with self._lock:
            asked = [arrivals for arrivals in self._waiting if uid in arrivals.wanted]
        if not asked:
            raise KeyError(uid)
        return [arrivals for arrivals in asked if arrivals.lacks(uid)]

    def _requested(self, event: Event) -> None:
        association = event.assoc
        source = str(getattr(association.requestor.primitive, "calling_ae_title", "") or "")

        def service(link: MessageLink) -> InstanceStream:
            stream = InstanceStream(link, source, self._takers, association.abort)
            self._streams[association] = stream
            return stream

        receive_served(association, service)

    def _ended(self, event: Event) -> None:
        stream = self._streams.pop(event.assoc, None)
        if stream is not None:
            stream.discard()

    def _listen(self) -> GuardedServer:
        peer = self._peer
        settings = Listener(
            ae_title=peer.move_ae_title or "",
            host=peer.move_host,
            port=peer.move_port or 0,
            max_associations=min(self._archive.max_connections * ASSOCIATIONS_PER_MOVE, 256),
            max_object_mb=4095,
            max_in_flight_mb=1_000_000,
            association_seconds=self._archive.timeout_seconds,
            idle_seconds=self._archive.timeout_seconds,
            tls=peer.move_tls,
        )
        try:
            server = self._entity(settings).make_server(
                (settings.host, settings.port),
                server_class=GuardedServer,
                evt_handlers=[
                    (evt.EVT_C_ECHO, handle_echo),
                    (evt.EVT_REQUESTED, self._requested),
                    *((kind, self._ended) for kind in (evt.EVT_RELEASED, evt.EVT_ABORTED)),
                    (evt.EVT_CONN_CLOSE, self._ended),
                ],
                settings=settings,
                counters=Counters(),
                alerts=SecurityAlerts(AuditTrail(None)),
                tidy=lambda: None,
                direct=True,
            )
        except (OSError, SettingsInvalid) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise SourceUnavailable(
                f"move_port {settings.port} of archive {self._archive.name} cannot be listened on "
                f"({reason})"
            ) from error
        assert isinstance(server, GuardedServer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def _entity(self, settings: Listener) -> AE:
        ae = AE(ae_title=settings.ae_title)
        ae.maximum_pdu_size = settings.max_pdu_bytes
        ae.maximum_associations = settings.max_associations
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = settings.idle_seconds
        ae.require_called_aet = True
        ae.add_supported_context(Verification, list(PLAIN_SYNTAXES))
        syntaxes: list[str | UID] = list(FETCHED_SYNTAXES)
        for sop_class in FETCHED_CLASSES:
            ae.add_supported_context(sop_class, syntaxes)
        return ae
