"""How much the stages move when another scanner, or contrast medium, shifts all HU."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from modeling.calibration import pair_scores
from modeling.cohort import SITE_NAMES, Stage
from modeling.metrics import pair_aurocs
from roi_extraction.sites import SITES_BY_NAME

__all__ = ["SHIFTS", "Shifted", "shifted", "stability"]

FloatArray = npt.NDArray[np.float64]

SHIFTS: Mapping[str, tuple[float, float]] = {
    "all -20": (-20, -20),
    "all -10": (-10, -10),
    "all +10": (10, 10),
    "all +20": (20, 20),
    "bone -10": (-10, 0),
    "bone +10": (10, 0),
    "bone +15": (15, 0),
    "muscle -10": (0, -10),
    "muscle +10": (0, 10),
}
"""Offsets of vertebrae and of muscles in HU, by name; bone +15 as by contrast medium."""


class Shifted(Protocol):
    """Predictions of one outer cross-validation, also of shifted patients."""

    @property
    def probabilities(self) -> FloatArray:
        """Of the patients as measured: float64, shape (n, 4)."""

    @property
    def shifted(self) -> Mapping[str, FloatArray]:
        """By name of `SHIFTS`: float64, shape (n, 4)."""


def shifted(features: pd.DataFrame, name: str) -> pd.DataFrame:
    """Shift patients' values by one of `SHIFTS`; missing values stay missing."""
    bone, muscle = SHIFTS[name]
    found = features.copy()
    found[list(SITE_NAMES)] += [
        bone if SITES_BY_NAME[s].is_vertebra else muscle for s in SITE_NAMES
    ]
    return found


def stability(
    predictions: Sequence[Shifted], stages: npt.NDArray[Any]
) -> dict[str, dict[str, Any]]:
    """Say what each shift does to stages that were predicted out of fold.

    Parameters
    ----------
    predictions
        One outer cross-validation for each repeat.
    stages
        str, shape (n,).

    Returns
    -------
    dict
        By name of `SHIFTS`: ``flips``, the share of patients whose most probable stage changes;
        ``predicted``, the share of each stage among the predictions; ``mean_pair_auroc``, pooled
        over the folds.
    """
    order = [stage.value for stage in Stage]
    found = {}
    for name in SHIFTS:
        tops = [each.shifted[name].argmax(axis=1) for each in predictions]
        own = [each.probabilities.argmax(axis=1) for each in predictions]
        areas = [
            list(pair_aurocs(pair_scores(each.shifted[name]), stages).values())
            for each in predictions
        ]
        found[name] = {
            "flips": round(float(np.mean([a != b for a, b in zip(tops, own, strict=True)])), 4),
            "predicted": {
                stage: round(float(np.mean([top == k for top in tops])), 4)
                for k, stage in enumerate(order)
            },
            "mean_pair_auroc": round(float(np.mean(areas)), 4),
        }
    return found
