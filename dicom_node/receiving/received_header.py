"""The few elements of a received data set that decide where it is kept, without a full parse."""

import struct
from dataclasses import dataclass
from io import BytesIO

import pydicom
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID, PYNETDICOM_IMPLEMENTATION_VERSION

__all__ = ["ReceivedHeader", "file_header", "read_received"]

MAX_HEADER_BYTES = 8 * 1024 * 1024
"""Bytes of a data set that are searched: image headers take some kB, enhanced CT ones some MB."""

MAX_TOLERANT_BYTES = 256 * 1024
"""Bytes of a data set that are searched by pydicom, which takes ten times as long."""

MAX_DEPTH = 32
"""How deep sequences may be nested."""

MAX_ELEMENTS = 50_000
"""Elements and items that are looked at; a segmentation of 4000 slices has 16,000 that reference
them."""

MAX_REFERENCED_SERIES = 16
"""Series that a segmentation may reference: it is kept with each of them."""

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
LONG_VRS = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
"""Value representations with 32 bits of length (PS3.5, 7.1.2)."""

EXPLICIT = struct.Struct("<HH2sH").unpack_from
"""Reads group, element, value representation and a short length (PS3.5, 7.1.2)."""

LENGTH = struct.Struct("<L").unpack_from

WANTED = {
    0x00080018: "sop_instance_uid",
    0x0020000D: "study_uid",
    0x0020000E: "series_uid",
    0x00280008: "frames",
    0x00280010: "rows",
    0x00280011: "columns",
}
LAST_WANTED = max(WANTED)

REFERENCED_SERIES, SERIES_INSTANCE_UID = 0x00081115, 0x0020000E
"""Referenced Series Sequence of a segmentation, the only sequence that is read, and what is read of
its items."""

PREAMBLE = b"\0" * 128 + b"DICM"


@dataclass(frozen=True)
class ReceivedHeader:
    """What the listener knows of an instance; empty or 1 where the data set has no value.

    Parameters
    ----------
    sop_instance_uid, study_uid, series_uid
        UIDs as they came, without padding.
    frames, rows, columns
        Size of the image, in frames and pixels, at least 1.
    of_series
        Series UIDs that a segmentation references.
    """

    sop_instance_uid: str = ""
    study_uid: str = ""
    series_uid: str = ""
    frames: int = 1
    rows: int = 1
    columns: int = 1
    of_series: tuple[str, ...] = ()

    @property
    def pixels(self) -> int:
        """Number of pixels that the image has according to the header."""
        return self.frames * self.rows * self.columns


def read_received(
    content: bytes | memoryview, transfer_syntax: str, *, references: bool
) -> ReceivedHeader:
    """Read the header of a data set as it came.

    Parameters
    ----------
    content
        The data set without file meta information.
    transfer_syntax
        UID of its encoding.
    references
        Whether the series that it references must be known: then only a data set that the scanner
        of this module understands is read, never one that needs a more tolerant reader.

    Raises
    ------
    Exception
        Of any kind: the content cannot be read as a data set.
    """
    if transfer_syntax == DeflatedExplicitVRLittleEndian:
        raise ValueError("nothing is inflated here")
    implicit = transfer_syntax == ImplicitVRLittleEndian
    head = bytes(content[:MAX_HEADER_BYTES])
    if transfer_syntax != ExplicitVRBigEndian:
        try:
            return _Scanner(head, implicit, references=references).header()
        except (ValueError, struct.error, IndexError):
            if references:
                raise
            # a form that only a tolerant reader understands
    dataset = pydicom.dcmread(
        BytesIO(
            PREAMBLE
            + _meta_element(0x10, b"UI", transfer_syntax.encode())
            + head[:MAX_TOLERANT_BYTES]
        ),
        stop_before_pixels=True,
        specific_tags=[*WANTED],
    )
    found: dict[str, bytes] = {}
    for tag, name in WANTED.items():
        if tag in dataset:
            value = dataset[tag].value
            binary = name in ("rows", "columns")
            found[name] = struct.pack("<H", value) if binary else str(value).encode()
    return _interpret(found)


def file_header(
    sop_class_uid: str, sop_instance_uid: str, transfer_syntax: str, source_ae: str
) -> bytes:
    """Encode preamble and file meta information (PS3.10, 7.1) for a data set as it came.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid, transfer_syntax
        Of the data set.
    source_ae
        AE title of the sender.
    """
    elements = b"".join(
        (
            _meta_element(0x01, b"OB", b"\0\1"),
            _meta_element(0x02, b"UI", sop_class_uid.encode()),
            _meta_element(0x03, b"UI", sop_instance_uid.encode()),
            _meta_element(0x10, b"UI", transfer_syntax.encode()),
            _meta_element(0x12, b"UI", str(PYNETDICOM_IMPLEMENTATION_UID).encode()),
            _meta_element(0x13, b"SH", PYNETDICOM_IMPLEMENTATION_VERSION.encode()),
            _meta_element(0x16, b"AE", source_ae.encode("ascii", "replace")[:16]),
        )
    )
    return PREAMBLE + _meta_element(0x00, b"UL", struct.pack("<L", len(elements))) + elements


def _meta_element(element: int, vr: bytes, value: bytes) -> bytes:
    if len(value) % 2:
        value += b"\0" if vr in (b"UI", b"OB") else b" "
    head = struct.pack("<HH2s", 2, element, vr)
    length = struct.pack("<HL", 0, len(value)) if vr == b"OB" else struct.pack("<H", len(value))
    return head + length + value


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace").strip(" \0")


def _interpret(found: dict[str, bytes], of_series: tuple[str, ...] = ()) -> ReceivedHeader:
    def text(name: str) -> str:
        return _text(found.get(name, b""))

    def size(name: str) -> int:
        return max(int(struct.unpack("<H", found.get(name, b"\1\0"))[0]), 1)

    return ReceivedHeader(
        sop_instance_uid=text("sop_instance_uid"),
        study_uid=text("study_uid"),
        series_uid=text("series_uid"),
        frames=max(int(text("frames") or 1), 1),
        rows=size("rows"),
        columns=size("columns"),
        of_series=of_series,
    )


class _Scanner:
    """Walks through the front part of a little-endian data set, within limits.

    Every method raises ValueError, struct.error or IndexError for what is no data set or goes
    beyond a limit.
    """

    def __init__(self, head: bytes, implicit: bool, *, references: bool) -> None:
        self._head = head
        self._implicit = implicit
        self._wants_references = references
        self._left = MAX_ELEMENTS
        self._of_series: dict[str, None] = {}

    def header(self) -> ReceivedHeader:
        """The values of `WANTED` at the outermost level, and the series that are referenced."""
        found: dict[str, bytes] = {}
        position, previous, size = 0, 0, len(self._head)
        while position + 8 <= size:
            tag, length, start = self._element(position)
            if tag > LAST_WANTED:
                break
            if tag <= previous:
                raise ValueError("elements out of order")
            previous = tag
            if tag == REFERENCED_SERIES and self._wants_references:
                position = self._references(start, None if length == UNDEFINED else start + length)
                continue
            if length == UNDEFINED:
                position = self._skip_items(start, 0)
                continue
            position = start + length
            if position > size:
                raise ValueError("a value ends behind the data set")
            if tag in WANTED:
                found[WANTED[tag]] = self._head[start:position]
        return _interpret(found, tuple(self._of_series))

    def _element(self, position: int) -> tuple[int, int, int]:
        """Tag, length and start of the value of the element at ``position``."""
        self._left -= 1
        if self._left < 0:
            raise ValueError("too many elements")
        head = self._head
        group, element, vr, length = EXPLICIT(head, position)
        tag = group << 16 | element
        if self._implicit or group == 0xFFFE:
            return tag, LENGTH(head, position + 4)[0], position + 8
        if vr in LONG_VRS:
            return tag, LENGTH(head, position + 8)[0], position + 12
        if not (vr.isalpha() and vr.isupper()):
            raise ValueError("no value representation")
        return tag, length, position + 8

    def _references(self, position: int, end: int | None) -> int:
        """Note the series of a Referenced Series Sequence; the position behind it."""
        while end is None or position < end:
            tag, length, start = self._element(position)
            if tag == SEQUENCE_END and end is None:
                return start
            if tag != ITEM:
                raise ValueError("no item where one must be")
            position = self._reference(start, None if length == UNDEFINED else start + length)
        return position

    def _reference(self, position: int, end: int | None) -> int:
        """Note the series of one item; the position behind it."""
        while end is None or position < end:
            tag, length, start = self._element(position)
            if tag == ITEM_END:
                return start
            if length == UNDEFINED:
                position = self._skip_items(start, 1)
                continue
            position = start + length
            if tag == SERIES_INSTANCE_UID:
                self._of_series[_text(self._head[start:position])] = None
                if len(self._of_series) > MAX_REFERENCED_SERIES:
                    raise ValueError("too many series")
        return position

    def _skip_items(self, position: int, depth: int) -> int:
        """The position behind a sequence, or an encapsulated value, of undefined length."""
        if depth > MAX_DEPTH:
            raise ValueError("sequences nested too deep")
        while True:
            tag, length, start = self._element(position)
            if tag == SEQUENCE_END:
                return start
            if tag != ITEM:
                raise ValueError("no item where one must be")
            if length != UNDEFINED:
                position = start + length
                continue
            position = start
            while True:
                tag, length, start = self._element(position)
                if tag == ITEM_END:
                    position = start
                    break
                if length == UNDEFINED:
                    position = self._skip_items(start, depth + 1)
                else:
                    position = start + length
