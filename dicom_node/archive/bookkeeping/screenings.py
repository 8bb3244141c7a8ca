"""Screenings by their names: made, paused, resumed, removed, and what their sources are asked."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from dicom_node.archive.bookkeeping.tables import QUESTION, RUNNER, SCREENING, database_now
from dicom_node.archive.sources import SeriesFilter
from dicom_node.errors import ScreeningInvalid

__all__ = [
    "SILENT_RUNNER_SECONDS",
    "Question",
    "Screening",
    "ScreeningPlan",
    "Screenings",
    "months",
]

SILENT_RUNNER_SECONDS = 40.0
"""A runner whose last sign of life is older, by the database's clock, counts as dead."""

QUESTIONS_AT_ONCE = 1000
"""Rows that one statement inserts."""


class ScreeningPlan(BaseModel):
    """What a screening looks for, where, and what becomes of its reports.

    Parameters
    ----------
    source
        ``folder:PATH``, ``dimse:NAME`` or ``dicomweb:NAME``.
    wanted
        What narrows every question, as a `SeriesFilter`.
    own_columns
        The list's own columns, carried through to the results.
    send_to
        Destination of the reports; None keeps them here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    wanted: SeriesFilter = SeriesFilter()
    own_columns: tuple[str, ...] = ()
    send_to: str | None = None


@dataclass(frozen=True)
class Screening:
    """A screening as it stands in the database."""

    id: int
    name: str
    plan: ScreeningPlan
    paused: bool
    unreadable: int


@dataclass(frozen=True)
class Question:
    """What a source is asked, and the list's own columns of that row."""

    wanted: SeriesFilter
    own: dict[str, str] = field(default_factory=dict)
    id: int = 0


class Screenings:
    """All screenings of a node's database.

    Parameters
    ----------
    database
        As `tables.open_screenings` gives it.
    """

    def __init__(self, database: Engine) -> None:
        self._database = database

    def create(self, name: str, plan: ScreeningPlan, questions: Sequence[Question]) -> Screening:
        """Make a screening; nothing is asked before it is run.

        Raises
        ------
        ScreeningInvalid
            The name is taken.
        """
        try:
            with self._database.begin() as connection:
                made = connection.execute(
                    insert(SCREENING)
                    .values(name=name, plan=plan.model_dump_json(), created=database_now())
                    .returning(SCREENING.c.id)
                ).scalar_one()
                for start in range(0, len(questions), QUESTIONS_AT_ONCE):
                    rows = [
                        {"screening_id": made, "wanted": _text(one.wanted), "own": _json(one.own)}
                        for one in questions[start : start + QUESTIONS_AT_ONCE]
                    ]
                    connection.execute(insert(QUESTION), rows)
        except IntegrityError as error:
            raise ScreeningInvalid(
                f"there is a screening {name} already: run or remove it, or choose another name"
            ) from error
        return self.get(name)

    def get(self, name: str) -> Screening:
        """Find a screening.

        Raises
        ------
        ScreeningInvalid
            None has this name; the message lists those that exist.
        """
        with self._database.begin() as connection:
            row = connection.execute(select(SCREENING).where(SCREENING.c.name == name)).first()
            names = connection.execute(select(SCREENING.c.name).order_by(SCREENING.c.name))
            known = ", ".join(names.scalars())
        if row is None:
            raise ScreeningInvalid(f"no screening is named {name}; found: {known or 'none'}")
        plan = ScreeningPlan.model_validate_json(row.plan)
        return Screening(row.id, row.name, plan, row.paused, row.unreadable)

    def set_paused(self, name: str, paused: bool) -> None:
        """Pause a screening, or let it go on; runners look every second.

        Raises
        ------
        ScreeningInvalid
            As for `get`.
        """
        screening = self.get(name)
        self._set(screening, paused=paused)

    def is_paused(self, screening: Screening) -> bool:
        """Whether a screening is paused now; one that was removed counts as paused."""
        asked = select(SCREENING.c.paused).where(SCREENING.c.id == screening.id)
        with self._database.begin() as connection:
            return connection.execute(asked).scalar() is not False

    def note_unreadable(self, screening: Screening, files: int) -> None:
        """Record how many files of a folder cannot be read as DICOM."""
        self._set(screening, unreadable=files)

    def remove(self, name: str) -> Screening:
        """Remove a screening with all its rows.

        Raises
        ------
        ScreeningInvalid
            As for `get`, or a runner works on it.
        """
        screening = self.get(name)
        alive = select(func.count()).where(
            RUNNER.c.screening_id == screening.id,
            RUNNER.c.beat > database_now() - SILENT_RUNNER_SECONDS,
        )
        with self._database.begin() as connection:
            runners = connection.execute(alive).scalar_one()
            if runners:
                raise ScreeningInvalid(
                    f"{runners} runners work on {name}: stop them first (they count as gone "
                    f"{SILENT_RUNNER_SECONDS:g} s after a kill)"
                )
            # children first, for SQLite checks no foreign keys unless it is asked to
            for table in reversed(SCREENING.metadata.sorted_tables):
                if "screening_id" in table.c:
                    connection.execute(delete(table).where(table.c.screening_id == screening.id))
            connection.execute(delete(SCREENING).where(SCREENING.c.id == screening.id))
        return screening

    def claim_question(self, screening: Screening, runner: str) -> Question | None:
        """Take the next open question; None if all are answered, taken, or wait for their time."""
        alive = select(RUNNER.c.id).where(RUNNER.c.beat > database_now() - SILENT_RUNNER_SECONDS)
        chosen = (
            select(QUESTION.c.id)
            .where(
                QUESTION.c.screening_id == screening.id,
                QUESTION.c.open.is_(True),
                QUESTION.c.next_try <= database_now(),
                or_(QUESTION.c.runner.is_(None), QUESTION.c.runner.not_in(alive)),
            )
            .order_by(QUESTION.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        claim = (
            update(QUESTION)
            .where(QUESTION.c.id == chosen)
            .values(runner=runner)
            .returning(QUESTION.c.id, QUESTION.c.wanted, QUESTION.c.own)
        )
        with self._database.begin() as connection:
            row = connection.execute(claim).first()
        if row is None:
            return None
        return Question(_filter(row.wanted), json.loads(row.own), row.id)

    def answered(self, question: Question) -> None:
        """Record that all series of a question are listed."""
        self._change_question(question, open=False, runner=None)

    def ask_later(self, question: Question, seconds: float) -> None:
        """Give a question back, to be asked again after a pause."""
        self._change_question(question, runner=None, next_try=database_now() + seconds)

    def open_questions(self, screening: Screening) -> int:
        """How many questions are not answered yet."""
        asked = select(func.count()).where(
            QUESTION.c.screening_id == screening.id, QUESTION.c.open.is_(True)
        )
        with self._database.begin() as connection:
            return int(connection.execute(asked).scalar_one())

    def _change_question(self, question: Question, **values: Any) -> None:
        with self._database.begin() as connection:
            connection.execute(update(QUESTION).where(QUESTION.c.id == question.id).values(values))

    def _set(self, screening: Screening, **values: Any) -> None:
        with self._database.begin() as connection:
            changed = update(SCREENING).where(SCREENING.c.id == screening.id).values(values)
            connection.execute(changed)


def months(first: date, last: date) -> list[tuple[date, date]]:
    """Part a range of dates at the ends of months, so that listing goes on where it was stopped.

    >>> [f"{a}..{b}" for a, b in months(date(2024, 1, 30), date(2024, 3, 2))]
    ['2024-01-30..2024-01-31', '2024-02-01..2024-02-29', '2024-03-01..2024-03-02']
    """
    found = []
    while first <= last:
        following = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
        end = min(following - timedelta(days=1), last)
        found.append((first, end))
        first = following
    return found


def _text(wanted: SeriesFilter) -> str:
    return _json({name: value for name, value in asdict(wanted).items() if value is not None})


def _json(values: dict[str, Any]) -> str:
    return json.dumps(values, default=str)


def _filter(text: str) -> SeriesFilter:
    values = json.loads(text)
    if "dates" in values:
        values["dates"] = tuple(map(date.fromisoformat, values["dates"]))
    if "ages_years" in values:
        values["ages_years"] = tuple(values["ages_years"])
    return SeriesFilter(**{"modality": None, **values})
