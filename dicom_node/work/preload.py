"""What the children that assess share: imported once, by the server that they are forked from.

To import this module, as that server alone does to work, loads all that assesses and the models. It
does so in one thread: what a thread holds when its process forks stays held for ever in the child.
"""

import contextlib
import json
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

UNUSED_LIBRARIES = ("pyarrow", "requests", "rich", "tqdm")
"""pandas, pydicom and structlog import them where they are there; nothing that assesses uses them.
The first starts a thread, the others hold some MB."""

WHOLE_MODULES = (
    "segmentation-image",
    "segmentation-multi-frame-functional-groups",
    "specimen",
)
"""Modules of DICOM by which highdicom checks the sequences of what it reads."""


def _load() -> None:
    environment = dict(os.environ)
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    sys.modules.update(dict.fromkeys(UNUSED_LIBRARIES))  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _read_modules_of_objects()  # first: what it frees is used by what comes after
        for name in LIBRARIES:
            import_module(name)
        from dicom_node.analysis.models import load_models
        from dicom_node.memory import give_memory_back
        from dicom_node.work.assessment_pool import BUNDLE_VARIABLE
        from roi_extraction.kernels import compile_kernels

        bundle = environment.pop(BUNDLE_VARIABLE, "")
        # a bundle that cannot be used is refused by the child that is asked for its identity
        with contextlib.suppress(Exception):
            load_models(Path(bundle) if bundle else None)[0].prepare()
        compile_kernels()
        _open_fonts()
    # a segmenter's own process has all threads again
    os.environ.clear()
    os.environ.update(environment)
    give_memory_back()


def _read_modules_of_objects() -> None:
    """Let highdicom read which attributes each module of DICOM has, and keep those that it needs.

    Its objects copy what does not lie in sequences, and ask whether a module has a date of its
    content or pixels, which lie in none; what it reads is checked by `WHOLE_MODULES`. The others,
    24 of 25, take 65 MB.
    """
    from highdicom import _standard_utils as standard

    standard.get_sop_class_iod_map()
    standard.get_iod_module_map()
    attributes = standard.get_module_attribute_map()
    kept = json.dumps({
        module: [a for a in found if module in WHOLE_MODULES or not a["path"]]
        for module, found in attributes.items()
    })  # fmt: skip
    attributes.clear()  # read anew, for what stays would lie among all that was freed
    attributes.update(json.loads(kept))


def _open_fonts() -> None:
    """Open what every report is drawn and written with."""
    from PIL import Image

    from dicom_node.reporting.objects.pdf_layout import prepare_reportlab

    Image.preinit()
    prepare_reportlab()


_load()
