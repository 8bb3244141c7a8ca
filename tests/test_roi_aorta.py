from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from roi_extraction.anatomy import Landmark, SpineLandmarks
from roi_extraction.builtin.spine import find_spine
from roi_extraction.checks.aorta import Aorta, AortaNotFound, find_aorta
from roi_extraction.sites import Level
from roi_extraction.volume import CtVolume
from tests.ct_builders import gantry_tilted, load_nifti_labels, load_nifti_volume, noisy, resampled

UP = np.array([0.0, 0.0, 1.0])
AORTA, VEIN = 52, 63


def spine(levels: str = "1234") -> SpineLandmarks:
    """Bodies 36 mm apart at x = y = 0, the canal behind them."""
    bodies = {
        Level(f"L{number}"): Landmark(np.array([0.0, 0.0, 36.0 * (4 - int(number))]), UP, 1.0)
        for number in levels
    }
    z = np.arange(-40.0, 160.0)
    return SpineLandmarks(np.stack([0 * z, 0 * z + 28.0, z], axis=1), bodies, {}, 1.0)


def scan(
    blood_hu: float | None,
    *,
    place: tuple[float, float] = (10.0, -32.0),
    radius: float = 9.0,
    drift: float = 0.0,
    plaque: bool = False,
    bowel_hu: float | None = None,
) -> CtVolume:
    """Fat, a body with cortex, a vena cava of 40 HU, and an aorta that drifts to the left."""
    affine = np.array([[0, 0, 1.0, -70], [0, 1.0, 0, -90], [3.0, 0, 0, -36], [0, 0, 0, 1.0]])
    hu = np.full((60, 140, 140), -100.0, np.float32)
    z, y, x = np.meshgrid(
        np.arange(60) * 3.0 - 36, np.arange(140) - 90.0, np.arange(140) - 70.0, indexing="ij"
    )
    body = np.hypot(x / 24, y / 18)
    hu[body < 1] = 350.0
    hu[body < 0.92] = 150.0
    hu[np.hypot(x + 17, y + 30) < 10] = 40.0
    if bowel_hu is not None:
        hu[(np.abs(z - 40) < 14) & (np.abs(y + 50) < 8)] = bowel_hu
    if blood_hu is not None:
        away = np.hypot(x - place[0] - drift * (z - 54) / 54, y - place[1])
        hu[away < radius] = blood_hu
        if plaque:
            angle = np.arctan2(y - place[1], x - place[0])
            hu[(away < radius) & (away > radius - 1.5) & (np.sin(5 * angle) > 0)] = 700.0
    return CtVolume(ndimage.gaussian_filter(hu, (0, 0.6, 0.6)), affine, 3.0)


def measured(volume: CtVolume, landmarks: SpineLandmarks | None = None) -> Aorta:
    found = find_aorta(volume, landmarks or spine())
    assert isinstance(found, Aorta), found
    return found


@pytest.mark.parametrize("blood_hu", [30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 350.0])
def test_blood_is_measured_and_contrast_told_from_it(blood_hu: float) -> None:
    found = measured(scan(blood_hu))
    assert found.mean_hu == pytest.approx(blood_hu, abs=3)
    assert found.enhanced == (blood_hu > 80)


@pytest.mark.parametrize("blood_hu", [45.0, 130.0])
@pytest.mark.parametrize(
    "change",
    [
        {"place": (0.0, -30.0)},
        {"place": (24.0, -30.0)},
        {"radius": 7.0},
        {"radius": 13.0, "place": (10.0, -36.0)},
        {"drift": 12.0},
        {"plaque": True},
        {"bowel_hu": 40.0},
        {"bowel_hu": 300.0},
    ],
    ids=str,
)
def test_place_size_plaque_and_bowel_do_not_mislead(
    blood_hu: float, change: dict[str, Any]
) -> None:
    assert measured(scan(blood_hu, **change)).mean_hu == pytest.approx(blood_hu, abs=6)


@pytest.mark.parametrize("blood_hu", [45.0, 110.0])
def test_noise_does_not_mislead(blood_hu: float) -> None:
    volume = scan(blood_hu)
    noise = np.random.default_rng(3).normal(0, 35, volume.shape).astype(np.float32)
    loud = CtVolume(volume.hu + noise, volume.affine, 3.0)
    assert measured(loud).mean_hu == pytest.approx(blood_hu, abs=5)


def test_without_an_aorta_nothing_is_measured() -> None:
    assert isinstance(find_aorta(scan(None), spine()), AortaNotFound)


def test_contrast_in_crossing_bowel_alone_is_not_taken_for_blood() -> None:
    assert isinstance(find_aorta(scan(None, bowel_hu=300.0), spine()), AortaNotFound)


def test_aorta_outside_the_field_is_not_found() -> None:
    whole = scan(150.0)
    narrow = CtVolume(
        np.ascontiguousarray(whole.hu[:, 70:]),
        whole.affine + np.array([[0, 0, 0, 0], [0, 0, 0, 70.0], [0, 0, 0, 0], [0, 0, 0, 0]]),
        3.0,
    )
    assert isinstance(find_aorta(narrow, spine()), AortaNotFound)


def test_one_body_alone_is_not_enough_to_follow_it() -> None:
    found = find_aorta(scan(45.0), spine("2"))
    assert isinstance(found, AortaNotFound)
    assert "L1 to L4" in found.reason


@pytest.fixture(scope="module")
def real(shared_data: Path) -> tuple[CtVolume, np.ndarray]:
    folder = shared_data / "ct" / "totalseg_example_ct"
    volume = load_nifti_volume(folder / "ct.nii.gz")
    return volume, load_nifti_labels(folder / "seg_merged_v2_numbering.nii.gz", volume)


def with_blood(
    volume: CtVolume, labels: np.ndarray, aorta_hu: float | None, vein_hu: float | None
) -> CtVolume:
    hu = volume.hu.astype(np.float32)
    for label, target in ((AORTA, aorta_hu), (VEIN, vein_hu)):
        if target is not None:
            inside = labels == label
            share = np.clip(1.5 * ndimage.gaussian_filter(inside.astype(np.float32), 0.6), 0, 1)
            hu += np.where(inside, share, 0) * (target - 43)
    return CtVolume(np.round(hu).astype(np.int16), volume.affine, volume.slice_thickness_mm)


@pytest.mark.shared
def test_unenhanced_aorta_agrees_with_its_label(real: tuple[CtVolume, np.ndarray]) -> None:
    volume, labels = real
    inside = ndimage.binary_erosion(labels == AORTA)
    found = measured(volume, find_spine(volume))
    assert found.mean_hu == pytest.approx(float(np.median(volume.hu[inside])), abs=4)
    assert not found.enhanced


@pytest.mark.shared
@pytest.mark.parametrize(
    ("aorta_hu", "vein_hu"),
    [(60, 60), (100, 100), (130, 120), (180, 150), (300, 50)],
    ids=["none", "delayed", "late venous", "portal venous", "arterial"],
)
@pytest.mark.parametrize("change", ["as it is", "pitched", "rolled", "tilted gantry", "noisy"])
def test_phases_of_contrast_are_told_on_a_real_scan(
    real: tuple[CtVolume, np.ndarray], aorta_hu: float, vein_hu: float, change: str
) -> None:
    volume = with_blood(*real, aorta_hu, vein_hu)
    if change == "pitched":
        volume, _ = resampled(volume, rotation_deg=(12, 0, 0))
    elif change == "rolled":
        volume, _ = resampled(volume, rotation_deg=(0, 5, -15), slice_mm=2.0, pixel_mm=1.5)
    elif change == "tilted gantry":
        volume, _ = gantry_tilted(volume, None, -9.0)
    elif change == "noisy":
        volume = noisy(volume, 30.0, 1)
    found = measured(volume, find_spine(volume))
    assert found.mean_hu == pytest.approx(aorta_hu, abs=6)
    assert found.enhanced == (aorta_hu > 80)


@pytest.mark.shared
@pytest.mark.parametrize("share", [0.2, 0.5])
@pytest.mark.parametrize("aorta_hu", [43, 150])
def test_calcified_wall_does_not_pass_for_contrast(
    real: tuple[CtVolume, np.ndarray], share: float, aorta_hu: float
) -> None:
    volume, labels = real
    inside = labels == AORTA
    rng = np.random.default_rng(0)
    wall = inside & ~ndimage.binary_erosion(inside) & (rng.random(inside.shape) < share)
    hu = with_blood(volume, labels, aorta_hu, aorta_hu).hu.copy()
    hu[wall] = rng.uniform(300, 800, int(wall.sum()))
    calcified = CtVolume(hu, volume.affine, 3.0)
    assert measured(calcified, find_spine(volume)).mean_hu == pytest.approx(aorta_hu, abs=6)
