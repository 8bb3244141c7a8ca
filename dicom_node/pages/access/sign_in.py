"""The pages for signing in and out, and a visitor's own account."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from dicom_node.pages.access.familiar_browsers import FAMILIAR_SECONDS
from dicom_node.pages.access.gate import address_of, gate_of
from dicom_node.pages.access.guard import anyone
from dicom_node.pages.access.oidc import Issuer, IssuerFailed, Ticket
from dicom_node.pages.access.passwords import Busy, PasswordRefused
from dicom_node.pages.access.proxy import NotFromProxy, proxied_identity
from dicom_node.pages.access.request_origin import local_path
from dicom_node.pages.access.visitor import ROLES, Identity, Visitor
from dicom_node.pages.navigation import first_page
from dicom_node.pages.rendering import page, text

__all__ = ["router"]

router = APIRouter()

TICKET = "osteonode_ticket"
TICKET_SECONDS = 600

BROWSER_COOKIE = "osteonode_browser"

BUSY_SECONDS = 5
"""After so long a try is worth while again where too many passwords were being checked."""

SignedIn = Annotated[Visitor, Depends(anyone)]


@router.get("/login")
def login(request: Request, to: str = "/") -> Response:
    """Show the form, or go to who signs visitors in."""
    gate = gate_of(request)
    target = local_path(to)
    if request.state.visitor is not None:
        return RedirectResponse(_target(request, target, request.state.visitor.identity), 303)
    if gate.web.login == "none":
        return _begin(request, Identity("local", frozenset(ROLES)), target)
    if gate.web.login == "proxy":
        try:
            return _begin(request, proxied_identity(request, gate.web), target)
        except NotFromProxy:
            gate.audited.login_refused(None, address_of(request), "proxy")
            return page(request, "fault.html", 403, code="proxy")
    if gate.issuer is not None and gate.web.login == "oidc":
        return _to_issuer(request, gate.issuer, target)
    return page(request, "login.html", to=target, name="", refusal=None)


@router.post("/login")
def sign_in(
    request: Request,
    name: Annotated[str, Form(max_length=200)] = "",
    password: Annotated[str, Form(max_length=2000)] = "",
    to: Annotated[str, Form(max_length=2000)] = "/",
) -> Response:
    """Sign in by name and password."""
    gate = gate_of(request)
    if gate.web.login != "local":
        return page(request, "fault.html", 404, code=404)
    name, target, address = name.strip().lower(), local_path(to), address_of(request)
    browser = _familiar(request, name)
    wait = gate.lockout.claim(name, address, browser)
    if wait > 0:
        gate.audited.login_refused(_known(request, name), address, "lock-out")
        return _refusal(request, name, target, "login.wait", wait)
    try:
        identity = gate.accounts.with_password(name, password)
    except Busy:
        return _refusal(request, name, target, "login.busy", BUSY_SECONDS)
    if identity is None:
        gate.audited.login_refused(_known(request, name), address, "password")
        return page(request, "login.html", 401, to=target, name=name, refusal=text("login.refused"))
    gate.lockout.forgive(name, address, browser)
    return _remembered(request, name, _begin(request, identity, target))


@router.get("/login/issuer")
def from_issuer(request: Request, state: str = "", code: str = "") -> Response:
    """Take back a visitor whom the issuer signed in."""
    gate = gate_of(request)
    if gate.web.login != "oidc" or gate.issuer is None:
        return page(request, "fault.html", 404, code=404)
    cookie = gate.cookie_named(TICKET)
    try:
        ticket = Ticket.of_cookie(request.cookies.get(cookie, ""))
        answer = _begin(request, gate.issuer.identity(ticket, state, code), ticket.target)
    except IssuerFailed:
        gate.audited.login_refused(None, address_of(request), "issuer")
        answer = page(request, "fault.html", 403, code="issuer")
    answer.delete_cookie(cookie, secure=gate.web.secure, httponly=True, samesite="lax")
    return answer


@router.post("/logout")
def logout(request: Request, visitor: SignedIn) -> Response:
    """End the session."""
    gate = gate_of(request)
    gate.sessions.end(request.cookies[gate.cookie])
    gate.audited.trail.logged_out(visitor.person)
    request.state.visitor = None
    answer = page(request, "goodbye.html")
    answer.delete_cookie(gate.cookie, secure=gate.web.secure, httponly=True)
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'
    return answer


@router.get("/")
def start(request: Request, visitor: SignedIn) -> Response:
    """Go to the visitor's first page."""
    return RedirectResponse(first_page(request.app, visitor), 303)


@router.get("/account")
def account(request: Request, visitor: SignedIn) -> Response:
    """Show who the visitor is and where they are signed in."""
    return _account(request, visitor)


@router.post("/account/sessions")
def end_others(request: Request, visitor: SignedIn) -> Response:
    """End the visitor's other sessions."""
    gate = gate_of(request)
    ended = gate.sessions.end_all(visitor.name, but=request.cookies[gate.cookie])
    return _account(request, visitor, said=text("account.ended", number=ended))


@router.post("/account/password")
def change_password(
    request: Request,
    visitor: SignedIn,
    old: Annotated[str, Form(max_length=2000)] = "",
    new: Annotated[str, Form(max_length=2000)] = "",
    again: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    """Change the visitor's own password, which ends all their sessions and begins a new one."""
    gate = gate_of(request)
    if gate.web.login != "local":
        return page(request, "fault.html", 404, code=404)
    browser = _familiar(request, visitor.name)
    wait = gate.lockout.claim(visitor.name, visitor.address, browser)
    if wait > 0:
        said = text("login.wait", seconds=_whole(wait))
        return _account(request, visitor, refused=said, status=429)
    try:
        if gate.accounts.with_password(visitor.name, old) is None:
            gate.audited.login_refused(visitor.name, visitor.address, "password")
            return _account(request, visitor, refused=text("account.old_refused"), status=400)
        gate.lockout.forgive(visitor.name, visitor.address, browser)
        if new != again:
            return _account(request, visitor, refused=text("account.differ"), status=400)
        gate.accounts.set_password(visitor.name, new)
    except Busy:
        said = text("login.busy", seconds=BUSY_SECONDS)
        return _account(request, visitor, refused=said, status=429)
    except PasswordRefused as error:
        return _account(request, visitor, refused=text(error.key), status=400)
    gate.audited.trail.account_changed(visitor.name, "password", visitor.person)
    return _remembered(request, visitor.name, _begin(request, visitor.identity, "/account"))


def _account(
    request: Request, visitor: Visitor, *, said: str = "", refused: str = "", status: int = 200
) -> Response:
    gate = gate_of(request)
    current = gate.sessions.of(request.cookies[gate.cookie], in_use=False)
    return page(
        request,
        "account.html",
        status,
        sessions=gate.sessions.of_name(visitor.name),
        current=None if current is None else current.digest,
        local=gate.web.login == "local",
        said=said,
        refused=refused,
    )


def _begin(request: Request, identity: Identity, target: str) -> Response:
    """Begin a session under a new token, whatever cookie the browser came with."""
    gate = gate_of(request)
    if old := request.cookies.get(gate.cookie):
        gate.sessions.end(old)
    token = gate.sessions.begin(identity, address_of(request))
    visitor = Visitor(identity, address_of(request), "")
    gate.audited.trail.logged_in(visitor.person)
    answer = RedirectResponse(_target(request, target, identity), 303)
    answer.set_cookie(
        gate.cookie,
        token,
        path="/",
        secure=gate.web.secure,
        httponly=True,
        samesite="strict" if gate.web.login == "local" else "lax",
    )
    return answer


def _familiar(request: Request, name: str) -> str:
    """The token of the visitor's browser if it is familiar to an account, else nothing."""
    gate = gate_of(request)
    token = request.cookies.get(gate.cookie_named(BROWSER_COOKIE), "")
    return token if token and gate.browsers.knows(token, name) else ""


def _remembered(request: Request, name: str, answer: Response) -> Response:
    """Make the visitor's browser familiar to an account."""
    gate = gate_of(request)
    cookie = gate.cookie_named(BROWSER_COOKIE)
    token = gate.browsers.remember(request.cookies.get(cookie, ""), name)
    answer.set_cookie(
        cookie,
        token,
        max_age=FAMILIAR_SECONDS,
        path="/",
        secure=gate.web.secure,
        httponly=True,
        samesite="strict",
    )
    return answer


def _to_issuer(request: Request, issuer: Issuer, target: str) -> Response:
    gate = gate_of(request)
    ticket = Ticket.new(target)
    try:
        answer = RedirectResponse(issuer.address(ticket), 303)
    except IssuerFailed:
        return page(request, "fault.html", 503, code="issuer_silent")
    answer.set_cookie(
        gate.cookie_named(TICKET),
        ticket.cookie(),
        max_age=TICKET_SECONDS,
        path="/",
        secure=gate.web.secure,
        httponly=True,
        samesite="lax",
    )
    return answer


def _target(request: Request, target: str, identity: Identity) -> str:
    if target != "/":
        return target
    return first_page(request.app, Visitor(identity, "", ""))


def _refusal(request: Request, name: str, target: str, key: str, wait: float) -> Response:
    seconds = _whole(wait)
    return page(
        request,
        "login.html",
        429,
        headers={"Retry-After": str(seconds)},
        to=target,
        name=name,
        refusal=text(key, seconds=seconds),
    )


def _known(request: Request, name: str) -> str | None:
    """The name if there is such an account: what was typed otherwise is told to nobody."""
    return name if gate_of(request).accounts.of(name) is not None else None


def _whole(seconds: float) -> int:
    return int(seconds) + 1
