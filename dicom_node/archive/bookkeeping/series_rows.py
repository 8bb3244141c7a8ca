"""The rows of a screening: each is the work on one series and, in the end, its result."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

from sqlalchemy import Engine, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from dicom_node.archive.bookkeeping.screenings import SILENT_RUNNER_SECONDS, Question, Screening
from dicom_node.archive.bookkeeping.tables import RUNNER, SERIES, database_now
from dicom_node.archive.sources import ListedSeries

__all__ = ["MAX_CLAIMS", "Due", "Outcome", "SeriesRow", "SeriesRows", "Stage"]

MAX_CLAIMS = 20
"""A series that was taken up so often without an end is given up: it may be what ends runners."""

COLUMNS = (
    SERIES.c.id, SERIES.c.listed, SERIES.c.stage, SERIES.c.attempts, SERIES.c.claims,
    SERIES.c.measured, SERIES.c.report,
)  # fmt: skip


class Stage(StrEnum):
    """How far a series came."""

    LISTED = "listed"
    SCREENED = "screened"
    FETCHED = "fetched"
    ASSESSED = "assessed"
    REPORTED = "reported"


class Due(StrEnum):
    """The next step of a series."""

    SCREEN = "screen"
    FETCH = "fetch"
    SEND = "send"


class Outcome(StrEnum):
    """The result of a series.

    ``excluded`` by its header, before pixels moved; ``refused`` by the node's rules; ``reported``
    has values; ``undelivered`` has values, but its destination did not take the report;
    ``incomplete`` and ``failed`` were tried as often as the settings say; ``unknown`` and
    ``ambiguous`` stand for a row of the list that the source has nothing, or two patients, for.
    """

    EXCLUDED = "excluded"
    REFUSED = "refused"
    REPORTED = "reported"
    UNDELIVERED = "undelivered"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    UNKNOWN = "unknown"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True)
class SeriesRow:
    """A series that this runner has in hand."""

    id: int
    series: ListedSeries
    stage: Stage
    attempts: int
    claims: int
    measured: str | None
    report: str | None


class SeriesRows:
    """The rows of one screening, as one runner works on them.

    A row is taken by a single atomic update. One that a dead runner holds is free again as soon as
    that runner's last sign of life is too old; whoever lost a row that way can record nothing in
    it any more.

    Parameters
    ----------
    database
        As `tables.open_screenings` gives it.
    screening
        Whose rows.
    runner
        Id of the runner.
    """

    def __init__(self, database: Engine, screening: Screening, runner: str) -> None:
        self._database = database
        self._screening = screening
        self._runner = runner
        dialects = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
        self._insert: Any = dialects[database.dialect.name]

    def add(self, question: Question, found: Sequence[ListedSeries]) -> None:
        """List series; one that is listed already stays as it is."""
        rows = [
            {
                "screening_id": self._screening.id,
                "question_id": question.id,
                "series_uid": series.series_uid,
                "study_uid": series.study_uid,
                "accession": series.accession,
                "patient_id": series.patient_id,
                "listed": listed_text(series),
                "stage": Stage.LISTED,
                "due": Due.SCREEN,
            }
            for series in found
        ]
        if rows:
            with self._database.begin() as connection:
                connection.execute(self._insert(SERIES).on_conflict_do_nothing(), rows)

    def add_unfound(self, question: Question, outcome: Outcome, code: str, reason: str) -> None:
        """Give a question without series a row with an outcome of its own, once."""
        wanted = question.wanted
        with self._database.begin() as connection:
            same = (SERIES.c.screening_id == self._screening.id) & (
                SERIES.c.question_id == question.id
            )
            connection.execute(delete(SERIES).where(same, SERIES.c.series_uid.is_(None)))
            connection.execute(
                insert(SERIES).values(
                    screening_id=self._screening.id,
                    question_id=question.id,
                    study_uid=wanted.study_uid,
                    accession=wanted.accession,
                    patient_id=wanted.patient_id,
                    stage=Stage.LISTED,
                    outcome=outcome,
                    code=code,
                    reason=reason,
                    ended=database_now(),
                )
            )

    def claim(self, due: Due, limit: int = 1) -> list[SeriesRow]:
        """Take the next rows whose step is due; none if all are taken or wait for their time."""
        alive = select(RUNNER.c.id).where(RUNNER.c.beat > database_now() - SILENT_RUNNER_SECONDS)
        chosen = (
            select(SERIES.c.id)
            .where(
                SERIES.c.screening_id == self._screening.id,
                SERIES.c.due == due,
                SERIES.c.next_try <= database_now(),
                or_(SERIES.c.runner.is_(None), SERIES.c.runner.not_in(alive)),
            )
            .order_by(SERIES.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        claim = (
            update(SERIES)
            .where(SERIES.c.id.in_(chosen))
            .values(runner=self._runner, claims=SERIES.c.claims + 1)
            .returning(*COLUMNS)
        )
        with self._database.begin() as connection:
            rows = connection.execute(claim).all()
        return [_row(row) for row in sorted(rows, key=lambda row: row.id)]

    def record(self, row: SeriesRow, **values: Any) -> bool:
        """Change a row in hand; False, and nothing is changed, if another runner has it now."""
        change = (
            update(SERIES)
            .where(SERIES.c.id == row.id, SERIES.c.runner == self._runner)
            .values(**values, **_ended(values))
        )
        with self._database.begin() as connection:
            return connection.execute(change).rowcount == 1

    def record_all(self, changes: Iterable[tuple[SeriesRow, dict[str, Any]]]) -> None:
        """Change many rows in hand in one transaction and give them back."""
        alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for row, values in changes:
            alike.setdefault(tuple(sorted(values)), []).append({"row_id": row.id, **values})
        with self._database.begin() as connection:
            for names, rows in alike.items():
                values = {name: bindparam(name) for name in names}
                mine = (SERIES.c.id == bindparam("row_id")) & (SERIES.c.runner == self._runner)
                change = update(SERIES).where(mine).values(runner=None, **values, **_ended(names))
                connection.execute(change, rows)

    def advance(self, row: SeriesRow, stage: Stage, due: Due, **values: Any) -> bool:
        """Give a row back for its next step, with the attempts counted anew."""
        fresh = {"attempts": 0, "claims": 0, "next_try": 0.0, "runner": None}
        return self.record(row, stage=stage, due=due, **fresh, **values)

    def end(self, row: SeriesRow, outcome: Outcome, **values: Any) -> bool:
        """Give a row back with its outcome: nothing is due any more."""
        return self.record(row, outcome=outcome, due=None, runner=None, **values)

    def retry(self, row: SeriesRow, seconds: float, code: str, reason: str) -> bool:
        """Give a row back after an attempt that failed, to be taken up again after a pause."""
        return self.record(
            row,
            attempts=SERIES.c.attempts + 1,
            runner=None,
            next_try=database_now() + seconds,
            code=code,
            reason=reason,
        )

    def put_back(self, row: SeriesRow) -> bool:
        """Give a row back as if it had not been taken."""
        return self.record(row, runner=None, claims=SERIES.c.claims - 1)

    def unfinished(self) -> int:
        """How many rows have a step due, taken or not."""
        asked = select(func.count()).where(
            SERIES.c.screening_id == self._screening.id, SERIES.c.due.is_not(None)
        )
        with self._database.begin() as connection:
            return int(connection.execute(asked).scalar_one())


def listed_text(series: ListedSeries, contrast: bool | None = None) -> str:
    """What is known of a series, and whether a contrast agent is stated, as JSON.

    >>> listed_text(ListedSeries("1.2", "1.2.3", kvp=120.0))
    '{"study_uid": "1.2", "series_uid": "1.2.3", "kvp": 120.0}'
    """
    known = {**asdict(series), "contrast": contrast}
    return json.dumps({name: value for name, value in known.items() if value is not None})


def listed_series(text: str) -> ListedSeries:
    """Read what `listed_text` wrote.

    >>> listed_series('{"study_uid": "1.2", "series_uid": "1.2.3", "kvp": 120.0}').kvp
    120.0
    """
    known = {field.name for field in fields(ListedSeries)}
    values = {name: value for name, value in json.loads(text).items() if name in known}
    if "image_type" in values:
        values["image_type"] = tuple(values["image_type"])
    return ListedSeries(**values)


def _ended(names: Iterable[str]) -> dict[str, Any]:
    """The time of a change that gives a row its outcome."""
    return {"ended": database_now()} if "outcome" in names else {}


def _row(row: Any) -> SeriesRow:
    return SeriesRow(
        row.id,
        listed_series(row.listed),
        Stage(row.stage),
        row.attempts,
        row.claims,
        row.measured,
        row.report,
    )
