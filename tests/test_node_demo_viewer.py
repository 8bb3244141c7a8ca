"""The demonstration's page: what its server answers, and its words where something is missing."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from bench.viewer import ohif
from bench.viewer.__main__ import objects
from bench.viewer.archive import FolderArchive
from bench.viewer.ohif import ViewerUnavailable, fetch_ohif
from bench.viewer.page import serve_viewer
from dicom_node.reporting.structured_report import build_structured_report
from tests.assessment_builders import assessment
from tests.dicom_builders import plain_series


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a demonstration leaves: a CT, a report in the PACS and the same beside the node."""
    folder = tmp_path_factory.mktemp("demo")
    plain_series(folder / "phantom", slices=34)
    document = build_structured_report(assessment(folder / "phantom"), "id-1")
    kept = folder / "node" / "reports" / "study" / "series"
    kept.mkdir(parents=True)
    (folder / "pacs").mkdir()
    for path in (folder / "pacs" / "1.dcm", kept / "report.sr.dcm", kept / "report.invalid.dcm"):
        document.save_as(path, enforce_file_format=True)
    return folder


def get(archive: FolderArchive, path: str, query: str = "") -> Any:
    answer = archive.get(path, query, "")
    assert answer.status == 200
    return json.loads(answer.body)


def test_archive_lists_the_study_and_its_two_series_once(demo: Path) -> None:
    paths = objects(demo)
    assert "report.invalid.dcm" not in {path.name for path in paths}
    archive = FolderArchive(paths)
    [study] = get(archive, "/studies")
    assert study["00080061"]["Value"] == ["CT", "SR"]
    assert study["00201208"]["Value"] == [35]
    assert get(archive, "/studies", "StudyInstanceUID=1.2.3") == []
    series = get(archive, f"/studies/{archive.studies[0]}/series")
    counts = {entry["00080060"]["Value"][0]: entry["00201209"]["Value"][0] for entry in series}
    assert counts == {"CT": 34, "SR": 1}


def test_metadata_holds_the_whole_report_and_refers_to_pixels(demo: Path) -> None:
    archive = FolderArchive(objects(demo))
    study = archive.studies[0]
    for series in get(archive, f"/studies/{study}/series"):
        found = get(archive, f"/studies/{study}/series/{series['0020000E']['Value'][0]}/metadata")
        if series["00080060"]["Value"] == ["SR"]:
            assert pydicom.Dataset.from_json(found[0]) == pydicom.dcmread(demo / "pacs" / "1.dcm")
        else:
            address = found[0]["7FE00010"]["BulkDataURI"]
            assert archive.get(f"/studies/{study}/{address}", "", "").status == 200


def test_frame_is_the_pixels_and_an_unknown_instance_is_not_found(demo: Path) -> None:
    archive = FolderArchive(objects(demo))
    image = pydicom.dcmread(next((demo / "phantom").glob("*.dcm")))
    within = f"/studies/{image.StudyInstanceUID}/series/{image.SeriesInstanceUID}/instances"
    answer = archive.get(f"{within}/{image.SOPInstanceUID}/frames/1", "", "")
    head, _, rest = answer.body.partition(b"\r\n\r\n")
    assert b"transfer-syntax=1.2.840.10008.1.2.1" in head
    pixels = np.frombuffer(rest[: 32 * 32 * 2], np.int16).reshape(32, 32)
    np.testing.assert_array_equal(pixels, image.pixel_array)
    assert archive.get(f"{within}/1.2.3/frames/1", "", "").status == 404


def test_page_leads_to_the_study_isolates_itself_and_gives_no_file_from_outside(
    tmp_path: Path, demo: Path
) -> None:
    dist = tmp_path / "dist"
    dist.mkdir()
    (dist / "index.html").write_text("the viewer")
    (tmp_path / "secret").write_text("secret")
    archive = FolderArchive(objects(demo))
    with serve_viewer(dist, archive, "/viewer?StudyInstanceUIDs=1", 0) as address:
        with urllib.request.urlopen(f"{address}/") as answer:
            assert answer.url == f"{address}/viewer?StudyInstanceUIDs=1"
            assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
            assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        for path in ("/../secret", "/%2e%2e/secret"):
            with urllib.request.urlopen(f"{address}{path}") as answer:
                assert answer.read() == b"the viewer"
        with urllib.request.urlopen(f"{address}/dicom-web/studies") as answer:
            assert len(json.loads(answer.read())) == 1


def test_port_that_is_taken_is_named(tmp_path: Path, demo: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(ViewerUnavailable, match=f"port {port} of 127.0.0.1"),
            serve_viewer(tmp_path, FolderArchive(objects(demo)), "/", port),
        ):
            pass


def test_missing_npm_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ViewerUnavailable, match="npm is not installed"):
        fetch_ohif(tmp_path / "ohif")


FAKES = {
    "another package": ("echo other > ohif.tgz", "SHA-512 differs"),
    "no network": ("echo 'npm error network' >&2; exit 1", "could not fetch .* npm error network"),
}


@pytest.mark.parametrize(("script", "said"), FAKES.values(), ids=FAKES)
def test_package_that_is_not_the_tested_one_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    npm = tmp_path / "npm"
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(ViewerUnavailable, match=said):
        fetch_ohif(tmp_path / "ohif")
    assert not (tmp_path / "ohif" / ohif.OHIF_VERSION).exists()


def test_command_shows_the_demonstration_that_was_run_until_it_is_interrupted(
    tmp_path: Path, demo: Path
) -> None:
    (tmp_path / ohif.OHIF_VERSION).mkdir()
    (tmp_path / ohif.OHIF_VERSION / "index.html").write_text("the viewer")
    command = [
        sys.executable, "-m", "bench.viewer", "--demo", str(demo), "--port", "0", "--viewer",
        str(tmp_path),
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        with urllib.request.urlopen(address) as answer:
            assert answer.read() == b"the viewer"
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(30) == 0
