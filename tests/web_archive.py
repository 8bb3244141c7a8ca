"""An archive for QIDO-RS and WADO-RS whose every answer a test decides."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pydicom

from dicom_node.settings.archives import Archive

__all__ = ["ANY_PART", "Request", "SmallArchive", "multipart", "serving", "web_archive"]

BOUNDARY = "b0undary"
ANY_PART = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


class Request(BaseHTTPRequestHandler):
    """One request, which the server's function answers."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        self.server.asked.append(copy(self))  # one handler serves all of its connection
        self.server.answer(self)

    def do_POST(self) -> None:
        self.content = self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_details: Any) -> None:
        pass

    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query)

    def give(self, status: int, content: bytes, kind: str, **headers: str) -> None:
        """Answer, and keep the connection."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def give_json(self, answer: object) -> None:
        self.give(200, json.dumps(answer).encode(), "application/dicom+json")

    def pour(self, pieces: Iterator[bytes] | Sequence[bytes], kind: str = ANY_PART) -> None:
        """Answer piece by piece without saying how long it is, and close."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        with suppress(OSError):  # whoever asked may have had enough
            for piece in pieces:
                self.wfile.write(piece)


class Server(ThreadingHTTPServer):
    """Remembers what it was asked."""

    daemon_threads = True

    def __init__(self, answer: Callable[[Request], None]) -> None:
        self.answer = answer
        self.asked: list[Request] = []
        self.scheme = "http"
        super().__init__(("127.0.0.1", 0), Request)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_details: Any) -> None:
        pass


@contextmanager
def serving(
    answer: Callable[[Request], None], tls: ssl.SSLContext | None = None
) -> Iterator[Server]:
    server = Server(answer)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        server.scheme = "https"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def web_archive(url: str, max_answers: int = 500, timeout_s: float = 5.0, **login: Any) -> Archive:
    return Archive.model_validate(
        {
            "name": "web",
            "dicomweb": {"url": url, **login},
            "max_answers": max_answers,
            "timeout_seconds": timeout_s,
        }
    )


def multipart(contents: Sequence[bytes], *, closed: bool = True) -> bytes:
    parts = [
        f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode() + content + b"\r\n"
        for content in contents
    ]
    return b"".join(parts) + (f"--{BOUNDARY}--\r\n".encode() if closed else b"")


class SmallArchive:
    """Answers for the files of one series.

    Parameters
    ----------
    files
        What it holds.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = list(files)
        self.headers = [pydicom.dcmread(path) for path in files]
        self.study = str(self.headers[0].StudyInstanceUID)
        self.series = str(self.headers[0].SeriesInstanceUID)

    def __call__(self, request: Request) -> None:
        """Give studies, series, instances, metadata, or the files."""
        path = urlsplit(request.path).path
        if path.endswith("/studies"):
            self.list(request, [self.item("StudyInstanceUID", "StudyDate", "PatientID")])
        elif path.endswith("/series"):
            self.list(request, [self.item("SeriesInstanceUID", "Modality")])
        elif path.endswith("/instances"):
            self.list(request, [pick(h, "SOPInstanceUID", "InstanceNumber") for h in self.headers])
        elif path.endswith("/metadata"):
            uid = path.split("/")[-2]
            [found] = [h for h in self.headers if h.SOPInstanceUID == uid]
            request.give_json([found.to_json_dict(1024, lambda _: "http://elsewhere/bulk")])
        else:
            content = multipart([path.read_bytes() for path in self.files])
            request.give(200, content, ANY_PART)

    def item(self, *keywords: str) -> dict[str, Any]:
        return pick(self.headers[0], *keywords)

    @staticmethod
    def list(request: Request, items: Sequence[dict[str, Any]]) -> None:
        """Give a page of them."""
        asked = request.query()
        start, limit = int(asked["offset"][0]), int(asked["limit"][0])
        request.give_json(items[start : start + limit])


def pick(header: pydicom.Dataset, *keywords: str) -> dict[str, Any]:
    """Some elements in DICOM JSON."""
    chosen = pydicom.Dataset()
    for keyword in keywords:
        chosen.add(header[keyword])
    found: dict[str, Any] = chosen.to_json_dict()
    return found
