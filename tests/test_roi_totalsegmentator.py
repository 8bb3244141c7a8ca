"""TotalSegmentator's adapter, the library being faked at the process boundary."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roi_extraction import (
    Candidate,
    LabelMapSegmenter,
    SegmenterChain,
    SegmenterUnavailable,
    extract,
)
from roi_extraction.builtin import BuiltinSegmenter
from roi_extraction.labels.files import save_nifti
from roi_extraction.phantom import Phantom, PhantomParameters, make_phantom
from roi_extraction.totalsegmentator import TotalSegmentatorConfig, TotalSegmentatorSegmenter
from roi_extraction.totalsegmentator.weights import check_weights
from tests.ct_builders import load_nifti_labels, load_nifti_volume
from tests.fake_totalsegmentator import place_library, place_weights

ABDOMINAL = {1: 17, 2: 15, 3: 19, 4: 18, 5: 16, 6: 20}


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(PhantomParameters.random(7), 7)


@pytest.fixture(scope="module")
def maps(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("maps")
    muscles = np.zeros_like(phantom.muscle_labels)
    for ours, theirs in ABDOMINAL.items():
        muscles[phantom.muscle_labels == ours] = theirs
    arrays = {
        "total": phantom.labels,
        "vertebrae_body": phantom.body_labels,
        "abdominal_muscles": muscles,
    }
    for name, array in arrays.items():
        save_nifti(folder / f"{name}.nii.gz", array, phantom.volume)
    return {name: folder / f"{name}.nii.gz" for name in arrays}


@pytest.fixture
def config(tmp_path: Path) -> TotalSegmentatorConfig:
    return TotalSegmentatorConfig(place_weights(tmp_path / "weights"), seconds=120.0)


def prepend_path(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let child processes import from a folder first."""
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


@pytest.fixture
def place(
    tmp_path: Path, maps: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Put the stand-in where the child finds it; returns the record of its calls."""

    def put(behaviour: str = "", **options: Any) -> Path:
        folder = tmp_path / "site"
        path = os.environ.get("PYTHONPATH", "")
        monkeypatch.setenv(
            "PYTHONPATH", os.pathsep.join(part for part in (str(folder), path) if part)
        )
        return place_library(folder, maps, behaviour, **options)

    return put


def failure(config: TotalSegmentatorConfig, phantom: Phantom) -> SegmenterUnavailable:
    with pytest.raises(SegmenterUnavailable) as caught:
        TotalSegmentatorSegmenter(config).segment(phantom.volume)
    return caught.value


def calls(seen: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in seen.read_text().splitlines()]


def test_its_labels_are_measured_as_given_label_maps_are(
    place: Callable[..., Path], config: TotalSegmentatorConfig, phantom: Phantom
) -> None:
    seen = place()
    features = extract(phantom.volume, TotalSegmentatorSegmenter(config))
    given = extract(phantom.volume, LabelMapSegmenter(phantom.labels, phantom.body_labels))
    assert np.array_equal(features.mean_hu, given.mean_hu, equal_nan=True)
    assert features.segmenter.name == "totalsegmentator"
    assert features.segmenter.version == "2.18.0 total+vertebrae_body"
    first, second = calls(seen)
    assert (first["task"], second["task"]) == ("total", "vertebrae_body")
    assert {"vertebrae_L1", "autochthon_left", "iliopsoas_right"} <= set(first["roi_subset"])
    assert second["roi_subset"] is None
    assert first["device"] == "cpu"


def test_usage_statistics_are_off_and_the_weights_are_links(
    place: Callable[..., Path], config: TotalSegmentatorConfig, phantom: Phantom
) -> None:
    seen = place()
    TotalSegmentatorSegmenter(config).segment(phantom.volume)
    first = calls(seen)[0]
    assert first["config"]["send_usage_stats"] is False
    assert "license_number" not in first["config"]
    assert not any("952" in name for name in first["weights"])
    assert "Dataset292_TotalSegmentator_part2_vertebrae_1532subj" in first["weights"]


def test_abdominal_muscles_run_only_under_a_named_licence(
    place: Callable[..., Path], config: TotalSegmentatorConfig, phantom: Phantom
) -> None:
    seen = place()
    licensed = replace(config, abdominal_muscles_licence="Apache-2.0")
    features = extract(phantom.volume, TotalSegmentatorSegmenter(licensed))
    given = LabelMapSegmenter(phantom.labels, phantom.body_labels, phantom.muscle_labels)
    expected = extract(phantom.volume, given).mean_hu
    assert np.array_equal(features.mean_hu, expected, equal_nan=True)
    assert [call["task"] for call in calls(seen)] == [
        "total", "vertebrae_body", "abdominal_muscles",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("behaviour", "code", "message"),
    [
        ("exit", "exited", "left with 1: ERROR: the input is no CT"),
        ("raise", "failed", "RuntimeError: Expected 3D"),
        ("die", "failed", "ended with code 7"),
        ("telephone", "failed", "network is forbidden"),
        ("wrong shape", "bad_output", "has shape"),
        ("empty", "bad_output", "is empty"),
    ],
    ids=["SystemExit", "exception", "death", "network", "wrong shape", "empty"],
)
def test_what_goes_wrong_in_the_library_becomes_our_error(
    place: Callable[..., Path],
    config: TotalSegmentatorConfig,
    phantom: Phantom,
    behaviour: str,
    code: str,
    message: str,
) -> None:
    place(behaviour)
    error = failure(config, phantom)
    assert error.code == f"totalsegmentator.{code}"
    assert message in str(error)


def test_time_limit_ends_it_and_what_it_started(
    place: Callable[..., Path], config: TotalSegmentatorConfig, phantom: Phantom
) -> None:
    seen = place("hang")
    error = failure(replace(config, seconds=20.0), phantom)
    assert error.code == "totalsegmentator.time_limit"
    other = int(Path(f"{seen}.pid").read_text())
    deadline = time.monotonic() + 10
    while alive(other) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(other)


def alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_it_ends_with_the_process_that_started_it_and_leaves_nothing(
    place: Callable[..., Path],
    config: TotalSegmentatorConfig,
    phantom: Phantom,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = place("hang")
    save_nifti(tmp_path / "ct.nii.gz", phantom.volume.hu, phantom.volume)
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    program = (
        "import sys; from pathlib import Path; from tests.ct_builders import load_nifti_volume;"
        "from roi_extraction.totalsegmentator import *;"
        "config = TotalSegmentatorConfig(Path(sys.argv[2]));"
        "TotalSegmentatorSegmenter(config).segment(load_nifti_volume(Path(sys.argv[1])))"
    )
    root = Path(__file__).parents[1]
    starter = subprocess.Popen(
        [sys.executable, "-c", program, tmp_path / "ct.nii.gz", config.weights], cwd=root
    )
    deadline = time.monotonic() + 60
    while not Path(f"{seen}.pid").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    starter.kill()
    starter.wait()
    other = int(Path(f"{seen}.pid").read_text())
    while (alive(other) or any(scratch.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(other)
    assert not any(scratch.iterdir())


@pytest.mark.parametrize("behaviour", ["hungry", "hungry family"])
def test_memory_limit_ends_it(
    place: Callable[..., Path], config: TotalSegmentatorConfig, phantom: Phantom, behaviour: str
) -> None:
    place(behaviour)
    error = failure(replace(config, memory_mb=512), phantom)
    assert error.code == "totalsegmentator.memory_limit"


def test_missing_weights_are_told_before_the_library_is_called(
    place: Callable[..., Path], config: TotalSegmentatorConfig, phantom: Phantom
) -> None:
    seen = place()
    gone = config.weights / "Dataset305_vertebrae_discs_1559subj"
    gone.rename(config.weights / "Dataset305_vertebrae_discs_9subj")
    error = failure(config, phantom)
    assert error.code == "totalsegmentator.weights_missing"
    assert "another version, Dataset305_vertebrae_discs_9subj" in str(error)
    assert not seen.exists()
    extract(phantom.volume, TotalSegmentatorSegmenter(replace(config, vertebrae_body=False)))


def test_incomplete_weights_are_told(config: TotalSegmentatorConfig, phantom: Phantom) -> None:
    for path in config.weights.glob("Dataset292*/*/fold_0/checkpoint_final.pth"):
        path.write_bytes(b"")
    error = failure(config, phantom)
    assert error.code == "totalsegmentator.weights_missing"
    assert "Dataset292" in str(error)


def manifest(config: TotalSegmentatorConfig, path: Path) -> Path:
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(config.weights)}\n"
        for file in config.weights.rglob("*")
        if file.is_file()
    ]
    path.write_text("".join(lines))
    return path


def test_manifest_admits_the_weights_that_it_names_only(
    place: Callable[..., Path], config: TotalSegmentatorConfig, phantom: Phantom, tmp_path: Path
) -> None:
    place()
    checked = replace(config, manifest=manifest(config, tmp_path / "SHA256SUMS"))
    TotalSegmentatorSegmenter(checked).segment(phantom.volume)
    [changed] = config.weights.glob("Dataset291*/*/fold_0/checkpoint_final.pth")
    changed.write_text("other weights")
    error = failure(checked, phantom)
    assert error.code == "totalsegmentator.weights_changed"
    assert "checkpoint_final.pth of Dataset291" in str(error)


def test_manifest_of_600_mb_is_refused_unread(
    place: Callable[..., Path], config: TotalSegmentatorConfig, tmp_path: Path
) -> None:
    place()
    path = tmp_path / "SHA256SUMS"
    with path.open("wb") as file:
        file.truncate(600 << 20)
    started = time.process_time()
    with pytest.raises(SegmenterUnavailable, match="larger than 1 MB") as found:
        check_weights(config.weights, ["total"], path)
    assert found.value.code == "totalsegmentator.weights_changed"
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"version": "1.5.7"}, "version"),
        ({"renumbered": True}, "version"),
        ({"commercial": ("vertebrae_body",)}, "licence"),
    ],
    ids=["version 1", "other numbering", "licence needed"],
)
def test_library_that_differs_is_not_called(
    place: Callable[..., Path],
    config: TotalSegmentatorConfig,
    phantom: Phantom,
    options: dict[str, Any],
    code: str,
) -> None:
    seen = place(**options)
    assert failure(config, phantom).code == f"totalsegmentator.{code}"
    assert not seen.exists()


def test_without_the_extra_it_says_what_to_install(
    config: TotalSegmentatorConfig, phantom: Phantom
) -> None:
    error = failure(config, phantom)
    assert error.code == "totalsegmentator.not_installed"
    assert "osteonode[totalsegmentator]" in str(error)


def test_the_next_segmenter_serves_where_it_fails(
    place: Callable[..., Path], config: TotalSegmentatorConfig, phantom: Phantom
) -> None:
    place("raise")
    chain = SegmenterChain(
        [
            Candidate("totalsegmentator", lambda _volume: TotalSegmentatorSegmenter(config)),
            Candidate("builtin", lambda _volume: BuiltinSegmenter()),
        ]
    )
    anatomy = chain.segment(phantom.volume)
    assert anatomy.segmenter.name == "builtin"
    assert "totalsegmentator.failed" in anatomy.findings[0].message


@pytest.mark.shared
def test_recorded_labels_in_its_numbering_are_measured(
    shared_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    config: TotalSegmentatorConfig,
) -> None:
    folder = shared_data / "ct/totalseg_example_ct"
    volume = load_nifti_volume(folder / "ct.nii.gz")
    recorded = {
        "total": folder / "seg_merged_v2_numbering.nii.gz",
        "vertebrae_body": folder / "seg_vertebrae_body_and_discs.nii.gz",
    }
    prepend_path(monkeypatch, tmp_path / "site")
    place_library(tmp_path / "site", recorded)
    features = extract(volume, TotalSegmentatorSegmenter(config))
    labels, bodies = (load_nifti_labels(file, volume) for file in recorded.values())
    given = extract(volume, LabelMapSegmenter(labels, bodies))
    assert np.array_equal(features.mean_hu, given.mean_hu, equal_nan=True)
    assert np.isfinite(features.mean_hu).sum() >= 28
