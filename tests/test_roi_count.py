"""Ribs and iliac crests against the names that were counted from the sacrum."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.roi.cases import real_cases
from bench.roi.running import run
from bench.roi.scans import load_scan
from roi_extraction import LevelsAmbiguous
from roi_extraction.anatomy import SpineLandmarks
from roi_extraction.builtin import find_spine
from roi_extraction.phantom import PhantomParameters, make_phantom
from roi_extraction.sites import DiscLevel
from tests.ct_builders import cropped, restacked

ASSUMED = "levels.five_lumbar_assumed"

PLAIN = PhantomParameters.typical(rows=192, columns=192, noise_sd_hu=8.0)


def codes(spine: SpineLandmarks) -> set[str]:
    return {finding.code for finding in spine.findings}


def test_ribs_at_t12_confirm_the_count() -> None:
    assert ASSUMED not in codes(find_spine(make_phantom(PLAIN).volume))


@pytest.mark.parametrize("changes", [{"ribs": False}, {"above_l1_mm": -12.0}], ids=["none", "crop"])
def test_without_ribs_in_the_field_the_count_is_assumed(changes: dict[str, Any]) -> None:
    assert ASSUMED in codes(find_spine(make_phantom(replace(PLAIN, **changes)).volume))


@pytest.mark.parametrize("doubled", [False, True], ids=["four", "six"])
def test_phantom_with_another_count_is_refused(doubled: bool) -> None:
    phantom = make_phantom(PLAIN)
    discs = phantom.truth.disc_centres_lps_mm
    volume = restacked(phantom.volume, discs["L3-L4"], discs["L2-L3"], doubled=doubled)
    with pytest.raises(LevelsAmbiguous, match="six lumbar" if doubled else "four lumbar"):
        find_spine(volume)


@pytest.mark.shared
def test_real_scan_is_confirmed_by_its_ribs(shared_data: Path) -> None:
    volume = load_scan("totalseg").volume
    spine = find_spine(volume)
    assert not codes(spine)
    top = round(float(volume.to_index(spine.discs[DiscLevel.L1_L2].centre_lps_mm)[0])) + 6
    assert ASSUMED in codes(find_spine(cropped(volume, slice(0, top))))


@pytest.mark.shared
@pytest.mark.parametrize("name", ["cut 1", "cut 6", "doubled 4", "doubled 2"])
def test_real_scan_with_another_count_is_refused(shared_data: Path, name: str) -> None:
    (case,) = (case for case in real_cases() if case.name == name)
    score = run(case)
    assert score["outcome"] == "refused"
    assert "lumbar vertebrae" in score["message"]
