"""The tables of screenings in the node's database, and the time by which all runners go."""

from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from dicom_node.errors import OperationalError
from dicom_node.records.database import metadata, open_database

__all__ = [
    "ARCHIVE_SHARE",
    "ARCHIVE_USE",
    "QUESTION",
    "RUNNER",
    "SCREENING",
    "SERIES",
    "database_now",
    "open_screenings",
]

CONNECTIONS = 6
"""Most connections of one runner to PostgreSQL at a time."""

SCREENING = Table(
    "screening",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("plan", Text, nullable=False),
    Column("paused", Boolean, nullable=False, default=False),
    Column("created", Float, nullable=False),
    Column("unreadable", Integer, nullable=False, default=0),
)
"""A screening; ``plan`` is a `ScreeningPlan` as JSON, ``unreadable`` counts files of a folder."""

QUESTION = Table(
    "screening_question",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("screening_id", ForeignKey("screening.id", ondelete="CASCADE"), nullable=False),
    Column("wanted", Text, nullable=False),
    Column("own", Text, nullable=False, default="{}"),
    Column("open", Boolean, nullable=False, default=True),
    Column("next_try", Float, nullable=False, default=0.0),
    Column("runner", String(128)),
    Index("screening_question_open", "screening_id", "open", "id"),
)
"""What the source is asked: a row of the list, a month, or everything; ``own`` are the list's own
columns of that row."""

SERIES = Table(
    "screened_series",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("screening_id", ForeignKey("screening.id", ondelete="CASCADE"), nullable=False),
    Column("question_id", ForeignKey("screening_question.id", ondelete="CASCADE")),
    Column("series_uid", String(64)),
    Column("study_uid", String(64)),
    Column("accession", Text),
    Column("patient_id", Text),
    Column("listed", Text, nullable=False, default="{}"),
    Column("stage", String(16), nullable=False, default="listed"),
    Column("due", String(16)),
    Column("outcome", String(16)),
    Column("code", String(64)),
    Column("reason", Text),
    Column("measured", Text),
    Column("report", Text),
    Column("attempts", Integer, nullable=False, default=0),
    Column("claims", Integer, nullable=False, default=0),
    Column("next_try", Float, nullable=False, default=0.0),
    Column("runner", String(128)),
    Column("ended", Float),
    UniqueConstraint("screening_id", "series_uid"),
    Index("screened_series_due", "screening_id", "due", "id"),
    Index("screened_series_counts", "screening_id", "stage", "outcome", "code"),
    Index("screened_series_ended", "screening_id", "ended"),
)
"""A row a series: the work on it while ``due`` names the next step, and then its result.

``listed`` is what is known of its header and ``measured`` what was measured, as JSON; ``report``
says where its report lies and what of it may be sent. A row that a source knows nothing for has no
``series_uid``.
"""

RUNNER = Table(
    "screening_runner",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("screening_id", ForeignKey("screening.id", ondelete="CASCADE"), nullable=False),
    Column("started", Float, nullable=False),
    Column("beat", Float, nullable=False),
    Column("waiting", Text),
)
"""Who works on a screening; ``waiting`` says what for, if it stands still."""

ARCHIVE_USE = Table(
    "screening_archive",
    metadata,
    Column("archive", Text, primary_key=True),
    Column("day", String(10), nullable=False, default=""),
    Column("fetched", Integer, nullable=False, default=0),
    Column("next_at", Float, nullable=False, default=0.0),
    Column("down_since", Float),
    Column("down_reason", Text),
)
"""How much was asked of an archive today, by all screenings and runners, and whether it answers."""


ARCHIVE_SHARE = Table(
    "screening_archive_share",
    metadata,
    Column("runner", String(128), primary_key=True),
    Column("archive", Text, nullable=False),
    Column("connections", Integer, nullable=False),
)
"""How many connections to an archive a runner may have, or still has."""


class database_now(FunctionElement[float]):  # noqa: N801
    """Seconds since the epoch by the database's clock, the one clock that all runners share."""

    type = Float()
    inherit_cache = True
    """It has no arguments: SQLAlchemy compiles it once."""


@compiles(database_now, "sqlite")
def _sqlite_now(_element: Any, _compiler: Any, **_keywords: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_now, "postgresql")
def _postgresql_now(_element: Any, _compiler: Any, **_keywords: Any) -> str:
    return "extract(epoch from clock_timestamp())::float8"


def open_screenings(url: str) -> Engine:
    """Open the node's database with the tables of screenings; those that are missing are made.

    Parameters
    ----------
    url
        SQLAlchemy URL, of SQLite or PostgreSQL.

    Raises
    ------
    OperationalError
        It cannot be opened.
    """
    try:
        return open_database(url, connections=CONNECTIONS, make=True)
    except SQLAlchemyError as error:  # its text may hold what the URL holds
        raise OperationalError(
            f"the database cannot be opened ({type(error).__name__}): see that it runs and exists"
        ) from error
