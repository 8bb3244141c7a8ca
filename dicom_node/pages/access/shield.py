"""What holds for every answer: host names, size of the body, headers for browsers."""

import re

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dicom_node.pages.access.request_origin import client_address, name_of_host
from dicom_node.settings.web import Web

__all__ = ["MACHINE_ADDRESSES", "PAGE_HEADERS", "BodyTooLarge", "Shield"]

MACHINE_ADDRESSES = frozenset({"/healthz", "/readyz", "/metrics"})
"""For programs: without login, and under any host name."""

BYTES_PER_MB = 1_000_000

PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    # with no-referrer browsers would hide the Origin of our own forms too (Fetch, section 3.2)
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer, unless it has its own."""

TRANSPORT_SECURITY = "max-age=31536000"
"""Browsers that came by TLS keep to it for a year."""


NUL = re.compile(rb"\x00|%00")
"""A character that no address of ours has, and that PostgreSQL takes in no text."""


class BodyTooLarge(Exception):
    """A request's body is larger than is taken."""


class Shield:
    """The application behind what is refused before it is asked.

    Parameters
    ----------
    app
        The application.
    web
        Which names it has and how large a body may be.
    """

    def __init__(self, app: ASGIApp, web: Web) -> None:
        self._app = app
        self._web = web
        self._most_bytes = int(web.max_body_mb * BYTES_PER_MB)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        answered = False

        async def send_shielded(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                headers = MutableHeaders(scope=message)
                for name, value in PAGE_HEADERS.items():
                    headers.setdefault(name, value)
                if self._web.secure:
                    headers.setdefault("Strict-Transport-Security", TRANSPORT_SECURITY)
            await send(message)

        headers = Headers(scope=scope)
        if scope["path"] not in MACHINE_ADDRESSES and not self._answers_to(headers):
            refusal = PlainTextResponse("not a name of this node; see web.names\n", 421)
            await refusal(scope, receive, send_shielded)
            return
        if not _is_plain(scope, headers):
            refusal = PlainTextResponse("not understood\n", 400)
            await refusal(scope, receive, send_shielded)
            return
        scope["osteonode.address"] = client_address(HTTPConnection(scope), self._web)
        try:
            length = headers.get("content-length", "0")
            if not (length.isascii() and length.isdigit()) or int(length) > self._most_bytes:
                raise BodyTooLarge
            await self._app(scope, _counted(receive, self._most_bytes), send_shielded)
        except BodyTooLarge:
            if not answered:
                refusal = PlainTextResponse("more than is taken in one request\n", 413)
                await refusal(scope, receive, send_shielded)

    def _answers_to(self, headers: Headers) -> bool:
        hosts = headers.getlist("host")
        return len(hosts) == 1 and self._web.answers_to(name_of_host(hosts[0]))


def _is_plain(scope: Scope, headers: Headers) -> bool:
    """Whether address and kind of body are such as a browser sends of our pages.

    A form is in UTF-8: other codings that Python knows make texts that cannot be written.
    """
    if "\x00" in scope["path"] or NUL.search(scope["query_string"]):
        return False
    _, options = parse_options_header(headers.get("content-type", ""))
    return options.get(b"charset", b"utf-8").lower() in (b"utf-8", b"utf8")


def _counted(receive: Receive, most_bytes: int) -> Receive:
    """A body that ends in `BodyTooLarge` beyond ``most_bytes``."""
    taken = 0

    async def receive_counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most_bytes:
            raise BodyTooLarge
        return message

    return receive_counted
