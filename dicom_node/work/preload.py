"""What the children that assess share: imported once, by the server that they are forked from.

To import this module, as that server alone does to work, loads all that assesses and the models. It
does so in one thread: what a thread holds when its process forks stays held for ever in the child.
"""

import contextlib
import gc
import os
import sys
import warnings
from importlib import import_module
from pathlib import Path

LIBRARIES = (
    "dicom_node.work.assessment_pool",
    "dicom_node.analysis.analysis",
    "dicom_node.analysis.models",
    "dicom_node.sending.pacs_reports",
)
"""What a child imports to assess, with all that it needs."""

THREAD_VARIABLES = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""How many threads the numeric libraries may start; they read it when they are imported."""

UNUSED_LIBRARY = "pyarrow"
"""pandas imports it where it is there; nothing that assesses uses it, and it starts a thread."""


def _load() -> None:
    environment = dict(os.environ)
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    sys.modules[UNUSED_LIBRARY] = None  # type: ignore[assignment]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in LIBRARIES:
            import_module(name)
        from dicom_node.analysis.models import load_models
        from dicom_node.work.assessment_pool import BUNDLE_VARIABLE
        from roi_extraction.kernels import compile_kernels

        bundle = environment.pop(BUNDLE_VARIABLE, "")
        # a bundle that cannot be used is refused by the child that is asked for its identity
        with contextlib.suppress(Exception):
            load_models(Path(bundle) if bundle else None)[0].prepare()
        compile_kernels()
        _read_modules_of_objects()
    # a segmenter's own process has all threads again
    os.environ.clear()
    os.environ.update(environment)
    gc.collect()
    gc.freeze()


def _read_modules_of_objects() -> None:
    """Let highdicom read what each kind of object holds: 67 MB and .4 CPU s for a first object."""
    from highdicom.base import SOPClass
    from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage, generate_uid

    SOPClass(
        study_instance_uid=generate_uid(),
        series_instance_uid=generate_uid(),
        series_number=1,
        sop_instance_uid=generate_uid(),
        sop_class_uid=SegmentationStorage,
        instance_number=1,
        modality="SEG",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )


_load()
