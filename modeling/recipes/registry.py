"""The recipes that can be evaluated, by name, behind one small contract."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from modeling.calibration import pair_scores
from modeling.recipes.disturbance import NO_DISTURBANCE
from modeling.recipes.stage_forest import StageForest
from modeling.recipes.stage_regression import StageRegression
from modeling.stacking import PublishedRecipe, published_as_fixed

__all__ = [
    "DEFAULT_RECIPE",
    "RECIPES",
    "SELECTABLE",
    "NamedRecipe",
    "StageModel",
    "scores_of",
]

FloatArray = npt.NDArray[np.float64]


class StageModel(Protocol):
    """What a recipe makes: everything that it chooses, it chooses in `fit`.

    A model gives ``predict_proba`` (float64, shape (n, 4), columns A to D), or ``pair_scores`` (by
    pair name such as ``A/B``, float64, shape (n,), higher for the later stage), or both; see
    `scores_of`.
    """

    def fit(self, X: pd.DataFrame, y: npt.NDArray[Any]) -> Self:
        """Fit to `modeling.cohort.FEATURE_COLUMNS` and stages (str, shape (n,))."""
        ...


@dataclass(frozen=True)
class NamedRecipe:
    """A recipe that can be asked for by name.

    Parameters
    ----------
    name
        In lower case with hyphens.
    description
        What it is, in a sentence.
    make
        Makes an unfitted model from a seed.
    calibrates_stages
        Whether the stages' probabilities are calibrated by `modeling.stage_calibration`.
    """

    name: str
    description: str
    make: Callable[[int], StageModel]
    calibrates_stages: bool = True


DEFAULT_RECIPE = "default"
"""The recipe of the bundle that comes with the software."""


def _forest(seed: int, **settings: Any) -> StageModel:
    return StageForest(random_state=seed, **settings)


def _listed(*recipes: NamedRecipe) -> Mapping[str, NamedRecipe]:
    return {recipe.name: recipe for recipe in recipes}


RECIPES: Mapping[str, NamedRecipe] = _listed(
    NamedRecipe(
        DEFAULT_RECIPE,
        "extremely randomised trees in two parts (A, B, or C and D; then C or D), blended with "
        "proportional odds, over vertebrae, derived features, age and sex, with copies of the "
        "patients at other offsets and with sites missing",
        _forest,
    ),
    NamedRecipe(
        "undisturbed",
        "the default without such copies, leaves of 3",
        partial(_forest, disturbance=NO_DISTURBANCE, min_samples_leaf=3),
    ),
    NamedRecipe(
        "regression",
        "multinomial ridge regression over the default's inputs, C = 0.01",
        StageRegression,
    ),
    NamedRecipe(
        "published",
        "the published method with lighter models: feature elimination and the best of 15 stacks "
        "for each pair, chosen inside the folds",
        PublishedRecipe,
    ),
    NamedRecipe(
        "published-fixed",
        "the published sets and stacks, which were chosen on the whole published cohort: on its "
        "patients every score is apparent",
        published_as_fixed,
    ),
)
"""Every recipe by name; see docs/recipes.md for what else was tried."""

SELECTABLE: tuple[str, ...] = tuple(name for name in RECIPES if not name.startswith("published"))
"""The recipes among which ``selected`` chooses inside each fold."""


def scores_of(model: Any, features: pd.DataFrame) -> tuple[FloatArray | None, dict[str, Any]]:
    """Ask a fitted model for its probabilities and its pair scores.

    Parameters
    ----------
    model
        A fitted `StageModel`.
    features
        `FEATURE_COLUMNS`, one row a patient.

    Returns
    -------
    tuple
        The stages' probabilities (float64, shape (n, 4)) or None, and the pair scores by pair
        name, by default the probabilities' log ratio.

    Raises
    ------
    TypeError
        The model has neither.
    """
    predict = getattr(model, "predict_proba", None)
    probabilities = None if predict is None else np.asarray(predict(features), dtype=np.float64)
    if hasattr(model, "pair_scores"):
        return probabilities, dict(model.pair_scores(features))
    if probabilities is None:
        raise TypeError(f"{type(model).__name__} has neither predict_proba nor pair_scores")
    return probabilities, pair_scores(probabilities)
