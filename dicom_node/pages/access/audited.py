"""What visitors do, in the audit trail; of a flood the first ones and their number."""

from collections.abc import Callable

from dicom_node.records.audit import AuditTrail, Peer, Person
from dicom_node.records.security_alerts import SecurityAlerts

__all__ = ["Audited"]

NOBODY = "unknown"
"""Stands for a name without an account: what was typed there may be a password."""


class Audited:
    """Records who came, and what was refused.

    Parameters
    ----------
    trail
        Takes the records.
    """

    def __init__(self, trail: AuditTrail) -> None:
        self.trail = trail
        self._logins = SecurityAlerts(_Refusals(trail.login_refused))
        self._functions = SecurityAlerts(_Refusals(trail.function_refused))

    def login_refused(self, name: str | None, address: str, reason: str) -> None:
        """Record a refused try; ``name`` is None where there is no such account."""
        self._logins.refused(Peer(name or NOBODY, address), reason)

    def function_refused(self, name: str | None, address: str, reason: str) -> None:
        """Record that somebody asked for what is not for them, or by a forged form."""
        self._functions.refused(Peer(name or NOBODY, address), reason)

    def close(self) -> None:
        """Write the numbers of what was not recorded one by one."""
        self._logins.flush(everything=True)
        self._functions.flush(everything=True)


class _Refusals:
    """Refusals of people, counted like those of peers: a peer's title is the person's name."""

    def __init__(self, write: Callable[[Person, str, int], None]) -> None:
        self._write = write

    def refused(self, peer: Peer, reason: str, count: int = 1) -> None:
        self._write(Person(peer.ae_title, peer.address), reason, count)
