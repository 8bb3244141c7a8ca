"""The page of agreement between program and readers, and the same as CSV."""

import csv
import io
from collections.abc import Iterator
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from dicom_node.pages.access.guard import reader_or_administrator
from dicom_node.pages.access.visitor import Visitor
from dicom_node.pages.database import database
from dicom_node.pages.reading.agreement_figures import VERDICTS, Agreement, agreement_of
from dicom_node.pages.rendering import page
from dicom_node.reporting.words.site_words import site_words
from dicom_node.work.listing.kept_readings import kept_readings, words_kept

__all__ = ["router"]

router = APIRouter()

COLUMNS = ("figure", "group", "value", "low", "high", "n")

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Begin what a spreadsheet takes for a formula."""

Looker = Annotated[Visitor, Depends(reader_or_administrator)]
Engine = Annotated[sa.Engine, Depends(database)]

Line = tuple[str, str, float | int | None, float | None, float | None, int]


@router.get("/agreement")
def agreement(request: Request, visitor: Looker, engine: Engine) -> Response:
    """Show how often readers accept what was measured, and by how much they correct it."""
    figures = _figures(request, engine)
    return page(
        request, "reading/agreement.html", figures=figures, names=_sees_names(visitor),
        site_words=site_words,
    )  # fmt: skip


@router.get("/agreement.csv")
def agreement_csv(request: Request, visitor: Looker, engine: Engine) -> Response:
    """The same figures, one a line."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    figures = _figures(request, engine)
    for line in _lines(figures, names=_sees_names(visitor)):
        writer.writerow(["" if cell is None else _cell(cell) for cell in line])
    return Response(
        text.getvalue(),
        media_type="text/csv",
        headers={"Content-Disposition": 'attachment; filename="agreement.csv"'},
    )


def _figures(request: Request, engine: sa.Engine) -> Agreement:
    """The figures, which are reckoned again only once there is another word."""
    number = words_kept(engine)
    known: tuple[int, Agreement] | None = getattr(request.app.state, "agreement", None)
    if known is None or known[0] != number:
        known = number, agreement_of(kept_readings(engine, corrections=True))
        request.app.state.agreement = known
    return known[1]


def _sees_names(visitor: Visitor) -> bool:
    return "administrator" in visitor.roles


def _lines(figures: Agreement, *, names: bool) -> Iterator[Line]:
    yield "words", "", figures.words, None, None, figures.words
    yield "reports", "", figures.reports, None, None, figures.reports
    yield "readers", "", figures.readers, None, None, figures.words
    groups = {"month": figures.by_month, "scanner": figures.by_scanner}
    if names:
        groups["reader"] = figures.by_reader
    for kind, verdicts in groups.items():
        for entry in verdicts:
            for verdict in VERDICTS:
                number = getattr(entry, verdict)
                yield f"{verdict} by {kind}", entry.name, number, None, None, entry.number
    if (levels := figures.levels) is not None:
        yield "level errors", "", levels.value, levels.low, levels.high, figures.levels_read
    for site in figures.differences:
        yield "HU difference", site.site, site.bias_hu, site.low_hu, site.high_hu, site.n
    for reason, number in figures.reasons:
        yield "reason of rejection", reason, number, None, None, figures.words


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    return f"{value:.4g}"
