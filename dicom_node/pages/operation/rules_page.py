"""``/rules``: the acquisition rules as they stand, and what they say of a header or a study."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi.responses import Response

from dicom_node.errors import AssessmentFailed
from dicom_node.pages.access.gate import gate_of
from dicom_node.pages.access.guard import administrator
from dicom_node.pages.access.visitor import Visitor
from dicom_node.pages.database import database
from dicom_node.pages.operation.rule_trial import Judgement
from dicom_node.pages.operation.rule_words import rules_as_they_stand
from dicom_node.pages.operation.rules_pool import ChildrenBusy, rules_pool
from dicom_node.pages.operation.work_page import STUDY_KEY
from dicom_node.pages.rendering import page, text
from dicom_node.records.listed_studies import ListedStudy, StudyFilter, listed_by_key, studies_page
from dicom_node.settings.node import NodeSettings
from dicom_node.spool.spool import Spool

__all__ = ["router"]

router = APIRouter()

Administrator = Annotated[Visitor, Depends(administrator)]
Tables = Annotated[sa.Engine, Depends(database)]

MOST_STUDIES = 50
"""Studies to choose from; others are found by their accession number."""


@router.get("/rules")
def rules(
    request: Request, visitor: Administrator, tables: Tables, accession: str = ""
) -> Response:
    """Show the rules, and what they can be tried with."""
    return _rules(request, tables, accession=accession[:64])


@router.post("/rules/header")
def try_header(
    request: Request, visitor: Administrator, tables: Tables,
    header: Annotated[UploadFile, File()],
) -> Response:  # fmt: skip
    """Let the rules judge one DICOM header."""
    content = header.file.read()
    handle, name = tempfile.mkstemp(suffix=".dcm")
    path = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        return _judged(request, visitor, tables, [path], alone=True, of=text("rules.the_header"))
    finally:
        path.unlink(missing_ok=True)


@router.post("/rules/study")
def try_study(
    request: Request, visitor: Administrator, tables: Tables,
    study: Annotated[str, Form(max_length=64)] = "",
) -> Response:  # fmt: skip
    """Let the rules judge each series of a received study."""
    settings: NodeSettings = request.app.state.settings
    spool = Spool(settings.data_dir)
    arrived = spool.find(study) if STUDY_KEY.fullmatch(study) else None
    if arrived is None:
        return _rules(request, tables, status=404, refused=text("rules.no_images"))
    folders = spool.load(arrived).series
    paths = [path for folder in folders for path in spool.paths(folder.key, folder.names)]
    listed = listed_by_key(tables, [study]).get(study)
    of = text("rules.the_study", study=(listed.accession if listed else "") or study[:12])
    return _judged(request, visitor, tables, paths, alone=False, of=of, listed=listed)


def _judged(
    request: Request, visitor: Visitor, tables: sa.Engine, paths: Sequence[Path], *, alone: bool,
    of: str, listed: ListedStudy | None = None,
) -> Response:  # fmt: skip
    settings: NodeSettings = request.app.state.settings
    failure, found = None, None
    try:
        with rules_pool(settings) as pool:
            found = pool.judge(paths, settings.acquisition, alone=alone)
    except ChildrenBusy:
        return page(request, "fault.html", 429, code=429)
    except AssessmentFailed as error:
        failure = str(error)
    uid = listed.study_uid if listed else ""
    what = "header" if alone else "study"
    gate_of(request).audited.trail.acted(visitor.person, "try", uid, failure, rules=what)
    if found is None:
        return _rules(
            request, tables, status=422, refused=text("rules.child", reason=failure or "")
        )
    if not found.series:
        return _rules(request, tables, status=422, refused=text("rules.unreadable"))
    return _rules(request, tables, found=found, of=of)


def _rules(
    request: Request, tables: sa.Engine, *, status: int = 200, refused: str = "",
    found: Judgement | None = None, of: str = "", accession: str = "",
) -> Response:  # fmt: skip
    settings: NodeSettings = request.app.state.settings
    studies = studies_page(tables, StudyFilter(search=accession), limit=MOST_STUDIES)
    if accession:  # a patient's name or ID is not for an administrator to search by
        wanted = accession.casefold()
        studies = tuple(s for s in studies if s.accession.casefold().startswith(wanted))
    return page(
        request,
        "operation/rules.html",
        status,
        rules=rules_as_they_stand(settings.acquisition),
        acquisition=settings.acquisition,
        refused=refused,
        found=found,
        of=of,
        accession=accession,
        studies=studies,
    )
