"""Signs of life: a file a process, touched while it works."""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["BEAT_SECONDS", "STALE_SECONDS", "beat", "heartbeat_ages", "keep_beating"]

BEAT_SECONDS = 2.0
"""How often a process gives a sign of life."""

STALE_SECONDS = 30.0
"""A process that was silent for so long does not count as alive."""

SUFFIX = ".alive"


def beat(folder: Path, name: str) -> None:
    """Give one sign of life; a disk that does not take it is not the process's end."""
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{name}{SUFFIX}"
        path.touch(mode=0o600)
        os.utime(path)


def keep_beating(folder: Path, name: str, stop: threading.Event) -> None:
    """Give signs of life in the background until ``stop`` is set."""

    def run() -> None:
        beat(folder, name)
        while not stop.wait(BEAT_SECONDS):
            beat(folder, name)

    threading.Thread(target=run, daemon=True).start()


def heartbeat_ages(folder: Path) -> dict[str, float]:
    """Seconds since each process's last sign of life."""
    now = time.time()
    ages = {}
    for path in folder.glob(f"*{SUFFIX}"):
        with suppress(OSError):
            ages[path.stem] = max(now - path.stat().st_mtime, 0.0)
    return ages
