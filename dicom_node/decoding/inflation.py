"""Deflated files, inflated within a limit before a parser sees them.

A parser inflates all that there is: 12 kB can become gigabytes. The node accepts nothing deflated
from the network; files that a user gives, or that an earlier version received, may be.
"""

import zlib
from io import BytesIO
from pathlib import Path

from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

__all__ = ["MAX_INFLATED_BYTES", "MAX_INFLATED_HEADER_BYTES", "InflatesTooFar", "plain_file"]

MAX_INFLATED_BYTES = 256 * 1024 * 1024
"""A whole data set: a CT slice has 0.5 MB, six structures segmented in 500 slices 100 MB."""

MAX_INFLATED_HEADER_BYTES = 2 * 1024 * 1024
"""The part of a data set that is inflated where only its header is read."""


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
