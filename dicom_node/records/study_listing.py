"""What the node enters in the list of all studies, and takes out of it."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa

from dicom_node.foreign_text import cleaned, legible
from dicom_node.records.database import insert_into, listed_studies, study_deliveries, study_events
from dicom_node.records.listed_studies import SOUGHT, StudyState, sought
from dicom_node.records.study_events import now_ms
from dicom_node.study_facts import StudyHeader

__all__ = [
    "StudyResult",
    "forget_study",
    "list_result",
    "list_state",
    "list_study",
    "list_verdict",
    "study_keys",
]

table = listed_studies

IN_THEIR_LETTERS = frozenset(SOUGHT)
"""What is listed as the header has it, for people look for it and know it by its letters."""


@dataclass(frozen=True)
class StudyResult:
    """What came of an assessment.

    Parameters
    ----------
    assessment
        Its identity.
    folder
        Name of the folder of its report.
    state
        ``reported``, ``refused`` or ``failed``.
    code, reason
        Why it was not reported; empty if it was.
    result, l1_hu, l1_category, stage, osteoporosis, warnings, verdict, reader, read_at
        As in `ListedStudy`.
    """

    assessment: str
    folder: str
    state: StudyState
    code: str = ""
    reason: str = ""
    result: str = ""
    l1_hu: float | None = None
    l1_category: str = ""
    stage: str = ""
    osteoporosis: str = ""
    warnings: tuple[str, ...] = ()
    verdict: str = "none"
    reader: str = ""
    read_at: int | None = None


def list_study(
    connection: sa.Connection,
    study: str,
    header: StudyHeader,
    received: int | None,
    home: str = "",
    *,
    renew: bool = True,
) -> bool:
    """Enter a study in the list, or renew what its headers say.

    Parameters
    ----------
    connection
        To the node's own tables.
    study
        Key of the study in the spool.
    header
        What its headers say; what is empty in it does not replace what is known.
    received
        When its last instance arrived, UTC, ms since the epoch; None where that is not known, and
        for a study that is listed already stays.
    home
        Name of the spool that it lies in.
    renew
        Whether a study that is listed already is renewed.

    Returns
    -------
    bool
        Whether anything was entered or renewed.
    """
    values: dict[str, Any] = {}
    for name in (field.name for field in fields(StudyHeader)):
        listed = legible if name in IN_THEIR_LETTERS else cleaned
        values[name] = listed(getattr(header, name))
    values |= {f"{name}_sought": sought(values[name]) for name in SOUGHT}
    moment = now_ms()
    known = {name: value for name, value in values.items() if value} | {"home": home}
    if received is not None:
        known["received"] = received
    row = {**values, "home": home, "received": moment if received is None else received}
    put = insert_into(connection, table).values(
        study=study, **row, state=str(StudyState.WAITING), changed=moment
    )
    if renew:
        entering = put.on_conflict_do_update(index_elements=["study"], set_=known)
    else:
        entering = put.on_conflict_do_nothing()
    return connection.execute(entering.returning(table.c.study)).first() is not None


def list_state(
    connection: sa.Connection,
    study: str,
    state: StudyState,
    code: str = "",
    reason: str = "",
    *,
    instead_of: Collection[StudyState] = tuple(StudyState),
) -> None:
    """List what is being done with a study; what its last report said stays beside it.

    Parameters
    ----------
    connection
        To the node's own tables.
    study
        Key of the study in the spool.
    state, code, reason
        As in `ListedStudy`.
    instead_of
        A study in another state stays as it is.
    """
    changed = {"state": str(state), "code": code, "reason": reason, "changed": now_ms()}
    ours = sa.and_(table.c.study == study, table.c.state.in_(map(str, instead_of)))
    connection.execute(sa.update(table).where(ours).values(changed))


def list_result(
    connection: sa.Connection, study: str, result: StudyResult, changed: int | None = None
) -> None:
    """List what came of a study's assessment, in place of what was known before.

    Parameters
    ----------
    connection
        To the node's own tables.
    study
        Key of the study in the spool.
    result
        What came of it.
    changed
        When, UTC, ms since the epoch; None for now.
    """
    values = {field.name: getattr(result, field.name) for field in fields(StudyResult)}
    values["state"] = str(result.state)
    values["warnings"] = "".join(f" {code} " for code in result.warnings)
    values["changed"] = now_ms() if changed is None else changed
    connection.execute(sa.update(table).where(table.c.study == study).values(values))


def list_verdict(connection: sa.Connection, study: str, result: StudyResult) -> None:
    """List what a reader said of the report that is listed; of another report it is none.

    Parameters
    ----------
    connection
        To the node's own tables.
    study
        Key of the study in the spool.
    result
        Of the report that was read.
    """
    said = {name: getattr(result, name) for name in ("verdict", "reader", "read_at")}
    ours = sa.and_(table.c.study == study, table.c.folder == result.folder)
    connection.execute(sa.update(table).where(ours).values(**said, changed=now_ms()))


def forget_study(connection: sa.Connection, study: str) -> None:
    """Remove a study from the list, with its deliveries and events."""
    for gone in (study_events, study_deliveries, table):
        connection.execute(sa.delete(gone).where(gone.c.study == study))


def study_keys(connection: sa.Connection, home: str) -> set[str]:
    """The listed studies of a spool, by their keys in it."""
    return set(connection.scalars(sa.select(table.c.study).where(table.c.home == home)))
