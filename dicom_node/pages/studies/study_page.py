"""The page of a study."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import quote

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from dicom_node.errors import WorkFailed
from dicom_node.pages.access.gate import gate_of
from dicom_node.pages.access.guard import reader_or_administrator
from dicom_node.pages.access.visitor import Visitor
from dicom_node.pages.database import database
from dicom_node.pages.rendering import iso_day, page
from dicom_node.pages.studies.curve import change_lines, curve, l1_points
from dicom_node.pages.studies.downloads import offered_files
from dicom_node.pages.studies.kept_files import listed, report_folder, report_of
from dicom_node.pages.studies.picture import picture
from dicom_node.pages.studies.site_table import muscle_rows, vertebra_rows
from dicom_node.pages.studies.slices import (
    WINDOWS_HU,
    ImagesBusy,
    StudySlices,
    Window,
    slices_of,
)
from dicom_node.pages.studies.study_words import advice_words, result_words
from dicom_node.records.listed_studies import ListedStudy
from dicom_node.records.study_deliveries import DeliveryState, StudyDelivery, deliveries_of
from dicom_node.records.study_events import events_of
from dicom_node.reporting.objects.kinds import NotAnalysed, ObjectKind
from dicom_node.reporting.report_history import PICTURE_FILE, REPORT_FILE
from dicom_node.settings.node import NodeSettings
from dicom_node.work.failed_work import retry

__all__ = ["router"]

router = APIRouter()

KNOWN_FILES = frozenset(
    (REPORT_FILE, *(entry.file_name for kinds in (ObjectKind, NotAnalysed) for entry in kinds))
)
"""Files that are sent and have a name in the texts."""

Said = Literal["", "retried", "not_retried", "accepted", "corrected", "rejected"]
"""What the visitor did just now: with a delivery, or as a reader with the report."""


@router.get("/studies/{study_uid}")
def study_page(
    request: Request,
    study_uid: str,
    visitor: Annotated[Visitor, Depends(reader_or_administrator)],
    engine: Annotated[sa.Engine, Depends(database)],
    number: Annotated[int | None, Query(alias="slice", ge=1, le=100_000)] = None,
    window: Window = "bone",
    said: Said = "",
) -> Response:
    """Show a study; its patient and what was measured only to those who may see patients."""
    row = listed(engine, study_uid)
    settings: NodeSettings = request.app.state.settings
    gate_of(request).audited.trail.looked(visitor.person, row.study_uid, "study")
    measured = None
    if visitor.sees_patients:
        measured = _measured(engine, settings, row, number)
    return page(
        request,
        "studies/study.html",
        study=row,
        row={"advice": advice_words(row)},
        day=iso_day(row.study_date),
        born=iso_day(row.birth_date),
        deliveries=deliveries_of(engine, row.study),
        events=events_of(engine, row.study),
        window=window,
        windows=tuple(WINDOWS_HU),
        said=said,
        known_files=KNOWN_FILES,
        measured=measured,
    )


@router.post("/studies/{study_uid}/retry")
def try_again(
    request: Request,
    study_uid: str,
    visitor: Annotated[Visitor, Depends(reader_or_administrator)],
    engine: Annotated[sa.Engine, Depends(database)],
    work: Annotated[str, Form(max_length=1000)],
) -> Response:
    """Take up a delivery again that failed."""
    row = listed(engine, study_uid)
    failed = _failed(deliveries_of(engine, row.study), work)
    said, failure = "retried", None
    try:
        retry(request.app.state.settings, failed.work, who=visitor.name)
    except WorkFailed as error:
        said, failure = "not_retried", error.code
    gate_of(request).audited.trail.acted(
        visitor.person, "retry", row.study_uid, failure, destination=failed.destination
    )
    return RedirectResponse(f"/studies/{row.study_uid}?said={said}#deliveries", 303)


def _failed(deliveries: tuple[StudyDelivery, ...], work: str) -> StudyDelivery:
    for delivery in deliveries:
        if delivery.work == work and delivery.state is DeliveryState.FAILED:
            return delivery
    raise HTTPException(404)


def _measured(
    engine: sa.Engine, settings: NodeSettings, row: ListedStudy, number: int | None
) -> dict[str, Any]:
    """What those see who may see patients."""
    report: Mapping[str, Any] = report_of(settings, row) or {}
    try:
        slices = slices_of(settings, row, report) if report else StudySlices()
    except ImagesBusy:
        slices = StudySlices()
    files = offered_files(report_folder(settings, row))
    points = l1_points(engine, row, report)
    return {
        "report": report,
        "result": result_words(row),
        "picture": picture(slices, report, number) if report else None,
        "still": PICTURE_FILE in files,
        "vertebrae": () if report.get("refused") else vertebra_rows(report),
        "muscles": () if report.get("refused") else muscle_rows(report),
        "points": points,
        "curve": curve(points, report),
        "changes": change_lines(report),
        "files": files,
        "viewer": _viewer_address(settings, row),
    }


def _viewer_address(settings: NodeSettings, row: ListedStudy) -> str | None:
    """Where the hospital's viewer shows the study; None if the settings do not say."""
    template = None if settings.web is None else settings.web.viewer_url
    if template is None:
        return None
    places = ("study_uid", "accession", "patient_id")
    return template.format(**{name: quote(getattr(row, name), safe="") for name in places})
