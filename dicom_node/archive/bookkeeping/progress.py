"""How far a screening is: counts, rate, estimate, runners, and what it waits for."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, func, select

from dicom_node.archive.bookkeeping.screenings import SILENT_RUNNER_SECONDS, Screenings
from dicom_node.archive.bookkeeping.series_rows import Due, Stage
from dicom_node.archive.bookkeeping.tables import (
    ARCHIVE_USE,
    QUESTION,
    RUNNER,
    SCREENING,
    SERIES,
    database_now,
)

__all__ = ["Progress", "RunnerState", "progress_text", "read_progress"]

RATE_SECONDS = 3600.0
"""The rate is that of the last hour."""

NO_CODE = "none"


@dataclass(frozen=True)
class RunnerState:
    """A runner: seconds since its last sign of life, and what it waits for, if it does."""

    id: str
    seconds: float
    waiting: str | None


@dataclass(frozen=True)
class Progress:
    """A moment of a screening.

    Parameters
    ----------
    questions, questions_open
        Questions to the source: all, and those not answered yet.
    series
        Series and other rows listed.
    stages
        How many rows came exactly so far.
    due
        How many rows wait for each step, or are in hand.
    outcomes, codes
        How many rows have each outcome, and each code of a reason.
    per_hour
        Rows that got their outcome in the last hour.
    hours_left
        By that rate, once everything is listed; None if it cannot be told.
    waits_for
        Why nothing is begun now; empty if work goes on.
    unreadable
        Files of a folder that are no DICOM.
    """

    name: str
    source: str
    send_to: str | None
    created: str
    paused: bool
    questions: int
    questions_open: int
    series: int
    stages: dict[str, int]
    due: dict[str, int]
    outcomes: dict[str, int]
    codes: dict[str, int]
    per_hour: int
    hours_left: float | None
    runners: tuple[RunnerState, ...]
    waits_for: tuple[str, ...]
    unreadable: int


def read_progress(database: Engine, name: str) -> Progress:
    """Read the state of a screening: under a second at 100,000 series.

    Raises
    ------
    ScreeningInvalid
        There is no such screening.
    """
    screening = Screenings(database).get(name)
    mine = SERIES.c.screening_id == screening.id
    outcomes: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    stages: Counter[str] = Counter()
    with database.begin() as connection:
        now = connection.execute(select(database_now())).scalar_one()
        created = connection.execute(
            select(SCREENING.c.created).where(SCREENING.c.id == screening.id)
        ).scalar_one()
        questions = connection.execute(
            select(QUESTION.c.open, func.count())
            .where(QUESTION.c.screening_id == screening.id)
            .group_by(QUESTION.c.open)
        ).all()
        keys = (SERIES.c.stage, SERIES.c.outcome, SERIES.c.code)
        for stage, outcome, code, count in connection.execute(
            select(*keys, func.count()).where(mine).group_by(*keys)
        ):
            stages[stage] += count
            if outcome is not None:
                outcomes[outcome] += count
                codes[code or NO_CODE] += count
        due = connection.execute(
            select(SERIES.c.due, func.count())
            .where(mine, SERIES.c.due.is_not(None))
            .group_by(SERIES.c.due)
        ).all()
        recent = connection.execute(
            select(func.count(), func.min(SERIES.c.ended)).where(
                mine, SERIES.c.ended > now - RATE_SECONDS
            )
        ).one()
        runners = connection.execute(
            select(RUNNER).where(RUNNER.c.screening_id == screening.id).order_by(RUNNER.c.started)
        ).all()
        archive = connection.execute(
            select(ARCHIVE_USE).where(ARCHIVE_USE.c.archive == screening.plan.source)
        ).first()
    states = tuple(RunnerState(r.id, round(now - r.beat, 1), r.waiting) for r in runners)
    counts: dict[bool, int] = {bool(is_open): number for is_open, number in questions}
    left = sum(number for _, number in due)
    hours = (now - recent[1]) / 3600 if recent[0] else 0.0
    per_hour = round(recent[0] / max(hours, 1 / 60)) if recent[0] else 0
    waits = []
    if screening.paused:
        waits.append("paused: osteonode screen resume goes on")
    alive = [state for state in states if state.seconds < SILENT_RUNNER_SECONDS]
    if not alive and (left or counts.get(True)):
        waits.append("no runner works on it: osteonode screen run starts one")
    if archive is not None and archive.down_since is not None:
        since = datetime.fromtimestamp(archive.down_since).astimezone()
        waits.append(f"down since {since:%Y-%m-%d %H:%M:%S}: {archive.down_reason}")
    waits += sorted({state.waiting for state in alive if state.waiting} - {"paused"})
    return Progress(
        name=screening.name,
        source=screening.plan.source,
        send_to=screening.plan.send_to,
        created=f"{datetime.fromtimestamp(created).astimezone():%Y-%m-%d %H:%M:%S %z}",
        paused=screening.paused,
        questions=sum(counts.values()),
        questions_open=counts.get(True, 0),
        series=sum(stages.values()),
        stages={stage.value: stages[stage] for stage in Stage},
        due={step.value: dict(tuple(row) for row in due).get(step.value, 0) for step in Due},
        outcomes=dict(sorted(outcomes.items())),
        codes=dict(codes.most_common()),
        per_hour=per_hour,
        hours_left=round(left / per_hour, 1) if per_hour and left else None,
        runners=states,
        waits_for=tuple(waits),
        unreadable=screening.unreadable,
    )


def progress_text(found: Progress) -> str:
    """The same for a reader."""
    sends = f"reports go to {found.send_to}" if found.send_to else "reports stay here"
    answered = found.questions - found.questions_open
    open_rows = sum(found.due.values())
    lines = [
        f"{found.name}: {found.source}, {sends}, made {found.created}",
        f"  asked      {answered} of {found.questions} questions answered",
        f"  listed     {found.series} series, {found.series - open_rows} with an outcome",
        f"  to do      {_counted(found.due) or 'nothing'}",
        f"  outcomes   {_counted(found.outcomes) or 'none yet'}",
    ]
    reasons = {code: number for code, number in found.codes.items() if code != NO_CODE}
    if reasons:
        lines.append(f"  reasons    {_counted(reasons)}")
    if found.unreadable:
        lines.append(f"  unreadable {found.unreadable} files are no DICOM")
    if found.per_hour:
        left = "" if found.hours_left is None else f", about {found.hours_left:g} hours left"
        lines.append(f"  rate       {found.per_hour} an hour{left}")
    for runner in found.runners:
        doing = runner.waiting or "works"
        lines.append(f"  runner     {runner.id}: {doing}, seen {runner.seconds:.0f} s ago")
    lines += [f"  waits      {reason}" for reason in found.waits_for]
    return "\n".join(lines)


def _counted(numbers: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in numbers.items() if number)
