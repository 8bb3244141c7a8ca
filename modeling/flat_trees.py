"""A forest as flat arrays: it predicts and explains itself by numpy alone."""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.polynomial.legendre import leggauss

__all__ = ["FlatTrees", "flattened"]

FloatArray = npt.NDArray[np.float64]

LEAF = -1
"""Stands for the feature of a node that splits no further."""

LEAVES_AT_ONCE = 1024
"""Leaves that are explained at once: paths of like length, and numbers that stay in the cache."""


@dataclass(frozen=True, eq=False)
class FlatTrees:
    """The mean of many trees; the nodes of all trees stand one after another, parents first.

    Parameters
    ----------
    roots
        int32, shape (trees,): the first node of each tree.
    features
        int16, shape (nodes,): the feature that a node asks for, `LEAF` if it asks for none.
    thresholds
        float32, shape (nodes,): a value up to this goes to the left.
    left, right
        int32, shape (nodes,): the two following nodes; of a leaf, itself.
    samples
        int32, shape (nodes,): training rows that reached the node.
    values
        float32, shape (nodes, outputs): what a leaf says; 0 elsewhere.
    """

    roots: npt.NDArray[np.int32]
    features: npt.NDArray[np.int16]
    thresholds: npt.NDArray[np.float32]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    samples: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]

    def predict(self, rows: FloatArray) -> FloatArray:
        """Give the mean of the trees; float64, shape (n, outputs).

        Parameters
        ----------
        rows
            float64, shape (n, features), without NaN.
        """
        values, places = rows.astype(np.float32), np.arange(len(rows))[:, None]
        nodes = np.broadcast_to(self.roots, (len(rows), len(self.roots)))
        while (self.features[nodes] != LEAF).any():
            # A leaf asks for the last feature, and leads to itself whatever the answer.
            goes_left = values[places, self.features[nodes]] <= self.thresholds[nodes]
            nodes = np.where(goes_left, self.left[nodes], self.right[nodes])
        # Sums of so few float32 in float64 are exact, whatever their order.
        return np.asarray(self.values[nodes].mean(axis=1, dtype=np.float64))

    @cached_property
    def base(self) -> FloatArray:
        """What the trees say before anything is known: float64, shape (outputs,)."""
        found = [paths.reached.prod(axis=0) @ paths.values.T for paths in self._paths]
        return np.asarray(np.sum(found, axis=0) / len(self.roots))

    def shares(self, row: FloatArray) -> FloatArray:
        """Share out one row's prediction less `base` among the features, exactly.

        Path-dependent tree SHAP values: a feature that is not known goes down both sides of a
        node in the proportion of the training rows. The Shapley value is the integral over t of
        the derivative of the multilinear extension, a polynomial in t for each leaf, so that
        Gauss-Legendre quadrature with half as many nodes as a path has features is exact.

        Parameters
        ----------
        row
            float64, shape (features,), without NaN.

        Returns
        -------
        ndarray
            float64, shape (features, outputs).

        References
        ----------
        Lundberg SM et al. From local explanations to global understanding with explainable AI for
        trees. Nat Mach Intell 2020, doi 10.1038/s42256-019-0138-9. Owen G. Multilinear extensions
        of games. Manage Sci 1972, doi 10.1287/mnsc.18.5.64.
        """
        asked = row.astype(np.float32)
        found = np.zeros((len(row), self.values.shape[1]))
        for paths in self._paths:
            values = asked[paths.features]
            rise = ((values > paths.low) & (values <= paths.high)) - paths.reached
            total, factors = np.zeros_like(rise), np.empty_like(rise)
            for t, weight in _quadrature((len(rise) + 1) // 2):
                np.multiply(rise, t, out=factors)
                factors += paths.reached
                product = np.multiply.reduce(factors, axis=0)
                product *= weight
                total += np.divide(product, factors, out=factors)
            total *= rise
            for output, said in enumerate(paths.values):
                shares = (total * said).ravel()
                found[:, output] += np.bincount(paths.features.ravel(), shares, len(row))
        return found / len(self.roots)

    @cached_property
    def _paths(self) -> "tuple[_Paths, ...]":
        return _paths(self)


@dataclass(frozen=True, eq=False)
class _Paths:
    """The features on the way to some leaves, each once; shapes (most features, leaves).

    Shorter paths are filled up with features that they do not ask for: every value is inside and
    reached.

    Parameters
    ----------
    features
        intp.
    low, high
        float32: the leaf is reached by values above ``low`` and up to ``high``.
    reached
        float64: share of the training rows that go on towards the leaf where the feature is
        asked for.
    values
        float64, shape (outputs, leaves): what the leaves say.
    """

    features: npt.NDArray[np.intp]
    low: npt.NDArray[np.float32]
    high: npt.NDArray[np.float32]
    reached: FloatArray
    values: FloatArray


@cache
def _quadrature(count: int) -> tuple[tuple[float, float], ...]:
    """Places between 0 and 1, and weights, of Gauss-Legendre quadrature."""
    points, weights = leggauss(count)
    return tuple(zip(((points + 1) / 2).tolist(), (weights / 2).tolist(), strict=True))


def _paths(trees: FlatTrees) -> tuple[_Paths, ...]:
    leaves = np.flatnonzero(trees.features == LEAF)
    inner = np.flatnonzero(trees.features != LEAF)
    parents = np.full(len(trees.features), -1)
    parents[trees.left[inner]] = inner
    parents[trees.right[inner]] = inner
    shape = (len(leaves), int(trees.features.max(initial=0)) + 1)
    low = np.full(shape, -np.inf, dtype=np.float32)
    high = np.full(shape, np.inf, dtype=np.float32)
    reached = np.ones(shape)
    asked = np.zeros(shape, dtype=bool)
    rows, nodes = np.arange(len(leaves)), leaves
    while len(rows):
        above = parents[nodes]
        rows, nodes, above = rows[above >= 0], nodes[above >= 0], above[above >= 0]
        at = rows, trees.features[above]
        goes_left = trees.left[above] == nodes
        limit = trees.thresholds[above]
        high[at] = np.where(goes_left, np.minimum(high[at], limit), high[at])
        low[at] = np.where(goes_left, low[at], np.maximum(low[at], limit))
        reached[at] *= trees.samples[nodes] / trees.samples[above]
        asked[at] = True
        nodes = above
    lengths = asked.sum(axis=1)
    shortest_first = np.argsort(lengths, kind="stable")
    found = []
    for start in range(0, len(leaves), LEAVES_AT_ONCE):
        chosen = shortest_first[start : start + LEAVES_AT_ONCE]
        longest = max(int(lengths[chosen[-1]]), 1)
        features = np.argsort(~asked[chosen], axis=1, kind="stable")[:, :longest].T
        found.append(
            _Paths(
                np.ascontiguousarray(features),
                low[chosen, features],
                high[chosen, features],
                reached[chosen, features],
                trees.values[leaves[chosen]].T.astype(np.float64),
            )
        )
    return tuple(found)


def flattened(forest: Any, outputs: slice) -> FlatTrees:
    """Take the trees out of a fitted scikit-learn forest of regression trees.

    Thresholds become the next float32 below: inputs are compared as float32, so that every row
    goes the same way.

    Parameters
    ----------
    forest
        A fitted `sklearn.ensemble` forest.
    outputs
        The outputs that are kept.
    """
    trees = [estimator.tree_ for estimator in forest.estimators_]
    roots = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])

    def joined(name: str) -> npt.NDArray[Any]:
        return np.concatenate([getattr(tree, name) for tree in trees])

    leaf = joined("children_left") < 0

    def children(name: str) -> npt.NDArray[np.int32]:
        found = np.concatenate([getattr(t, name) + r for t, r in zip(trees, roots, strict=True)])
        return np.where(leaf, np.arange(len(leaf)), found).astype(np.int32)

    exact = joined("threshold")
    near = exact.astype(np.float32)
    below = np.where(near > exact, np.nextafter(near, np.float32(-np.inf)), near)
    return FlatTrees(
        roots.astype(np.int32),
        np.where(leaf, LEAF, joined("feature")).astype(np.int16),
        np.where(leaf, 0, below).astype(np.float32),
        children("children_left"),
        children("children_right"),
        joined("weighted_n_node_samples").astype(np.int32),
        np.where(leaf[:, None], joined("value")[:, outputs, 0], 0).astype(np.float32),
    )
