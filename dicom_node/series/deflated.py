"""Check how large a deflated file becomes before all of it is inflated in memory."""

import zlib
from pathlib import Path

__all__ = ["InflatesTooFar", "check_inflated_size"]

DEFLATED = b"1.2.840.10008.1.2.1.99"
"""Deflated Explicit VR Little Endian (PS3.5, A.5)."""

MAX_INFLATED_BYTES = 1 << 26
"""Largest data set that is inflated; an image of 2048 x 2048 pixels takes an eighth of it."""

INFLATED_AT_A_TIME_BYTES = 1 << 16

META_START = 144
"""Where the file meta information goes on behind its group length: preamble, prefix and (0002,0000)
before it (PS3.10, 7.1)."""


class InflatesTooFar(ValueError):
    """A deflated file that would take more memory than any image."""


def check_inflated_size(path: Path) -> None:
    """Inflate a deflated DICOM file piece by piece, keeping nothing; other files pass.

    Raises
    ------
    InflatesTooFar
        It becomes larger than ``MAX_INFLATED_BYTES``.
    OSError, zlib.error
        It cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(1024)
        if DEFLATED not in start:
            return
        file.seek(META_START + int.from_bytes(start[META_START - 4 : META_START], "little"))
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        total, rest = 0, file.read(INFLATED_AT_A_TIME_BYTES)
        while rest and not inflater.eof:
            total += len(inflater.decompress(rest, INFLATED_AT_A_TIME_BYTES))
            if total > MAX_INFLATED_BYTES:
                raise InflatesTooFar
            rest = inflater.unconsumed_tail or file.read(INFLATED_AT_A_TIME_BYTES)
