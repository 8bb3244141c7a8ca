"""The list of studies."""

from collections.abc import Mapping
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request, Response
from starlette.exceptions import HTTPException

from dicom_node.pages.access.gate import gate_of
from dicom_node.pages.access.guard import reader_or_administrator
from dicom_node.pages.access.visitor import Visitor
from dicom_node.pages.database import database
from dicom_node.pages.rendering import iso_day, page
from dicom_node.pages.studies.kept_files import is_uid
from dicom_node.pages.studies.numbers import Numbers, numbers_of
from dicom_node.pages.studies.saved_views import views_of
from dicom_node.pages.studies.study_words import (
    advice_words,
    result_words,
    warning_words,
)
from dicom_node.pages.studies.views import (
    CHOICES,
    OF_PATIENTS,
    VIEWS,
    Asked,
    place_of,
    place_text,
)
from dicom_node.records.listed_studies import ListedStudy, StudyState, studies_page
from dicom_node.records.study_deliveries import DeliveryState, delivery_states

__all__ = ["list_page", "router"]

router = APIRouter()

ROWS = 50
"""Studies on a page."""


@router.get("/studies")
def studies(
    request: Request,
    visitor: Annotated[Visitor, Depends(reader_or_administrator)],
    engine: Annotated[sa.Engine, Depends(database)],
    asked: Annotated[Asked, Depends()],
) -> Response:
    """Show a page of the list."""
    return list_page(request, visitor, engine, asked)


def list_page(
    request: Request,
    visitor: Visitor,
    engine: sa.Engine,
    asked: Asked,
    status: int = 200,
    *,
    refused: str = "",
) -> Response:
    """Answer with a page of the list.

    Parameters
    ----------
    request, visitor, engine
        Of the question.
    asked
        Which studies.
    status, refused
        Of HTTP, and why something was not done that was asked for, in words.
    """
    before, after = place_of(asked.before), place_of(asked.after)
    wanted = asked.wanted(by_patient=visitor.sees_patients)
    found = studies_page(engine, wanted, after if before is None else None, ROWS + 1, before)
    rows = found[:ROWS] if before is None else found[-ROWS:]
    numbers = numbers_of(engine)
    deliveries = delivery_states(engine, {(row.study, row.folder) for row in rows})
    gate_of(request).audited.trail.looked(visitor.person, "", "studies")
    return page(
        request,
        "studies/list.html",
        status,
        refused=refused,
        asked=asked,
        choices=_choices(visitor),
        own_views=_own_views(engine, visitor),
        rows=[_shown(row, deliveries.get(row.study, {})) for row in rows],
        views=_views(visitor, numbers),
        states=[(state, _number(numbers, state=state)) for state in StudyState],
        total=sum(numbers.values()),
        this_page=_page_address(asked, asked.after, asked.before),
        previous=_previous(asked, rows, len(found)),
        following=_following(asked, rows, len(found)),
    )


def _shown(row: ListedStudy, deliveries: Mapping[DeliveryState, int]) -> dict[str, Any]:
    """What a row of the table says beside what is in the list."""
    return {
        "study": row,
        "linked": is_uid(row.study_uid),
        "day": iso_day(row.study_date),
        "scanner": " ".join(part for part in (row.manufacturer, row.model) if part),
        "result": result_words(row),
        "advice": advice_words(row),
        "warnings": [warning_words(code) for code in row.warnings],
        "deliveries": deliveries,
    }


def _choices(visitor: Visitor) -> dict[str, tuple[str, ...]]:
    """The filters that a visitor may choose, and what each can be."""
    if visitor.sees_patients:
        return CHOICES
    return {name: values for name, values in CHOICES.items() if name not in OF_PATIENTS}


def _own_views(engine: sa.Engine, visitor: Visitor) -> list[tuple[str, Asked | None]]:
    """The visitor's saved views; None in place of filters that they may not ask for any more."""
    found: list[tuple[str, Asked | None]] = []
    for view in views_of(engine, visitor.name):
        try:
            asked = Asked.with_filters(view.filters)
            asked.wanted(by_patient=visitor.sees_patients)
            found.append((view.name, asked))
        except HTTPException:
            found.append((view.name, None))
    return found


def _views(visitor: Visitor, numbers: Numbers) -> list[tuple[str, Any]]:
    """The fixed views with the numbers of their studies, where these are known."""
    known = {
        "to_read": _number(numbers, state="reported", verdict="none"),
        "low_unread": _number(numbers, state="reported", verdict="none", category="low"),
    }
    if visitor.sees_patients:
        return [(name, known.get(name)) for name in VIEWS]
    return [(name, None) for name in VIEWS if name not in known]


def _number(numbers: Numbers, state: str, verdict: str = "", category: str = "") -> int:
    return sum(
        number
        for (of_state, of_verdict, of_category), number in numbers.items()
        if of_state == state
        and verdict in ("", of_verdict)
        and category in ("", of_category)
    )  # fmt: skip


def _page_address(asked: Asked, after: str, before: str) -> str:
    return asked.address(after=after, before=before)


def _previous(asked: Asked, rows: tuple[ListedStudy, ...], found: int) -> str | None:
    """Address of the page before; None if there is none."""
    is_behind = asked.after if not asked.before else found > ROWS
    if not is_behind or not rows:
        return None
    return _page_address(asked, "", place_text(rows[0].changed, rows[0].study))


def _following(asked: Asked, rows: tuple[ListedStudy, ...], found: int) -> str | None:
    """Address of the page that follows; None if there is none."""
    if not rows or not (asked.before or found > ROWS):
        return None
    return _page_address(asked, place_text(rows[-1].changed, rows[-1].study), "")
