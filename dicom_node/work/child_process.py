"""What runs in a child process: its limits, its end, and where it failed.

Light to import, for a child that surveys a study needs nothing of what assesses one.
"""

import contextlib
import ctypes
import errno
import gc
import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Callable
from typing import TypeVar

from dicom_node.errors import AssessmentFailed, ReportInvalid, SettingsInvalid
from dicom_node.logs import configure_logs, fault_fields, log

__all__ = ["DISK_FAULTS", "enter_child", "give_memory_back", "keep_memory", "run_in_child"]

T = TypeVar("T")

DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""Error numbers of the operating system for a disk that does not take a file."""

PR_SET_PDEATHSIG = 1
"""Option of ``prctl`` that names the signal which the kernel sends when the parent has ended."""

MALLOC_OPTIONS = {-3: 64 << 20, -1: 512 << 20, -2: 16 << 20}
"""Of glibc's ``mallopt``, bytes: blocks up to this size come from the heap (M_MMAP_THRESHOLD), of
which so much may lie unused at its end (M_TRIM_THRESHOLD) and which grows by so much
(M_TOP_PAD). An assessment makes thousands of arrays of some MB: to get and clear the pages of each
anew took a tenth of its CPU time."""

OBJECTS_PER_COLLECTION = 50_000
"""So many new objects make Python look for cycles among them: its own 700 are a tenth of the CPU
time of an assessment, which makes a million objects and hardly a cycle."""

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
    """Run ``function`` and log where it failed, for its frames do not travel to the parent.

    Memory that it leaves unused goes back to the system.
    """
    try:
        return function(*arguments)
    except (MemoryError, AssessmentFailed, ReportInvalid, SettingsInvalid):
        raise
    except Exception as error:
        if not (isinstance(error, OSError) and error.errno in DISK_FAULTS):
            log().error("unforeseen fault", **fault_fields(error))
        raise
    finally:
        give_memory_back()


def keep_memory() -> None:
    """Let this process keep memory for its next use, until `give_memory_back`."""
    gc.set_threshold(OBJECTS_PER_COLLECTION, *gc.get_threshold()[1:])
    with contextlib.suppress(AttributeError):  # only glibc has it
        for option, value in MALLOC_OPTIONS.items():
            ctypes.CDLL(None).mallopt(option, value)


def give_memory_back() -> None:
    """Give unused memory back to the system.

    What is in use stays so, as what was loaded and cached: Python looks through it only once.
    """
    gc.collect()
    gc.freeze()
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _end_with_server() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != IMPORTED_BY:  # it ended before it was watched
        os._exit(1)
