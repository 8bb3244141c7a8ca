"""The files of a series on their way: what was asked for, what came, and what is missing."""

import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from dicom_node.archive.sources import ListedSeries, SeriesIncomplete
from dicom_node.errors import DiskFault
from dicom_node.files import open_private
from dicom_node.receiving.received_header import ReceivedHeader, read_received

__all__ = ["MAX_INSTANCE_MB", "Arrivals", "ArrivingFile", "TooMuch"]

MAX_INSTANCE_MB = 4095
"""Most that one instance may have, MB; multi-frame CT has up to some hundred."""

SPARE_INSTANCES = 16
"""Instances beyond those asked for that an archive may send before the transfer is ended."""

HEAD_BYTES = 16 * 1024
WHOLE_HEAD_BYTES = 8 * 1024 * 1024
"""Bytes of a file in which its UIDs are looked for; the second where the first do not do."""

META_START = 132
"""Length of preamble and prefix (PS3.10, 7.1)."""

EXPLICIT_LONG = (b"OB", b"UN", b"SQ", b"UT", b"OW")


class TooMuch(Exception):
    """An archive sends more than the instances that it was asked for can be."""


class Arrivals:
    """Takes the instances of one series, each into a file, and knows which are missing.

    Instances may arrive in several threads.

    Parameters
    ----------
    series
        Whose instances were asked for.
    instances
        Their SOP Instance UIDs.
    folder
        Where the files are written; the folder is there.
    """

    def __init__(self, series: ListedSeries, instances: Sequence[str], folder: Path) -> None:
        self.wanted = frozenset(instances)
        self.progress = 0
        self.fault: OSError | None = None
        self._series = series
        self._order = tuple(instances)
        self._folder = folder
        self._lock = threading.Lock()
        self._came: dict[str, Path] = {}
        self._others = 0
        self._opened = 0

    @property
    def count(self) -> int:
        """How many of the instances asked for have come."""
        return len(self._came)

    def lacks(self, uid: str) -> bool:
        """Whether an instance was asked for and has not come yet."""
        return uid in self.wanted and uid not in self._came

    def open(self) -> "ArrivingFile":
        """Begin the file of an instance.

        Raises
        ------
        OSError
            The disk does not take it; it is kept as the fault.
        TooMuch
            So many came already that the archive must be sending without end.
        """
        with self._lock:
            self._opened += 1
            number = self._opened
        if number > len(self.wanted) + SPARE_INSTANCES:
            raise TooMuch("more instances than were asked for")
        path = self._folder / f".arriving-{number}"
        try:
            return ArrivingFile(self, path, open(path, "xb", opener=open_private))
        except OSError as error:
            self.fault = error
            raise

    def refuse(self) -> None:
        """Count an instance that was not asked for."""
        with self._lock:
            self._others += 1

    def keep(self, path: Path, header: ReceivedHeader) -> bool:
        """Give a whole file its name if it is an instance that was asked for; else remove it."""
        uid = header.sop_instance_uid
        with self._lock:
            known = header.series_uid == self._series.series_uid and uid in self.wanted
            new = known and uid not in self._came
            self._others += not known
            if new:
                self._came[uid] = path.replace(self._folder / f"{uid}.dcm")
        if not new:
            path.unlink(missing_ok=True)
        return known

    def files(self, said: str) -> list[Path]:
        """The files, in the order of the instances that were asked for.

        Parameters
        ----------
        said
            How the transfer ended, for the message.

        Raises
        ------
        DiskFault
            The disk did not take a file.
        SeriesIncomplete
            Not exactly the instances asked for came.
        """
        if self.fault is not None:
            raise DiskFault(f"an instance was not written ({self.fault.strerror})") from self.fault
        if len(self._came) < len(self.wanted) or self._others:
            raise SeriesIncomplete(self.counted(said))
        return [self._came[uid] for uid in self._order]

    def counted(self, said: str) -> str:
        """How many came, as a sentence that ends with how the transfer ended."""
        others = f" and {self._others} that were not asked for" if self._others else ""
        return f"{self.count} of {len(self.wanted)} instances came{others}, {said}"


class ArrivingFile:
    """One instance on its way into a file, without being held in memory.

    Parameters
    ----------
    arrivals
        Of its series.
    path, file
        Where it is written.
    """

    def __init__(self, arrivals: Arrivals, path: Path, file: BinaryIO) -> None:
        self._arrivals = arrivals
        self._path = path
        self._file = file
        self._head = bytearray()
        self._header: ReceivedHeader | None = None
        self._size = 0

    def write(self, piece: bytes | memoryview) -> None:
        """Write the next bytes of the file.

        Raises
        ------
        OSError
            The disk does not take them; it is kept as the fault.
        TooMuch
            The instance is longer than any.
        """
        self._size += len(piece)
        self._arrivals.progress += len(piece)
        if self._size > MAX_INSTANCE_MB * 1024 * 1024:
            raise TooMuch(f"an instance of more than {MAX_INSTANCE_MB} MB")
        try:
            self._file.write(piece)
        except OSError as error:
            self._arrivals.fault = error
            raise
        if len(self._head) < HEAD_BYTES:
            self._head += piece[: HEAD_BYTES - len(self._head)]
            if len(self._head) == HEAD_BYTES:  # while the rest is on its way
                self._header = _read(self._head)

    def finish(self) -> bool:
        """End the file; False, and it is gone, if it is no instance that was asked for.

        Raises
        ------
        OSError
            The disk does not take it; it is kept as the fault.
        """
        try:
            self._file.close()
            header = self._whole_header()
            if header is not None:
                return self._arrivals.keep(self._path, header)
            self._path.unlink(missing_ok=True)
        except OSError as error:
            self._arrivals.fault = error
            raise
        self._arrivals.refuse()
        return False

    def discard(self) -> None:
        """End the file and remove it."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _whole_header(self) -> ReceivedHeader | None:
        """UIDs of the data set itself; None if it is none."""
        if self._header is not None:
            return self._header
        if self._size < HEAD_BYTES:
            return _read(self._head)
        with self._path.open("rb") as file:
            return _read(file.read(WHOLE_HEAD_BYTES))


def _read(head: bytes | bytearray) -> ReceivedHeader | None:
    """UIDs of a data set, of which this is the beginning; None if they are not in it."""
    try:
        syntax, start = _file_meta(head)
        found = read_received(memoryview(head)[start:], syntax, references=False)
    except Exception:  # an archive may send anything
        return None
    return found if found.series_uid else None


def _file_meta(head: bytes | bytearray) -> tuple[str, int]:
    """Transfer syntax, and where the data set begins (PS3.10, 7.1)."""
    if head[META_START - 4 : META_START] != b"DICM":
        raise ValueError("no DICOM file")
    position, syntax = META_START, ""
    while struct.unpack_from("<H", head, position)[0] == 2:
        element, vr = struct.unpack_from("<H2s", head, position + 2)
        long = vr in EXPLICIT_LONG
        (length,) = struct.unpack_from("<L" if long else "<H", head, position + (8 if long else 6))
        position += (12 if long else 8) + length
        if element == 0x10:
            syntax = head[position - length : position].decode("ascii").rstrip(" \0")
    return syntax, position
