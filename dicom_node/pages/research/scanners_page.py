"""``/scanners``: whether the HU of a scanner moved, as control charts."""

from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from dicom_node.pages.access.guard import researcher
from dicom_node.pages.access.visitor import Visitor
from dicom_node.pages.database import database
from dicom_node.pages.rendering import page
from dicom_node.pages.research.chart import chart_figure
from dicom_node.pages.research.scanner_charts import (
    ScannerCharts,
    followed_scanners,
    scanner_charts,
)
from modeling.drift.control_chart import MIN_BASELINE
from modeling.drift.drift_files import DRIFT_TABLE, drift_table

__all__ = ["router"]

router = APIRouter()

Researcher = Annotated[Visitor, Depends(researcher)]
Tables = Annotated[sa.Engine, Depends(database)]
AllCharts = Annotated[ScannerCharts, Depends(scanner_charts)]


@router.get("/scanners")
def scanners(
    request: Request, visitor: Researcher, tables: Tables, charts: AllCharts, scanner: str = ""
) -> Response:
    """Show all scanners, and the charts of one."""
    found = followed_scanners(charts.of(tables))
    chosen = [one for one in found if one.id == scanner] if scanner else found[:1]
    if scanner and not chosen:
        raise HTTPException(404)
    figures = [
        (name, chart, chart_figure(chart, one.months))
        for one in chosen
        for name, chart in one.charts.items()
    ]
    return page(
        request,
        "research/scanners.html",
        scanners=found,
        chosen=chosen[0] if chosen else None,
        figures=figures,
        least=MIN_BASELINE,
    )


@router.get("/scanners.csv")
def table(visitor: Researcher, tables: Tables, charts: AllCharts) -> Response:
    """Give all months of all scanners as a table."""
    headers = {"Content-Disposition": f'attachment; filename="{DRIFT_TABLE}"'}
    content = drift_table(charts.of(tables))
    return Response(content, media_type="text/csv; charset=utf-8", headers=headers)
