"""Which interactions exceed chance, with family-wise error over all pairs of sites."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from modeling.calibration import PAIRS, pair_name
from network.fixed import SITE_PAIRS
from network.resampling import Resamples

__all__ = [
    "ALPHA",
    "Evidence",
    "adjusted_p",
    "combined_weights",
    "evidence",
    "evidence_table",
    "survivors",
    "survivors_by_network",
]

FloatArray = npt.NDArray[np.float64]

ALPHA = 0.05
"""Family-wise error of a network."""

COMBINED = "combined"
"""Name of the network of all six pairs."""


@dataclass(frozen=True)
class Evidence:
    """How well the edges of a network are supported.

    Parameters
    ----------
    network
        A stage pair such as ``A/B``, or ``combined``.
    weight
        float64, shape (496,): log-odds summed over patients, by `SITE_PAIRS`; of the combined
        network the sum of the pairs' that exceed the cutoff.
    support
        float64, shape (496,): share of bootstraps in which the pair of sites is an edge; NaN
        without bootstraps.
    p_permutation, p_additive
        float64, shape (496,): family-wise adjusted; NaN without resamples of that kind.
    """

    network: str
    weight: FloatArray
    support: FloatArray
    p_permutation: FloatArray
    p_additive: FloatArray


def adjusted_p(observed: FloatArray, null: FloatArray) -> FloatArray:
    """Adjust by the largest value of each null replicate: p = (1 + exceeding) / (1 + replicates).

    Parameters
    ----------
    observed
        float64, shape (edges,).
    null
        float64, shape (replicates, edges).

    Returns
    -------
    ndarray
        float64, shape (edges,): NaN without replicates.

    References
    ----------
    Westfall PH, Young SS. Resampling-based multiple testing. Wiley 1993.
    Phipson B, Smyth GK. Permutation p-values should never be zero. Stat Appl Genet Mol Biol 2010,
    doi 10.2202/1544-6115.1585.
    """
    if not len(null):
        return np.full(observed.shape, np.nan)
    largest = np.sort(null.max(axis=1))
    exceeding = len(largest) - np.searchsorted(largest, observed, side="left")
    return np.asarray((1 + exceeding) / (1 + len(largest)))


def combined_weights(interactions: FloatArray, cutoff: float) -> FloatArray:
    """Sum what exceeds the cutoff over stage pairs: (..., 6, 496) to (..., 496)."""
    return np.asarray(np.where(interactions > cutoff, interactions, 0.0).sum(axis=-2))


def evidence(found: Resamples, cutoff: float) -> tuple[Evidence, ...]:
    """Compute the evidence for the six networks and the combined one, the latter last.

    Parameters
    ----------
    found
        Interactions of the cohort and of its resamples.
    cutoff
        Interactions above it are edges, in log-odds summed over patients.
    """

    def one(name: str, parts: tuple[FloatArray, ...], least: float) -> Evidence:
        observed, bootstraps, permutations, additive = parts
        support = (
            (bootstraps > least).mean(axis=0)
            if len(bootstraps)
            else np.full(observed.shape, np.nan)
        )
        return Evidence(
            name,
            observed,
            support,
            adjusted_p(observed, permutations),
            adjusted_p(observed, additive),
        )

    arrays = (found.observed, found.bootstraps, found.permutations, found.additive)
    pairs = [
        one(pair_name(pair), tuple(values[..., place, :] for values in arrays), cutoff)
        for place, pair in enumerate(PAIRS)
    ]
    whole = one(COMBINED, tuple(combined_weights(values, cutoff) for values in arrays), 0.0)
    return (*pairs, whole)


def evidence_table(found: tuple[Evidence, ...], cutoff: float) -> pd.DataFrame:
    """List every edge with its support and its p-values.

    Parameters
    ----------
    found
        As `evidence` gives it.
    cutoff
        In log-odds summed over patients.

    Returns
    -------
    DataFrame
        ``network``, ``source``, ``target``, ``weight (log-odds)``, ``support (share of
        bootstraps)``, ``adjusted p, permuted labels``, ``adjusted p, additive model``,
        ``survives both``; networks in order, heavy edges first.
    """
    rows = []
    for item in found:
        least = 0.0 if item.network == COMBINED else cutoff
        kept = survivors(item)
        for place in np.argsort(-item.weight, kind="stable"):
            if item.weight[place] <= least:
                break
            rows.append(
                {
                    "network": item.network,
                    "source": SITE_PAIRS[place][0],
                    "target": SITE_PAIRS[place][1],
                    "weight (log-odds)": float(f"{item.weight[place]:.6g}"),
                    "support (share of bootstraps)": round(float(item.support[place]), 3),
                    "adjusted p, permuted labels": round(float(item.p_permutation[place]), 4),
                    "adjusted p, additive model": round(float(item.p_additive[place]), 4),
                    "survives permuted labels": bool(item.p_permutation[place] <= ALPHA),
                    "survives additive model": bool(item.p_additive[place] <= ALPHA),
                    "survives both": bool(kept[place]),
                }
            )
    return pd.DataFrame(rows, columns=list(EVIDENCE_COLUMNS))


EVIDENCE_COLUMNS = (
    "network",
    "source",
    "target",
    "weight (log-odds)",
    "support (share of bootstraps)",
    "adjusted p, permuted labels",
    "adjusted p, additive model",
    "survives permuted labels",
    "survives additive model",
    "survives both",
)
"""Columns of `evidence_table`."""


def survivors(found: Evidence) -> npt.NDArray[np.bool_]:
    """Tell which pairs of sites stand out from both nulls, bool, shape (496,)."""
    return np.asarray((found.p_permutation <= ALPHA) & (found.p_additive <= ALPHA))


def survivors_by_network(found: tuple[Evidence, ...]) -> dict[str, set[tuple[str, str]]]:
    """Name the pairs of sites that stand out from permuted labels, by network."""
    return {
        item.network: {SITE_PAIRS[i] for i in np.flatnonzero(item.p_permutation <= ALPHA)}
        for item in found
    }
