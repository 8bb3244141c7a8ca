"""The whole way on a real, labelled CT, wrapped as DICOM with an invented header."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.path import Path as Polygon
from typer.testing import CliRunner

from dicom_node.cli import app
from dicom_node.series.series_writer import InventedHeader, write_ct_series
from roi_extraction.volume import CtVolume
from tests.ct_builders import load_nifti_labels, load_nifti_volume

pytestmark = pytest.mark.shared

FOLDER = "ct/totalseg_example_ct"
VERTEBRAE = {"L1": 31, "L2": 30, "L3": 29, "L4": 28, "L5": 27, "S1": 26}
AUTOCHTHON = {"right": 87, "left": 86}
ILIOPSOAS = {"right": 89, "left": 88}
ADMITTED = [
    f"{disc}_{number}"
    for disc in ("L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1")
    for number in range(1, 7)
    if not (disc == "L1-L2" and number in (3, 6))
    and not (disc == "L5-S1" and number in (2, 3, 5, 6))
]


@pytest.fixture(scope="module")
def scan(shared_data: Path) -> tuple[CtVolume, np.ndarray, np.ndarray]:
    folder = shared_data / FOLDER
    volume = load_nifti_volume(folder / "ct.nii.gz")
    labels = load_nifti_labels(folder / "seg_merged_v2_numbering.nii.gz", volume)
    bodies = load_nifti_labels(folder / "seg_vertebrae_body_and_discs.nii.gz", volume)
    return volume, labels, bodies


@pytest.fixture(scope="module")
def series(
    scan: tuple[CtVolume, np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("real")
    write_ct_series(
        scan[0], folder, InventedHeader(seed="totalseg", patient_id="REAL", age_years=None, sex="")
    )
    return folder


def analyze(series: Path, out: Path, *options: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["analyze", str(series), "-o", str(out), *options])
    assert result.exit_code == 0, result.output
    return {s["name"]: s for s in json.loads((out / "report.json").read_text())["sites"]}


@pytest.fixture(scope="module")
def builtin(series: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return analyze(series, tmp_path_factory.mktemp("builtin"))


@pytest.fixture(scope="module")
def by_labels(
    series: Path, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    folder = shared_data / FOLDER
    return analyze(
        series,
        tmp_path_factory.mktemp("labels"),
        "--segmentation",
        str(folder / "seg_merged_v2_numbering.nii.gz"),
        "--bodies",
        str(folder / "seg_vertebrae_body_and_discs.nii.gz"),
    )


def share_inside(roi: dict[str, Any], volume: CtVolume, label: np.ndarray) -> float:
    """The share of a ROI's area, sampled every 0.5 mm, that lies inside a label."""
    contour = np.array(roi["contour_lps_mm"])
    polygon = Polygon(contour[:, :2])
    low, high = contour[:, :2].min(axis=0), contour[:, :2].max(axis=0)
    x, y = np.meshgrid(np.arange(low[0], high[0], 0.5), np.arange(low[1], high[1], 0.5))
    points = np.column_stack([x.ravel(), y.ravel()])
    points = points[polygon.contains_points(points)]
    lps = np.column_stack([points, np.full(len(points), contour[0, 2])])
    k, row, column = np.rint(volume.to_index(lps)).astype(int).T
    return float(label[k, row, column].mean())


@pytest.mark.parametrize("level", VERTEBRAE)
def test_vertebral_rois_lie_inside_the_right_body(
    scan: tuple[CtVolume, np.ndarray, np.ndarray], builtin: dict[str, Any], level: str
) -> None:
    volume, labels, bodies = scan
    site = builtin[level]
    assert site["status"] == "measured", site
    body = (labels == VERTEBRAE[level]) & (bodies == 1)
    shares = [share_inside(roi, volume, body) for roi in site["rois"]]
    assert min(shares) >= 0.90, shares


@pytest.mark.parametrize("level", VERTEBRAE)
def test_vertebral_mean_agrees_with_the_label_driven_one(
    builtin: dict[str, Any], by_labels: dict[str, Any], level: str
) -> None:
    assert builtin[level]["mean_hu"] == pytest.approx(by_labels[level]["mean_hu"], abs=10)


def test_muscles_are_measured_where_the_labels_admit_them(builtin: dict[str, Any]) -> None:
    measured = [name for name in ADMITTED if builtin[name]["status"] == "measured"]
    assert len(ADMITTED) == 24
    assert len(measured) >= 22, sorted(set(ADMITTED) - set(measured))


def test_psoas_at_l1_l2_is_missing_as_too_small(builtin: dict[str, Any]) -> None:
    for name in ("L1-L2_3", "L1-L2_6"):
        assert (builtin[name]["status"], builtin[name]["reason"]) == ("missing", "too_small")


@pytest.mark.parametrize(
    ("numbers", "label", "least"),
    [((1, 4), AUTOCHTHON, 0.85), ((2, 5), AUTOCHTHON, 0.85), ((3, 6), ILIOPSOAS, 0.85)],
    ids=["transversospinalis", "longissimus", "psoas major"],
)
def test_muscle_rois_lie_inside_their_muscle(
    scan: tuple[CtVolume, np.ndarray, np.ndarray],
    builtin: dict[str, Any],
    numbers: tuple[int, int],
    label: dict[str, int],
    least: float,
) -> None:
    volume, labels, _ = scan
    shares = {
        name: np.mean(
            [share_inside(roi, volume, labels == label[site["side"]]) for roi in site["rois"]]
        )
        for name, site in builtin.items()
        if "_" in name and int(name[-1]) in numbers and site["status"] == "measured"
    }
    assert np.mean(list(shares.values())) >= least, shares
    assert min(shares.values()) >= 0.6, shares


def test_muscle_means_agree_with_the_label_driven_ones(
    builtin: dict[str, Any], by_labels: dict[str, Any]
) -> None:
    both = [
        name
        for name in builtin
        if "_" in name and builtin[name]["status"] == by_labels[name]["status"] == "measured"
    ]
    differences = [abs(builtin[n]["mean_hu"] - by_labels[n]["mean_hu"]) for n in both]
    assert len(both) >= 20
    assert np.median(differences) <= 8, dict(zip(both, differences, strict=True))
