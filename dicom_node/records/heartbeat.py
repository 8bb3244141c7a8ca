"""Signs of life: each process has a file, which it touches while it works."""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["BEAT_SECONDS", "STALE_SECONDS", "beat", "heartbeat_ages", "keep_beating"]

BEAT_SECONDS = 2.0
"""Seconds between two signs of life of a process."""

STALE_SECONDS = 30.0
"""A process whose last sign of life is older does not count as alive."""

SUFFIX = ".alive"


def beat(folder: Path, name: str) -> None:
    """Give one sign of life; a failing disk does not end the process."""
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
