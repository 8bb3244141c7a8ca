"""What became of the objects for each destination."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from dicom_node.records.database import study_deliveries
from dicom_node.records.study_deliveries import DeliveryState

__all__ = ["DestinationResults", "destination_results"]

TAKEN = (DeliveryState.DELIVERED, DeliveryState.COMMITTED)
ON_THE_WAY = (DeliveryState.WAITING, DeliveryState.SENDING, DeliveryState.RETRYING)
MISSED = (DeliveryState.RETRYING, DeliveryState.FAILED)


@dataclass(frozen=True)
class DestinationResults:
    """The objects for one destination.

    Parameters
    ----------
    numbers
        Objects by state.
    taken_ms
        When it took one last, UTC, ms since the epoch; None for never.
    missed_ms, code, reason
        When it did not take one last that it has not taken since, and why.
    """

    numbers: dict[str, int] = field(default_factory=dict)
    taken_ms: int | None = None
    missed_ms: int | None = None
    code: str = ""
    reason: str = ""

    @property
    def waiting(self) -> int:
        """Objects on their way."""
        return sum(self.numbers.get(state, 0) for state in ON_THE_WAY)

    @property
    def taken(self) -> int:
        """Objects that it took."""
        return sum(self.numbers.get(state, 0) for state in TAKEN)

    @property
    def failed(self) -> int:
        """Objects that failed for good."""
        return self.numbers.get(DeliveryState.FAILED, 0)


def destination_results(engine: sa.Engine, names: Sequence[str]) -> dict[str, DestinationResults]:
    """Read the results of some destinations, by their names.

    Parameters
    ----------
    engine
        Of the node's own tables.
    names
        Of the destinations.
    """
    table = study_deliveries
    number, last = sa.func.count(), sa.func.max(table.c.changed)
    counted = (
        sa.select(table.c.destination, table.c.state, number, last)
        .where(table.c.destination.in_(names))
        .group_by(table.c.destination, table.c.state)
    )
    found: dict[str, DestinationResults] = {}
    with engine.connect() as connection:
        rows = connection.execute(counted).all()
        for name in names:
            mine = {state: (count, when) for where, state, count, when in rows if where == name}
            taken = [mine[state][1] for state in TAKEN if state in mine]
            missed = (
                sa.select(table.c.changed, table.c.code, table.c.reason)
                .where(table.c.destination == name, table.c.state.in_(MISSED))
                .order_by(table.c.changed.desc())
                .limit(1)
            )
            miss = connection.execute(missed).first()
            found[name] = DestinationResults(
                {state: count for state, (count, _) in mine.items()},
                max(taken, default=None),
                *(miss or ()),
            )
    return found
