"""The listener's server: admits connections by address, number and certificate."""

import gc
import mmap
import os
import select
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from socketserver import BaseServer
from typing import Any

from pynetdicom.transport import ThreadedAssociationServer

from dicom_node.logs import fault_fields, log
from dicom_node.receiving.limits import Budget, Limit, LimitExceeded
from dicom_node.receiving.upper_layer import Guarded, GuardedPlain, GuardedTls
from dicom_node.records.audit import Peer
from dicom_node.records.counters import Counters
from dicom_node.records.security_alerts import SecurityAlerts
from dicom_node.settings.edge import Listener
from dicom_node.tls import certificate_names, server_context

__all__ = ["CONNECTIONS_PER_ASSOCIATION", "GuardedServer"]

CONNECTIONS_PER_ASSOCIATION = 2
"""Connections that are admitted for each association that may be open: a peer above
``max_associations`` can be rejected with a reason only on a connection."""

THREADS_PER_CONNECTION = 6
"""Threads that may live for each connection; pynetdicom's end some time after the connection."""

SPARE_THREADS = 50

RESERVE_BYTES = 8 * 1024 * 1024
"""Memory that is kept for the threads of the next association: one that begins without any ends
without a word, and Python waits for ever for it to begin."""

BACKLOG = 64
"""Connections that the system keeps waiting until the server accepts them."""


class GuardedServer(ThreadedAssociationServer):
    """Admits connections and hands them, with their limits, to the upper layer.

    Each connection has a thread of its own from the TLS handshake on, and the handshake a deadline,
    so that a silent peer delays no other.

    Parameters
    ----------
    *args, **kwargs
        As for pynetdicom's server.
    settings
        The listener's.
    counters, alerts
        Take the connections that are refused, by reason, as numbers and as records.
    tidy
        Is called about twice a second.
    direct
        Whether the direct store service answers on the connections.
    """

    request_queue_size = BACKLOG
    daemon_threads = True

    def __init__(
        self,
        *args: Any,
        settings: Listener,
        counters: Counters,
        alerts: SecurityAlerts,
        tidy: Callable[[], None],
        direct: bool,
        **kwargs: Any,
    ) -> None:
        self._direct = direct
        self._settings = settings
        self._counters = counters
        self._alerts = alerts
        self._tidy = tidy
        self._tls = None if settings.tls is None else server_context(settings.tls)
        if self._tls is not None:
            self._tls.sslsocket_class = GuardedTls
        self._budget = Budget(settings.max_in_flight_mb * 1024 * 1024)
        self._lock = threading.Lock()
        self._open = 0
        self._ended = 0
        self._moved = time.monotonic()
        self._reserve = _reserved()
        self._readable, self._written = os.pipe()
        os.write(self._written, b"\1")
        super().__init__(*args, **kwargs)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        if self.socket is None:
            raise OSError("the listener is closed")
        return int(self.socket.getsockname()[1])

    @property
    def connections(self) -> int:
        """Connections that are open."""
        return self._open

    @property
    def ended(self) -> int:
        """Connections that have ended so far."""
        return self._ended

    @property
    def still_seconds(self) -> float:
        """For how long the loop that admits connections has not moved; half a second is usual."""
        return time.monotonic() - self._moved

    @property
    def bytes_in_flight(self) -> int:
        """Memory taken by messages that are being received."""
        return self._budget.used

    def server_bind(self) -> None:
        """Bind to the address; several processes may share the port."""
        if self._settings.processes > 1 and self.socket is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether a connection is admitted: by its address and by the number of connections."""
        host = str(client_address[0])
        networks = self._settings.allowed_networks
        if networks and not any(ip_address(host) in network for network in networks):
            self.refuse("address", host)
            return False
        most = self._settings.max_associations * CONNECTIONS_PER_ASSOCIATION
        with self._lock:
            threads = threading.active_count()
            admitted = self._open < most and threads < most * THREADS_PER_CONNECTION + SPARE_THREADS
            self._open += admitted
        if not admitted:
            self.refuse("too_many_connections", host)
        return admitted

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start the connection's thread; without memory for one it is closed."""
        try:
            if self._reserve is None:
                raise MemoryError
            self._reserve.close()
            super().process_request(request, client_address)
        except (RuntimeError, MemoryError):
            self._gone()
            gc.collect()
            raise
        finally:
            self._reserve = _reserved()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Do the TLS handshake, where TLS is configured, and start the association."""
        host = str(client_address[0])
        connection: Guarded
        try:
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is None:
                connection = GuardedPlain(fileno=request.detach())
            else:
                connection = self._tls.wrap_socket(  # type: ignore[assignment]
                    request, server_side=True, do_handshake_on_connect=False
                )
        except (OSError, MemoryError):
            self._gone()
            raise
        connection.guard(
            Limit(self._settings, self._budget, lambda reason: self.refuse(reason, host)),
            self._gone,
            self._readable,
            direct=self._direct,
        )
        trusted = not isinstance(connection, GuardedTls) or self._trusted(connection, host)
        if not trusted or not connection.await_request(self._settings.association_seconds):
            self.shutdown_request(connection)
            return
        super().finish_request(connection, client_address)

    def shutdown(self) -> None:
        """Stop listening and abort open associations: senders send again what was not answered."""
        BaseServer.shutdown(self)
        self.server_close()
        for association in self.active_associations:
            association.abort()
        self._alerts.flush(everything=True)
        os.close(self._written)

    def service_actions(self) -> None:
        """Call ``tidy`` and write the numbers of refusals, about twice a second."""
        super().service_actions()
        self._moved = time.monotonic()
        if self._reserve is None:
            self._reserve = _reserved()
        with suppress(MemoryError):  # it would end the loop that admits connections
            self._tidy()
            self._alerts.flush()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log the kind of the fault that ended a connection, without its text."""
        fault = sys.exception()
        if fault is not None and not isinstance(fault, LimitExceeded):
            with suppress(MemoryError):
                peer = str(client_address[0])
                log().warning("connection failed", peer=peer, **fault_fields(fault))

    def refuse(self, reason: str, host: str) -> None:
        """Log, count and audit a connection that is not admitted or goes beyond a limit."""
        self._counters.add("connections_refused", reason)
        log().warning("connection refused", reason=reason, peer=host)
        self._alerts.refused(Peer("", host), reason)

    def _trusted(self, connection: GuardedTls, host: str) -> bool:
        failed = self._shake_hands(connection)
        if failed is not None:
            self.refuse(failed, host)
            return False
        allowed = self._settings.tls.allowed_names if self._settings.tls else ()
        names = certificate_names(connection.getpeercert())
        if allowed and names.isdisjoint(allowed):
            self.refuse("tls_name", host)
            return False
        return True

    def _shake_hands(self, connection: GuardedTls) -> str | None:
        """Do the handshake within ``association_seconds``; return why it failed, or None."""
        deadline = time.monotonic() + self._settings.association_seconds
        connection.setblocking(False)
        while True:
            left = max(deadline - time.monotonic(), 0.0)
            try:
                connection.do_handshake()
            except ssl.SSLWantReadError:
                ready = select.select([connection], [], [], left)[0]
            except ssl.SSLWantWriteError:
                ready = select.select([], [connection], [], left)[1]
            except ssl.SSLCertVerificationError:
                return "tls_certificate"
            except ssl.SSLError as error:
                reason = error.reason or ""
                return "tls_no_certificate" if "DID_NOT_RETURN" in reason else "tls_handshake"
            except OSError:
                return "tls_handshake"
            else:
                connection.settimeout(self._settings.idle_seconds)
                return None
            if not ready:
                return "tls_too_slow"

    def _gone(self) -> None:
        with self._lock:
            self._open -= 1
            self._ended += 1


def _reserved() -> mmap.mmap | None:
    """Take `RESERVE_BYTES` of memory; None if they are not left."""
    try:
        return mmap.mmap(-1, RESERVE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, MemoryError):
        return None
