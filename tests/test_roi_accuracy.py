"""A few of the accuracy bench's frozen cases; all of them are run by `make bench-roi`."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.roi.cases import real_cases
from bench.roi.running import run
from roi_extraction import SITES_BY_NAME, Muscle

pytestmark = pytest.mark.shared

CASES = {case.name: case for case in real_cases()}

COMPLETE = (
    "totalseg", "turned 3", "turned 4", "noise 3", "grid 8", "bone -60 HU 4", "prone",
)  # fmt: skip
INCOMPLETE = ("L1 outside 1", "S1 outside 1", "L5 and S1 outside 2", "verse014", "tptbox")


@pytest.fixture(scope="module")
def scores(shared_data: Path) -> dict[str, dict[str, Any]]:
    return {}


def scored(scores: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    if name not in scores:
        scores[name] = run(CASES[name])
    return scores[name]


def inside(score: dict[str, Any], muscle: Muscle | None) -> list[float]:
    return [
        share
        for site in score["sites"]
        if SITES_BY_NAME[site["name"]].muscle is muscle
        for share in site["inside"]
    ]


@pytest.mark.parametrize("name", COMPLETE)
def test_complete_scan_is_named_right_and_rois_lie_in_their_tissue(
    scores: dict[str, dict[str, Any]], name: str
) -> None:
    score = scored(scores, name)
    assert score["outcome"] == "right", score["message"]
    assert max(score["disc_along_mm"].values()) <= 4.0
    assert min(inside(score, None)) >= 0.95
    for muscle, mean in ((Muscle.PSOAS_MAJOR, 0.97), (Muscle.LONGISSIMUS, 0.97),
                         (Muscle.TRANSVERSOSPINALIS, 0.90)):  # fmt: skip
        shares = inside(score, muscle)
        assert len(shares) >= 12
        assert np.mean(shares) >= mean
        assert min(shares) >= 0.5


@pytest.mark.parametrize("name", INCOMPLETE)
def test_incomplete_scan_is_named_right_or_refused(
    scores: dict[str, dict[str, Any]], name: str
) -> None:
    score = scored(scores, name)
    assert score["outcome"] in ("right", "refused"), score["message"]
    if score["outcome"] == "right":
        assert min(inside(score, None)) >= 0.95


def test_fatty_muscle_is_measured_where_it_is_or_missing(scores: dict[str, dict[str, Any]]) -> None:
    score = scored(scores, "fat 2")
    assert score["outcome"] == "right"
    assert inside(score, Muscle.TRANSVERSOSPINALIS)
    assert min(share for muscle in Muscle for share in inside(score, muscle)) >= 0.5


def test_sites_beside_a_screw_are_missing(scores: dict[str, dict[str, Any]]) -> None:
    score = scored(scores, "screw L4")
    assert score["outcome"] == "right"
    reasons = {site["name"]: site["reason"] for site in score["sites"]}
    assert reasons["L4"] == "metal"
    assert reasons["L1"] is None
