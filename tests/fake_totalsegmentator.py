"""A stand-in for the TotalSegmentator package, written onto a child process's path."""

import json
from pathlib import Path
from typing import Any

from roi_extraction.totalsegmentator import DATASETS
from roi_extraction.totalsegmentator.child import CLASS_NUMBERS

__all__ = ["change_behaviour", "place_library", "place_weights"]

API = """
import json, os, subprocess, sys, time
from pathlib import Path
import nibabel as nib
import numpy as np

PLAN = json.loads((Path(__file__).parent / "plan.json").read_text())


def download_pretrained_weights(task_id):
    raise AssertionError("the library was let to download")


def totalsegmentator(input, output=None, ml=False, nr_thr_resamp=1, nr_thr_saving=6,
                     task="total", roi_subset=None, quiet=False, device="gpu", **others):
    assert output is None and ml is True and quiet is True and not others
    home = Path(os.environ["TOTALSEG_HOME_DIR"])
    config = json.loads((home / "config.json").read_text())
    Path(PLAN["seen"]).open("a").write(json.dumps({
        "task": task, "roi_subset": roi_subset, "device": device, "config": config,
        "weights": sorted(p.name for p in Path(os.environ["TOTALSEG_WEIGHTS_PATH"]).iterdir()),
    }) + "\\n")
    behaviour = PLAN["behaviour"]
    if behaviour == "exit":
        print("ERROR: the input is no CT")
        sys.exit(1)
    if behaviour == "raise":
        raise RuntimeError("Expected 3D (unbatched) input")
    if behaviour == "die":
        os._exit(7)
    if behaviour == "hang":
        other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(PLAN["seen"] + ".pid").write_text(str(other.pid))
        time.sleep(600)
    if behaviour == "hungry":
        kept = []
        while True:
            kept.append(np.ones(1 << 24, dtype=np.uint8))
            time.sleep(0.01)
    if behaviour == "hungry family":
        grow = "import time; kept = b'x' * (150 << 20); time.sleep(600)"
        for _ in range(6):
            subprocess.Popen([sys.executable, "-c", grow])
        time.sleep(600)
    if behaviour == "telephone":
        import urllib.request
        urllib.request.urlopen("http://192.0.2.1/weights.zip", timeout=2)
    scan = nib.load(input)
    labels = nib.load(PLAN["maps"][task])
    array = np.asarray(labels.dataobj).astype(np.uint8)
    if behaviour == "wrong shape":
        array = array[:-3]
    if behaviour == "empty":
        array = np.zeros_like(array)
    return nib.Nifti1Image(array, labels.affine)
"""


def place_library(
    folder: Path,
    maps: dict[str, Path],
    behaviour: str = "",
    *,
    version: str = "2.18.0",
    commercial: tuple[str, ...] = (),
    renumbered: bool = False,
) -> Path:
    """Write the stand-in into a folder.

    Parameters
    ----------
    maps
        The label map that each task returns.
    behaviour
        What it does instead of that.

    Returns
    -------
    seen
        A file of JSON lines, one a call: what the library was called with.
    """
    package = folder / "totalsegmentator"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "python_api.py").write_text(API)
    class_map: dict[str, Any] = {task: dict(names) for task, names in CLASS_NUMBERS.items()}
    if renumbered:
        class_map["total"][26] = "vertebrae_L6"
    (package / "map_to_binary.py").write_text(
        f"class_map = {class_map!r}\ncommercial_models = {dict.fromkeys(commercial, 1)!r}\n"
    )
    numbers = {name: int(name[7:10]) for names in DATASETS.values() for name in names}
    tables = {n: {"foldername": name, "version": "v"} for name, n in numbers.items()}
    tasks = {
        "total": {"sub_modes": {"default": {"task_id": [291, 292, 293, 294, 295]}}},
        "vertebrae_body": {"task_id": 305},
        "abdominal_muscles": {"task_id": 952},
    }
    (package / "map_tasks_config.py").write_text(
        f"TASK_CONFIGS = {tasks!r}\nTASK_ID_WEIGHTS_CONFIGS = {tables!r}\n"
    )
    seen = folder / "seen.jsonl"
    plan = {"behaviour": behaviour, "seen": str(seen), "maps": {k: str(v) for k, v in maps.items()}}
    (package / "plan.json").write_text(json.dumps(plan))
    info = folder / f"totalsegmentator-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: TotalSegmentator\nVersion: {version}\n"
    )
    return seen


def change_behaviour(folder: Path, behaviour: str) -> None:
    """Let later calls of the stand-in in a folder do this; see `place_library`."""
    path = folder / "totalsegmentator" / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"behaviour": behaviour}))


def place_weights(folder: Path) -> Path:
    """Write folders that look like the weights of all tasks."""
    for names in DATASETS.values():
        for name in names:
            trainer = folder / name / "nnUNetTrainer__nnUNetPlans__3d_fullres"
            (trainer / "fold_0").mkdir(parents=True)
            (trainer / "plans.json").write_text("{}")
            (trainer / "dataset.json").write_text("{}")
            (trainer / "fold_0" / "checkpoint_final.pth").write_text(name)
    return folder
