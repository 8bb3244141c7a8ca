"""Files that are written whole or not at all, and that only their user can read."""

import os
import threading
from pathlib import Path
from typing import BinaryIO

__all__ = ["make_private_folder", "open_private", "sync_folder", "write_atomically", "write_new"]


def write_atomically(
    path: Path, *parts: bytes, durable: bool, temporary: Path | None = None
) -> None:
    """Write a file beside its place and give it its name when it is whole.

    Only the user who runs the process can read it (0600), whatever the umask. A symbolic link in
    its place is replaced, never followed.

    Parameters
    ----------
    path
        The file's name; a file that has it already is replaced.
    parts
        The content, written one after the other without being joined in memory.
    durable
        Whether content and name are on the disk, and not only in the page cache, on return. Without
        it nothing is synced: a power failure may lose the file, a crash of the process may not.
    temporary
        Where it is written, on the same file system. By default a hidden name in the same folder
        that no other thread or process uses.

    Raises
    ------
    OSError
        The disk did not take it; what ``path`` named before is as it was.
    """
    if temporary is None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        _write(temporary, parts, durable)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def write_new(path: Path, *parts: bytes, durable: bool, temporary: Path) -> None:
    """Write a file whole, and never over another one: of several writers one gets the name.

    Parameters
    ----------
    path, parts, durable, temporary
        As for `write_atomically`; ``temporary`` is a name that no other writer uses.

    Raises
    ------
    FileExistsError
        A file has the name already; it is as it was.
    OSError
        The disk did not take it.
    """
    try:
        _write(temporary, parts, durable)
        os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        sync_folder(path.parent)


def make_private_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for their user alone (0700).

    A folder that is there already keeps its mode.

    Raises
    ------
    OSError
        It cannot be made, or something else has its name.
    """
    for level in (*reversed(folder.parents), folder):
        level.mkdir(mode=0o700, exist_ok=True)


def open_private(path: str, flags: int) -> int:
    """Open a file for its user alone (0600): an ``opener`` for `open`."""
    return os.open(path, flags, 0o600)


def _write(path: Path, parts: tuple[bytes, ...], durable: bool) -> None:
    """Write a new file's content; with ``durable`` it is on the disk on return."""
    with _new_file(path) as file:
        file.writelines(parts)
        file.flush()
        if durable:
            os.fsync(file.fileno())


def _new_file(path: Path) -> BinaryIO:
    """Make a file, for its user alone; what a crash left under its name is removed before."""
    try:
        return open(path, "xb", opener=open_private)
    except FileExistsError:
        path.unlink()
        return open(path, "xb", opener=open_private)


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries, such as a name just given, to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
