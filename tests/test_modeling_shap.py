"""SHAP values out of fold, and their figures."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedKFold

from modeling import Stager, load_bundle
from modeling.cohort import Sex, Stage, features_of
from modeling.design import USED_SITES
from modeling.errors import InvalidFeatures
from modeling.evaluation.nested import out_of_fold
from modeling.interpretation import (
    contributions,
    pair_shares,
    plot_beeswarm,
    plot_dependence,
    plot_heat_map,
    plot_waterfall,
    stage_shares,
)
from modeling.interpretation.dependence_figures import plot_dependence_by_partner
from modeling.interpretation.shap_step import shap_step
from modeling.interpretation.shares import (
    PairShares,
    StageShares,
    foremost_and_partner,
    mean_interactions,
    mean_shares,
    typical_patient,
)
from modeling.pair_trees import PairCore, fit_pair
from modeling.recipes.registry import DEFAULT_RECIPE, RECIPES
from modeling.study.step import StudyInput
from tests.test_modeling_cohort import synthetic_cohort


@cache
def given() -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    cohort = synthetic_cohort(35)
    rng = np.random.default_rng(1)
    cohort[list(USED_SITES)] = rng.normal(90, 25, (len(cohort), len(USED_SITES)))
    cohort["L5"] -= 40 * (cohort["Disease"] == "D")
    cohort.loc[::7, "L1-L2_3"] = np.nan
    return cohort, *features_of(cohort)


@cache
def pairs() -> dict[str, PairShares]:
    _, features, stages = given()
    return pair_shares(features, stages, 0)


@cache
def by_stage() -> StageShares:
    _, features, stages = given()
    return stage_shares(features, stages, 0)


def test_stage_shares_add_up_to_the_out_of_fold_probabilities() -> None:
    _, features, stages = given()
    found = out_of_fold(RECIPES[DEFAULT_RECIPE].make, features, stages, 0)
    assert found.probabilities is not None
    np.testing.assert_allclose(by_stage().probabilities, found.probabilities, atol=1e-9)


def test_interactions_of_a_site_add_up_to_its_share() -> None:
    for found in pairs().values():
        np.testing.assert_allclose(found.interactions.sum(axis=2), found.values, atol=1e-5)


def test_the_planted_site_is_the_foremost_and_low_hu_speaks_for_d() -> None:
    table = mean_shares(pairs()).set_index("site")
    assert table["A/D"].idxmax() == table["B/D"].idxmax() == "L5"
    found = pairs()["A/D"]
    place = USED_SITES.index("L5")
    assert np.corrcoef(found.mean_hu[:, place], found.values[:, place])[0, 1] < -0.5


def test_no_patient_is_explained_by_a_model_that_saw_them() -> None:
    """A patient's values do not reach the models of their own fold, and reach all others."""
    _, features, stages = given()
    before = pairs()["A/D"]
    turned = features.copy()
    turned.loc[turned.index[before.rows[0]], list(USED_SITES)] = 400.0
    after = pair_shares(turned, stages, 0)["A/D"]
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    later = stages[before.rows] == "D"
    for _, unseen in folds.split(later, later):
        rest = unseen[unseen != 0]
        same = np.array_equal(before.values[rest], after.values[rest])
        assert same == (0 in unseen)


def test_interactions_are_listed_once_and_heavy_first() -> None:
    table = mean_interactions(pairs())
    assert (table["mean absolute interaction (log-odds)"] > 0).all()
    for _, of_pair in table.groupby("pair"):
        assert of_pair["mean absolute interaction (log-odds)"].is_monotonic_decreasing
        ends = {frozenset(row) for row in of_pair[["site", "other site"]].to_numpy()}
        assert len(ends) == len(of_pair)


def test_too_few_patients_are_refused() -> None:
    cohort = synthetic_cohort(4)
    with pytest.raises(InvalidFeatures, match="found 4"):
        pair_shares(*features_of(cohort), 0)


def test_the_typical_patient_is_of_the_stage_and_decided_rightly() -> None:
    _, _, stages = given()
    chosen = typical_patient(by_stage(), stages, Stage.D)
    assert stages[chosen] == "D"
    assert by_stage().probabilities[chosen].argmax() == 3


def test_contributions_are_those_of_the_patient_largest_first() -> None:
    found = contributions(by_stage(), 3, Stage.B)
    sizes = [abs(item.shap) for item in found]
    assert sizes == sorted(sizes, reverse=True)
    total = by_stage().base[3, 1] + sum(item.shap for item in found)
    assert total == pytest.approx(by_stage().probabilities[3, 1])


def test_a_waterfall_of_the_stager_ends_at_its_probability() -> None:
    stager = Stager(load_bundle())
    hu = np.array([90.0] * 6 + [40.0] * 30)
    hu[30:] = np.nan
    predicted = stager.stage(hu, 70, Sex.FEMALE)
    assert predicted.predicted is not None
    ax = plot_waterfall(
        stager.explain(hu, 70, Sex.FEMALE),
        stager.base_probability(predicted.predicted),
        predicted.predicted,
    )
    last = ax.patches[-1]
    ends = (last.get_x(), last.get_x() + last.get_width())
    assert min(abs(e - predicted.probabilities[predicted.predicted]) for e in ends) < 1e-9
    words = [label.get_text() for label in ax.get_yticklabels()]
    assert words[0].endswith("other inputs")
    assert any("HU" in word for word in words)


def test_missing_values_are_drawn_apart() -> None:
    x = np.array([100.0, 150.0, np.nan, np.nan])
    ax = plot_dependence(np.arange(4.0), x, "L1 (HU)", "log-odds")
    drawn = ax.collections[0].get_offsets()[:, 0]
    assert (drawn[2:] < 100).all()
    assert any("missing (2)" in text.get_text() for text in ax.texts)


def test_a_beeswarm_shows_the_foremost_features_first() -> None:
    values = np.column_stack([np.full(20, 0.1), np.linspace(-2, 2, 20), np.full(20, 0.5)])
    ax = plot_beeswarm(values, np.ones((20, 3)), ("a", "b", "c"), "log-odds", count=2)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "c"]


def test_equal_inputs_have_one_colour_in_a_beeswarm() -> None:
    sex = np.array([0.0] * 14 + [1.0] * 6)
    ax = plot_beeswarm(np.linspace(-1, 1, 20)[:, None], sex[:, None], ("sex",), "log-odds")
    np.testing.assert_array_equal(ax.collections[1].get_array(), sex)


@pytest.mark.parametrize("core", PairCore)
@pytest.mark.parametrize("stopped", [False, True])
def test_every_core_shares_out_its_log_odds_and_halves_interactions(
    core: PairCore, stopped: bool
) -> None:
    rng = np.random.default_rng(0)
    hu = rng.normal(100, 20, (160, 4))
    hu[::9, 3] = np.nan
    target = ((hu[:, 0] > 100) == (hu[:, 1] > 100)).astype(int)
    held_out = (hu[:40], target[:40]) if stopped else None
    model = fit_pair(hu[40:], target[40:], 0, core=core, held_out=held_out, patience=3)
    values, base = model.shares(hu)
    interactions = model.interactions(hu)
    assert interactions == pytest.approx(interactions.transpose(0, 2, 1), abs=1e-5)
    assert interactions.sum(axis=2) == pytest.approx(values, abs=1e-4)
    strength = np.abs(interactions).sum(axis=0)
    np.fill_diagonal(strength, 0)
    assert set(np.unravel_index(strength.argmax(), strength.shape)) == {0, 1}
    log_odds = base + values.sum(axis=1)
    assert log_odds[target == 1].mean() > log_odds[target == 0].mean() + 0.1


def test_the_partner_is_the_site_that_interacts_most_with_the_foremost() -> None:
    values = np.tile([0.1, 2.0, 0.3], (5, 1))
    interactions = np.zeros((5, 3, 3))
    interactions[:, 1] = [0.2, 1.5, -0.3]
    shares = PairShares(np.arange(5), values, values, np.zeros(5), interactions)
    assert foremost_and_partner(shares) == (1, 2)


def test_the_trace_above_the_heat_map_is_the_sum_of_base_and_shares() -> None:
    values = np.array([[1.0, 2.0], [-1.0, 0.0], [0.5, 0.0]])
    ax = plot_heat_map(values, np.full(3, 0.5), ("a", "b"), "log-odds")
    trace = ax.child_axes[0]
    assert list(trace.lines[0].get_ydata()) == [-0.5, 1.0, 3.5]
    assert ax.images[0].get_array()[0].tolist() == [-1.0, 0.5, 1.0]


def test_patients_without_the_partner_are_grey() -> None:
    x = np.array([100.0, 150.0, np.nan])
    partner = np.array([np.nan, 30.0, 40.0])
    ax = plot_dependence_by_partner(np.arange(3.0), x, partner, ("L5", "L4"), "log-odds")
    grey, coloured = ax.collections
    assert grey.get_offsets()[:, 0].tolist() == [100.0]
    assert coloured.get_array().tolist() == [30.0, 40.0]
    assert coloured.get_offsets()[1, 0] < 100


def test_the_step_draws_all_its_figures(tmp_path: Path) -> None:
    cohort, _, _ = given()
    found = shap_step().run(StudyInput(cohort, 0, 1))
    assert "out of fold" in found.method
    for figure in found.figures:
        figure.draw().savefig(tmp_path / "x.png", dpi=30)
    from matplotlib import pyplot

    assert pyplot.get_fignums() == []
