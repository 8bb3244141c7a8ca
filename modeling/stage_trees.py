"""Two forests that give the four stages: A, B or low bone mass below; then, fracture or not."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from modeling.flat_trees import FlatTrees

__all__ = ["StageTrees", "product_shares"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StageTrees:
    """P(A), P(B) by one forest; P(D) = (1 - P(A) - P(B)) q, with q of D among C and D by another.

    Parameters
    ----------
    early
        Of all patients: outputs A and B.
    late
        Of the patients with C or D: output D.
    """

    early: FlatTrees
    late: FlatTrees

    def probabilities(self, rows: FloatArray) -> FloatArray:
        """Give the stages' probabilities, float64, shape (n, 4), rows summing to 1.

        Parameters
        ----------
        rows
            float64, shape (n, features): imputed designs.
        """
        return _four(self.early.predict(rows), self.late.predict(rows)[:, 0])

    @property
    def base(self) -> FloatArray:
        """Probabilities before anything is known, float64, shape (4,)."""
        return _four(self.early.base[None, :], self.late.base)[0]

    def shares(self, row: FloatArray) -> FloatArray:
        """Share out one patient's probabilities less `base` among the inputs.

        Exact path-dependent SHAP values of each forest (`FlatTrees.shares`), and of the products
        of the two (`product_shares`).

        Parameters
        ----------
        row
            float64, shape (features,): an imputed design.

        Returns
        -------
        ndarray
            float64, shape (features, 4).
        """
        early, late = self.early.shares(row), self.late.shares(row)
        below, below_base = -early.sum(axis=1), 1 - self.early.base.sum()
        d, d_base = late[:, 0], float(self.late.base[0])
        return np.column_stack(
            [
                early,
                product_shares(below, below_base, -d, 1 - d_base),
                product_shares(below, below_base, d, d_base),
            ]
        )


def product_shares(
    first: FloatArray, first_base: float, second: FloatArray, second_base: float
) -> FloatArray:
    """Share out the product of two additive games: its exact Shapley values.

    Parameters
    ----------
    first, second
        float64, shape (n,): the inputs' shares in each factor.
    first_base, second_base
        The factors before anything is known.

    Returns
    -------
    ndarray
        float64, shape (n,): adding up to the product less that of the bases.

    Notes
    -----
    Where the factors are f0 + sum a_i and g0 + sum b_i, the product is linear and bilinear in the
    players; each pair's a_i b_j + a_j b_i is halved between its two (Shapley LS. A value for
    n-person games. 1953), which gives a_i (g0 + g) / 2 + b_i (f0 + f) / 2.

    Examples
    --------
    >>> product_shares(np.array([0.2, 0.1]), 0.5, np.array([0.0, 0.3]), 0.4).round(3).tolist()
    [0.11, 0.25]
    """
    f, g = first_base + first.sum(), second_base + second.sum()
    return np.asarray(first * (second_base + g) / 2 + second * (first_base + f) / 2)


def _four(early: FloatArray, late: FloatArray) -> FloatArray:
    below = 1 - early.sum(axis=1)
    return np.column_stack([early, below * (1 - late), below * late])
