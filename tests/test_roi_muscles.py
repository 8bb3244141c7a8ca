from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from roi_extraction.anatomy import Anatomy, Missing, MissingReason, SpineLandmarks
from roi_extraction.builtin.posterior import posterior_regions
from roi_extraction.builtin.psoas import psoas_regions
from roi_extraction.label_map import LabelMapSegmenter
from roi_extraction.measurement import coverage
from roi_extraction.phantom import Phantom, PhantomParameters, make_phantom
from roi_extraction.placement import EllipseRoi, place_site
from roi_extraction.sites import SITES, DiscLevel, Muscle, Side, Site
from roi_extraction.volume import CtVolume
from tests.ct_builders import cropped, load_nifti_labels, load_nifti_volume

AUTOCHTHON = {Side.LEFT: 86, Side.RIGHT: 87}
ILIOPSOAS = {Side.LEFT: 88, Side.RIGHT: 89}
Placed = Mapping[Site, tuple[EllipseRoi, EllipseRoi, EllipseRoi] | Missing]


def place_muscles(volume: CtVolume, spine: SpineLandmarks) -> Placed:
    placed = {}
    psoas = psoas_regions(volume, spine)
    for site in SITES:
        if site.disc is None or site.side is None or site.muscle is None:
            continue
        if site.muscle is Muscle.PSOAS_MAJOR:
            region = psoas[site.disc, site.side]
        else:
            region = posterior_regions(volume, spine, site.disc, site.side)[site.muscle]
        placed[site] = region if isinstance(region, Missing) else place_site(volume, site, region)
    return placed


def inside(volume: CtVolume, rois: tuple[EllipseRoi, ...], mask: npt.NDArray[np.bool_]) -> float:
    shares = []
    for roi in rois:
        weights, rows, columns = coverage(volume, roi)
        within = mask[roi.slice_index, rows, columns]
        shares.append(float((weights * within).sum() / weights.sum()))
    return float(np.mean(shares))


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(PhantomParameters([50.0 if s.muscle else 120.0 for s in SITES]), seed=5)


@pytest.fixture(scope="module")
def phantom_spine(phantom: Phantom) -> SpineLandmarks:
    return LabelMapSegmenter(phantom.labels, phantom.body_labels).segment(phantom.volume).spine


@pytest.fixture(scope="module")
def phantom_placed(phantom: Phantom, phantom_spine: SpineLandmarks) -> Placed:
    return place_muscles(phantom.volume, phantom_spine)


def test_each_phantom_muscle_is_taken_for_no_other(
    phantom: Phantom, phantom_placed: Placed
) -> None:
    numbers = {site: int(site.name[-1]) for site in phantom_placed}
    found = {s: r for s, r in phantom_placed.items() if not isinstance(r, Missing)}
    assert len(found) >= 22
    for site, rois in found.items():
        mask = phantom.muscle_labels == numbers[site]
        assert inside(phantom.volume, rois, mask) > 0.85, site.name


def test_small_psoas_is_missing_as_too_small(phantom: Phantom, phantom_placed: Placed) -> None:
    for site, rois in phantom_placed.items():
        if site.muscle is Muscle.PSOAS_MAJOR and phantom.truth.area_mm2[site.name] < 150:
            assert isinstance(rois, Missing)
            assert rois.reason is MissingReason.TOO_SMALL


def test_psoas_outside_a_narrow_field_is_not_sought_elsewhere(
    phantom: Phantom, phantom_spine: SpineLandmarks
) -> None:
    disc = phantom_spine.discs[DiscLevel.L4_L5]
    column = round(float(phantom.volume.to_index(disc.centre_lps_mm)[2]))
    half = round(42.0 / phantom.volume.spacing_mm[2])
    narrow = cropped(phantom.volume, columns=slice(column - half, column + half))
    region = psoas_regions(narrow, phantom_spine)[DiscLevel.L4_L5, Side.LEFT]
    assert isinstance(region, Missing)


def test_disc_that_was_not_found_has_no_muscles(
    phantom: Phantom, phantom_spine: SpineLandmarks
) -> None:
    discs = {k: v for k, v in phantom_spine.discs.items() if k is not DiscLevel.L1_L2}
    spine = SpineLandmarks(phantom_spine.canal_lps_mm, phantom_spine.bodies, discs, 1.0)
    regions = posterior_regions(phantom.volume, spine, DiscLevel.L1_L2, Side.LEFT)
    assert all(isinstance(region, Missing) for region in regions.values())
    assert isinstance(psoas_regions(phantom.volume, spine)[DiscLevel.L1_L2, Side.LEFT], Missing)


@pytest.mark.shared
def test_real_muscles_lie_inside_their_labels(shared_data: Path) -> None:
    folder = shared_data / "ct/totalseg_example_ct"
    volume = load_nifti_volume(folder / "ct.nii.gz")
    labels = load_nifti_labels(folder / "seg_merged_v2_numbering.nii.gz", volume)
    bodies = load_nifti_labels(folder / "seg_vertebrae_body_and_discs.nii.gz", volume)
    anatomy: Anatomy = LabelMapSegmenter(labels, bodies).segment(volume)
    placed = place_muscles(volume, anatomy.spine)
    found = {s: r for s, r in placed.items() if not isinstance(r, Missing)}
    assert len(found) >= 22
    shares: dict[Muscle, list[float]] = {muscle: [] for muscle in Muscle}
    for site, rois in found.items():
        assert site.side is not None
        assert site.muscle is not None
        number = (ILIOPSOAS if site.muscle is Muscle.PSOAS_MAJOR else AUTOCHTHON)[site.side]
        shares[site.muscle].append(inside(volume, rois, labels == number))
    assert np.mean(shares[Muscle.PSOAS_MAJOR]) > 0.95
    assert np.mean(shares[Muscle.LONGISSIMUS]) > 0.95
    assert np.mean(shares[Muscle.TRANSVERSOSPINALIS]) > 0.85
    assert min(min(s) for s in shares.values()) > 0.8
    for name in ("L1-L2_3", "L1-L2_6"):
        small = next(rois for site, rois in placed.items() if site.name == name)
        assert isinstance(small, Missing)
        assert small.reason is MissingReason.TOO_SMALL
