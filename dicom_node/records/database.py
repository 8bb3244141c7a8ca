"""The node's own tables in the workflow database, beside those of its engine.

On PostgreSQL they lie in a schema of their own, so that the right to create schemas is all that the
node's user needs.
"""

from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError, SQLAlchemyError

__all__ = [
    "CONNECT_SECONDS",
    "DEAD_PEER_SECONDS",
    "accounts",
    "awaited_instances",
    "delivered_objects",
    "familiar_browsers",
    "followed_studies",
    "has_tables",
    "insert_into",
    "instance_servers",
    "listed_studies",
    "login_failures",
    "make_notice_tables",
    "make_tables",
    "notice_watch",
    "noticed_conditions",
    "open_database",
    "outgoing_notices",
    "outgoing_objects",
    "purged_work",
    "readings",
    "saved_views",
    "sessions",
    "study_deliveries",
    "study_events",
    "workers",
]

SCHEMA = "osteonode"

CONNECT_SECONDS = 5
"""How long a connection to PostgreSQL may take to open."""

DEAD_PEER_SECONDS = 20
"""After so long without an answer on TCP either end of a connection gives the other up."""

KEEPALIVES: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": DEAD_PEER_SECONDS * 1000,
    "options": (
        "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 "
        f"-c tcp_user_timeout={DEAD_PEER_SECONDS * 1000}"
    ),
    "application_name": "osteonode",
}
"""What libpq and the server are told: who is gone is noticed within `DEAD_PEER_SECONDS`."""

TABLES_LOCK = 4_710_260_771
"""Key of the advisory lock under which the tables are made."""

metadata = sa.MetaData()

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("executor_id", sa.Text, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("home", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("started", sa.DateTime(timezone=True), nullable=False),
    sa.Column("beat", sa.DateTime(timezone=True), nullable=False),
    sa.Column("ended", sa.DateTime(timezone=True)),
    sa.Column("taken", sa.DateTime(timezone=True)),
    sa.Column("taken_by", sa.Text),
    sa.Column("recovered", sa.DateTime(timezone=True)),
    sa.Column("taken_over", sa.BigInteger, nullable=False, server_default="0"),
)
"""A row for each start of a worker, by the clock of the database.

``home`` is the spool that it assesses from. ``taken`` fences a dead worker, ``recovered`` says that
its work was handed on; ``taken_over`` counts the work that it took over itself.
"""

instance_servers = sa.Table(
    "instance_servers",
    metadata,
    sa.Column("home", sa.Text, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("beat", sa.DateTime(timezone=True), nullable=False),
)
"""Where the instances of a spool are served to workers of other machines, and the last beat."""

awaited_instances = sa.Table(
    "awaited_instances",
    metadata,
    sa.Column("work", sa.Text, primary_key=True),
    sa.Column("home", sa.Text, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)
"""Assessments in hand on ``host`` that wait for the machine with the spool ``home``, and why."""

outgoing_objects = sa.Table(
    "outgoing_objects",
    metadata,
    sa.Column("study", sa.Text, primary_key=True),
    sa.Column("folder", sa.Text, primary_key=True),
    sa.Column("file", sa.Text, primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("withdrawn_by", sa.Text),
    sa.Column("stored", sa.DateTime(timezone=True), nullable=False),
)
"""The objects that are to be delivered, so that every worker can; gone when that is done."""

delivered_objects = sa.Table(
    "delivered_objects",
    metadata,
    sa.Column("sha256", sa.Text, primary_key=True),
    sa.Column("destination", sa.Text, primary_key=True),
)
"""What destinations got by deliveries of which the records were purged."""

purged_work = sa.Table(
    "purged_work",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("content", sa.Text, nullable=False),
)
"""Counts and durations of the work of which the records were purged, as JSON."""

followed_studies = sa.Table(
    "followed_studies",
    metadata,
    sa.Column("study", sa.Text, primary_key=True),
    sa.Column("study_date", sa.Text, nullable=False),
    sa.Column("manufacturer", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("kernel", sa.Text, nullable=False),
    sa.Column("contrast", sa.Text, nullable=False),
    sa.Column("hu", sa.JSON, nullable=False),
)
"""What was measured on each study, HU, for following its scanner; nothing else of the patient."""

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("password", sa.Text, nullable=False),
    sa.Column("roles", sa.Text, nullable=False),
    sa.Column("person", sa.Text, nullable=False, server_default=""),
    sa.Column("organization", sa.Text, nullable=False, server_default=""),
)
"""Who may sign in with a password, of which only a hash is kept."""

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, index=True),
    sa.Column("roles", sa.Text, nullable=False),
    sa.Column("person", sa.Text, nullable=False),
    sa.Column("organization", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("began", sa.BigInteger, nullable=False),
    sa.Column("used", sa.BigInteger, nullable=False),
)
"""Visitors who are signed in, by the SHA-256 of their token; times in ms since 1970."""

saved_views = sa.Table(
    "saved_views",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("filters", sa.JSON, nullable=False),
)
"""Views of the list of studies that somebody saved: filters by name, no words of a search."""

login_failures = sa.Table(
    "login_failures",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("until", sa.BigInteger, nullable=False),
)
"""Failed tries to sign in by account and by address, and until when (ms) no other is taken."""

familiar_browsers = sa.Table(
    "familiar_browsers",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("used", sa.BigInteger, nullable=False),
)
"""Browsers, by the SHA-256 of their token, in which an account was signed in to, and when last (s
since 1970)."""

BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text that is compared byte by byte, so that a prefix is a range of an index."""


def _text(name: str, kind: sa.types.TypeEngine[str] | None = None) -> "sa.Column[str]":
    return sa.Column(name, kind or sa.Text(), nullable=False, server_default="")


listed_studies = sa.Table(
    "listed_studies",
    metadata,
    sa.Column("study", BYTEWISE, primary_key=True),
    _text("home"),
    _text("study_uid", BYTEWISE),
    _text("accession"),
    _text("patient_id"),
    _text("patient_name"),
    _text("birth_date"),
    _text("sex"),
    _text("study_date"),
    _text("manufacturer"),
    _text("model"),
    _text("kernel"),
    _text("ideographic_name"),
    _text("accession_sought", BYTEWISE),
    _text("patient_id_sought", BYTEWISE),
    _text("patient_name_sought", BYTEWISE),
    _text("ideographic_name_sought", BYTEWISE),
    _text("state"),
    _text("code"),
    _text("reason"),
    _text("assessment"),
    _text("folder"),
    _text("result"),
    sa.Column("l1_hu", sa.Float),
    _text("l1_category"),
    _text("stage"),
    _text("osteoporosis"),
    _text("warnings"),
    sa.Column("received", sa.BigInteger, nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False, server_default="none"),
    _text("reader"),
    sa.Column("read_at", sa.BigInteger),
    sa.Index("listed_studies_uid", "study_uid"),
    sa.Index("listed_studies_accession", "accession_sought"),
    sa.Index("listed_studies_patient_id", "patient_id_sought"),
    sa.Index("listed_studies_patient_name", "patient_name_sought"),
    sa.Index("listed_studies_ideographic_name", "ideographic_name_sought"),
    sa.Index(
        "listed_studies_page",
        *("changed", "study", "state", "verdict", "result", "stage", "osteoporosis"),
        *("study_date", "warnings", "l1_category"),
    ),
)
"""A row a study, for the pages: whose it is and what came of it.

``home`` is the spool that it lies in. The columns that end in ``_sought`` are what a search is
compared with. ``warnings`` has each code between two spaces. The index for a page holds all that
it is filtered by, so that the rows that a filter leaves out are never read. Times are UTC, in ms
since the epoch.
"""

study_deliveries = sa.Table(
    "study_deliveries",
    metadata,
    sa.Column("study", BYTEWISE, primary_key=True),
    sa.Column("folder", sa.Text, primary_key=True),
    sa.Column("file", sa.Text, primary_key=True),
    sa.Column("destination", sa.Text, primary_key=True),
    _text("work"),
    _text("state"),
    _text("code"),
    _text("reason"),
    sa.Column("attempt", sa.BigInteger, nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False),
    sa.Index("study_deliveries_destination", "destination", "state", "study"),
    sa.Index("study_deliveries_state", "state", "study"),
)
"""A row for each object of a study and each destination that is to get it."""

study_events = sa.Table(
    "study_events",
    metadata,
    sa.Column(
        "number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(),
        primary_key=True,
    ),
    sa.Column("study", BYTEWISE, nullable=False),
    sa.Column("moment", sa.BigInteger, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("work", sa.Text, nullable=False),
    _text("detail"),
    _text("who"),
    sa.UniqueConstraint("study", "event", "work"),
)  # fmt: skip
"""What happened with a study, each thing once: a step that is repeated finds its event there."""

readings = sa.Table(
    "readings",
    metadata,
    sa.Column("study", BYTEWISE, primary_key=True),
    sa.Column("work", sa.Text, primary_key=True),
    _text("own"),
    sa.Column("moment", sa.BigInteger, nullable=False),
    _text("verdict"),
    _text("reader"),
    sa.Column("levels_down", sa.Integer, nullable=False),
    _text("scanner"),
    _text("reason"),
    sa.Column("before", sa.JSON, nullable=False),
    sa.Column("after", sa.JSON, nullable=False),
)
"""A row for each word of a reader on a report, with the HU before and after; no patient."""

noticed_conditions = sa.Table(
    "noticed_conditions",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("since", sa.BigInteger),
    sa.Column("gone", sa.BigInteger),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("told", sa.Boolean, nullable=False),
    sa.Column("told_at", sa.BigInteger),
    sa.Column("told_count", sa.BigInteger, nullable=False),
    sa.Column("held", sa.Boolean, nullable=False),
)
"""What an administrator is told of, whether it was, and when; times are UTC, in ms since 1970."""

outgoing_notices = sa.Table(
    "outgoing_notices",
    metadata,
    sa.Column("notice", sa.Text, primary_key=True),
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("moment", sa.BigInteger, nullable=False, index=True),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due", sa.BigInteger, nullable=False),
    sa.Column("ended", sa.BigInteger),
    sa.Column("taken", sa.Boolean, nullable=False),
    _text("reason"),
)
"""Each notice (JSON) for each of its targets: when it is tried next, or when it was taken or given
up; no patient."""

notice_watch = sa.Table(
    "notice_watch",
    metadata,
    sa.Column("place", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("until", sa.BigInteger, nullable=False),
)
"""Which machine looks at what concerns all of them, and until when without another word of it."""


def insert_into(
    connection: sa.Connection, table: sa.Table
) -> postgresql.dml.Insert | sqlite.dml.Insert:
    """An INSERT that can say what is done with a row that is there already."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


def open_database(url: str, *, connections: int = 1, make: bool = False) -> sa.Engine:
    """Open the node's tables in the workflow database.

    Parameters
    ----------
    url
        As `NodeSettings.database`.
    connections
        Most connections to PostgreSQL at a time.
    make
        Whether database and tables are made if they are missing.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = sa.create_engine(parsed, connect_args={"timeout": 30})
    else:
        parsed = parsed.set(drivername="postgresql+psycopg")
        engine = sa.create_engine(
            parsed,
            connect_args=KEEPALIVES,
            pool_size=connections,
            max_overflow=0,
            pool_pre_ping=True,
        ).execution_options(schema_translate_map={None: SCHEMA})
        if make:
            _make_database(engine, parsed)
    if make:
        make_tables(engine)
    return engine


def has_tables(engine: sa.Engine) -> bool:
    """Whether a worker has made the tables."""
    schema = SCHEMA if engine.dialect.name == "postgresql" else None
    return sa.inspect(engine).has_table(purged_work.name, schema=schema)


def make_tables(engine: sa.Engine) -> None:
    """Make the tables that are missing; several workers may do so at once."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(TABLES_LOCK)))
            connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        metadata.create_all(connection)


def make_notice_tables(engine: sa.Engine) -> None:
    """Make the tables of notices alone, in a database of one machine."""
    metadata.create_all(engine, tables=[noticed_conditions, outgoing_notices])


def _make_database(engine: sa.Engine, url: sa.URL) -> None:
    """Make the database if it cannot be entered, as the workflow engine does at its start."""
    try:
        engine.connect().close()
    except OperationalError:
        maintenance = sa.create_engine(url.set(database="postgres"), connect_args=KEEPALIVES)
        with suppress(SQLAlchemyError), maintenance.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            name = maintenance.dialect.identifier_preparer.quote_identifier(str(url.database))
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        maintenance.dispose()
