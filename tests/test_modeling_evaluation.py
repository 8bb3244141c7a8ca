"""Nested evaluation: its measures against independent computations, its honesty on noise."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from modeling import Stage, read_cohort
from modeling.calibration import PAIRS, pair_name
from modeling.cohort import features_of
from modeling.errors import TooFewPatients, UnknownRecipe
from modeling.evaluation.nested import nested_predictions, out_of_fold, permuted_control
from modeling.evaluation.recipe_evaluation import Protocol, evaluate, known_recipes
from modeling.evaluation.shifts import stability
from modeling.metrics import (
    auroc,
    calibration_error,
    calibration_line,
    calibration_noise,
    classwise_calibration_error,
    couple,
    net_benefit,
)
from modeling.recipes.disturbance import NO_DISTURBANCE
from modeling.recipes.registry import RECIPES, NamedRecipe, scores_of
from modeling.recipes.selected import SelectedRecipe
from modeling.recipes.stage_forest import StageForest
from tests.test_modeling_cohort import synthetic_cohort

SHORT = Protocol(repeats=1, permutations=2, bootstraps=20)


def noise_cohort() -> pd.DataFrame:
    """Patients whose stages say nothing about their values."""
    cohort = synthetic_cohort(30, seed=1)
    rng = np.random.default_rng(2)
    cohort["Disease"] = rng.permutation(cohort["Disease"].to_numpy())
    return cohort


def test_the_area_is_that_of_scikit_learn_with_ties() -> None:
    rng = np.random.default_rng(0)
    score = rng.integers(0, 8, 200).astype(float)
    positive = rng.random(200) < 0.3
    assert auroc(score, positive) == pytest.approx(roc_auc_score(positive, score))
    assert np.isnan(auroc(score, np.zeros(200, dtype=bool)))


def test_net_benefit_of_acting_on_all_is_prevalence_less_the_others_at_the_odds() -> None:
    positive = np.arange(100) < 40
    found = net_benefit(np.ones(100), positive, 0.25)
    assert found == pytest.approx(0.4 - 0.6 * 0.25 / 0.75)


def test_calibration_of_true_probabilities_has_slope_one() -> None:
    rng = np.random.default_rng(0)
    stated = rng.uniform(0.02, 0.98, 40_000)
    slope, intercept = calibration_line(stated, rng.random(40_000) < stated)
    assert slope == pytest.approx(1.0, abs=0.03)
    assert intercept == pytest.approx(0.0, abs=0.03)


def test_calibration_error_of_constant_overconfidence_is_the_excess() -> None:
    right = np.arange(100) < 60
    assert calibration_error(np.full(100, 0.95), right) == pytest.approx(0.35)


def test_class_wise_calibration_error_is_the_mean_of_the_four() -> None:
    stated = np.tile([0.7, 0.1, 0.1, 0.1], (100, 1))
    is_stage = np.zeros((100, 4), dtype=bool)
    is_stage[:, 0] = True
    found = classwise_calibration_error(stated, is_stage)
    assert found == pytest.approx((0.3 + 3 * 0.1) / 4)


def test_the_noise_floor_falls_with_the_number_of_patients() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(4), 2500)
    many, few = calibration_noise(p, 0), calibration_noise(p[:100], 0)
    assert few[0] / many[0] == pytest.approx(5, abs=1.5)
    assert few[1] / many[1] == pytest.approx(5, abs=1.5)


def test_a_model_of_differences_of_levels_does_not_feel_an_offset() -> None:
    class Differences:
        def fit(self, X: pd.DataFrame, y: np.ndarray) -> "Differences":
            self.model = LogisticRegression().fit(self.inputs(X), y)
            return self

        def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
            return np.asarray(self.model.predict_proba(self.inputs(X)))

        @staticmethod
        def inputs(X: pd.DataFrame) -> pd.DataFrame:
            return (X[["L3", "L4"]].sub(X["L2-L3_1"], axis=0)).fillna(0) / 50

    features, stages = features_of(noise_cohort())
    recipe = NamedRecipe("differences", "bone less muscle", lambda seed: Differences())
    found = stability(nested_predictions(recipe, features, stages, 0, repeats=1), stages)
    assert found["all -20"]["flips"] == found["all +20"]["flips"] == 0
    assert found["bone +15"]["flips"] > 0
    assert sum(found["bone +15"]["predicted"].values()) == pytest.approx(1, abs=1e-3)


def test_coupling_gives_back_the_probabilities_that_the_pairs_came_from() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    order = list(Stage)
    pairs = {
        pair_name((a, b)): p[:, order.index(b)] / (p[:, order.index(a)] + p[:, order.index(b)])
        for a, b in PAIRS
    }
    np.testing.assert_allclose(couple(pairs), p, atol=1e-3)


def test_every_patient_is_scored_by_models_that_have_not_seen_them() -> None:
    """A model that remembers its patients' rows would score perfectly if it met them again."""

    class Memory:
        def fit(self, X: pd.DataFrame, y: np.ndarray) -> "Memory":
            self.known = {row.tobytes(): stage for row, stage in zip(X.to_numpy(), y, strict=True)}
            return self

        def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
            found = np.full((len(X), 4), 0.25)
            for place, row in enumerate(X.to_numpy()):
                if row.tobytes() in self.known:
                    found[place] = [s == self.known[row.tobytes()] for s in Stage]
            return found

    features, stages = features_of(noise_cohort())
    recipe = NamedRecipe("memory", "remembers", lambda seed: Memory())
    for found in nested_predictions(recipe, features, stages, 0, repeats=2):
        assert np.all(found.probabilities == 0.25)


def test_noise_scores_one_half_and_apparently_much_more() -> None:
    small = NamedRecipe(
        "small", "few trees", lambda seed: StageForest(seed, 15, 2, disturbance=NO_DISTURBANCE)
    )
    scores = evaluate(noise_cohort(), small, protocol=SHORT).scores
    assert abs(scores["mean_pair_auroc"] - 0.5) < 0.12
    assert scores["mean_pair_auroc_apparent"] > 0.95


def test_shuffled_stages_score_one_half_on_average() -> None:
    features, stages = features_of(synthetic_cohort(30))
    found = permuted_control(RECIPES["regression"], features, stages, 0, permutations=20)
    assert abs(np.mean(found) - 0.5) < 0.05


@pytest.fixture(scope="module")
def separable() -> Mapping[str, Any]:
    """Scores of a cohort whose stages can be told apart."""
    return evaluate(synthetic_cohort(20), "regression", protocol=SHORT).scores


def test_separable_stages_score_high_and_the_same_twice(separable: Mapping[str, Any]) -> None:
    again = evaluate(synthetic_cohort(20), "regression", protocol=SHORT, jobs=1).scores
    assert separable["mean_pair_auroc"] > 0.9
    assert json.dumps(separable) == json.dumps(again)
    for pair in separable["pairs"].values():
        assert pair["ci"][0] <= pair["auroc"] <= pair["ci"][1]
    assert {"auprc", "apparent", "calibration_slope"} <= set(separable["pairs"]["A/B"])


def test_a_small_subgroup_has_a_reason_in_place_of_a_figure(separable: Mapping[str, Any]) -> None:
    groups = {g["group"]: g for g in separable["subgroups"]}
    assert "mean_pair_auroc" not in groups["80 years and over"]
    assert "fewer than 10 patients" in groups["80 years and over"]["reason"]


def test_selection_takes_the_better_recipe_and_says_so() -> None:
    features, stages = features_of(synthetic_cohort(20))

    class Coin:
        def fit(self, X: pd.DataFrame, y: np.ndarray) -> "Coin":
            return self

        def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
            return np.random.default_rng(len(X)).dirichlet(np.ones(4), len(X))

    chosen = SelectedRecipe(
        0, {"coin": lambda seed: Coin(), "regression": RECIPES["regression"].make}, out_of_fold
    ).fit(features, stages)
    assert chosen.chosen_ == "regression"
    assert chosen.found_["coin"] < 0.7 < chosen.found_["regression"]


def test_scores_of_a_selection_do_not_depend_on_the_scale_of_what_it_took() -> None:
    features, stages = features_of(synthetic_cohort(20))
    generator = np.random.default_rng(0)  # stages that can be told apart have no finite slope
    stages = np.where(generator.random(80) < 0.5, generator.permutation(stages), stages)

    class Wide:
        def fit(self, X: pd.DataFrame, y: np.ndarray) -> "Wide":
            self.model = RECIPES["regression"].make(0).fit(X, y)
            return self

        def pair_scores(self, X: pd.DataFrame) -> dict[str, np.ndarray]:
            return {name: 7 * s - 3 for name, s in scores_of(self.model, X)[1].items()}

    plain, wide = (
        SelectedRecipe(0, {"one": make}, out_of_fold).fit(features, stages).pair_scores(features)
        for make in (RECIPES["regression"].make, lambda seed: Wide())
    )
    for name, scores in plain.items():
        np.testing.assert_allclose(wide[name], scores, atol=0.01)


def test_a_recipe_of_pairs_alone_is_coupled_to_four_probabilities() -> None:
    class Pairs:
        def fit(self, X: pd.DataFrame, y: np.ndarray) -> "Pairs":
            self.models = {
                pair_name(pair): LogisticRegression().fit(
                    X.loc[np.isin(y, pair), ["L3"]], y[np.isin(y, pair)] == pair[1]
                )
                for pair in PAIRS
            }
            return self

        def pair_scores(self, X: pd.DataFrame) -> dict[str, np.ndarray]:
            return {n: m.decision_function(X[["L3"]]) for n, m in self.models.items()}

    features, stages = features_of(synthetic_cohort(20))
    recipe = NamedRecipe("pairs", "six regressions", lambda seed: Pairs())
    (found,) = nested_predictions(recipe, features, stages, 0, repeats=1)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)
    order = np.array([s.value for s in Stage])
    assert (order[found.probabilities.argmax(axis=1)] == stages).mean() > 0.6


def test_a_model_without_any_scores_is_a_fault() -> None:
    with pytest.raises(TypeError, match="neither"):
        scores_of(object(), pd.DataFrame())


def test_an_unknown_recipe_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UnknownRecipe, match="selected"):
        evaluate(synthetic_cohort(20), "best")
    assert {"default", "published", "selected"} <= set(known_recipes())


def test_too_few_patients_of_a_stage_are_refused() -> None:
    cohort = synthetic_cohort(20).drop(index=range(11))
    with pytest.raises(TooFewPatients, match="stage A has 9 patients"):
        evaluate(cohort, "regression", protocol=SHORT)


@pytest.mark.figures
@pytest.mark.shared
def test_the_default_reaches_on_the_published_cohort_what_its_card_states(
    shared_data: Path,
) -> None:
    from modeling import load_bundle

    features, stages = features_of(
        read_cohort(shared_data / "cohort" / "cohort.tsv").drop_duplicates(ignore_index=True)
    )
    (found,) = nested_predictions(RECIPES["default"], features, stages, 42, repeats=1)
    areas = [
        roc_auc_score(
            stages[np.isin(stages, pair)] == pair[1],
            found.calibrated[pair_name(pair)][np.isin(stages, pair)],
        )
        for pair in PAIRS
    ]
    assert np.mean(areas) > 0.82
    assert np.mean(areas) == pytest.approx(load_bundle().scores["mean_pair_auroc"], abs=0.012)


def test_progress_counts_folds_and_shuffles_to_the_end() -> None:
    seen: list[tuple[int, int]] = []
    short = Protocol(repeats=1, permutations=2, bootstraps=2)
    evaluate(
        synthetic_cohort(20),
        "regression",
        protocol=short,
        progress=lambda done, parts: seen.append((done, parts)),
    )
    assert seen == [(k, 7) for k in range(1, 8)]
