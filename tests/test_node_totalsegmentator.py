"""TotalSegmentator, faked, as a segmenter of the whole node."""

import json
import os
from pathlib import Path
from typing import Any

import pydicom
import pytest

from dicom_node.series.series_writer import InventedHeader, write_ct_series
from roi_extraction.labels.files import save_nifti
from roi_extraction.phantom import Phantom, PhantomParameters, make_phantom
from tests.fake_totalsegmentator import change_behaviour, place_library, place_weights
from tests.node_process import Node, Pacs


def test_node_measures_by_it_or_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phantom = make_phantom(PhantomParameters.random(7), 7)
    maps = {}
    for task, labels in (("total", phantom.labels), ("vertebrae_body", phantom.body_labels)):
        maps[task] = tmp_path / f"{task}.nii.gz"
        save_nifti(maps[task], labels, phantom.volume)
    paths = [str(tmp_path / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    place_library(tmp_path / "site", maps)
    weights = place_weights(tmp_path / "weights")
    with Pacs() as pacs:
        node = Node(tmp_path / "node", pacs.port)
        node.config.write_text(
            'segmenters = ["totalsegmentator", "builtin"]\n'
            + node.config.read_text()
            + f"[totalsegmentator]\nweights = {json.dumps(str(weights))}\n"
        )
        with node:
            measured = report_on(node, phantom, tmp_path / "runs")
            change_behaviour(tmp_path / "site", "exit")
            passed_over = report_on(node, phantom, tmp_path / "exits")
    assert measured["segmenter"]["name"] == "totalsegmentator"
    assert not failures(measured)
    assert passed_over["segmenter"]["name"] == "builtin"
    [failure] = failures(passed_over)
    assert "totalsegmentator.exited" in failure


def report_on(node: Node, phantom: Phantom, folder: Path) -> dict[str, Any]:
    """What the node reports on a study of its own, once it is delivered."""
    delivered = len(node.events("delivered"))
    files: list[Path] = write_ct_series(phantom.volume, folder, InventedHeader(seed=folder.name))
    node.send(files)
    node.wait_for(lambda: len(node.events("delivered")) > delivered)
    [report] = node.reports(str(pydicom.dcmread(files[0]).StudyInstanceUID))
    return report


def failures(report: dict[str, Any]) -> list[str]:
    """What the report says of segmenters that failed."""
    return [w["message"] for w in report["warnings"] if w["code"] == "segmenter.passed_over"]
