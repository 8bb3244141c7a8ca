"""Our objects in the programs that readers use: OHIF in headless Chromium, and Orthanc."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pydicom
import pytest
from typer.testing import CliRunner

from bench.viewer.ohif import ViewerUnavailable, fetch_ohif
from dicom_node.cli import app
from dicom_node.reporting.objects.kinds import ObjectKind
from dicom_node.reporting.report_history import REPORT_FILE
from dicom_node.series.series_writer import InventedHeader, write_ct_series
from roi_extraction.phantom import PhantomParameters, make_phantom
from tests.conftest import unavailable
from tests.ohif import BLACK_SPREAD, OPENINGS, look

pytestmark = pytest.mark.viewers

BUILD = Path(__file__).parents[1] / "build"

HARMLESS: tuple[str, ...] = ()
"""Faults of the viewer itself that no object of ours causes, each with its reason; none so far."""


def written_study(folder: Path) -> Path:
    """A phantom's CT and its report in every form."""
    phantom = make_phantom(PhantomParameters.random(7), 7)
    write_ct_series(phantom.volume, folder / "ct", InventedHeader(seed="viewers"))
    arguments = ["analyze", str(folder / "ct"), "-o", str(folder / "report")]
    arguments += [word for kind in ObjectKind for word in ("--objects", kind)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    return folder


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The study and what was seen of it; made once, also where several processes run the tests."""
    try:
        dist = fetch_ohif(BUILD / "ohif")
    except ViewerUnavailable as error:
        unavailable(str(error))
    root = tmp_path_factory.getbasetemp()
    shared = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    study, done = shared / "viewers", shared / "viewers.json"
    with (shared / "viewers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            study.mkdir()  # a second try would not be a better one
            done.write_text(json.dumps(look(written_study(study), dist, BUILD / "viewers")))
    return study, json.loads(done.read_text())


@pytest.mark.parametrize("name", [*OPENINGS, "demo"])
def test_ohif_opens_the_object_without_a_fault_and_shows_an_image(
    looked: tuple[Path, dict[str, Any]], name: str
) -> None:
    seen = looked[1]["seen"][name]
    assert [f for f in seen["faults"] if not any(known in f for known in HARMLESS)] == []
    if name == ObjectKind.PDF.file_name:
        assert seen["pdf_starts"] == "%PDF-"
    else:
        assert len(seen["spreads"]) == (3 if name == "demo" else 1)
        assert min(seen["spreads"]) > BLACK_SPREAD


@pytest.mark.parametrize("name", [REPORT_FILE, "demo"])
def test_ohif_writes_site_and_hu_beside_the_contour(
    looked: tuple[Path, dict[str, Any]], name: str
) -> None:
    study, found = looked
    report = json.loads((study / "report" / "report.json").read_text())
    [l1] = [site for site in report["sites"] if site["name"] == "L1"]
    assert "L1 vertebra" in found["seen"][name]["text"]
    assert f"{l1['mean_hu']:.2f}" in found["seen"][name]["text"]


def test_ohif_loads_every_region_of_the_planar_report(looked: tuple[Path, dict[str, Any]]) -> None:
    study, found = looked
    report = json.loads((study / "report" / "report.json").read_text())
    regions = sum(len(site["rois"]) for site in report["sites"])
    assert found["seen"][ObjectKind.PLANAR.file_name]["listed"] == regions > 60


def test_ohif_lists_every_segment_by_its_name(looked: tuple[Path, dict[str, Any]]) -> None:
    study, found = looked
    segments = pydicom.dcmread(study / "report" / ObjectKind.SEG.file_name).SegmentSequence
    seen = found["seen"][ObjectKind.SEG.file_name]
    assert seen["listed"] == len(segments) > 20
    assert [s.SegmentLabel for s in segments if s.SegmentLabel not in seen["text"]] == []


@pytest.mark.parametrize(
    ("name", "starts"), [(ObjectKind.SC.file_name, "\x89PNG"), (ObjectKind.PDF.file_name, "%PDF-")]
)
def test_orthanc_previews_the_picture_and_the_document(
    looked: tuple[Path, dict[str, Any]], name: str, starts: str
) -> None:
    assert looked[1]["previews"][name].startswith(starts)
