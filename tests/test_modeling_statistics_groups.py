"""Two groups, characteristics and comparisons, against formulas worked out by another route."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from modeling import COHORT_COLUMNS, Stage
from modeling.cohort import SITE_NAMES, read_cohort, without_duplicates
from modeling.statistics.ageing.age_by_sex import age_by_sex, hc3_covariance
from modeling.statistics.ageing.declines import declines
from modeling.statistics.characteristics import (
    age_densities,
    group_sizes,
    sex_differences,
)
from modeling.statistics.characteristics_step import characteristics_step
from modeling.statistics.comparison import compare_sites
from modeling.statistics.delong import auroc_of_folds, delong_auroc
from modeling.statistics.descriptive_steps import comparison_step
from modeling.statistics.figures.box_plot_figure import plot_vertebrae
from modeling.statistics.figures.comparison_figure import plot as plot_comparison
from modeling.statistics.site_values import clipped_count, site_values, tissue_means
from modeling.statistics.two_groups import (
    GroupTest,
    compare_groups,
    false_discovery,
    hedges_g,
)
from modeling.study.step import StudyInput


def plain_cohort(per_stage: int = 40, seed: int = 0) -> pd.DataFrame:
    """Patients without any difference between stages or sexes, nothing missing."""
    rng = np.random.default_rng(seed)
    stages = [stage.value for stage in Stage for _ in range(per_stage)]
    count = len(stages)
    frame = pd.DataFrame(rng.normal(100, 20, (count, 36)), columns=list(SITE_NAMES))
    frame.insert(0, "Age", rng.integers(50, 90, count).astype(float))
    frame.insert(0, "Gender", (np.arange(count) % 2).astype(float))
    frame.insert(0, "Disease", stages)
    return frame[list(COHORT_COLUMNS)]


def with_moments(mean: float, sd: float, count: int, seed: int) -> np.ndarray:
    """Values of exactly this mean and standard deviation."""
    drawn = np.random.default_rng(seed).normal(size=count)
    return mean + sd * (drawn - drawn.mean()) / drawn.std(ddof=1)


def test_the_area_equals_the_share_of_ordered_pairs_with_ties_counted_half() -> None:
    rng = np.random.default_rng(1)
    positives, negatives = (
        rng.integers(2, 9, 40).astype(float),
        rng.integers(0, 7, 55).astype(float),
    )
    found = delong_auroc(positives, negatives)
    labels = np.r_[np.ones(40), np.zeros(55)]
    expected = roc_auc_score(labels, np.r_[positives, negatives])
    assert found.auroc == pytest.approx(expected, abs=1e-12)
    assert found.reversed().auroc == pytest.approx(1 - expected, abs=1e-12)
    assert found.reversed().auroc_low == pytest.approx(1 - found.auroc_high, abs=1e-12)


def test_delongs_interval_equals_the_one_from_all_pairs() -> None:
    rng = np.random.default_rng(2)
    positives, negatives = rng.normal(1, 1, 30).round(1), rng.normal(0, 1, 45).round(1)
    difference = positives[:, None] - negatives[None, :]
    wins = (difference > 0) + 0.5 * (difference == 0)
    variance = wins.mean(axis=1).var(ddof=1) / 30 + wins.mean(axis=0).var(ddof=1) / 45
    area = wins.mean()
    half = 1.959964 * math.sqrt(variance) / (area * (1 - area))
    found = delong_auroc(positives, negatives)
    assert stats.logistic.cdf(stats.logistic.ppf(area) - half) == pytest.approx(
        found.auroc_low, abs=1e-6
    )
    assert stats.logistic.cdf(stats.logistic.ppf(area) + half) == pytest.approx(
        found.auroc_high, abs=1e-6
    )


def test_delongs_interval_agrees_with_a_bootstrap() -> None:
    rng = np.random.default_rng(3)
    positives, negatives = rng.normal(0.9, 1, 90), rng.normal(0, 1, 110)
    found = delong_auroc(positives, negatives)
    drawn = [
        delong_auroc(rng.choice(positives, 90), rng.choice(negatives, 110)).auroc
        for _ in range(2000)
    ]
    assert np.quantile(drawn, 0.025) == pytest.approx(found.auroc_low, abs=0.015)
    assert np.quantile(drawn, 0.975) == pytest.approx(found.auroc_high, abs=0.015)


def test_scores_on_other_scales_are_compared_within_their_fold_only() -> None:
    rng = np.random.default_rng(6)
    folds = [(rng.normal(1, 1, 40), rng.normal(0, 1, 40)) for _ in range(5)]
    shifted = [(p + 10 * k, n + 10 * k) for k, (p, n) in enumerate(folds)]
    found = auroc_of_folds(shifted)
    single = [delong_auroc(*fold) for fold in folds]
    assert found.auroc == pytest.approx(np.mean([one.auroc for one in single]))
    pooled = delong_auroc(*(np.concatenate(group) for group in zip(*folds, strict=True)))
    width = found.auroc_high - found.auroc_low
    assert width == pytest.approx(pooled.auroc_high - pooled.auroc_low, rel=0.15)
    same = [(np.full(9, float(k)), np.full(8, float(k))) for k in range(3)]
    assert auroc_of_folds(same).auroc == 0.5


def test_groups_without_overlap_have_an_area_but_no_interval() -> None:
    found = delong_auroc(np.array([5.0, 6.0]), np.array([1.0, 2.0, 3.0]))
    assert found.auroc == 1
    assert math.isnan(found.auroc_low)
    with pytest.raises(ValueError, match="at least one"):
        delong_auroc(np.array([]), np.array([1.0]))


def test_hedges_g_is_that_of_the_textbook() -> None:
    """Borenstein 2009, chapter 4: means 103 and 100, SD 5.5 and 4.5, 50 each."""
    g, low, high = hedges_g(with_moments(100, 4.5, 50, 1), with_moments(103, 5.5, 50, 2))
    assert g == pytest.approx(0.5924, abs=5e-4)
    assert (high - low) / 2 == pytest.approx(1.96 * math.sqrt(0.0411), abs=1e-3)


@pytest.mark.parametrize(
    ("first", "second", "test", "why"),
    [
        (stats.norm(0, 1), stats.norm(0.5, 2), GroupTest.WELCH, "pass as normal"),
        (stats.norm(0, 1), stats.expon(), GroupTest.RANK_SUM, "not normal"),
    ],
    ids=["normal", "skewed"],
)
def test_the_test_follows_normality(
    first: stats.rv_continuous, second: stats.rv_continuous, test: GroupTest, why: str
) -> None:
    x = first.ppf(np.linspace(0.01, 0.99, 40))
    y = second.ppf(np.linspace(0.01, 0.99, 50))
    found = compare_groups(np.r_[x, np.nan], y)
    assert (found.test, found.n_first, found.n_second) == (test, 40, 50)
    assert why in found.why
    if test is GroupTest.WELCH:
        expected = stats.ttest_ind_from_stats(
            x.mean(), x.std(ddof=1), 40, y.mean(), y.std(ddof=1), 50, equal_var=False
        ).pvalue
    else:
        expected = stats.ranksums(x, y).pvalue
    assert found.p == pytest.approx(expected, rel=0.03)
    sign = np.sign(y[None, :] - x[:, None])
    assert found.cliffs_delta == pytest.approx(sign.mean(), abs=1e-12)


def test_small_groups_are_compared_by_ranks_and_tiny_ones_not_at_all() -> None:
    normal = stats.norm.ppf(np.linspace(0.01, 0.99, 60))
    assert compare_groups(normal[:29], normal).test is GroupTest.RANK_SUM
    assert "fewer than 30" in compare_groups(normal[:29], normal).why
    found = compare_groups(np.array([1.0, 2.0, np.nan]), normal)
    assert (found.test, found.n_first) == (GroupTest.NONE, 2)
    assert "fewer than 3" in found.why
    assert math.isnan(found.p)
    assert math.isnan(found.cliffs_delta)


def test_groups_that_do_not_vary_are_compared_without_fault() -> None:
    found = compare_groups(np.full(40, 7.0), np.full(40, 7.0))
    assert (found.p, found.cliffs_delta) == (1.0, 0.0)
    assert math.isnan(found.hedges_g)


def test_false_discovery_is_benjamini_and_hochbergs_and_leaves_gaps() -> None:
    found = false_discovery([0.01, math.nan, 0.04, 0.03, 0.5])
    assert found[[0, 2, 3, 4]] == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert math.isnan(found[1])


def test_implausible_values_are_clipped_and_counted() -> None:
    cohort = plain_cohort(5)
    cohort.loc[0, "L1"], cohort.loc[1, "L2"] = 2500.0, -900.0
    assert clipped_count(cohort) == 2
    values = site_values(cohort)
    assert (values.loc[0, "L1"], values.loc[1, "L2"]) == (450.0, -150.0)


def test_a_tissues_mean_is_over_the_sites_that_were_measured() -> None:
    cohort = plain_cohort(5)
    cohort.loc[0, ["L1", "L2", "L3"]] = np.nan
    expected = cohort.loc[0, ["L4", "L5"]].astype(float).mean()
    assert tissue_means(cohort).loc[0, "L1-L5"] == pytest.approx(expected)


def test_a_planted_loss_is_found_where_it_was_planted() -> None:
    cohort = plain_cohort()
    cohort.loc[cohort["Disease"] == "D", "L3"] -= 40
    cohort.loc[:2, "L5-S1_2"] = np.nan
    cohort.loc[cohort["Disease"] == "B", "L5-S1_6"] = np.nan
    rows = compare_sites(cohort)
    assert len(rows) == 6 * 36
    found = {(row.pair, row.site) for row in rows if row.q < 0.001}
    assert found == {("A/D", "L3"), ("B/D", "L3"), ("C/D", "L3")}
    by_place = {(row.pair, row.site): row for row in rows}
    assert by_place["A/D", "L3"].comparison.hedges_g == pytest.approx(-2, abs=0.6)
    assert by_place["A/D", "L3"].comparison.cliffs_delta_high < 0
    assert by_place["A/B", "L5-S1_2"].comparison.n_first == 37
    assert by_place["A/B", "L5-S1_6"].comparison.test is GroupTest.NONE
    assert all(not row.q < row.comparison.p for row in rows)
    ax = plot_comparison(rows)
    assert any(text.get_text() == "–" for text in ax.texts)


def test_groups_are_counted_and_compared() -> None:
    cohort = plain_cohort()
    found = group_sizes(cohort)
    assert [(r.stage, r.patients, r.women, r.men) for r in found.rows] == [
        *((s, 40, 20, 20) for s in "ABCD"),
        ("all", 160, 80, 80),
    ]
    assert found.sex_p == pytest.approx(1)
    cohort.loc[cohort["Disease"] == "D", "Age"] += 15
    assert group_sizes(cohort).age_p < 1e-6
    assert found.age_p > 1e-3


def test_the_age_peak_is_where_the_patients_are() -> None:
    cohort = plain_cohort(100)
    at = cohort["Disease"] == "C"
    cohort.loc[at, "Age"] = with_moments(71, 5, 100, 4)
    found = age_densities(cohort, seed=1, bootstraps=100)
    peak = found.peaks[2]
    assert peak.peak_years == pytest.approx(71, abs=2)
    assert peak.peak_low_years < peak.peak_years < peak.peak_high_years
    assert peak.bandwidth_years == pytest.approx(5 * 100 ** (-1 / 5))
    assert found.density[Stage.C].sum() * 0.1 == pytest.approx(1, abs=1e-3)
    assert (peak.central_high_years - peak.central_low_years) == pytest.approx(19.6, abs=3)
    assert age_densities(cohort, seed=1, bootstraps=100).peaks == found.peaks


def test_a_stage_of_one_age_has_no_peak() -> None:
    cohort = plain_cohort(5)
    cohort.loc[cohort["Disease"] == "A", "Age"] = 60.0
    found = age_densities(cohort, seed=1, bootstraps=20)
    assert math.isnan(found.peaks[0].peak_years)
    assert Stage.A not in found.density


def test_the_decline_is_the_planted_one() -> None:
    cohort = plain_cohort()
    women = cohort["Gender"] == 0
    cohort.loc[women, "S1"] = 300 - 2.5 * cohort["Age"] + with_moments(0, 10, 160, 5)
    rows = {(r.tissue, r.sex, r.stage): r for r in declines(cohort)}
    found = rows["S1", "female", "all"]
    age, hu = cohort.loc[women, "Age"], cohort.loc[women, "S1"]
    (slope, intercept), covariance = np.polyfit(age, hu, 1, cov=True)
    assert found.slope_hu_per_year == pytest.approx(slope)
    assert found.intercept_hu == pytest.approx(intercept)
    half = stats.t.ppf(0.975, 78) * math.sqrt(covariance[0, 0])
    assert found.slope_high - found.slope_hu_per_year == pytest.approx(half)
    assert found.slope_low < -2.5 < found.slope_high
    assert rows["S1", "male", "all"].q > 0.05
    assert rows["S1", "female", "B"].patients == 20


def test_a_line_needs_ten_patients() -> None:
    rows = {(r.tissue, r.sex, r.stage): r for r in declines(plain_cohort(16))}
    assert math.isnan(rows["S1", "female", "A"].slope_hu_per_year)
    assert not math.isnan(rows["S1", "all", "A"].slope_hu_per_year)


def test_a_difference_between_the_sexes_is_men_minus_women() -> None:
    cohort = plain_cohort()
    cohort.loc[cohort["Gender"] == 1, ["L1", "L2", "L3", "L4", "L5"]] += 25
    rows = {(r.tissue, r.stage): r for r in sex_differences(cohort)}
    found = rows["L1-L5", "all"].comparison
    assert (found.n_first, found.n_second) == (80, 80)
    assert found.mean_second - found.mean_first == pytest.approx(25, abs=4)
    assert found.hedges_g > 1
    assert rows["L1-L5", "all"].q < 1e-6
    assert rows["S1", "all"].q > 0.05


def test_a_planted_difference_between_the_sexes_slopes_is_found_and_no_other() -> None:
    cohort = plain_cohort()
    women = cohort["Gender"] == 0
    vertebrae = list(SITE_NAMES[:5])
    cohort.loc[women, vertebrae] = cohort.loc[women, vertebrae].sub(2.0 * cohort["Age"], axis=0)
    rows = {(r.tissue, r.within_stages): r for r in age_by_sex(cohort)}
    bone = rows["L1-L5", False]
    assert bone.difference == pytest.approx(2.0, abs=0.5)
    assert bone.difference_low > 1
    assert bone.difference == pytest.approx(bone.men_hu_per_year - bone.women_hu_per_year)
    assert bone.q < 0.001
    assert rows["L1-L5", True].difference == pytest.approx(2.0, abs=0.5)
    assert all(r.q > 0.05 for (tissue, _), r in rows.items() if tissue != "L1-L5")
    lines = {(r.tissue, r.sex, r.stage): r for r in declines(cohort)}
    assert bone.women_hu_per_year == pytest.approx(
        lines["L1-L5", "female", "all"].slope_hu_per_year
    )


def test_hc3_is_the_jackknifes_covariance_of_a_mean() -> None:
    values = np.array([1.0, 4.0, 2.0, 9.0])
    residuals = values - values.mean()
    left_out = np.array([np.delete(values, i).mean() for i in range(4)])
    jackknife = ((left_out - values.mean()) ** 2).sum()
    assert hc3_covariance(np.ones((4, 1)), residuals)[0, 0] == pytest.approx(jackknife)


def test_one_sex_alone_has_no_interaction() -> None:
    cohort = plain_cohort()
    cohort["Gender"] = 0.0
    assert all(math.isnan(row.p) and row.men == 0 for row in age_by_sex(cohort))


def test_box_plots_have_stars_where_stages_differ_and_nowhere_else() -> None:
    cohort = plain_cohort()
    cohort.loc[cohort["Disease"] == "D", "L3"] -= 60
    figure = plot_vertebrae(cohort, compare_sites(cohort))
    texts = {ax.get_title(): [text.get_text() for text in ax.texts] for ax in figure.axes}
    assert texts.pop("L3") == ["***"] * 3
    assert all(not any(found) for found in texts.values())


@pytest.mark.shared
def test_the_faster_decline_in_women_is_not_shown_by_the_cohort(shared_data: Path) -> None:
    cohort = without_duplicates(read_cohort(shared_data / "cohort" / "cohort.tsv"))
    rows = {row.tissue: row for row in age_by_sex(cohort) if not row.within_stages}
    found = [round(rows[name].p_equal_variance, 2) for name in ("L1-L5", "all muscles", "S1")]
    assert found == [0.24, 0.19, 0.08]
    assert all(row.q > 0.05 for row in rows.values())


@pytest.mark.parametrize(
    ("absent", "figures"),
    [
        (("Age", "Gender"), []),
        (("Age",), ["groups", "hu-by-sex"]),
        (("Gender",), ["age-density"]),
    ],
    ids=["neither", "no age", "no sex"],
)
def test_patients_of_unknown_age_or_sex_are_described_as_far_as_they_go(
    absent: tuple[str, ...], figures: list[str]
) -> None:
    cohort = plain_cohort(12)
    cohort[list(absent)] = np.nan
    found = characteristics_step(StudyInput(cohort, 0, 1))
    assert [figure.name for figure in found.figures] == figures
    for figure in found.figures:
        assert figure.draw() is not None
    assert not [sentence for sentence in found.findings if "nan" in sentence]
    assert ("age unknown" in found.findings[0]) == ("Age" in absent)
    assert ("48 of unknown sex" in found.findings[0]) == ("Gender" in absent)


def test_tissues_that_nobody_has_are_compared_without_box_plots() -> None:
    cohort = plain_cohort(12)
    cohort[[name for name in SITE_NAMES if "_" in name]] = np.nan
    found = comparison_step(StudyInput(cohort, 0, 1))
    boxes = [figure for figure in found.figures if figure.name.startswith("boxes")]
    assert [figure.name for figure in boxes] == ["boxes-vertebrae"]
    for figure in found.figures:
        assert figure.draw() is not None
