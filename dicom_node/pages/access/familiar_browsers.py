"""Browsers in which somebody signed in before: their failed tries are counted by themselves.

So whoever tries passwords for an account from elsewhere keeps its owner out of new browsers alone.
A browser is known by a token in a cookie, which opens nothing.
"""

import time
from collections.abc import Callable

import sqlalchemy as sa

from dicom_node.pages.access.tokens import is_token, new_token, token_digest
from dicom_node.records.database import familiar_browsers, insert_into

__all__ = ["FAMILIAR_SECONDS", "FamiliarBrowsers"]

FAMILIAR_SECONDS = 180 * 24 * 3600
"""A browser is forgotten so long after the last time that somebody signed in there."""

MOST_BROWSERS = 20
"""Of one account; a further one takes the place of that which was used longest ago."""


class FamiliarBrowsers:
    """The table of browsers and the accounts that were signed in to there.

    Parameters
    ----------
    engine
        The node's database.
    clock
        Gives the time, s since 1970.
    """

    def __init__(self, engine: sa.Engine, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock

    def knows(self, token: str, name: str) -> bool:
        """Whether an account was signed in to in the browser with a token."""
        if not is_token(token):
            return False
        since = self._now() - FAMILIAR_SECONDS
        chosen = sa.select(familiar_browsers.c.used).where(
            familiar_browsers.c.digest == token_digest(token),
            familiar_browsers.c.name == name,
            familiar_browsers.c.used > since,
        )
        with self._engine.connect() as connection:
            return connection.execute(chosen).one_or_none() is not None

    def remember(self, token: str, name: str) -> str:
        """Enter that an account was signed in to in a browser.

        Parameters
        ----------
        token
            Of the browser; one that was given to no browser, or to one that was forgotten, does not
            count.
        name
            Of the account.

        Returns
        -------
        str
            The browser's token from now on.
        """
        table = familiar_browsers
        now = self._now()
        with self._engine.begin() as connection:
            connection.execute(table.delete().where(table.c.used <= now - FAMILIAR_SECONDS))
            given = sa.select(table.c.digest).where(table.c.digest == token_digest(token)).limit(1)
            if not is_token(token) or connection.execute(given).first() is None:
                token = new_token()
            entry = insert_into(connection, table).values(
                digest=token_digest(token), name=name, used=now
            )
            connection.execute(
                entry.on_conflict_do_update(index_elements=["digest", "name"], set_={"used": now})
            )
            newest = (
                sa.select(table.c.digest)
                .where(table.c.name == name)
                .order_by(table.c.used.desc(), table.c.digest)
                .limit(MOST_BROWSERS)
            )
            connection.execute(
                table.delete().where(table.c.name == name, table.c.digest.not_in(newest))
            )
        return token

    def _now(self) -> int:
        return int(self._clock())
