"""Files as a tar stream (POSIX.1-1988, ustar) that ends with the digest of each of them.

The last file is ``SHA256SUMS``, as `sha256sum` writes it: a stream without it was cut off. Any tar
program unpacks the stream, and ``sha256sum -c SHA256SUMS`` checks it.
"""

import hashlib
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from dicom_node.files import make_private_folder, open_private

__all__ = ["BrokenStream", "is_plain_name", "pack", "unpack"]

SUMS_FILE = "SHA256SUMS"

BLOCK = tarfile.BLOCKSIZE
"""Bytes that the header of a file has, and of which its content fills a whole number."""

PIECE_BYTES = 1 << 20
"""Bytes that are read or written at once."""

PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}"
PLAIN_NAME = re.compile(rf"(?:{PART}/){{1,3}}{PART}")
"""Names that lead nowhere but down: no part is empty, hidden, or `..`."""


class BrokenStream(Exception):
    """A stream that was cut off or changed, or that is not of the form; the message says which."""


def is_plain_name(name: str) -> bool:
    """Whether a file's name in a stream is one that can be unpacked in any folder.

    >>> [is_plain_name(n) for n in ("spool/a.dcm", "spool/../a", "/etc/passwd", "a", "spool/.a")]
    [True, False, False, False, False]
    """
    return PLAIN_NAME.fullmatch(name) is not None


def pack(files: Mapping[str, Path]) -> Iterator[bytes]:
    """Yield files as a stream.

    Parameters
    ----------
    files
        By their names in the stream.

    Raises
    ------
    OSError
        A file cannot be read: the stream then has no end.
    """
    sums = []
    for name, path in files.items():
        digest = hashlib.sha256()
        with path.open("rb") as file:
            left = path.stat().st_size
            before = _header(name, left)
            padding = bytes(-left % BLOCK)
            while left:
                piece = file.read(min(left, PIECE_BYTES))
                if not piece:
                    raise OSError("a file became shorter while it was read")
                digest.update(piece)
                left -= len(piece)
                yield before + piece + (b"" if left else padding)
                before = b""
            if before:
                yield before
        sums.append(f"{digest.hexdigest()}  {name}\n")
    content = "".join(sums).encode()
    yield _header(SUMS_FILE, len(content)) + content + bytes(-len(content) % BLOCK + 2 * BLOCK)


def unpack(
    read: Callable[[int], bytes],
    folder: Path,
    accepts: Callable[[str], bool],
    most_bytes: int,
) -> frozenset[str]:
    """Write the files of a stream into a folder, and check each of them.

    Parameters
    ----------
    read
        Gives at most so many bytes of the stream, and none at its end.
    folder
        Where they are written; only their user can read them.
    accepts
        Whether a file of this name is wanted; others end the unpacking.
    most_bytes
        That the files may have together.

    Returns
    -------
    frozenset of str
        Their names.

    Raises
    ------
    BrokenStream
        The stream was cut off, a file's bytes are not those that were sent, or a name or size is
        not allowed. What was written is worth nothing.
    OSError
        The disk does not take them.
    """
    sums: dict[str, str] = {}
    total = 0
    while True:
        entry = _entry(b"".join(_pieces(read, BLOCK)))
        total += entry.size
        if total > most_bytes:
            raise BrokenStream(f"more than {most_bytes} bytes")
        if entry.name == SUMS_FILE:
            break
        if entry.name in sums or not (is_plain_name(entry.name) and accepts(entry.name)):
            raise BrokenStream("a file that was not asked for")
        target = folder / entry.name
        make_private_folder(target.parent)
        digest = hashlib.sha256()
        with open(target, "xb", opener=open_private) as file:
            for piece in _pieces(read, entry.size):
                digest.update(piece)
                file.write(piece)
        _skip(read, -entry.size % BLOCK)
        sums[entry.name] = digest.hexdigest()
    _check_sums(sums, read, entry.size)
    return frozenset(sums)


def _check_sums(sums: Mapping[str, str], read: Callable[[int], bytes], size: int) -> None:
    expected = "".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode()
    if size != len(expected) or b"".join(_pieces(read, size)) != expected:
        raise BrokenStream("the digests are not those of the files that came")


def _header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def _entry(header: bytes) -> tarfile.TarInfo:
    try:
        entry = tarfile.TarInfo.frombuf(header, "ascii", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError) as error:
        raise BrokenStream("it is no tar stream") from error
    if entry.type != tarfile.REGTYPE or entry.size < 0:
        raise BrokenStream("an entry that is no file")
    return entry


def _pieces(read: Callable[[int], bytes], size: int) -> Iterable[bytes]:
    while size:
        piece = read(min(size, PIECE_BYTES))
        if not piece:
            raise BrokenStream("it ended before its digests came")
        size -= len(piece)
        yield piece


def _skip(read: Callable[[int], bytes], size: int) -> None:
    for _ in _pieces(read, size):
        pass
