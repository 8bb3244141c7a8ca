"""Send a notice by HTTP POST: one request, no redirect, no proxy of the environment."""

from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from dicom_node.bearer_token import read_bearer_token
from dicom_node.errors import SettingsInvalid
from dicom_node.notices.answers import NotTaken, told_fault, trusting, within
from dicom_node.notices.notice import Notice
from dicom_node.settings.notices import Webhook

__all__ = ["post"]


def post(webhook: Webhook, notice: Notice) -> str:
    """Post a notice as JSON.

    Parameters
    ----------
    webhook
        Where to.
    notice
        What is told.

    Returns
    -------
    str
        What was answered: a status 2xx.

    Raises
    ------
    NotTaken
        Not reached, not in time, or another answer; a redirect is not followed.
    """
    headers = {"Content-Type": "application/json", "User-Agent": "osteonode"}
    if webhook.token_file is not None:
        headers["Authorization"] = f"Bearer {_token(webhook.token_file)}"
    parts = urlsplit(webhook.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = _connection(webhook, parts.hostname or "", parts.port)
    try:
        with within(webhook.timeout_seconds, lambda: connection.sock):
            connection.request("POST", target, notice.content.encode(), headers)
            status = connection.getresponse().status
    except (OSError, HTTPException, ValueError) as error:
        raise NotTaken(told_fault(error)) from None
    finally:
        connection.close()
    if 300 <= status < 400:
        raise NotTaken(f"redirects (HTTP {status}); set url to where it leads")
    if not 200 <= status < 300:
        raise NotTaken(f"answered HTTP {status}")
    return f"HTTP {status}"


def _connection(webhook: Webhook, host: str, port: int | None) -> HTTPConnection:
    seconds = webhook.timeout_seconds
    if webhook.url.lower().startswith("http:"):
        return HTTPConnection(host, port, timeout=seconds)
    try:
        context = trusting(webhook.ca, f"webhook {webhook.name}")
    except SettingsInvalid as error:  # such as a certificate that is being replaced
        raise NotTaken(str(error)) from None
    return HTTPSConnection(host, port, timeout=seconds, context=context)


def _token(path: Path) -> str:
    try:
        return read_bearer_token(path)
    except ValueError as error:
        raise NotTaken(str(error)) from None
