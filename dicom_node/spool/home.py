"""The name of a spool, by which workers on several machines know whose instances are where."""

import uuid
from contextlib import suppress
from pathlib import Path

from dicom_node.files import write_new

__all__ = ["spool_home"]

HOME_FILE = "home"
"""File in the spool's folder that holds its name."""


def spool_home(root: Path) -> str:
    """The name of the spool in this folder: twelve hexadecimal digits, drawn once.

    Machines that share the folder share the name.
    """
    path = root / HOME_FILE
    if not path.is_file():
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = uuid.uuid4().hex
        with suppress(FileExistsError):  # another process drew one meanwhile
            write_new(path, name[:12].encode(), durable=True, temporary=root / f".{name}")
    return path.read_text()
