from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from roi_extraction.anatomy import Anatomy, Landmark, Missing, MissingReason, SpineLandmarks
from roi_extraction.back_muscles.posterior import posterior_regions
from roi_extraction.builtin.psoas import psoas_regions
from roi_extraction.labels.label_map import LabelMapSegmenter
from roi_extraction.measurement import coverage
from roi_extraction.phantom import Phantom, PhantomParameters, make_phantom
from roi_extraction.placement import EllipseRoi, place_site
from roi_extraction.sites import SITES, DiscLevel, Muscle, Side, Site
from roi_extraction.volume import CtVolume
from tests.ct_builders import cropped, load_nifti_labels, load_nifti_volume, noisy

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
    return make_phantom(
        PhantomParameters(tuple(50.0 if s.muscle else 120.0 for s in SITES)), seed=5
    )


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


def test_psoas_that_holds_twice_a_roi_is_measured(phantom: Phantom, phantom_placed: Placed) -> None:
    psoas = {s: r for s, r in phantom_placed.items() if s.muscle is Muscle.PSOAS_MAJOR}
    thick = {s: r for s, r in psoas.items() if phantom.truth.area_mm2[s.name] > 300}
    assert {site.disc for site in thick} == set(tuple(DiscLevel)[1:])
    assert not [site.name for site, rois in thick.items() if isinstance(rois, Missing)]


def test_psoas_is_followed_where_only_upper_discs_are_named(
    phantom: Phantom, phantom_spine: SpineLandmarks
) -> None:
    disc = DiscLevel.L2_L3
    discs = {k: v for k, v in phantom_spine.discs.items() if k <= disc}
    spine = SpineLandmarks(phantom_spine.canal_lps_mm, phantom_spine.bodies, discs, 1.0)
    found = psoas_regions(phantom.volume, spine)
    whole = psoas_regions(phantom.volume, phantom_spine)
    for side in Side:
        alone, of_whole = found[disc, side], whole[disc, side]
        assert not isinstance(alone, Missing)
        assert not isinstance(of_whole, Missing)
        for one, other in zip(alone.slices, of_whole.slices, strict=True):
            shared = (one.mask & other.mask).sum() / (one.mask | other.mask).sum()
            assert shared > 0.9, (side, one.index)


def test_noise_and_streaks_do_not_part_psoas(
    phantom: Phantom, phantom_spine: SpineLandmarks
) -> None:
    volume = noisy(phantom.volume, 30.0, 1)
    placed = place_muscles(volume, phantom_spine)
    for site, rois in placed.items():
        if site.muscle is Muscle.PSOAS_MAJOR and phantom.truth.area_mm2[site.name] > 300:
            assert not isinstance(rois, Missing), site.name


def test_psoas_outside_a_narrow_field_is_not_sought_elsewhere(
    phantom: Phantom, phantom_spine: SpineLandmarks
) -> None:
    disc = phantom_spine.discs[DiscLevel.L4_L5]
    column = round(float(phantom.volume.to_index(disc.centre_lps_mm)[2]))
    half = round(42.0 / phantom.volume.spacing_mm[2])
    narrow = cropped(phantom.volume, columns=slice(column - half, column + half))
    region = psoas_regions(narrow, phantom_spine)[DiscLevel.L4_L5, Side.LEFT]
    assert isinstance(region, Missing)
    assert region.detail == "the scan does not show 12 mm around the place of psoas"


def test_disc_that_was_not_found_has_no_muscles(
    phantom: Phantom, phantom_spine: SpineLandmarks
) -> None:
    discs: dict[DiscLevel, Landmark] = {
        k: v for k, v in phantom_spine.discs.items() if k is not DiscLevel.L1_L2
    }
    spine = SpineLandmarks(phantom_spine.canal_lps_mm, phantom_spine.bodies, discs, 1.0)
    regions = posterior_regions(phantom.volume, spine, DiscLevel.L1_L2, Side.LEFT)
    assert all(isinstance(region, Missing) for region in regions.values())
    assert isinstance(psoas_regions(phantom.volume, spine)[DiscLevel.L1_L2, Side.LEFT], Missing)


def test_psoas_region_keeps_off_body_and_disc(
    phantom: Phantom, phantom_spine: SpineLandmarks
) -> None:
    spine_mask = phantom.body_labels > 0
    found = psoas_regions(phantom.volume, phantom_spine)
    for key in [(disc, side) for disc in tuple(DiscLevel)[1:4] for side in Side]:
        region = found[key]
        assert not isinstance(region, Missing), key
        for part in region.slices:
            gap = ndimage.distance_transform_edt(
                ~spine_mask[part.index], sampling=phantom.volume.spacing_mm[1:]
            )
            assert gap[part.mask].min() >= 1.0, key


def test_psoas_that_was_lost_at_l4_l5_is_not_taken_up_again_below(
    phantom: Phantom, phantom_spine: SpineLandmarks
) -> None:
    volume = phantom.volume
    assert not isinstance(
        psoas_regions(volume, phantom_spine)[DiscLevel.L5_S1, Side.RIGHT], Missing
    )
    centre = volume.to_index(phantom_spine.discs[DiscLevel.L4_L5].centre_lps_mm)[0]
    half = 15.0 / volume.slice_step_mm
    hu = np.array(volume.hu)
    lost = np.zeros(volume.shape, dtype=bool)
    lost[round(centre - half) : round(centre + half)] = True
    hu[lost & (ndimage.binary_dilation(phantom.muscle_labels == 3, iterations=4))] = -100
    fatty = CtVolume(hu, volume.affine, volume.slice_thickness_mm)
    found = psoas_regions(fatty, phantom_spine)
    lost_at = found[DiscLevel.L4_L5, Side.RIGHT]
    assert isinstance(lost_at, Missing)
    assert "no muscle thicker than 3 mm near" in lost_at.detail
    assert isinstance(found[DiscLevel.L5_S1, Side.RIGHT], Missing)
    assert not isinstance(found[DiscLevel.L5_S1, Side.LEFT], Missing)


@pytest.mark.parametrize("ilium_mm", [40.0, 46.0])
def test_longissimus_keeps_off_the_ilium(
    phantom: Phantom, phantom_spine: SpineLandmarks, ilium_mm: float
) -> None:
    volume = phantom.volume
    disc = phantom_spine.discs[DiscLevel.L4_L5].centre_lps_mm
    _, row, column = (round(float(i)) for i in volume.to_index(disc))
    first = column + round(ilium_mm / volume.spacing_mm[2])
    ilium = np.zeros(volume.shape, dtype=bool)
    ilium[:, row:, first : first + round(8.0 / volume.spacing_mm[2])] = True
    hu = np.array(volume.hu)
    hu[ilium] = 500
    walled = CtVolume(hu, volume.affine, volume.slice_thickness_mm)
    found = posterior_regions(walled, phantom_spine, DiscLevel.L4_L5, Side.LEFT)
    region = found[Muscle.LONGISSIMUS]
    assert not isinstance(region, Missing)
    for part in region.slices:
        columns = np.flatnonzero(part.mask.any(axis=0))
        assert columns.size == 0 or (first - columns.max()) * volume.spacing_mm[2] >= 4.0
    assert any(part.mask.any() for part in region.slices)


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
    assert np.mean(shares[Muscle.PSOAS_MAJOR]) > 0.98
    assert np.mean(shares[Muscle.LONGISSIMUS]) > 0.98
    assert np.mean(shares[Muscle.TRANSVERSOSPINALIS]) > 0.93
    assert min(shares[Muscle.PSOAS_MAJOR] + shares[Muscle.LONGISSIMUS]) > 0.94
    assert min(shares[Muscle.TRANSVERSOSPINALIS]) > 0.8
    for name in ("L1-L2_3", "L1-L2_6"):
        small = next(rois for site, rois in placed.items() if site.name == name)
        assert isinstance(small, Missing)
        assert small.reason is MissingReason.TOO_SMALL
