"""Ribs followed to their tips: a cut one has none, and what lies beyond a tip is looked at."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bench.roi.fields import series_volume
from bench.roi.painted import with_rib
from roi_extraction import CtVolume
from roi_extraction.builtin.canal import find_canal
from roi_extraction.builtin.ribs.cage import RibCage, find_ribs, way_seen
from roi_extraction.builtin.ribs.rib_track import RibTrack
from roi_extraction.builtin.ribs.tips import RibLength, rib_length
from roi_extraction.builtin.straighten import StraightSpine, straighten
from roi_extraction.grid import coarse_grid
from roi_extraction.phantom import Pathology, PhantomParameters, make_phantom
from roi_extraction.sites import Side
from tests.ct_builders import cropped

MUSCLE_HU = 50
COURSE_MM = np.linspace([20.0, 40.0, 60.0], [90.0, 40.0, 10.0], 40)
"""A straight rib from the spine to its tip, LPS mm; the spine runs along z at x = y = 0."""


def trunk(courses: list[npt.NDArray[np.float64]]) -> CtVolume:
    """Muscle with ribs, from z = -60 mm up to 90 mm."""
    affine = np.array([[0, 0, 1.0, 0], [0, 1.0, 0, 0], [1.5, 0, 0, -60.0], [0, 0, 0, 1.0]], float)
    volume = CtVolume(np.full((101, 80, 160), MUSCLE_HU, np.int16), affine, 1.5)
    for course in courses:
        volume = with_rib(volume, course)
    return volume


def spine_along_z() -> StraightSpine:
    """A straight line of bodies from z = -60 mm up to 90 mm, without images."""
    count = 151
    line = np.stack([np.zeros(count), np.full(count, 20.0), np.arange(count) - 60.0], axis=1)
    along, ahead, side = (np.tile(v, (count, 1)) for v in ([0.0, 0, 1], [0.0, -1, 0], [1.0, 0, 0]))
    none = np.zeros((count, 1, 1), np.float32)
    return StraightSpine(line, along, ahead, side, none, line, np.ones(count), True)


def beginning(course: npt.NDArray[np.float64]) -> RibTrack:
    """The first part of a rib of the left side, beside the spine."""
    near = course[course[:, 0] < 60.0]
    return RibTrack(
        Side.LEFT, np.stack([near[:, 2] + 60.0, 20.0 - near[:, 1], near[:, 0]], axis=1), 300.0
    )


def followed(volume: CtVolume, above: RibLength | None = None) -> RibLength:
    return rib_length(volume, spine_along_z(), beginning(COURSE_MM), above)


def test_a_rib_is_followed_to_its_tip() -> None:
    rib = followed(trunk([COURSE_MM]))
    assert rib.to_tip
    assert rib.mm == pytest.approx(float(np.linalg.norm(COURSE_MM[-1] - COURSE_MM[0])), abs=6.0)


def test_bone_straight_beyond_a_tip_is_the_same_rib_lost() -> None:
    onward = COURSE_MM[-1] + (COURSE_MM[-1] - COURSE_MM[0]) * np.array([[0.32], [0.5]])
    volume = trunk([COURSE_MM, np.linspace(onward[0], onward[1], 20)])
    assert not followed(volume).to_tip
    along = RibLength(200.0, True, np.linspace(COURSE_MM[0], onward[1], 60))
    assert not followed(volume, along).to_tip


def test_the_rib_above_that_crosses_beyond_a_tip_is_no_part_of_it() -> None:
    place = COURSE_MM[-1] + (COURSE_MM[-1] - COURSE_MM[0]) * 0.32
    crossing = place + np.linspace([0.0, -30.0, 0.0], [0.0, 30.0, 0.0], 60)
    volume = trunk([COURSE_MM, crossing])
    assert not followed(volume).to_tip
    assert followed(volume, RibLength(200.0, True, crossing)).to_tip


def falsely_whole(volume: CtVolume, straight: StraightSpine, cage: RibCage) -> list[str]:
    """Cuts through ribs, slice by slice, after which they seem to end in the scan."""
    found = []
    for level in cage.levels[:2]:
        for side, track in level.ribs.items():
            whole = rib_length(volume, straight, track)
            root, tip = (float(whole.path_lps_mm[k, 2]) for k in (0, -1))
            first, last = (round(float(volume.to_index([0.0, 0.0, z])[0])) for z in (tip, root))
            for cut in range(first + 3, last - 8):
                rib = rib_length(cropped(volume, slice(cut, None)), straight, track)
                if rib.to_tip and rib.mm < whole.mm - 8.0:
                    found.append(f"{side} {whole.mm:.0f} mm cut to {rib.mm:.0f}")
    return found


@cache
def laid_straight(volume_of: str) -> tuple[CtVolume, StraightSpine]:
    if volume_of == "phantom":
        tall = PhantomParameters.typical(rows=176, columns=176, above_l1_mm=105.0, body_scale=1.0)
        volume = make_phantom(replace(tall, pathology=Pathology()), 1).volume
    else:
        volume = series_volume(volume_of)
    grid = coarse_grid(volume)
    return volume, straighten(volume, grid, find_canal(grid))


def test_a_rib_that_the_scan_cuts_has_no_tip() -> None:
    volume, straight = laid_straight("phantom")
    assert falsely_whole(volume, straight, find_ribs(volume, straight, -10.0)) == []


@pytest.mark.shared
def test_a_real_rib_that_the_scan_cuts_has_no_tip(shared_data: Path) -> None:
    volume, straight = laid_straight("pancreas_cb001")
    assert falsely_whole(volume, straight, find_ribs(volume, straight, -10.0)) == []


def test_a_shorter_way_is_seen_nearer_to_the_lower_end() -> None:
    volume, straight = laid_straight("phantom")
    heights = np.arange(20.0, 160.0, 2.0)
    whole, part = (
        min(h for h in heights if way_seen(volume, straight, float(h), Side.LEFT, mm))
        for mm in (40.0, 29.0)
    )
    assert 4.0 <= whole - part <= 14.0
