"""A file written whole or not at all."""

import os
import tempfile
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: Path, content: bytes, *, replace: bool = True) -> None:
    """Write to a temporary name beside the file, then rename: a reader never sees half of it.

    Parameters
    ----------
    path
        The file; its folder must be there.
    content
        All of it; on the disk before it has its name.
    replace
        Whether a file of that name may be replaced.

    Raises
    ------
    FileExistsError
        There is something of that name that must not be replaced; nothing is written.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        if path.exists() and not replace:
            raise FileExistsError(f"{path} is already there")
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
