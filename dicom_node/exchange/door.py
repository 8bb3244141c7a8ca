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

        read_seconds = exchange.timeout_seconds
        least_read_bytes = BUFFER_BYTES

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            """Refuse a peer whose certificate has no name that is allowed."""
            super().connection_made(transport)
            names = certificate_names(transport.get_extra_info("peercert"))
            if exchange.allowed_names and not names & frozenset(exchange.allowed_names):
                log().warning("exchange refused", reason="tls_name", peer=self.address)
                alerts.refused(Peer("", self.address, tuple(sorted(names))), "tls_name")
                transport.abort()
                return
            transport.set_write_buffer_limits(high=BUFFER_BYTES, low=0)

        def reader_cut(self) -> None:
            """Say that a peer is cut off."""
            log().warning("transfer cut", reason="the peer reads too slowly", peer=self.address)

    return Door
