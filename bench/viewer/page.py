"""Serve OHIF and a DICOMweb source on one port of 127.0.0.1."""

import mimetypes
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from bench.viewer.ohif import ViewerUnavailable, ohif_configuration

__all__ = ["Answer", "DicomWeb", "Proxy", "serve_viewer"]

DICOMWEB = "/dicom-web"

TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}
"""Content types that a browser insists on and a machine's own table may lack."""

ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
"""Headers without which a browser gives the viewer's workers no shared memory."""


class Answer(NamedTuple):
    """What an HTTP request gets."""

    status: int
    content_type: str
    body: bytes


class DicomWeb(Protocol):
    """A source that answers DICOMweb's GET requests."""

    def get(self, path: str, query: str, accept: str) -> Answer:
        """Answer; ``path`` begins after the service's root."""


class Proxy:
    """The DICOMweb of another server, for a page that may ask its own origin only.

    Parameters
    ----------
    root
        Address of the service, such as ``http://127.0.0.1:8042/dicom-web``.
    host
        Host and port under which the page is served; the addresses in answers name it.
    """

    def __init__(self, root: str, host: str) -> None:
        self.root = root
        self.host = host

    def get(self, path: str, query: str, accept: str) -> Answer:
        """Hand the request on and its answer back, errors as well."""
        headers = {"Accept": accept, "Forwarded": f"host={self.host};proto=http"}
        request = urllib.request.Request(f"{self.root}{path}?{query}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as found:
                return Answer(found.status, found.headers.get("Content-Type", ""), found.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, "text/plain", error.read())


@contextmanager
def serve_viewer(dist: Path, source: DicomWeb, home: str, port: int) -> Iterator[str]:
    """Serve the viewer until the context ends.

    Parameters
    ----------
    dist
        OHIF's built files (`fetch_ohif`).
    source
        Answers below ``/dicom-web``.
    home
        Path and query that ``/`` leads to.
    port
        Port on 127.0.0.1; 0 takes a free one.

    Yields
    ------
    str
        The page's address, without a slash at its end.

    Raises
    ------
    ViewerUnavailable
        The port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_details: object) -> None:
            """Write nothing: the terminal is the user's."""

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path == "/" and not url.query:
                self.send_response(302)
                self.send_header("Location", home)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if url.path.startswith(f"{DICOMWEB}/"):
                path = url.path.removeprefix(DICOMWEB)
                self._send(source.get(path, url.query, self.headers.get("Accept", "")))
            else:
                self._send(_file(dist, url.path))

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            for name, value in ISOLATED.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise ViewerUnavailable(f"port {port} of 127.0.0.1: {error.strerror}") from error
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _file(dist: Path, path: str) -> Answer:
    """A file of the viewer; any other path is one of its own pages, which ``index.html`` shows."""
    if path == "/app-config.js":
        return Answer(200, TYPES[".js"], ohif_configuration().encode())
    file = (dist / path.lstrip("/")).resolve()
    if not (file.is_relative_to(dist.resolve()) and file.is_file()):
        file = dist / "index.html"
    guessed = TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0]
    return Answer(200, guessed or "application/octet-stream", file.read_bytes())
