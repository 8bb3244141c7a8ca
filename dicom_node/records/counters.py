"""Counters of one process, in a file: they survive a restart, and other processes read them."""

import json
import threading
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from dicom_node.files import write_atomically

__all__ = ["Counters", "read_counters"]

SEPARATOR = "|"
"""Stands between a counter's name and its label, neither of which contains it."""


class Counters:
    """Counts by name and one label; ``flush`` writes them if they changed.

    Parameters
    ----------
    path
        A JSON file that only this process writes; counting goes on from the counts in it. With None
        they are kept in memory only.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._changed = False
        if path is not None:
            self._counts.update(_read(path))

    def add(self, name: str, label: str = "", count: int = 1) -> None:
        """Add ``count`` to a counter."""
        with self._lock:
            self._counts[f"{name}{SEPARATOR}{label}"] += count
            self._changed = True

    def get(self, name: str, label: str = "") -> int:
        """The value of one counter."""
        return self._counts.get(f"{name}{SEPARATOR}{label}", 0)

    def flush(self) -> None:
        """Write the counts; if the disk does not take them, the next call tries again."""
        if self._path is None:
            return
        with self._lock:
            if not self._changed:
                return
            content = json.dumps(self._counts, sort_keys=True)
            self._changed = False
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self._path, content.encode(), durable=False)
        except OSError:
            self._changed = True


def read_counters(paths: Iterable[Path]) -> dict[tuple[str, str], int]:
    """The sums of several processes' counters, by name and label."""
    total: defaultdict[tuple[str, str], int] = defaultdict(int)
    for path in paths:
        for key, count in _read(path).items():
            name, _, label = key.partition(SEPARATOR)
            total[name, label] += count
    return dict(total)


def _read(path: Path) -> dict[str, int]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {str(key): int(count) for key, count in content.items() if isinstance(count, int)}
