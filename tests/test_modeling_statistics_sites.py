"""Single sites as tests and the correlation of sites."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_curve

from modeling.cohort import SITE_NAMES, read_cohort, without_duplicates
from modeling.statistics.correlation import (
    PUBLISHED_CLUSTERS,
    Distance,
    cluster_sites,
    spearman,
)
from modeling.statistics.figures.box_plot_figure import plot_muscle
from modeling.statistics.figures.correlation_figure import plot as plot_correlation
from modeling.statistics.figures.single_feature_figure import plot_all
from modeling.statistics.single_feature import best_sites, roc_points, single_site_rocs
from roi_extraction.sites import Muscle
from tests.test_modeling_statistics_groups import plain_cohort


def test_the_curve_is_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    earlier, later = rng.normal(0, 1, 30).round(1), rng.normal(1, 1, 20).round(1)
    labels, values = np.r_[np.zeros(30), np.ones(20)], np.r_[earlier, later]
    false_positive, sensitivity, _ = roc_curve(labels, values, drop_intermediate=False)
    found = roc_points(earlier, later, "higher")
    assert found[0] == pytest.approx(sensitivity)
    assert found[1] == pytest.approx(false_positive)
    mirrored = roc_points(-earlier, -later, "lower")
    assert mirrored[0] == pytest.approx(sensitivity)
    assert mirrored[2] == pytest.approx(-found[2])


def test_direction_threshold_and_gaps_of_a_site_are_stated() -> None:
    cohort = plain_cohort()
    cohort.loc[cohort["Disease"] == "D", "L5"] -= 30
    cohort.loc[cohort["Disease"] == "D", "L2-L3_1"] += 30
    cohort.loc[:4, "L5"] = np.nan
    rocs = {(r.pair, r.site): r for r in single_site_rocs(cohort)}
    bone, muscle = rocs["A/D", "L5"], rocs["A/D", "L2-L3_1"]
    assert (bone.direction, muscle.direction) == ("lower", "higher")
    assert (bone.n_earlier, bone.n_later, bone.missing) == (35, 40, 5)
    earlier = cohort.loc[cohort["Disease"] == "A", "L5"].dropna()
    later = cohort.loc[cohort["Disease"] == "D", "L5"]
    assert bone.sensitivity_apparent == pytest.approx((later <= bone.threshold_hu).mean())
    assert bone.specificity_apparent == pytest.approx((earlier > bone.threshold_hu).mean())
    cuts = np.unique(np.r_[earlier, later])
    youden = [(later <= cut).mean() - (earlier <= cut).mean() for cut in cuts]
    assert bone.sensitivity_apparent + bone.specificity_apparent - 1 == pytest.approx(max(youden))
    assert all(r.area.auroc >= 0.5 for r in rocs.values())


def test_a_site_with_few_values_has_no_area_and_a_reason() -> None:
    cohort = plain_cohort()
    cohort.loc[cohort["Disease"] == "A", "L5-S1_6"] = np.nan
    found = next(r for r in single_site_rocs(cohort) if (r.pair, r.site) == ("A/B", "L5-S1_6"))
    assert math.isnan(found.area.auroc)
    assert "fewer than 3" in found.reason
    assert found.missing == 40


def test_the_best_of_many_useless_sites_scores_half_once_its_choice_is_nested() -> None:
    cohort = plain_cohort()
    found = best_sites(cohort, single_site_rocs(cohort), seed=0, repeats=4)
    assert len(found) == 6
    assert np.mean([one.apparent.area.auroc for one in found]) > 0.6
    assert np.mean([one.nested_auroc for one in found]) == pytest.approx(0.5, abs=0.06)


def test_a_site_that_few_patients_have_is_not_the_best() -> None:
    cohort = plain_cohort()
    cohort.loc[cohort["Disease"] == "D", "L4"] -= 30
    sparse = np.full(len(cohort), np.nan)
    for number, stage in enumerate("ABCD"):
        sparse[40 * number : 40 * number + 4] = 10.0 * number + np.arange(4)
        assert cohort["Disease"][40 * number] == stage
    cohort["L5-S1_2"] = sparse
    found = {b.pair: b for b in best_sites(cohort, single_site_rocs(cohort), 0, repeats=2)}
    assert found["A/D"].apparent.site == "L4"
    assert found["A/D"].chosen == (("L4", 1.0),)
    assert found["A/D"].nested_auroc == pytest.approx(found["A/D"].apparent.area.auroc, abs=0.05)


def blocks(seed: int = 0) -> pd.DataFrame:
    """Vertebrae that follow one signal, muscles that follow another."""
    cohort = plain_cohort()
    rng = np.random.default_rng(seed)
    for sites in (SITE_NAMES[:6], SITE_NAMES[6:]):
        signal = rng.normal(0, 40, len(cohort))
        cohort[list(sites)] += signal[:, None]
    return cohort


def test_correlations_are_scipys_in_the_patients_that_have_both() -> None:
    cohort = blocks()
    cohort.loc[:20, "L1"] = np.nan
    cohort.loc[10:50, "S1"] = np.nan
    found = spearman(cohort)
    first, second = found.sites.index("L1"), found.sites.index("S1")
    both = cohort[["L1", "S1"]].dropna()
    expected = stats.spearmanr(both["L1"], both["S1"])
    assert found.n[first, second] == len(both)
    assert found.rho[first, second] == pytest.approx(expected.statistic)
    assert found.p[first, second] == pytest.approx(expected.pvalue, rel=1e-6)
    assert found.q[first, second] >= found.p[first, second]
    assert found.rho == pytest.approx(found.rho.T)


def test_planted_blocks_are_the_clusters_and_stable() -> None:
    cohort = blocks()
    found = cluster_sites(cohort, spearman(cohort), seed=0, bootstraps=10)
    assert {cluster.sites for cluster in found.clusters} == {SITE_NAMES[:6], SITE_NAMES[6:]}
    assert all(cluster.stability > 0.95 for cluster in found.clusters)
    assert all(1 - cluster.lowest_rho < found.cut_height for cluster in found.clusters)
    figure = plot_correlation(spearman(cohort), found)
    assert len(figure.axes) == 3


def test_a_given_number_of_clusters_is_kept_and_the_cut_yields_it() -> None:
    cohort = blocks()
    found = cluster_sites(cohort, spearman(cohort), seed=0, clusters=5, bootstraps=0)
    assert len(found.clusters) == 5
    assert (found.tree[:, 2] > found.cut_height).sum() == 4


def test_sites_without_enough_shared_patients_are_named_not_guessed() -> None:
    cohort = blocks()
    cohort.loc[29:, "L5-S1_3"] = np.nan
    found = spearman(cohort)
    row = found.table().query("first == 'L1' and second == 'L5-S1_3'").iloc[0]
    assert math.isnan(row["rho"])
    assert row["n"] == 29
    assert "fewer than 30" in row["reason"]
    clusters = cluster_sites(cohort, found, seed=0, bootstraps=0)
    assert clusters.left_out == ("L5-S1_3",)
    assert len(clusters.sites) == 35


def test_rows_that_go_alike_with_the_others_are_near_though_they_correlate_little() -> None:
    cohort = blocks()
    found = cluster_sites(
        cohort, spearman(cohort), seed=0, clusters=2, bootstraps=5, distance=Distance.ROWS
    )
    rho = pd.DataFrame(cohort[list(SITE_NAMES)]).corr(method="spearman").to_numpy()
    first, second = (SITE_NAMES.index(name) for name in ("L1", "L2"))
    lowest = found.tree[:, 2].min()
    assert found.distance is Distance.ROWS
    assert lowest <= np.linalg.norm(rho[first] - rho[second])
    assert {cluster.sites for cluster in found.clusters} == {SITE_NAMES[:6], SITE_NAMES[6:]}
    axis = plot_correlation(spearman(cohort), found).axes[0].get_ylabel()
    assert "rows of 1 - rho" in axis


@pytest.mark.shared
def test_the_published_five_clusters_are_those_of_the_cohort(shared_data: Path) -> None:
    cohort = without_duplicates(read_cohort(shared_data / "cohort" / "cohort.tsv"))
    found = cluster_sites(
        cohort, spearman(cohort), 42, PUBLISHED_CLUSTERS, bootstraps=0, distance=Distance.ROWS
    )
    expected = {frozenset(SITE_NAMES[:6]), frozenset({"L5-S1_1", "L5-S1_4"})}
    for right, left in ((1, 4), (2, 5), (3, 6)):
        discs = ("L1-L2", "L2-L3", "L3-L4", "L4-L5")
        expected.add(frozenset(f"{disc}_{n}" for disc in discs for n in (right, left)))
    assert {frozenset(cluster.sites) for cluster in found.clusters} == expected


def test_curves_of_all_sites_are_drawn_and_sparse_sites_left_out() -> None:
    cohort = plain_cohort()
    cohort.loc[4:, "L2-L3_1"] = np.nan
    rocs = single_site_rocs(cohort)
    figure = plot_all(cohort, rocs, "transversospinalis", ["L1-L2_1", "L1-L2_4", "L2-L3_1"])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["L1-L2_1", "L1-L2_4"]
    assert legend.get_title().get_text() == "transversospinalis: right solid, left dashed"
    assert all(len(ax.lines) == 3 for ax in figure.axes)
    assert all("AUROC" in ax.texts[0].get_text() for ax in figure.axes)
    (legend,) = plot_all(cohort, rocs, "vertebrae", ["L1", "L2"]).legends
    assert legend.get_title().get_text() == "vertebrae"


def test_box_plots_of_sites_that_few_have_say_how_many() -> None:
    cohort = plain_cohort()
    cohort.loc[cohort.index[(cohort["Disease"] == "C")][7:], "L5-S1_2"] = np.nan
    titles = [ax.get_title() for ax in plot_muscle(cohort, [], Muscle.LONGISSIMUS).axes]
    assert "L5-S1_2 (n 40, 40, 7, 40)" in titles
    assert "L1-L2_2" in titles
