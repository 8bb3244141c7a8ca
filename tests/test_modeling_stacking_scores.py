"""Scores, figures and study steps of the stacks."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict

from modeling import read_cohort
from modeling.calibration import PAIRS, pair_name
from modeling.cohort import features_of
from modeling.stacking import (
    BasePasses,
    PublishedRecipe,
    elimination_step,
    scores,
    stacking_step,
)
from modeling.stacking.boosting import BaseModel, ModelSpec, build_model
from modeling.stacking.elimination import Rule
from modeling.stacking.protocol import (
    nested_protocol,
    published_protocol,
    search_stacks,
    stack_name,
)
from modeling.stacking.published import PUBLISHED_FEATURES, PUBLISHED_MODELS, REPRODUCED_AUROC
from modeling.stacking.scores import PairOutcome, calibration_groups, score_pair, score_table
from modeling.stacking.steps import STACKING_STEPS
from modeling.stacking.tuning import tuned_models
from modeling.study.step import StepResult, StudyInput
from tests.test_modeling_cohort import synthetic_cohort
from tests.test_modeling_stacking import SITES, SMALL


def gaussian(n: int = 150, shift: float = 1.0, seed: int = 0) -> PairOutcome:
    rng = np.random.default_rng(seed)
    later = np.arange(2 * n) % 2 == 1
    score = rng.normal(size=2 * n) + shift * later
    return PairOutcome("A/B", later, 1 / (1 + np.exp(-shift * (score - shift / 2))))


def test_scores_equal_those_of_scikit_learn_and_lie_in_their_intervals() -> None:
    outcome = gaussian()
    found = score_pair(outcome, 1)
    assert found.auroc.value == roc_auc_score(outcome.later, outcome.scores)
    assert found.auprc.value == average_precision_score(outcome.later, outcome.scores)
    assert found.accuracy.value == ((outcome.scores > 0.5) == outcome.later).mean()
    assert found.accuracy.value == pytest.approx(found.balanced_accuracy.value)
    assert found.youden_accuracy >= found.accuracy.value
    assert found.prevalence == 0.5
    for estimate in (found.auroc, found.auprc, found.accuracy, found.balanced_accuracy):
        assert estimate.low < estimate.value < estimate.high


def test_the_width_of_the_interval_is_that_of_hanley_and_mcneil() -> None:
    n = 150
    found = score_pair(gaussian(n), 1).auroc
    a = found.value
    q1, q2 = a / (2 - a), 2 * a**2 / (1 + a)
    variance = (a * (1 - a) + (n - 1) * (q1 - a**2) + (n - 1) * (q2 - a**2)) / n**2
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.12)


def test_areas_of_many_draws_equal_those_of_scikit_learn_with_ties() -> None:
    rng = np.random.default_rng(0)
    draws = rng.integers(0, 12, (20, 40)) / 12
    truth = np.arange(40) < 15
    np.testing.assert_allclose(
        scores._average_precisions(draws, 15), [average_precision_score(truth, d) for d in draws]
    )
    np.testing.assert_allclose(
        scores._aurocs(draws, 15), [roc_auc_score(truth, row) for row in draws]
    )


def test_equal_scores_have_an_auroc_of_one_half() -> None:
    found = score_pair(PairOutcome("A/B", np.arange(40) < 15, np.full(40, 0.3)), 0)
    assert (found.auroc.value, found.auroc.low, found.auroc.high) == (0.5, 0.5, 0.5)


def test_calibration_groups_hold_all_patients_and_wilson_intervals() -> None:
    outcome = gaussian(30)
    found = calibration_groups(outcome, 5)
    order = np.argsort(outcome.scores)
    for row, part in zip(found, np.array_split(order, 5), strict=True):
        hits = int(outcome.later[part].sum())
        interval = binomtest(hits, len(part)).proportion_ci(method="wilson")
        np.testing.assert_allclose(
            row[1:], [hits / len(part), interval.low, interval.high], atol=1e-12
        )
        assert row[0] == pytest.approx(outcome.scores[part].mean())


def test_the_table_has_a_row_for_each_pair_and_variant() -> None:
    found = score_pair(gaussian(20), 0)
    table = score_table({"apparent": {"A/B": found, "C/D": found}, "nested": {"A/B": found}})
    assert table[["pair", "variant"]].to_numpy().tolist() == [
        ["A/B", "apparent"],
        ["A/B", "nested"],
        ["C/D", "apparent"],
    ]
    assert table["AUROC"].tolist() == [round(found.auroc.value, 3)] * 3


def test_a_search_names_the_combination_with_the_highest_auroc() -> None:
    passes = BasePasses(*features_of(synthetic_cohort()), 2)
    specs = (SMALL[BaseModel.XGBOOST], SMALL[BaseModel.LIGHTGBM])
    found = search_stacks(passes, "A/B", SITES, specs)
    assert list(map(stack_name, found.outcomes)) == ["XGBoost", "LightGBM", "XGBoost + LightGBM"]
    assert found.auroc[found.best] == max(
        roc_auc_score(o.later, o.scores) for o in found.outcomes.values()
    )


def test_tuning_takes_the_settings_with_the_highest_out_of_fold_auroc() -> None:
    features, stages = features_of(synthetic_cohort())
    passes = BasePasses(features, stages, 2)
    specs = [ModelSpec.of(BaseModel.XGBOOST, n_estimators=n, max_depth=1) for n in (1, 3, 20)]
    matrix = features[list(SITES)].to_numpy()[passes.rows("B/C")]
    later, fold = passes.later("B/C"), passes.fold_of("B/C")
    expected = [
        cross_val_predict(
            build_model(spec, 2), matrix, later, cv=PredefinedSplit(fold), method="predict_proba"
        )[:, 1]
        for spec in specs
    ]
    best = int(np.argmax([roc_auc_score(later, found) for found in expected]))
    assert tuned_models(passes, "B/C", SITES, {BaseModel.XGBOOST: specs}) == {
        BaseModel.XGBOOST: specs[best]
    }


def test_nested_choices_do_not_see_the_patients_that_score_them() -> None:
    cohort = synthetic_cohort(20)
    rng = np.random.default_rng(3)
    cohort["Disease"] = rng.permutation(cohort["Disease"])
    recipe = PublishedRecipe(
        0, (SMALL[BaseModel.LIGHTGBM],), SMALL[BaseModel.LIGHTGBM], candidates=("L1", "L5")
    )
    nested = nested_protocol(cohort, recipe, 0)
    means = [roc_auc_score(o.later, o.scores) for o in nested.outcomes.values()]
    assert np.mean(means) == pytest.approx(0.5, abs=0.12)
    assert all(len(folds) == 5 for folds in (*nested.sites.values(), *nested.stacks.values()))
    assert not hasattr(recipe, "sites_")


def check_step(result: StepResult, tmp_path: Path) -> None:
    assert len(json.dumps(result.values, allow_nan=False)) > 100
    assert result.method
    assert all(len(table.frame) for table in result.tables)
    for figure in result.figures:
        path = tmp_path / f"{figure.name}.svg"
        figure.draw().savefig(path)
        assert path.stat().st_size > 5000


def test_the_elimination_step_gives_curves_sets_and_frequencies(tmp_path: Path) -> None:
    cohort = synthetic_cohort(10)
    result = elimination_step.run_elimination(
        StudyInput(cohort, 1, 1),
        (SMALL[BaseModel.LIGHTGBM], SMALL[BaseModel.XGBOOST]),
        sites=SITES,
    )
    check_step(result, tmp_path)
    tables = {table.name: table.frame for table in result.tables}
    pairs = result.values["pairs"]
    assert all(sorted(found["path"]) == sorted(SITES) for found in pairs.values())
    chosen = tables["elimination-chosen"].set_index(["core", "pair", "rule"])["chosen"]
    frequency = tables["elimination-frequency"].groupby("core")["A/D"].sum()
    beside = tables["elimination-cores"].set_index(["pair", "core"])
    assert list(result.values["cores"]) == ["LightGBM", "XGBoost"]
    assert result.values["cores"]["LightGBM"] == pairs
    for core, found in result.values["cores"].items():
        assert chosen[core, "A/D", Rule.MAXIMUM.value] == ", ".join(found["A/D"]["chosen"])
        assert frequency[core] == 5 * len(found["A/D"]["chosen"])
        assert beside.loc[("A/D", core), "nested: AUROC"] == pytest.approx(
            found["A/D"]["nested_auroc"], abs=0.001
        )
        assert beside.loc[("A/D", core), "published: sites"] == 14
    drawn = [figure.draw().legends[0].get_title().get_text() for figure in result.figures]
    assert drawn == ["LightGBM", "XGBoost"]


def test_the_stacking_step_gives_all_combinations_and_both_variants(tmp_path: Path) -> None:
    result = stacking_step.run_stacking(
        StudyInput(synthetic_cohort(10), 1, 1),
        SMALL,
        {BaseModel.LIGHTGBM: SMALL[BaseModel.LIGHTGBM]},
        ("L1", "L5"),
    )
    check_step(result, tmp_path)
    assert [len(found) for found in result.values["combinations"].values()] == [15] * 6
    assert len(result.values["variants"]) == 2
    assert [step.name for step in STACKING_STEPS] == ["elimination", "stacking"]


@pytest.mark.figures
@pytest.mark.shared
def test_the_published_figures_come_out_again(shared_data: Path) -> None:
    # The repeated row stays in, as in the publication.
    cohort = read_cohort(shared_data / "cohort" / "cohort.tsv")
    fewer = ModelSpec.of(BaseModel.RANDOM_FOREST, n_estimators=200, max_depth=5)
    stacks = {
        pair: tuple(fewer if s.model is BaseModel.RANDOM_FOREST else s for s in stack)
        for pair, stack in PUBLISHED_MODELS.items()
    }
    found = published_protocol(cohort, 42, jobs=2, stacks=stacks)
    auroc = {pair: roc_auc_score(o.later, o.scores) for pair, o in found.items()}
    assert set(auroc) == set(PUBLISHED_FEATURES) == {pair_name(pair) for pair in PAIRS}
    assert auroc == pytest.approx(dict(REPRODUCED_AUROC), abs=0.03)
