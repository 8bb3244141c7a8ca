"""Which pages a visitor is offered, by role."""

from dataclasses import dataclass

from fastapi import FastAPI

from dicom_node.pages.access.visitor import Visitor
from dicom_node.settings.web import Role

__all__ = ["ENTRIES", "Entry", "first_page", "offered"]


@dataclass(frozen=True)
class Entry:
    """A page in the navigation: its path, its name in the texts, and who may see it."""

    path: str
    name: str
    roles: frozenset[Role]


def _entry(name: str, *roles: Role) -> Entry:
    return Entry(f"/{name}", f"navigation.{name}", frozenset(roles))


ENTRIES = (
    _entry("studies", "reader", "administrator"),
    _entry("agreement", "reader", "administrator"),
    _entry("work", "administrator"),
    _entry("rules", "administrator"),
    _entry("destinations", "administrator"),
    _entry("cohorts", "researcher", "administrator"),
    _entry("scanners", "researcher", "administrator"),
    _entry("model", "reader", "researcher", "administrator"),
)
"""In the order in which they are shown; one that has no page is left out."""

FALLBACK = "/account"
"""Every visitor's first page where none of `ENTRIES` is theirs."""


def offered(app: FastAPI, visitor: Visitor) -> tuple[Entry, ...]:
    """The pages that exist and that a visitor may see."""
    paths: frozenset[str] = app.state.paths
    return tuple(e for e in ENTRIES if e.path in paths and e.roles & visitor.roles)


def first_page(app: FastAPI, visitor: Visitor) -> str:
    """Where a visitor begins."""
    return next((entry.path for entry in offered(app, visitor)), FALLBACK)
