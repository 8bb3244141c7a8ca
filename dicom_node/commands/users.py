"""The accounts of those who sign in to the pages."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from dicom_node.commands.ending import EXIT_USAGE, fail
from dicom_node.commands.node import Config

if TYPE_CHECKING:
    from dicom_node.pages.access.gate import Gate

__all__ = ["app"]

app = typer.Typer()
user = typer.Typer(help="Accounts of those who sign in to the pages.", no_args_is_help=True)
app.add_typer(user, name="user")

Name = Annotated[str, typer.Argument(help="Name by which they sign in.")]
Roles = Annotated[
    list[str], typer.Option("--role", help="reader, researcher or administrator; repeatable.")
]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of stdin.")
]


@user.command()
def add(
    config: Config,
    name: Name,
    role: Roles,
    person: Annotated[
        str, typer.Option(help="Their name as reports give it, in DICOM's form: 'Doe^Jane'.")
    ] = "",
    organization: Annotated[str, typer.Option(help="Their organization, as reports give it.")] = "",
    password_stdin: FromStdin = False,
) -> None:
    """Make an account; its password is asked for twice. Exit code 2 if it cannot be made."""
    from dicom_node.pages.access.accounts import roles_given
    from dicom_node.pages.access.visitor import Identity

    with _changing(config, name, "added") as gate:
        identity = Identity(name, roles_given(role), person, organization)
        gate.accounts.check_new(identity)
        gate.accounts.add(identity, _password(password_stdin))


@user.command(name="list")
def list_accounts(config: Config) -> None:
    """List the accounts: roles, person, open sessions, and for how long they are locked."""
    with _gate(config) as gate:
        accounts = gate.accounts.listed()
        for account in accounts:
            sessions = len(gate.sessions.of_name(account.name))
            locked = gate.lockout.locked_seconds(account.name)
            print(
                f"{account.name}\t{', '.join(sorted(account.roles))}"
                f"\t{account.person or '-'}\t{account.organization or '-'}\t{sessions} sessions"
                + (f"\tlocked for {locked:.0f} s" if locked else "")
            )
    if not accounts:
        print("no accounts; make one by 'osteonode user add'")


@user.command()
def remove(config: Config, name: Name) -> None:
    """Remove an account and end its sessions."""
    with _changing(config, name, "removed") as gate:
        gate.accounts.remove(name)


@user.command()
def password(config: Config, name: Name, password_stdin: FromStdin = False) -> None:
    """Give an account another password and end its sessions."""
    with _changing(config, name, "password changed") as gate:
        gate.accounts.set_password(name, _password(password_stdin))


@user.command()
def roles(config: Config, name: Name, role: Roles) -> None:
    """Give an account other roles and end its sessions."""
    from dicom_node.pages.access.accounts import roles_given

    with _changing(config, name, "roles changed") as gate:
        gate.accounts.set_roles(name, roles_given(role))


@user.command()
def unlock(config: Config, name: Name) -> None:
    """Let an account sign in again at once after too many failed tries."""
    with _changing(config, name, "unlocked") as gate:
        gate.lockout.unlock(name)


@contextmanager
def _gate(config: Config) -> Iterator["Gate"]:
    """What the pages know of accounts, without the pages."""
    from dicom_node.pages.access.audited import Audited
    from dicom_node.pages.access.gate import Gate
    from dicom_node.pages.access.passwords import Passwords
    from dicom_node.pages.database import NodeDatabase
    from dicom_node.records.audit import AuditTrail
    from dicom_node.settings.node import load_settings
    from dicom_node.settings.web import Web

    settings = load_settings(config)
    database = NodeDatabase(settings)
    try:
        trail = AuditTrail.of(settings)
        yield Gate(settings.web or Web(), database, Audited(trail), Passwords())
    finally:
        database.close()


@contextmanager
def _changing(config: Config, name: str, change: str) -> Iterator["Gate"]:
    """Change an account, record who did, and say so; what cannot be done exits 2."""
    from getpass import getuser

    from dicom_node.pages.access.accounts import AccountRefused
    from dicom_node.pages.access.passwords import PasswordRefused
    from dicom_node.records.audit import Person

    with _gate(config) as gate:
        try:
            yield gate
        except (AccountRefused, PasswordRefused) as error:
            fail(str(error), EXIT_USAGE)
        gate.audited.trail.account_changed(name, change, Person(getuser(), ""))
    print(f"{name}: {change}")


def _password(from_stdin: bool) -> str:
    """The password, typed twice without being shown, or a line of stdin."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
