"""What a PDF of ReportLab shows: its pages, and every text with its place."""

import re
import zlib
from dataclasses import dataclass

from reportlab.pdfbase.pdfmetrics import stringWidth

OBJECT = re.compile(rb"(\d+) 0 obj\r?\n(.*?)endobj", re.DOTALL)
STREAM = re.compile(rb"stream\r?\n(.*)endstream", re.DOTALL)
TOKEN = re.compile(rb"\((?:\\.|[^\\()])*\)|[^\s()]+", re.DOTALL)
ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
FONT = re.compile(rb"/BaseFont /\w+\+(\S+).*?/Name /(\S+).*?/ToUnicode (\d+) 0 R", re.DOTALL)
LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


@dataclass(frozen=True)
class Shown:
    """A text on a page: its left end on the base line, and its right end, points."""

    page: int
    text: str
    left: float
    y: float
    right: float


def page_count(pdf: bytes) -> int:
    return len(re.findall(rb"/Type /Page\b", pdf))


def page_text(pdf: bytes, page: int | None = None) -> str:
    """All text of a page, or of all pages, in one line."""
    return " ".join(item.text for item in shown_texts(pdf) if page in (None, item.page))


def shown_texts(pdf: bytes) -> list[Shown]:
    objects = {int(number): body for number, body in OBJECT.findall(pdf)}
    fonts = {}
    for body in objects.values():
        found = FONT.search(body)
        if found is not None:
            fonts[found[2].decode()] = (found[1].decode(), _unicode(objects[int(found[3])]))
    pages = [
        int(found[1])
        for body in objects.values()
        if re.search(rb"/Type /Page\b", body)
        and (found := re.search(rb"/Contents (\d+) 0 R", body)) is not None
    ]
    return [
        item
        for page, number in enumerate(pages, start=1)
        for item in _texts(page, _stream(objects[number]), fonts)
    ]


def _stream(body: bytes) -> bytes:
    found = STREAM.search(body)
    assert found is not None
    return zlib.decompressobj().decompress(found[1])


def _unicode(body: bytes) -> dict[int, str]:
    """The characters that a font's codes stand for."""
    pairs = re.findall(rb"<([0-9A-F]{2})> <([0-9A-F]{4})>", _stream(body))
    return {int(code, 16): chr(int(character, 16)) for code, character in pairs}


def _texts(page: int, content: bytes, fonts: dict[str, tuple[str, dict[int, str]]]) -> list[Shown]:
    """Follow the operators that move the origin and show text; nothing is scaled but images."""
    found: list[Shown] = []
    origin, kept = (0.0, 0.0), []
    line, leading, written = (0.0, 0.0), 0.0, 0.0
    name, size = "", 0.0
    arguments: list[bytes] = []
    for token in TOKEN.findall(content):
        match token:
            case b"q":
                kept.append(origin)
            case b"Q":
                origin = kept.pop()
            case b"cm":
                x, y = map(float, arguments[-2:])
                origin = (origin[0] + x, origin[1] + y)
            case b"Tm":
                written = 0.0
                line = (float(arguments[-2]), float(arguments[-1]))
            case b"Td":
                written = 0.0
                line = (line[0] + float(arguments[-2]), line[1] + float(arguments[-1]))
            case b"TL":
                leading = float(arguments[-1])
            case b"T*":
                written = 0.0
                line = (line[0], line[1] - leading)
            case b"Tf":
                name, size = arguments[-2].decode().lstrip("/"), float(arguments[-1])
            case b"Tj":
                font, characters = fonts[name]
                text = "".join(characters[code] for code in _bytes(arguments[-1]))
                left = origin[0] + line[0] + written
                width = stringWidth(text, font, size)
                right, written = left + width, written + width
                found.append(Shown(page, text, left, origin[1] + line[1], right))
            case _:
                arguments.append(token)
                continue
        arguments = []
    return found


def _bytes(literal: bytes) -> bytes:
    def plain(escape: re.Match[bytes]) -> bytes:
        if escape[1].isdigit():
            return bytes([int(escape[1], 8)])
        return LETTERS.get(escape[1], escape[1])

    return ESCAPE.sub(plain, literal[1:-1])
