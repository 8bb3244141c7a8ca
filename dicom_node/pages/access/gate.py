"""All that access needs, in one place, as the application holds it."""

from fastapi import Request

from dicom_node.pages.access.accounts import Accounts
from dicom_node.pages.access.audited import Audited
from dicom_node.pages.access.familiar_browsers import FamiliarBrowsers
from dicom_node.pages.access.lockout import Lockout
from dicom_node.pages.access.oidc import Issuer
from dicom_node.pages.access.passwords import Passwords
from dicom_node.pages.access.proxy import NotFromProxy, proxied_identity
from dicom_node.pages.access.sessions import Sessions, form_token
from dicom_node.pages.access.visitor import Identity, Visitor
from dicom_node.pages.database import NodeDatabase
from dicom_node.settings.web import Web

__all__ = ["Gate", "gate_of"]

MS_PER_MINUTE = 60_000
MS_PER_HOUR = 3_600_000


class Gate:
    """Who may come in.

    Parameters
    ----------
    web
        The settings of the pages.
    database
        Holds accounts, sessions and failed tries.
    audited
        Records who came and what was refused.
    passwords
        Hashes and checks.
    """

    def __init__(
        self, web: Web, database: NodeDatabase, audited: Audited, passwords: Passwords
    ) -> None:
        self.web = web
        self.audited = audited
        self.issuer = None if web.oidc is None else Issuer(web.oidc, str(web.public_url))
        self._database = database
        self._passwords = passwords

    @property
    def accounts(self) -> Accounts:
        """The node's own accounts."""
        return Accounts(self._database.engine, self._passwords)

    @property
    def sessions(self) -> Sessions:
        """Who is signed in."""
        return Sessions(
            self._database.engine,
            int(self.web.idle_minutes * MS_PER_MINUTE),
            int(self.web.session_hours * MS_PER_HOUR),
        )

    @property
    def lockout(self) -> Lockout:
        """Who must wait."""
        return Lockout(self._database.engine)

    @property
    def browsers(self) -> FamiliarBrowsers:
        """Which browsers are familiar to which accounts."""
        return FamiliarBrowsers(self._database.engine)

    @property
    def cookie(self) -> str:
        """Name of the cookie with the session's token; browsers hold ``__Host-`` to its host."""
        return self.cookie_named("osteonode_session")

    def cookie_named(self, name: str) -> str:
        """A cookie's name, with the prefix that needs TLS where there is TLS."""
        return f"__Host-{name}" if self.web.secure else name

    def visitor(self, request: Request) -> Visitor | None:
        """Who sent a request; None if they are not signed in.

        A page that refreshes itself does not lengthen a session. Behind a proxy a session ends
        where the proxy names somebody else or other roles.
        """
        token = request.cookies.get(self.cookie, "")
        refreshes = request.method == "GET" and "hx-request" in request.headers
        session = self.sessions.of(token, in_use=not refreshes) if token else None
        if session is None:
            return None
        if self.web.login == "proxy" and session.identity != self._proxied(request):
            return None
        return Visitor(session.identity, address_of(request), form_token(token))

    def _proxied(self, request: Request) -> Identity | None:
        try:
            return proxied_identity(request, self.web)
        except NotFromProxy:
            return None


def address_of(request: Request) -> str:
    """The visitor's address, without a port."""
    return str(request.scope["osteonode.address"])


def gate_of(request: Request) -> Gate:
    """The gate of the application that answers a request."""
    gate: Gate = request.app.state.gate
    return gate
