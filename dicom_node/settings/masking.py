"""Settings for printing, with every secret of every URL masked."""

import re
from typing import Any

__all__ = ["MASK", "masked", "masked_url"]

MASK = "***"

SHOWN_PARAMETERS = frozenset(
    {
        "application_name", "connect_timeout", "passfile", "sslmode", "sslrootcert",
        "target_session_attrs",
    }
)  # fmt: skip
"""Parameters of a URL whose values are shown; those of any other may be secrets."""

TOKEN_SCHEMES = ("http", "https")
"""Schemes whose paths may be secrets: a webhook's token stands there."""


def masked(value: Any) -> Any:
    """A value of the settings, as JSON has it, with the secrets of all URLs in it masked."""
    if isinstance(value, dict):
        return {key: masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return masked_url(value) if isinstance(value, str) else value


def masked_url(text: str) -> str:
    """A URL with user, password, unknown parameters and tokens masked; other texts as they are.

    It goes by the marks alone, so that a URL which no parser takes keeps its secrets too. What
    stands before the last ``@`` counts as user and password, even if that hides more.

    Examples
    --------
    >>> masked_url("postgresql://ann:pw@db:5432/node?sslmode=require&password=pw")
    'postgresql://***@db:5432/node?sslmode=require&password=***'
    >>> masked_url("https://hooks.example/T0/B0/token")
    'https://hooks.example/***'
    >>> masked_url("sqlite:////var/lib/osteonode/osteonode.sqlite")
    'sqlite:////var/lib/osteonode/osteonode.sqlite'
    """
    scheme, mark, rest = text.partition("://")
    if not mark:
        return text
    user, at, place = rest.rpartition("@")
    place, fragment_mark, _ = place.partition("#")
    place, question, query = place.partition("?")
    if scheme.lower() in TOKEN_SCHEMES:
        host, slash, path = place.partition("/")
        place = host + slash + (MASK if path else "")
    parameters = [_masked_parameter(parameter) for parameter in re.split("[&;]", query)]
    return "".join(
        (
            scheme + mark,
            MASK + at if user else at,
            place,
            question + "&".join(parameters) if question else "",
            fragment_mark + MASK if fragment_mark else "",
        )
    )


def _masked_parameter(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    if not equals:
        return MASK
    return parameter if name in SHOWN_PARAMETERS else f"{name}={MASK}"
