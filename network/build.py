"""From a cohort to its interaction network."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from modeling.calibration import PAIRS, pair_name
from modeling.cohort import STAGE_COLUMN, read_cohort, without_duplicates
from modeling.design import USED_SITES
from network.errors import InvalidGraph
from network.export import write_network
from network.graph import InteractionNetwork, compose
from network.interactions import interaction_sums

__all__ = ["CUTOFF", "NETWORK_REPEATS", "build_network", "run"]

FloatArray = npt.NDArray[np.float64]

CUTOFF = 1.5
"""Interactions above this are edges, in log-odds summed over patients (Wang 2025). It is not a
significance threshold: permuted labels give as many edges."""

NETWORK_REPEATS = 20
"""Models fitted a pair, each with its own held-out fifth; their interactions are averaged. One,
as published, gives edges that overlap by a Jaccard index of .39 between seeds; twenty, .76."""


def build_network(
    cohort: pd.DataFrame, seed: int, cutoff: float = CUTOFF, repeats: int = NETWORK_REPEATS
) -> InteractionNetwork:
    """Build the network of a cohort by the published procedure, averaged over repeats.

    For each two stages, gradient-boosted models of the 32 sites (without age and sex) give the
    absolute SHAP interaction of each two sites, summed over patients; its mean over the repeats
    is an edge where it exceeds the cutoff. The six graphs are composed: an edge's weight is the
    sum over the pairs that have it.

    Parameters
    ----------
    cohort
        As `modeling.read_cohort` gives it; rows that repeat an earlier one are left out.
    seed
        Seed of the first repeat and of the communities; each further repeat adds one.
    cutoff
        Interactions above it are edges, in log-odds summed over patients.
    repeats
        Models fitted for each pair; 1 is the published procedure.

    Raises
    ------
    StageTooSmall
        A stage is too small.
    InvalidGraph
        Fewer than one repeat, or a cutoff that is negative or not a number.
    """
    if repeats < 1 or not cutoff >= 0:
        raise InvalidGraph(f"repeats {repeats} and cutoff {cutoff}: need at least 1, at least 0")
    cohort = without_duplicates(cohort)
    stages = cohort[STAGE_COLUMN].to_numpy(dtype=str)
    mean_hu = cohort[list(USED_SITES)].to_numpy(dtype=np.float64)
    sums = {}
    for pair in PAIRS:
        rows = np.isin(stages, pair)
        sums[pair_name(pair)] = np.array(
            [
                interaction_sums(mean_hu[rows], stages[rows] == pair[1], seed + repeat)
                for repeat in range(repeats)
            ]
        )
    nodes, edges = compose(_means(sums, range(repeats)), cutoff, seed)
    jaccard, agreement = None, None
    if repeats > 1:
        halves = [compose(_means(sums, range(start, repeats, 2)), cutoff, seed) for start in (0, 1)]
        first, second = ({(e.source, e.target) for e in half[1]} for half in halves)
        jaccard = round(len(first & second) / max(1, len(first | second)), 3)
        labels = [{node.name: node.community for node in half[0]} for half in halves]
        agreement = round(
            float(
                adjusted_rand_score(*[[label.get(n, 0) for n in USED_SITES] for label in labels])
            ),
            3,
        )
    return InteractionNetwork(nodes, edges, seed, float(cutoff), repeats, jaccard, agreement)


def run(
    cohort_path: Path, out: Path, seed: int, cutoff: float = CUTOFF, repeats: int = NETWORK_REPEATS
) -> InteractionNetwork:
    """Build a cohort's network and write it, its tables and its picture.

    Writes ``network.json``, ``nodes.csv``, ``edges.csv``, ``network.graphml`` and ``network.png``.

    Raises
    ------
    modeling.CohortError
        The cohort cannot be used.
    GraphError
        The network cannot be built.
    """
    network = build_network(read_cohort(cohort_path), seed, cutoff, repeats)
    write_network(network, out)
    return network


def _means(
    sums: Mapping[str, FloatArray], repeats: Sequence[int]
) -> dict[str, dict[tuple[str, str], float]]:
    chosen = list(repeats)
    found = {}
    for pair, values in sums.items():
        mean = values[chosen].mean(axis=0)
        found[pair] = {
            (USED_SITES[i], USED_SITES[j]): float(mean[i, j])
            for i, j in combinations(range(len(USED_SITES)), 2)
        }
    return found
