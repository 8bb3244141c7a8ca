"""The findings of the network's tests and seeds, in sentences."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from modeling.calibration import PAIRS, pair_name
from modeling.design import USED_SITES
from network.build import CUTOFF
from network.graph import InteractionNetwork, compose
from network.significance import ALPHA, COMBINED
from network.stability import PROTOCOLS, SET_PROTOCOLS

__all__ = ["chance_sentences", "claims_sentences", "survival_sentences"]


def survival_sentences(table: pd.DataFrame, permutations: int, simulations: int) -> tuple[str, ...]:
    """Say which edges exceed which null.

    Parameters
    ----------
    table
        As `evidence_table` gives it.
    permutations, simulations
        Replicates of the two nulls.
    """
    found = []
    tests = (
        ("permuted labels", permutations, "survives permuted labels"),
        ("the additive model", simulations, "survives additive model"),
    )
    least = 1 / ALPHA - 1
    for words, replicates, column in tests:
        if replicates < round(least):
            found.append(
                f"{replicates} replicates of {words}: too few for a p of {ALPHA:g}, which needs "
                f"{least:.0f}; nothing is said about them."
            )
            continue
        kept = table[table[column]]
        said = [
            f"{name}: "
            + ", ".join(f"{s}–{t}" for s, t in zip(rows["source"], rows["target"], strict=True))
            for name, rows in kept.groupby("network", sort=False)
        ]
        found.append(
            f"Of {len(table)} edges in seven networks {len(kept)} stand out from {words} "
            f"(family-wise p up to {ALPHA:g} in their network)"
            + (f": {'; '.join(said)}." if said else ".")
        )
    if min(permutations, simulations) < round(least):
        return tuple(found)
    both = int(table["survives both"].sum())
    if both == 0:
        found.append(
            "No edge stands out from both nulls: an interaction of two sites is not shown by "
            "these data."
        )
    else:
        found.append(
            f"Edges that stand out from both nulls: {both}; the others are not shown to be real."
        )
    return tuple(found)


def chance_sentences(observed: Any, permutations: Any) -> tuple[str, ...]:
    """Say how many edges permuted labels give.

    Parameters
    ----------
    observed
        float64, shape (6, 496): the cohort's interactions, by `PAIRS` and `SITE_PAIRS`.
    permutations
        float64, shape (p, 6, 496): those of permuted stages.
    """
    if not len(permutations):
        return ()
    real = (observed > CUTOFF).sum(axis=-1)
    null = np.median((permutations > CUTOFF).sum(axis=-1), axis=0)
    said = ", ".join(
        f"{pair_name(pair)} {a} ({b:.0f})" for pair, a, b in zip(PAIRS, real, null, strict=True)
    )
    return (
        f"Edges above {CUTOFF:g}, and the median number with permuted labels in brackets: {said}. "
        "The cutoff is no significance threshold.",
    )


def claims_sentences(
    stability: pd.DataFrame, whole: InteractionNetwork, seed: int
) -> tuple[str, ...]:
    """Compare the published claims with networks of many seeds.

    Parameters
    ----------
    stability
        As `network.stability.agreement_table` gives it.
    whole
        The combined network.
    seed
        First of the ten seeds of the communities.
    """
    values = stability.set_index("measure")
    labels = []
    weights = {(e.source, e.target): e.weight for e in whole.edges}
    for number in range(10):
        nodes, _ = compose({COMBINED: weights}, 0.0, seed + number)
        labels.append([{n.name: n.community for n in nodes}.get(s, 0) for s in USED_SITES])
    agreed = np.mean([adjusted_rand_score(labels[0], other) for other in labels[1:]])
    order = ", ".join(node.name for node in whole.nodes[:3])
    fixed, stopped = values[PROTOCOLS[-1]], values[PROTOCOLS[0]]
    return (
        "Published: three communities, L5 first and S1 second (Wang 2025), by one run on the "
        f"published sets. {_claims(values[SET_PROTOCOLS[0]], 'the published sets')} "
        f"{_claims(stopped, 'all sites')}",
        f"With fixed rounds on all sites the strongest sites are {order}, in "
        f"{len(whole.communities)} communities. Ranks by strength agree between seeds by a Kendall "
        f"tau of {fixed['strength: Kendall tau']:.2f} (early stopping, one split "
        f"{stopped['strength: Kendall tau']:.2f}), partitions by an adjusted Rand index of "
        f"{fixed['partition agreement (adjusted Rand)']:.2f} "
        f"({stopped['partition agreement (adjusted Rand)']:.2f}); the same weights under ten "
        f"seeds of Louvain's method alone agree by {agreed:.2f}.",
    )


def _claims(found: "pd.Series[float]", where: str) -> str:
    first = ", ".join(
        f"{m} {found[f'share with L5 first by {m}']:.0%} / "
        f"{found[f'share with S1 second by {m}']:.0%}"
        for m in ("degree", "betweenness", "closeness", "strength")
    )
    return (
        f"Over {found['networks']:.0f} seeds of that way on {where}: three communities in "
        f"{found['share with three communities']:.0%}, four in "
        f"{found['share with four communities']:.0%}; L5 first / S1 second by {first}; edges "
        f"overlap by a Jaccard index of {found['edge overlap (Jaccard)']:.2f}, partitions agree by "
        f"an adjusted Rand index of {found['partition agreement (adjusted Rand)']:.2f}."
    )
