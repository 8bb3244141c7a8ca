"""Settings of the web pages: address, TLS, who may sign in and how."""

from ipaddress import ip_address
from pathlib import Path
from string import Formatter
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from dicom_node.settings.edge import Network, Port, Section, is_exposed

__all__ = ["Login", "Oidc", "Role", "RoleNames", "Web", "WebProxy", "WebTls"]

Login = Literal["local", "proxy", "oidc", "none"]

Role = Literal["reader", "researcher", "administrator"]

RoleNames = dict[Role, tuple[str, ...]]
"""For each role of the node, what others call it: groups of a directory, values of a claim."""

VIEWER_PLACES = frozenset({"study_uid", "accession", "patient_id"})
"""What the address of the hospital's viewer may have in braces."""

HEADER_NAME = r"^[A-Za-z][A-Za-z0-9-]{0,63}$"


class WebTls(Section):
    """Certificate and key of the web pages (PEM)."""

    certificate: Path
    key: Path


class WebProxy(Section):
    """A proxy in front of the pages, which is believed only from ``networks``.

    With ``web.login = "proxy"`` it says who the visitor is and what roles they have.
    """

    networks: tuple[Network, ...] = Field(min_length=1)
    header: str = Field(default="X-Remote-User", pattern=HEADER_NAME)
    roles_header: str = Field(default="X-Remote-Roles", pattern=HEADER_NAME)
    roles: RoleNames = Field(default_factory=dict)


class Oidc(Section):
    """An OpenID Connect issuer that signs visitors in."""

    issuer: str
    client_id: str = Field(min_length=1)
    client_secret: SecretStr
    scopes: tuple[str, ...] = ("openid", "profile")
    name_claim: str = "preferred_username"
    roles_claim: str = "roles"
    roles: RoleNames = Field(default_factory=dict)
    ca: Path | None = None

    @field_validator("issuer")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        parts = urlsplit(value)
        safe = parts.scheme == "https" or (
            parts.scheme == "http" and not is_exposed(parts.hostname or "")
        )
        if not safe or not parts.hostname or parts.query or parts.fragment or parts.username:
            raise ValueError("an https address without user, query and fragment is needed")
        return value.rstrip("/")


class Web(Section):
    """The pages and the machine addresses, by default for this machine only."""

    host: str = "127.0.0.1"
    port: Port = 8080
    names: tuple[str, ...] = ()
    public_url: str | None = None
    login: Login = "local"
    tls: WebTls | None = None
    proxy: WebProxy | None = None
    oidc: Oidc | None = None
    idle_minutes: float = Field(default=30.0, gt=0, le=24 * 60)
    session_hours: float = Field(default=12.0, gt=0, le=7 * 24)
    viewer_url: str | None = None
    max_body_mb: float = Field(default=1.0, gt=0, le=64)

    @field_validator("names")
    @classmethod
    def _names_are_plain(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not name or set(name) & set(":/*@ "):
                raise ValueError(f"{name!r} is no host name; give it without port and scheme")
        return tuple(name.lower() for name in names)

    @field_validator("public_url")
    @classmethod
    def _url_is_an_origin(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError("an address such as https://osteonode.hospital is needed")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError("the pages need a host of their own: give the address without a path")
        return f"{parts.scheme}://{parts.netloc.lower()}"

    @field_validator("viewer_url")
    @classmethod
    def _viewer_is_an_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            fields = [field for field in Formatter().parse(value) if field[1] is not None]
        except ValueError:
            raise ValueError("a brace is not closed") from None
        for _, name, form, conversion in fields:
            if name not in VIEWER_PLACES or form or conversion:
                raise ValueError(f"only {sorted(VIEWER_PLACES)} may stand in braces")
        parts = urlsplit(value)
        plain_host = parts.hostname and not set(parts.netloc) & set("{}@")
        if parts.scheme not in ("http", "https") or not plain_host:
            raise ValueError("an address such as https://viewer/?StudyInstanceUIDs={study_uid}")
        return value

    @model_validator(mode="after")
    def _login_fits(self) -> "Web":
        if self.login == "none" and is_exposed(self.host):
            raise ValueError('login = "none" is for this machine only: set host to 127.0.0.1')
        if self.login == "none" and (self.proxy or self.names or self.public_url):
            raise ValueError('login = "none" is for this machine only: no proxy, names, public_url')
        if self.login == "proxy" and self.proxy is None:
            raise ValueError('login = "proxy" needs the section [web.proxy]')
        if self.login == "oidc" and (self.oidc is None or self.public_url is None):
            raise ValueError('login = "oidc" needs the section [web.oidc] and public_url')
        return self

    @property
    def exposed(self) -> bool:
        """Whether other machines can reach it."""
        return is_exposed(self.host)

    @property
    def secure(self) -> bool:
        """Whether browsers reach it by TLS, its own or a proxy's."""
        return self.tls is not None or (self.public_url or "").startswith("https:")

    @property
    def own_names(self) -> frozenset[str]:
        """Names that a request may ask for in its Host header."""
        named = {urlsplit(self.public_url).hostname or ""} if self.public_url else set()
        local = set() if self.exposed else {"localhost", "127.0.0.1", "::1"}
        return frozenset({*self.names, *named, *local, self.host} - {"", "0.0.0.0", "::"})

    def answers_to(self, name: str) -> bool:
        """Whether a Host header may name it so; of an exposed one also by any address.

        A page of somebody else can bend a name of its own to this machine, but no address.
        """
        if name in self.own_names:
            return True
        try:
            return self.exposed and bool(ip_address(name))
        except ValueError:
            return False

    @property
    def warnings(self) -> tuple[str, ...]:
        """What leaves it more open than it should be."""
        found = []
        if self.exposed:
            found.append("whoever is on the network can read status and metrics; set web.host")
            if self.tls is None:
                found.append("passwords and patients are sent without TLS; set web.tls")
        if self.public_url is not None and not self.secure:
            found.append("visitors come without TLS; set web.public_url to an https address")
        if self.login == "none":
            found.append(
                "whoever can sign in to this machine sees all patients and may do all; "
                "set web.login"
            )
        return tuple(f"web on {self.host}: {text}" for text in found)
