from pathlib import Path

import numpy as np
import pytest

from roi_extraction.anatomy import SpineLandmarks
from roi_extraction.builtin.spine import find_spine
from roi_extraction.checks.noise import estimate_noise_hu, roi_standard_error_hu
from roi_extraction.phantom import PhantomParameters, make_phantom
from tests.ct_builders import load_nifti_volume, noisy
from tests.roi_builders import flat_volume


def spine_of(canal_lps_mm: np.ndarray) -> SpineLandmarks:
    return SpineLandmarks(canal_lps_mm, {}, {}, 1.0)


@pytest.mark.parametrize("sd_hu", [4.0, 10.0, 20.0, 40.0])
@pytest.mark.parametrize(
    ("thickness_mm", "slabs"), [(3.0, 1), (1.0, 3), (5.0, 1)], ids=["3 mm", "1 mm", "5 mm"]
)
def test_noise_of_a_phantom_is_what_it_was_made_with(
    sd_hu: float, thickness_mm: float, slabs: int
) -> None:
    phantom = make_phantom(
        PhantomParameters.random(
            2, noise_sd_hu=sd_hu, slice_thickness_mm=thickness_mm, slice_step_mm=thickness_mm
        ),
        2,
    )
    found = estimate_noise_hu(phantom.volume, spine_of(phantom.truth.canal_lps_mm))
    assert found == pytest.approx(sd_hu / np.sqrt(slabs), rel=0.1, abs=0.4)


def test_too_little_even_tissue_gives_no_number() -> None:
    bone = flat_volume(600.0)
    canal = np.array([[0.0, 0.0, 3.0], [0.0, 0.0, 20.0]])
    assert np.isnan(estimate_noise_hu(bone, spine_of(canal)))


@pytest.mark.parametrize("pixel_mm", [0.7, 3.0])
def test_standard_error_is_that_of_repeated_regions(pixel_mm: float) -> None:
    """White noise in large pixels; grains of 0.65 mm in small ones, as in the phantom."""
    rng = np.random.default_rng(1)
    size = round(13.0 / pixel_mm)
    volume = flat_volume(size=size, pixel_mm=pixel_mm, slices=1)
    y, x = (np.indices((size, size)) - (size - 1) / 2) * pixel_mm
    disc = np.hypot(y, x) <= np.sqrt(150 / np.pi)
    means = []
    for _ in range(800):
        noise = rng.standard_normal((size, size))
        if pixel_mm < 1:
            from scipy import ndimage

            noise = ndimage.gaussian_filter(
                rng.standard_normal((3 * size, 3 * size)), 0.65 / pixel_mm
            )[size : 2 * size, size : 2 * size]
            noise /= 1 / (2 * np.sqrt(np.pi) * 0.65 / pixel_mm)
        means.append(20.0 * noise[disc].mean())
    assert roi_standard_error_hu(20.0, volume, 1) == pytest.approx(np.std(means), rel=0.15)


@pytest.mark.shared
def test_noise_added_to_a_real_scan_adds_in_squares(shared_data: Path) -> None:
    volume = load_nifti_volume(shared_data / "ct" / "totalseg_example_ct" / "ct.nii.gz")
    spine = find_spine(volume)
    own = estimate_noise_hu(volume, spine)
    assert 8.0 < own < 22.0
    for added in (10.0, 20.0, 40.0):
        found = estimate_noise_hu(noisy(volume, added, 5), spine)
        assert found == pytest.approx(np.hypot(own, added), rel=0.05)
