"""Fetch the instances of an assessment from the machine that holds them, and hand its report in."""

import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from dicom_node.errors import OperationalError
from dicom_node.exchange.archive_stream import BrokenStream, pack, unpack
from dicom_node.exchange.home_folder import REASONS, NotGiven, Wanted
from dicom_node.foreign_text import cleaned
from dicom_node.settings.edge import Exchange
from dicom_node.tls import certificate_names, client_context

__all__ = ["HomeClient", "HomeUnavailable"]

MAX_STUDY_BYTES = 16 << 30
"""Most that the instances of an assessment may have."""

LEAST_EXCHANGED_BYTES = 256 * 1024
"""Fewer bytes than these within ``exchange.timeout_seconds`` count as a standstill."""

MAX_REFUSAL_BYTES = 4096


class HomeUnavailable(OperationalError):
    """The machine that holds the instances does not give them now; the message says why."""

    code = "exchange.unavailable"


class HomeClient:
    """Speaks to one machine.

    Parameters
    ----------
    exchange
        Certificates and time-outs.
    url
        Where that machine serves.

    Raises
    ------
    SettingsInvalid
        A certificate, key or CA cannot be used.
    """

    def __init__(self, exchange: Exchange, url: str) -> None:
        self._exchange = exchange
        self._context = client_context(exchange.client_tls, "exchange")
        self._place = urlsplit(url)

    def fetch(self, wanted: Wanted, folder: Path) -> frozenset[str]:
        """Fetch what an assessment needs into a folder with the shape of a data folder.

        Parameters
        ----------
        wanted
            What it needs.
        folder
            An empty folder. After an error what lies there is worth nothing.

        Returns
        -------
        frozenset of str
            The names of the files.

        Raises
        ------
        HomeUnavailable
            The machine cannot be reached, refuses, is too slow, or sent something else.
        NotGiven
            The instances are gone, or others count now.
        OSError
            The disk here does not take them.
        """
        body = wanted.model_dump_json().encode()

        def accepts(name: str) -> bool:
            return name in wanted.instances or name.startswith(("reports/", "earlier/"))

        with self._asked("POST", "/fetch", body, {"Content-Type": "application/json"}) as answer:
            names = unpack(self._reader(answer), folder, accepts, MAX_STUDY_BYTES)
        if missing := len(wanted.instances - names):
            raise HomeUnavailable(f"{missing} instances are missing in what it sent")
        return names

    def hand_in(self, study: str, assessment: str, files: Mapping[str, Path], met: str) -> None:
        """Hand in what an assessment wrote.

        Parameters
        ----------
        study, assessment
            Key of the study, and identity of the assessment.
        files
            By their names, as `home_folder.written_files` gives them.
        met
            SHA-256 of the assessment's Structured Report as it was fetched; empty for none.

        Raises
        ------
        HomeUnavailable, NotGiven
            As for `fetch`.
        """
        body = b"".join(pack(files))
        headers = {"Content-Type": "application/x-tar", "If-Match": f'"{met}"'}
        with self._asked("PUT", f"/reports/{study}/{assessment}", body, headers):
            pass

    @contextmanager
    def _asked(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> Iterator[HTTPResponse]:
        """The answer to a request, its faults in our errors."""
        connection = HTTPSConnection(
            str(self._place.hostname),
            self._place.port,
            timeout=self._exchange.timeout_seconds,
            context=self._context,
        )
        try:
            with _told():
                connection.connect()
                self._check_name(connection)
                connection.request(method, path, body, dict(headers))
                answer = connection.getresponse()
                refusal = b"" if answer.status < 300 else answer.read(MAX_REFUSAL_BYTES)
            if answer.status >= 300:
                raise _refused(answer.status, refusal)
            try:
                yield answer
            except BrokenStream as error:
                raise HomeUnavailable(f"what it sent cannot be used: {error}") from error
        finally:
            connection.close()

    def _check_name(self, connection: HTTPSConnection) -> None:
        allowed = self._exchange.allowed_names
        socket = connection.sock
        assert isinstance(socket, ssl.SSLSocket)
        if allowed and not certificate_names(socket.getpeercert()) & frozenset(allowed):
            raise HomeUnavailable("its certificate has no name of exchange.allowed_names")

    def _reader(self, answer: HTTPResponse) -> Callable[[int], bytes]:
        """Reads the content of an answer as long as it comes at a useful rate."""
        seconds = self._exchange.timeout_seconds
        until, got = time.monotonic() + seconds, 0

        def read(size: int) -> bytes:
            nonlocal until, got
            with _told():
                piece = answer.read1(size)
            got += len(piece)
            if got >= LEAST_EXCHANGED_BYTES:
                until, got = time.monotonic() + seconds, 0
            elif time.monotonic() > until:
                raise HomeUnavailable("it sends too slowly")
            return piece

        return read


BROKEN = (
    "it broke the connection; is the certificate here one that its exchange.ca and "
    "exchange.allowed_names allow?"
)


@contextmanager
def _told() -> Iterator[None]:
    """Faults of a connection in our errors."""
    try:
        yield
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
        raise HomeUnavailable(BROKEN) from error
    except ssl.SSLError as error:
        raise HomeUnavailable(
            f"TLS failed ({error.reason or 'cut off'}): it must name the host that "
            "exchange.name says there, and both certificates must be of exchange.ca"
        ) from error
    except TimeoutError as error:
        raise HomeUnavailable("it does not answer in time") from error
    except (OSError, HTTPException) as error:
        refused = isinstance(error, ConnectionResetError | HTTPException)
        unreached = "it cannot be reached; does osteonode serve run there?"
        raise HomeUnavailable(BROKEN if refused else unreached) from error


def _refused(status: int, content: bytes) -> Exception:
    try:
        code = str(json.loads(content)["code"])
    except (ValueError, TypeError, KeyError):
        code = "no reason"
    if code in REASONS:
        return NotGiven(code)
    return HomeUnavailable(f"it refuses: {cleaned(code)} (HTTP {status})")
