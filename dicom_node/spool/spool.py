"""Received instances on disk: what lies here is what the node holds.

``incoming/`` holds files that are being written, ``series/<key>/<name>.dcm`` the received ones,
``segmentations/<study>/<name>.dcm`` the segmentations of a study, and ``studies/<study>/<key>`` an
empty file for each series of a study. Keys and names are digests of UIDs, so nothing that a peer
sends becomes a path; a series has a key for each study that it was sent under. Spools of version
0.2.0, whose series and segmentations have the series' key alone, are read too. An instance that
came again with other bytes lies beside the first (`versions`). The record of `unsettled` lets the
node find its work without a look at every study.
"""

import hashlib
import itertools
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dicom_node.files import sync_folder, write_atomically, write_new
from dicom_node.spool.unsettled import UnsettledStudies
from dicom_node.spool.versions import (
    MAX_VERSIONS,
    Receipt,
    TooManyVersions,
    remove_version,
    same_data_set,
    version_of,
    version_paths,
)

__all__ = [
    "ArrivedStudy",
    "Spool",
    "SpooledSeries",
    "SpooledStudy",
    "remove_tree",
    "series_key",
    "spool_name",
]


CHUNK_BYTES = 1 << 20

DOOMED = "doomed-"
"""Begins the names of those folders in ``removed/`` that are to be deleted."""

NEWEST = ".assessment"
"""File among a study's marks that names its newest assessment."""

LEFTOVER_SECONDS = 3600.0
"""Age above which a file in ``incoming/`` was left by a crash; to write one takes seconds."""


def spool_name(uid: str) -> str:
    """The file or folder name that stands for a UID: 40 hexadecimal digits."""
    return hashlib.sha256(uid.encode()).hexdigest()[:40]


def series_key(study_uid: str, series_uid: str) -> str:
    """The folder of a series of a study; of the series alone if it names no study."""
    return spool_name(f"{study_uid}\n{series_uid}" if study_uid else series_uid)


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
    """Received files of one folder.

    Parameters
    ----------
    key
        Name of the folder.
    names
        File names without suffix; one a version of an instance.
    """

    key: str
    names: tuple[str, ...]


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
    segmentations
        Its folders of segmentations that are not empty.
    """

    key: str
    series: tuple[SpooledSeries, ...]
    segmentations: tuple[SpooledSeries, ...] = ()


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
    ) -> Receipt:
        """Keep one instance; what was received before under its UID stays.

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
        Receipt
            Whether it is new, the same again, or kept as another version of what is there.

        Raises
        ------
        TooManyVersions
            It came with other bytes too often; it is not kept.
        OSError
            The disk did not take it; nothing counts as received.
        """
        if study_uid:
            self._mark(study_uid, series_uid)
        folder = self.series / series_key(study_uid, series_uid)
        study = spool_name(study_uid or series_uid)
        return self._store((header, content), folder, spool_name(sop_instance_uid), study)

    def store_segmentation(
        self, content: bytes, sop_instance_uid: str, header: bytes = b"", study_uid: str = ""
    ) -> Receipt:
        """Keep one segmentation of a study, whether or not a series of it was received.

        The parameters and what it returns and raises are those of `store`.
        """
        study = spool_name(study_uid)
        folder = self.segmentations / study
        return self._store((header, content), folder, spool_name(sop_instance_uid), study)

    def _mark(self, study_uid: str, series_uid: str) -> None:
        """Note that a series belongs to a study."""
        folder = self.studies / spool_name(study_uid)
        mark = folder / series_key(study_uid, series_uid)
        if mark.exists():
            return
        self._make(folder)
        mark.touch(mode=0o600)
        self._sync(folder)

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
            self._sync(folder.parent)

    def _store(self, parts: tuple[bytes, bytes], folder: Path, name: str, study: str) -> Receipt:
        self._make(folder)
        target = folder / f"{name}.dcm"
        receipt: Receipt = "new"
        while True:
            if target.exists():
                held = version_paths(folder, name)
                if same_data_set(held[-1].read_bytes(), b"".join(parts)):
                    self.record.still_arriving(study)
                    return "repeated"
                number = version_of(held[-1].stem) + 1
                if number >= MAX_VERSIONS:
                    raise TooManyVersions
                target, receipt = folder / f"{name}.{number}.dcm", "different"
            # noted before it has its name too: a crash in between must not hide it from the worker
            self.record.arrived(study)
            temporary = self.incoming / f"{self._own_name}.{next(self._temporary_names)}"
            try:
                write_new(target, *parts, durable=self.durable, temporary=temporary)
            except FileExistsError:  # another process received the same meanwhile
                continue
            self.record.arrived(study)
            return receipt

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
        keys = sorted({study_key, *(os.listdir(marks) if marks.is_dir() else ())})
        return tuple(key for key in keys if (self.series / key).is_dir())

    def arrivals(self) -> Iterator[ArrivedStudy]:
        """Each study in the spool; its last arrival may be an instance or a segmentation.

        A series, or segmentations, of which the study is not known count as a study of their own.
        """
        series = _times(self.series)
        segmentations = _times(self.segmentations)
        known: set[str] = set()
        for study in sorted(path.name for path in self.studies.iterdir()):
            keys = sorted(
                path.name for path in (self.studies / study).iterdir() if path.name in series
            )
            known.update(keys)
            if keys:
                known.add(study)
                times = [segmentations.get(key, 0.0) for key in (study, *keys)]
                changed = max(*times, *(series[key] for key in keys))
                yield ArrivedStudy(study, changed, tuple(keys))
        for key in sorted((series.keys() | segmentations.keys()) - known):
            changed = max(series.get(key, 0.0), segmentations.get(key, 0.0))
            yield ArrivedStudy(key, changed, (key,) if key in series else ())

    def find(self, study_key: str) -> ArrivedStudy | None:
        """A study by its key; None if the spool holds nothing of it."""
        keys = self._series_of(study_key)
        folders = [self.series / key for key in keys]
        folders += [self.segmentations / key for key in (study_key, *keys)]
        times = [folder.stat().st_mtime for folder in folders if folder.is_dir()]
        return ArrivedStudy(study_key, max(times), keys) if times else None

    def load(self, study: ArrivedStudy) -> SpooledStudy:
        """List what the spool holds of a study now."""
        return SpooledStudy(
            study.key,
            _filled(self.series, study.series_keys),
            _filled(self.segmentations, dict.fromkeys((study.key, *study.series_keys))),
        )

    def assessing(self, study_key: str, assessment: str) -> None:
        """Note which assessment of a study is the newest, durably."""
        folder = self.studies / study_key
        self._make(folder)
        write_atomically(folder / NEWEST, assessment.encode(), durable=self.durable)

    def newest_assessment(self, study_key: str) -> str:
        """The newest assessment of a study; empty if none is noted."""
        try:
            return (self.studies / study_key / NEWEST).read_text()
        except FileNotFoundError:
            return ""

    def discard(self, study_key: str, paths: Sequence[Path], *, overwrite: bool = False) -> None:
        """Remove some versions of a study's instances; the study is then looked at again.

        Parameters
        ----------
        study_key
            Of the study.
        paths
            Files that `paths` or `segmentation_paths` named.
        overwrite
            Whether their bytes are zeroed, on the disk, before.
        """
        self.removed.mkdir(mode=0o700, exist_ok=True)
        away = self.removed / f"{DOOMED}{uuid.uuid4().hex}"
        away.mkdir(mode=0o700)
        self.record.arrived(study_key)  # before as well: a crash in between must not hide it
        # the newest first: a version takes the place of a first one that is removed
        for number, path in enumerate(sorted(paths, key=lambda p: -version_of(p.stem))):
            remove_version(path, away / f"{number}.dcm")
            self._sync(path.parent)
        self.record.arrived(study_key)
        remove_tree(away, overwrite=overwrite)

    def remove(self, study: ArrivedStudy, *, overwrite: bool = False) -> None:
        """Remove a study, unless something arrives just now; ``overwrite`` zeroes files first.

        The folders are moved away before anything is removed: an instance that arrives meanwhile
        goes into a new folder, and one that had arrived in time is put back.
        """
        self.removed.mkdir(mode=0o700, exist_ok=True)
        self.record.forget(study.key)
        for root in (self.segmentations, self.series):
            for key in dict.fromkeys((*study.series_keys, study.key)):
                away = self.removed / f"{root.name}.{key}.{study.key}"
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
        root, key, *of = away.name.split(".")
        folder = self.root / root / key
        folder.mkdir(mode=0o700, exist_ok=True)
        for path in away.iterdir():
            if not (folder / path.name).exists():
                os.replace(path, folder / path.name)
        shutil.rmtree(away)
        self._sync(folder)
        self.record.arrived(of[0] if of else key)

    def paths(self, key: str, names: Sequence[str]) -> list[Path]:
        """The files of some instances of a series."""
        return [self.series / key / f"{name}.dcm" for name in names]

    def segmentation_paths(self, key: str, names: Sequence[str]) -> list[Path]:
        """The files of some segmentations, by the folder that they lie in."""
        return [self.segmentations / key / f"{name}.dcm" for name in names]

    def _sync(self, folder: Path) -> None:
        if self.durable:
            sync_folder(folder)


def _times(root: Path) -> dict[str, float]:
    """When each folder got its last file, in seconds since the epoch."""
    return {entry.name: entry.stat().st_mtime for entry in os.scandir(root) if entry.is_dir()}


def _filled(root: Path, keys: Iterable[str]) -> tuple[SpooledSeries, ...]:
    """The folders that hold files, with what they hold."""
    found = [
        SpooledSeries(key, tuple(sorted(path.stem for path in (root / key).glob("*.dcm"))))
        for key in keys
    ]
    return tuple(series for series in found if series.names)
