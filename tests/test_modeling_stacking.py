"""Elimination, stacking and the published recipe against independent computations."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import StackingClassifier
from sklearn.feature_selection import RFE
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import PredefinedSplit

from modeling import SITE_NAMES, InvalidFeatures, UnknownParameter
from modeling.calibration import PAIRS, pair_name
from modeling.cohort import features_of
from modeling.stacking import BasePasses, PublishedRecipe, all_combinations, published_as_fixed
from modeling.stacking.boosting import BaseModel, ModelSpec, build_model
from modeling.stacking.elimination import (
    Elimination,
    Rule,
    eliminate,
    eliminate_apparent,
    elimination_path,
)
from modeling.stacking.passes import meta_model
from modeling.stacking.published import PUBLISHED_FEATURES, PUBLISHED_MODELS, SELECTED_MODELS
from tests.test_modeling_cohort import synthetic_cohort

SMALL = {
    BaseModel.RANDOM_FOREST: ModelSpec.of(BaseModel.RANDOM_FOREST, n_estimators=8, max_depth=3),
    BaseModel.LIGHTGBM: ModelSpec.of(BaseModel.LIGHTGBM, n_estimators=8, min_child_samples=5),
    BaseModel.XGBOOST: ModelSpec.of(BaseModel.XGBOOST, n_estimators=8, max_depth=2),
    BaseModel.CATBOOST: ModelSpec.of(BaseModel.CATBOOST, iterations=8, depth=3),
}
SITES = ("L1", "L3", "L5", "L1-L2_3", "L4-L5_1")


def pair_of(cohort: pd.DataFrame, stages: str) -> tuple[pd.DataFrame, np.ndarray]:
    chosen = cohort[cohort["Disease"].isin(list(stages))]
    return chosen[list(SITE_NAMES)], (chosen["Disease"] == stages[1]).to_numpy()


def curve(auroc: list[list[float]]) -> Elimination:
    names = ("a", "b", "c", "d")
    return Elimination(names, np.array(auroc), np.array(auroc), False, (names,) * len(auroc))


@pytest.mark.parametrize("model", list(BaseModel), ids=str)
def test_a_parameter_that_a_model_would_ignore_is_refused(model: BaseModel) -> None:
    with pytest.raises(UnknownParameter, match="class_wight"):
        ModelSpec.of(model, class_wight="balanced")
    with pytest.raises(UnknownParameter):
        ModelSpec.of(model, random_state=1)


def test_xgboost_has_no_class_weight() -> None:
    with pytest.raises(UnknownParameter, match="scale_pos_weight"):
        ModelSpec.of(BaseModel.XGBOOST, class_weight="balanced")


@pytest.mark.parametrize("spec", SMALL.values(), ids=lambda spec: spec.model)
def test_a_base_model_takes_missing_values_and_repeats_itself(spec: ModelSpec) -> None:
    features, later = pair_of(synthetic_cohort(), "AD")
    matrix = features.to_numpy()
    assert np.isnan(matrix).any()
    first, second = (build_model(spec, 3).fit(matrix, later) for _ in range(2))
    found = first.predict_proba(matrix)
    np.testing.assert_array_equal(found, second.predict_proba(matrix))
    assert roc_auc_score(later, found[:, 1]) > 0.9


def test_one_path_gives_the_sets_of_an_elimination_for_each_size() -> None:
    features, later = pair_of(synthetic_cohort(), "BC")
    matrix = features[list(SITE_NAMES[:8])].to_numpy()
    core = ModelSpec.of(BaseModel.RANDOM_FOREST, n_estimators=40)
    order, cores = elimination_path(matrix, later, core, 1)
    for size in range(1, 9):
        separate = RFE(build_model(core, 1), n_features_to_select=size).fit(matrix, later)
        assert sorted(order[:size]) == np.flatnonzero(separate.support_).tolist()
        assert cores[size - 1].n_features_in_ == size


def test_rules_take_the_highest_mean_or_the_least_number_within_its_error() -> None:
    found = curve([[0.60, 0.78, 0.80, 0.79], [0.62, 0.80, 0.84, 0.83]])
    np.testing.assert_allclose(found.mean, [0.61, 0.79, 0.82, 0.81])
    np.testing.assert_allclose(found.standard_error[2], 0.02)
    assert found.chosen(Rule.MAXIMUM) == ("a", "b", "c")
    assert found.count(Rule.ONE_STANDARD_ERROR) == 3
    wide = curve([[0.60, 0.78, 0.76, 0.79], [0.62, 0.80, 0.88, 0.83]])
    assert wide.chosen(Rule.ONE_STANDARD_ERROR) == ("a", "b")


def test_noise_looks_informative_only_to_the_apparent_curve() -> None:
    rng = np.random.default_rng(5)
    features = pd.DataFrame(rng.normal(size=(60, 30)), columns=[f"x{i}" for i in range(30)])
    later = rng.permutation(np.repeat([False, True], 30))
    core = ModelSpec.of(BaseModel.LIGHTGBM, n_estimators=10, min_child_samples=5)
    honest = eliminate(features, later, core, 0, jobs=2)
    apparent = eliminate_apparent(features, later, core, 0)
    assert not honest.apparent
    assert apparent.apparent
    assert honest.names == apparent.names
    assert honest.mean[2:15].mean() < 0.6
    assert apparent.mean[2:15].mean() > honest.mean[2:15].mean() + 0.1


def test_a_curve_needs_a_patient_of_each_stage_in_each_fold() -> None:
    with pytest.raises(InvalidFeatures, match="found 4"):
        eliminate(*pair_of(synthetic_cohort(4), "AB"), SMALL[BaseModel.LIGHTGBM], 0)


def test_shared_folds_stack_as_scikit_learn_does_with_the_same_folds() -> None:
    features, stages = features_of(synthetic_cohort())
    passes = BasePasses(features, stages, 4)
    specs = (SMALL[BaseModel.RANDOM_FOREST], SMALL[BaseModel.XGBOOST])
    found = passes.stack_scores("B/C", SITES, specs)
    matrix = features[list(SITES)].to_numpy()[passes.rows("B/C")]
    later, fold = passes.later("B/C"), passes.fold_of("B/C")
    for k in range(5):
        stack = StackingClassifier(
            [(spec.model, build_model(spec, 4)) for spec in specs],
            meta_model(),
            cv=PredefinedSplit(fold[fold != k]),
            stack_method="predict_proba",
        ).fit(matrix[fold != k], later[fold != k])
        expected = stack.predict_proba(matrix[fold == k])[:, 1]
        np.testing.assert_allclose(found[fold == k], expected, rtol=1e-6)


def test_fifteen_fits_of_each_model_serve_all_fifteen_combinations() -> None:
    features, stages = features_of(synthetic_cohort(10))
    passes = BasePasses(features, stages, 0, jobs=2)
    stacks = all_combinations(SMALL.values())
    assert len(stacks) == 15
    passes.prepare("A/B", SITES, SMALL.values())
    assert passes.fits == 4 * 15
    scores = [passes.stack_scores("A/B", SITES, stack) for stack in stacks]
    assert passes.fits == 4 * 15
    assert len({found.tobytes() for found in scores}) == 15
    passes.stack_scores("A/B", SITES[1:], stacks[0])
    assert passes.fits == 5 * 15


def test_the_published_sets_and_stacks_name_known_sites_and_models() -> None:
    pairs = {pair_name(pair) for pair in PAIRS}
    assert set(PUBLISHED_FEATURES) == set(PUBLISHED_MODELS) == pairs
    assert [len(PUBLISHED_FEATURES[pair]) for pair in sorted(pairs)] == [10, 8, 14, 13, 13, 19]
    assert all(set(sites) <= set(SITE_NAMES) for sites in PUBLISHED_FEATURES.values())
    assert {s for stack in PUBLISHED_MODELS.values() for s in stack} == set(
        SELECTED_MODELS.values()
    )


def test_the_recipe_chooses_in_fit_and_scores_new_patients() -> None:
    features, stages = features_of(synthetic_cohort(12))
    unseen, truth = features_of(synthetic_cohort(12, seed=9))
    specs = (SMALL[BaseModel.RANDOM_FOREST], SMALL[BaseModel.LIGHTGBM])
    recipe = PublishedRecipe(7, specs, SMALL[BaseModel.LIGHTGBM], candidates=SITES)
    recipe.fit(features, stages)
    scores = recipe.pair_scores(unseen)
    assert set(scores) == set(recipe.sites_) == set(recipe.stacks_)
    chosen = np.isin(truth, ["A", "D"])
    assert roc_auc_score(truth[chosen] == "D", scores["A/D"][chosen]) > 0.95
    assert all(set(sites) <= set(SITES) for sites in recipe.sites_.values())
    again = clone(recipe).set_params(jobs=2).fit(features, stages)
    np.testing.assert_array_equal(again.pair_scores(unseen)["A/D"], scores["A/D"])


def test_the_fixed_recipe_keeps_to_the_given_sets_and_stacks() -> None:
    features, stages = features_of(synthetic_cohort(10))
    stacks = {pair_name(pair): (SMALL[BaseModel.XGBOOST],) for pair in PAIRS}
    recipe = published_as_fixed(1).set_params(stacks=stacks).fit(features, stages)
    assert recipe.sites_ == PUBLISHED_FEATURES
    assert recipe.stacks_ == stacks
    others = [site for site in SITE_NAMES if site not in PUBLISHED_FEATURES["A/C"]]
    masked = features.assign(**dict.fromkeys(others, np.nan))
    np.testing.assert_array_equal(
        recipe.pair_scores(masked)["A/C"], recipe.pair_scores(features)["A/C"]
    )
