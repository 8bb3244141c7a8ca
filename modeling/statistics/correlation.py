"""Rank correlation of the sites and their clusters."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics import silhouette_score

from modeling.cohort import SITE_NAMES
from modeling.errors import StepNotPossible
from modeling.statistics.site_values import site_values
from modeling.statistics.two_groups import false_discovery

__all__ = [
    "PUBLISHED_CLUSTERS",
    "Cluster",
    "Correlations",
    "Distance",
    "SiteClusters",
    "cluster_sites",
    "spearman",
]

FloatArray = npt.NDArray[np.float64]

MIN_SHARED = 30
"""Patients with both sites that a correlation needs."""

MAX_CLUSTERS = 10
"""The cut is sought among 2 to this many clusters."""

CLUSTER_BOOTSTRAPS = 100
"""Resamples of the patients for the clusters' stability."""

PUBLISHED_CLUSTERS = 5
"""Clusters that the publication cuts the tree of `Distance.ROWS` into (Wang 2025)."""

STABLE = 0.75
"""Mean Jaccard index from which a cluster counts as stable (Hennig 2007)."""


class Distance(StrEnum):
    """What the tree of the sites is built on."""

    CORRELATION = "1 - rho"
    ROWS = "Euclidean distance between rows of 1 - rho"
    """As published: how differently two sites go with all the others (Wang 2025)."""


@dataclass(frozen=True)
class Correlations:
    """Spearman correlations of every two sites.

    Parameters
    ----------
    sites
        p names.
    rho, p, q
        float64, shape (p, p): correlation, two-sided p-value, and that after Benjamini-Hochberg
        over the pairs of sites; NaN with fewer than 30 shared patients or no variation. The
        diagonal of ``rho`` is 1, of ``p`` and ``q`` NaN.
    n
        int, shape (p, p): patients with both sites.
    """

    sites: tuple[str, ...]
    rho: FloatArray
    p: FloatArray
    q: FloatArray
    n: npt.NDArray[np.int_]

    def table(self) -> pd.DataFrame:
        """One row for each two sites."""
        rows, columns = np.triu_indices(len(self.sites), 1)
        few = self.n[rows, columns] < MIN_SHARED
        undefined = np.isnan(self.rho[rows, columns])
        return pd.DataFrame(
            {
                "first": [self.sites[k] for k in rows],
                "second": [self.sites[k] for k in columns],
                "n": self.n[rows, columns],
                "rho": self.rho[rows, columns],
                "p": self.p[rows, columns],
                "q": self.q[rows, columns],
                "reason": np.where(
                    few,
                    f"fewer than {MIN_SHARED} patients with both",
                    np.where(undefined, "no variation", ""),
                ),
            }
        )


def spearman(cohort: pd.DataFrame) -> Correlations:
    """Correlate the ranks of every two sites in the patients that have both.

    The p-value is that of Student's t with n - 2 degrees of freedom.

    References
    ----------
    Spearman 1904, doi 10.2307/1412159.
    """
    values = site_values(cohort)
    rho = _rank_correlation(values)
    known = values.notna().to_numpy().astype(np.int_)
    n = known.T @ known
    freedom = np.maximum(n - 2, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(rho) * np.sqrt(freedom / np.maximum(1 - rho**2, 0))
    p = np.where(np.isnan(rho), np.nan, 2 * stats.t.sf(t, freedom))
    q = np.full_like(p, np.nan)
    above = np.triu_indices(len(p), 1)
    q[above] = false_discovery(p[above].tolist())
    q.T[above] = q[above]
    np.fill_diagonal(p, np.nan)
    np.fill_diagonal(rho, 1.0)
    return Correlations(SITE_NAMES, rho, p, q, n)


@dataclass(frozen=True)
class Cluster:
    """Sites that correlate.

    Parameters
    ----------
    number
        From 1, in the dendrogram's order.
    sites
        Its members, in the cohort's order.
    lowest_rho
        Between any two members (1 for a single one), which complete linkage bounds.
    stability
        Mean over resamples of the patients of the largest Jaccard index with any of the
        resample's clusters; .75 or more counts as stable.
    """

    number: int
    sites: tuple[str, ...]
    lowest_rho: float
    stability: float


@dataclass(frozen=True)
class SiteClusters:
    """Hierarchical clusters of the sites.

    Parameters
    ----------
    sites
        The sites that were clustered.
    left_out
        Sites without a correlation to every other, which have no distance.
    tree
        float64, shape (p - 1, 4): SciPy's linkage matrix; heights are in units of `distance`.
    cut_height
        Where the tree is cut. Of 1 - rho: every two sites of a cluster correlate by more than
        1 minus it.
    distance
        What the tree is built on.
    silhouettes
        Each number of clusters that was tried, with its mean silhouette.
    clusters
        At the cut.
    """

    sites: tuple[str, ...]
    left_out: tuple[str, ...]
    tree: FloatArray
    cut_height: float
    distance: Distance
    silhouettes: tuple[tuple[int, float], ...]
    clusters: tuple[Cluster, ...]


def cluster_sites(
    cohort: pd.DataFrame,
    found: Correlations,
    seed: int,
    clusters: int | None = None,
    bootstraps: int = CLUSTER_BOOTSTRAPS,
    distance: Distance = Distance.CORRELATION,
) -> SiteClusters:
    """Cluster the sites by complete linkage.

    Parameters
    ----------
    clusters
        Number of clusters; None for the one from 2 to 10 with the largest mean silhouette (in
        1 - rho).
    distance
        What the tree is built on.

    Raises
    ------
    StepNotPossible
        Fewer than 3 sites correlate with all others.

    References
    ----------
    Rousseeuw 1987, doi 10.1016/0377-0427(87)90125-7 (silhouette); Hennig 2007,
    doi 10.1016/j.csda.2006.11.025 (stability).
    """
    kept = _complete(found.rho)
    if len(kept) < 3:
        raise StepNotPossible(
            f"fewer than 3 sites are shared with all others by {MIN_SHARED} patients"
        )
    sites = tuple(found.sites[k] for k in kept)
    rho = found.rho[np.ix_(kept, kept)]
    tree = _tree(rho, distance)
    looked_at = _silhouettes(rho, tree)
    number = clusters or max(looked_at, key=lambda item: item[1])[0]
    labels = fcluster(tree, number, "maxclust")
    heights = np.concatenate([[0.0], tree[:, 2]])
    joined = len(sites) - len(set(labels))
    cut = float(heights[joined] + heights[min(joined + 1, len(heights) - 1)]) / 2
    members = [np.flatnonzero(labels == label) for label in dict.fromkeys(labels[_leaves(tree)])]
    values = site_values(cohort)[list(sites)]
    agreement = _stability(values, members, distance, seed, bootstraps)
    return SiteClusters(
        sites,
        tuple(s for s in found.sites if s not in sites),
        tree,
        cut,
        distance,
        looked_at,
        tuple(
            Cluster(
                number,
                tuple(sites[k] for k in group),
                float(rho[np.ix_(group, group)].min()),
                stability,
            )
            for number, (group, stability) in enumerate(
                zip(members, agreement, strict=True), start=1
            )
        ),
    )


def _rank_correlation(values: pd.DataFrame) -> FloatArray:
    return values.corr(method="spearman", min_periods=MIN_SHARED).to_numpy(copy=True)


def _complete(rho: FloatArray) -> npt.NDArray[np.intp]:
    """Leave out the site with most gaps until none is left."""
    kept = np.arange(len(rho))
    while len(kept):
        gaps = np.isnan(rho[np.ix_(kept, kept)]).sum(axis=0)
        if not gaps.any():
            break
        kept = np.delete(kept, len(gaps) - 1 - int(np.argmax(gaps[::-1])))
    return kept


def _tree(rho: FloatArray, distance: Distance) -> FloatArray:
    apart = np.clip(1 - (rho + rho.T) / 2, 0, 2)
    np.fill_diagonal(apart, 0.0)
    if distance is Distance.ROWS:
        return linkage(pdist(apart), "complete")
    return linkage(squareform(apart, checks=False), "complete")


def _silhouettes(rho: FloatArray, tree: FloatArray) -> tuple[tuple[int, float], ...]:
    distance = np.clip(1 - rho, 0, 2)
    np.fill_diagonal(distance, 0.0)
    found = []
    for number in range(2, min(MAX_CLUSTERS, len(rho) - 1) + 1):
        labels = fcluster(tree, number, "maxclust")
        if len(set(labels)) == number:
            score = float(silhouette_score(distance, labels, metric="precomputed"))
            found.append((number, score))
    return tuple(found)


def _leaves(tree: FloatArray) -> list[int]:
    from scipy.cluster.hierarchy import leaves_list

    return [int(k) for k in leaves_list(tree)]


def _stability(
    values: pd.DataFrame,
    members: list[npt.NDArray[np.intp]],
    distance: Distance,
    seed: int,
    bootstraps: int,
) -> list[float]:
    generator = np.random.default_rng(seed)
    found: list[list[float]] = [[] for _ in members]
    for _ in range(bootstraps):
        rows: Any = generator.integers(len(values), size=len(values))
        rho = _rank_correlation(values.iloc[rows])
        if np.isnan(rho).any():
            continue
        labels = fcluster(_tree(rho, distance), len(members), "maxclust")
        others = [set(np.flatnonzero(labels == label)) for label in set(labels)]
        for scores, group in zip(found, members, strict=True):
            mine = set(group)
            scores.append(max(len(mine & other) / len(mine | other) for other in others))
    return [float(np.mean(scores)) if scores else float("nan") for scores in found]
