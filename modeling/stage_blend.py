"""What gives the four stages: two forests, one after the other, blended with proportional odds."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from modeling.flat_trees import FlatTrees

__all__ = ["ODDS_PART", "StageBlend", "StageOdds", "StageTrees", "product_shares"]

FloatArray = npt.NDArray[np.float64]

ODDS_PART = 0.2
"""The part of proportional odds in a `StageBlend`: one of five, as in the blend of two forests and
proportional odds, 2:2:1, that was proposed for these patients; docs/recipes.md has others."""

SMALLEST_LEVEL = 1e-6
"""The secant of a patient whose level differs from the middle by less spans this much."""


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


@dataclass(frozen=True, eq=False)
class StageOdds:
    """Proportional odds: one level a patient, and three cuts between the four stages.

    P(later than the k-th stage) = 1 / (1 + exp(-(level + cut_k))).

    Parameters
    ----------
    middle
        float64, shape (features,): the inputs at which the level is 0.
    weights
        float64, shape (features,): of each input in the level, per HU or year.
    cuts
        float64, shape (3,): falling.

    References
    ----------
    McCullagh P. Regression models for ordinal data. J R Stat Soc B 1980,
    doi 10.1111/j.2517-6161.1980.tb01109.x.
    """

    middle: FloatArray
    weights: FloatArray
    cuts: FloatArray

    def probabilities(self, rows: FloatArray) -> FloatArray:
        """Give the stages' probabilities, float64, shape (n, 4), rows summing to 1.

        Parameters
        ----------
        rows
            float64, shape (n, features): imputed designs.
        """
        # Summed row by row: a matrix product would make a patient's last bits depend on the others.
        return self._of_levels(((rows - self.middle) * self.weights).sum(axis=1))

    @property
    def base(self) -> FloatArray:
        """Probabilities at the middle, float64, shape (4,)."""
        return self._of_levels(np.zeros(1))[0]

    def shares(self, row: FloatArray) -> FloatArray:
        """Share out one patient's probabilities less `base` among the inputs.

        The level is a sum over the inputs; a probability is a function of it, and its change is
        shared out as the level is (the rescale rule, as in
        `modeling.stage_calibration.calibrated_shares`). The shares add up exactly.

        Parameters
        ----------
        row
            float64, shape (features,): an imputed design.

        Returns
        -------
        ndarray
            float64, shape (features, 4).
        """
        parts = (row - self.middle) * self.weights
        level = parts.sum()
        step = level if abs(level) > SMALLEST_LEVEL else SMALLEST_LEVEL
        slope = (self._of_levels(np.array([step]))[0] - self.base) / step
        return np.asarray(np.outer(parts, slope))

    def _of_levels(self, levels: FloatArray) -> FloatArray:
        later = 1 / (1 + np.exp(-(levels[:, None] + self.cuts)))
        bounds = np.column_stack([np.ones(len(levels)), later, np.zeros(len(levels))])
        return np.asarray(bounds[:, :-1] - bounds[:, 1:])


@dataclass(frozen=True, eq=False)
class StageBlend:
    """The weighted mean of two forests and proportional odds, `ODDS_PART` of it the latter's.

    Parameters
    ----------
    trees
        The two forests.
    odds
        Proportional odds over the same inputs.
    """

    trees: StageTrees
    odds: StageOdds

    def probabilities(self, rows: FloatArray) -> FloatArray:
        """Give the stages' probabilities, float64, shape (n, 4), rows summing to 1.

        Parameters
        ----------
        rows
            float64, shape (n, features): imputed designs.
        """
        return _blended(self.trees.probabilities(rows), self.odds.probabilities(rows))

    @property
    def base(self) -> FloatArray:
        """Probabilities before anything is known, float64, shape (4,)."""
        return _blended(self.trees.base, self.odds.base)

    def shares(self, row: FloatArray) -> FloatArray:
        """Share out one patient's probabilities less `base` among the inputs, exactly adding up.

        Parameters
        ----------
        row
            float64, shape (features,): an imputed design.

        Returns
        -------
        ndarray
            float64, shape (features, 4).
        """
        return _blended(self.trees.shares(row), self.odds.shares(row))


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


def _blended(of_trees: FloatArray, of_odds: FloatArray) -> FloatArray:
    return np.asarray((1 - ODDS_PART) * of_trees + ODDS_PART * of_odds)
