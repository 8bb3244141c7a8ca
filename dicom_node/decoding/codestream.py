"""What the codestream of a compressed image says of itself, read without decoding it."""

import struct
from dataclasses import dataclass

__all__ = ["Codestream", "read_codestream"]

JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  "
"""How a JPEG 2000 file begins that was put around a codestream (ISO 15444-1, annex I)."""

FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
"""Second bytes of the JPEG and JPEG-LS markers SOF0 to SOF15 and SOF55."""


@dataclass(frozen=True)
class Codestream:
    """Size, depth in bits and sign of an image; ``signed`` is None where the format has no sign."""

    rows: int
    columns: int
    components: int
    precision: int
    signed: bool | None


def read_codestream(frame: bytes) -> Codestream | None:
    """Read the head of a JPEG, JPEG-LS or JPEG 2000 codestream; None if it is none of these."""
    try:
        if frame.startswith(b"\xff\xd8"):
            return _jpeg(frame)
        start = frame.find(b"\xff\x4f\xff\x51") if frame.startswith(JP2_SIGNATURE) else 0
        return _jpeg2000(frame[max(start, 0) :])
    except (struct.error, IndexError):
        return None


def _jpeg(frame: bytes) -> Codestream | None:
    """ISO 10918-1, B.2.2, and ISO 14495-1, C.2.2: the frame header."""
    offset = 2
    while frame[offset] == 0xFF:
        marker = frame[offset + 1]
        if marker in FRAME_MARKERS:
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, offset + 4)
            return Codestream(rows, columns, components, precision, None)
        offset += 1 if marker == 0xFF else 2 + struct.unpack_from(">H", frame, offset + 2)[0]
    return None


def _jpeg2000(frame: bytes) -> Codestream | None:
    """ISO 15444-1, A.5.1: the SIZ segment."""
    if not frame.startswith(b"\xff\x4f\xff\x51"):
        return None
    x_size, y_size, x_offset, y_offset = struct.unpack_from(">4I", frame, 8)
    components, depth = struct.unpack_from(">HB", frame, 40)
    return Codestream(
        y_size - y_offset, x_size - x_offset, components, (depth & 0x7F) + 1, bool(depth & 0x80)
    )
