"""What a child that assesses shares with its server, takes, and leaves: memory, by the kernel."""

import sys
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_node.analysis.analysis import analyse
from dicom_node.analysis.models import load_models
from dicom_node.assessment.segmenters import SegmenterPlan
from dicom_node.reporting.objects.kinds import ObjectKind
from dicom_node.series.series_writer import InventedHeader, write_ct_series
from dicom_node.settings.node import Acquisition, Limits, NodeSettings
from dicom_node.work.assessment_pool import AssessmentPool
from roi_extraction.phantom import PhantomParameters, make_phantom
from tests.kernel_memory import kernel_memory_mb
from tests.test_node_assessment_pool import PATIENCE_SECONDS, new_server, wait_until

__all__ = ["new_server"]

OWN_MB = 20
"""Most that an idle child may hold of its own."""

WORKING_MB = 110
"""Most that an assessment of 97 slices of 256 x 256 may take; their voxels are 12 of them."""

ATTRIBUTES = 10_000
"""Most attributes that highdicom's table may keep, of 100,000."""

UNUSED = {"matplotlib", "pandas", "pyarrow", "requests", "rich", "sklearn", "sqlalchemy", "tqdm"}


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def assess(files: list[Path], out: Path) -> dict[str, Any]:
    """In a child: assess with all objects, and say what the child then is."""
    import os

    from highdicom._standard_utils import get_module_attribute_map

    before_mb = kernel_memory_mb("self", "status", "VmRSS")
    stager, network = load_models(None)
    outcome = analyse(
        files, out, Acquisition(), stager, network, SegmenterPlan(names=("builtin",)),
        objects=tuple(ObjectKind),
    )  # fmt: skip
    return {
        "child": os.getpid(),
        "server": os.getppid(),
        "outcome": (outcome.reported, outcome.unmade),
        "working_mb": kernel_memory_mb("self", "status", "VmHWM") - before_mb,
        "modules": {name.partition(".")[0] for name in sys.modules if sys.modules[name]},
        "attributes": sum(map(len, get_module_attribute_map().values())),
    }


def timeless(dataset: Dataset) -> dict[str, Any]:
    """A data set without its dates and times, to be compared."""
    return {
        str(element.tag): [timeless(item) for item in element.value]
        if element.VR == "SQ"
        else element.value
        for element in dataset
        if element.VR not in ("DA", "TM", "DT")
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    volume = make_phantom(PhantomParameters.random(7), 7).volume
    return write_ct_series(
        volume, tmp_path_factory.mktemp("scan") / "in", InventedHeader(seed="child")
    )


@pytest.mark.usefixtures("new_server")
def test_child_takes_little_leaves_nothing_and_makes_the_same_objects(
    tmp_path: Path, files: list[Path]
) -> None:
    settings = NodeSettings(data_dir=tmp_path, limits=Limits(processes=1))
    with AssessmentPool(settings) as pool:
        done = pool._run(assess, PATIENCE_SECONDS, files, tmp_path / "child")
        server = done["server"]
        wait_until(lambda: bool(children_of(server)) and done["child"] not in children_of(server))
        [idle] = children_of(server)
        wait_until(lambda: kernel_memory_mb(idle, "smaps_rollup", "Rss") > 0)
        assert kernel_memory_mb(idle, "smaps_rollup", r"Private_\w+") < OWN_MB
        # it is the one that assesses next
        assert pool._run(assess, PATIENCE_SECONDS, files[:2], tmp_path / "next")["child"] == idle
    assert done["outcome"] == (True, {})
    assert done["working_mb"] < WORKING_MB
    assert not UNUSED & done["modules"]
    assert done["attributes"] < ATTRIBUTES
    stager, network = load_models(None)
    analyse(
        files, tmp_path / "here", Acquisition(), stager, network,
        SegmenterPlan(names=("builtin",)), objects=tuple(ObjectKind),
    )  # fmt: skip
    names = sorted(path.name for path in (tmp_path / "here").glob("*.dcm"))
    assert len(names) == len(ObjectKind) + 1
    for name in names:
        by_child, here = (pydicom.dcmread(tmp_path / where / name) for where in ("child", "here"))
        if name != ObjectKind.PDF.file_name:  # its bytes hold the time
            assert timeless(by_child) == timeless(here)
