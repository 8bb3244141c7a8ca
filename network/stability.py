"""How well networks agree that differ in their seed alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import kendalltau, spearmanr
from sklearn.metrics import adjusted_rand_score

from modeling.calibration import PAIRS, pair_name
from modeling.design import USED_SITES
from modeling.pair_trees import PairCore
from network.errors import InvalidGraph
from network.fixed import (
    ROUNDS,
    SITE_PAIRS,
    SiteSets,
    fixed_interactions,
    of_site_pairs,
    pair_columns,
)
from network.graph import Edge, SiteNode, compose
from network.interactions import interaction_sums
from network.resampling import mapper

__all__ = [
    "CENTRALITIES",
    "PROTOCOLS",
    "SET_PROTOCOLS",
    "SeedNetworks",
    "agreement",
    "agreement_table",
    "centrality_table",
    "named",
    "seed_networks",
]

FloatArray = npt.NDArray[np.float64]

CENTRALITIES = ("strength", "degree", "betweenness", "closeness")
"""Measures of a node whose ranks are compared."""

TOP = (3, 5)
"""Numbers of leading sites whose overlap is compared."""

AVERAGED = 4
"""Seeds that are averaged into one network, beside networks of one seed."""

WAYS = (
    "early stopping, one split",
    f"early stopping, mean of {AVERAGED} splits",
    f"{ROUNDS} rounds, one split",
    f"{ROUNDS} rounds, mean of {AVERAGED} splits",
)

PROTOCOLS = tuple(f"all sites, {way}" for way in WAYS)
"""Ways to build a network of all sites that are compared."""

SET_PROTOCOLS = tuple(f"published sets, {way}" for way in WAYS)
"""The same with the sites that the publication chose for each pair; the first is the published
way (Wang 2025)."""


@dataclass(frozen=True)
class SeedNetworks:
    """Networks that differ in their seeds alone.

    Parameters
    ----------
    protocol
        One of `PROTOCOLS` or `SET_PROTOCOLS`.
    ranks
        By measure of `CENTRALITIES`: float64, shape (networks, 32), by `USED_SITES`; 0 for a site
        without edges.
    communities
        int, shape (networks, 32): 0 for a site without edges.
    edges
        By network, the pairs of sites that are an edge.
    """

    protocol: str
    ranks: Mapping[str, FloatArray]
    communities: npt.NDArray[np.intp]
    edges: tuple[frozenset[tuple[str, str]], ...]


def named(interactions: FloatArray) -> dict[str, dict[tuple[str, str], float]]:
    """Interactions of shape (6, 496) by the names of stage pairs and sites."""
    return {
        pair_name(pair): dict(zip(SITE_PAIRS, map(float, values), strict=True))
        for pair, values in zip(PAIRS, interactions, strict=True)
    }


def seed_networks(
    mean_hu: FloatArray,
    stages: npt.NDArray[np.str_],
    seed: int,
    seeds: int,
    cutoff: float,
    jobs: int = 1,
    core: PairCore = PairCore.LIGHTGBM,
    sets: SiteSets | None = None,
) -> tuple[SeedNetworks, ...]:
    """Build networks of many seeds by each of `PROTOCOLS`, or of `SET_PROTOCOLS` with sets.

    Parameters
    ----------
    mean_hu, stages
        As for `fixed_interactions`.
    seed, seeds
        The first seed and how many follow; they serve the splits and the communities.
    cutoff
        In log-odds summed over patients.
    jobs
        Processes.
    core, sets
        As for `fixed_interactions`.

    Raises
    ------
    InvalidGraph
        Fewer than `AVERAGED` seeds.
    """
    if seeds < AVERAGED:
        raise InvalidGraph(f"{seeds} seeds: at least {AVERAGED} are needed")
    with mapper(jobs, seeds) as run:
        numbers = [seed + number for number in range(seeds)]
        stopped = np.array(list(run(partial(_stopped, mean_hu, stages, core, sets), numbers)))
        fixed = np.array(list(run(partial(_fixed, mean_hu, stages, core, sets), numbers)))
    found = []
    names = PROTOCOLS if sets is None else SET_PROTOCOLS
    for values, (one, mean) in zip((stopped, fixed), (names[:2], names[2:]), strict=True):
        groups = len(values) // AVERAGED
        averaged = values[: groups * AVERAGED].reshape(groups, AVERAGED, *values.shape[1:])
        found.append(_networks(one, values, cutoff, seed))
        found.append(_networks(mean, averaged.mean(axis=1), cutoff, seed))
    return tuple(found)


def agreement(found: SeedNetworks) -> dict[str, float]:
    """Compare each two networks and count how often the published claims hold.

    Returns
    -------
    dict
        Means over pairs of networks: ``edge overlap (Jaccard)``, Kendall's tau and Spearman's rho
        of each measure's ranks, the overlap of the leading sites, ``partition agreement (adjusted
        Rand)``; shares of networks with three and with four communities, with L5 first and with
        S1 second by each measure. NaN where there are fewer than two networks.

    References
    ----------
    Kendall MG. A new measure of rank correlation. Biometrika 1938, doi 10.1093/biomet/30.1-2.81.
    Hubert L, Arabie P. Comparing partitions. J Classif 1985, doi 10.1007/BF01908075.
    """
    pairs = list(combinations(range(len(found.edges)), 2))
    values: dict[str, float] = {
        "networks": len(found.edges),
        "edges (median)": float(np.median([len(edges) for edges in found.edges])),
        "edge overlap (Jaccard)": _mean(
            pairs, lambda i, j: _jaccard(found.edges[i], found.edges[j])
        ),
    }
    for measure in CENTRALITIES:
        ranks = found.ranks[measure]
        values[f"{measure}: Kendall tau"] = _mean(pairs, partial(_ranks_agree, kendalltau, ranks))
        values[f"{measure}: Spearman rho"] = _mean(pairs, partial(_ranks_agree, spearmanr, ranks))
        for size in TOP:
            tops = [frozenset(_order(row)[:size]) for row in ranks]
            values[f"{measure}: same among the first {size}"] = _mean(
                pairs, partial(_shared, tops, size)
            )
    values["partition agreement (adjusted Rand)"] = _mean(
        pairs,
        lambda i, j: float(adjusted_rand_score(found.communities[i], found.communities[j])),
    )
    counts = found.communities.max(axis=1)
    values["communities (median)"] = float(np.median(counts))
    values["share with three communities"] = float((counts == 3).mean())
    values["share with four communities"] = float((counts == 4).mean())
    for measure in CENTRALITIES:
        orders = [_order(row) for row in found.ranks[measure]]
        values[f"share with L5 first by {measure}"] = float(np.mean([o[0] == "L5" for o in orders]))
        values[f"share with S1 second by {measure}"] = float(
            np.mean([o[1] == "S1" for o in orders])
        )
    return values


def agreement_table(found: tuple[SeedNetworks, ...]) -> pd.DataFrame:
    """Set `agreement` of each protocol side by side: ``measure``, then a column a protocol."""
    columns = {networks.protocol: agreement(networks) for networks in found}
    return pd.DataFrame(columns).round(3).rename_axis("measure").reset_index()


def centrality_table(found: tuple[SeedNetworks, ...]) -> pd.DataFrame:
    """Spread of each site's measures over networks that differ in their seed.

    Returns
    -------
    DataFrame
        ``protocol``, ``measure``, ``site``, ``mean``, ``5 %``, ``95 %``, ``share first``, ``share
        second``: one row a protocol, measure and site, the largest mean first. A site without
        edges counts as 0.
    """
    rows = []
    for networks in found:
        for measure, values in networks.ranks.items():
            orders = [_order(row) for row in values]
            for place in np.argsort(-values.mean(axis=0), kind="stable"):
                site, own = USED_SITES[place], values[:, place]
                rows.append(
                    {
                        "protocol": networks.protocol,
                        "measure": measure,
                        "site": site,
                        "mean": round(float(own.mean()), 4),
                        "5 %": round(float(np.quantile(own, 0.05)), 4),
                        "95 %": round(float(np.quantile(own, 0.95)), 4),
                        "share first": round(float(np.mean([o[0] == site for o in orders])), 3),
                        "share second": round(float(np.mean([o[1] == site for o in orders])), 3),
                    }
                )
    return pd.DataFrame(rows)


def _stopped(
    mean_hu: FloatArray,
    stages: npt.NDArray[np.str_],
    core: PairCore,
    sets: SiteSets | None,
    seed: int,
) -> FloatArray:
    found = []
    for pair in PAIRS:
        rows, columns = np.isin(stages, pair), pair_columns(pair, sets)
        sums = interaction_sums(mean_hu[rows][:, columns], stages[rows] == pair[1], seed, core)
        found.append(of_site_pairs(sums, columns))
    return np.array(found)


def _fixed(
    mean_hu: FloatArray,
    stages: npt.NDArray[np.str_],
    core: PairCore,
    sets: SiteSets | None,
    seed: int,
) -> FloatArray:
    return fixed_interactions(mean_hu, stages, seed, splits=1, core=core, sets=sets)


def _networks(protocol: str, values: FloatArray, cutoff: float, seed: int) -> SeedNetworks:
    composed = [compose(named(v), cutoff, seed + number) for number, v in enumerate(values)]
    return SeedNetworks(
        protocol,
        {
            measure: np.array([_by_site(nodes, measure) for nodes, _ in composed])
            for measure in CENTRALITIES
        },
        np.array([_by_site(nodes, "community") for nodes, _ in composed], dtype=np.intp),
        tuple(_ends(edges) for _, edges in composed),
    )


def _by_site(nodes: tuple[SiteNode, ...], measure: str) -> list[float]:
    values = {node.name: float(getattr(node, measure)) for node in nodes}
    return [values.get(site, 0.0) for site in USED_SITES]


def _ends(edges: tuple[Edge, ...]) -> frozenset[tuple[str, str]]:
    return frozenset((edge.source, edge.target) for edge in edges)


def _order(row: FloatArray) -> list[str]:
    return [USED_SITES[i] for i in np.argsort(-row, kind="stable")]


def _jaccard(first: frozenset[Any], second: frozenset[Any]) -> float:
    return len(first & second) / max(1, len(first | second))


def _ranks_agree(measure: Callable[..., Any], ranks: FloatArray, i: int, j: int) -> float:
    first, second = ranks[i], ranks[j]
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float(np.array_equal(first, second))
    return float(measure(first, second).statistic)


def _shared(tops: list[frozenset[str]], size: int, i: int, j: int) -> float:
    return len(tops[i] & tops[j]) / size


def _mean(pairs: list[tuple[int, int]], compare: Callable[[int, int], float]) -> float:
    return float(np.mean([compare(i, j) for i, j in pairs])) if pairs else float("nan")
