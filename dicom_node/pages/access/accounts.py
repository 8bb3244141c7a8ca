"""The accounts of the node's own users."""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from dicom_node.pages.access.passwords import Busy, Passwords, check_password
from dicom_node.pages.access.visitor import ROLES, Identity, roles_of_text
from dicom_node.records.database import accounts, familiar_browsers, saved_views, sessions
from dicom_node.settings.web import Role

__all__ = ["AccountRefused", "Accounts", "roles_given"]

NAME = re.compile(r"[a-z][a-z0-9._-]{1,31}")
PERSON = re.compile(r"[^\^=\\\x00-\x1f\x7f]{1,64}(\^[^\^=\\\x00-\x1f\x7f]{0,64}){1,4}")
ORGANIZATION = re.compile(r"[^\\\x00-\x1f\x7f]{1,64}")


class AccountRefused(ValueError):
    """An account that cannot be made or changed as asked."""


@dataclass(frozen=True)
class _Stored:
    identity: Identity
    password: str


class Accounts:
    """The table of accounts; whoever changes one ends its sessions.

    Parameters
    ----------
    engine
        The node's database.
    passwords
        Hashes and checks.
    """

    def __init__(self, engine: sa.Engine, passwords: Passwords) -> None:
        self._engine = engine
        self._passwords = passwords

    def add(self, identity: Identity, password: str) -> None:
        """Make an account.

        Raises
        ------
        AccountRefused
            The name is taken, or name, roles, person or organization have not the form they need.
        PasswordRefused
            The password is too weak.
        """
        self.check_new(identity)
        check_password(identity.name, password)
        try:
            with self._engine.begin() as connection:
                connection.execute(
                    accounts.insert().values(
                        name=identity.name,
                        password=self._passwords.hashed(password),
                        roles=_roles_text(identity.roles),
                        person=identity.person,
                        organization=identity.organization,
                    )
                )
        except IntegrityError:
            raise AccountRefused(f"there is an account {identity.name} already") from None

    def check_new(self, identity: Identity) -> None:
        """Say what is wrong with an account that is to be made, before its password is asked for.

        Raises
        ------
        AccountRefused
            As `add`.
        """
        _check(identity)
        if self._find(identity.name) is not None:
            raise AccountRefused(f"there is an account {identity.name} already")

    def listed(self) -> tuple[Identity, ...]:
        """All accounts by name."""
        with self._engine.connect() as connection:
            rows = connection.execute(accounts.select().order_by(accounts.c.name)).all()
        return tuple(_stored(row).identity for row in rows)

    def of(self, name: str) -> Identity | None:
        """The account of a name; None if there is none."""
        found = self._find(name)
        return None if found is None else found.identity

    def with_password(self, name: str, password: str) -> Identity | None:
        """The account that a name and a password open; None for a wrong one of either.

        Raises
        ------
        Busy
            Too many passwords are being checked.
        """
        found = self._find(name)
        if not self._passwords.matches(password, None if found is None else found.password):
            return None
        assert found is not None
        if self._passwords.is_outdated(found.password):
            with suppress(Busy):  # the next time then
                self._hash_anew(name, password, found.password)
        return found.identity

    def set_password(self, name: str, password: str) -> None:
        """Give an account another password.

        Raises
        ------
        AccountRefused
            There is no such account.
        PasswordRefused
            The password is too weak.
        Busy
            Too many passwords are being checked.
        """
        check_password(name, password)
        self._change(name, password=self._passwords.hashed(password))

    def set_roles(self, name: str, roles: Iterable[Role]) -> None:
        """Give an account other roles.

        Raises
        ------
        AccountRefused
            There is no such account, or no role is given.
        """
        chosen = frozenset(roles)
        _check(Identity(name, chosen))
        self._change(name, roles=_roles_text(chosen))

    def remove(self, name: str) -> None:
        """Remove an account, with its sessions and saved views.

        Raises
        ------
        AccountRefused
            There is no such account.
        """
        with self._engine.begin() as connection:
            gone = connection.execute(accounts.delete().where(accounts.c.name == name)).rowcount
            _forget(connection, name)
            connection.execute(saved_views.delete().where(saved_views.c.account == name))
        if not gone:
            raise AccountRefused(f"there is no account {name}")

    def _hash_anew(self, name: str, password: str, before: str) -> None:
        same = sa.and_(accounts.c.name == name, accounts.c.password == before)
        hashed = self._passwords.hashed(password)
        with self._engine.begin() as connection:
            connection.execute(accounts.update().where(same).values(password=hashed))

    def _change(self, name: str, **values: str) -> None:
        chosen = accounts.c.name == name
        with self._engine.begin() as connection:
            changed = connection.execute(accounts.update().where(chosen).values(**values)).rowcount
            _forget(connection, name)
        if not changed:
            raise AccountRefused(f"there is no account {name}")

    def _find(self, name: str) -> _Stored | None:
        if not NAME.fullmatch(name):
            return None
        with self._engine.connect() as connection:
            row = connection.execute(accounts.select().where(accounts.c.name == name)).one_or_none()
        return None if row is None else _stored(row)


def roles_given(names: Iterable[str]) -> frozenset[Role]:
    """Roles by their names.

    Raises
    ------
    AccountRefused
        A name is no role.
    """
    given = set(names)
    if unknown := sorted(given - set(ROLES)):
        raise AccountRefused(f"no role: {', '.join(unknown)}; there are {', '.join(ROLES)}")
    return frozenset(role for role in ROLES if role in given)


def _forget(connection: sa.Connection, name: str) -> None:
    """End the sessions of a name; no browser is familiar to it any more."""
    for table in (sessions, familiar_browsers):
        connection.execute(table.delete().where(table.c.name == name))


def _check(identity: Identity) -> None:
    if not NAME.fullmatch(identity.name):
        raise AccountRefused(
            "a name has 2 to 32 small letters, digits, dots, hyphens and underscores, "
            "and begins with a letter"
        )
    if not identity.roles:
        raise AccountRefused("an account needs a role: reader, researcher or administrator")
    if identity.person and not PERSON.fullmatch(identity.person):
        raise AccountRefused("a person is named as in DICOM: 'Doe^Jane'")
    if identity.organization and not ORGANIZATION.fullmatch(identity.organization):
        raise AccountRefused("an organization has at most 64 characters and no backslash")


def _roles_text(roles: Iterable[str]) -> str:
    return " ".join(sorted(roles))


def _stored(row: sa.Row[tuple[object, ...]]) -> _Stored:
    identity = Identity(row.name, roles_of_text(row.roles), row.person, row.organization)
    return _Stored(identity, row.password)
