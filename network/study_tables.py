"""Tables of the network's step."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from modeling.calibration import PAIRS, pair_name
from modeling.study.step import Table
from network.fixed import ROUNDS
from network.graph import InteractionNetwork, clustering
from network.significance import COMBINED

__all__ = ["PUBLISHED_SETS", "communities", "network_tables", "rounds_table"]

FloatArray = npt.NDArray[np.float64]

PUBLISHED_SETS = "combined, published sets"
"""Name of the combined network of the sites that the publication chose for each pair."""


def communities(network: InteractionNetwork) -> pd.DataFrame:
    """List a network's communities: ``community``, ``sites``, ``strength``, ``members``."""
    strength = {node.name: node.strength for node in network.nodes}
    return pd.DataFrame(
        [
            (number, len(sites), round(sum(strength[s] for s in sites), 3), ", ".join(sites))
            for number, sites in enumerate(network.communities, start=1)
        ],
        columns=["community", "sites", "strength (log-odds)", "members"],
    )


def network_tables(
    edges: pd.DataFrame,
    whole: InteractionNetwork,
    panels: Mapping[str, InteractionNetwork],
    of_sets: InteractionNetwork,
    stability: pd.DataFrame,
    centralities: pd.DataFrame,
) -> tuple[Table, ...]:
    """Gather the step's tables.

    Parameters
    ----------
    edges
        As `network.significance.evidence_table` gives it.
    whole, panels, of_sets
        The combined network, each pair's, and the combined one of the published sets.
    stability, centralities
        As `network.stability.agreement_table` and `centrality_table` give them.
    """
    named = ((COMBINED, whole), *panels.items(), (PUBLISHED_SETS, of_sets))
    return (
        Table(
            "edges",
            "Every edge of the combined network and of each pair, with what speaks for it.",
            edges,
        ),
        Table(
            "nodes",
            "Sites of the combined network, of each pair, and of the combined network on the "
            "published sets.",
            pd.concat([_nodes(name, network) for name, network in named]),
        ),
        Table("communities", "Communities of the combined network.", communities(whole)),
        Table(
            "communities-published-sets",
            "Communities of the combined network on the published sets.",
            communities(of_sets),
        ),
        Table(
            "stability",
            "Agreement between networks of different seeds, on all sites and on the published "
            "sets.",
            stability,
        ),
        Table(
            "centralities",
            "Each site's measures over networks of different seeds.",
            centralities,
        ),
    )


def rounds_table(curve: FloatArray) -> Table:
    """Tell where each pair's cross-validated log-loss is least, and what it is at `ROUNDS`."""
    return Table(
        "rounds",
        "Rounds of least cross-validated log-loss.",
        pd.DataFrame(
            [
                (
                    pair_name(pair),
                    int(v.argmin()) + 1,
                    round(float(v.min()), 4),
                    round(float(v[ROUNDS - 1]), 4),
                )
                for pair, v in zip(PAIRS, curve, strict=True)
            ],
            columns=["pair", "best rounds", "least log-loss", f"log-loss at {ROUNDS} rounds"],
        ),
    )


def _nodes(name: str, network: InteractionNetwork) -> pd.DataFrame:
    clustered = clustering(network.edges)
    rows = [{"network": name, **vars(n), "clustering": clustered[n.name]} for n in network.nodes]
    return pd.DataFrame(rows).rename(columns={"name": "site", "strength": "strength (log-odds)"})
