"""The pictures of a study: one slice a request."""

from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request, Response
from starlette.exceptions import HTTPException

from dicom_node.pages.access.gate import gate_of
from dicom_node.pages.access.guard import reader
from dicom_node.pages.access.visitor import Visitor
from dicom_node.pages.database import database
from dicom_node.pages.studies.kept_files import checked_uid, listed
from dicom_node.pages.studies.slices import ImagesBusy, NotShown, Window, tile

__all__ = ["router"]

router = APIRouter()

RETRY_SECONDS = "5"


@router.get("/studies/{study_uid}/slices/{sop_instance_uid}.png")
def slice_picture(
    request: Request,
    study_uid: str,
    sop_instance_uid: str,
    visitor: Annotated[Visitor, Depends(reader)],
    engine: Annotated[sa.Engine, Depends(database)],
    window: Window = "bone",
) -> Response:
    """Answer with a slice of the measured series as PNG."""
    row = listed(engine, study_uid)
    try:
        picture = tile(request.app.state.settings, row, checked_uid(sop_instance_uid), window)
    except NotShown:
        raise HTTPException(404) from None
    except ImagesBusy:
        raise HTTPException(503, headers={"Retry-After": RETRY_SECONDS}) from None
    gate_of(request).audited.trail.looked(visitor.person, row.study_uid, "slice")
    return Response(picture, media_type="image/png")
