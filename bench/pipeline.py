"""CPU seconds, seconds per stage and peak memory, on phantoms and, if present, the real CT.

From the files to the bytes of all objects, in one thread, four times, each in a child of its own as
the node has them: forked from a server that has loaded libraries and models, which it shares. The
floor is what pydicom takes to decode the files, with one pass over their voxels. Run as
``python -m bench.pipeline [WORDS]``, for the series alone whose name holds the words; timings are
noisy, compare CPU seconds within one run.
"""

import os
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless

from dicom_node.analysis.analysis import analyse
from dicom_node.analysis.models import load_models
from dicom_node.assessment.segmenters import SegmenterPlan
from dicom_node.memory import keep_memory
from dicom_node.reporting.objects.kinds import ObjectKind
from dicom_node.series.series_writer import InventedHeader, write_ct_series
from dicom_node.settings.node import Acquisition
from dicom_node.work.assessment_pool import AssessmentPool
from roi_extraction.phantom import PhantomParameters, make_phantom
from tests.kernel_memory import kernel_memory_mb

LARGE = {
    "rows": 512, "columns": 512, "slice_thickness_mm": 1.0, "slice_step_mm": 1.0,
    "above_l1_mm": 71.0, "below_s1_mm": 52.0,
}  # fmt: skip
"""About 300 slices."""

SERIES: dict[str, tuple[dict[str, Any], UID | None]] = {
    "phantom 256 x 256, 3 mm": ({}, None),
    "phantom 512 x 512, 1 mm": (LARGE, None),
    "the same, JPEG-LS": (LARGE, JPEGLSLossless),
    "the same, JPEG 2000": (LARGE, JPEG2000Lossless),
    "phantom 512 x 512, 0.45 mm": ({**LARGE, "slice_step_mm": 0.45}, None),
    "phantom 512 x 512, 685 slices": ({**LARGE, "slice_step_mm": 0.45, "above_l1_mm": 79.2}, None),
    "phantom 512 x 512, 0.3 mm": ({**LARGE, "slice_step_mm": 0.3}, None),
}
"""Phantoms and how their pixels are compressed."""

REAL = "real CT 122 x 101, 3 mm"

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Environment variables that bound the threads of numerical libraries."""


TURNS = 4
"""How often each series is assessed."""


def measure(name: str, folder: Path) -> None:
    """Assess one series, in a fresh child, and print a row of the table."""
    stager, network = load_models(None)
    shared_mb, own_mb = (
        kernel_memory_mb("self", "status", "VmRSS"),
        kernel_memory_mb("self", "smaps_rollup", "Private_Dirty"),
    )
    keep_memory()
    files = sorted(folder.iterdir())
    started, started_cpu = time.perf_counter(), time.process_time()
    outcome = analyse(
        files, folder.parent / "out", Acquisition(), stager, network,
        SegmenterPlan(names=("builtin",)), objects=tuple(ObjectKind),
    )  # fmt: skip
    wall_s, cpu_s = time.perf_counter() - started, time.process_time() - started_cpu
    stages = " ".join(f"{k} {v:.2f}" for k, v in outcome.timings_s.items())
    state = outcome.stage or outcome.code or "abstained"
    print(
        f"{name:28} {len(files):4} files  CPU {cpu_s:6.2f} s  wall {wall_s:6.2f} s: {stages}  "
        f"peak {kernel_memory_mb('self', 'status', 'VmHWM'):.0f} MB  "
        f"before it {shared_mb:.0f} MB, {own_mb:.0f} MB of them its own  {state}"
        f"{'  not made: ' + ', '.join(outcome.unmade) if outcome.unmade else ''}",
        flush=True,
    )


def floor(name: str, folder: Path) -> None:
    """Decode the files of one series as pydicom does, and look at each voxel once."""
    files = sorted(folder.iterdir())
    started = time.process_time()
    for file in files:
        np.asarray(pydicom.dcmread(file).pixel_array).max()
    floor_s = time.process_time() - started
    print(f"{name:28} {len(files):4} files  floor {floor_s:.2f} s", flush=True)


def _run(name: str, folder: Path) -> None:
    context = get_context("forkserver")
    context.set_forkserver_preload(list(AssessmentPool.preload))
    for function in (floor, *[measure] * TURNS):
        process = context.Process(target=function, args=(name, folder))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"{name}: the assessment ended with {process.exitcode}")


def main(words: str = "") -> None:
    """Time the phantoms and the real scan whose names hold some words."""
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))  # for the processes that are started
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for name, (changes, syntax) in SERIES.items():
            if words not in name:
                continue
            phantom = make_phantom(PhantomParameters.random(7, **changes), 7)
            folder = root / name.replace(" ", "_") / "in"
            for path in write_ct_series(phantom.volume, folder, InventedHeader(seed=name)):
                if syntax is not None:
                    dataset = pydicom.dcmread(path)
                    dataset.compress(syntax, generate_instance_uid=False)
                    dataset.save_as(path)
            del phantom
            _run(name, folder)
        shared = Path(os.environ.get("OSTEONODE_SHARED", "../shared")) / "data/ct"
        scan = shared / "totalseg_example_ct" / "ct.nii.gz"
        if scan.is_file() and words in REAL:
            from tests.ct_builders import load_nifti_volume

            folder = root / "real" / "in"
            write_ct_series(load_nifti_volume(scan), folder, InventedHeader(seed="real"))
            _run(REAL, folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
