"""Settings of the notices: what an administrator is told of, by webhook and by mail."""

from email.errors import MessageError
from email.headerregistry import Address
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from dicom_node.settings.edge import Section, check_unique, is_exposed

__all__ = ["ConditionKind", "Mail", "Notices", "Webhook"]

ConditionKind = Literal[
    "not_ready", "disk", "destination_down", "stands_still", "failed_work", "drift"
]
"""What may be told, the most urgent first."""

MAIL_PORTS = {"starttls": 587, "tls": 465, "none": 25}
"""Ports that mail servers have by their kind of security (RFC 6409, RFC 8314, RFC 5321)."""


class Webhook(Section):
    """An address that gets each notice as JSON by HTTP POST."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")
    url: str
    token_file: Path | None = None
    ca: Path | None = None
    timeout_seconds: float = Field(default=10.0, gt=0, le=120)

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        # the value is never quoted: its path may be a secret
        try:
            parts = urlsplit(value)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable or not value.isascii() or not value.isprintable() or " " in value:
            raise ValueError("an address such as https://hooks.hospital/osteonode is needed")
        if "@" in parts.netloc or parts.fragment:
            raise ValueError("give a token in token_file, not in url; url has no fragment")
        return value

    @property
    def exposed(self) -> bool:
        """Whether notices go to another machine without TLS."""
        parts = urlsplit(self.url)
        return parts.scheme == "http" and is_exposed(parts.hostname or "")

    @property
    def has_path(self) -> bool:
        """Whether something stands in the address that may be a secret."""
        parts = urlsplit(self.url)
        return parts.path not in ("", "/") or bool(parts.query)


class Mail(Section):
    """A mail server that takes each notice for the recipients."""

    host: str = Field(min_length=1)
    port: int | None = Field(default=None, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    ca: Path | None = None
    sender: str
    recipients: tuple[str, ...] = Field(min_length=1)
    user: str | None = None
    password: SecretStr = SecretStr("")
    password_file: Path | None = None
    timeout_seconds: float = Field(default=30.0, gt=0, le=300)

    @field_validator("sender", "recipients")
    @classmethod
    def _are_addresses(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for address in (value,) if isinstance(value, str) else value:
            try:
                usable = bool(Address(addr_spec=address).domain) and address.isascii()
            except (MessageError, ValueError, IndexError):
                usable = False
            if not usable or not address.isprintable():
                raise ValueError(f"{address!r} is no mail address, such as night@hospital.example")
        return value

    @model_validator(mode="after")
    def _login_fits(self) -> "Mail":
        secrets = [bool(self.password.get_secret_value()), self.password_file is not None]
        if self.user is None and any(secrets):
            raise ValueError("a password needs the user that it is of")
        if self.user is not None and sum(secrets) != 1:
            raise ValueError("user needs either password_file or password")
        if self.user is not None and self.exposed:
            raise ValueError(
                'a password is not sent without TLS: set security to "starttls" or "tls"'
            )
        return self

    @property
    def port_used(self) -> int:
        """The port, by default the usual one of the kind of security."""
        return self.port or MAIL_PORTS[self.security]

    @property
    def exposed(self) -> bool:
        """Whether notices go to another machine without TLS."""
        return self.security == "none" and is_exposed(self.host)


class Notices(Section):
    """What is told, how soon and how often, and to whom.

    A condition is told when it has lasted for its minutes, again after ``repeat_hours`` while it
    lasts, and when it is over; ``gap_minutes`` lie between two notices on it at least, and all
    together have at most ``per_hour``.
    """

    conditions: tuple[ConditionKind, ...] = Field(default=get_args(ConditionKind), min_length=1)
    destination_down_minutes: float = Field(default=15.0, gt=0, le=24 * 60)
    not_ready_minutes: float = Field(default=5.0, gt=0, le=24 * 60)
    disk_free_percent: float | None = Field(default=None, gt=0, lt=100)
    repeat_hours: float = Field(default=4.0, gt=0, le=7 * 24)
    gap_minutes: float = Field(default=15.0, ge=0, le=24 * 60)
    per_hour: int = Field(default=12, ge=1, le=1000)
    node_name: str | None = Field(default=None, pattern=r"^[\x21-\x7E][\x20-\x7E]{0,63}$")
    webhooks: tuple[Webhook, ...] = ()
    mail: Mail | None = None

    @field_validator("conditions")
    @classmethod
    def _conditions_are_unique(cls, value: tuple[ConditionKind, ...]) -> tuple[ConditionKind, ...]:
        check_unique(value, "a condition is told once")
        return value

    @field_validator("webhooks")
    @classmethod
    def _webhooks_are_unique(cls, value: tuple[Webhook, ...]) -> tuple[Webhook, ...]:
        check_unique([webhook.name for webhook in value], "names must differ")
        return value

    @model_validator(mode="after")
    def _somebody_is_told(self) -> "Notices":
        if not self.webhooks and self.mail is None:
            raise ValueError(
                "nobody would be told: set [[notices.webhooks]] or [notices.mail], or leave "
                "[notices] out"
            )
        return self

    @property
    def target_names(self) -> tuple[str, ...]:
        """Whom notices go to, as logs and status name them."""
        hooks = tuple(f"webhook {webhook.name}" for webhook in self.webhooks)
        return hooks if self.mail is None else (*hooks, "mail")

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is sent more openly than it should be."""
        found = [
            f"notices, webhook {webhook.name}: notices are sent without TLS; "
            "set notices.webhooks.url to an https address"
            for webhook in self.webhooks
            if webhook.exposed
        ]
        if self.mail is not None and self.mail.exposed:
            found.append("notices, mail: notices are sent without TLS; set notices.mail.security")
        return tuple(found)
