"""The phantom: its truth, its anatomy, its flags, its determinism."""

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from roi_extraction.phantom import Density, Phantom, PhantomParameters, PhantomSex, make_phantom
from roi_extraction.sites import SITES, Level, Side, Site

LEVEL_LABEL = {level: 31 - i for i, level in enumerate(Level)}
ROI_RADIUS_MM = 6.9


@cache
def phantom(**fields: Any) -> Phantom:
    return make_phantom(PhantomParameters.typical(**{"noise_sd_hu": 0.0, **fields}), seed=3)


def central_slices(made: Phantom, site: Site) -> list[int]:
    centre = (
        made.truth.body_centres_lps_mm[site.level]
        if site.level
        else made.truth.disc_centres_lps_mm[str(site.disc)]
    )
    middle = round(float(made.volume.to_index(centre)[0]))
    return [middle - 1, middle, middle + 1]


def site_mask(made: Phantom, site: Site, k: int) -> np.ndarray:
    if site.level:
        return (made.body_labels[k] == 1) & (made.labels[k] == LEVEL_LABEL[site.level])
    return made.muscle_labels[k] == int(site.name[-1])


def interior_mean(made: Phantom, site: Site, margin_mm: float) -> float:
    values = []
    for k in central_slices(made, site):
        depth = ndimage.distance_transform_edt(site_mask(made, site, k)) * made.parameters.pixel_mm
        values.append(made.volume.hu[k][depth > margin_mm])
    return float(np.concatenate(values).mean())


@pytest.mark.parametrize("site", SITES, ids=[site.name for site in SITES])
def test_interior_of_a_site_is_exactly_its_true_hu_without_texture(site: Site) -> None:
    made = phantom(texture=False)
    # The basivertebral vein takes a little from a body.
    tolerance = 2.0 if site.is_vertebra else 0.6
    assert interior_mean(made, site, 3.5) == pytest.approx(made.truth.hu[site.name], abs=tolerance)


@pytest.mark.parametrize("fat", [0.02, 0.4], ids=["lean", "fatty"])
def test_texture_leaves_the_mean_of_every_site_within_3_hu(fat: float) -> None:
    made = phantom(fat_infiltration=fat)
    for site in SITES:
        if made.truth.area_mm2[site.name] > 250.0:
            # Endplates cut the slices obliquely at S1: their blur reaches further in.
            mean = interior_mean(made, site, 4.0 if site.is_vertebra else 3.0)
            assert mean == pytest.approx(made.truth.hu[site.name], abs=3.0), site.name


def test_a_small_roi_anywhere_inside_measures_the_truth_within_the_texture() -> None:
    made = phantom()
    for site in SITES:
        means = []
        for k in central_slices(made, site):
            depth = ndimage.distance_transform_edt(site_mask(made, site, k))
            row, column = np.unravel_index(int(depth.argmax()), depth.shape)
            rows, columns = np.ogrid[: depth.shape[0], : depth.shape[1]]
            pixel = made.parameters.pixel_mm
            disc = np.hypot(rows - row, columns - column) * pixel < ROI_RADIUS_MM
            if depth.max() * pixel > ROI_RADIUS_MM + 1.5:
                means.append(float(made.volume.hu[k][disc].mean()))
        if len(means) == 3:
            assert np.mean(means) == pytest.approx(made.truth.hu[site.name], abs=6.0), site.name


def test_every_site_gets_its_own_hu() -> None:
    hu = {site.name: 20.0 + 2.0 * i for i, site in enumerate(SITES)}
    made = make_phantom(PhantomParameters(tuple(hu.values()), noise_sd_hu=0.0, texture=False))
    for site in SITES:
        # Bodies with HU near water have dark cores in a bright shell: keep clear of its blur.
        assert interior_mean(made, site, 3.5) == pytest.approx(hu[site.name], abs=2.5), site.name


def test_same_parameters_and_seed_give_the_same_voxels() -> None:
    small = PhantomParameters.random(5, rows=128, columns=128, slice_step_mm=6.0)
    first, second = make_phantom(small, 7), make_phantom(small, 7)
    np.testing.assert_array_equal(first.volume.hu, second.volume.hu)
    np.testing.assert_array_equal(first.labels, second.labels)
    assert (make_phantom(small, 8).volume.hu != first.volume.hu).any()


def test_random_parameters_depend_on_their_seed_alone() -> None:
    assert PhantomParameters.random(1) == PhantomParameters.random(1)
    assert PhantomParameters.random(1) != PhantomParameters.random(2)
    assert PhantomParameters.random(1, rows=64).rows == 64


def test_levels_lie_in_order_and_every_vertebra_is_labelled() -> None:
    made = phantom()
    heights = [made.truth.body_centres_lps_mm[level][2] for level in Level]
    assert all(upper > lower for upper, lower in pairwise(heights))
    for level in Level:
        centre = made.volume.to_index(made.truth.body_centres_lps_mm[level])
        k, row, column = np.rint(centre).astype(int)
        assert made.labels[k, row, column] == LEVEL_LABEL[level]
        assert made.body_labels[k, row, column] == 1
    assert (made.labels == 25).any()
    assert (made.labels == 32).any()


def test_discs_lie_between_their_bodies() -> None:
    made = phantom()
    for name, centre in made.truth.disc_centres_lps_mm.items():
        k, row, column = np.rint(made.volume.to_index(centre)).astype(int)
        if 0 <= k < made.volume.shape[0]:
            assert made.body_labels[k, row, column] == 2, name
            assert 60 < made.volume.hu[k, row, column] < 130, name


def test_right_is_at_smaller_x() -> None:
    made = phantom()
    columns = np.arange(made.volume.shape[2])
    middle = columns.mean()
    for left, right in ((86, 87), (88, 89)):
        for label, sign in ((left, 1), (right, -1)):
            found = np.nonzero(made.labels == label)[2]
            assert ((found - middle) * sign > 0).all()
    for number in range(1, 7):
        found = np.nonzero(made.muscle_labels == number)[2]
        assert ((found > middle) if number > 3 else (found < middle)).all()


def test_liver_is_on_the_right_and_aorta_left_of_the_vena_cava() -> None:
    made = phantom()
    x, y, z = made.truth.body_centres_lps_mm["L2"]
    k, row, column = np.rint(made.volume.to_index([x + 9, y - 31, z])).astype(int)
    assert 40 < made.volume.hu[k, row, column] < 50
    right, left = (
        np.rint(made.volume.to_index([side * 90, -50, z + 40])).astype(int) for side in (-1, 1)
    )
    assert made.volume.hu[tuple(right)] == 57
    assert made.volume.hu[tuple(left)] != 57


def test_psoas_grows_downwards_and_is_too_small_for_a_roi_at_the_top() -> None:
    area = phantom().truth.area_mm2
    for number in (3, 6):
        sizes = [area[f"{disc}_{number}"] for disc in ("L1-L2", "L2-L3", "L3-L4", "L4-L5")]
        assert all(upper < lower for upper, lower in pairwise(sizes))
        assert sizes[0] < 150.0 < 600.0 < sizes[-1]


def test_canal_runs_behind_the_bodies_and_is_ringed_by_bone_at_the_pedicles() -> None:
    made = phantom()
    canal = made.truth.canal_lps_mm
    for level in Level:
        x, y, z = made.truth.body_centres_lps_mm[level]
        k, row, column = np.rint(made.volume.to_index([x, y, z + 5.0])).astype(int)
        behind = float(np.interp(z + 5.0, canal[:, 2], canal[:, 1]))
        row = round(float(made.volume.to_index([x, behind, z])[1]))
        assert -20 < made.volume.hu[k, row, column] < 60, level
        sides = made.volume.hu[k, row], round(18.0 / made.parameters.pixel_mm)
        if level is not Level.S1 and level is not Level.L5:
            assert sides[0][column : column + sides[1]].max() > 250, level
            assert sides[0][column - sides[1] : column].max() > 250, level


def test_lordosis_and_sacral_slope_tilt_the_discs() -> None:
    def tilt(made: Phantom, name: str) -> float:
        axis = made.truth.disc_axes[name]
        return float(np.degrees(np.arctan2(-axis[1], axis[2])))

    made = phantom()
    assert 25 < tilt(made, "L5-S1") < 45
    assert 0 < tilt(made, "L4-L5") < 20
    assert tilt(made, "L1-L2") < 0
    steep = phantom(sacral_slope_deg=48.0, lordosis_deg=62.0)
    assert tilt(steep, "L5-S1") > tilt(made, "L5-S1") + 5


@pytest.mark.parametrize("flag", ["ribs", "ilia", "aorta", "bowel_gas", "table"])
def test_each_flag_takes_its_part_away(flag: str) -> None:
    fields = {"rows": 128, "columns": 128, "texture": False}
    with_it, without = phantom(**fields), phantom(**fields, **{flag: False})
    changed = with_it.volume.hu != without.volume.hu
    assert changed.sum() > 200
    brighter = (with_it.volume.hu[changed] > without.volume.hu[changed]).mean()
    assert brighter < 0.1 if flag == "bowel_gas" else brighter > 0.6
    if flag in {"table", "bowel_gas"}:
        np.testing.assert_array_equal(with_it.labels, without.labels)


def test_noise_has_the_asked_sd_and_no_bias() -> None:
    clean, noisy = phantom(), phantom(noise_sd_hu=15.0)
    inside = clean.volume.hu > -300
    difference = (noisy.volume.hu.astype(float) - clean.volume.hu)[inside]
    assert difference.std() == pytest.approx(15.0, rel=0.03)
    assert difference.mean() == pytest.approx(0.0, abs=0.3)


def test_volume_has_the_asked_grid_and_a_ct_range() -> None:
    made = phantom(rows=140, columns=160, field_of_view_mm=380.0, slice_step_mm=5.0,
                   slice_thickness_mm=4.0)  # fmt: skip
    assert made.volume.shape[1:] == (140, 160)
    np.testing.assert_allclose(made.volume.spacing_mm, [5.0, 380 / 160, 380 / 160])
    assert made.volume.slice_thickness_mm == 4.0
    assert made.volume.hu.dtype == np.int16
    assert made.volume.hu.min() >= -1024
    assert 300 < made.volume.hu.max() < 1500
    for labels in (made.labels, made.body_labels, made.muscle_labels):
        assert labels.shape == made.volume.shape
        assert labels.dtype == np.uint8
        assert not labels.flags.writeable


def test_default_scan_reaches_from_t11_into_the_sacrum() -> None:
    made = phantom()
    assert 85 <= made.volume.shape[0] <= 105
    top = made.volume.to_lps([made.volume.shape[0] - 1, 0, 0])[2]
    bottom = made.volume.to_lps([0, 0, 0])[2]
    assert made.truth.body_centres_lps_mm["T12"][2] < top
    assert bottom < made.truth.body_centres_lps_mm["S1"][2] - 45


def test_a_scan_can_end_at_l4() -> None:
    made = phantom(below_s1_mm=-55.0)
    assert not (made.labels == LEVEL_LABEL[Level.S1]).any()
    assert (made.labels == LEVEL_LABEL[Level.L4]).any()
    assert made.truth.area_mm2["S1"] == 0.0
    with pytest.raises(ValueError, match="no slice"):
        make_phantom(PhantomParameters.typical(below_s1_mm=-400.0))


def test_size_and_sex_change_the_bodies() -> None:
    patients: dict[str, dict[str, Any]] = {
        "small": {"body_scale": 0.85},
        "woman": {"body_scale": 1.0},
        "man": {"body_scale": 1.0, "sex": PhantomSex.MALE},
    }
    area = {name: phantom(**fields).truth.area_mm2["L3"] for name, fields in patients.items()}
    assert area["small"] < area["woman"] < area["man"]


def test_thin_slices_show_the_same_anatomy() -> None:
    fields = {"rows": 128, "columns": 128, "texture": False}
    thick = phantom(**fields)
    thin = phantom(**fields, slice_step_mm=1.0, slice_thickness_mm=1.0)
    averaged = np.stack([thin.volume.hu[k - 1 : k + 2].mean(axis=0) for k in (121, 151)])
    for mean, k in zip(averaged, (121, 151), strict=True):
        z = thin.volume.to_lps([k, 0, 0])[2]
        nearest = round(float(thick.volume.to_index([0, 0, z])[0]))
        difference = np.abs(mean - thick.volume.hu[nearest])
        assert np.median(difference) <= 1.0
        assert np.percentile(difference, 99) < 250


def test_typical_patients_differ_as_the_stages_do() -> None:
    l1 = [PhantomParameters.typical(density=density).hu_by_site["L1"] for density in Density]
    assert all(denser > thinner for denser, thinner in pairwise(l1))
    lean, fatty = (
        PhantomParameters.typical(fat_infiltration=fat).hu_by_site["L4-L5_1"] for fat in (0.05, 0.4)
    )
    assert lean > fatty + 30


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lordosis_deg": 200.0}, "lordosis_deg"),
        ({"fat_infiltration": 0.7}, "fat_infiltration"),
        ({"rows": 2}, "rows"),
        ({"noise_sd_hu": float("nan")}, "noise_sd_hu"),
    ],
)
def test_impossible_parameters_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PhantomParameters.random(0, **fields)


def test_true_hu_must_name_all_36_sites() -> None:
    # a mapping may be given for the tuple that is kept, which the type of a field cannot say
    make: Any = PhantomParameters
    complete = PhantomParameters.typical().hu_by_site
    assert make(complete) == make(tuple(complete.values()))
    with pytest.raises(ValueError, match="L1"):
        make({name: hu for name, hu in complete.items() if name != "L1"})
    with pytest.raises(ValueError, match="36"):
        make((1.0, 2.0))
    with pytest.raises(ValueError, match="finite"):
        make({**complete, "L1": float("nan")})


def test_field_can_lie_off_the_patient() -> None:
    fields = {"rows": 128, "columns": 128, "texture": False, "table": False}
    shifted = phantom(**fields, field_offset_mm=(4 * 400 / 128, -2 * 400 / 128))
    np.testing.assert_array_equal(
        phantom(**fields).labels[:, :-8, 8:], shifted.labels[:, 2:-6, 4:-4]
    )


@pytest.mark.parametrize("seed", [4, 9])
def test_random_patients_keep_the_truth_in_their_larger_sites(seed: int) -> None:
    made = make_phantom(PhantomParameters.random(seed, noise_sd_hu=0.0), seed)
    for site in SITES:
        if made.truth.area_mm2[site.name] > 400.0:
            mean = interior_mean(made, site, 5.0 if site.is_vertebra else 3.0)
            assert mean == pytest.approx(made.truth.hu[site.name], abs=3.0), site.name


def test_sides_can_differ() -> None:
    hu = PhantomParameters.typical().hu_by_site
    for site in SITES:
        if site.side is Side.RIGHT:
            hu[site.name] -= 30.0
    made = make_phantom(PhantomParameters(tuple(hu.values()), noise_sd_hu=0.0, texture=False))
    right, left = (s for s in SITES if s.name in {"L3-L4_2", "L3-L4_5"})
    difference = interior_mean(made, left, 3.5) - interior_mean(made, right, 3.5)
    assert difference == pytest.approx(30.0, abs=1.0)
