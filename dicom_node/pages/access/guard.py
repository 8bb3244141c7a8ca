"""What every page asks of a request: who is it, with what role, from our own form.

``visitor: Annotated[Visitor, Depends(reader)]`` in a page's function; every page needs one.
"""

import hmac

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from dicom_node.pages.access.gate import gate_of
from dicom_node.pages.access.request_origin import is_from_our_pages
from dicom_node.pages.access.shield import MACHINE_ADDRESSES
from dicom_node.pages.access.visitor import Visitor
from dicom_node.pages.rendering import FORM_TOKEN
from dicom_node.settings.web import Role

__all__ = [
    "OPEN_PATHS",
    "FormRefused",
    "RoleGuard",
    "RoleNeeded",
    "SignInNeeded",
    "administrator",
    "anyone",
    "enter",
    "reader",
    "reader_or_administrator",
    "researcher",
]

OPEN_PATHS = MACHINE_ADDRESSES | {"/login", "/login/issuer"}
"""What may be asked for without being signed in, beside the files of ``/static``."""

SAFE_METHODS = frozenset({"GET", "HEAD"})


class SignInNeeded(Exception):
    """The visitor is not signed in, or no longer."""


class RoleNeeded(Exception):
    """The visitor has none of the roles that a page is for."""


class FormRefused(Exception):
    """A request that changes something does not come from a form of this session."""


async def enter(request: Request) -> None:
    """Stand before every route: find the visitor, and hold that a change comes from our form.

    Raises
    ------
    SignInNeeded, FormRefused
        See there.
    """
    gate = gate_of(request)
    changes = request.method not in SAFE_METHODS
    if changes and not is_from_our_pages(request.headers, gate.web.public_url):
        raise FormRefused
    if request.scope["path"] in MACHINE_ADDRESSES:
        return
    visitor = await run_in_threadpool(gate.visitor, request)
    request.state.visitor = visitor
    if request.scope["path"] in OPEN_PATHS:
        return
    if visitor is None:
        raise SignInNeeded
    if changes and not await _has_token(request, visitor.csrf):
        raise FormRefused


class RoleGuard:
    """Gives a page its visitor, who must have one of some roles.

    Parameters
    ----------
    roles
        Any of them will do.
    """

    def __init__(self, *roles: Role) -> None:
        self.roles = frozenset(roles)

    def __call__(self, request: Request, _entered: None = Depends(enter)) -> Visitor:
        """Give the visitor.

        Raises
        ------
        RoleNeeded
            They have none of the roles.
        """
        visitor: Visitor = request.state.visitor
        if not self.roles & visitor.roles:
            raise RoleNeeded
        return visitor


def anyone(request: Request, _entered: None = Depends(enter)) -> Visitor:
    """Give a page its visitor, of whatever role."""
    visitor: Visitor = request.state.visitor
    return visitor


reader = RoleGuard("reader")
researcher = RoleGuard("researcher", "administrator")
administrator = RoleGuard("administrator")
reader_or_administrator = RoleGuard("reader", "administrator")


async def _has_token(request: Request, expected: str) -> bool:
    given = request.headers.get("x-csrf-token")
    if given is None:
        found = (await request.form()).get(FORM_TOKEN)
        given = found if isinstance(found, str) else ""
    return hmac.compare_digest(given.encode(), expected.encode())
