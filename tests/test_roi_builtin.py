"""The built-in segmenter finds, names and outlines the lumbar spine, or refuses."""

from pathlib import Path

import numpy as np
import pytest

import roi_extraction.builtin
from roi_extraction.anatomy import Missing, MissingReason, Region
from roi_extraction.builtin import BuiltinSegmenter, body_region, find_spine
from roi_extraction.builtin.contour import closed_contour
from roi_extraction.errors import InvalidVolume, RoiError
from roi_extraction.phantom import Phantom, PhantomParameters, make_phantom
from roi_extraction.sites import SITES, DiscLevel, Level
from roi_extraction.slices import central_slices
from roi_extraction.volume import CtVolume
from tests.ct_builders import (
    cropped,
    load_nifti_labels,
    load_nifti_volume,
    lowered_bone,
    noisy,
    resampled,
)

LABEL = {Level.S1: 26, Level.L5: 27, Level.L4: 28, Level.L3: 29, Level.L2: 30, Level.L1: 31}


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(PhantomParameters.typical())


@pytest.fixture(scope="module")
def real(shared_data: Path) -> tuple[CtVolume, np.ndarray, np.ndarray]:
    """A real scan, its vertebral labels, and bodies (1) and discs (2)."""
    folder = shared_data / "ct" / "totalseg_example_ct"
    volume = load_nifti_volume(folder / "ct.nii.gz")
    vertebrae = load_nifti_labels(folder / "seg_merged_v2_numbering.nii.gz", volume)
    parts = load_nifti_labels(folder / "seg_vertebrae_body_and_discs.nii.gz", volume)
    return volume, vertebrae, parts


def _centre(volume: CtVolume, mask: np.ndarray) -> np.ndarray:
    return volume.to_lps(np.argwhere(mask).mean(axis=0))


def _body(vertebrae: np.ndarray, parts: np.ndarray, level: Level) -> np.ndarray:
    own = vertebrae == LABEL[level]
    return own if level is Level.S1 else own & (parts == 1)


def test_contents_page_is_sorted_and_complete() -> None:
    names = roi_extraction.builtin.__all__
    assert names == sorted(names)
    assert all(hasattr(roi_extraction.builtin, name) for name in names)


def test_central_slices_are_missing_at_the_end_of_the_scan(phantom: Phantom) -> None:
    volume = phantom.volume
    assert central_slices(volume, volume.to_lps((10, 0, 0))) == (9, 10, 11)
    outside = central_slices(volume, volume.to_lps((0, 0, 0)))
    assert isinstance(outside, Missing)
    assert outside.reason is MissingReason.OUTSIDE_SCAN


def test_contour_follows_a_bright_ellipse() -> None:
    rows, columns = np.ogrid[:100, :100]
    inside = ((rows - 50) / 17) ** 2 + ((columns - 50) / 24) ** 2 < 1
    image = np.where(inside, 150.0, 40.0).astype(np.float32)
    radius, step = closed_contour(image, (50.0, 50.0), (1.0, 1.0), np.full(72, 42.0))
    assert radius[0] == pytest.approx(24, abs=1)
    assert radius[18] == pytest.approx(17, abs=1)
    assert step.min() > 80


def test_phantom_levels_are_found_where_they_are(phantom: Phantom) -> None:
    spine = find_spine(phantom.volume)
    truth = phantom.truth
    assert set(spine.bodies) == set(Level)
    assert set(spine.discs) == set(DiscLevel)
    for level, body in spine.bodies.items():
        limit = 9.0 if level is Level.S1 else 3.0
        error = np.linalg.norm(body.centre_lps_mm - truth.body_centres_lps_mm[level])
        assert error < limit, level
    for name, disc in spine.discs.items():
        assert np.linalg.norm(disc.centre_lps_mm - truth.disc_centres_lps_mm[name]) < 4.0, name
    assert not spine.findings


def test_phantom_bodies_are_outlined_without_disc_and_canal(phantom: Phantom) -> None:
    spine = find_spine(phantom.volume)
    for level in Level:
        region = body_region(phantom.volume, spine, level)
        assert isinstance(region, Region), level
        for part in region.slices:
            own = (phantom.labels[part.index] == LABEL[level]) & (
                phantom.body_labels[part.index] == 1
            )
            assert (part.mask & own).sum() / part.mask.sum() > 0.8, level


def test_segmenter_answers_for_all_sites_and_always_alike(phantom: Phantom) -> None:
    first, second = (BuiltinSegmenter().segment(phantom.volume) for _ in range(2))
    assert set(first.regions) == {site.name for site in SITES}
    for level in Level:
        one, other = first.regions[level], second.regions[level]
        assert isinstance(one, Region)
        assert isinstance(other, Region)
        for a, b in zip(one.slices, other.slices, strict=True):
            assert np.array_equal(a.mask, b.mask)


def test_scan_that_starts_at_l5_is_named_from_its_ribs_or_refused(phantom: Phantom) -> None:
    volume = phantom.volume
    first = round(float(volume.to_index(phantom.truth.disc_centres_lps_mm["L5-S1"])[0])) + 2
    spine = find_spine(cropped(volume, slices=slice(first, None)))
    assert set(spine.bodies) == {Level.L1, Level.L2, Level.L3, Level.L4}
    for level, body in spine.bodies.items():
        away = body.centre_lps_mm - phantom.truth.body_centres_lps_mm[level]
        assert np.linalg.norm(away) < 3.0
    below_t12 = volume.to_index(phantom.truth.disc_centres_lps_mm["T12-L1"])[0]
    with pytest.raises(RoiError):
        find_spine(cropped(volume, slices=slice(first, int(below_t12))))


def test_scan_that_ends_at_l2_leaves_out_l1_and_keeps_names(phantom: Phantom) -> None:
    volume = phantom.volume
    last = round(float(volume.to_index(phantom.truth.body_centres_lps_mm["L1"])[0]))
    spine = find_spine(cropped(volume, slices=slice(0, last)))
    assert Level.L1 not in spine.bodies
    for level, body in spine.bodies.items():
        error = np.linalg.norm(body.centre_lps_mm - phantom.truth.body_centres_lps_mm[level])
        assert error < 9.0, level
    region = body_region(cropped(volume, slices=slice(0, last)), spine, Level.L1)
    assert isinstance(region, Missing)


def test_coarse_slices_are_refused(phantom: Phantom) -> None:
    volume = phantom.volume
    affine = volume.affine.copy()
    affine[:3, 0] *= 2
    with pytest.raises(InvalidVolume, match=r"6\.0 mm apart"):
        find_spine(CtVolume(volume.hu[::2], affine, 6.0))


def test_air_and_noise_are_no_spine() -> None:
    noise = np.random.default_rng(0).normal(0, 40, (60, 64, 64)).astype(np.float32)
    affine = np.array([[0, 0, 3.0, 0], [0, 3.0, 0, 0], [3.0, 0, 0, 0], [0, 0, 0, 1.0]])
    for hu in (noise, np.full_like(noise, -1000.0), noise[:3, :8, :8]):
        with pytest.raises(RoiError):
            find_spine(CtVolume(hu, affine, 3.0))


@pytest.mark.shared
def test_real_scan_is_named_and_outlined_right(
    real: tuple[CtVolume, np.ndarray, np.ndarray],
) -> None:
    volume, vertebrae, parts = real
    spine = find_spine(volume)
    assert set(spine.bodies) == set(Level)
    for level in Level:
        own = _body(vertebrae, parts, level)
        if level is not Level.S1:
            error = np.linalg.norm(spine.bodies[level].centre_lps_mm - _centre(volume, own))
            assert error < 4.0, level
        region = body_region(volume, spine, level)
        assert isinstance(region, Region), level
        inside = sum((part.mask & own[part.index]).sum() for part in region.slices)
        assert inside / sum(part.mask.sum() for part in region.slices) > 0.85, level


@pytest.mark.shared
@pytest.mark.parametrize(
    ("rotation_deg", "slice_mm", "noise_hu", "lowered_hu"),
    [
        ((8.0, -6.0, 5.0), None, 20.0, 0.0),
        ((-10.0, 4.0, -8.0), 5.0, 0.0, 0.0),
        ((0.0, 0.0, 0.0), None, 15.0, 60.0),
        ((5.0, 12.0, -10.0), 2.0, 30.0, 80.0),
    ],
    ids=["turned", "thick slices", "osteoporotic", "osteoporotic, turned, noisy"],
)
def test_real_scan_is_never_named_wrong(
    real: tuple[CtVolume, np.ndarray, np.ndarray],
    rotation_deg: tuple[float, float, float],
    slice_mm: float | None,
    noise_hu: float,
    lowered_hu: float,
) -> None:
    volume, vertebrae, parts = real
    bone = (vertebrae >= 25) & (vertebrae <= 33)
    changed = noisy(lowered_bone(volume, bone, lowered_hu), noise_hu, seed=1)
    bodies = np.zeros_like(vertebrae)
    for number, level in enumerate(Level, start=1):
        bodies[_body(vertebrae, parts, level)] = number
    turned, labels = resampled(changed, bodies, rotation_deg=rotation_deg, slice_mm=slice_mm)
    assert labels is not None
    spine = find_spine(turned)
    for number, level in enumerate(Level, start=1):
        if level in spine.bodies:
            index = np.round(turned.to_index(spine.bodies[level].centre_lps_mm)).astype(int)
            assert labels[tuple(index)] == number, level


@pytest.mark.shared
def test_narrow_or_short_fields_are_refused(shared_data: Path) -> None:
    for name in (
        "verse014_L1-L5/sub-verse014_ct.nii.gz",
        "tptbox_L2-L4_crop/sub-ct_label-22_ct.nii.gz",
    ):
        with pytest.raises(RoiError):
            find_spine(load_nifti_volume(shared_data / "ct" / name))
