"""``/studies/views``: a visitor saves the filters of the list under a name, and removes them."""

from typing import Annotated
from urllib.parse import parse_qsl

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from dicom_node.pages.access.guard import reader_or_administrator
from dicom_node.pages.access.visitor import Visitor
from dicom_node.pages.database import database
from dicom_node.pages.rendering import text
from dicom_node.pages.studies.listing import list_page
from dicom_node.pages.studies.saved_views import (
    LONGEST_VIEW_NAME,
    MOST_VIEWS,
    ViewRefused,
    remove_view,
    save_view,
)
from dicom_node.pages.studies.views import Asked

__all__ = ["router"]

router = APIRouter()

Someone = Annotated[Visitor, Depends(reader_or_administrator)]
Tables = Annotated[sa.Engine, Depends(database)]


@router.post("/studies/views")
def save(
    request: Request,
    visitor: Someone,
    engine: Tables,
    name: Annotated[str, Form(max_length=200)] = "",
    filters: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Save filters under a name, and show the view."""
    asked = Asked.with_filters(dict(parse_qsl(filters)))
    asked.wanted(by_patient=visitor.sees_patients)
    try:
        save_view(engine, visitor.name, name, asked.filters)
    except ViewRefused as refused:
        words = text(str(refused), characters=LONGEST_VIEW_NAME, number=MOST_VIEWS)
        return list_page(request, visitor, engine, asked, 409, refused=words)
    return RedirectResponse(asked.address(), 303)


@router.post("/studies/views/remove")
def remove(
    visitor: Someone, engine: Tables, name: Annotated[str, Form(max_length=200)] = ""
) -> Response:
    """Remove a view of one's own."""
    remove_view(engine, visitor.name, name)
    return RedirectResponse("/studies", 303)
