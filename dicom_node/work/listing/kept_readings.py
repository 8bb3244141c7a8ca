"""What readers said of reports, for figures of agreement; it stays when the reports go.

A row has the key of the study in the spool and nothing else of a patient.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import sqlalchemy as sa

from dicom_node.records.database import insert_into, readings

__all__ = ["KeptReading", "keep_reading", "kept_readings", "words_kept"]


@dataclass(frozen=True)
class KeptReading:
    """A reader's word, with what was measured before and after it.

    Parameters
    ----------
    study
        Key of the study in the spool.
    work
        Identity of the word: the folder of the reader's report, or that of the rejection.
    own
        Folder of the program's own report that was read, be it through another reader's version.
    moment
        When it was said, UTC, ms since the epoch.
    verdict
        ``accepted``, ``corrected`` or ``rejected``.
    reader
        As in DICOM: family name^given name.
    levels_down
        How many levels lower the reader names every level.
    scanner
        Manufacturer, model and kernel in words.
    reason
        Of a rejection; else empty.
    before, after
        HU by site: of the program's own report, and of the reader's; a missing site has none.
    """

    study: str
    work: str
    own: str
    moment: int
    verdict: str
    reader: str
    levels_down: int = 0
    scanner: str = ""
    reason: str = ""
    before: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)


def keep_reading(connection: sa.Connection, kept: KeptReading) -> None:
    """Keep a reader's word; the same word again changes nothing.

    Parameters
    ----------
    connection
        To the node's own tables.
    kept
        The word.
    """
    row = {**vars(kept), "before": dict(kept.before), "after": dict(kept.after)}
    connection.execute(insert_into(connection, readings).values(row).on_conflict_do_nothing())


def words_kept(engine: sa.Engine) -> int:
    """How many words were kept; they only become more."""
    with engine.connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(readings)) or 0


def kept_readings(engine: sa.Engine, *, corrections: bool = False) -> tuple[KeptReading, ...]:
    """All words that were kept, the first one first.

    Parameters
    ----------
    engine
        Of the node's own tables.
    corrections
        Whether only those of corrections have their HU, which takes a fifth of the time.
    """
    found: list[sa.ColumnElement[Any]] = [readings.c[f.name] for f in fields(KeptReading)]
    if corrections:
        nothing = sa.literal({}, sa.JSON)
        is_correction = readings.c.verdict == "corrected"
        for place, column in enumerate(fields(KeptReading)):
            if column.name in ("before", "after"):
                values = sa.case((is_correction, found[place]), else_=nothing)
                found[place] = values.label(column.name)
    with engine.connect() as connection:
        rows = connection.execute(sa.select(*found).order_by(readings.c.moment, readings.c.work))
        return tuple(KeptReading(**row._mapping) for row in rows)
