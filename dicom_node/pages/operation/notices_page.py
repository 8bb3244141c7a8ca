"""``/work/notices``: what an administrator is told of, who takes it, and a test notice."""

import threading
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from dicom_node.notices.notice_words import title_of
from dicom_node.notices.targets import TrialAnswer, try_targets
from dicom_node.pages.access.gate import gate_of
from dicom_node.pages.access.guard import administrator
from dicom_node.pages.access.visitor import Visitor
from dicom_node.pages.operation.node_status import NodeStatus, node_status
from dicom_node.pages.rendering import page
from dicom_node.settings.node import NodeSettings

__all__ = ["router"]

router = APIRouter()

Administrator = Annotated[Visitor, Depends(administrator)]
Now = Annotated[NodeStatus, Depends(node_status)]

_one_test_at_a_time = threading.Lock()


@router.get("/work/notices")
def notices(request: Request, visitor: Administrator, now: Now) -> Response:
    """Show what is told, and to whom."""
    return _notices(request, now)


@router.post("/work/notices/test")
def send_test_notice(request: Request, visitor: Administrator, now: Now) -> Response:
    """Send a test notice to each target, and show what each answered."""
    settings: NodeSettings = request.app.state.settings
    if settings.notices is None:
        raise HTTPException(404)
    if not _one_test_at_a_time.acquire(blocking=False):
        return page(request, "fault.html", 429, code=429)
    try:
        answers = list(try_targets(settings))
    finally:
        _one_test_at_a_time.release()
    trail = gate_of(request).audited.trail
    for one in answers:
        failure = None if one.taken else one.answer
        trail.acted(visitor.person, "notify", failure=failure, target=one.target)
    return _notices(request, now, answers)


def _notices(request: Request, now: NodeStatus, answers: Sequence[TrialAnswer] = ()) -> Response:
    settings: NodeSettings = request.app.state.settings
    status = now.now().status.notices
    return page(
        request,
        "operation/notices.html",
        chosen=settings.notices,
        told=[title_of(*one.partition(" ")[::2]) for one in status.told],
        targets=status.targets,
        answers=answers,
    )
