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
from network.errors import InvalidGraph
from network.fixed import ROUNDS, SITE_PAIRS, fixed_interactions
from network.graph import Edge, SiteNode, compose
from network.interactions import interaction_sums
from network.resampling import mapper

__all__ = ["CENTRALITIES", "PROTOCOLS", "SeedNetworks", "agreement", "seed_networks"]

FloatArray = npt.NDArray[np.float64]

CENTRALITIES = ("strength", "degree", "betweenness", "closeness")
"""Measures of a node whose ranks are compared."""

TOP = (3, 5)
"""Numbers of leading sites whose overlap is compared."""

AVERAGED = 4
"""Seeds that are averaged into one network, beside networks of one seed."""

PROTOCOLS = (
    "early stopping, one split (published)",
    f"early stopping, mean of {AVERAGED} splits",
    f"{ROUNDS} rounds, one split",
    f"{ROUNDS} rounds, mean of {AVERAGED} splits",
)
"""Ways to build a network that are compared."""


@dataclass(frozen=True)
class SeedNetworks:
    """Networks that differ in their seeds alone.

    Parameters
    ----------
    protocol
        One of `PROTOCOLS`.
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
) -> tuple[SeedNetworks, ...]:
    """Build networks of many seeds by each of `PROTOCOLS`.

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

    Raises
    ------
    InvalidGraph
        Fewer than `AVERAGED` seeds.
    """
    if seeds < AVERAGED:
        raise InvalidGraph(f"{seeds} seeds: at least {AVERAGED} are needed")
    with mapper(jobs, seeds) as run:
        numbers = [seed + number for number in range(seeds)]
        stopped = np.array(list(run(partial(_stopped, mean_hu, stages), numbers)))
        fixed = np.array(list(run(partial(_fixed, mean_hu, stages), numbers)))
    found = []
    for values, (one, mean) in zip((stopped, fixed), (PROTOCOLS[:2], PROTOCOLS[2:]), strict=True):
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
        Rand)``; shares of networks with three communities, with L5 first and with S1 second by
        each measure. NaN where there are fewer than two networks.

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


def _stopped(mean_hu: FloatArray, stages: npt.NDArray[np.str_], seed: int) -> FloatArray:
    upper = np.triu_indices(len(USED_SITES), 1)
    rows = [(np.isin(stages, pair), pair[1]) for pair in PAIRS]
    return np.array(
        [interaction_sums(mean_hu[r], stages[r] == later, seed)[upper] for r, later in rows]
    )


def _fixed(mean_hu: FloatArray, stages: npt.NDArray[np.str_], seed: int) -> FloatArray:
    return fixed_interactions(mean_hu, stages, seed, splits=1)


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
