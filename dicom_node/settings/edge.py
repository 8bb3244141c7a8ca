"""Settings of what the node shows to others: listener, TLS, audit trail, exchange."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

__all__ = [
    "EVERY_ADDRESS",
    "AeTitle",
    "Audit",
    "ClientTls",
    "Exchange",
    "Listener",
    "Network",
    "Port",
    "Section",
    "ServerTls",
    "check_unique",
    "is_exposed",
]

AeTitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[\x21-\x7E ]+$")]
Port = Annotated[int, Field(ge=0, le=65535)]
Network = Annotated[
    IPv4Network | IPv6Network,
    BeforeValidator(lambda value: ip_network(value) if isinstance(value, str) else value),
]


EVERY_ADDRESS = ("0.0.0.0", "::", "")
"""Hosts that stand for all addresses of the machine."""

LISTENER_OWN_MB = 512
"""Memory in MB of a listener without instances, with the stacks of all its threads."""


class Section(BaseModel):
    """A section of the settings: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def check_unique(names: Sequence[str], rule: str) -> None:
    """Check that no name stands there twice.

    Raises
    ------
    ValueError
        One does; the message begins with the rule.
    """
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        raise ValueError(f"{rule}, found twice: {sorted(doubled)}")


class ServerTls(Section):
    """TLS of the listener; ``required`` demands a certificate of ``ca`` from every peer.

    With ``allowed_names`` that certificate must also carry one of these names.
    """

    certificate: Path
    key: Path
    ca: Path | None = None
    required: bool = True
    allowed_names: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _ca_is_given(self) -> "ServerTls":
        if self.required and self.ca is None:
            raise ValueError("certificates are required of peers: ca must name who signs them")
        if self.allowed_names and not self.required:
            raise ValueError("allowed_names needs required = true")
        return self


class ClientTls(Section):
    """TLS towards one destination, whose certificate must be of ``ca`` and name its host."""

    ca: Path
    certificate: Path | None = None
    key: Path | None = None
    server_name: str | None = None

    @model_validator(mode="after")
    def _pair(self) -> "ClientTls":
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key are given both or neither")
        return self


class Listener(Section):
    """Where instances are received, from whom, and how many."""

    ae_title: AeTitle = "OSTEONODE"
    host: str = "127.0.0.1"
    port: Port = 11112
    processes: int = Field(default=1, ge=1, le=32)
    max_associations: int = Field(default=16, ge=1, le=256)
    allowed_ae_titles: tuple[AeTitle, ...] = ()
    allowed_networks: tuple[Network, ...] = ()
    tls: ServerTls | None = None
    durability: Literal["fsync", "none"] = "fsync"
    store_service: Literal["direct", "pynetdicom"] = "direct"
    max_instances_per_association: int = Field(default=20_000, ge=1)
    max_pdu_bytes: int = Field(default=131_072, ge=4096, le=131_072)
    max_object_mb: int = Field(default=512, ge=1, le=4095)
    max_in_flight_mb: int = Field(default=2048, ge=1)
    memory_mb: int | None = Field(default=None, ge=1)
    max_pixels: int = Field(default=2**30, ge=1)
    max_frames: int = Field(default=4000, ge=1)
    min_free_mb: int = Field(default=1024, ge=0)
    association_seconds: float = Field(default=30.0, gt=0)
    idle_seconds: float = Field(default=60.0, gt=0)

    @model_validator(mode="after")
    def _processes_share_a_port(self) -> "Listener":
        if self.processes > 1 and self.port == 0:
            raise ValueError("several processes need a port that is not 0")
        return self

    @model_validator(mode="after")
    def _memory_holds_what_is_in_flight(self) -> "Listener":
        least = self.max_in_flight_mb + LISTENER_OWN_MB
        if self.memory_mb is not None and self.memory_mb < least:
            raise ValueError(
                f"memory_mb must be at least {least}: max_in_flight_mb and {LISTENER_OWN_MB}"
                " for the process itself"
            )
        return self

    @property
    def memory_limit_mb(self) -> int:
        """Memory that one listener process may take, in MB.

        By default each instance on its way may be there twice, as while it is put together.
        """
        return self.memory_mb or 2 * self.max_in_flight_mb + 2 * LISTENER_OWN_MB

    @property
    def exposed(self) -> bool:
        """Whether other machines can reach it."""
        return is_exposed(self.host)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What leaves the listener more open than it should be in a hospital."""
        if not self.exposed:
            return ()
        found = []
        if self.tls is None:
            found.append(
                "without TLS whoever is on the network can read and send; set listener.tls"
            )
        elif not self.tls.required:
            found.append("peers need no certificate; set listener.tls.required")
        if not self.allowed_ae_titles:
            found.append("any calling AE title is accepted; set listener.allowed_ae_titles")
        if not self.allowed_networks:
            found.append("any source address is accepted; set listener.allowed_networks")
        return tuple(f"listener on {self.host}: {text}" for text in found)


class Exchange(Section):
    """Instances and reports between the machines of one node, over HTTPS with mutual TLS.

    With a ``port`` this machine serves its spool's instances to the workers of others; its worker
    fetches what others serve. Both sides show ``certificate``; that of the other must be of ``ca``
    and, with ``allowed_names``, carry one of these names.
    """

    certificate: Path
    key: Path
    ca: Path
    allowed_names: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int | None = Field(default=None, ge=1, le=65535)
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9.:_-]+$")
    max_transfers: int = Field(default=4, ge=1, le=64)
    timeout_seconds: float = Field(default=30.0, gt=0)

    @model_validator(mode="after")
    def _others_can_name_it(self) -> "Exchange":
        if self.port is not None and self.name is None and self.host in EVERY_ADDRESS:
            raise ValueError(
                f"host {self.host!r} is no name that others can reach: set name to the one in "
                "the certificate"
            )
        return self

    @property
    def reached_as(self) -> str:
        """The host name or address that other machines connect to."""
        return self.name or self.host

    @property
    def server_tls(self) -> ServerTls:
        """TLS of the side that serves."""
        return ServerTls(
            certificate=self.certificate, key=self.key, ca=self.ca,
            allowed_names=self.allowed_names,
        )  # fmt: skip

    @property
    def client_tls(self) -> ClientTls:
        """TLS of the side that fetches."""
        return ClientTls(ca=self.ca, certificate=self.certificate, key=self.key)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What leaves it more open than it should be."""
        if self.port is None or self.allowed_names or not is_exposed(self.host):
            return ()
        return (
            f"exchange on {self.host}: whoever has a certificate of exchange.ca can fetch images "
            "and hand in reports; set exchange.allowed_names",
        )


class Audit(Section):
    """The audit trail."""

    enabled: bool = True
    folder: Path | None = None
    keep_days: int = Field(default=0, ge=0)


def is_exposed(host: str) -> bool:
    """Whether a host, as a name or an address, is another machine or reachable from one."""
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"
