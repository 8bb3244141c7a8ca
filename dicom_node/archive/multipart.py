"""Reads multipart/related answers while they come in, without holding a part in memory."""

import re
from collections.abc import Callable

__all__ = ["MultipartBroken", "MultipartReader", "boundary_of"]

MAX_PART_HEADER_BYTES = 16 * 1024
"""Most that the headers of a part may have, and most that may come before the first part."""

BOUNDARY = re.compile(r'boundary\s*=\s*(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
"""Parameter of the content type; at most 70 characters (RFC 2046, section 5.1.1)."""


class MultipartBroken(Exception):
    """An answer that ends before its closing boundary, or is no multipart message."""


def boundary_of(content_type: str) -> bytes | None:
    """The boundary that a content type names; None if it is not multipart/related.

    >>> boundary_of('multipart/related; type="application/dicom"; boundary="a b"')
    b'a b'
    >>> boundary_of("text/html; boundary=a") is None
    True
    """
    found = BOUNDARY.search(content_type)
    if not content_type.lower().startswith("multipart/related") or found is None:
        return None
    return (found[1] or found[2]).encode("latin-1", "replace")


class MultipartReader:
    """Goes through the parts of a message (RFC 2046, section 5.1).

    Parameters
    ----------
    read
        Gives the next bytes of the message, and none at its end.
    boundary
        As the content type names it.
    """

    def __init__(self, read: Callable[[], bytes], boundary: bytes) -> None:
        self._read = read
        self._delimiter = b"\r\n--" + boundary
        self._buffer = b"\r\n"  # the first delimiter may begin the message
        self._before_first = True

    def next_part(self) -> bool:
        """Go to the content of the next part; False behind the closing boundary.

        It is called first, and again when `copy` has given the part.

        Raises
        ------
        MultipartBroken
            The message ends before, or what comes is no part.
        """
        if self._before_first:
            self._before_first = False
            self._to_first()
        while len(self._buffer) < 2:
            self._more()
        if self._buffer.startswith(b"--"):
            return False
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > MAX_PART_HEADER_BYTES:
                raise MultipartBroken("a part without end of its headers")
            self._more()
        self._buffer = self._buffer[end + 4 :]
        return True

    def copy(self, write: Callable[[memoryview], object]) -> None:
        """Give the content of the part, piece by piece.

        Raises
        ------
        MultipartBroken
            The message ends within the part.
        """
        keep = len(self._delimiter) - 1
        while (end := self._buffer.find(self._delimiter)) < 0:
            whole = max(len(self._buffer) - keep, 0)
            write(memoryview(self._buffer)[:whole])
            self._buffer = self._buffer[whole:]
            self._more()
        write(memoryview(self._buffer)[:end])
        self._buffer = self._buffer[end + len(self._delimiter) :]

    def _to_first(self) -> None:
        """Skip what comes before the first part."""
        while (start := self._buffer.find(self._delimiter)) < 0:
            if len(self._buffer) > MAX_PART_HEADER_BYTES:
                raise MultipartBroken("no part where the first one must be")
            self._more()
        self._buffer = self._buffer[start + len(self._delimiter) :]

    def _more(self) -> None:
        piece = self._read()
        if not piece:
            raise MultipartBroken("the answer ended before its closing boundary")
        self._buffer += piece
