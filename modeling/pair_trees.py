"""The boosted trees of a pair of stages that explanations and the network rest on."""

from typing import Any

__all__ = ["PAIR_ROUNDS", "PAIR_TREES"]

PAIR_TREES: dict[str, Any] = {
    "objective": "binary",
    "metric": "binary_logloss",
    "learning_rate": 0.05,
    "num_leaves": 10,
    "max_bin": 512,
    "num_threads": 1,
    "deterministic": True,
    "force_col_wise": True,
    "verbose": -1,
}
"""LightGBM's parameters: the numbers of Wang 2025, one thread and fixed order for repeatability."""

PAIR_ROUNDS = 40
"""Boosting rounds of every model. The rounds of least cross-validated log-loss of the six pairs
of the published cohort lie between 15 and 60; early stopping on one fifth picks 2 to 230. One
number for all keeps pairs, resamples and nulls comparable: an interaction grows with the rounds."""
