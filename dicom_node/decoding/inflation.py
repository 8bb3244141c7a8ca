"""Deflated files, inflated within a limit before a parser sees them.

A parser inflates all that there is: 12 kB can become gigabytes. The node accepts nothing deflated
from the network; files that a user gives, or that an earlier version received, may be.
"""

import zlib
from io import BytesIO
from pathlib import Path
from struct import unpack_from

from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

__all__ = ["MAX_INFLATED_BYTES", "MAX_INFLATED_HEADER_BYTES", "InflatesTooFar", "plain_file"]

MAX_INFLATED_BYTES = 256 * 1024 * 1024
"""A whole data set: a CT slice has 0.5 MB, six structures segmented in 500 slices 100 MB."""

MAX_INFLATED_HEADER_BYTES = 2 * 1024 * 1024
"""The part of a data set that is inflated where only its header is read."""

LONGEST_META_BYTES = 2048
"""Usual file meta information is shorter; of a longer one pydicom finds the transfer syntax."""

META_VRS = (b"UL", b"UI", b"SH", b"AE", b"OB", b"UR")
"""Value representations of file meta information (PS3.10, table 7.1-1)."""

LONG_META_VRS = (b"OB", b"UR")
"""Those whose length is written in four bytes (PS3.5, 7.1.2)."""


class InflatesTooFar(ValueError):
    """A deflated file that would take more memory than any image or segmentation."""


def plain_file(path: Path, *, header_only: bool = False) -> Path | BytesIO:
    """The file itself, or, if it is deflated, what it inflates to.

    Parameters
    ----------
    path
        A DICOM file.
    header_only
        Whether a data set may be cut off behind `MAX_INFLATED_HEADER_BYTES`.

    Returns
    -------
    Path or BytesIO
        What pydicom reads without inflating anything.

    Raises
    ------
    InflatesTooFar
        It is deflated and inflates to more than `MAX_INFLATED_BYTES`.
    pydicom.errors.InvalidDicomError
        It is no DICOM file.
    zlib.error
        It is damaged.
    """
    with path.open("rb") as file:
        if _is_plain(file.read(LONGEST_META_BYTES)):
            return path
    meta = read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return path
    content = path.read_bytes()
    start = 144 + int(meta.FileMetaInformationGroupLength)
    most = MAX_INFLATED_HEADER_BYTES if header_only else MAX_INFLATED_BYTES
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content[start:], most + 1)
    if len(inflated) > most and not header_only:
        raise InflatesTooFar(f"the data set inflates to more than {most} bytes")
    deflated_uid = DeflatedExplicitVRLittleEndian.encode()
    plain_uid = ExplicitVRLittleEndian.encode().ljust(len(deflated_uid), b"\0")
    return BytesIO(content[:start].replace(deflated_uid, plain_uid) + inflated)


def _is_plain(start: bytes) -> bool:
    """Whether a file's first bytes surely say that its data set is not deflated.

    Elements are walked through one by one, as a parser does; no stated group length is trusted.
    """
    if start[128:132] != b"DICM":
        return False
    place, syntax = 132, b""
    while place + 8 <= len(start):
        group, number, vr, length = unpack_from("<HH2sH", start, place)
        if group != 2:
            return syntax not in (b"", DeflatedExplicitVRLittleEndian.encode())
        place += 8
        if vr not in META_VRS:
            return False
        if vr in LONG_META_VRS:
            if place + 4 > len(start):
                return False
            (length,) = unpack_from("<L", start, place)
            place += 4
        if number == 0x0010:
            syntax = start[place : place + length].rstrip(b"\0 ")
        place += length
    return False
