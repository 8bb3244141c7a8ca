"""Templates and texts become answers: ``page(request, "studies/list.html", rows=rows)``."""

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from dicom_node.pages.names import patient_words, person_words
from dicom_node.pages.navigation import offered

__all__ = ["FORM_TOKEN", "day_and_time", "duration", "iso_day", "page", "rendered", "text"]

FORM_TOKEN = "csrf"
"""Name of the field of every form that holds the session's form token."""


def text(key: str, **values: object) -> str:
    """A text of ``texts.toml`` by its key.

    Parameters
    ----------
    key
        Section and name, as ``studies.title``.
    values
        What stands in its braces.

    Raises
    ------
    KeyError
        No such text, or a value is missing.
    """
    found = _texts()[key]
    return found.format(**values) if values else found


def page(
    request: Request, template: str, status: int = 200, *, headers: Mapping[str, str] | None = None,
    **values: Any,
) -> HTMLResponse:  # fmt: skip
    """Render a template as an answer.

    Parameters
    ----------
    request
        Its visitor decides what the frame offers.
    template
        Path below ``templates``.
    status
        HTTP status.
    headers
        More headers of the answer.
    values
        What the template shows; beside them it has ``visitor`` (None before signing in),
        ``path``, ``navigation``, ``form_token()`` (the hidden field that every form needs) and
        ``text``.
    """
    return HTMLResponse(rendered(request, template, **values), status, headers=headers)


def rendered(request: Request, template: str, **values: Any) -> str:
    """A template as text; see `page`."""
    visitor = getattr(request.state, "visitor", None)
    token = "" if visitor is None else visitor.csrf
    field = Markup('<input type="hidden" name="{}" value="{}">').format(FORM_TOKEN, token)
    context = {
        "visitor": visitor,
        "path": request.scope["path"],
        "navigation": () if visitor is None else offered(request.app, visitor),
        "form_token": lambda: field,
    }
    return _environment().get_template(template).render({**context, **values})


def day_and_time(milliseconds: int | None) -> Markup:
    """A moment in ms since 1970 as ISO date and time of the node's zone, for people and programs.

    >>> str(day_and_time(None))
    '–'
    """
    if milliseconds is None:
        return Markup("–")
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone()
    shown = f"{moment:%Y-%m-%d %H:%M:%S} {moment.tzname()}"
    return Markup('<time datetime="{}">{}</time>').format(
        moment.isoformat(timespec="seconds"), escape(shown)
    )


def duration(seconds: float) -> str:
    """A time span for people.

    >>> duration(42.4), duration(600), duration(10_000), duration(400_000)
    ('42 s', '10 min', '2.8 h', '4.6 d')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} d"


def iso_day(day: str) -> str:
    """A date of DICOM as ISO date; as it stands if it is none.

    >>> iso_day("20260301"), iso_day("spring"), iso_day("")
    ('2026-03-01', 'spring', '')
    """
    if len(day) == 8 and day.isascii() and day.isdigit():
        return f"{day[:4]}-{day[4:6]}-{day[6:]}"
    return day


@cache
def _texts() -> dict[str, str]:
    source = files("dicom_node.pages").joinpath("texts.toml").read_text(encoding="utf-8")
    return {
        f"{section}.{name}": value
        for section, entries in tomllib.loads(source).items()
        for name, value in entries.items()
    }


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("dicom_node.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(text=text, version=version("osteonode"))
    environment.filters.update(
        day=iso_day, day_and_time=day_and_time, duration=duration, patient=patient_words,
        person=person_words,
    )  # fmt: skip
    return environment
