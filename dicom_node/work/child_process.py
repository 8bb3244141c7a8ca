"""What runs in a child process: its limits, its end, and where it failed.

Light to import, for a child that surveys a study needs nothing of what assesses one.
"""

import errno
import os
import resource
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from dicom_node.errors import AssessmentFailed, ReportInvalid, SettingsInvalid
from dicom_node.logs import configure_logs, fault_fields, log

__all__ = ["DISK_FAULTS", "enter_child", "run_in_child"]

T = TypeVar("T")

DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""Error numbers of the operating system for a disk that does not take a file."""

PARENT_POLL_SECONDS = 1.0
"""How often a child looks whether its parent still lives."""


def enter_child(parent: int, memory_mb: int) -> None:
    """Begin a child: it logs, uses no more than its memory, and ends with its parent.

    Parameters
    ----------
    parent
        Its process id.
    memory_mb
        Limit of the address space, MB.
    """
    configure_logs("assessment")
    limit = memory_mb * 1024 * 1024
    # the soft limit alone: a segmenter's own process has its own limit, which may be higher
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()


def run_in_child(function: Callable[..., T], *arguments: object) -> T:
    """Run ``function`` and log where it failed, for its frames do not travel to the parent."""
    try:
        return function(*arguments)
    except (MemoryError, AssessmentFailed, ReportInvalid, SettingsInvalid):
        raise
    except Exception as error:
        if not (isinstance(error, OSError) and error.errno in DISK_FAULTS):
            log().error("unforeseen fault", **fault_fields(error))
        raise


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_SECONDS)
    os._exit(1)
