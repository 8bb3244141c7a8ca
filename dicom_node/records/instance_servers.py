"""Which machines serve the instances of their spools, and which work waits for one that does not.

Both are tables on PostgreSQL, by the clock of the database.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from dicom_node.records.database import awaited_instances, instance_servers
from dicom_node.records.worker_table import SILENT_SECONDS

__all__ = [
    "Awaited",
    "HeldInstances",
    "InstanceServer",
    "announce_server",
    "forget_wait",
    "held_instances",
    "listed_servers",
    "note_wait",
    "withdraw_server",
]


@dataclass(frozen=True)
class InstanceServer:
    """A machine that serves its instances.

    Parameters
    ----------
    home
        Name of its spool.
    host
        Its name.
    url
        Where it is reached.
    alive
        Whether it gives signs of life.
    """

    home: str
    host: str
    url: str
    alive: bool


@dataclass(frozen=True)
class Awaited:
    """An assessment that waits for the machine with its instances.

    Parameters
    ----------
    work
        Identity of the assessment.
    home
        Name of the spool that holds the instances.
    host
        The machine that has the assessment in hand.
    reason
        Why it waits.
    """

    work: str
    home: str
    host: str
    reason: str


@dataclass(frozen=True)
class HeldInstances:
    """Instances that lie on other machines than the workers that need them.

    Parameters
    ----------
    served
        Names of the spools that are served.
    awaited
        The assessments that wait for one.
    """

    served: frozenset[str] = frozenset()
    awaited: tuple[Awaited, ...] = ()


def announce_server(connection: sa.Connection, home: str, host: str, url: str) -> None:
    """Give a sign of life of a server."""
    put = insert(instance_servers).values(
        home=home, host=host, url=url, beat=sa.func.clock_timestamp()
    )
    renewed = {name: put.excluded[name] for name in ("host", "url", "beat")}
    connection.execute(put.on_conflict_do_update(index_elements=["home"], set_=renewed))


def withdraw_server(connection: sa.Connection, home: str, url: str) -> None:
    """Note that a server ended, unless another one serves the same spool."""
    table = instance_servers
    connection.execute(sa.delete(table).where(table.c.home == home, table.c.url == url))


def listed_servers(connection: sa.Connection) -> dict[str, InstanceServer]:
    """The servers by the names of their spools."""
    table = instance_servers
    silent = sa.extract("epoch", sa.func.clock_timestamp() - table.c.beat)
    rows = connection.execute(sa.select(table, (silent < SILENT_SECONDS).label("alive")))
    return {row.home: InstanceServer(row.home, row.host, row.url, row.alive) for row in rows}


def note_wait(connection: sa.Connection, waits: Awaited) -> None:
    """Note that an assessment waits, and why."""
    put = insert(awaited_instances).values(
        work=waits.work, home=waits.home, host=waits.host, reason=waits.reason
    )
    renewed = {name: put.excluded[name] for name in ("home", "host", "reason")}
    connection.execute(put.on_conflict_do_update(index_elements=["work"], set_=renewed))


def forget_wait(connection: sa.Connection, work: str) -> None:
    """Note that an assessment waits no longer."""
    connection.execute(sa.delete(awaited_instances).where(awaited_instances.c.work == work))


def held_instances(connection: sa.Connection, in_hand: Iterable[str]) -> HeldInstances:
    """Which spools are served, and what waits for one that is not.

    Parameters
    ----------
    connection
        To the database.
    in_hand
        Identities of the work in hand; what is noted of other work is out of date.
    """
    served = {home for home, server in listed_servers(connection).items() if server.alive}
    table = awaited_instances
    rows = connection.execute(sa.select(table).order_by(table.c.work))
    wanted = set(in_hand)
    waits = tuple(
        Awaited(row.work, row.home, row.host, row.reason) for row in rows if row.work in wanted
    )
    return HeldInstances(frozenset(served), waits)
