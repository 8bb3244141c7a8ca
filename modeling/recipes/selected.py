"""A recipe that chooses among others by cross-validation of the patients that it is given."""

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator

from modeling.calibration import fit_sigmoids
from modeling.metrics import pair_aurocs
from modeling.recipes.registry import scores_of

__all__ = ["SelectedRecipe"]

INNER_FOLDS_SEED_OFFSET = 1000
"""Added to the seed, so that the choice is not made on the folds that calibrate it."""


class SelectedRecipe(BaseEstimator):
    """The candidate with the highest mean pair AUROC out of fold, fitted to all it is given.

    Its pair scores are calibrated on what it scored out of fold, so that the scores of fits that
    choose differently have one scale and can be pooled.

    Parameters
    ----------
    random_state
        The seed; always pass one.
    candidates
        By name: makes an unfitted model from a seed.
    score
        Scores a maker out of fold: gives pair scores by pair name.

    Attributes
    ----------
    chosen_
        The name of the candidate that was taken.
    found_
        By name, the mean pair AUROC of each candidate, out of fold.
    sigmoids_
        By pair name, the calibration of the candidate that was taken.
    """

    def __init__(
        self,
        random_state: int,
        candidates: Mapping[str, Callable[[int], Any]],
        score: Callable[..., Any],
    ) -> None:
        self.random_state = random_state
        self.candidates = candidates
        self.score = score

    def fit(self, X: pd.DataFrame, y: npt.NDArray[Any]) -> Self:
        """Choose and fit."""
        seed = self.random_state + INNER_FOLDS_SEED_OFFSET
        scores = {
            name: self.score(make, X, y, seed).scores for name, make in self.candidates.items()
        }
        self.found_ = {
            name: float(np.mean(list(pair_aurocs(of_pairs, y).values())))
            for name, of_pairs in scores.items()
        }
        self.chosen_ = max(self.found_, key=lambda name: self.found_[name])
        self.sigmoids_ = fit_sigmoids(scores[self.chosen_], y)
        self.model_ = self.candidates[self.chosen_](self.random_state).fit(X, y)
        return self

    def pair_scores(self, X: pd.DataFrame) -> dict[str, npt.NDArray[np.float64]]:
        """Score by pair name, float64, shape (n,): the log odds of the later stage."""
        _, found = scores_of(self.model_, X)
        return {
            name: self.sigmoids_[name].slope * values + self.sigmoids_[name].intercept
            for name, values in found.items()
        }
