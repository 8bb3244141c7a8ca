"""Who is signed in, by the digest of a random token; the token itself is with the browser only."""

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from dicom_node.pages.access.tokens import is_token, new_token, token_digest
from dicom_node.pages.access.visitor import Identity, roles_of_text
from dicom_node.records.database import sessions

__all__ = ["Session", "Sessions", "form_token"]

USED_STEP_MS = 60_000
"""How exactly it is kept when a session was last used, so that not every look writes."""

MOST_SESSIONS = 20
"""Of one name; a further one ends the one that was used longest ago."""


@dataclass(frozen=True)
class Session:
    """A visitor who is signed in; moments in ms since 1970."""

    digest: str
    identity: Identity
    address: str
    began: int
    used: int


class Sessions:
    """The table of sessions.

    Parameters
    ----------
    engine
        The node's database.
    idle_ms, longest_ms
        How long a session lasts without use, and at most, in ms.
    clock
        Gives the time, s since 1970.
    """

    def __init__(
        self,
        engine: sa.Engine,
        idle_ms: int,
        longest_ms: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._idle_ms = idle_ms
        self._longest_ms = longest_ms
        self._clock = clock

    def begin(self, identity: Identity, address: str) -> str:
        """Begin a session and give its token; what is over is removed."""
        token = new_token()
        now = self._now()
        with self._engine.begin() as connection:
            connection.execute(sessions.delete().where(sa.not_(self._lasts(now))))
            same = sessions.c.name == identity.name
            kept = (
                sa.select(sessions.c.digest)
                .where(same)
                .order_by(sessions.c.used.desc())
                .limit(MOST_SESSIONS - 1)
            )
            connection.execute(sessions.delete().where(same, sessions.c.digest.not_in(kept)))
            connection.execute(
                sessions.insert().values(
                    digest=token_digest(token),
                    name=identity.name,
                    roles=" ".join(sorted(identity.roles)),
                    person=identity.person,
                    organization=identity.organization,
                    address=address,
                    began=now,
                    used=now,
                )
            )
        return token

    def of(self, token: str, *, in_use: bool = True) -> Session | None:
        """The session of a token; None if there is none or it is over.

        Parameters
        ----------
        token
            As the browser sends it.
        in_use
            Whether the visitor did something, and not a page by itself.
        """
        if not is_token(token):
            return None
        now = self._now()
        digest = token_digest(token)
        with self._engine.connect() as connection:
            row = connection.execute(
                sessions.select().where(sessions.c.digest == digest, self._lasts(now))
            ).one_or_none()
        if row is None:
            return None
        if in_use and now - row.used >= USED_STEP_MS:
            with self._engine.begin() as connection:
                connection.execute(
                    sessions.update().where(sessions.c.digest == digest).values(used=now)
                )
        return _session(row)

    def of_name(self, name: str) -> tuple[Session, ...]:
        """All sessions of a name, the newest first."""
        chosen = sessions.select().where(sessions.c.name == name, self._lasts(self._now()))
        with self._engine.connect() as connection:
            rows = connection.execute(chosen.order_by(sessions.c.began.desc())).all()
        return tuple(_session(row) for row in rows)

    def end(self, token: str) -> None:
        """End the session of a token."""
        self._remove(sessions.c.digest == token_digest(token))

    def end_all(self, name: str, *, but: str | None = None) -> int:
        """End all sessions of a name, except that of the token ``but``; return how many."""
        condition = sessions.c.name == name
        if but is not None:
            condition = sa.and_(condition, sessions.c.digest != token_digest(but))
        return self._remove(condition)

    def _remove(self, condition: sa.ColumnElement[bool]) -> int:
        with self._engine.begin() as connection:
            return connection.execute(sessions.delete().where(condition)).rowcount

    def _lasts(self, now: int) -> sa.ColumnElement[bool]:
        return sa.and_(
            sessions.c.used > now - self._idle_ms, sessions.c.began > now - self._longest_ms
        )

    def _now(self) -> int:
        return int(self._clock() * 1000)


def form_token(token: str) -> str:
    """The token that the forms of a session carry; it tells nothing of the session's own."""
    return hmac.new(token.encode(), b"osteonode form", hashlib.sha256).hexdigest()


def _session(row: sa.Row[tuple[object, ...]]) -> Session:
    identity = Identity(row.name, roles_of_text(row.roles), row.person, row.organization)
    return Session(row.digest, identity, row.address, row.began, row.used)
