"""What the kernel says of a process's memory."""

import re
from pathlib import Path

__all__ = ["kernel_memory_mb"]


def kernel_memory_mb(process: int | str, file: str, entry: str) -> float:
    """Sum the entries of a file below ``/proc`` whose name matches, MB; 0 where there is none.

    Parameters
    ----------
    process
        Its number, or ``self``.
    file
        Such as ``status`` or ``smaps_rollup``.
    entry
        A regular expression, such as ``VmHWM``.
    """
    text = (Path("/proc") / str(process) / file).read_text()
    return sum(map(int, re.findall(rf"^{entry}:\s+(\d+)", text, re.M))) / 1024
