"""``/work``: what waits, who works, what failed, what is kept, and what can be done about it."""

import re
import shutil
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from dicom_node.errors import AssessmentFailed, NodeError
from dicom_node.monitoring.status import Status
from dicom_node.pages.access.gate import gate_of
from dicom_node.pages.access.guard import administrator
from dicom_node.pages.access.visitor import Visitor
from dicom_node.pages.database import database
from dicom_node.pages.operation.node_status import NodeStatus, node_status
from dicom_node.pages.operation.removals import NextRemovals, items_of
from dicom_node.pages.operation.rules_pool import ChildrenBusy
from dicom_node.pages.rendering import page, text
from dicom_node.records.listed_studies import ListedStudy, listed_by_key
from dicom_node.settings.node import NodeSettings
from dicom_node.spool.spool import Spool
from dicom_node.work.discarding import Item, discard_items
from dicom_node.work.failed_work import FailedWork, retry

__all__ = ["router"]

router = APIRouter()

Administrator = Annotated[Visitor, Depends(administrator)]
Tables = Annotated[sa.Engine, Depends(database)]
Now = Annotated[NodeStatus, Depends(node_status)]

MOST_FAILED = 200
"""Rows of failed work that are shown; all of it is counted."""

STUDY_KEY = re.compile(r"[0-9a-f]{40}")
"""As `spool_name` makes it: nothing else becomes a path."""

SAID = frozenset({"retried", "discarded"})


@router.get("/work")
def work(
    request: Request, visitor: Administrator, tables: Tables, now: Now, said: str = ""
) -> Response:
    """Show everything."""
    return _work(request, tables, now, said=text(f"work.{said}") if said in SAID else "")


@router.get("/work/now")
def work_now(request: Request, visitor: Administrator, now: Now) -> Response:
    """Give the part of the page that changes by itself."""
    return page(request, "operation/work_now.html", **_changing(request, now))


@router.post("/work/retry")
def retry_one(
    request: Request, visitor: Administrator, tables: Tables, now: Now,
    work: Annotated[str, Form(max_length=500)] = "",
) -> Response:  # fmt: skip
    """Take up one piece of failed work again."""
    named = [failed for failed in now.now().failed if failed.id == work]
    if not named:
        return _work(request, tables, now, 409, refused=text("work.gone"))
    return _retry(request, visitor, tables, now, named)


@router.post("/work/retry-all")
def retry_all(
    request: Request, visitor: Administrator, tables: Tables, now: Now,
    code: Annotated[str, Form(max_length=200)] = "",
) -> Response:  # fmt: skip
    """Take up all failed work again, or all that failed for one reason."""
    failed = [one for one in now.now().failed if code in ("", one.code)]
    return _retry(request, visitor, tables, now, failed)


@router.get("/work/studies/{study}")
def removable(request: Request, visitor: Administrator, tables: Tables, study: str) -> Response:
    """List what of a study may be removed."""
    return _removable(request, tables, _key(study))


@router.post("/work/studies/{study}/discard")
def discard(
    request: Request, visitor: Administrator, tables: Tables, now: Now, study: str,
    item: Annotated[list[str], Form(max_length=1000)] = [],  # noqa: B006
    sure: Annotated[str, Form(max_length=10)] = "",
) -> Response:  # fmt: skip
    """Ask whether some items are to be removed for good, and remove them after a yes."""
    settings: NodeSettings = request.app.state.settings
    key = _key(study)
    found = _items(request, key)
    if isinstance(found, Response):
        return found
    chosen = [one for one in found if one.id in item]
    if not chosen or len(chosen) < len(set(item)):
        refused = text("discard.none" if not item else "discard.changed")
        return _removable(request, tables, key, 409, found, refused=refused)
    if sure != "yes":
        return _removable(request, tables, key, 200, chosen, asked=True)
    trail = gate_of(request).audited.trail
    listed = listed_by_key(tables, [key]).get(key)
    uid = listed.study_uid if listed else ""
    overwrite = settings.retention.overwrite
    spool = Spool(settings.data_dir)
    names = ",".join(one.id for one in chosen)
    try:
        discard_items(spool, trail, tables, key, chosen, overwrite=overwrite, who=visitor.name)
    except OSError as error:
        trail.acted(visitor.person, "discard", uid, type(error).__name__, study=key, items=names)
        refused = text("discard.failed")
        return _removable(request, tables, key, 500, refused=refused)
    trail.acted(visitor.person, "discard", uid, study=key, items=names)
    now.forget()
    return RedirectResponse("/work?said=discarded", 303)


def _retry(
    request: Request, visitor: Visitor, tables: sa.Engine, now: NodeStatus,
    failed: Sequence[FailedWork],
) -> Response:  # fmt: skip
    settings: NodeSettings = request.app.state.settings
    trail = gate_of(request).audited.trail
    listed = listed_by_key(tables, [one.study for one in failed])
    refused = []
    for one in failed:
        uid = listed[one.study].study_uid if one.study in listed else ""
        failure = None
        try:
            retry(settings, one.id, who=visitor.name)
        except NodeError as error:
            failure = str(error)
            refused.append(failure)
        trail.acted(visitor.person, "retry", uid, failure, work=one.id)
    now.forget()
    if refused:
        words = text("work.not_retried", number=len(refused), reason=refused[0])
        return _work(request, tables, now, 409, refused=words)
    return RedirectResponse("/work?said=retried" if failed else "/work", 303)


def _work(
    request: Request, tables: sa.Engine, now: NodeStatus, status: int = 200, *, said: str = "",
    refused: str = "",
) -> Response:  # fmt: skip
    failed = now.now().failed
    shown = failed[:MOST_FAILED]
    codes = sorted({one.code for one in failed})
    removals: NextRemovals = request.app.state.removals
    settings: NodeSettings = request.app.state.settings
    return page(
        request,
        "operation/work.html",
        status,
        said=said,
        refused=refused,
        failed=[(one, round(one.when.timestamp() * 1000)) for one in shown],
        failed_total=len(failed),
        codes=codes if len(codes) > 1 else [],
        listed=listed_by_key(tables, [one.study for one in shown]),
        removals=removals.now(),
        overwrite=settings.retention.overwrite,
        **_changing(request, now),
    )


def _changing(request: Request, now: NodeStatus) -> dict[str, Any]:
    settings: NodeSettings = request.app.state.settings
    moment = now.now()
    folder = (
        settings.data_dir if settings.data_dir.exists() else settings.data_dir.absolute().parent
    )
    return {
        "node": moment.status,
        "read_ms": moment.read_ms,
        "failed_number": len(moment.failed),
        "waits": list(waits_in_words(moment.status, settings)),
        "disk_total": shutil.disk_usage(folder).total if folder.exists() else 0,
        "min_free": settings.listener.min_free_mb * 1024 * 1024,
    }


def waits_in_words(status: Status, settings: NodeSettings) -> Iterator[str]:
    """Say of everything that waits what it waits for.

    Parameters
    ----------
    status, settings
        Of the node.
    """
    if status.arriving:
        seconds = f"{settings.quiet_seconds:g}"
        yield text("waits.arriving", number=status.arriving, seconds=seconds)
    names = {destination.name for destination in settings.destinations}
    silent = any(problem.startswith("worker ") for problem in status.problems)
    for name, queue in status.queues.items():
        if not queue.waiting:
            continue
        kind, _, destination = name.partition("@")[0].partition("-")
        values = {"number": queue.waiting, "destination": destination, "queue": name}
        if silent and not any(worker.state == "alive" for worker in status.workers):
            yield text("waits.worker", **values)
        elif kind == "assess":
            limit = settings.limits.processes
            yield text("waits.assess", **values, running=queue.running, limit=limit)
        elif kind in ("deliver", "commit") and destination not in names:
            yield text("waits.unknown", **values)
        elif kind in ("deliver", "commit"):
            yield text(f"waits.{kind}", **values)
        else:
            yield text("waits.other", **values)


def _key(study: str) -> str:
    if not STUDY_KEY.fullmatch(study):
        raise HTTPException(404)
    return study


def _items(request: Request, key: str) -> list[Item] | Response:
    try:
        return items_of(request.app.state.settings, key)
    except ChildrenBusy:
        return page(request, "fault.html", 429, code=429)
    except AssessmentFailed:
        return page(
            request, "operation/discard.html", 500, study=key, listed=None, items=[], asked=False,
            refused=text("discard.unreadable"),
        )  # fmt: skip


def _removable(
    request: Request, tables: sa.Engine, key: str, status: int = 200,
    items: Sequence[Item] | None = None, *, asked: bool = False, refused: str = "",
) -> Response:  # fmt: skip
    if items is None:
        found = _items(request, key)
        if isinstance(found, Response):
            return found
        items = found
    listed: ListedStudy | None = listed_by_key(tables, [key]).get(key)
    rows = [
        (item, round(item.first.timestamp() * 1000), round(item.last.timestamp() * 1000))
        for item in items
    ]
    return page(
        request, "operation/discard.html", status, study=key, listed=listed, items=rows,
        asked=asked, refused=refused,
    )  # fmt: skip
