"""The pages of a reader's word: the form, what is to be confirmed, and what came of it."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from dicom_node.errors import WorkFailed
from dicom_node.pages.access.gate import gate_of
from dicom_node.pages.access.guard import reader
from dicom_node.pages.access.visitor import Visitor
from dicom_node.pages.database import database
from dicom_node.pages.reading.confirmation import Asked, asked, confirmed, seal_of
from dicom_node.pages.reading.draft import (
    MOST_REASON,
    Draft,
    DraftInvalid,
    draft_of_form,
    draft_of_report,
    said,
)
from dicom_node.pages.reading.shown_report import (
    Hindrance,
    ShownReport,
    is_measured,
    pending_word,
    shown_report,
    was_said,
)
from dicom_node.pages.reading.word_view import groups_of, level_choices, moves_of
from dicom_node.pages.rendering import iso_day, page, text
from dicom_node.pages.studies.kept_files import listed
from dicom_node.pages.studies.slices import ImagesBusy, StudySlices, slices_of
from dicom_node.records.audit import Deed
from dicom_node.records.listed_studies import ListedStudy
from dicom_node.records.reading import Reading, Rejection
from dicom_node.records.study_events import StudyEvent, note_event
from dicom_node.reporting.words.reading_words import reading_words
from dicom_node.settings.node import NodeSettings
from dicom_node.work.readings import reject_report, send_reading
from roi_extraction.correction import MAX_MOVE_MM

__all__ = ["router"]

router = APIRouter()

CHANGE = "change"
"""Value of the button that goes back from the confirmation to the form."""

FIELDS = re.compile(r"word|reason|levels_down|left_out|(right|down)\.[A-Z0-9_.-]{4,12}")
"""Names of the fields that make a draft."""

DEEDS: Mapping[str, Deed] = {"accepted": "accept", "corrected": "correct", "rejected": "reject"}


async def _form(request: Request) -> FormData:
    return await request.form()


Reader = Annotated[Visitor, Depends(reader)]
Engine = Annotated[sa.Engine, Depends(database)]
Form = Annotated[FormData, Depends(_form)]


@router.get("/studies/{study_uid}/reading")
def read(request: Request, study_uid: str, visitor: Reader, engine: Engine) -> Response:
    """Show the report in short with the form of a reader's word."""
    study = listed(engine, study_uid)
    gate_of(request).audited.trail.looked(visitor.person, study_uid, "reading")
    shown = shown_report(_settings(request).reports_dir, study)
    return _form_page(request, engine, study, shown)


@router.post("/studies/{study_uid}/reading/confirm")
def confirm(
    request: Request, study_uid: str, visitor: Reader, engine: Engine, form: Form
) -> Response:
    """Say in words what is to be done, and ask for it; or show the form again."""
    study = listed(engine, study_uid)
    shown = shown_report(_settings(request).reports_dir, study)
    if shown is None or _hindrance(visitor, study, shown, engine):
        return _form_page(request, engine, study, shown, status=409)
    if form.get("report_uid") != shown.uid:
        return _conflict(request, study)
    gate_of(request).audited.trail.looked(visitor.person, study_uid, "reading")
    draft = draft_of_report(shown)
    try:
        draft = draft_of_form(shown, form)
        if form.get("then") == CHANGE:
            return _form_page(request, engine, study, shown, draft)
        word = said(draft, shown, visitor, datetime.now(UTC))
    except DraftInvalid as fault:
        wrong = text(fault.key, most=f"{MAX_MOVE_MM:.0f}", characters=MOST_REASON)
        return _form_page(request, engine, study, shown, draft, wrong, 422)
    content = asked(shown, word).model_dump_json()
    fields = [(name, value) for name, value in form.multi_items() if FIELDS.fullmatch(name)]
    return page(
        request, "reading/confirm.html", study=study, verdict=_verdict(word), word=word,
        words=_words(word), content=content, seal=seal_of(request, content), fields=fields,
        report_uid=shown.uid, change=CHANGE, first=shown.reading,
        moves=moves_of(shown, word) if isinstance(word, Reading) else (),
    )  # fmt: skip


@router.post("/studies/{study_uid}/reading")
def say(request: Request, study_uid: str, visitor: Reader, engine: Engine, form: Form) -> Response:
    """Carry out what was confirmed, once however often it is sent."""
    study = listed(engine, study_uid)
    content, seal = form.get("content"), form.get("seal")
    found = None
    if isinstance(content, str) and isinstance(seal, str):
        found = confirmed(request, content, seal)
    if found is None or found.study != study.study or found.word.reader != visitor.identity.person:
        raise HTTPException(400)
    settings, verdict = _settings(request), _verdict(found.word)
    done = RedirectResponse(f"/studies/{study_uid}?said={verdict}", 303)
    waiting = pending_word(engine, study.study)
    if was_said(settings.reports_dir, study, found.word):
        return done
    deed = DEEDS[verdict]
    trail = gate_of(request).audited.trail
    ours = (visitor.name, _moment(found.word))
    foreign = waiting is not None and (waiting.who, waiting.moment) != ours
    if foreign or not found.still_holds(study):
        trail.acted(visitor.person, deed, study_uid, "reading.outdated")
        return _conflict(request, study, engine)
    if waiting is not None:
        return done
    try:
        work = _carried_out(settings, found)
    except WorkFailed as error:
        trail.acted(visitor.person, deed, study_uid, error.code)
        return page(
            request, "reading/not_done.html", 409, study=study, code=error.code, reason=str(error)
        )
    with engine.begin() as connection:
        note_event(
            connection, study.study, StudyEvent.SAID, work, verdict, visitor.name,
            _moment(found.word),
        )  # fmt: skip
    trail.acted(visitor.person, deed, study_uid, report=found.word.report_uid, work=work)
    return done


def _carried_out(settings: NodeSettings, found: Asked) -> str:
    """Queue a word, and give the id of its work."""
    if found.reading is not None:
        return send_reading(settings, found.assessment, found.reading)
    assert found.rejection is not None
    return reject_report(settings, found.assessment, found.rejection)


def _form_page(
    request: Request,
    engine: sa.Engine,
    study: ListedStudy,
    shown: ShownReport | None,
    draft: Draft | None = None,
    wrong: str = "",
    status: int = 200,
) -> Response:
    visitor: Visitor = request.state.visitor
    values: dict[str, Any] = {
        "study": study,
        "shown": shown,
        "born": iso_day(study.birth_date),
        "hindrance": _hindrance(visitor, study, shown, engine),
        "waiting": pending_word(engine, study.study),
        "wrong": wrong,
        "most_mm": MAX_MOVE_MM,
        "most_reason": MOST_REASON,
        "draft": Draft(),
        "groups": (),
        "choices": (),
        "read_words": "",
        "images_gone": False,
    }
    if shown is not None:
        draft = draft or draft_of_report(shown)
        slices = _slices(_settings(request), study, shown)
        values |= {
            "draft": draft,
            "groups": groups_of(shown, draft, slices),
            "choices": level_choices(shown),
            "read_words": "" if shown.reading is None else reading_words(shown.reading),
            "images_gone": not slices.slices,
        }
    return page(request, "reading/form.html", status, **values)


def _slices(settings: NodeSettings, study: ListedStudy, shown: ShownReport) -> StudySlices:
    """The images; none while too many others are being read, for the form works without."""
    try:
        return slices_of(settings, study, shown.content.model_dump(mode="json"))
    except ImagesBusy:
        return StudySlices()


def _hindrance(
    visitor: Visitor, study: ListedStudy, shown: ShownReport | None, engine: sa.Engine
) -> Hindrance | None:
    """Why the visitor cannot read the report just now; None if they can."""
    if shown is None:
        return Hindrance.NO_REPORT
    if study.verdict == "rejected":
        return Hindrance.REJECTED
    if is_measured(study) or pending_word(engine, study.study) is not None:
        return Hindrance.MEASURED
    return None if visitor.may_verify else Hindrance.NO_PERSON


def _conflict(request: Request, study: ListedStudy, engine: sa.Engine | None = None) -> Response:
    waiting = None if engine is None else pending_word(engine, study.study)
    return page(request, "reading/conflict.html", 409, study=study, waiting=waiting)


def _settings(request: Request) -> NodeSettings:
    settings: NodeSettings = request.app.state.settings
    return settings


def _verdict(word: Reading | Rejection) -> str:
    return "rejected" if isinstance(word, Rejection) else word.verdict


def _moment(word: Reading | Rejection) -> int:
    return round(word.moment.timestamp() * 1000)


def _words(word: Reading | Rejection) -> str:
    return word.reason if isinstance(word, Rejection) else reading_words(word)
