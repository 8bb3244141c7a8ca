"""The files of a study's report, to keep."""

from io import BytesIO
from pathlib import Path
from typing import Annotated

import pydicom
import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

from dicom_node.pages.access.gate import gate_of
from dicom_node.pages.access.guard import reader
from dicom_node.pages.access.visitor import Visitor
from dicom_node.pages.database import database
from dicom_node.pages.studies.kept_files import JSON_FILE, listed, report_folder
from dicom_node.reporting.objects.kinds import ObjectKind
from dicom_node.reporting.report_history import PICTURE_FILE, REPORT_FILE

__all__ = ["offered_files", "router"]

router = APIRouter()

PDF_FILE = "report.pdf"

LARGEST_DOWNLOAD_BYTES = 256 << 20

KINDS = {
    JSON_FILE: "application/json",
    "report.txt": "text/plain; charset=utf-8",
    REPORT_FILE: "application/dicom",
    ObjectKind.SEG.file_name: "application/dicom",
    PDF_FILE: "application/pdf",
    PICTURE_FILE: "image/png",
}
"""What is offered, and of what kind it is."""


def offered_files(folder: Path | None) -> tuple[str, ...]:
    """Names of the files that a report's folder holds and that are offered."""
    if folder is None:
        return ()
    return tuple(name for name in KINDS if (folder / _source(name)).is_file())


@router.get("/studies/{study_uid}/files/{name}")
def download(
    request: Request,
    study_uid: str,
    name: str,
    visitor: Annotated[Visitor, Depends(reader)],
    engine: Annotated[sa.Engine, Depends(database)],
) -> Response:
    """Answer with a file of the newest report."""
    row = listed(engine, study_uid)
    folder = report_folder(request.app.state.settings, row)
    if folder is None or name not in KINDS:
        raise HTTPException(404)
    path = folder / _source(name)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    try:
        facts = path.stat()
        if facts.st_size > LARGEST_DOWNLOAD_BYTES:
            raise HTTPException(404)
        if name == PDF_FILE:
            content = _document(path.read_bytes())
            answer = Response(content, media_type=KINDS[name], headers=headers)
        else:  # piece by piece, however slowly it is taken
            answer = FileResponse(path, 200, headers, KINDS[name], stat_result=facts)
    except OSError:
        raise HTTPException(404) from None
    gate_of(request).audited.trail.looked(visitor.person, row.study_uid, name)
    return answer


def _source(name: str) -> str:
    return ObjectKind.PDF.file_name if name == PDF_FILE else name


def _document(content: bytes) -> bytes:
    """The PDF in an Encapsulated PDF of the node."""
    document = pydicom.dcmread(BytesIO(content))
    length = document.get("EncapsulatedDocumentLength", len(document.EncapsulatedDocument))
    return bytes(document.EncapsulatedDocument)[:length]
