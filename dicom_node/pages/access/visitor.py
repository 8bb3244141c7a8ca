"""Who looks at a page."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import get_args

from dicom_node.records.audit import Person
from dicom_node.settings.web import Role, RoleNames

__all__ = ["ROLES", "Identity", "Visitor", "roles_named", "roles_of_text"]

ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class Identity:
    """Who somebody is, as an account, a proxy or an issuer says.

    Parameters
    ----------
    name
        By which they sign in.
    roles
        What they may see and do.
    person
        Name in the form of DICOM's PN, ``Doe^Jane``; empty if it is not known.
    organization
        Theirs, as a verified report names it; empty if it is not known.
    """

    name: str
    roles: frozenset[Role]
    person: str = ""
    organization: str = ""


@dataclass(frozen=True)
class Visitor:
    """Who looks at a page, from where, and the token that their forms must carry."""

    identity: Identity
    address: str
    csrf: str = field(repr=False)

    @property
    def name(self) -> str:
        """By which they sign in."""
        return self.identity.name

    @property
    def person(self) -> Person:
        """As the audit trail names them."""
        return Person(self.name, self.address)

    @property
    def roles(self) -> frozenset[Role]:
        """What they may see and do."""
        return self.identity.roles

    @property
    def sees_patients(self) -> bool:
        """Whether patients' names, IDs and pictures may be shown."""
        return "reader" in self.roles

    @property
    def may_verify(self) -> bool:
        """Whether a report can be verified in their name."""
        return self.sees_patients and bool(self.identity.person and self.identity.organization)


def roles_of_text(text: str) -> frozenset[Role]:
    """Roles as a table holds them, with spaces between.

    >>> sorted(roles_of_text("reader nobody administrator"))
    ['administrator', 'reader']
    """
    given = set(text.split())
    return frozenset(role for role in ROLES if role in given)


def roles_named(names: Iterable[str], others: RoleNames) -> frozenset[Role]:
    """The roles that foreign names stand for.

    Parameters
    ----------
    names
        What a proxy or an issuer says.
    others
        For each role the names that stand for it; if there are none, its own.

    Examples
    --------
    >>> sorted(roles_named(["radiology", "admins"], {"reader": ("radiology",)}))
    ['reader']
    >>> sorted(roles_named(["reader", "admins"], {}))
    ['reader']
    """
    given = set(names)
    if not others:
        return frozenset(role for role in ROLES if role in given)
    return frozenset(role for role, known in others.items() if given & set(known))
