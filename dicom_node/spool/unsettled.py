"""Which studies got something that no worker has dealt with yet, on disk.

``arriving/<study>`` is an empty file for each of them; its time is that of the last arrival.
``settling/<study>`` is such a file while it is taken away.
"""

import os
import shutil
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

__all__ = ["UnsettledStudies"]


class UnsettledStudies:
    """The unsettled studies, by study key.

    Parameters
    ----------
    root
        The folder that holds ``arriving/`` and ``settling/``.
    sync
        Is called with a folder whose entries have changed, to bring them to the disk.
    """

    def __init__(self, root: Path, sync: Callable[[Path], None]) -> None:
        self.arriving = root / "arriving"
        self.settling = root / "settling"
        self._sync = sync

    def prepare(self, held: Callable[[], Iterable[tuple[str, float]]]) -> None:
        """Make the folders; a study that was being settled at a crash counts as unsettled.

        Parameters
        ----------
        held
            Lists all studies with the times of their last arrivals, in seconds since the epoch. It
            is called if there is no record yet: then all studies are unsettled.
        """
        if not self.arriving.is_dir():
            self._begin(held())
        self.settling.mkdir(mode=0o700, exist_ok=True)
        for path in self.settling.iterdir():
            self.arrived(path.name)
            path.unlink(missing_ok=True)

    def arrived(self, key: str) -> None:
        """Note that something of a study arrived, before its sender is told."""
        path = self.arriving / key
        try:
            os.utime(path)
        except FileNotFoundError:
            path.touch(mode=0o600)
            self._sync(self.arriving)

    def still_arriving(self, key: str) -> None:
        """Note a sign of life of a study; one that is settled stays so."""
        with suppress(FileNotFoundError):
            os.utime(self.arriving / key)

    def listed(self) -> list[tuple[str, float]]:
        """The unsettled studies and when each last got something, in seconds since the epoch."""
        found = []
        for path in self.arriving.iterdir():
            with suppress(FileNotFoundError):
                found.append((path.name, path.stat().st_mtime))
        return found

    def settle(self, key: str, changed: float) -> None:
        """Take a study off the record, unless something arrived after ``changed``.

        Parameters
        ----------
        key
            The study's.
        changed
            Time of the last arrival that was dealt with, as `listed` gave it.
        """
        path, away = self.arriving / key, self.settling / key
        with suppress(FileNotFoundError):
            if path.stat().st_mtime != changed:
                return
            os.rename(path, away)
            if away.stat().st_mtime != changed:
                self.arrived(key)
            away.unlink()

    def forget(self, key: str) -> None:
        """Take a study off the record, even if something arrived meanwhile."""
        (self.arriving / key).unlink(missing_ok=True)

    def _begin(self, held: Iterable[tuple[str, float]]) -> None:
        folder = self.arriving.with_name(f"arriving.{uuid.uuid4().hex}")
        folder.mkdir(mode=0o700)
        for key, changed in held:
            (folder / key).touch(mode=0o600)
            os.utime(folder / key, (changed, changed))
        try:
            os.rename(folder, self.arriving)
        except OSError:  # another process has made it meanwhile
            shutil.rmtree(folder)
