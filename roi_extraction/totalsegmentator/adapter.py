"""Runs TotalSegmentator on a volume and hands its label maps to `LabelMapSegmenter`."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from roi_extraction.anatomy import Anatomy, SegmenterIdentity
from roi_extraction.errors import InvalidSegmentation, SegmenterUnavailable
from roi_extraction.labels.files import load_label_map, nifti_image, save_nifti
from roi_extraction.labels.label_map import LabelMapSegmenter
from roi_extraction.totalsegmentator.weights import check_weights
from roi_extraction.volume import CtVolume

__all__ = ["TotalSegmentatorConfig", "TotalSegmentatorSegmenter"]

MUSCLE_LOOKUP = {17: 1, 15: 2, 19: 3, 18: 4, 16: 5, 20: 6}
"""Numbers of the task ``abdominal_muscles`` to `roi_extraction.labels.label_map.MUSCLE_NUMBERS`:
transversospinalis, erector spinae, psoas major of the right side, then of the left."""

CHILD_POLL_SECONDS = 0.2
"""How often the child's time and memory are looked at, seconds."""

FOLDERS = re.compile(r"(?:/[^/\s'\"]+)+/")
"""Folders before a file's name: where libraries lie on a machine is not for a report."""

MESSAGE_CHARACTERS = 300
"""Longest part of the child's last line that an error quotes."""

LabelArray = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class TotalSegmentatorConfig:
    """How TotalSegmentator is run.

    Parameters
    ----------
    weights
        Folder of its datasets; nothing is written into it.
    manifest
        SHA-256 of the weights' files, or None; see `check_weights`.
    vertebrae_body
        Whether the task ``vertebrae_body`` outlines bodies and discs too.
    abdominal_muscles_licence
        The licence under which the task ``abdominal_muscles`` is used; empty: it is not.
    licence_number
        The number for tasks that the library releases only with one; empty if there is none.
    device
        ``cpu``, ``gpu``, ``gpu:1``, ``mps``.
    seconds, memory_mb
        Limits of all tasks together: time, and resident memory of the child and its children.
    """

    weights: Path
    manifest: Path | None = None
    vertebrae_body: bool = True
    abdominal_muscles_licence: str = ""
    licence_number: str = ""
    device: str = "cpu"
    seconds: float = 540.0
    memory_mb: int = 12288

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that are run."""
        bodies = ("vertebrae_body",) if self.vertebrae_body else ()
        muscles = ("abdominal_muscles",) if self.abdominal_muscles_licence else ()
        return ("total", *bodies, *muscles)


class TotalSegmentatorSegmenter:
    """Localises the sites from label maps that TotalSegmentator draws in a child process."""

    def __init__(self, config: TotalSegmentatorConfig) -> None:
        self.config = config

    @property
    def identity(self) -> SegmenterIdentity:
        """Name and tasks; the anatomy's own adds the library's version."""
        return SegmenterIdentity("totalsegmentator", "+".join(self.config.tasks))

    def segment(self, volume: CtVolume) -> Anatomy:
        """Localise the 36 sites.

        Raises
        ------
        SegmenterUnavailable
            It could not run, or not to its end; ``code`` begins with ``totalsegmentator.``.
        RoiError
            Its labels cannot be used: see `LabelMapSegmenter`.
        """
        config = self.config
        datasets = check_weights(config.weights, config.tasks, config.manifest)
        with tempfile.TemporaryDirectory(prefix="osteonode-") as name:
            folder = Path(name)
            _prepare(folder, volume, config, datasets)
            result = _run(folder, config)
            maps = {task: _read(folder / file, volume) for task, file in result["files"].items()}
        muscles = maps.get("abdominal_muscles")
        identity = SegmenterIdentity(
            "totalsegmentator", f"{result['version']} {'+'.join(config.tasks)}"
        )
        return LabelMapSegmenter(
            maps["total"],
            maps.get("vertebrae_body"),
            None if muscles is None else _renumbered(muscles),
            identity,
        ).segment(volume)


def _prepare(
    folder: Path, volume: CtVolume, config: TotalSegmentatorConfig, datasets: tuple[Path, ...]
) -> None:
    """Lay out the child's folder: scan, settings of the library, links to the weights, job."""
    save_nifti(folder / "ct.nii.gz", volume.hu, volume)
    home, weights, scratch = folder / "home", folder / "weights", folder / "scratch"
    for path in (home, weights, scratch):
        path.mkdir()
    for dataset in datasets:
        (weights / dataset.name).symlink_to(dataset.resolve(), target_is_directory=True)
    library = {
        "totalseg_id": "osteonode",
        "send_usage_stats": False,
        "statistics_disclaimer_shown": True,
        "prediction_counter": 0,
    }
    if config.licence_number:
        library["license_number"] = config.licence_number
    (home / "config.json").write_text(json.dumps(library))
    job = {
        "tasks": list(config.tasks),
        "device": config.device,
        "memory_mb": config.memory_mb,
        "licensed": bool(config.licence_number),
        "parent": os.getpid(),
    }
    (folder / "job.json").write_text(json.dumps(job))


def _run(folder: Path, config: TotalSegmentatorConfig) -> Mapping[str, Any]:
    """Run the child within its limits and return what it says of itself."""
    environment = {
        **os.environ,
        "TOTALSEG_HOME_DIR": str(folder / "home"),
        "TOTALSEG_WEIGHTS_PATH": str(folder / "weights"),
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "scratch"),
    }
    deadline = time.monotonic() + config.seconds
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "roi_extraction.totalsegmentator.child", folder / "job.json"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder / "scratch",
            env=environment,
            start_new_session=True,
        )
        try:
            while child.poll() is None:
                if time.monotonic() > deadline:
                    raise _unavailable("time_limit", f"no result within {config.seconds:g} s")
                if _resident_mb(child.pid) > config.memory_mb:
                    raise _unavailable("memory_limit", f"over {config.memory_mb} MB of memory")
                time.sleep(CHILD_POLL_SECONDS)
        finally:
            _end(child)
    try:
        result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    except (OSError, ValueError):
        raise _unavailable(
            "failed", f"the child ended with code {child.returncode}{_last_line(folder)}"
        ) from None
    if "error" in result:
        said = _last_line(folder) if result["error"] == "exited" else ""
        raise _unavailable(result["error"], f"{result['message']}{said}")
    missing = [task for task in config.tasks if task not in result["files"]]
    if missing:
        raise _unavailable("bad_output", f"no label map of {', '.join(missing)}")
    return result


def _unavailable(reason: str, message: str) -> SegmenterUnavailable:
    said = FOLDERS.sub("", message)
    return SegmenterUnavailable(f"TotalSegmentator: {said}", f"totalsegmentator.{reason}")


def _end(child: "subprocess.Popen[bytes]") -> None:
    """End the child and whatever it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _resident_mb(group: int) -> float:
    """Resident memory of all processes of a group, MB; 0 where /proc does not tell."""
    pages = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            # the process's name, in brackets, may hold blanks: fields are counted after it
            status = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(status[2]) == group:
                pages += int((entry / "statm").read_text().split()[1])
        except (OSError, ValueError, IndexError):
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2


def _last_line(folder: Path) -> str:
    lines = (folder / "log").read_text(errors="replace").strip().splitlines()
    return f": {lines[-1].strip()[:MESSAGE_CHARACTERS]}" if lines else ""


def _read(path: Path, volume: CtVolume) -> LabelArray:
    try:
        shape = nifti_image(path).shape
    except Exception as error:
        raise _unavailable("bad_output", f"{path.name} cannot be read") from error
    if tuple(shape) != volume.shape[::-1]:
        raise _unavailable(
            "bad_output", f"{path.name} has shape {tuple(shape)}, not {volume.shape[::-1]}"
        )
    try:
        return load_label_map(path, volume)
    except InvalidSegmentation as error:
        raise _unavailable("bad_output", str(error)) from error


def _renumbered(labels: LabelArray) -> LabelArray:
    table = np.zeros(max(int(labels.max()), *MUSCLE_LOOKUP) + 1, dtype=np.uint8)
    for theirs, ours in MUSCLE_LOOKUP.items():
        table[theirs] = ours
    return table[labels]
