import re

import numpy as np
import pytest

from roi_extraction.anatomy import Missing, MissingReason, Plane, Region
from roi_extraction.measurement import coverage
from roi_extraction.placement import (
    CORTEX_MARGIN_MM,
    EllipseRoi,
    place,
    place_site,
)
from roi_extraction.sites import SITES_BY_NAME
from roi_extraction.slices import ENDPLATE_MARGIN_MM
from roi_extraction.volume import CtVolume
from tests.roi_builders import anatomy_of, disk_mask, flat_volume, region_of

BODY = SITES_BY_NAME["L3"]
PSOAS = SITES_BY_NAME["L3-L4_3"]
TRANSVERSOSPINALIS = SITES_BY_NAME["L1-L2_1"]


def outline_mm(volume: CtVolume, roi: EllipseRoi) -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 90)
    a, b = roi.semi_axes_mm
    c, s = np.cos(roi.angle_rad), np.sin(roi.angle_rad)
    x = a * np.cos(t) * c - b * np.sin(t) * s
    y = a * np.cos(t) * s + b * np.sin(t) * c
    centre = volume.to_lps([roi.slice_index, roi.row, roi.column])
    return np.stack([centre[0] + x, centre[1] + y], axis=1)


@pytest.mark.parametrize("pixel_mm", [0.7, 1.0, 3.0], ids=lambda p: f"{p}mm")
def test_vertebral_roi_stays_inside_the_cortex(pixel_mm: float) -> None:
    volume = flat_volume(100, pixel_mm=pixel_mm, size=round(120 / pixel_mm))
    rois = place_site(volume, BODY, region_of(disk_mask(volume, 3.0, -4.0, (22.0, 16.0))))
    assert not isinstance(rois, Missing)
    inner = np.array([22.0, 16.0]) - CORTEX_MARGIN_MM + 0.6 + 0.3 * pixel_mm
    for roi in rois:
        away = (outline_mm(volume, roi) - [3.0, -4.0]) / inner
        assert (np.hypot(*away.T) <= 1.0).all()


def test_vertebral_roi_aims_a_little_in_front_of_the_centroid() -> None:
    volume = flat_volume(100)
    rois = place_site(volume, BODY, region_of(disk_mask(volume, 0.0, 0.0, (24.0, 18.0))))
    assert not isinstance(rois, Missing)
    y_mm = volume.to_lps([rois[1].slice_index, rois[1].row, rois[1].column])[1]
    assert -4.0 < y_mm < -1.0


def test_one_position_serves_three_slices_where_it_fits() -> None:
    volume = flat_volume()
    masks = [disk_mask(volume, x, 0.0, (14.0, 14.0)) for x in (-2.0, 0.0, 2.0)]
    rois = place_site(volume, PSOAS, region_of(*masks))
    assert not isinstance(rois, Missing)
    assert len({(roi.row, roi.column) for roi in rois}) == 1


def test_each_slice_gets_its_own_shift_where_no_common_place_fits() -> None:
    volume = flat_volume()
    masks = [disk_mask(volume, x, 0.0, (9.6, 9.6)) for x in (-4.0, 0.0, 4.0)]
    rois = place_site(volume, PSOAS, region_of(*masks))
    assert not isinstance(rois, Missing)
    assert rois[0].column < rois[1].column < rois[2].column


def test_slender_muscle_gets_an_ellipse_along_it() -> None:
    volume = flat_volume()
    rois = place_site(volume, PSOAS, region_of(disk_mask(volume, 0.0, 0.0, (7.0, 16.0))))
    assert not isinstance(rois, Missing)
    assert rois[1].semi_axes_mm[0] > 1.2 * rois[1].semi_axes_mm[1]
    assert abs(np.sin(rois[1].angle_rad)) > 0.9


@pytest.mark.parametrize("radius_mm", [4.0, 6.0, 7.0])
def test_muscle_too_small_for_150_mm2_is_missing(radius_mm: float) -> None:
    volume = flat_volume()
    placed = place_site(volume, PSOAS, region_of(disk_mask(volume, 0.0, 0.0, (radius_mm,) * 2)))
    assert isinstance(placed, Missing)
    assert placed.reason is MissingReason.TOO_SMALL
    assert "stays 1.0 mm inside needs 10.7 mm by 23.9 mm, or 15.8 mm as a circle" in placed.detail
    found = re.search(
        r"psoas major has room for (\S+), \S+ and \S+ mm across and (\d+),", placed.detail
    )
    assert found is not None
    assert float(found[1]) == pytest.approx(2 * radius_mm, abs=1.0)
    assert float(found[2]) == pytest.approx(np.pi * radius_mm**2, rel=0.15)
    assert placed.detail.endswith("it fits in none of the three slices")


def test_small_muscle_says_in_how_many_slices_a_region_fits() -> None:
    volume = flat_volume()
    masks = [disk_mask(volume, 0.0, 0.0, (radius_mm,) * 2) for radius_mm in (12.0, 10.0, 5.0)]
    placed = place_site(volume, PSOAS, region_of(*masks))
    assert isinstance(placed, Missing)
    assert placed.detail.endswith("it fits in 2 of the three slices")


def test_muscle_roi_keeps_away_from_bone() -> None:
    volume = flat_volume()
    hu = np.array(volume.hu)
    bone = disk_mask(volume, 0.0, 0.0, (3.0, 3.0))
    hu[:, bone] = 600.0
    volume = CtVolume(hu, volume.affine, 3.0)
    rois = place_site(volume, PSOAS, region_of(disk_mask(volume, 0.0, 0.0, (24.0, 24.0))))
    assert not isinstance(rois, Missing)
    gap = np.hypot(*outline_mm(volume, rois[1]).T).min() - 3.0
    assert gap >= 2.0


def test_fat_plane_is_avoided_where_there_is_room() -> None:
    volume = flat_volume()
    hu = np.array(volume.hu)
    hu[:, 58:63, :] = -80.0
    volume = CtVolume(hu, volume.affine, 3.0)
    rois = place_site(volume, PSOAS, region_of(disk_mask(volume, 0.0, 0.0, (25.0, 25.0))))
    assert not isinstance(rois, Missing)
    weights, rows, columns = coverage(volume, rois[1])
    inside = volume.hu[rois[1].slice_index, rows, columns][weights > 0.5]
    assert (inside < 0).mean() < 0.1


def beside_spinous_process(muscle_hu: float, fat_mm: int) -> tuple[CtVolume, float]:
    """Thin cortex between fatty marrow and a layer of fat; and where its outer wall is, x in mm."""
    volume = flat_volume(muscle_hu)
    hu = np.array(volume.hu)
    hu[:, :, :48] = 20.0
    hu[:, :, 46:48] = 220.0
    hu[:, :, 48 : 48 + fat_mm] = -100.0
    return CtVolume(hu, volume.affine, 3.0), float(volume.to_lps([0.0, 0.0, 47.5])[0])


def test_roi_of_the_back_keeps_away_from_thin_cortex() -> None:
    volume, wall_mm = beside_spinous_process(-20.0, fat_mm=2)
    region = region_of(disk_mask(volume, wall_mm + 5.0, 0.0, (9.0, 16.0)))
    rois = place_site(volume, TRANSVERSOSPINALIS, region)
    assert not isinstance(rois, Missing)
    assert outline_mm(volume, rois[1])[:, 0].min() - wall_mm >= 1.0


def test_fat_beside_the_spinous_process_is_left_out_of_a_lean_muscle_only() -> None:
    shares = []
    for muscle_hu in (60.0, -20.0):
        volume, wall_mm = beside_spinous_process(muscle_hu, fat_mm=8)
        region = region_of(disk_mask(volume, wall_mm + 11.0, 0.0, (11.0, 18.0)))
        rois = place_site(volume, TRANSVERSOSPINALIS, region)
        assert not isinstance(rois, Missing)
        weights, rows, columns = coverage(volume, rois[1])
        fat = volume.hu[rois[1].slice_index, rows, columns] < -90.0
        shares.append(float((weights * fat).sum() / weights.sum()))
    lean, fatty = shares
    assert lean < 0.06
    assert fatty > 0.2


def test_slab_beyond_the_scan_is_outside_the_scan() -> None:
    volume = flat_volume(slices=12, step_mm=1.0)
    mask = disk_mask(volume, 0.0, 0.0, (20.0, 20.0))
    placed = place_site(volume, PSOAS, region_of(mask, first=10))
    assert isinstance(placed, Missing)
    assert placed.reason is MissingReason.OUTSIDE_SCAN


def test_muscle_at_the_edge_of_the_field_stays_in_the_field() -> None:
    volume = flat_volume()
    rois = place_site(volume, PSOAS, region_of(disk_mask(volume, -58.0, 0.0, (20.0, 15.0))))
    assert not isinstance(rois, Missing)
    assert outline_mm(volume, rois[1])[:, 0].min() >= volume.to_lps([0, 0, 0])[0]


def test_every_site_is_placed_or_missing() -> None:
    volume = flat_volume()
    region = region_of(disk_mask(volume, 0.0, 0.0, (20.0, 20.0)))
    placed = place(volume, anatomy_of({"L3": region}))
    assert len(placed) == 36
    assert [name for name, rois in placed.items() if not isinstance(rois, Missing)] == ["L3"]


def test_vertebral_roi_moves_aside_for_a_bone_island() -> None:
    volume = flat_volume(110)
    hu = np.array(volume.hu)
    hu[4, disk_mask(volume, 4.0, -4.0, (4.0, 4.0))] = 500.0
    volume = CtVolume(hu, volume.affine, 3.0)
    rois = place_site(volume, BODY, region_of(disk_mask(volume, 0.0, 0.0, (24.0, 18.0))))
    assert not isinstance(rois, Missing)
    weights, rows, columns = coverage(volume, rois[1])
    mean = (volume.hu[4, rows, columns] * weights).sum() / weights.sum()
    assert mean == pytest.approx(110, abs=8)


@pytest.mark.parametrize("tilt_deg", [20.0, 40.0])
def test_vertebral_roi_keeps_clear_of_a_tilted_endplate(tilt_deg: float) -> None:
    volume = flat_volume(100)
    slope = np.deg2rad(tilt_deg)
    normal = np.array([0.0, np.sin(slope), -np.cos(slope)])
    plate = Plane(np.array([0.0, 0.0, 15.0 + 4.0]), normal)
    region = region_of(disk_mask(volume, 0.0, 0.0, (24.0, 20.0)))
    rois = place_site(volume, BODY, Region(region.slices, (plate,)))
    assert not isinstance(rois, Missing)
    for roi in rois:
        outline = outline_mm(volume, roi)
        z = volume.to_lps([roi.slice_index, 0, 0])[2]
        height = plate.height_mm(np.column_stack([outline, np.full(len(outline), z)]))
        assert height.min() >= ENDPLATE_MARGIN_MM - 0.5


def test_vertebral_roi_is_as_dense_as_the_whole_body() -> None:
    volume = flat_volume(120)
    hu = np.array(volume.hu)
    x = volume.to_lps(np.stack(list(np.indices(volume.shape)), axis=-1))[..., 0]
    hu[x > 6.0] = 80.0
    body = disk_mask(volume, 0.0, 0.0, (26.0, 20.0))
    deep = disk_mask(volume, 0.0, 0.0, (20.5, 14.5))
    volume = CtVolume(hu, volume.affine, 3.0)
    rois = place_site(volume, BODY, region_of(body))
    assert not isinstance(rois, Missing)
    weights, rows, columns = coverage(volume, rois[1])
    mean = (volume.hu[4, rows, columns] * weights).sum() / weights.sum()
    assert mean == pytest.approx(hu[4][deep].mean(), abs=3)
