"""TotalSegmentator, faked, as a segmenter of the whole node."""

import json
import os
from pathlib import Path

import pytest

from dicom_node.series.series_writer import InventedHeader, write_ct_series
from roi_extraction.labels.files import save_nifti
from roi_extraction.phantom import Phantom, PhantomParameters, make_phantom
from tests.fake_totalsegmentator import place_library, place_weights
from tests.node_process import Node, Pacs


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(PhantomParameters.random(7), 7)


@pytest.mark.parametrize(
    ("behaviour", "name"), [("", "totalsegmentator"), ("exit", "builtin")], ids=["runs", "exits"]
)
def test_node_measures_by_it_or_by_the_next_one(
    phantom: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: str, name: str
) -> None:
    maps = {}
    for task, labels in (("total", phantom.labels), ("vertebrae_body", phantom.body_labels)):
        maps[task] = tmp_path / f"{task}.nii.gz"
        save_nifti(maps[task], labels, phantom.volume)
    paths = [str(tmp_path / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    place_library(tmp_path / "site", maps, behaviour)
    weights = place_weights(tmp_path / "weights")
    files: list[Path] = write_ct_series(
        phantom.volume, tmp_path / "ct", InventedHeader(seed="totalsegmentator")
    )
    with Pacs() as pacs:
        node = Node(tmp_path / "node", pacs.port)
        node.config.write_text(
            'segmenters = ["totalsegmentator", "builtin"]\n'
            + node.config.read_text()
            + f"[totalsegmentator]\nweights = {json.dumps(str(weights))}\n"
        )
        with node:
            node.send(files)
            node.wait_for(lambda: node.events("delivered"))
            [report] = node.reports()
    assert report["segmenter"]["name"] == name
    passed = [w for w in report["warnings"] if w["code"] == "segmenter.passed_over"]
    assert len(passed) == (name == "builtin")
    if passed:
        assert "totalsegmentator.exited" in passed[0]["message"]
