"""HTTP towards an archive: login, TLS, limits, and what its refusals mean."""

import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3.exceptions import HTTPError

from dicom_node.archive.sources import SourceUnavailable
from dicom_node.bearer_token import read_bearer_token
from dicom_node.settings.archives import Archive, DicomwebArchive
from dicom_node.tls import client_context

__all__ = ["ArchiveSession", "HttpRefused", "read_steadily"]

MAX_ANSWER_MB = 64
"""Most that an answer in JSON may have; 500 studies have about 1 MB."""

LEAST_BYTES = 64 * 1024
"""Fewer bytes than these within the archive's time-out count as a standstill."""

READ_BYTES = 256 * 1024
"""Bytes that are read at once."""

MAX_REDIRECTS = 3

LATER = frozenset((408, 425, 429, 502, 503, 504))
LOGIN = frozenset((401, 403))
"""HTTP statuses that concern the archive and not what it was asked for."""

MAX_RETRY_AFTER_SECONDS = 7 * 24 * 60 * 60


class HttpRefused(Exception):
    """An answer with an error for what was asked; the archive itself works.

    Parameters
    ----------
    status
        Of HTTP.
    content
        The first bytes of the answer.
    """

    def __init__(self, status: int, content: bytes = b"") -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.content = content


class AnswerTooLong(OSError):
    """An answer with more bytes than any that is useful."""


class ArchiveSession(requests.Session):
    """A session that only ever speaks to one archive.

    Redirects to another host are refused, so that no login and no question reaches it; answers
    are bounded; settings of the environment, such as proxies and ``.netrc``, do not count. No
    message holds an address, since its query may name patients.

    Parameters
    ----------
    archive
        With the most connections, and how long each answer may take.
    peer
        With address, login and TLS.

    Raises
    ------
    SettingsInvalid
        A certificate, key or CA cannot be used.
    """

    def __init__(self, archive: Archive, peer: DicomwebArchive) -> None:
        super().__init__()
        self.trust_env = False
        self.max_redirects = MAX_REDIRECTS
        self.headers.update({"User-Agent": "osteonode", "Accept-Encoding": "identity"})
        self._name = archive.name
        self._timeout_s = archive.timeout_seconds
        self._origin = _origin(peer.url)
        if peer.token_file is not None:
            self.auth = _Bearer(peer.token_file, archive.name)
        elif peer.user is not None:
            self.auth = HTTPBasicAuth(peer.user.encode(), peer.password.get_secret_value().encode())
        context = None
        if peer.tls is not None:
            context = client_context(peer.tls, archive.name)
            self.verify = str(peer.tls.ca)
        server_name = None if peer.tls is None else peer.tls.server_name
        adapter = _Adapter(archive.max_connections, context, server_name)
        for scheme in ("https://", "http://"):
            self.mount(scheme, adapter)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request; answers that are not streamed are bounded.

        Raises
        ------
        SourceUnavailable
            The archive cannot be reached, refuses the login, or wants to be asked later.
        HttpRefused
            It answers with any other error.
        """
        request.headers.pop("Host", None)  # dicomweb-client leaves out the port
        kwargs["timeout"] = (self._timeout_s, self._timeout_s)
        streamed, kwargs["stream"] = kwargs.get("stream"), True
        try:
            response = super().send(request, **kwargs)
        except requests.RequestException as error:
            raise SourceUnavailable(f"{self._name}: {_reason(error)}") from None
        if response.is_redirect:
            return response
        if response.status_code >= 400:
            self._refuse(response)
        if not streamed:
            response.raw = _Bounded(response, self._timeout_s)
            try:
                response.content  # noqa: B018 - requests keeps what it has read
            except (requests.RequestException, HTTPError, OSError) as error:
                response.close()
                raise SourceUnavailable(f"{self._name}: {_reason(error)}") from None
        return response

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where a redirect leads.

        Raises
        ------
        SourceUnavailable
            To another host.
        """
        target = super().get_redirect_target(resp)
        if target is not None and _origin(urljoin(resp.url, target)) != (self._origin):
            resp.close()
            raise SourceUnavailable(
                f"{self._name} redirects to another host; set url to where it shall be asked"
            )
        return target

    def _refuse(self, response: requests.Response) -> None:
        status = response.status_code
        after = _retry_after(response.headers.get("Retry-After", ""))
        try:
            content = response.raw.read(4096, decode_content=True)
        except (HTTPError, OSError):
            content = b""
        response.close()
        if status in LOGIN:
            raise SourceUnavailable(f"{self._name} refuses the login (HTTP {status})")
        if status in LATER or after is not None:
            raise SourceUnavailable(f"{self._name} is busy (HTTP {status})", after)
        raise HttpRefused(status, content)


def read_steadily(raw: Any, timeout_seconds: float) -> Iterator[bytes]:
    """The content of a streamed answer in pieces, as long as it comes at a useful rate.

    Parameters
    ----------
    raw
        The answer of urllib3.
    timeout_seconds
        In which more than nearly nothing must come.

    Raises
    ------
    OSError, urllib3.exceptions.HTTPError
        The connection broke, or nearly nothing came within the time.
    """
    until, got = time.monotonic() + timeout_seconds, 0
    while piece := raw.read1(READ_BYTES, decode_content=True):
        yield piece
        got += len(piece)
        if got >= LEAST_BYTES:
            until, got = time.monotonic() + timeout_seconds, 0
        elif time.monotonic() > until:
            raise TimeoutError("the answer comes too slowly")


class _Bounded:
    """The raw content of an answer, no longer than it may be."""

    def __init__(self, response: requests.Response, timeout_seconds: float) -> None:
        self._raw = response.raw
        self._pieces = read_steadily(response.raw, timeout_seconds)

    def stream(self, _size: int, decode_content: bool = True) -> Iterator[bytes]:
        """All pieces; an answer that is too long ends with an error."""
        total = 0
        for piece in self._pieces:
            total += len(piece)
            if total > MAX_ANSWER_MB * 1024 * 1024:
                raise AnswerTooLong(f"an answer of more than {MAX_ANSWER_MB} MB")
            yield piece

    def close(self) -> None:
        """Close the connection."""
        self._raw.close()

    def release_conn(self) -> None:
        """Give the connection back."""
        self._raw.release_conn()


class _Bearer(AuthBase):
    """A bearer token, read anew for each request: whoever issues it replaces the file."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        try:
            token = read_bearer_token(self._path)
        except ValueError as error:
            raise SourceUnavailable(f"{self._name}: {error}") from None
        request.headers["Authorization"] = f"Bearer {token}"
        return request


class _Adapter(HTTPAdapter):
    """Connections with a TLS context of our own, and no more of them than are allowed."""

    def __init__(
        self, connections: int, context: ssl.SSLContext | None, server_name: str | None
    ) -> None:
        self._tls: dict[str, Any] = {} if context is None else {"ssl_context": context}
        if server_name is not None:
            self._tls |= {"server_hostname": server_name, "assert_hostname": server_name}
        super().__init__(pool_connections=1, pool_maxsize=connections, pool_block=True)

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any
    ) -> None:
        """Make the pool, with TLS as it was given."""
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs, **self._tls)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port


def _retry_after(text: str) -> float | None:
    """Seconds of a header Retry-After (RFC 9110, section 10.2.3); None if there is none."""
    try:
        if text.isascii() and text.isdecimal():
            seconds = float(text)
        else:
            seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)


def _reason(error: Exception) -> str:
    """What went wrong, without the address, whose query may name patients."""
    causes = [error, *getattr(error, "args", ())]
    if any(isinstance(cause, ssl.SSLError) for cause in causes) or isinstance(
        error, requests.exceptions.SSLError
    ):
        return "TLS failed: it refused our certificate or we refused its own"
    if isinstance(error, AnswerTooLong):
        return str(error)
    if isinstance(error, requests.TooManyRedirects):
        return "redirects without end"
    if isinstance(error, requests.Timeout | TimeoutError):
        return "did not answer in time"
    broken = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)
    if isinstance(error, broken) or not isinstance(error, requests.RequestException):
        return "cannot be reached, or broke the connection"
    return f"its answer cannot be read ({type(error).__name__})"
