"""The process in which TotalSegmentator runs: ``python -m ... job.json``.

It reads a NIfTI scan, writes one NIfTI label map a task and ``result.json``. It may not use the
network, and ends with the process that started it.
"""

import importlib
import importlib.metadata
import json
import os
import resource
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

__all__ = ["main"]

SUPPORTED = ((2, 18), (3, 0))
"""From and below: versions of TotalSegmentator whose interface this was written against."""

SUBSET = (
    *(f"vertebrae_{name}" for name in ("S1", "L5", "L4", "L3", "L2", "L1", "T12", "T11", "T10")),
    "sacrum", "autochthon_left", "autochthon_right", "iliopsoas_left", "iliopsoas_right",
)  # fmt: skip
"""Classes of the task ``total`` that the extraction uses."""

CLASS_NUMBERS: dict[str, dict[int, str]] = {
    "total": {
        25: "sacrum", 26: "vertebrae_S1", 27: "vertebrae_L5", 28: "vertebrae_L4",
        29: "vertebrae_L3", 30: "vertebrae_L2", 31: "vertebrae_L1", 32: "vertebrae_T12",
        86: "autochthon_left", 87: "autochthon_right", 88: "iliopsoas_left",
        89: "iliopsoas_right",
    },
    "vertebrae_body": {1: "vertebrae_body", 2: "intervertebral_discs"},
    "abdominal_muscles": {
        15: "erector_spinae_right", 16: "erector_spinae_left", 17: "transversospinalis_right",
        18: "transversospinalis_left", 19: "psoas_major_right", 20: "psoas_major_left",
    },
}  # fmt: skip
"""Numbers that are relied upon; the library's own table must say the same."""

CROPPED_BY = {"total": (298,), "abdominal_muscles": (300,)}
"""Numbers of the coarse models that a task crops by."""

ORPHAN_POLL_SECONDS = 0.5
"""How often the child looks whether its parent still runs, seconds."""


class JobFailed(Exception):
    """Something that the parent reports under ``code``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def main(job_path: Path) -> None:
    """Run one job and write its outcome, an error of the library included, to ``result.json``."""
    job = json.loads(job_path.read_text())
    folder = job_path.parent
    _limit(int(job["memory_mb"]), int(job["parent"]), folder)
    sys.addaudithook(_forbid_network)
    try:
        result = _run(job, folder)
    except JobFailed as error:
        result = {"error": error.code, "message": str(error)}
    except MemoryError:
        result = {"error": "memory_limit", "message": f"over {job['memory_mb']} MB of memory"}
    except SystemExit as error:
        result = {"error": "exited", "message": f"the library left with {error.code!r}"}
    except BaseException as error:
        text = f"{type(error).__name__}: {error}"
        code = "memory_limit" if "out of memory" in text.lower() else "failed"
        result = {"error": code, "message": text[:300]}
    temporary = folder / "result.json.part"
    temporary.write_text(json.dumps(result))
    temporary.replace(folder / "result.json")


def _run(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    version = _version()
    try:
        api = importlib.import_module("totalsegmentator.python_api")
        maps = importlib.import_module("totalsegmentator.map_to_binary")
        tables = importlib.import_module("totalsegmentator.map_tasks_config")
    except ImportError as error:
        raise JobFailed("not_installed", f"TotalSegmentator cannot be imported: {error}") from error
    for task in job["tasks"]:
        _check_task(task, maps, tables, licensed=bool(job["licensed"]))
    files = {}
    for task in job["tasks"]:
        image = api.totalsegmentator(
            folder / "ct.nii.gz",
            None,
            ml=True,
            task=task,
            roi_subset=list(SUBSET) if task == "total" else None,
            device=job["device"],
            nr_thr_resamp=1,
            nr_thr_saving=1,
            quiet=True,
        )
        files[task] = f"{task}.nii.gz"
        image.to_filename(folder / files[task])
    return {"version": version, "files": files}


def _version() -> str:
    try:
        version = importlib.metadata.version("TotalSegmentator")
    except importlib.metadata.PackageNotFoundError as error:
        raise JobFailed(
            "not_installed",
            "it is not installed; install osteonode[totalsegmentator]",
        ) from error
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if not SUPPORTED[0] <= numbers < SUPPORTED[1]:
        raise JobFailed("version", f"TotalSegmentator {version} is not supported, 2.18 to 2.x is")
    return version


def _check_task(task: str, maps: Any, tables: Any, *, licensed: bool) -> None:
    """Refuse what the library would download, forbid or name differently."""
    own = maps.class_map.get(task, {})
    for number, name in CLASS_NUMBERS[task].items():
        if own.get(number) != name:
            raise JobFailed("version", f"task {task} calls {number} {own.get(number)}, not {name}")
    if task in maps.commercial_models and not licensed:
        raise JobFailed("licence", f"task {task} needs a licence number in this version")
    config = tables.TASK_CONFIGS[task]
    wanted = config.get("sub_modes", {}).get("default", config)["task_id"]
    weights = Path(os.environ["TOTALSEG_WEIGHTS_PATH"])
    for number in (*(wanted if isinstance(wanted, list) else [wanted]), *CROPPED_BY.get(task, ())):
        entry = tables.TASK_ID_WEIGHTS_CONFIGS[number]
        if not (weights / (entry.get("rel_path") or "") / entry["foldername"]).is_dir():
            raise JobFailed(
                "weights_missing", f"this version asks for the weights {entry['foldername']}"
            )


def _forbid_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Audit hook: no name is resolved and nothing but a local socket is connected."""
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        raise PermissionError("the network is forbidden to segmenters")
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        raise PermissionError("the network is forbidden to segmenters")


def _limit(memory_mb: int, parent: int, folder: Path) -> None:
    # address space is no measure here: tensor libraries reserve far more than they use
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    limit = memory_mb * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_end_with, args=(parent, folder), daemon=True).start()


def _end_with(parent: int, folder: Path) -> None:
    """End with the parent, which then removed neither the scan nor the licence number."""
    while os.getppid() == parent:
        time.sleep(ORPHAN_POLL_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
