"""Memory of a process that assesses: what it uses again is kept, the rest given back.

The C library is asked by functions of glibc; another one does as it always does.
"""

import contextlib
import ctypes
import gc

__all__ = ["give_memory_back", "keep_memory", "trim_memory"]

MALLOC_OPTIONS = {-3: 64 << 20, -1: 512 << 20, -2: 16 << 20}
"""Of glibc's ``mallopt``, bytes: blocks up to this size come from the heap (M_MMAP_THRESHOLD), of
which so much may lie unused at its end (M_TRIM_THRESHOLD) and which grows by so much
(M_TOP_PAD). An assessment makes thousands of arrays of some MB: to get and clear the pages of each
anew took a tenth of its CPU time."""

OBJECTS_PER_COLLECTION = 50_000
"""So many new objects make Python look for cycles among them: its own 700 are a tenth of the CPU
time of an assessment, which makes a million objects and hardly a cycle."""


def keep_memory() -> None:
    """Let this process keep memory for its next use, until `trim_memory`."""
    gc.set_threshold(OBJECTS_PER_COLLECTION, *gc.get_threshold()[1:])
    with contextlib.suppress(AttributeError):
        for option, value in MALLOC_OPTIONS.items():
            ctypes.CDLL(None).mallopt(option, value)


def trim_memory() -> None:
    """Give what is free back to the system (some ms)."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def give_memory_back() -> None:
    """Collect garbage and give what is free back to the system.

    What is in use stays so, as what was loaded and cached: Python looks through it only once.
    """
    gc.collect()
    gc.freeze()
    trim_memory()
