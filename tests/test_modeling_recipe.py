"""Derived features, calibration and prediction sets against values known by arithmetic."""

from collections.abc import Mapping

import numpy as np
import pytest

import modeling
from modeling import SITE_NAMES, InvalidFeatures, Stage
from modeling.calibration import (
    Osteoporosis,
    OsteoporosisLimits,
    fit_conformal,
    fit_osteoporosis_limits,
    fit_sigmoids,
    osteoporosis_set,
    pair_scores,
    prediction_set,
)
from modeling.cohort import FEATURE_COLUMNS, features_of
from modeling.design import CLIP_HU, DESIGN, UNUSED_SITES, design_matrix
from modeling.recipes.stage_forest import StageForest
from tests.test_modeling_cohort import synthetic_cohort

NAMES = [feature.name for feature in DESIGN]


def design(hu: Mapping[str, float]) -> dict[str, float]:
    row = np.array([[hu.get(name, np.nan) for name in SITE_NAMES]])
    found = design_matrix(row, np.array([70.0]), np.array([1.0]))
    return dict(zip(NAMES, found[0].tolist(), strict=True))


def test_the_contents_page_is_sorted_and_whole() -> None:
    assert all(hasattr(modeling, name) for name in modeling.__all__)
    assert len(set(NAMES)) == len(NAMES) == 43


def test_derived_features_equal_hand_calculation() -> None:
    found = design(
        {"L1": 100, "L2": 110, "L3": 200, "L4": 90, "L5": 80, "S1": 130}
        | {"L3-L4_1": 10, "L3-L4_4": 30, "L4-L5_1": -20}
    )
    assert found["median of L1-L5"] == 100
    assert found["L3 minus median of L1-L5"] == found["highest minus median of L1-L5"] == 100
    assert found["range of L1-L5"] == 120
    assert found["mean of L4, L5, S1"] == 100
    assert found["mean of L5, S1"] == 105
    assert found["transversospinalis at L3-L4, both sides"] == 20
    assert found["transversospinalis, lowest of all levels"] == -20
    assert found["transversospinalis, right minus left"] == -5 - 30
    assert found["mean of all muscles"] == pytest.approx(20 / 3)
    assert (found["age"], found["sex"]) == (70, 1)


def test_values_are_clipped_and_unused_sites_do_not_count() -> None:
    found = design({"L1": 3000, "L2": -900} | dict.fromkeys(UNUSED_SITES, 50.0))
    assert (found["L1"], found["L2"]) == (450, -150)
    assert np.isnan(found["mean of all muscles"])
    assert np.isnan(found["psoas major, mean of all levels"])


def test_each_derived_feature_depends_on_its_sites_alone() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(60, 20, (1, 36))
    one = np.array([60.0])
    before = design_matrix(base, one, one)[0]
    for index, name in enumerate(SITE_NAMES):
        changed = base.copy()
        changed[0, index] += 37
        after = design_matrix(changed, one, one)[0]
        moved = {f.name for f, a, b in zip(DESIGN, before, after, strict=True) if a != b}
        assert moved <= {f.name for f in DESIGN if name in f.sites}


def test_a_patient_s_inputs_do_not_depend_on_who_else_is_in_the_table() -> None:
    generator = np.random.default_rng(2)
    hu = generator.normal(90, 60, (50, len(SITE_NAMES)))
    hu[generator.random(hu.shape) < 0.3] = np.nan
    known = np.full(50, 70.0), np.ones(50)
    together = design_matrix(hu, *known)
    alone = [design_matrix(hu[k : k + 1], known[0][:1], known[1][:1]) for k in range(50)]
    np.testing.assert_array_equal(together, np.vstack(alone))
    bones = np.clip(hu[:, :5], *CLIP_HU)
    assert np.isnan(bones).all(axis=1).sum() == 0
    np.testing.assert_array_equal(
        together[:, NAMES.index("median of L1-L5")], np.nanmedian(bones, axis=1)
    )


def test_a_forest_refuses_other_or_permuted_columns() -> None:
    features, stages = features_of(synthetic_cohort())
    forest = StageForest(random_state=0, n_trees=5).fit(features, stages)
    permuted = features[[*FEATURE_COLUMNS[1::-1], *FEATURE_COLUMNS[2:]]]
    with pytest.raises(InvalidFeatures, match="column 1, 'L2'"):
        forest.predict_proba(permuted)
    with pytest.raises(InvalidFeatures):
        forest.predict_proba(features.drop(columns="Age"))


def test_pair_scores_are_log_odds_of_the_later_stage() -> None:
    scores = pair_scores(np.array([[0.1, 0.2, 0.3, 0.4]]))
    assert scores["A/D"][0] == pytest.approx(np.log(4))
    assert scores["B/C"][0] == pytest.approx(np.log(1.5))


def test_a_sigmoid_recovers_the_distortion_that_was_planted() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, 20000)
    later = rng.random(20000) < 1 / (1 + np.exp(-logits))
    p = 1 / (1 + np.exp(-(logits - 0.4) / 2))
    rows = np.column_stack([1 - p, p, p / 9, p / 9])
    stages = np.where(later, "B", "A")
    rest = np.repeat(np.eye(4)[[2, 3]] * 0.6 + 0.1, 20, axis=0)
    extra = np.repeat(["C", "D"], 20)
    scores = pair_scores(np.vstack([rows, rest]))
    found = fit_sigmoids(scores, np.concatenate([stages, extra]))["A/B"]
    assert found.slope == pytest.approx(2, abs=0.1)
    assert found.intercept == pytest.approx(0.4, abs=0.1)


def test_prediction_sets_cover_nine_of_ten_of_each_stage() -> None:
    rng = np.random.default_rng(3)
    stages = rng.choice(list("ABCD"), 4000, p=[0.5, 0.3, 0.15, 0.05])
    raw = rng.gamma(1.0, size=(4000, 4)) + 2 * (stages[:, None] == np.array(list("ABCD")))
    p = raw / raw.sum(axis=1, keepdims=True)
    thresholds = fit_conformal(p[:2000], stages[:2000])
    for column, stage in enumerate(Stage):
        own = p[2000:][stages[2000:] == stage, column]
        spread = 3 * np.sqrt(0.09 / len(own) + 0.09 / (stages[:2000] == stage).sum())
        assert np.mean(own >= thresholds[stage]) == pytest.approx(0.9, abs=spread)


def test_a_stage_with_few_patients_is_never_ruled_out() -> None:
    p = np.full((8, 4), 0.25)
    assert fit_conformal(p, np.array(list("AABBCCDD")))[Stage.A] == 0.0


def test_a_prediction_set_holds_the_most_probable_stage() -> None:
    probabilities = dict(zip(Stage, (0.4, 0.3, 0.2, 0.1), strict=True))
    assert prediction_set(probabilities, dict.fromkeys(Stage, 0.9)) == (Stage.A,)
    assert prediction_set(probabilities, dict.fromkeys(Stage, 0.25)) == (Stage.A, Stage.B)


def test_nine_of_ten_of_either_side_are_not_told_the_contrary() -> None:
    rng = np.random.default_rng(4)
    stages = rng.choice(list("ABCD"), 6000)
    raw = rng.gamma(1.0, size=(6000, 4)) + 1.5 * (stages[:, None] == np.array(list("ABCD")))
    p = raw / raw.sum(axis=1, keepdims=True)
    limits = fit_osteoporosis_limits(p[:3000], stages[:3000])
    answers = np.array(
        [osteoporosis_set(dict(zip(Stage, row, strict=True)), limits) for row in p[3000:]]
    )
    has = np.isin(stages[3000:], ("C", "D"))
    assert np.mean(answers[has] == Osteoporosis.NO) == pytest.approx(0.1, abs=0.03)
    assert np.mean(answers[~has] == Osteoporosis.YES) == pytest.approx(0.1, abs=0.03)


def test_sides_that_are_told_apart_leave_none_undetermined() -> None:
    late = np.r_[np.linspace(0.0, 0.4, 40), np.linspace(0.6, 1.0, 40)]
    p = np.column_stack([(1 - late) / 2, (1 - late) / 2, late / 2, late / 2])
    limits = fit_osteoporosis_limits(p, np.repeat(["A", "C"], 40))
    assert limits.no_below == limits.yes_above
    assert 0.35 < limits.no_below < 0.65


def test_too_few_patients_of_a_side_rule_nothing_out() -> None:
    limits = fit_osteoporosis_limits(np.full((8, 4), 0.25), np.array(list("AABBCCDD")))
    assert limits == OsteoporosisLimits(0.0, 1.0)
