"""The list of all studies: whose each is, and what came of it.

This table, and no other of the node's own, holds what names a patient. `study_listing` writes it.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from dicom_node.records.database import listed_studies, study_deliveries
from dicom_node.study_facts import StudyHeader

__all__ = [
    "SOUGHT",
    "ListedStudy",
    "StudyFilter",
    "StudyState",
    "counts",
    "listed_by_key",
    "overview",
    "sought",
    "studies_page",
    "study_of",
]

table = listed_studies

MOST_NARROWED = 1000
"""Studies that a search or a state of delivery may lead to for these to be looked at alone; of
more, the newest are found sooner by going through all."""


SOUGHT = ("accession", "patient_id", "patient_name", "ideographic_name")
"""What a study is searched by, beside its Study Instance UID."""

LAST_CHARACTER = "\U0010ffff"
"""No text goes on with it: it ends a range of texts with one beginning."""


class StudyState(StrEnum):
    """What is being done with a study."""

    WAITING = "waiting"
    """It is not complete, or waits for its turn."""
    ASSESSING = "assessing"
    REPORTED = "reported"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True)
class ListedStudy(StudyHeader):
    """A row of the list.

    Parameters
    ----------
    study
        Key of the study in the spool.
    home
        Name of the spool that it lies in; empty where there is one spool.
    state, code, reason
        What is being done with it, and why.
    assessment, folder
        Identity of its newest assessment that ended, and the folder of its report.
    result
        As in ``report.json`` of that folder; empty where there is none.
    l1_hu
        Mean of L1, HU; None where it was not measured.
    l1_category
        ``low``, ``middle`` or ``high``; empty where there is none.
    stage
        A to D; empty where there is none.
    osteoporosis
        As in ``report.json``; empty where there is no stage.
    warnings
        Codes.
    received
        When its last instance arrived, UTC, ms since the epoch.
    changed
        When its state changed last, UTC, ms since the epoch.
    verdict
        ``none``, ``accepted``, ``rejected`` or ``corrected``, on the report in ``folder``.
    reader
        Who gave it; empty for nobody.
    read_at
        When, UTC, ms since the epoch.
    """

    study: str = ""
    home: str = ""
    state: StudyState = StudyState.WAITING
    code: str = ""
    reason: str = ""
    assessment: str = ""
    folder: str = ""
    result: str = ""
    l1_hu: float | None = None
    l1_category: str = ""
    stage: str = ""
    osteoporosis: str = ""
    warnings: tuple[str, ...] = ()
    received: int = 0
    changed: int = 0
    verdict: str = "none"
    reader: str = ""
    read_at: int | None = None


@dataclass(frozen=True)
class StudyFilter:
    """Which studies are wanted: those that fit everything that is given.

    Parameters
    ----------
    state, verdict, result, stage, osteoporosis, l1_category
        As in `ListedStudy`.
    warning
        Code of a warning of the report.
    since, until
        First and last study date, YYYYMMDD.
    destination, delivery
        Name of a destination, and the state of an object for it; each also alone.
    search
        Begins the accession number, the Patient ID, the patient's name in one of its forms, or the
        Study Instance UID, in letters of any case, with or without their accents.
    by_patient
        Whether a search looks at Patient ID and name.
    """

    state: str = ""
    verdict: str = ""
    result: str = ""
    stage: str = ""
    osteoporosis: str = ""
    l1_category: str = ""
    warning: str = ""
    since: str = ""
    until: str = ""
    destination: str = ""
    delivery: str = ""
    search: str = ""
    by_patient: bool = True


def studies_page(
    engine: sa.Engine,
    wanted: StudyFilter,
    after: tuple[int, str] | None = None,
    limit: int = 50,
    before: tuple[int, str] | None = None,
) -> tuple[ListedStudy, ...]:
    """A page of the list, what changed last first.

    Reads the index of the pages alone until the page is full, and as many rows as it gives.

    Parameters
    ----------
    engine
        Of the node's own tables.
    wanted
        Which studies.
    after
        ``changed`` and ``study`` of the last row of the page before; None for the first page.
    limit
        The most rows.
    before
        ``changed`` and ``study`` of the first row of the page behind; None for any other page.
    """
    place = (table.c.changed, table.c.study)
    keys = sa.select(table.c.study).where(*_conditions(wanted))
    if after is not None:
        keys = keys.where(sa.tuple_(*place) < after)
    if before is not None:
        keys = keys.where(sa.tuple_(*place) > before)
    order = [column.desc() if before is None else column.asc() for column in place]
    keys = keys.order_by(*order).limit(limit)
    with engine.connect() as connection:
        for condition, studies in _narrowing(wanted):
            few = connection.scalars(studies.limit(MOST_NARROWED + 1)).all()
            keys = keys.where(table.c.study.in_(few) if len(few) <= MOST_NARROWED else condition)
        found = sa.select(*_columns()).where(table.c.study.in_(connection.scalars(keys).all()))
        rows = connection.execute(found.order_by(*(column.desc() for column in place)))
        return tuple(_listed(row) for row in rows)


def counts(engine: sa.Engine) -> dict[StudyState, int]:
    """How many studies are in each state; of states without any there is no entry."""
    found = sa.select(table.c.state, sa.func.count()).group_by(table.c.state)
    with engine.connect() as connection:
        return {StudyState(state): number for state, number in connection.execute(found)}


def overview(engine: sa.Engine) -> dict[tuple[StudyState, str, str], int]:
    """How many studies there are of each state, verdict and category of L1."""
    columns = (table.c.state, table.c.verdict, table.c.l1_category)
    found = sa.select(*columns, sa.func.count()).group_by(*columns)
    with engine.connect() as connection:
        rows = connection.execute(found)
        return {(StudyState(s), verdict, category): n for s, verdict, category, n in rows}


def study_of(engine: sa.Engine, study_uid: str) -> ListedStudy | None:
    """A study by its Study Instance UID; None if it is not listed."""
    found = sa.select(*_columns()).where(table.c.study_uid == study_uid)
    with engine.connect() as connection:
        row = connection.execute(found.order_by(table.c.changed.desc()).limit(1)).first()
        return None if row is None else _listed(row)


def listed_by_key(engine: sa.Engine, keys: Iterable[str]) -> dict[str, ListedStudy]:
    """Studies by their keys in the spool; those that are not listed are left out."""
    found = sa.select(*_columns()).where(table.c.study.in_(set(keys)))
    with engine.connect() as connection:
        return {row.study: _listed(row) for row in connection.execute(found)}


def sought(text: str) -> str:
    """What a text is searched by: small letters without accents, a name's parts apart by spaces.

    >>> sought("DOE^Jane"), sought("Müller^Zoë")
    ('doe jane', 'muller zoe')
    """
    parts = unicodedata.normalize("NFKD", text.replace("^", " ").casefold())
    return " ".join("".join(c for c in parts if unicodedata.category(c) != "Mn").split())


def _conditions(wanted: StudyFilter) -> list[sa.ColumnElement[bool]]:
    """What the index of the pages can tell."""
    found: list[sa.ColumnElement[bool]] = [
        table.c[name] == value
        for name in ("state", "verdict", "result", "stage", "osteoporosis", "l1_category")
        if (value := getattr(wanted, name))
    ]
    if wanted.warning:
        found.append(table.c.warnings.contains(f" {wanted.warning} ", autoescape=True))
    if wanted.since:
        found.append(table.c.study_date >= wanted.since)
    if wanted.until:
        found.append(sa.and_(table.c.study_date <= wanted.until, table.c.study_date != ""))
    return found


def _narrowing(
    wanted: StudyFilter,
) -> list[tuple[sa.ColumnElement[bool], "sa.Select[tuple[str]]"]]:
    """What other indexes tell: a condition for all studies, and the query of the few it leads to.

    Both are the same studies, which the query may give more than once; the condition is written so
    that it asks for no index that leads through all of them.
    """
    found: list[tuple[sa.ColumnElement[bool], sa.Select[tuple[str]]]] = []
    if beginning := sought(wanted.search):
        named = SOUGHT if wanted.by_patient else ("accession",)
        columns = [*(table.c[f"{name}_sought"] for name in named), table.c.study_uid]
        begins = sa.or_(*(column.startswith(beginning, autoescape=True) for column in columns))
        last = beginning + LAST_CHARACTER
        ranges = sa.or_(*(sa.and_(column >= beginning, column < last) for column in columns))
        found.append((begins, sa.select(table.c.study).where(ranges)))
    if wanted.destination or wanted.delivery:
        sent = study_deliveries.c
        those: list[sa.ColumnElement[bool]] = []
        if wanted.destination:
            those.append(sent.destination == wanted.destination)
        if wanted.delivery:
            those.append(sent.state == wanted.delivery)
        whole = those if wanted.delivery else [sent.destination.concat("") == wanted.destination]
        one = sa.exists().where(sent.study == table.c.study, *whole)
        found.append((one, sa.select(sent.study).where(*those)))
    return found


def _columns() -> list["sa.Column[Any]"]:
    return [table.c[field.name] for field in fields(ListedStudy)]


def _listed(row: "sa.Row[Any]") -> ListedStudy:
    values = row._asdict()
    warnings = tuple(str(values["warnings"]).split())
    return ListedStudy(**{**values, "state": StudyState(row.state), "warnings": warnings})
