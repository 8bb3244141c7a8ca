"""What runs in a child process: its limits, its end, and where it failed.

Light to import, for a child that surveys a study needs nothing of what assesses one.
"""

import ctypes
import errno
import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Callable
from typing import TypeVar

from dicom_node.errors import AssessmentFailed, ReportInvalid, SettingsInvalid
from dicom_node.logs import configure_logs, fault_fields, log
from dicom_node.memory import give_memory_back, keep_memory

__all__ = ["DISK_FAULTS", "enter_child", "run_in_child", "run_in_lasting_child"]

T = TypeVar("T")

DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""Error numbers of the operating system for a disk that does not take a file."""

PR_SET_PDEATHSIG = 1
"""Option of ``prctl`` that names the signal which the kernel sends when the parent has ended."""

IMPORTED_BY = os.getpid()
"""The process that imported this module: a spawned child itself, or a forked child's server."""


def enter_child(memory_mb: int) -> None:
    """Begin a child: it logs, uses no more than its memory, and ends with those who started it.

    Those are the process that has the pool, and the server that forked the child if there is one:
    a child without its server is no longer watched, and must not take up work.

    Parameters
    ----------
    memory_mb
        Limit of the address space, MB.
    """
    configure_logs("assessment")
    keep_memory()
    limit = memory_mb * 1024 * 1024
    # the soft limit alone: a segmenter's own process has its own limit, which may be higher
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if os.getpid() != IMPORTED_BY:
        _end_with_server()


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


def run_in_lasting_child(function: Callable[..., T], *arguments: object) -> T:
    """Do as `run_in_child`; memory that ``function`` leaves unused goes back to the system."""
    try:
        return run_in_child(function, *arguments)
    finally:
        give_memory_back()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _end_with_server() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != IMPORTED_BY:  # it ended before it was watched
        os._exit(1)
