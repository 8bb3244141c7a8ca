"""The four-class route and what predictions rest on."""

from itertools import product

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, cohen_kappa_score

import modeling.interpretation as interpretation
from modeling.cohort import Stage
from modeling.errors import InvalidFeatures
from modeling.interpretation import confusion, intervals, measures, route
from modeling.interpretation.four_class_step import route_counts

PAIR_NAMES = ("A/B", "A/C", "A/D", "B/C", "B/D", "C/D")


def by_hand(p: dict[str, float]) -> tuple[list[str], str]:
    """The published questions as nested conditions."""
    if p["A/D"] >= 0.5:
        if p["B/D"] >= 0.5:
            return ["A/D", "B/D", "C/D"], "D" if p["C/D"] >= 0.5 else "C"
        return ["A/D", "B/D", "B/C"], "C" if p["B/C"] >= 0.5 else "B"
    if p["A/C"] >= 0.5:
        return ["A/D", "A/C", "B/C"], "C" if p["B/C"] >= 0.5 else "B"
    return ["A/D", "A/C", "A/B"], "B" if p["A/B"] >= 0.5 else "A"


def test_the_contents_page_is_whole() -> None:
    assert all(hasattr(interpretation, name) for name in interpretation.__all__)


def test_every_combination_of_answers_takes_the_published_route() -> None:
    for answers in product((0.49, 0.5), repeat=6):
        asked = dict(zip(PAIR_NAMES, answers, strict=True))
        found = route(asked)
        assert ([q.pair for q in found.questions], found.stage.value) == by_hand(asked)
        assert all(q.probability == asked[q.pair] for q in found.questions)


def test_a_threshold_of_ones_own_turns_the_route() -> None:
    asked = dict.fromkeys(PAIR_NAMES, 0.6)
    assert route(asked).stage is Stage.D
    assert route(asked, {"A/D": 0.7}).questions[0].winner is Stage.A


def test_the_closest_question_is_the_one_nearest_one_half() -> None:
    asked = {"A/B": 0.5, "A/C": 0.5, "A/D": 0.9, "B/C": 0.5, "B/D": 0.8, "C/D": 0.45}
    assert route(asked).closest.pair == "C/D"


@pytest.mark.parametrize("value", [1.1, -0.1, float("nan"), None])
def test_what_is_no_probability_is_refused(value: float | None) -> None:
    asked = dict.fromkeys(PAIR_NAMES, 0.6)
    if value is None:
        del asked["B/C"]
    else:
        asked["B/C"] = value
    with pytest.raises(InvalidFeatures, match="B/C"):
        route(asked)


def test_measures_equal_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    truth = tuple(rng.choice(list(Stage), 200))
    decided = tuple(rng.choice(list(Stage), 200))
    expected = [
        accuracy_score(truth, decided),
        balanced_accuracy_score(truth, decided),
        cohen_kappa_score(truth, decided, weights="quadratic"),
    ]
    np.testing.assert_allclose(measures(confusion(truth, decided)), expected, atol=1e-12)


def test_intervals_hold_their_value_and_a_perfect_decision_has_no_spread() -> None:
    rng = np.random.default_rng(4)
    truth = tuple(Stage(s) for s in "ABCD" * 25)
    guessed = tuple(rng.choice(list(Stage), 100))
    scores, differences = intervals(truth, {"guess": guessed, "truth": truth}, 0)
    assert (
        (scores["low (2.5 %)"] <= scores["value"]) & (scores["value"] <= scores["high (97.5 %)"])
    ).all()
    perfect = scores[scores["decided by"] == "truth"]
    assert (perfect[["value", "low (2.5 %)", "high (97.5 %)"]] == 1).all(axis=None)
    assert (differences["low (2.5 %)"] > 0).all()


def test_ways_are_counted_by_true_stage() -> None:
    high, low = dict.fromkeys(PAIR_NAMES, 0.9), dict.fromkeys(PAIR_NAMES, 0.1)
    found = route_counts((route(high), route(high), route(low)), (Stage.D, Stage.B, Stage.A))
    assert found["way"].tolist() == ["A/D:A, A/C:A, A/B:A", "A/D:D, B/D:D, C/D:D"]
    assert found["patients"].tolist() == [1, 2]
    assert found[["of stage B", "of stage D"]].iloc[1].tolist() == [1, 1]
