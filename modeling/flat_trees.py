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
        values = rows.astype(np.float32).ravel()
        starts = rows.shape[1] * np.arange(len(rows))[:, None]
        nodes = np.broadcast_to(self._roots, (len(rows), len(self._roots)))
        asked = self._features.take(nodes)
        while (asked != LEAF).any():
            # A leaf asks for any feature, and leads to itself whatever the answer.
            goes_right = values.take(starts + asked) > self.thresholds.take(nodes)
            nodes = self._children.take(2 * nodes + goes_right)
            asked = self._features.take(nodes)
        # Sums of so few float32 in float64 are exact, whatever their order.
        return np.asarray(self.values[nodes].mean(axis=1, dtype=np.float64))

    @cached_property
    def base(self) -> FloatArray:
        """What the trees say before anything is known: float64, shape (outputs,)."""
        return self._explained[0]

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
        for paths in self._explained[1]:
            values = asked.take(paths.features)
            rise = ((values > paths.low) & (values <= paths.high)) - paths.reached
            factors, total = np.empty_like(rise), np.empty_like(rise)
            for place, (t, weight) in enumerate(_quadrature((len(rise) + 1) // 2)):
                np.multiply(rise, t, out=factors)
                factors += paths.reached
                product = np.multiply.reduce(factors, axis=0)
                product *= weight
                np.divide(product, factors, out=factors if place else total)
                if place:
                    total += factors
            total *= rise
            for output, said in enumerate(paths.values):
                shares = (total * said).ravel()
                found[:, output] += np.bincount(paths.features.ravel(), shares, len(row))
        return found / len(self.roots)

    @cached_property
    def _roots(self) -> npt.NDArray[np.intp]:
        return self.roots.astype(np.intp)

    @cached_property
    def _features(self) -> npt.NDArray[np.intp]:
        return self.features.astype(np.intp)

    @cached_property
    def _children(self) -> npt.NDArray[np.intp]:
        """Both children of each node, the left one first."""
        return np.column_stack([self.left, self.right]).astype(np.intp).ravel()

    @cached_property
    def _explained(self) -> "tuple[FloatArray, tuple[_Paths, ...]]":
        """What the leaves say on average, and the ways to those that say anything but 0."""
        every = _paths(self)
        found = [paths.reached.prod(axis=0) @ paths.values.T for paths in every]
        base = np.asarray(np.sum(found, axis=0) / len(self.roots))
        return base, tuple(paths.telling() for paths in every)


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

    def telling(self) -> "_Paths":
        """Leave out the leaves that say 0, of which no share comes."""
        says = (self.values != 0).any(axis=0)
        return _Paths(
            self.features.compress(says, axis=1),
            self.low.compress(says, axis=1),
            self.high.compress(says, axis=1),
            self.reached.compress(says, axis=1),
            self.values.compress(says, axis=1),
        )


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
