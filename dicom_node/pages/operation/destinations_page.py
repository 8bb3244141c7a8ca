"""``/destinations``: where reports go, what came of it, and whether each answers."""

import threading
import time
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from dicom_node.errors import NodeError
from dicom_node.pages.access.gate import gate_of
from dicom_node.pages.access.guard import administrator
from dicom_node.pages.access.visitor import Visitor
from dicom_node.pages.database import database
from dicom_node.pages.operation.destination_results import destination_results
from dicom_node.pages.rendering import page, text
from dicom_node.sending.delivery import echo
from dicom_node.settings.node import NodeSettings

__all__ = ["router"]

router = APIRouter()

Administrator = Annotated[Visitor, Depends(administrator)]
Tables = Annotated[sa.Engine, Depends(database)]

ECHO_SECONDS = 10.0
"""Longest wait for each answer of a peer; a destination's own limit counts if it is shorter."""

_one_at_a_time = threading.Lock()


@router.get("/destinations")
def destinations(request: Request, visitor: Administrator, tables: Tables) -> Response:
    """Show all destinations."""
    return _destinations(request, tables)


@router.post("/destinations/{name}/echo")
def send_echo(request: Request, visitor: Administrator, tables: Tables, name: str) -> Response:
    """Ask a destination by C-ECHO whether it answers."""
    settings: NodeSettings = request.app.state.settings
    found = [one for one in settings.destinations if one.name == name]
    if not found:
        raise HTTPException(404)
    if not _one_at_a_time.acquire(blocking=False):
        return page(request, "fault.html", 429, code=429)
    destination = found[0]
    seconds = min(destination.timeout_seconds, ECHO_SECONDS)
    failure = None
    began = time.monotonic()
    try:
        limited = destination.model_copy(update={"timeout_seconds": seconds})
        echo(limited, settings.listener.ae_title)
    except (NodeError, OSError) as error:
        failure = str(error)
    finally:
        _one_at_a_time.release()
    trail = gate_of(request).audited.trail
    trail.acted(visitor.person, "echo", failure=failure, destination=name)
    taken = f"{time.monotonic() - began:.1f}"
    if failure is None:
        words = text("destinations.answered", name=name, seconds=taken)
    else:
        words = text("destinations.silent", name=name, seconds=taken, reason=failure)
    return _destinations(request, tables, words, answered=failure is None)


def _destinations(
    request: Request, tables: sa.Engine, words: str = "", *, answered: bool = True
) -> Response:
    settings: NodeSettings = request.app.state.settings
    names = [destination.name for destination in settings.destinations]
    return page(
        request,
        "operation/destinations.html",
        destinations=settings.destinations,
        results=destination_results(tables, names),
        words=words,
        answered=answered,
    )
