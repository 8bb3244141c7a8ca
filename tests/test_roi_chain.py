import numpy as np
import pytest

from roi_extraction import (
    Anatomy,
    Candidate,
    LevelsAmbiguous,
    NoSegmenterServed,
    RoiError,
    SegmenterChain,
    SegmenterIdentity,
    SegmenterUnavailable,
    SpineLandmarks,
)
from roi_extraction.volume import CtVolume
from tests.roi_builders import flat_volume


class Fixed:
    """A segmenter that answers with an empty anatomy, or fails."""

    def __init__(self, name: str, error: RoiError | None = None) -> None:
        self.identity = SegmenterIdentity(name, "1")
        self.error = error

    def segment(self, volume: CtVolume) -> Anatomy:
        if self.error is not None:
            raise self.error
        return Anatomy(self.identity, SpineLandmarks(np.zeros((0, 3)), {}, {}, 1.0), {})


def candidate(name: str, error: RoiError | None = None) -> Candidate:
    return Candidate(name, lambda _volume: Fixed(name, error))


def unmade(name: str) -> Candidate:
    def make(_volume: CtVolume) -> Fixed:
        raise SegmenterUnavailable("no weights", "test.weights")

    return Candidate(name, make)


def test_first_that_succeeds_serves_and_is_named() -> None:
    anatomy = SegmenterChain([candidate("a"), candidate("b")]).segment(flat_volume())
    assert anatomy.segmenter.name == "a"
    assert not anatomy.findings


def test_each_that_failed_is_a_finding_with_its_reason() -> None:
    chain = SegmenterChain(
        [unmade("a"), candidate("b", LevelsAmbiguous("two chains")), candidate("c")]
    )
    anatomy = chain.segment(flat_volume())
    assert anatomy.segmenter.name == "c"
    assert [f.code for f in anatomy.findings] == ["segmenter.passed_over"] * 2
    assert "a did not serve, c did: no weights [test.weights]" in anatomy.findings[0].message
    assert "two chains [roi.levels_ambiguous]" in anatomy.findings[1].message


def test_if_all_fail_the_last_reason_and_the_others_are_told() -> None:
    chain = SegmenterChain([unmade("a"), candidate("b", LevelsAmbiguous("two chains"))])
    with pytest.raises(NoSegmenterServed, match="two chains") as caught:
        chain.segment(flat_volume())
    assert caught.value.code == "roi.levels_ambiguous"
    assert "no weights [test.weights]" in str(caught.value)


def test_the_only_ones_error_is_its_own() -> None:
    with pytest.raises(LevelsAmbiguous, match="two chains"):
        SegmenterChain([candidate("b", LevelsAmbiguous("two chains"))]).segment(flat_volume())


def test_a_fault_that_is_no_refusal_is_not_passed_over() -> None:
    def make(_volume: CtVolume) -> Fixed:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        SegmenterChain([Candidate("a", make), candidate("b")]).segment(flat_volume())
