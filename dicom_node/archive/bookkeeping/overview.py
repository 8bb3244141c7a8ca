"""All screenings at a glance, and the counts of one for its flow chart."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, func, select

from dicom_node.archive.bookkeeping.screenings import (
    SILENT_RUNNER_SECONDS,
    Screening,
    ScreeningPlan,
)
from dicom_node.archive.bookkeeping.series_rows import Stage
from dicom_node.archive.bookkeeping.tables import (
    QUESTION,
    RUNNER,
    SCREENING,
    SERIES,
    database_now,
)

__all__ = ["ScreeningOverview", "StateCount", "screenings_overview", "state_counts"]


@dataclass(frozen=True)
class ScreeningOverview:
    """A screening at a glance.

    Parameters
    ----------
    name, send_to, paused
        As in `Screening`.
    kind
        What its source is: ``folder``, ``dimse`` or ``dicomweb``.
    archive
        Name of the archive; empty for a folder, whose path is for the administrator.
    created_ms
        UTC, ms since the epoch.
    questions_open
        Questions to the source that are not answered yet.
    runners
        Processes that work on it.
    listed
        Rows.
    outcomes
        Rows by outcome; of rows whose work is not finished there is no entry.
    """

    name: str
    kind: str
    archive: str
    send_to: str | None
    paused: bool
    created_ms: int
    questions_open: int
    runners: int
    listed: int
    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def open(self) -> int:
        """Rows whose work is not finished."""
        return self.listed - self.outcomes.total()

    @property
    def state(self) -> str:
        """``done``, ``paused``, ``runs`` or ``stands``: nothing works on it."""
        if not self.open and not self.questions_open:
            return "done"
        if self.paused:
            return "paused"
        return "runs" if self.runners else "stands"


@dataclass(frozen=True)
class StateCount:
    """Rows of one stage, outcome and code, and the reason of the first of them."""

    stage: Stage
    outcome: str | None
    code: str
    number: int
    reason: str


def screenings_overview(database: Engine) -> list[ScreeningOverview]:
    """All screenings, the newest first.

    Parameters
    ----------
    database
        As `tables.open_screenings` gives it.
    """
    rows_of = select(SERIES.c.screening_id, SERIES.c.outcome, func.count()).group_by(
        SERIES.c.screening_id, SERIES.c.outcome
    )
    open_of = (
        select(QUESTION.c.screening_id, func.count())
        .where(QUESTION.c.open.is_(True))
        .group_by(QUESTION.c.screening_id)
    )
    alive_of = (
        select(RUNNER.c.screening_id, func.count())
        .where(RUNNER.c.beat > database_now() - SILENT_RUNNER_SECONDS)
        .group_by(RUNNER.c.screening_id)
    )
    with database.connect() as connection:
        screenings = connection.execute(select(SCREENING).order_by(SCREENING.c.created.desc()))
        found = list(screenings)
        counts = connection.execute(rows_of).all()
        questions = {row[0]: row[1] for row in connection.execute(open_of)}
        runners = {row[0]: row[1] for row in connection.execute(alive_of)}

    def overview(row: Any) -> ScreeningOverview:
        plan = ScreeningPlan.model_validate_json(row.plan)
        kind, _, rest = plan.source.partition(":")
        mine = [(outcome, number) for one, outcome, number in counts if one == row.id]
        return ScreeningOverview(
            name=row.name,
            kind=kind,
            archive="" if kind == "folder" else rest,
            send_to=plan.send_to,
            paused=row.paused,
            created_ms=round(row.created * 1000),
            questions_open=questions.get(row.id, 0),
            runners=runners.get(row.id, 0),
            listed=sum(number for _, number in mine),
            outcomes=Counter({o: n for o, n in mine if o is not None}),
        )

    return [overview(row) for row in found]


def state_counts(database: Engine, screening: Screening) -> Iterator[StateCount]:
    """Count the rows of a screening: from an index alone, but for the reasons.

    Parameters
    ----------
    database
        As `tables.open_screenings` gives it.
    screening
        Whose rows.
    """
    keys = (SERIES.c.stage, SERIES.c.outcome, SERIES.c.code)
    counted = (
        select(*keys, func.count(), func.min(SERIES.c.id))
        .where(SERIES.c.screening_id == screening.id)
        .group_by(*keys)
    )
    with database.connect() as connection:
        rows = connection.execute(counted).all()
        firsts = [first for *_, first in rows]
        asked = select(SERIES.c.id, SERIES.c.reason).where(SERIES.c.id.in_(firsts))
        reasons = {row[0]: row[1] for row in connection.execute(asked)}
    for stage, outcome, code, number, first in rows:
        reason = reasons.get(first) or ""
        yield StateCount(Stage(stage), outcome, code or "", number, reason)
