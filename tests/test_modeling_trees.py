"""Forests as flat arrays, against scikit-learn and shap, and shares of what is made of them."""

from itertools import combinations
from math import factorial

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.ensemble import ExtraTreesRegressor

from modeling.calibration import Sigmoid
from modeling.cohort import Stage
from modeling.explainers import tree_explainer
from modeling.flat_trees import FlatTrees, flattened
from modeling.recipes.disturbance import MISSING_RATES, NO_DISTURBANCE, Disturbance
from modeling.recipes.stage_forest import CUT_SCALE, ODDS_C, fitted_odds
from modeling.stage_blend import ODDS_PART, StageBlend, StageOdds, StageTrees, product_shares
from modeling.stage_calibration import calibrated, calibrated_shares, fit_stage_sigmoids

BENT = {
    stage: Sigmoid(slope, intercept)
    for stage, slope, intercept in zip(
        Stage, (1.3, 0.8, 1.0, 1.5), (0.2, -0.1, 0.0, 0.3), strict=True
    )
}


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(100, 30, (160, 6))


@pytest.fixture(scope="module")
def forest(rows: np.ndarray) -> ExtraTreesRegressor:
    noise = np.random.default_rng(1).normal(0, 15, len(rows))
    kinds = np.digitize(rows[:, 0] + rows[:, 1] / 2 + noise, [130, 160])
    indicators = (kinds[:, None] == np.arange(3)).astype(float)
    return ExtraTreesRegressor(20, min_samples_leaf=4, random_state=0).fit(rows, indicators)


@pytest.fixture(scope="module")
def trees(forest: ExtraTreesRegressor) -> FlatTrees:
    return flattened(forest, slice(0, 2))


@pytest.fixture(scope="module")
def stage_trees(forest: ExtraTreesRegressor, trees: FlatTrees) -> StageTrees:
    return StageTrees(trees, flattened(forest, slice(2, 3)))


@pytest.fixture(scope="module")
def odds(rows: np.ndarray) -> StageOdds:
    return fitted_odds(rows, ordered_stages(rows))


@pytest.fixture(scope="module")
def blend(stage_trees: StageTrees, odds: StageOdds) -> StageBlend:
    return StageBlend(stage_trees, odds)


def ordered_stages(rows: np.ndarray) -> np.ndarray:
    """Stages that follow from one level with noise, in four parts."""
    level = rows[:, 1] - rows[:, 0] + np.random.default_rng(3).logistic(0, 15, len(rows))
    return np.array(list(Stage))[np.digitize(level, [-25, 0, 25])]


def test_flat_trees_predict_as_the_forest_that_they_came_from(
    forest: ExtraTreesRegressor, trees: FlatTrees, rows: np.ndarray
) -> None:
    unseen = np.random.default_rng(2).normal(100, 40, (500, 6))
    for some in (rows, unseen):
        np.testing.assert_allclose(trees.predict(some), forest.predict(some)[:, :2], atol=1e-6)


def test_a_value_at_a_threshold_goes_the_same_way(
    forest: ExtraTreesRegressor, trees: FlatTrees
) -> None:
    tree = forest.estimators_[0].tree_
    row = np.full((1, 6), 100.0)
    for node in np.flatnonzero(tree.children_left >= 0):
        for near in (-1e-6, 0.0, 1e-6):
            row[0, tree.feature[node]] = tree.threshold[node] + near
            expected = forest.predict(row)[:, :2]
            np.testing.assert_allclose(trees.predict(row), expected, atol=1e-6)


def test_shares_are_the_path_dependent_shap_values(
    forest: ExtraTreesRegressor, trees: FlatTrees, rows: np.ndarray
) -> None:
    explainer = tree_explainer(forest)
    np.testing.assert_allclose(trees.base, explainer.expected_value[:2], atol=1e-6)
    for row in rows[:20]:
        expected = explainer.shap_values(row[None])[0, :, :2]
        np.testing.assert_allclose(trees.shares(row), expected, atol=1e-6)


def test_shares_of_a_tree_that_never_splits_are_zero(rows: np.ndarray) -> None:
    stump = ExtraTreesRegressor(2, max_depth=1, min_samples_leaf=100, random_state=0)
    flat = flattened(stump.fit(rows, np.arange(len(rows)) % 2), slice(0, 1))
    np.testing.assert_array_equal(flat.shares(rows[0]), np.zeros((6, 1)))
    assert flat.predict(rows[:1])[0, 0] == flat.base[0] == 0.5


def test_shares_of_a_product_are_its_shapley_values_by_enumeration() -> None:
    rng = np.random.default_rng(3)
    first, second, f0, g0 = rng.normal(size=4), rng.normal(size=4), 0.4, 0.7

    def worth(players: tuple[int, ...]) -> float:
        chosen = list(players)
        return float((f0 + first[chosen].sum()) * (g0 + second[chosen].sum()))

    expected = np.zeros(4)
    for player in range(4):
        others = [p for p in range(4) if p != player]
        for size in range(4):
            weight = factorial(size) * factorial(3 - size) / factorial(4)
            for group in combinations(others, size):
                expected[player] += weight * (worth((*group, player)) - worth(group))
    np.testing.assert_allclose(product_shares(first, f0, second, g0), expected)


def test_stage_shares_add_up_before_and_after_calibration(
    stage_trees: StageTrees, odds: StageOdds, blend: StageBlend, rows: np.ndarray
) -> None:
    for model in (stage_trees, odds, blend):
        base = model.base
        assert base.sum() == pytest.approx(1)
        for row in rows[:10]:
            found = model.probabilities(row[None])
            shares = model.shares(row)
            assert found.sum() == pytest.approx(1)
            np.testing.assert_allclose(base + shares.sum(axis=0), found[0], atol=1e-12)
            after = calibrated_shares(shares, base, BENT)
            total = calibrated(base[None], BENT)[0] + after.sum(axis=0)
            np.testing.assert_allclose(total, calibrated(found, BENT)[0], atol=1e-12)


def test_proportional_odds_have_the_greatest_penalised_likelihood(
    odds: StageOdds, rows: np.ndarray
) -> None:
    order = np.searchsorted(list(Stage), ordered_stages(rows))
    level = (rows - rows.mean(axis=0)) / rows.std(axis=0)

    def loss(parameters: np.ndarray) -> float:
        weights, cuts = parameters[:-3], parameters[-3:]
        signs = np.where(order[:, None] > np.arange(3), 1, -1)
        misfit = np.logaddexp(0, -signs * (level @ weights[:, None] + cuts)).sum()
        penalty = (weights**2).sum() + ((cuts / CUT_SCALE) ** 2).sum()
        return float(misfit + penalty / (2 * ODDS_C))

    best = minimize(loss, np.zeros(9), method="BFGS", options={"gtol": 1e-6}).x
    np.testing.assert_allclose(odds.weights * rows.std(axis=0), best[:6], atol=1e-4)
    np.testing.assert_allclose(odds.cuts, best[6:], atol=1e-3)
    assert (np.diff(odds.cuts) < 0).all()


def test_the_odds_of_a_later_stage_rise_alike_at_every_cut(odds: StageOdds) -> None:
    two = np.vstack([odds.middle, odds.middle + np.array([0, 25, 0, 0, 0, 0])])
    later = 1 - odds.probabilities(two).cumsum(axis=1)[:, :3]
    ratios = np.log(later / (1 - later))
    np.testing.assert_allclose(ratios[1] - ratios[0], 25 * odds.weights[1], atol=1e-9)
    np.testing.assert_allclose(odds.base, odds.probabilities(two)[0])


def test_a_patient_at_the_middle_has_no_shares(odds: StageOdds) -> None:
    np.testing.assert_array_equal(odds.shares(odds.middle), 0)
    away = odds.middle + np.where(np.arange(6) == 1, 1e-9, 0)
    expected = odds.probabilities(away[None])[0] - odds.base
    np.testing.assert_allclose(odds.shares(away).sum(axis=0), expected, atol=1e-12)


def test_the_blend_is_a_weighted_mean_in_all_that_it_gives(
    stage_trees: StageTrees, odds: StageOdds, blend: StageBlend, rows: np.ndarray
) -> None:
    for of_blend, of_trees, of_odds in (
        (blend.base, stage_trees.base, odds.base),
        (blend.shares(rows[0]), stage_trees.shares(rows[0]), odds.shares(rows[0])),
        *((m.probabilities(rows) for m in (blend, stage_trees, odds)),),
    ):
        np.testing.assert_allclose(of_blend, (1 - ODDS_PART) * of_trees + ODDS_PART * of_odds)


def test_calibration_that_changes_nothing_leaves_the_shares(
    stage_trees: StageTrees, rows: np.ndarray
) -> None:
    same = dict.fromkeys(Stage, Sigmoid(1.0, 0.0))
    shares = stage_trees.shares(rows[0])
    found = calibrated_shares(shares, stage_trees.base, same)
    np.testing.assert_allclose(found, shares, atol=1e-6)


def test_shares_that_cancel_out_keep_their_sizes() -> None:
    shares = np.zeros((2, 4))
    shares[:, 0], shares[:, 1] = (0.2, -0.2), (-0.2, 0.2)
    found = calibrated_shares(shares, np.array([0.4, 0.3, 0.2, 0.1]), BENT)
    np.testing.assert_allclose(found.sum(axis=0), 0, atol=1e-12)
    assert abs(found[0, 0]) > 0.1


def test_steep_sigmoids_still_give_probabilities() -> None:
    steep = dict.fromkeys(Stage, Sigmoid(500.0, -400.0))
    found = calibrated(np.array([[0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0]]), steep)
    np.testing.assert_allclose(found[0], 0.25)
    assert found[1, 0] == pytest.approx(1)


def test_stage_sigmoids_undo_a_planted_distortion() -> None:
    rng = np.random.default_rng(4)
    truth = rng.dirichlet(np.ones(4), 8000)
    stages = np.array([rng.choice(list("ABCD"), p=p) for p in truth])
    flat = truth**0.5 / (truth**0.5).sum(axis=1, keepdims=True)
    found = calibrated(flat, fit_stage_sigmoids(flat, stages))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert np.abs(found - truth).mean() < np.abs(flat - truth).mean() / 2


def test_copies_share_one_offset_and_lose_sites_at_the_stated_rates() -> None:
    hu = np.random.default_rng(5).normal(80, 20, (3000, 36))
    found = Disturbance(1, offset_hu=15.0, missing=True).applied(hu, np.random.default_rng(6))
    np.testing.assert_array_equal(found[:3000], hu)
    away = found[3000:] - hu
    assert np.nanmax(np.nanstd(away, axis=1)) < 1e-9
    assert np.nanstd(away[:, 0]) == pytest.approx(15, abs=1)
    assert np.isnan(away[:, 5]).mean() == pytest.approx(MISSING_RATES["S1"], abs=0.03)
    assert not np.isnan(away[:, 0]).any()


def test_bone_shifts_leave_muscles_alone() -> None:
    hu = np.full((50, 36), 60.0)
    copies = Disturbance(1, bone_hu=8.0).applied(hu, np.random.default_rng(0))[50:]
    assert (copies[:, 6:] == 60).all()
    assert (copies[:, :6] != 60).all()


def test_no_disturbance_gives_the_patients_alone() -> None:
    hu = np.full((4, 36), 60.0)
    np.testing.assert_array_equal(NO_DISTURBANCE.applied(hu, np.random.default_rng(0)), hu)
