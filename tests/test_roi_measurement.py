import re
from dataclasses import replace

import numpy as np
import pytest

from roi_extraction.anatomy import Landmark, Missing, MissingReason
from roi_extraction.features import SiteMeasurement
from roi_extraction.measurement import measure, measure_roi
from roi_extraction.placement import EllipseRoi, place
from roi_extraction.sites import Level
from roi_extraction.volume import CtVolume
from tests.roi_builders import anatomy_of, disk_mask, flat_volume, region_of


def ellipse(volume: CtVolume, aspect: float, angle: float, index: int = 4) -> EllipseRoi:
    short = np.sqrt(150 / np.pi / aspect)
    middle = (volume.shape[1] - 1) / 2
    return EllipseRoi(index, middle + 0.3, middle - 0.2, (short * aspect, short), angle, 3.0)


@pytest.mark.parametrize("pixel_mm", [0.5, 0.98, 3.0], ids=lambda p: f"{p}mm")
@pytest.mark.parametrize("aspect", [1.0, 2.5])
@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_area_is_150_mm2_at_any_pixel_size(pixel_mm: float, aspect: float, angle: float) -> None:
    volume = flat_volume(137, pixel_mm=pixel_mm, size=60)
    roi = measure_roi(volume, ellipse(volume, aspect, angle))
    assert roi.area_mm2 == pytest.approx(150, rel=0.01)
    assert roi.mean_hu == pytest.approx(137)
    assert roi.sd_hu == pytest.approx(0, abs=1e-3)


def test_contour_encloses_the_measured_area() -> None:
    volume = flat_volume()
    roi = measure_roi(volume, ellipse(volume, 1.6, 0.5))
    x, y, z = roi.contour_lps_mm.T
    area = 0.5 * abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
    assert area == pytest.approx(150, rel=0.01)
    assert np.ptp(z) == 0
    assert roi.contour_lps_mm.mean(axis=0) == pytest.approx(roi.centre_lps_mm, abs=1e-6)


def test_mean_of_a_ramp_is_its_value_at_the_centre() -> None:
    volume = flat_volume(0, pixel_mm=0.8)
    hu = np.array(volume.hu)
    hu += (5.0 * np.arange(volume.shape[2])).astype(np.float32)
    volume = CtVolume(hu, volume.affine, 3.0)
    shape = ellipse(volume, 1.3, 0.4)
    assert measure_roi(volume, shape).mean_hu == pytest.approx(5.0 * shape.column, abs=0.3)


def measured(volume: CtVolume, name: str, radius_mm: float = 16.0) -> SiteMeasurement:
    region = region_of(disk_mask(volume, 0.0, 0.0, (radius_mm, radius_mm)))
    anatomy = anatomy_of({name: region})
    return measure(volume, anatomy, place(volume, anatomy)).by_name[name]


def painted(hu: float, patches: dict[int, float]) -> CtVolume:
    volume = flat_volume(hu)
    array = np.array(volume.hu)
    for index, value in patches.items():
        array[index] = value
    return CtVolume(array, volume.affine, 3.0)


def test_site_value_is_the_mean_of_three_slices() -> None:
    site = measured(painted(50, {3: 40.0, 4: 50.0, 5: 57.0}), "L3-L4_3")
    assert site.mean_hu == pytest.approx(49.0)
    assert [roi.mean_hu for roi in site.rois] == pytest.approx([40, 50, 57])
    assert site.findings == ()


def test_wide_spread_between_slices_is_told() -> None:
    site = measured(painted(100, {3: 130.0}), "L3")
    assert site.missing is None
    assert [finding.code for finding in site.findings] == ["roi.slices_spread"]


def test_slices_in_different_tissues_are_refused() -> None:
    site = measured(painted(50, {3: 140.0}), "L3-L4_3")
    assert site.missing is not None
    assert site.missing.reason is MissingReason.SLICES_DISAGREE
    assert np.isnan(site.mean_hu)
    assert site.rois == ()


@pytest.mark.parametrize(
    ("name", "hu"), [("L3", -300.0), ("L3", 900.0), ("L3-L4_3", 170.0), ("L3-L4_1", -200.0)]
)
def test_implausible_values_are_refused(name: str, hu: float) -> None:
    site = measured(flat_volume(hu), name)
    assert site.missing is not None
    assert site.missing.reason in {MissingReason.IMPLAUSIBLE, MissingReason.TOO_SMALL}


def test_psoas_of_fat_is_refused_and_transversospinalis_of_fat_is_measured() -> None:
    volume = flat_volume(-70)
    psoas, deep = measured(volume, "L3-L4_3"), measured(volume, "L3-L4_1")
    assert psoas.missing is not None
    assert psoas.missing.reason is MissingReason.FATTY
    assert deep.mean_hu == pytest.approx(-70)


@pytest.mark.parametrize(
    ("gap_mm", "refused"), [(5, True), (15, True), (30, False)], ids=["5mm", "15mm", "30mm"]
)
def test_metal_within_20_mm_refuses_the_site(gap_mm: int, refused: bool) -> None:
    volume = flat_volume(50, size=160)
    array = np.array(volume.hu)
    column = 80 + 8 + gap_mm
    array[4, 78:83, column : column + 5] = 3000.0
    site = measured(CtVolume(array, volume.affine, 3.0), "L3-L4_3", radius_mm=10.0)
    assert (site.missing is not None and site.missing.reason is MissingReason.METAL) is refused


@pytest.mark.parametrize(
    ("hu", "across", "metal"),
    [(1400.0, 9, False), (1900.0, 2, False), (1900.0, 4, True), (2600.0, 1, True)],
    ids=["dense facet", "plaque", "screw of 4 mm", "clip"],
)
def test_metal_is_told_from_dense_bone(hu: float, across: int, metal: bool) -> None:
    volume = flat_volume(50)
    array = np.array(volume.hu)
    array[4, 60 : 60 + across, 80 : 80 + across] = hu
    missing = measured(CtVolume(array, volume.affine, 3.0), "L3-L4_3", radius_mm=10.0).missing
    assert (missing is not None and missing.reason is MissingReason.METAL) is metal


@pytest.mark.parametrize("hu", [3000.0, 900.0], ids=["screw", "dense bone"])
def test_body_that_metal_leaves_too_small_is_missing_for_the_metal(hu: float) -> None:
    volume = flat_volume(100)
    array = np.array(volume.hu)
    array[4, 55:60, 60:66] = hu
    small = Missing(MissingReason.TOO_SMALL, "cut by its endplates")
    anatomy = anatomy_of({"L3": small, "L3-L4_3": small})
    body = Landmark(volume.to_lps((4, 60, 60)), np.array([0.0, 0.0, 1.0]), 1.0)
    spine = replace(anatomy.spine, bodies={Level.L3: body})
    found = measure(
        CtVolume(array, volume.affine, 3.0),
        replace(anatomy, spine=spine),
        {"L3": small, "L3-L4_3": small},
    )
    reasons = {m.site.name: m.missing.reason for m in found.measurements if m.missing}
    expected = MissingReason.METAL if hu > 2000 else MissingReason.TOO_SMALL
    assert (reasons["L3"], reasons["L3-L4_3"]) == (expected, MissingReason.TOO_SMALL)


def test_missing_regions_stay_missing_with_their_reason() -> None:
    volume = flat_volume()
    anatomy = anatomy_of({"S1": Missing(MissingReason.OUTSIDE_SCAN, "ends at L5")})
    features = measure(volume, anatomy, place(volume, anatomy))
    assert features.by_name["S1"].missing == Missing(MissingReason.OUTSIDE_SCAN, "ends at L5")
    assert np.isnan(features.mean_hu).all()


def test_muscle_with_bone_in_its_region_is_missing() -> None:
    beside, within = (flat_volume(50.0) for _ in range(2))
    shape = ellipse(beside, 2.0, np.pi / 2)
    away_mm = {False: shape.semi_axes_mm[1] + 1.5, True: shape.semi_axes_mm[1] - 2.0}
    for volume, inside in ((beside, False), (within, True)):
        hu = np.array(volume.hu)
        hu[:, :, round(shape.column + away_mm[inside]) :] = 300.0
        edged = CtVolume(hu, volume.affine, 3.0)
        rois = [replace(shape, slice_index=index) for index in (3, 4, 5)]
        found = measure(edged, anatomy_of({}), {"L1-L2_1": rois}).by_name["L1-L2_1"]
        if inside:
            assert found.missing is not None
            assert found.missing.reason is MissingReason.IMPLAUSIBLE
            assert re.fullmatch(r"\d+% of the ROI is bone", found.missing.detail)
        else:
            assert found.mean_hu == pytest.approx(50.0, abs=2.0)


def test_fatty_muscle_with_strands_of_lean_muscle_is_measured() -> None:
    volume = flat_volume(-80.0)
    hu = np.array(volume.hu)
    hu[:, ::4] = 60.0
    streaked = CtVolume(hu, volume.affine, 3.0)
    rois = [ellipse(streaked, 1.0, 0.0, index) for index in (3, 4, 5)]
    found = measure(streaked, anatomy_of({}), {"L4-L5_1": rois}).by_name["L4-L5_1"]
    assert found.mean_hu == pytest.approx(-45.0, abs=6.0)
