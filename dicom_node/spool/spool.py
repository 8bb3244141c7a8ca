"""Received instances on disk: what lies here is what the node holds.

``incoming/`` holds files that are being written, ``series/<key>/<name>.dcm`` the received ones,
``segmentations/<key>/<name>.dcm`` the segmentations of a series, under that series' key, and
``studies/<study>/<key>`` an empty file for each series of a study. Keys and names are digests of
UIDs, so nothing that a peer sends becomes a path. The record of `unsettled` lets the node find its
work without a look at every study.
"""

import hashlib
import itertools
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dicom_node.files import sync_folder, write_atomically
from dicom_node.spool.unsettled import UnsettledStudies
from dicom_node.uids import assessment_id, instances_digest

__all__ = [
    "ArrivedStudy",
    "Spool",
    "SpooledSeries",
    "SpooledStudy",
    "remove_tree",
    "spool_name",
]


CHUNK_BYTES = 1 << 20

DOOMED = "doomed-"
"""Begins the names of those folders in ``removed/`` that are to be deleted."""

LEFTOVER_SECONDS = 3600.0
"""Age above which a file in ``incoming/`` was left by a crash; to write one takes seconds."""


def spool_name(uid: str) -> str:
    """The file or folder name that stands for a UID: 40 hexadecimal digits."""
    return hashlib.sha256(uid.encode()).hexdigest()[:40]


def remove_tree(folder: Path, *, overwrite: bool) -> None:
    """Remove a folder with its content.

    Parameters
    ----------
    folder
        What is removed.
    overwrite
        Whether each file is filled with zeros, on the disk, before.
    """
    if overwrite:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                _overwrite(path)
    shutil.rmtree(folder)
    sync_folder(folder.parent)


def _overwrite(path: Path) -> None:
    left = path.stat().st_size
    with path.open("r+b") as file:
        while left > 0:
            left -= file.write(bytes(min(left, CHUNK_BYTES)))
        file.flush()
        os.fsync(file.fileno())


@dataclass(frozen=True)
class SpooledSeries:
    """One series in the spool.

    Parameters
    ----------
    key
        Name of its folder.
    names
        Its instances: file names without suffix.
    segmentations
        The segmentations of this series, likewise.
    """

    key: str
    names: tuple[str, ...]
    segmentations: tuple[str, ...] = ()


@dataclass(frozen=True)
class ArrivedStudy:
    """A study in the spool.

    Parameters
    ----------
    key
        Digest of its UID.
    changed
        Time of the last arrival, in seconds since the epoch.
    series_keys
        Folders of its series.
    """

    key: str
    changed: float
    series_keys: tuple[str, ...]


@dataclass(frozen=True)
class SpooledStudy:
    """The content of one study in the spool.

    Parameters
    ----------
    key
        Digest of its UID.
    series
        Those that have instances.
    segmentation_digests
        SHA-256, in hexadecimal, of each segmentation file.
    """

    key: str
    series: tuple[SpooledSeries, ...]
    segmentation_digests: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """The id of exactly these instances and segmentations; it does not depend on the model."""
        names = [f"{series.key}/{name}" for series in self.series for name in series.names]
        return assessment_id(
            self.key, instances_digest(names), "\n".join(sorted(self.segmentation_digests))
        )


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
        self._own_name = uuid.uuid4().hex
        self._temporary_names = itertools.count()
        self.record = UnsettledStudies(self.root, self._sync)

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

    @property
    def studies(self) -> Path:
        """Which series belong to a study: a folder a study, with an empty file a series."""
        return self.root / "studies"

    @property
    def removed(self) -> Path:
        """Where folders lie while they are being removed."""
        return self.root / "removed"

    def prepare(self) -> None:
        """Make the folders."""
        for folder in (
            self.root, self.incoming, self.series, self.segmentations, self.studies,
        ):  # fmt: skip
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.record.prepare(lambda: ((study.key, study.changed) for study in self.arrivals()))

    def free_bytes(self) -> int:
        """Bytes that are free on the spool's disk; 0 if that cannot be found out."""
        try:
            disk = os.statvfs(self.root)
        except OSError:
            return 0
        return disk.f_bavail * disk.f_frsize

    def remove_leftovers(self) -> None:
        """Remove the half-written files of a crash, known by their age."""
        oldest = time.time() - LEFTOVER_SECONDS
        for path in self.incoming.iterdir():
            with suppress(FileNotFoundError):  # another listener gives its file the final name
                if path.stat().st_mtime < oldest:
                    path.unlink(missing_ok=True)

    def store(
        self,
        content: bytes,
        series_uid: str,
        sop_instance_uid: str,
        header: bytes = b"",
        study_uid: str = "",
    ) -> Path:
        """Keep one instance; one that was received before is replaced.

        Parameters
        ----------
        content
            The data set as it came.
        series_uid, sop_instance_uid
            Of the instance.
        header
            Preamble and file meta information, written before the content.
        study_uid
            Of the instance; empty if it names none.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        OSError
            The disk did not take it; nothing counts as received.
        """
        if study_uid:
            self._mark(study_uid, series_uid)
        path = self._store((header, content), self.series, series_uid, sop_instance_uid)
        self.record.arrived(spool_name(study_uid or series_uid))
        return path

    def store_segmentation(
        self,
        content: bytes,
        series_uid: str,
        sop_instance_uid: str,
        header: bytes = b"",
        study_uid: str = "",
    ) -> Path:
        """Keep one segmentation of a series, whether or not that series was received.

        Parameters
        ----------
        series_uid
            Series that the segmentation is of, not the one that it is in.
        content, sop_instance_uid, header, study_uid
            As for `store`.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        OSError
            The disk did not take it; nothing counts as received.
        """
        path = self._store((header, content), self.segmentations, series_uid, sop_instance_uid)
        self.record.arrived(self._study_of(spool_name(series_uid), study_uid))
        return path

    def _study_of(self, series_key: str, study_uid: str) -> str:
        """The key of a series' study; the study that a segmentation names is only a first guess."""
        said = spool_name(study_uid) if study_uid else series_key
        if (self.studies / said / series_key).exists() or not (self.series / series_key).is_dir():
            return said
        holders = (path.name for path in self.studies.iterdir() if (path / series_key).exists())
        return next(holders, series_key)

    def _mark(self, study_uid: str, series_uid: str) -> None:
        """Note that a series belongs to a study."""
        folder = self.studies / spool_name(study_uid)
        mark = folder / spool_name(series_uid)
        if mark.exists():
            return
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
            self._sync(self.studies)
        mark.touch(mode=0o600)
        self._sync(folder)

    def _store(
        self, parts: tuple[bytes, ...], root: Path, series_uid: str, sop_instance_uid: str
    ) -> Path:
        folder = root / spool_name(series_uid)
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
            self._sync(root)
        temporary = self.incoming / f"{self._own_name}.{next(self._temporary_names)}"
        target = folder / f"{spool_name(sop_instance_uid)}.dcm"
        write_atomically(target, *parts, durable=self.durable, temporary=temporary)
        return target

    def unsettled(self) -> list[ArrivedStudy]:
        """Each study of which something arrived since it was settled."""
        return [
            ArrivedStudy(key, changed, self._series_of(key))
            for key, changed in self.record.listed()
        ]

    def settle(self, study: ArrivedStudy) -> None:
        """Take a study off the unsettled ones, unless something arrived since it was listed."""
        self.record.settle(study.key, study.changed)

    def _series_of(self, study_key: str) -> tuple[str, ...]:
        marks = self.studies / study_key
        keys = sorted(os.listdir(marks)) if marks.is_dir() else [study_key]
        return tuple(key for key in keys if (self.series / key).is_dir())

    def arrivals(self) -> Iterator[ArrivedStudy]:
        """Each study in the spool; its last arrival may be an instance or a segmentation.

        A series of which the study is not known counts as a study of its own.
        """
        changed: dict[str, float] = {}
        for entry in os.scandir(self.series):
            if entry.is_dir():
                changed[entry.name] = entry.stat().st_mtime
                with suppress(FileNotFoundError):
                    later = (self.segmentations / entry.name).stat().st_mtime
                    changed[entry.name] = max(changed[entry.name], later)
        known: set[str] = set()
        for study in sorted(path.name for path in self.studies.iterdir()):
            keys = sorted(
                path.name for path in (self.studies / study).iterdir() if path.name in changed
            )
            known.update(keys)
            if keys:
                yield ArrivedStudy(study, max(changed[key] for key in keys), tuple(keys))
        for key in sorted(changed.keys() - known):
            yield ArrivedStudy(key, changed[key], (key,))

    def load(self, study: ArrivedStudy) -> SpooledStudy:
        """List what the spool holds of a study now."""
        series = []
        digests = []
        for key in study.series_keys:
            names = sorted(path.stem for path in (self.series / key).glob("*.dcm"))
            objects = sorted((self.segmentations / key).glob("*.dcm"))
            digests += [hashlib.sha256(path.read_bytes()).hexdigest() for path in objects]
            if names:
                stems = tuple(path.stem for path in objects)
                series.append(SpooledSeries(key, tuple(names), stems))
        return SpooledStudy(study.key, tuple(series), tuple(digests))

    def remove(self, study: ArrivedStudy, *, overwrite: bool = False) -> None:
        """Remove a study, unless something arrives just now; ``overwrite`` zeroes files first.

        The folders are moved away before anything is removed: an instance that arrives meanwhile
        goes into a new folder, and one that had arrived in time is put back.
        """
        self.removed.mkdir(mode=0o700, exist_ok=True)
        self.record.forget(study.key)
        for root in (self.segmentations, self.series):
            for key in study.series_keys:
                away = self.removed / f"{root.name}.{key}"
                try:
                    os.rename(root / key, away)
                except FileNotFoundError:
                    continue
                if away.stat().st_mtime > study.changed:
                    self._put_back(away)
                else:
                    os.rename(away, self.removed / f"{DOOMED}{uuid.uuid4().hex}")
        self.finish_removals(overwrite=overwrite)
        if not any((self.series / key).is_dir() for key in study.series_keys):
            shutil.rmtree(self.studies / study.key, ignore_errors=True)

    def finish_removals(self, *, overwrite: bool = False) -> None:
        """Finish removals, also those of a process that died in the middle."""
        if not self.removed.is_dir():
            return
        for away in list(self.removed.iterdir()):
            if away.name.startswith(DOOMED):
                remove_tree(away, overwrite=overwrite)
            else:
                self._put_back(away)

    def _put_back(self, away: Path) -> None:
        root, _, key = away.name.partition(".")
        folder = self.root / root / key
        folder.mkdir(mode=0o700, exist_ok=True)
        for path in away.iterdir():
            if not (folder / path.name).exists():
                os.replace(path, folder / path.name)
        shutil.rmtree(away)
        self._sync(folder)
        self.record.arrived(self._study_of(key, ""))

    def paths(self, key: str, names: tuple[str, ...] | list[str]) -> list[Path]:
        """The files of some instances of a series."""
        return [self.series / key / f"{name}.dcm" for name in names]

    def segmentation_paths(self, key: str, names: tuple[str, ...] | list[str]) -> list[Path]:
        """The files of some segmentations of a series."""
        return [self.segmentations / key / f"{name}.dcm" for name in names]

    def _sync(self, folder: Path) -> None:
        if self.durable:
            sync_folder(folder)
