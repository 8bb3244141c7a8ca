"""The few elements of a received data set that decide where it is kept, without a full parse."""

import struct
import zlib
from dataclasses import dataclass
from io import BytesIO

import pydicom
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID, PYNETDICOM_IMPLEMENTATION_VERSION

from dicom_node.series.instances import referenced_series

__all__ = ["ReceivedHeader", "file_header", "read_received"]

MAX_HEADER_BYTES = 8 * 1024 * 1024
"""Bytes of a data set that are searched: image headers take some kB, enhanced CT ones some MB."""

MAX_DEPTH = 32
"""How deep sequences may be nested."""

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
LONG_VRS = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
"""Value representations with 32 bits of length (PS3.5, 7.1.2)."""

WANTED = {
    0x00080018: "sop_instance_uid",
    0x0020000D: "study_uid",
    0x0020000E: "series_uid",
    0x00280008: "frames",
    0x00280010: "rows",
    0x00280011: "columns",
}
LAST_WANTED = max(WANTED)

REFERENCED_SERIES = 0x00081115
"""Referenced Series Sequence of a segmentation, the only sequence that is read."""

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
        Whether to read the series that it references too, which takes longer.

    Raises
    ------
    Exception
        Of any kind: the content cannot be read as a data set.
    """
    implicit = transfer_syntax == ImplicitVRLittleEndian
    head = bytes(content[:MAX_HEADER_BYTES])
    if transfer_syntax == DeflatedExplicitVRLittleEndian:
        head = zlib.decompressobj(-zlib.MAX_WBITS).decompress(head, MAX_HEADER_BYTES)
    big_endian = transfer_syntax == ExplicitVRBigEndian
    if not big_endian and not references:
        try:
            return _interpret(_scan(head, implicit))
        except (ValueError, struct.error, IndexError):
            pass  # a form that only a tolerant reader understands
    dataset = pydicom.dcmread(
        BytesIO(PREAMBLE + _meta_element(0x10, b"UI", _plain(transfer_syntax)) + head),
        stop_before_pixels=True,
        specific_tags=[*WANTED, REFERENCED_SERIES],
    )
    found: dict[str, bytes] = {}
    for tag, name in WANTED.items():
        if tag in dataset:
            value = dataset[tag].value
            binary = name in ("rows", "columns")
            found[name] = struct.pack("<H", value) if binary else str(value).encode()
    return _interpret(found, referenced_series(dataset))


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


def _plain(transfer_syntax: str) -> bytes:
    """The transfer syntax of a data set after it was inflated, if it was deflated."""
    if transfer_syntax == DeflatedExplicitVRLittleEndian:
        return ExplicitVRLittleEndian.encode()
    return transfer_syntax.encode()


def _meta_element(element: int, vr: bytes, value: bytes) -> bytes:
    if len(value) % 2:
        value += b"\0" if vr in (b"UI", b"OB") else b" "
    head = struct.pack("<HH2s", 2, element, vr)
    length = struct.pack("<HL", 0, len(value)) if vr == b"OB" else struct.pack("<H", len(value))
    return head + length + value


def _interpret(found: dict[str, bytes], of_series: tuple[str, ...] = ()) -> ReceivedHeader:
    def text(name: str) -> str:
        return found.get(name, b"").decode("ascii", "replace").strip(" \0")

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


def _scan(head: bytes, implicit: bool) -> dict[str, bytes]:
    """The values of `WANTED` at the outermost level of a little-endian data set."""
    found: dict[str, bytes] = {}
    position, previous, size = 0, 0, len(head)
    while position + 8 <= size:
        tag, length, start = _element(head, position, implicit)
        if tag > LAST_WANTED:
            break
        if tag <= previous:
            raise ValueError("elements out of order")
        previous = tag
        if length == UNDEFINED:
            position = _skip_items(head, start, implicit, 0)
            continue
        position = start + length
        if position > size:
            raise ValueError("a value ends behind the data set")
        if tag in WANTED:
            found[WANTED[tag]] = head[start:position]
    return found


def _element(head: bytes, position: int, implicit: bool) -> tuple[int, int, int]:
    """Tag, length and start of the value of the element at ``position``."""
    group, element = struct.unpack_from("<HH", head, position)
    tag = group << 16 | element
    if implicit or group == 0xFFFE:
        return tag, struct.unpack_from("<L", head, position + 4)[0], position + 8
    vr = head[position + 4 : position + 6]
    if vr in LONG_VRS:
        return tag, struct.unpack_from("<L", head, position + 8)[0], position + 12
    if not (vr.isalpha() and vr.isupper()):
        raise ValueError("no value representation")
    return tag, struct.unpack_from("<H", head, position + 6)[0], position + 8


def _skip_items(head: bytes, position: int, implicit: bool, depth: int) -> int:
    """The position behind a sequence, or an encapsulated value, of undefined length."""
    if depth > MAX_DEPTH:
        raise ValueError("sequences nested too deep")
    while True:
        tag, length, start = _element(head, position, implicit)
        if tag == SEQUENCE_END:
            return start
        if tag != ITEM:
            raise ValueError("no item where one must be")
        if length != UNDEFINED:
            position = start + length
            continue
        position = start
        while True:
            tag, length, start = _element(head, position, implicit)
            if tag == ITEM_END:
                position = start
                break
            if length == UNDEFINED:
                position = _skip_items(head, start, implicit, depth + 1)
            else:
                position = start + length
