"""Signing in at an OpenID Connect issuer: authorization code flow with PKCE, state and nonce."""

import base64
import hmac
import json
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Any

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwk, jwt
from joserfc.errors import JoseError

from dicom_node.pages.access.visitor import Identity, roles_named
from dicom_node.settings.web import Oidc

__all__ = ["CALLBACK", "Issuer", "IssuerFailed", "Ticket"]

CALLBACK = "/login/issuer"

ISSUER_SECONDS = 10.0
"""For each answer of the issuer."""

KNOWN_SECONDS = 3600.0
"""How long the issuer's addresses and keys are kept."""

LEEWAY_SECONDS = 60
"""By which the issuer's clock and ours may differ."""

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
"""Signatures by a key of the issuer's; none that the client secret would make."""

LONGEST_NAME = 128


class IssuerFailed(Exception):
    """The issuer did not answer, refused, or said something that cannot be believed."""


@dataclass(frozen=True)
class Ticket:
    """What a browser keeps while its visitor is at the issuer."""

    state: str
    nonce: str
    verifier: str
    target: str

    @classmethod
    def new(cls, target: str) -> "Ticket":
        """A ticket for one try to sign in, and where to go afterwards."""
        state, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(3))
        return cls(state, nonce, verifier, target)

    def cookie(self) -> str:
        """The ticket as a cookie."""
        content = json.dumps([self.state, self.nonce, self.verifier, self.target])
        return base64.urlsafe_b64encode(content.encode()).decode()

    @classmethod
    def of_cookie(cls, cookie: str) -> "Ticket":
        """The ticket of a cookie.

        Raises
        ------
        IssuerFailed
            It is none.
        """
        try:
            state, nonce, verifier, target = json.loads(base64.urlsafe_b64decode(cookie))
            return cls(str(state), str(nonce), str(verifier), str(target))
        except ValueError:
            raise IssuerFailed("the try to sign in was not begun in this browser") from None


class Issuer:
    """An issuer by its settings.

    Parameters
    ----------
    oidc
        Its address, and what it calls us and our roles.
    public_url
        Our address, as browsers see it.
    """

    def __init__(self, oidc: Oidc, public_url: str) -> None:
        self._oidc = oidc
        self._redirect = public_url + CALLBACK
        self._verify: bool | str = True if oidc.ca is None else str(oidc.ca)
        self._known: tuple[float, dict[str, Any], jwk.KeySet] | None = None
        self._lock = threading.Lock()

    def address(self, ticket: Ticket) -> str:
        """Where the visitor signs in.

        Raises
        ------
        IssuerFailed
            The issuer cannot be asked.
        """
        about, _ = self._about()
        with self._session() as session:
            address, _ = session.create_authorization_url(
                about["authorization_endpoint"],
                state=ticket.state,
                nonce=ticket.nonce,
                code_verifier=ticket.verifier,
            )
        return str(address)

    def identity(self, ticket: Ticket, state: str, code: str) -> Identity:
        """Who comes back with a code.

        Raises
        ------
        IssuerFailed
            The code is not of this ticket, or the issuer's word on it cannot be believed.
        """
        if not hmac.compare_digest(state.encode(), ticket.state.encode()):
            raise IssuerFailed("the answer belongs to another try to sign in")
        about, keys = self._about()
        try:
            with self._session() as session:
                token = session.fetch_token(
                    about["token_endpoint"],
                    code=code,
                    code_verifier=ticket.verifier,
                    timeout=ISSUER_SECONDS,
                    allow_redirects=False,
                )
        except (AuthlibBaseError, requests.RequestException, ValueError) as error:
            raise IssuerFailed("the issuer did not take the code") from error
        return self._identity(self._claims(str(token.get("id_token", "")), keys, ticket.nonce))

    def _claims(self, id_token: str, keys: jwk.KeySet, nonce: str) -> dict[str, Any]:
        """The claims of an ID token that is the issuer's, ours, of now and of this ticket
        (OpenID Connect Core 1.0, section 3.1.3.7).
        """
        rules = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self._oidc.issuer},
            aud={"essential": True, "value": self._oidc.client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            claims = jwt.decode(id_token, keys, algorithms=ALGORITHMS).claims
            rules.validate(claims)
        except (JoseError, ValueError) as error:
            raise IssuerFailed("the issuer's token is not valid") from error
        audience = claims["aud"]
        several = isinstance(audience, list) and len(audience) > 1
        if (several or "azp" in claims) and claims.get("azp") != self._oidc.client_id:
            raise IssuerFailed("the issuer's token is for somebody else")
        return claims

    def _identity(self, claims: dict[str, Any]) -> Identity:
        name = claims.get(self._oidc.name_claim)
        if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= LONGEST_NAME:
            raise IssuerFailed(f"the issuer's token has no claim {self._oidc.name_claim}")
        stated: Any = claims
        for part in self._oidc.roles_claim.split("."):
            stated = stated.get(part) if isinstance(stated, dict) else None
        names = stated.split() if isinstance(stated, str) else stated
        if not isinstance(names, list | dict):
            names = ()
        roles = roles_named((str(role) for role in names), self._oidc.roles)
        return Identity(name, roles, _person(claims))

    def _about(self) -> tuple[dict[str, Any], jwk.KeySet]:
        """What the issuer says of itself, and its keys."""
        with self._lock:
            if self._known is None or time.monotonic() - self._known[0] > KNOWN_SECONDS:
                about = self._fetched(f"{self._oidc.issuer}/.well-known/openid-configuration")
                if str(about.get("issuer", "")).rstrip("/") != self._oidc.issuer:
                    raise IssuerFailed("the issuer calls itself by another address")
                try:
                    keys = jwk.KeySet.import_key_set(self._fetched(about["jwks_uri"]))  # type: ignore[arg-type]
                except (JoseError, KeyError, ValueError) as error:
                    raise IssuerFailed("the issuer has no keys") from error
                self._known = (time.monotonic(), about, keys)
            return self._known[1:]

    def _fetched(self, address: str) -> dict[str, Any]:
        try:
            answer = requests.get(
                address, timeout=ISSUER_SECONDS, verify=self._verify, allow_redirects=False
            )
            answer.raise_for_status()
            content = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise IssuerFailed("the issuer does not answer") from error
        if answer.status_code != requests.codes.ok or not isinstance(content, dict):
            raise IssuerFailed("the issuer does not answer")
        return content

    def _session(self) -> OAuth2Session:
        session = OAuth2Session(
            self._oidc.client_id,
            self._oidc.client_secret.get_secret_value(),
            scope=" ".join(self._oidc.scopes),
            redirect_uri=self._redirect,
            code_challenge_method="S256",
        )
        session.verify = self._verify
        return session


def _person(claims: dict[str, Any]) -> str:
    """The person's name as DICOM's PN; empty if family and given name are not both told."""
    parts = [claims.get("family_name"), claims.get("given_name")]
    if not all(isinstance(part, str) and part.isprintable() for part in parts):
        return ""
    name = "^".join(str(part).translate(str.maketrans("^=\\", "   ")).strip() for part in parts)
    return name if len(name) <= 64 and not name.startswith("^") else ""
