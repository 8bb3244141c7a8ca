"""Projection and correlation as steps of a study."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from modeling.statistics import (
    correlation,
    projection,
)
from modeling.statistics.figures import correlation_figure, projection_figure
from modeling.statistics.wording import clipping, json_number, p_words
from modeling.study.step import Figure, StepResult, StudyInput, Table

__all__ = ["correlation_step", "projection_step"]


def projection_step(
    given: StudyInput, permutations: int = projection.PLS_PERMUTATIONS
) -> StepResult:
    """Project the patients on few dimensions.

    Parameters
    ----------
    given
        Cohort, seed and jobs.
    permutations
        Times that the stages are permuted for the null distribution of R2Y and Q2.
    """
    components = [
        projection.principal_components(given.cohort, how) for how in projection.Imputation
    ]
    fits = [
        projection.pls_da(given.cohort, how, given.seed, permutations=permutations)
        for how in projection.Imputation
    ]
    return StepResult(
        method=_projection_method(given.cohort, permutations),
        findings=tuple(sentence for fit in fits for sentence in _fit_sentences(fit)),
        tables=(
            Table(
                "pls-da",
                "Quality of the PLS-DA fits and their permutation tests.",
                pd.DataFrame(map(_fit_row, fits)),
            ),
            Table(
                "vip",
                "Variable importance in projection; the average site has 1.",
                _vip_table(fits),
            ),
            Table(
                "pca-loadings",
                "Loadings of the first two principal components.",
                _loading_table(components),
            ),
        ),
        figures=_projection_figures(components, fits),
        values={
            "pls_da": {
                str(fit.imputation): {
                    "r2x": json_number(fit.r2x),
                    "r2y": json_number(fit.r2y),
                    "q2": json_number(fit.q2),
                    "p_q2": json_number(fit.p_q2),
                    "permuted_q2_mean": json_number(float(np.mean(fit.null_q2))),
                }
                for fit in fits
            }
        },
    )


def correlation_step(given: StudyInput) -> StepResult:
    """Correlate and cluster the sites, by our distance and by the published one."""
    found = correlation.spearman(given.cohort)
    clusters = correlation.cluster_sites(given.cohort, found, given.seed)
    as_published = correlation.cluster_sites(
        given.cohort,
        found,
        given.seed,
        min(correlation.PUBLISHED_CLUSTERS, len(clusters.sites)),
        distance=correlation.Distance.ROWS,
    )
    table = found.table()
    return StepResult(
        method=_correlation_method(given.cohort),
        findings=(
            *_correlation_sentences(table, clusters),
            *_published_cluster_sentences(clusters, as_published),
        ),
        tables=(
            Table("correlations", "Spearman's rho of every two sites.", table),
            Table("clusters", "The cluster of each site.", _cluster_table(clusters)),
            Table(
                "clusters-as-published",
                "The cluster of each site by the published distance and number of clusters.",
                _cluster_table(as_published),
            ),
            Table(
                "silhouettes",
                "Mean silhouette by number of clusters.",
                pd.DataFrame(clusters.silhouettes, columns=["clusters", "mean_silhouette"]),
            ),
        ),
        figures=(
            Figure(
                "correlation",
                "Spearman's rho in the order of the dendrogram; clusters framed.",
                partial(correlation_figure.plot, found, clusters),
            ),
            Figure(
                "correlation-as-published",
                "Spearman's rho in the order of the published dendrogram, cut into the published "
                "number of clusters; clusters framed.",
                partial(correlation_figure.plot, found, as_published),
            ),
        ),
        values={
            "clusters": [list(c.sites) for c in clusters.clusters],
            "cut_height": json_number(clusters.cut_height),
            "stability": [json_number(c.stability) for c in clusters.clusters],
            "clusters_as_published": [list(c.sites) for c in as_published.clusters],
            "stability_as_published": [json_number(c.stability) for c in as_published.clusters],
        },
    )


def _projection_method(cohort: pd.DataFrame, permutations: int) -> str:
    return (
        f"{clipping(cohort)} Sites standardised. Principal components, and PLS-DA: "
        f"PLS regression of the one-hot stages with {projection.COMPONENTS} components, both "
        "with two imputations. Group mean, as published: the mean of the patient's own stage, "
        "all sites; it leaks the stage. KNN, as in the published toolkit: the mean of the "
        f"{projection.NEIGHBOURS} most similar patients, sites that more than half lack left "
        f"out; it knows no stage. Q2 by {projection.Q2_FOLDS}-fold cross-validation with scaling "
        "and KNN imputation inside the folds; group means cannot be, for a held-out patient "
        f"has no known stage. {permutations} permutations of the stages repeat "
        "everything, imputation included. VIP scores after Wold 2001, doi "
        "10.1016/S0169-7439(01)00155-1."
    )


def _fit_sentences(fit: projection.PlsDa) -> list[str]:
    null = float(np.mean(fit.null_q2))
    said = [
        f"PLS-DA, {fit.imputation} ({len(fit.sites)} sites): R2X {fit.r2x:.3f}, R2Y "
        f"{fit.r2y:.3f}, Q2 {fit.q2:.3f}; with permuted stages Q2 averages {null:.3f}, "
        f"{p_words(fit.p_q2)}."
    ]
    if fit.imputation.leaks_stage:
        said.append(
            "Group means write the stage into the data: a patient's gaps are filled with the "
            "mean of their own stage. What separates in these pictures is in part that, and "
            "R2Y, Q2 and VIP of this imputation are no evidence of a difference between the "
            "stages. Q2 of permuted stages should be 0 or less; above it is the leak itself."
        )
    return said


def _fit_row(fit: projection.PlsDa) -> dict[str, Any]:
    return {
        "imputation": str(fit.imputation),
        "leaks_stage": fit.imputation.leaks_stage,
        "sites": len(fit.sites),
        "r2x": fit.r2x,
        "r2y": fit.r2y,
        "q2": fit.q2,
        "permuted_r2y_mean": float(np.mean(fit.null_r2y)),
        "permuted_q2_mean": float(np.mean(fit.null_q2)),
        "p_r2y": fit.p_r2y,
        "p_q2": fit.p_q2,
    }


def _vip_table(fits: Sequence[projection.PlsDa]) -> pd.DataFrame:
    return pd.concat(
        [
            pd.DataFrame({"imputation": str(fit.imputation), "site": fit.sites, "vip": fit.vip})
            for fit in fits
        ]
    ).sort_values(["imputation", "vip"], ascending=[True, False])


def _loading_table(components: Sequence[projection.PrincipalComponents]) -> pd.DataFrame:
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "imputation": str(one.imputation),
                    "site": one.sites,
                    "component_1": one.loadings[:, 0],
                    "component_2": one.loadings[:, 1],
                }
            )
            for one in components
        ]
    )


def _projection_figures(
    components: Sequence[projection.PrincipalComponents], fits: Sequence[projection.PlsDa]
) -> tuple[Figure, ...]:
    draw = projection_figure
    return (
        Figure(
            "pca",
            "Patients on the first two principal components, with 95 % ellipses.",
            partial(draw.plot_principal_components, components),
        ),
        Figure(
            "pls-da",
            "Patients on the two PLS-DA components, with 95 % ellipses; apparent.",
            partial(draw.plot_scores, fits),
        ),
        Figure("vip", "VIP scores of the sites.", partial(draw.plot_vip, fits)),
        Figure(
            "permutations",
            "Q2 of permuted stages and of the real ones.",
            partial(draw.plot_permutations, fits),
        ),
    )


def _correlation_method(cohort: pd.DataFrame) -> str:
    return (
        f"{clipping(cohort)} Spearman's correlation of every two sites in the patients "
        f"that have both, at least {correlation.MIN_SHARED}; p-values by Student's t, "
        "adjusted for false discovery over all pairs of sites. Complete linkage on the "
        "distance 1 - rho; cut where the mean silhouette is largest among 2 to "
        f"{correlation.MAX_CLUSTERS} clusters. Beside it the published way (Wang 2025): Euclidean "
        "distance between the rows of 1 - rho, complete linkage, cut into "
        f"{correlation.PUBLISHED_CLUSTERS}; the number was given, not found. (The toolkit leaves "
        "out the first patient; here all count.) Stability is the mean Jaccard index over "
        f"{correlation.CLUSTER_BOOTSTRAPS} resamples of the patients (Hennig 2007, doi "
        f"10.1016/j.csda.2006.11.025); {correlation.STABLE:g} or more counts as stable."
    )


def _correlation_sentences(
    table: pd.DataFrame, clusters: correlation.SiteClusters
) -> tuple[str, ...]:
    known = table["rho"].notna()
    strongest = table.iloc[int(table["rho"].abs().argmax())]
    said = [
        f"{int((table.loc[known, 'q'] < 0.05).sum())} of {int(known.sum())} correlations differ "
        f"from 0 (q < .05); {int((~known).sum())} have too few patients.",
        f"Closest: {strongest['first']} and {strongest['second']}, rho {strongest['rho']:.2f}.",
        f"{len(clusters.clusters)} clusters at 1 - rho = {clusters.cut_height:.2f} (largest mean "
        "silhouette): "
        + "; ".join(
            f"{c.number}: {', '.join(c.sites)} (stability {c.stability:.2f})"
            for c in clusters.clusters
        )
        + ".",
    ]
    if clusters.left_out:
        said.append(
            f"Not clustered, for want of patients shared with every other site: "
            f"{', '.join(clusters.left_out)}."
        )
    return tuple(said)


def _published_cluster_sentences(
    clusters: correlation.SiteClusters, as_published: correlation.SiteClusters
) -> tuple[str, ...]:
    found = as_published.clusters
    labels = [
        [next(c.number for c in one.clusters if site in c.sites) for site in clusters.sites]
        for one in (clusters, as_published)
    ]
    stable = sum(c.stability >= correlation.STABLE for c in found)
    return (
        f"By the published distance, cut into {len(found)} (published: "
        f"{correlation.PUBLISHED_CLUSTERS}): "
        + "; ".join(
            f"{c.number}: {', '.join(c.sites)} (stability {c.stability:.2f})" for c in found
        )
        + f". {stable} of {len(found)} are stable; with the clusters above they agree by an "
        f"adjusted Rand index of {adjusted_rand_score(*labels):.2f}.",
    )


def _cluster_table(clusters: correlation.SiteClusters) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "cluster": c.number,
                "site": site,
                "lowest_rho_in_cluster": c.lowest_rho,
                "stability": c.stability,
                "cut_height": clusters.cut_height,
            }
            for c in clusters.clusters
            for site in c.sites
        ]
    )
