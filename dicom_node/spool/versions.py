"""The versions of one instance on disk: what was received under one UID, in the order of arrival.

The first is ``<name>.dcm``, those that came later with other bytes are ``<name>.1.dcm`` and so on.
"""

import os
from pathlib import Path
from typing import Literal

__all__ = [
    "MAX_VERSIONS",
    "Receipt",
    "TooManyVersions",
    "instance_name",
    "remove_version",
    "same_data_set",
    "sender",
    "version_of",
    "version_paths",
]

MAX_VERSIONS = 8
"""Most versions of one instance that are kept: a correction or two, and no endless growth."""

META_LENGTH_END = 144
"""Where the elements begin that File Meta Information Group Length counts (PS3.10, 7.1)."""

TRANSFER_SYNTAX = b"\x02\x00\x10\x00UI"
SOURCE_AE_TITLE = b"\x02\x00\x16\x00AE"

META_BYTES = 4096
"""Bytes of a file that hold its meta information, as the listener writes it."""

Receipt = Literal["new", "repeated", "different"]
"""What an instance is beside those received before: unknown, the same bytes, or other bytes."""


class TooManyVersions(Exception):
    """An instance that came with other bytes too often."""


def instance_name(stem: str) -> str:
    """The name of the instance that a version is of.

    >>> instance_name("0a1b.2"), instance_name("0a1b")
    ('0a1b', '0a1b')
    """
    return stem.partition(".")[0]


def version_of(stem: str) -> int:
    """The number of a version, 0 for the first.

    >>> version_of("0a1b.2"), version_of("0a1b")
    (2, 0)
    """
    number = stem.partition(".")[2]
    return int(number) if number.isdigit() else 0


def version_paths(folder: Path, name: str) -> list[Path]:
    """The files of an instance, in the order in which they came."""
    found = [folder / f"{name}.dcm", *folder.glob(f"{name}.*.dcm")]
    return sorted((path for path in found if path.exists()), key=lambda p: version_of(p.stem))


def same_data_set(one: bytes, other: bytes) -> bool:
    """Whether two files hold the same data set in the same encoding, whoever sent them."""
    return _data_set(one) == _data_set(other)


def sender(path: Path) -> str:
    """AE title of the peer that sent a file; empty if it does not say."""
    with path.open("rb") as file:
        return _meta_value(file.read(META_BYTES), SOURCE_AE_TITLE).decode("ascii", "replace")


def remove_version(path: Path, away: Path) -> None:
    """Move one version away; at each moment the others, and one of them as the first, are there.

    Parameters
    ----------
    path
        The version.
    away
        Where it is moved to, on the same file system; nothing lies there.
    """
    name = instance_name(path.stem)
    later = [other for other in version_paths(path.parent, name) if other != path]
    if version_of(path.stem) or not later:
        os.rename(path, away)
        return
    os.link(path, away)
    os.replace(later[0], path)


def _data_set(content: bytes) -> tuple[bytes, memoryview]:
    """Transfer syntax UID and data set of a file; without meta information all is data set."""
    if content[128:132] != b"DICM":
        return b"", memoryview(content)
    begin = META_LENGTH_END + int.from_bytes(content[140:144], "little")
    return _meta_value(content[:begin], TRANSFER_SYNTAX), memoryview(content)[begin:]


def _meta_value(meta: bytes, element: bytes) -> bytes:
    at = meta.find(element)
    if at < 0:
        return b""
    begin = at + len(element) + 2
    length = int.from_bytes(meta[begin - 2 : begin], "little")
    return meta[begin : begin + length].strip(b"\0 ")
