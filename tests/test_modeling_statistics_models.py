"""Projections and linear formulas, and all of the statistics as steps."""

import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from modeling import Stage, read_cohort, statistics, without_duplicates
from modeling.cohort import SITE_NAMES
from modeling.statistics.linear import fit_formula
from modeling.statistics.linear_fit import KINDS, FormulaKind, Penalty, Target, fit_linear
from modeling.statistics.linear_step import linear_step
from modeling.statistics.multivariate_steps import projection_step
from modeling.statistics.projection import (
    Imputation,
    group_mean_imputed,
    pls_da,
    principal_components,
)
from modeling.statistics.single_feature import single_site_rocs
from modeling.statistics.steps import STATISTICS_STEPS
from modeling.study.step import StepResult, StudyInput, StudyStep
from tests.test_modeling_statistics_groups import plain_cohort

PAIR = (Stage.A, Stage.D)
LASSO = FormulaKind(Target.LOGISTIC, Penalty.LASSO)


def with_gaps(cohort: pd.DataFrame, share: float = 0.9) -> pd.DataFrame:
    """Four sites that most patients lack, as in the published cohort."""
    rng = np.random.default_rng(9)
    for site in ("L5-S1_2", "L5-S1_3", "L5-S1_5", "L5-S1_6"):
        cohort.loc[rng.random(len(cohort)) < share, site] = np.nan
    return cohort


def test_group_means_fill_gaps_from_the_patients_own_stage() -> None:
    values = np.array([[1.0, 4.0], [3.0, np.nan], [np.nan, np.nan], [7.0, np.nan]])
    found = group_mean_imputed(values, np.array(["A", "A", "B", "B"]))
    assert found == pytest.approx(np.array([[1.0, 4.0], [3.0, 4.0], [7.0, 4.0], [7.0, 4.0]]))


def test_principal_components_are_scikit_learns() -> None:
    cohort = plain_cohort()
    cohort[list(SITE_NAMES[:6])] += np.random.default_rng(1).normal(0, 30, (160, 1))
    found = principal_components(cohort, Imputation.KNN)
    scaled = StandardScaler().fit_transform(cohort[list(SITE_NAMES)])
    expected = PCA(3).fit(scaled)
    assert found.explained[:3] == pytest.approx(expected.explained_variance_ratio_)
    assert np.abs(found.loadings[:, 0]) == pytest.approx(np.abs(expected.components_[0]))
    assert (found.loadings.sum(axis=0) > 0).all()
    assert found.scores.var(axis=0) / found.scores.var(axis=0).sum() == pytest.approx(
        found.explained
    )


def test_sites_that_most_lack_are_left_out_of_knn_only() -> None:
    cohort = with_gaps(plain_cohort())
    assert len(principal_components(cohort, Imputation.KNN).sites) == 32
    assert len(principal_components(cohort, Imputation.GROUP_MEAN).sites) == 36


def test_pls_da_separates_what_is_separate_and_names_the_site() -> None:
    cohort = plain_cohort()
    for step, stage in enumerate("ABCD"):
        cohort.loc[cohort["Disease"] == stage, "L5"] += 25 * step
    found = pls_da(cohort, Imputation.KNN, seed=0, permutations=30)
    assert found.q2 > 0.1
    assert found.p_q2 == pytest.approx(1 / 31)
    assert found.sites[int(np.argmax(found.vip))] == "L5"
    assert (found.vip**2).mean() == pytest.approx(1)
    one_hot = pd.get_dummies(cohort["Disease"]).to_numpy(dtype=float)
    whole = PLSRegression(2, scale=True).fit(cohort[list(SITE_NAMES)], one_hot)
    assert found.r2y == pytest.approx(whole.score(cohort[list(SITE_NAMES)], one_hot), abs=1e-3)
    assert 0 < found.r2x < 1


def test_group_means_make_stages_seem_apart_that_are_not() -> None:
    cohort = with_gaps(plain_cohort())
    leaking = pls_da(cohort, Imputation.GROUP_MEAN, seed=0, permutations=20)
    honest = pls_da(cohort, Imputation.KNN, seed=0, permutations=20)
    assert leaking.null_q2.mean() > 0.1
    assert leaking.q2 > 0.1
    assert leaking.p_q2 > 0.05
    assert honest.q2 < 0.03
    assert honest.null_q2.mean() < 0
    assert pls_da(cohort, Imputation.KNN, seed=0, permutations=2).q2 == honest.q2


def standardised(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(axis=0)) / x.std(axis=0)


@pytest.mark.parametrize("penalty", [Penalty.LASSO, Penalty.ELASTIC_NET, Penalty.RIDGE], ids=str)
@pytest.mark.parametrize("target", list(Target), ids=str)
def test_coefficients_fulfil_the_optimality_conditions(target: Target, penalty: Penalty) -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(100, 20, (120, 8))
    y = x[:, 0] + rng.normal(0, 20, 120) < 100
    strength = 0.05
    fit = fit_linear(FormulaKind(target, penalty), strength, x, y, seed=0)
    beta, fitted = fit.per_sd, fit.score(x)
    if target is Target.LOGISTIC:
        residual = y - 1 / (1 + np.exp(-fitted))
    else:
        residual, beta = y - fitted / 100, beta / 100
    l1 = strength * {Penalty.LASSO: 1.0, Penalty.ELASTIC_NET: 0.5, Penalty.RIDGE: 0.0}[penalty]
    gradient = standardised(x).T @ residual / 120 - (strength - l1) * beta
    assert residual.mean() == pytest.approx(0, abs=2e-3)
    used = beta != 0
    assert gradient[used] == pytest.approx(l1 * np.sign(beta[used]), abs=2e-3)
    assert (np.abs(gradient[~used]) <= l1 + 2e-3).all()
    assert used.all() == (penalty is Penalty.RIDGE)


def test_the_unpenalised_score_is_least_squares() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(100, 20, (80, 5)), rng.random(80) < 0.5
    fit = fit_linear(FormulaKind(Target.LINEAR_SCORE, Penalty.NONE), 0.0, x, y, seed=0)
    expected = np.linalg.lstsq(np.c_[np.ones(80), x], 100.0 * y, rcond=None)[0]
    assert np.r_[fit.intercept, fit.per_hu] == pytest.approx(expected)


@pytest.fixture(scope="module")
def planted() -> pd.DataFrame:
    cohort = plain_cohort()
    cohort.loc[cohort["Disease"] == "D", "L5"] -= 30
    cohort.loc[cohort["Disease"] == "D", "L1-L2_1"] += 15
    cohort.loc[3, "L5"] = np.nan
    return cohort


def with_numbers(line: str, hu: Mapping[str, object]) -> str:
    """The line with HU in place of the sites in brackets."""
    return re.sub(r"\[(\S+?)\]", lambda found: f"({hu[found[1]]!r})", line)


def test_a_formulas_text_gives_its_score_on_a_calculator(planted: pd.DataFrame) -> None:
    formula = fit_formula(planted, PAIR, LASSO, seed=0, bootstraps=20)
    line = formula.text().splitlines()[0].removeprefix("score = ")
    medians = dict(re.findall(r"(L\S+|S1) ([\d.]+)", formula.text().splitlines()[-1]))
    for row in (0, 3, 130):
        hu = {
            str(site): float(medians[str(site)]) if np.isnan(value) else value
            for site, value in planted.loc[row, list(SITE_NAMES)].items()
            if site in medians
        }
        typed = with_numbers(line, hu)
        expected = formula.score(planted.loc[[row], list(SITE_NAMES)])[0]
        assert eval(typed) == pytest.approx(expected, abs=0.02)
    assert "probability of D rather than A" in formula.text()


def test_a_formula_finds_the_planted_sites_with_their_signs(planted: pd.DataFrame) -> None:
    formula = fit_formula(planted, PAIR, LASSO, seed=0, bootstraps=40)
    terms = {term.site: term for term in formula.terms}
    assert terms["L5"].per_hu_high < 0 < terms["L1-L2_1"].per_hu
    assert terms["L5"].selected_share == 1
    shares = [t.selected_share for s, t in terms.items() if s not in ("L5", "L1-L2_1")]
    assert np.mean(shares) < 0.6
    assert terms["L5"].per_sd_low <= terms["L5"].per_sd <= terms["L5"].per_sd_high
    assert formula.nested.auroc > 0.75
    assert formula == fit_formula(planted, PAIR, LASSO, seed=0, bootstraps=40)


def test_a_useless_formula_looks_good_only_apparently() -> None:
    cohort = plain_cohort()
    none = FormulaKind(Target.LINEAR_SCORE, Penalty.NONE)
    found = [fit_formula(cohort, pair, none, 0, 2) for pair in (PAIR, (Stage.B, Stage.C))]
    assert min(f.apparent.auroc for f in found) > 0.8
    assert np.mean([f.nested.auroc for f in found]) == pytest.approx(0.5, abs=0.12)


def test_a_stage_with_few_patients_gets_no_formula() -> None:
    with pytest.raises(ValueError, match="A/D: a stage with fewer than 10"):
        fit_formula(plain_cohort(9), PAIR, LASSO, seed=0)


def checked(result: StepResult) -> None:
    """Figures draw, tables hold rows, values are JSON."""
    assert result.method
    assert result.findings
    json.dumps(result.values, allow_nan=False)
    for table in result.tables:
        assert len(table.frame), table.name
    for figure in result.figures:
        drawn = figure.draw()
        drawn = getattr(drawn, "figure", drawn)
        drawn.canvas.draw()
        assert any(ax.get_xlabel() for ax in drawn.axes) or drawn.get_supxlabel(), figure.name
        assert any(ax.get_ylabel() for ax in drawn.axes) or drawn.axes[0].get_title(), figure.name


LIGHT = {
    "projection": partial(projection_step, permutations=5),
    "linear": partial(linear_step, kinds=(LASSO, KINDS[-1]), bootstraps=3),
}


@pytest.mark.parametrize("step", STATISTICS_STEPS, ids=lambda step: step.name)
@pytest.mark.parametrize("stages", ["ABCD", "ABC"])
def test_every_step_runs_also_without_a_stage(step: StudyStep, stages: str) -> None:
    cohort = with_gaps(plain_cohort(16))
    cohort = cohort[cohort["Disease"].isin(list(stages))].reset_index(drop=True)
    run = LIGHT.get(step.name, step.run)
    checked(run(StudyInput(cohort, 1, 1)))


def test_the_contents_page_is_sorted_and_true() -> None:
    assert statistics.__all__ == sorted(statistics.__all__, key=lambda n: (not n.isupper(), n))
    assert all(hasattr(statistics, name) for name in statistics.__all__)


def test_comparison_tables_state_units_and_begin_with_the_result() -> None:
    steps = {step.name: step for step in STATISTICS_STEPS}
    tables = steps["comparison"].run(StudyInput(with_gaps(plain_cohort(16)), 1, 1)).tables
    columns = list(tables[0].frame)
    assert columns[:6] == ["pair", "site", "test", "p", "q", "hedges_g"]
    assert {"mean_first_hu", "sd_second_hu", "median_first_hu", "why"} <= set(columns)
    assert set(tables[0].frame["test"]) == {"Wilcoxon rank-sum", "none"}


@pytest.mark.shared
def test_the_published_best_site_is_found_in_the_cohort(shared_data: Path) -> None:
    cohort = without_duplicates(read_cohort(shared_data / "cohort" / "cohort.tsv"))
    of_pair = [r for r in single_site_rocs(cohort) if r.pair == "A/D"]
    best = max(of_pair, key=lambda r: r.area.auroc)
    assert best.site == "L5"
    assert best.area.auroc == pytest.approx(0.921, abs=0.001)
    assert best.direction == "lower"
