"""What in the settings leaves the node more open than it should be in a hospital."""

import os
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import make_url

from dicom_node.settings.edge import EVERY_ADDRESS, ClientTls, is_exposed
from dicom_node.settings.environment import variable_of
from dicom_node.settings.node import NodeSettings
from dicom_node.settings.notices import Notices

__all__ = ["weak_points"]

OTHERS = 0o007
"""Bits of a file's mode for users that are neither its owner nor of its group."""

ALL_BUT_OWNER = 0o077
"""Bits for everyone but the owner."""


def weak_points(settings: NodeSettings, path: Path) -> tuple[str, ...]:
    """What should be set otherwise where other machines and users are about.

    Parameters
    ----------
    settings
        Of the node.
    path
        The file that they were read from; looked at are its mode and those of the keys.

    Returns
    -------
    tuple of str
        A sentence for each weak point: what is so, and which key to set.
    """
    return (
        *settings.listener.warnings,
        *_addresses(settings),
        *(() if settings.web is None else settings.web.warnings),
        *(() if settings.exchange is None else settings.exchange.warnings),
        *_peers(settings),
        *(() if settings.notices is None else settings.notices.warnings),
        *_database(settings),
        *_files(settings, path),
        *_records(settings),
    )


def _addresses(settings: NodeSettings) -> Iterator[str]:
    host = settings.listener.host
    if host in EVERY_ADDRESS:
        yield (
            f"listener on {host}: every network of this machine reaches it; "
            "set listener.host to one address"
        )


def _peers(settings: NodeSettings) -> Iterator[str]:
    if not settings.destinations:
        yield "no destinations: reports stay in the data folder; set [[destinations]]"
    for peer in settings.destinations:
        if peer.tls is None and is_exposed(peer.host):
            yield (f"destination {peer.name}: reports are sent without TLS; set destinations.tls")
    query = settings.query
    if query is not None and query.tls is None and is_exposed(query.host):
        yield "query: the PACS is asked without TLS; set query.tls"


def _database(settings: NodeSettings) -> Iterator[str]:
    if settings.database_url is None:
        return
    url = make_url(settings.database_url)
    if url.get_backend_name() != "postgresql" or not url.host:
        return
    passfile = url.query.get("passfile")
    if url.password is not None or "password" in url.query:
        yield (
            "database_url holds a password; put it into a file for libpq and name that by "
            "?passfile="
        )
    elif passfile is None:
        yield "database_url names no file with a password; set ?passfile="
    if isinstance(passfile, str) and _mode(Path(passfile)) & ALL_BUT_OWNER:
        yield f"{passfile} can be read by others, so libpq does not use it; set its mode to 0600"
    if is_exposed(url.host) and url.query.get("sslmode") != "verify-full":
        yield (
            "database_url: the server's certificate is not checked; "
            "set ?sslmode=verify-full&sslrootcert="
        )


def _files(settings: NodeSettings, path: Path) -> Iterator[str]:
    query = () if settings.query is None else (settings.query.tls,)
    clients: list[ClientTls | None] = [*(peer.tls for peer in settings.destinations), *query]
    keys = [tls.key for tls in clients if tls is not None and tls.key is not None]
    if settings.listener.tls is not None:
        keys.append(settings.listener.tls.key)
    if settings.web is not None and settings.web.tls is not None:
        keys.append(settings.web.tls.key)
    if settings.exchange is not None:
        keys.append(settings.exchange.key)
    if settings.notices is not None:
        keys += _secret_files(settings.notices)
    for key in dict.fromkeys(keys):
        if _mode(key) & OTHERS:
            yield f"{key} can be read by every user of this machine; set its mode to 0640"
    if _holds_secret(settings) and _mode(path) & OTHERS:
        yield (
            f"{path} holds a secret and can be read by every user of this machine; "
            "set its mode to 0640"
        )


def _holds_secret(settings: NodeSettings) -> bool:
    """Whether a secret stands in the settings file."""
    section = settings.totalsegmentator
    if section is not None and section.licence_number.get_secret_value():
        return True
    oidc = None if settings.web is None else settings.web.oidc
    if oidc is not None and not variable_of(("web", "oidc", "client_secret"), os.environ):
        return True
    if settings.notices is not None and _tells_secrets(settings.notices):
        return True
    if settings.database_url is None or variable_of(("database_url",), os.environ):
        return False
    url = make_url(settings.database_url)
    return url.password is not None or "password" in url.query


def _secret_files(notices: Notices) -> list[Path]:
    """Files with the tokens and the password of the notices."""
    files = [webhook.token_file for webhook in notices.webhooks]
    if notices.mail is not None:
        files.append(notices.mail.password_file)
    return [file for file in files if file is not None]


def _tells_secrets(notices: Notices) -> bool:
    """Whether a password, or an address that may be one, stands in the settings file."""
    hooks = not variable_of(("notices", "webhooks"), os.environ)
    if hooks and any(webhook.has_path for webhook in notices.webhooks):
        return True
    written = notices.mail is not None and bool(notices.mail.password.get_secret_value())
    return written and not variable_of(("notices", "mail", "password"), os.environ)


def _records(settings: NodeSettings) -> Iterator[str]:
    if not settings.audit.enabled:
        yield "no audit trail is written; set audit.enabled = true"
    if settings.retention.instance_days is None:
        yield "received images are kept for ever; set retention.instance_days"
    if settings.retention.report_days is None:
        yield "reports are kept for ever; set retention.report_days"


def _mode(path: Path) -> int:
    """The mode of a file; 0 if it is not there, which is found out when it is read."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0
