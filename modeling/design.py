"""The model's inputs: six vertebrae, features derived row by row from 32 sites, age and sex."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from modeling.cohort import FEATURE_COLUMNS, SITE_NAMES
from modeling.errors import InvalidFeatures
from roi_extraction.sites import SITES, DiscLevel, Level, Muscle, Side

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "AGE",
    "CLIP_HU",
    "DESIGN",
    "SEX",
    "UNUSED_SITES",
    "USED_SITES",
    "DesignFeature",
    "design_matrix",
    "design_of",
    "impute",
]

FloatArray = npt.NDArray[np.float64]

CLIP_HU = (-150.0, 450.0)
"""Values are clipped to this, in HU: fat and dense trabecular bone with room to spare; beyond it
the published table holds cement and metal."""

UNUSED_SITES: tuple[str, ...] = ("L5-S1_2", "L5-S1_3", "L5-S1_5", "L5-S1_6")
"""Longissimus and psoas at L5-S1, which 90 % of the published cohort lacks."""

USED_SITES: tuple[str, ...] = tuple(name for name in SITE_NAMES if name not in UNUSED_SITES)
"""The 32 sites that the model uses, in the cohort's order."""

AGE = "age"
"""The design's name for age in years."""

SEX = "sex"
"""The design's name for sex (0 female, 1 male)."""

_LUMBAR = tuple(level.value for level in Level if level is not Level.S1)


@dataclass(frozen=True)
class DesignFeature:
    """One input of the model.

    Parameters
    ----------
    name
        A site's name, `AGE`, `SEX`, or words that say what is derived.
    sites
        The measured sites that it comes from; empty for age and sex.
    """

    name: str
    sites: tuple[str, ...]


Derivation = Callable[[FloatArray], FloatArray]
"""From HU of some sites, float64, shape (sites, n), to a feature, float64, shape (n,)."""


def design_matrix(mean_hu: FloatArray, age: FloatArray, sex: FloatArray) -> FloatArray:
    """Derive the model's inputs; each row depends on that patient alone.

    Parameters
    ----------
    mean_hu
        float64, shape (n, 36): mean HU in the cohort's order, NaN where missing.
    age
        float64, shape (n,): years, NaN where unknown.
    sex
        float64, shape (n,): 0 female, 1 male, NaN where unknown.

    Returns
    -------
    ndarray
        float64, shape (n, 43), the columns `DESIGN`; NaN where all that a column needs is missing.

    Raises
    ------
    InvalidFeatures
        Shapes that do not fit.
    """
    count = len(age)
    if mean_hu.shape != (count, len(SITE_NAMES)) or sex.shape != (count,):
        raise InvalidFeatures(
            f"expected HU of shape ({count}, {len(SITE_NAMES)}), found {mean_hu.shape}"
        )
    clipped = np.ascontiguousarray(np.clip(mean_hu, *CLIP_HU).T)
    columns = [formula(clipped[rows]) for formula, rows in _DERIVATIONS]
    return np.column_stack([*columns, age, sex])


def design_of(X: "pd.DataFrame") -> FloatArray:
    """Check `FEATURE_COLUMNS` and derive the inputs; float64, shape (n, 43), columns `DESIGN`."""
    found = tuple(X.columns)
    if found != FEATURE_COLUMNS:
        wrong = [
            i
            for i, pair in enumerate(zip(found, FEATURE_COLUMNS, strict=False))
            if pair[0] != pair[1]
        ]
        where = (
            f"; the first to differ is column {wrong[0] + 1}, {found[wrong[0]]!r}" if wrong else ""
        )
        raise InvalidFeatures(f"expected the {len(FEATURE_COLUMNS)} columns in order{where}")
    values = X.to_numpy(dtype=np.float64)
    if np.isinf(values).any():
        raise InvalidFeatures("infinite values")
    n = len(SITE_NAMES)
    return design_matrix(values[:, :n], values[:, n], values[:, n + 1])


def impute(matrix: FloatArray, medians: FloatArray) -> FloatArray:
    """Replace NaN by the column's median; float64, shape (n, 43)."""
    return np.where(np.isnan(matrix), medians, matrix)


def _first(hu: FloatArray) -> FloatArray:
    return np.asarray(hu[0])


def _mean(hu: FloatArray) -> FloatArray:
    measured = ~np.isnan(hu)
    count = measured.sum(axis=0)
    # Site by site, so that a patient's mean does not depend on who else is in the table.
    total = reduce(np.add, np.where(measured, hu, 0.0))
    return np.asarray(np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0))


def _lowest(hu: FloatArray) -> FloatArray:
    return np.asarray(np.fmin.reduce(hu, axis=0))


def _highest(hu: FloatArray) -> FloatArray:
    return np.asarray(np.fmax.reduce(hu, axis=0))


def _median(hu: FloatArray) -> FloatArray:
    count, patients = (~np.isnan(hu)).sum(axis=0), np.arange(hu.shape[1])
    ordered = np.sort(hu, axis=0)
    lower = ordered[np.maximum(count - 1, 0) // 2, patients]
    upper = ordered[np.minimum(count // 2, len(hu) - 1), patients]
    return np.asarray((lower + upper) / 2)


def _range(hu: FloatArray) -> FloatArray:
    return _highest(hu) - _lowest(hu)


def _excess(index: int) -> Derivation:
    return lambda hu: hu[index] - _median(hu)


def _largest_excess(hu: FloatArray) -> FloatArray:
    return _highest(hu) - _median(hu)


def _right_minus_left(hu: FloatArray) -> FloatArray:
    half = len(hu) // 2
    return _mean(hu[:half]) - _mean(hu[half:])


def _formulas() -> list[tuple[DesignFeature, Derivation]]:
    found: list[tuple[DesignFeature, Derivation]] = [
        (DesignFeature(level.value, (level.value,)), _first) for level in Level
    ]

    def add(name: str, sites: tuple[str, ...], formula: Derivation) -> None:
        found.append((DesignFeature(name, sites), formula))

    add("median of L1-L5", _LUMBAR, _median)
    add("lowest of L1-L5", _LUMBAR, _lowest)
    add("highest of L1-L5", _LUMBAR, _highest)
    add("range of L1-L5", _LUMBAR, _range)
    for index, name in enumerate(_LUMBAR):
        add(f"{name} minus median of L1-L5", _LUMBAR, _excess(index))
    add("highest minus median of L1-L5", _LUMBAR, _largest_excess)
    add("mean of L4, L5, S1", ("L4", "L5", "S1"), _mean)
    add("mean of L5, S1", ("L5", "S1"), _mean)
    for muscle in Muscle:
        for disc in DiscLevel:
            pair = _muscle_sites(muscle, disc)
            if pair:
                add(f"{muscle} at {disc}, both sides", pair, _mean)
        every = _muscle_sites(muscle)
        add(f"{muscle}, mean of all levels", every, _mean)
        add(f"{muscle}, lowest of all levels", every, _lowest)
        add(f"{muscle}, right minus left", every, _right_minus_left)
    add("mean of all muscles", tuple(s for s in USED_SITES if "_" in s), _mean)
    return found


def _muscle_sites(muscle: Muscle, disc: DiscLevel | None = None) -> tuple[str, ...]:
    """Sites of a muscle, all of the first side before all of the second."""
    return tuple(
        site.name
        for side in Side
        for site in SITES
        if site.muscle is muscle
        and site.side is side
        and (disc is None or site.disc is disc)
        and site.name in USED_SITES
    )


_FORMULAS = _formulas()

_DERIVATIONS = tuple(
    (formula, np.array([SITE_NAMES.index(site) for site in feature.sites]))
    for feature, formula in _FORMULAS
)
"""Each derivation and the places of its sites."""

DESIGN: tuple[DesignFeature, ...] = (
    *(feature for feature, _ in _FORMULAS),
    DesignFeature(AGE, ()),
    DesignFeature(SEX, ()),
)
"""The columns of `design_matrix`: 6 vertebrae, 35 derived features, age, sex."""
