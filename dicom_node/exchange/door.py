"""Connections of the exchange: by the names in their certificates, cut off if they are too slow."""

import asyncio

from dicom_node.exchange.impatient_http import ImpatientHttp
from dicom_node.logs import log
from dicom_node.records.audit import Peer
from dicom_node.records.security_alerts import SecurityAlerts
from dicom_node.settings.edge import Exchange
from dicom_node.tls import certificate_names

__all__ = ["make_door"]

BUFFER_BYTES = 4 << 20
"""A reader must take so much within ``exchange.timeout_seconds``, or it is cut off."""


def make_door(exchange: Exchange, alerts: SecurityAlerts) -> type[ImpatientHttp]:
    """The connections: by the names in their certificates, and cut off if they read too slowly.

    Parameters
    ----------
    exchange
        Which names are allowed, and how long little may be read.
    alerts
        Where refusals are recorded.
    """

    class Door(ImpatientHttp):
        """One connection."""

        _stalled: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            """Refuse a peer whose certificate has no name that is allowed."""
            super().connection_made(transport)
            names = certificate_names(transport.get_extra_info("peercert"))
            if exchange.allowed_names and not names & frozenset(exchange.allowed_names):
                host = str(transport.get_extra_info("peername", ("",))[0])
                log().warning("exchange refused", reason="tls_name", peer=host)
                alerts.refused(Peer("", host, tuple(sorted(names))), "tls_name")
                transport.abort()
                return
            transport.set_write_buffer_limits(high=BUFFER_BYTES, low=0)

        def pause_writing(self) -> None:
            """Begin to wait until the peer has read all that was written."""
            super().pause_writing()
            self._stalled = self.loop.call_later(exchange.timeout_seconds, self._cut)

        def resume_writing(self) -> None:
            """Go on, for it has."""
            self._forget_stall()
            super().resume_writing()

        def connection_lost(self, exc: Exception | None) -> None:
            """Forget the connection."""
            self._forget_stall()
            super().connection_lost(exc)

        def _cut(self) -> None:
            host = str(self.transport.get_extra_info("peername", ("",))[0])
            log().warning("transfer cut", reason="the peer reads too slowly", peer=host)
            self.transport.abort()

        def _forget_stall(self) -> None:
            if self._stalled is not None:
                self._stalled.cancel()
                self._stalled = None

    return Door
