"""Ribs: followed, told from other bones, paired, and what is named from them."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bench.roi.fields import series_volume
from bench.roi.qualifying import qualifying_cases, run_qualifying
from bench.roi.scans import load_scan
from roi_extraction import CtVolume, Level, LevelsAmbiguous, MissingReason, NamingRoute, RoiError
from roi_extraction.anatomy import Missing, SpineLandmarks
from roi_extraction.builtin import BuiltinSegmenter, find_spine
from roi_extraction.builtin.ribs import last_ribs
from roi_extraction.builtin.ribs.cage import rib_cage
from roi_extraction.builtin.ribs.last_ribs import lengths_tell_twelfth
from roi_extraction.builtin.ribs.rib_track import RibTrack
from roi_extraction.builtin.ribs.tips import RibLength
from roi_extraction.builtin.ribs.tracks import TRACK_AHEAD_MM, TRACK_BESIDE_MM, tracks_beside
from roi_extraction.builtin.straighten import StraightSpine
from roi_extraction.phantom import Pathology, Phantom, PhantomParameters, make_phantom
from roi_extraction.sites import Side
from tests.ct_builders import cropped

HEIGHTS_MM = np.arange(0.0, 160.0, 2.0)

TALL = PhantomParameters.typical(
    rows=176, columns=176, noise_sd_hu=8.0, above_l1_mm=105.0, body_scale=1.0
)


def muscle() -> npt.NDArray[np.float32]:
    """One side of a trunk of nothing but muscle."""
    return np.full((len(HEIGHTS_MM), len(TRACK_AHEAD_MM), len(TRACK_BESIDE_MM)), 50.0, np.float32)


def painted(
    hu: npt.NDArray[np.float32], root_mm: float, fall: float, beside_mm: tuple[float, float]
) -> npt.NDArray[np.float32]:
    """A bone of 8 mm that leaves the spine at a height and falls outwards."""
    height, ahead, beside = np.meshgrid(HEIGHTS_MM, TRACK_AHEAD_MM, TRACK_BESIDE_MM, indexing="ij")
    middle = root_mm - fall * (beside - 34.0)
    back = -18.0 - 0.6 * (beside - 20.0)
    bone = np.hypot(height - middle, ahead - back) < 4.0
    bone &= (beside >= beside_mm[0]) & (beside <= beside_mm[1])
    return np.where(bone, np.float32(300.0), hu)


def test_rib_and_transverse_process_are_followed_to_their_ends() -> None:
    hu = painted(painted(muscle(), 120.0, 0.5, (20.0, 76.0)), 80.0, 0.0, (20.0, 44.0))
    process, rib = tracks_beside(hu, HEIGHTS_MM, Side.LEFT)
    assert process.root_mm == pytest.approx(80.0, abs=1.5)
    assert rib.root_mm == pytest.approx(120.0, abs=1.5)
    assert process.lateral_mm == pytest.approx(44.0, abs=4.0)
    assert rib.lateral_mm == 76.0
    assert rib.fall == pytest.approx(0.5, abs=0.05)


def test_rib_is_taken_up_again_across_a_gap() -> None:
    hu = painted(painted(muscle(), 120.0, 0.5, (20.0, 44.0)), 120.0, 0.5, (54.0, 76.0))
    (rib,) = tracks_beside(hu, HEIGHTS_MM, Side.LEFT)
    assert rib.lateral_mm == 76.0


def test_a_bright_kidney_is_no_bone() -> None:
    hu = muscle()
    hu[20:50, 25:, 8:] = 200.0
    assert tracks_beside(hu, HEIGHTS_MM, Side.LEFT) == []


def track(
    side: Side, root_mm: float, lateral_mm: float = 76.0, fall: float = 0.4, back: float = 0.5
) -> RibTrack:
    beside = np.arange(20.0, lateral_mm + 0.1, 2.0)
    course = np.stack([root_mm - fall * (beside - 34.0), -18 - back * (beside - 20), beside], 1)
    return RibTrack(side, course, 300.0)


def ribs(count: int, spacing_mm: float = 24.0) -> list[RibTrack]:
    """So many pairs, of which the uppermost is short as the first rib is."""
    roots = 60.0 + spacing_mm * np.arange(count)
    return [
        track(side, float(root), 70.0 if root == roots[-1] else 76.0)
        for root in roots
        for side in Side
    ]


@pytest.mark.parametrize("count", [11, 12, 13])
def test_pairs_are_counted_from_the_first_rib(count: int) -> None:
    cage = rib_cage(ribs(count), 60.0 + 24.0 * count + 40.0)
    assert (cage.pairs, cage.counted) == (count, count)


def test_without_the_neck_in_the_scan_ribs_are_not_counted() -> None:
    cage = rib_cage(ribs(12), 60.0 + 24.0 * 11 + 5.0)
    assert (cage.pairs, cage.counted) == (12, None)


def test_with_a_pair_lost_ribs_are_not_counted() -> None:
    some = [rib for rib in ribs(13) if not 150.0 < rib.root_mm < 170.0]
    cage = rib_cage(some, 60.0 + 24.0 * 13 + 40.0)
    assert (cage.pairs, cage.counted) == (12, None)


def further_forward(rib: RibTrack, by_mm: float = 13.0) -> RibTrack:
    """A rib whose root lies so far forward as those of the upper ribs do."""
    return RibTrack(rib.side, rib.course + np.array([0.0, by_mm, 0.0]), rib.mean_hu)


def test_a_rib_of_one_side_finds_its_fellow_by_the_looser_limits() -> None:
    some = ribs(12)
    some[9] = further_forward(some[9])
    cage = rib_cage(some, 60.0 + 24.0 * 12 + 40.0)
    assert (cage.pairs, cage.counted) == (12, 12)


def test_the_looser_limits_do_not_make_the_last_pairs() -> None:
    some = ribs(12)
    some[1] = further_forward(some[1])
    cage = rib_cage(some, 60.0 + 24.0 * 12 + 40.0)
    assert not cage.levels[0].is_pair
    assert cage.counted is None


def test_a_rib_of_one_side_is_no_pair() -> None:
    cage = rib_cage([*ribs(4), track(Side.LEFT, 34.0)], 400.0)
    assert not cage.levels[0].is_pair
    assert cage.pairs == 4


def test_the_ilium_far_below_is_no_rib() -> None:
    cage = rib_cage([*ribs(4), track(Side.LEFT, 0.0), track(Side.RIGHT, 0.0)], 400.0)
    assert cage.levels[0].root_mm == pytest.approx(60.0)


def test_a_level_bone_is_no_last_rib() -> None:
    flat = [track(side, 34.0, fall=0.05) for side in Side]
    assert rib_cage(flat, 400.0).levels == ()
    assert rib_cage([*ribs(4), *flat], 400.0).levels[0].root_mm == pytest.approx(60.0)


def test_a_short_bone_below_the_last_pair_is_reported() -> None:
    cage = rib_cage([*ribs(4), track(Side.LEFT, 28.0, 50.0)], 400.0)
    assert cage.pairs == 4
    assert cage.below[Side.LEFT].back_lateral_mm == 50.0


@pytest.mark.parametrize(
    ("last_mm", "above_mm"),
    [((201.0, 212.0), (257.0, 270.0)), ((150.0, 154.0), (256.0, 273.0)), ((45.0, 48.0), (130, 135)),
     ((72.0, 73.0), (228.0, 170.0)), ((165.0, 170.0), (190.0, 195.0)),
     ((72.0, 73.0), (180.0, 184.0))],
    ids=["an 11th", "a short 11th", "lumbar", "an 11th lost early", "nearly alike", "both short"],
)  # fmt: skip
def test_other_lengths_do_not_tell_the_twelfth(
    last_mm: tuple[float, float], above_mm: tuple[float, float]
) -> None:
    assert not lengths_tell_twelfth(np.array(last_mm), np.array(above_mm), above_whole=True)


@pytest.mark.parametrize("above_whole", [True, False])
def test_one_11th_rib_may_be_lost_where_it_is_longer_than_any_12th(above_whole: bool) -> None:
    last_mm, above_mm = np.array((72.0, 73.0)), np.array((228.0, 182.0))
    assert lengths_tell_twelfth(last_mm, above_mm, above_whole=above_whole)


def test_11th_ribs_that_the_scan_cuts_are_longer_than_what_was_followed() -> None:
    last_mm, above_mm = np.array((72.0, 73.0)), np.array((180.0, 184.0))
    assert lengths_tell_twelfth(last_mm, above_mm, above_whole=False)
    assert not lengths_tell_twelfth(last_mm, np.array((172.0, 195.0)), above_whole=False)
    assert not lengths_tell_twelfth(last_mm, np.array((176.0, 177.0)), above_whole=False)


@pytest.mark.parametrize("tip_seen", [True, False])
def test_twelve_counted_pairs_with_short_last_ribs_need_no_empty_vertebra_below(
    monkeypatch: pytest.MonkeyPatch, tip_seen: bool
) -> None:
    monkeypatch.setattr(last_ribs, "way_seen", lambda *_: False)
    cage = rib_cage(ribs(12), 60.0 + 24.0 * 12 + 40.0)
    twelfth = {side: RibLength(72.0, tip_seen, np.zeros((1, 3))) for side in Side}
    eleventh = {side: RibLength(200.0, True, np.zeros((1, 3))) for side in Side}
    seen = last_ribs.LastRibs(cage, twelfth, eleventh)
    volume, straight = object.__new__(CtVolume), object.__new__(StraightSpine)
    if tip_seen:
        assert last_ribs.route_from_ribs(volume, straight, seen) is NamingRoute.RIBS_COUNT
    else:
        with pytest.raises(LevelsAmbiguous, match="does not show whether"):
            last_ribs.route_from_ribs(volume, straight, seen)


@cache
def phantom(**pathology: object) -> Phantom:
    return make_phantom(replace(TALL, pathology=Pathology(**pathology)), 1)  # type: ignore[arg-type]


def above_l5(found: Phantom) -> CtVolume:
    """The phantom from the L4-L5 disc upwards."""
    lowest = found.volume.to_index(found.truth.disc_centres_lps_mm["L4-L5"])[0]
    return cropped(found.volume, slice(int(lowest), None))


def misplaced_mm(spine: SpineLandmarks, found: Phantom) -> Mapping[Level, float]:
    return {
        level: float(np.linalg.norm(body.centre_lps_mm - found.truth.body_centres_lps_mm[level]))
        for level, body in spine.bodies.items()
    }


def test_without_the_sacrum_levels_are_named_from_the_ribs() -> None:
    spine = find_spine(above_l5(phantom()))
    assert set(spine.bodies) == {Level.L1, Level.L2, Level.L3}
    assert max(misplaced_mm(spine, phantom()).values()) < 3.0
    naming = spine.naming
    assert naming is not None
    assert naming.route is NamingRoute.RIBS_PAIR
    assert not naming.pairs_counted
    assert set(naming.rib_lengths_mm) == {(n, side) for n in (11, 12) for side in Side}
    assert [finding.code for finding in spine.findings] == ["levels.twelve_ribs_assumed"]


def test_what_was_not_named_is_missing_as_outside_the_scan() -> None:
    regions = BuiltinSegmenter().segment(above_l5(phantom())).regions
    for name in ("L4", "L5", "S1", "L5-S1_1"):
        region = regions[name]
        assert isinstance(region, Missing)
        assert region.reason is MissingReason.OUTSIDE_SCAN
    assert not isinstance(regions["L1"], Missing)


def test_with_sacrum_and_ribs_both_name_the_levels() -> None:
    spine = find_spine(phantom().volume)
    assert spine.naming is not None
    assert spine.naming.confirmed_by_ribs
    assert not spine.findings


def test_length_of_a_rib_is_measured_to_its_tip() -> None:
    spine = find_spine(phantom(last_ribs_mm=(75.0, 90.0)).volume)
    assert spine.naming is not None
    assert spine.naming.rib_lengths_mm[12, Side.RIGHT] == pytest.approx(75.0, abs=6.0)
    assert spine.naming.rib_lengths_mm[12, Side.LEFT] == pytest.approx(90.0, abs=6.0)


ANOMALIES = {
    "no 12th ribs": {"last_ribs_mm": (0.0, 0.0)},
    "12th on one side": {"last_ribs_mm": (400.0, 0.0)},
    "short 12th ribs": {"last_ribs_mm": (40.0, 40.0)},
    "lumbar ribs of 45 mm": {"lumbar_ribs_mm": (45.0, 45.0)},
    "lumbar ribs of 80 mm": {"lumbar_ribs_mm": (80.0, 80.0)},
}


@pytest.mark.parametrize("anomaly", ANOMALIES)
def test_other_ribs_are_refused_with_what_was_seen(anomaly: str) -> None:
    with pytest.raises(LevelsAmbiguous, match=r"nor named from the ribs: .* mm \((left|right)\)"):
        find_spine(above_l5(phantom(**ANOMALIES[anomaly])))


@pytest.mark.parametrize("lumbar", [4, 6])
def test_ribs_and_sacrum_that_disagree_are_refused(lumbar: int) -> None:
    with pytest.raises(LevelsAmbiguous, match=f"{'four' if lumbar == 4 else 'six'} lumbar.*pairs"):
        find_spine(phantom(lumbar_vertebrae=lumbar).volume)


@pytest.mark.shared
def test_chest_is_named_by_its_twelve_pairs(shared_data: Path) -> None:
    volume = series_volume("lung1_001")
    spine = find_spine(volume)
    assert set(spine.bodies) == {Level.L1}
    assert volume.to_index(spine.bodies[Level.L1].centre_lps_mm)[0] == pytest.approx(19.0, abs=1.5)
    assert spine.naming is not None
    assert spine.naming.route is NamingRoute.RIBS_COUNT
    assert (spine.naming.rib_pairs, spine.naming.pairs_counted) == (12, True)


PANCREAS_Z_MM = {Level.L1: 289.9, Level.L2: 253.9, Level.L3: 217.9, Level.L4: 181.9}


@pytest.mark.shared
@pytest.mark.parametrize("last", [Level.L3, Level.L4], ids=["below L3", "below L4"])
def test_abdomen_without_the_sacrum_is_named_by_the_last_ribs(
    shared_data: Path, last: Level
) -> None:
    volume = series_volume("pancreas_cb001")
    first = volume.to_index([0.0, 0.0, PANCREAS_Z_MM[last] - 18.9])[0]
    spine = find_spine(cropped(volume, slice(round(float(first)), None)))
    for level, body in spine.bodies.items():
        assert body.centre_lps_mm[2] == pytest.approx(PANCREAS_Z_MM[level], abs=3.0)
    assert {Level.L1, Level.L2} <= set(spine.bodies) <= set(PANCREAS_Z_MM)
    assert spine.naming is not None
    assert spine.naming.route is NamingRoute.RIBS_PAIR


@pytest.mark.shared
def test_stubs_below_cut_ribs_are_refused(shared_data: Path) -> None:
    with pytest.raises(RoiError, match=r"tips of the lowest ribs are not seen.*next vertebra left"):
        find_spine(series_volume("c3l00189"))


@pytest.mark.shared
def test_real_scan_with_both_is_named_by_both(shared_data: Path) -> None:
    naming = find_spine(load_scan("totalseg").volume).naming
    assert naming is not None
    assert naming.confirmed_by_ribs


def test_a_weak_sacrum_at_the_place_where_the_ribs_expect_it_does_not_contradict_them() -> None:
    found = make_phantom(PhantomParameters.random_wide(93), 93)
    spine = find_spine(found.volume)
    assert set(spine.bodies) == {Level.L1, Level.L2, Level.L3, Level.L4}
    assert max(misplaced_mm(spine, found).values()) < 4.0
    assert spine.naming is not None
    assert spine.naming.route is NamingRoute.RIBS_PAIR


FIELDS = {case.name: case for case in qualifying_cases()}


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    ["abdomen noise, 0 below", "chest turned, 0 above", "chest noise, 4 above",
     "twelve pairs noise, 1 below"],
)  # fmt: skip
def test_l1_is_named_in_fields_that_hold_what_names_it(shared_data: Path, name: str) -> None:
    score = run_qualifying(FIELDS[name])
    assert score.outcome == "right", score.message
    assert "L1" in score.body_mm


@pytest.mark.shared
def test_l1_is_not_named_where_the_scan_cuts_the_12th_ribs(shared_data: Path) -> None:
    volume = series_volume("pancreas_cb001")
    first, last = (round(float(volume.to_index([0.0, 0.0, z])[0])) for z in (255.0, 420.0))
    with pytest.raises(RoiError, match=r"lowest ribs are .*cut or lost"):
        find_spine(cropped(volume, slice(first, last)))
