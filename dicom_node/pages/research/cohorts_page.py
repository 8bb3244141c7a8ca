"""``/cohorts``: the screenings of archives, how far each is, and their results."""

from collections import Counter
from typing import Annotated
from urllib.parse import quote

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from dicom_node.archive.bookkeeping.overview import screenings_overview, state_counts
from dicom_node.archive.bookkeeping.progress import read_progress
from dicom_node.archive.bookkeeping.screenings import Screening, Screenings
from dicom_node.archive.bookkeeping.series_rows import Outcome, Stage
from dicom_node.archive.results.flow import flow_of
from dicom_node.archive.results.rows import OPEN
from dicom_node.archive.results.writing import SUMMARY_FILE
from dicom_node.errors import ScreeningInvalid
from dicom_node.pages.access.gate import gate_of
from dicom_node.pages.access.guard import researcher
from dicom_node.pages.access.visitor import Visitor
from dicom_node.pages.database import database
from dicom_node.pages.rendering import page, text
from dicom_node.pages.research.cohort_results import (
    MEDIA_TYPES,
    ResultsBusy,
    file_of,
    result_files,
    write_files,
)
from dicom_node.settings.node import NodeSettings

__all__ = ["router"]

router = APIRouter()

Researcher = Annotated[Visitor, Depends(researcher)]
Tables = Annotated[sa.Engine, Depends(database)]

SUMMARY_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
)
"""Of the summary page, which is one file with its own style and pictures and needs no script."""

SAID = frozenset({"paused", "resumed", "written"})


@router.get("/cohorts")
def cohorts(request: Request, visitor: Researcher, tables: Tables) -> Response:
    """List all screenings."""
    return page(request, "research/cohorts.html", screenings=screenings_overview(tables))


@router.get("/cohorts/{name}")
def cohort(
    request: Request, visitor: Researcher, tables: Tables, name: str, said: str = ""
) -> Response:
    """Show one screening."""
    words = text(f"cohorts.{said}") if said in SAID else ""
    return _cohort(request, tables, _screening(tables, name), said=words)


@router.post("/cohorts/{name}/pause")
def pause(request: Request, visitor: Researcher, tables: Tables, name: str) -> Response:
    """Begin no further series."""
    return _set_paused(request, visitor, tables, name, paused=True)


@router.post("/cohorts/{name}/resume")
def resume(request: Request, visitor: Researcher, tables: Tables, name: str) -> Response:
    """Go on after a pause."""
    return _set_paused(request, visitor, tables, name, paused=False)


@router.post("/cohorts/{name}/results")
def write(request: Request, visitor: Researcher, tables: Tables, name: str) -> Response:
    """Write the results as they are now."""
    screening = _screening(tables, name)
    try:
        write_files(request.app.state.settings, tables, screening.name)
    except ScreeningInvalid:
        raise HTTPException(404) from None
    except ResultsBusy:
        return _cohort(request, tables, screening, 409, refused=text("cohorts.busy"))
    trail = gate_of(request).audited.trail
    trail.acted(visitor.person, "results", screening=screening.name)
    return RedirectResponse(f"{_address(screening)}?said=written", 303)


@router.get("/cohorts/{name}/results/{file}")
def result(request: Request, visitor: Researcher, tables: Tables, name: str, file: str) -> Response:
    """Give one of the written files."""
    screening = _screening(tables, name)
    path = file_of(request.app.state.settings, screening.name, file)
    if path is None:
        raise HTTPException(404)
    trail = gate_of(request).audited.trail
    trail.acted(visitor.person, "results", screening=screening.name, file=file)
    if file == SUMMARY_FILE:
        headers = {"Content-Security-Policy": SUMMARY_POLICY}
        return FileResponse(path, media_type=MEDIA_TYPES[file], headers=headers)
    return FileResponse(path, media_type=MEDIA_TYPES[file], filename=f"{screening.name}-{file}")


def _set_paused(
    request: Request, visitor: Visitor, tables: sa.Engine, name: str, *, paused: bool
) -> Response:
    screening = _screening(tables, name)
    Screenings(tables).set_paused(screening.name, paused)
    trail = gate_of(request).audited.trail
    trail.acted(visitor.person, "pause" if paused else "resume", screening=screening.name)
    said = "paused" if paused else "resumed"
    return RedirectResponse(f"{_address(screening)}?said={said}", 303)


def _screening(tables: sa.Engine, name: str) -> Screening:
    try:
        return Screenings(tables).get(name)
    except ScreeningInvalid:
        raise HTTPException(404) from None


def _address(screening: Screening) -> str:
    return f"/cohorts/{quote(screening.name, safe='')}"


def _cohort(
    request: Request, tables: sa.Engine, screening: Screening, status: int = 200, *,
    said: str = "", refused: str = "",
) -> Response:  # fmt: skip
    settings: NodeSettings = request.app.state.settings
    rows = list(state_counts(tables, screening))
    states: Counter[tuple[str, Stage]] = Counter()
    codes: Counter[tuple[str, str]] = Counter()
    reasons: dict[tuple[str, str], str] = {}
    for row in rows:
        states[row.outcome or OPEN, row.stage] += row.number
        if row.outcome not in (None, Outcome.REPORTED):
            codes[str(row.outcome), row.code] += row.number
            reasons.setdefault((str(row.outcome), row.code), row.reason)
    flow = flow_of(states, codes, sends=screening.plan.send_to is not None)
    return page(
        request,
        "research/cohort.html",
        status,
        said=said,
        refused=refused,
        progress=read_progress(tables, screening.name),
        kind=screening.plan.source.partition(":")[0],
        flow=flow,
        most=max((step.count for step in flow), default=0) or 1,
        reasons=[(*key, reasons[key], number) for key, number in codes.most_common()],
        rows=states.total(),
        files=result_files(settings, screening.name),
        summary_file=SUMMARY_FILE,
    )
