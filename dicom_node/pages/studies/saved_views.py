"""Views of the list of studies that somebody saved: filters under a name of one's own."""

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from dicom_node.records.database import insert_into, saved_views

__all__ = [
    "LONGEST_VIEW_NAME",
    "MOST_VIEWS",
    "SavedView",
    "ViewRefused",
    "remove_view",
    "save_view",
    "views_of",
]

MOST_VIEWS = 20
"""Saved views of one account."""

LONGEST_VIEW_NAME = 40
"""Characters of a view's name."""


class ViewRefused(ValueError):
    """A view that is not saved; the message is the name of the text that says why."""


@dataclass(frozen=True)
class SavedView:
    """A view by its name, and its filters as an address has them."""

    name: str
    filters: Mapping[str, str]


def views_of(engine: sa.Engine, account: str) -> tuple[SavedView, ...]:
    """The saved views of an account, by name."""
    mine = sa.select(saved_views).where(saved_views.c.account == account)
    with engine.connect() as connection:
        rows = connection.execute(mine.order_by(saved_views.c.name))
        return tuple(SavedView(row.name, dict(row.filters)) for row in rows)


def save_view(engine: sa.Engine, account: str, name: str, filters: Mapping[str, str]) -> str:
    """Save filters under a name, in place of what it stood for before.

    Parameters
    ----------
    engine
        Of the node's own tables.
    account
        Whose view it is.
    name
        As it was typed.
    filters
        `Asked.filters`.

    Returns
    -------
    str
        The name without outer and doubled spaces.

    Raises
    ------
    ViewRefused
        The name is empty, too long or not printable; nothing is filtered; or there are
        `MOST_VIEWS` others.
    """
    plain = " ".join(name.split())
    if not plain or len(plain) > LONGEST_VIEW_NAME or not plain.isprintable():
        raise ViewRefused("own_views.bad_name")
    if not filters:
        raise ViewRefused("own_views.no_filters")
    others = sa.select(sa.func.count()).where(
        saved_views.c.account == account, saved_views.c.name != plain
    )
    with engine.begin() as connection:
        if (connection.scalar(others) or 0) >= MOST_VIEWS:
            raise ViewRefused("own_views.too_many")
        row = {"account": account, "name": plain, "filters": dict(filters)}
        put = insert_into(connection, saved_views).values(row)
        connection.execute(
            put.on_conflict_do_update(
                index_elements=list(saved_views.primary_key), set_={"filters": put.excluded.filters}
            )
        )
    return plain


def remove_view(engine: sa.Engine, account: str, name: str) -> None:
    """Remove a view of an account; one that is gone already is no fault."""
    mine = (saved_views.c.account == account, saved_views.c.name == name)
    with engine.begin() as connection:
        connection.execute(sa.delete(saved_views).where(*mine))
