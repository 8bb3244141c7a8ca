"""The pages that say in words why a request has no answer."""

from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from dicom_node.logs import fault_fields, log
from dicom_node.pages.access.gate import address_of, gate_of
from dicom_node.pages.access.guard import (
    SAFE_METHODS,
    FormRefused,
    RoleNeeded,
    SignInNeeded,
)
from dicom_node.pages.access.shield import MACHINE_ADDRESSES, PAGE_HEADERS, BodyTooLarge
from dicom_node.pages.rendering import page

__all__ = ["add_fault_pages", "fault_page"]

SAID = frozenset({400, 403, 404, 405, 413, 422, 429, 500, 503})
"""Statuses that have words of their own in the texts, as ``faults.404``."""


def fault_page(request: Request, status: int, **headers: str) -> Response:
    """The page that says what a status means."""
    shown = status if status in SAID else 400 if status < 500 else 500
    return page(request, "fault.html", status, headers=headers, code=shown)


def add_fault_pages(app: FastAPI) -> None:
    """Let an application answer in words where it cannot answer otherwise."""

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        return fault_page(request, error.status_code, **(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    def misread(request: Request, _error: RequestValidationError) -> Response:
        return fault_page(request, 422)

    @app.exception_handler(BodyTooLarge)
    def too_large(request: Request, _error: BodyTooLarge) -> Response:
        return fault_page(request, 413)

    @app.exception_handler(SignInNeeded)
    def sign_in(request: Request, _error: SignInNeeded) -> Response:
        path = request.scope["path"]
        query = request.scope["query_string"].decode("latin-1")
        target = f"{path}?{query}" if query else path
        shown = request.method in SAFE_METHODS and "hx-request" not in request.headers
        login = "/login" if not shown or target == "/" else f"/login?{urlencode({'to': target})}"
        if "hx-request" in request.headers:
            return Response(status_code=401, headers={"HX-Redirect": login})
        return RedirectResponse(login, 303)

    @app.exception_handler(RoleNeeded)
    def other_role(request: Request, _error: RoleNeeded) -> Response:
        _record(request, "role")
        return fault_page(request, 403)

    @app.exception_handler(FormRefused)
    def foreign_form(request: Request, _error: FormRefused) -> Response:
        _record(request, "form")
        return page(request, "fault.html", 403, code="form")

    @app.exception_handler(SQLAlchemyError)
    def no_database(request: Request, error: SQLAlchemyError) -> Response:
        log().error("database unavailable", **fault_fields(error))
        return fault_page(request, 503)

    @app.exception_handler(Exception)
    def unforeseen(request: Request, error: Exception) -> Response:
        log().error("unforeseen fault", **fault_fields(error))
        # answered outside the shield, which so cannot add its headers
        if request.scope["path"] in MACHINE_ADDRESSES:
            return PlainTextResponse("an unforeseen fault, see the log\n", 500, PAGE_HEADERS)
        return fault_page(request, 500, **PAGE_HEADERS)


def _record(request: Request, reason: str) -> None:
    visitor = getattr(request.state, "visitor", None)
    name = None if visitor is None else visitor.name
    gate_of(request).audited.function_refused(name, address_of(request), reason)
