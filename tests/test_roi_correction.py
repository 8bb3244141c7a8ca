"""What a reader corrects before the regions are measured again."""

from dataclasses import replace

import numpy as np
import pytest

from roi_extraction import Correction, CorrectionInvalid, CtVolume, MissingReason, MovedRoi, extract
from roi_extraction.anatomy import Anatomy, Landmark
from roi_extraction.sites import DiscLevel, Level
from tests.roi_builders import anatomy_of, disk_mask, flat_volume, region_of
from tests.test_roi_extraction import FixedSegmenter

MIDDLE = 4
"""The middle one of the three slices that `region_of` marks."""


def split_volume() -> CtVolume:
    """100 HU on the left half of the image, 200 HU on the right one."""
    volume = flat_volume(100)
    hu = np.array(volume.hu)
    hu[:, :, 60:] = 200
    return replace(volume, hu=hu)


def left_body(volume: CtVolume) -> Anatomy:
    """L2 and its left-hand muscles around x = -30 mm, with their landmarks."""
    region = region_of(disk_mask(volume, -30.0, 0.0, (20.0, 20.0)))
    anatomy = anatomy_of({"L2": region, "L2-L3_1": region, "S1": region})
    up = np.array([0.0, 0.0, 1.0])
    mark = Landmark(np.array([-30.0, 0.0, 12.0]), up, 0.8)
    disc = Landmark(np.array([-30.0, 0.0, -30.0]), up, 0.8)
    spine = replace(
        anatomy.spine, bodies={Level.L2: mark, Level.S1: mark}, discs={DiscLevel.L2_L3: disc}
    )
    return replace(anatomy, spine=spine)


def test_levels_named_one_lower_take_sites_and_landmarks_with_them() -> None:
    volume = split_volume()
    segmenter = FixedSegmenter(left_body(volume))
    seen: list[Anatomy] = []
    found = extract(volume, segmenter, seen.append, Correction(levels_down=1)).by_name
    assert {name for name, site in found.items() if site.missing is None} == {"L3", "L3-L4_1"}
    assert seen[0].spine.bodies.keys() == {Level.L3}
    assert seen[0].spine.discs.keys() == {DiscLevel.L3_L4}
    assert [finding.code for finding in seen[0].spine.findings] == ["roi.levels_renamed"]
    higher = extract(volume, segmenter, correction=Correction(levels_down=-1)).by_name
    measured = {name for name, site in higher.items() if site.missing is None}
    assert measured == {"L1", "L1-L2_1", "L5"}
    assert higher["S1"].missing is not None
    assert higher["S1"].missing.reason is MissingReason.NOT_FOUND


def test_site_that_is_left_out_is_missing_as_such() -> None:
    volume = split_volume()
    correction = Correction(left_out=frozenset({"L2"}))
    found = extract(volume, FixedSegmenter(left_body(volume)), correction=correction).by_name
    assert found["L2"].missing is not None
    assert found["L2"].missing.reason is MissingReason.LEFT_OUT
    assert found["L2-L3_1"].missing is None


def test_moved_region_is_measured_where_it_lies_now_and_the_others_stay() -> None:
    volume = split_volume()
    segmenter = FixedSegmenter(left_body(volume))
    before = extract(volume, segmenter).by_name["L2"]
    moved = (MovedRoi("L2", MIDDLE, right_mm=50.0, down_mm=0.0),)
    after = extract(volume, segmenter, correction=Correction(moved=moved)).by_name["L2"]
    assert [round(roi.mean_hu) for roi in before.rois] == [100, 100, 100]
    assert [round(roi.mean_hu) for roi in after.rois] == [100, 200, 100]
    shift = after.rois[1].centre_lps_mm - before.rois[1].centre_lps_mm
    assert shift == pytest.approx([50.0, 0.0, 0.0])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Correction(levels_down=2),
        lambda: Correction(left_out=frozenset({"L7"})),
        lambda: Correction(moved=(MovedRoi("L2", MIDDLE, 50.0, 50.0),)),
        lambda: Correction(moved=(MovedRoi("L2", MIDDLE, float("nan"), 0.0),)),
        lambda: Correction(moved=(MovedRoi("L2", MIDDLE, 1.0, 0.0),) * 2),
        lambda: Correction(left_out=frozenset({"L2"}), moved=(MovedRoi("L2", MIDDLE, 1.0, 0.0),)),
    ],
    ids=["two levels", "no such site", "too far", "no number", "twice", "left out"],
)
def test_correction_that_contradicts_itself_is_refused(wrong: object) -> None:
    with pytest.raises(CorrectionInvalid):
        wrong()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("move", "words"),
    [
        (MovedRoi("L3", MIDDLE, 1.0, 0.0), "L3 has no region"),
        (MovedRoi("L2", 0, 1.0, 0.0), "L2 has no region in slice 0"),
        (MovedRoi("L2", MIDDLE, -40.0, 0.0), "leave the image"),
    ],
    ids=["missing site", "other slice", "out of the image"],
)
def test_correction_that_does_not_fit_the_scan_is_refused(move: MovedRoi, words: str) -> None:
    volume = split_volume()
    with pytest.raises(CorrectionInvalid, match=words):
        extract(volume, FixedSegmenter(left_body(volume)), correction=Correction(moved=(move,)))
