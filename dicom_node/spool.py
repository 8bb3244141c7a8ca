"""Received instances on disk: the truth of what the node holds.

``incoming/`` holds files that are being written, ``series/<key>/<name>.dcm`` the received ones,
``segmentations/<key>/<name>.dcm`` the segmentations of a series, under that series' key. Keys and
names are digests of UIDs, so nothing that a peer sends becomes a path.
"""

import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dicom_node.uids import instances_digest

__all__ = ["Spool", "SpooledSeries", "spool_name", "sync_folder"]


LEFTOVER_SECONDS = 3600.0
"""A file in ``incoming/`` that is older was left by a crash: one instance takes seconds."""


def spool_name(uid: str) -> str:
    """The file or folder name that stands for a UID: 40 hexadecimal digits."""
    return hashlib.sha256(uid.encode()).hexdigest()[:40]


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries, such as a name just given, to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class SpooledSeries:
    """One series as it lies in the spool: its instances, and the segmentations that are of it."""

    key: str
    names: tuple[str, ...]
    segmentations: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Identity of this very set of instances."""
        return instances_digest(self.names)


class Spool:
    """The folder of received instances.

    Parameters
    ----------
    data_dir
        The node's data folder; ``spool/`` is made inside it with mode 0700.
    durable
        Whether an instance is on the disk, and not only in the page cache, when `store` returns.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self.root = data_dir / "spool"
        self.durable = durable

    @property
    def incoming(self) -> Path:
        """Where files are written before they count as received."""
        return self.root / "incoming"

    @property
    def series(self) -> Path:
        """Where the received instances lie, one folder a series."""
        return self.root / "series"

    @property
    def segmentations(self) -> Path:
        """Where segmentations lie, one folder a series that they are of."""
        return self.root / "segmentations"

    def prepare(self) -> None:
        """Make the folders."""
        for folder in (self.root, self.incoming, self.series, self.segmentations):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def free_bytes(self) -> int:
        """What the disk still takes; 0 if it cannot be asked."""
        try:
            disk = os.statvfs(self.root)
        except OSError:
            return 0
        return disk.f_bavail * disk.f_frsize

    def remove_leftovers(self) -> None:
        """Remove what a crash left half-written: nothing is written to it for so long."""
        oldest = time.time() - LEFTOVER_SECONDS
        for path in self.incoming.iterdir():
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)

    def store(
        self, content: bytes, series_uid: str, sop_instance_uid: str, header: bytes = b""
    ) -> Path:
        """Keep one instance, ``header`` before ``content``; received again, it replaces itself.

        Raises
        ------
        OSError
            The disk did not take it; nothing counts as received.
        """
        return self._store((header, content), self.series, series_uid, sop_instance_uid)

    def store_segmentation(
        self, content: bytes, series_uid: str, sop_instance_uid: str, header: bytes = b""
    ) -> Path:
        """Keep one segmentation of a series, whether or not that series was received.

        Raises
        ------
        OSError
            The disk did not take it; nothing counts as received.
        """
        return self._store((header, content), self.segmentations, series_uid, sop_instance_uid)

    def _store(
        self, parts: tuple[bytes, ...], root: Path, series_uid: str, sop_instance_uid: str
    ) -> Path:
        folder = root / spool_name(series_uid)
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
            self._sync(root)
        temporary = self.incoming / uuid.uuid4().hex
        target = folder / f"{spool_name(sop_instance_uid)}.dcm"
        try:
            with temporary.open("xb") as file:
                file.writelines(parts)
                file.flush()
                if self.durable:
                    os.fsync(file.fileno())
            os.replace(temporary, target)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self._sync(folder)
        return target

    def changes(self) -> Iterator[tuple[str, float]]:
        """Each series' key and the time, in seconds since the epoch, of its last arrival.

        A segmentation of the series that arrives later counts as an arrival.
        """
        for entry in sorted(os.scandir(self.series), key=lambda item: item.name):
            if entry.is_dir():
                changed = entry.stat().st_mtime
                segmentations = self.segmentations / entry.name
                if segmentations.is_dir():
                    changed = max(changed, segmentations.stat().st_mtime)
                yield entry.name, changed

    def load(self, key: str) -> SpooledSeries:
        """List one series as it lies in the spool now."""
        names = sorted(path.stem for path in (self.series / key).glob("*.dcm"))
        segmentations = sorted(path.stem for path in (self.segmentations / key).glob("*.dcm"))
        return SpooledSeries(key, tuple(names), tuple(segmentations))

    def paths(self, key: str, names: tuple[str, ...] | list[str]) -> list[Path]:
        """The files of some instances of a series."""
        return [self.series / key / f"{name}.dcm" for name in names]

    def segmentation_paths(self, key: str, names: tuple[str, ...] | list[str]) -> list[Path]:
        """The files of some segmentations of a series."""
        return [self.segmentations / key / f"{name}.dcm" for name in names]

    def _sync(self, folder: Path) -> None:
        if self.durable:
            sync_folder(folder)
