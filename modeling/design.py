"""The model's inputs: six vertebrae, features derived row by row from 32 sites, age and sex."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
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
    sites = _SiteValues(np.ascontiguousarray(np.clip(mean_hu, *CLIP_HU).T))
    columns = [formula(sites) for _, formula in _FORMULAS]
    return np.ascontiguousarray(np.array([*columns, age, sex]).T)


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


class _SiteValues:
    """HU of all sites, and what several inputs need of them, computed once.

    Parameters
    ----------
    hu
        float64, shape (36, n): clipped, in the cohort's order, NaN where missing.
    """

    def __init__(self, hu: FloatArray) -> None:
        self.hu = hu
        self.lumbar = hu[: len(_LUMBAR)]

    @cached_property
    def lumbar_median(self) -> FloatArray:
        """Median of L1 to L5, float64, shape (n,)."""
        count, patients = (~np.isnan(self.lumbar)).sum(axis=0), np.arange(self.lumbar.shape[1])
        ordered = np.sort(self.lumbar, axis=0)
        lower = ordered[np.maximum(count - 1, 0) // 2, patients]
        upper = ordered[np.minimum(count // 2, len(ordered) - 1), patients]
        return np.asarray((lower + upper) / 2)

    @cached_property
    def lumbar_lowest(self) -> FloatArray:
        """Lowest of L1 to L5, float64, shape (n,)."""
        return np.asarray(np.fmin.reduce(self.lumbar, axis=0))

    @cached_property
    def lumbar_highest(self) -> FloatArray:
        """Highest of L1 to L5, float64, shape (n,)."""
        return np.asarray(np.fmax.reduce(self.lumbar, axis=0))

    @cached_property
    def means(self) -> dict[str, FloatArray]:
        """Mean of the measured sites of each of `_AVERAGED`, float64, shape (n,)."""
        known = ~np.isnan(self.hu)
        nothing = np.zeros((1, self.hu.shape[1]))
        values = np.concatenate([np.where(known, self.hu, 0.0), nothing])
        counted = np.concatenate([known, nothing])
        total, count = np.zeros((2, len(_AVERAGED), self.hu.shape[1]))
        # Site by site, so that a patient's mean does not depend on who else is in the table.
        for sites in _AVERAGED_SITES:
            total += values.take(sites, axis=0)
            count += counted.take(sites, axis=0)
        found = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
        return dict(zip(_AVERAGED, found, strict=True))


Formula = Callable[[_SiteValues], FloatArray]
"""From the sites' HU to an input of the model, float64, shape (n,)."""


def _site(name: str) -> Formula:
    row = SITE_NAMES.index(name)
    return lambda sites: sites.hu[row]


def _mean(name: str) -> Formula:
    return lambda sites: sites.means[name]


def _excess(level: str) -> Formula:
    row = SITE_NAMES.index(level)
    return lambda sites: sites.hu[row] - sites.lumbar_median


def _lowest(names: tuple[str, ...]) -> Formula:
    rows = [SITE_NAMES.index(name) for name in names]
    return lambda sites: np.asarray(np.fmin.reduce(sites.hu[rows], axis=0))


def _difference(first: str, second: str) -> Formula:
    return lambda sites: sites.means[first] - sites.means[second]


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


def _one_side(muscle: Muscle, side: Side) -> str:
    return f"{muscle}, {side}"


def _averaged() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {
        "mean of L4, L5, S1": ("L4", "L5", "S1"),
        "mean of L5, S1": ("L5", "S1"),
    }
    for muscle in Muscle:
        for disc in DiscLevel:
            found[f"{muscle} at {disc}, both sides"] = _muscle_sites(muscle, disc)
        every = _muscle_sites(muscle)
        found[f"{muscle}, mean of all levels"] = every
        for number, side in enumerate(Side):
            half = len(every) // 2
            found[_one_side(muscle, side)] = every[number * half : (number + 1) * half]
    found["mean of all muscles"] = tuple(name for name in USED_SITES if "_" in name)
    return {name: sites for name, sites in found.items() if sites}


_AVERAGED = _averaged()
"""Sites of each mean, by its name."""

_AVERAGED_SITES = np.array(
    list(
        zip_longest(
            *([SITE_NAMES.index(site) for site in sites] for sites in _AVERAGED.values()),
            fillvalue=len(SITE_NAMES),
        )
    )
)
"""Row k holds the k-th site of each mean; one past the last site stands for none."""


def _formulas() -> list[tuple[DesignFeature, Formula]]:
    found: list[tuple[DesignFeature, Formula]] = [
        (DesignFeature(level.value, (level.value,)), _site(level.value)) for level in Level
    ]

    def add(name: str, sites: tuple[str, ...], formula: Formula) -> None:
        found.append((DesignFeature(name, sites), formula))

    def add_mean(name: str) -> None:
        add(name, _AVERAGED[name], _mean(name))

    add("median of L1-L5", _LUMBAR, lambda sites: sites.lumbar_median)
    add("lowest of L1-L5", _LUMBAR, lambda sites: sites.lumbar_lowest)
    add("highest of L1-L5", _LUMBAR, lambda sites: sites.lumbar_highest)
    add("range of L1-L5", _LUMBAR, lambda sites: sites.lumbar_highest - sites.lumbar_lowest)
    for level in _LUMBAR:
        add(f"{level} minus median of L1-L5", _LUMBAR, _excess(level))
    add(
        "highest minus median of L1-L5",
        _LUMBAR,
        lambda sites: sites.lumbar_highest - sites.lumbar_median,
    )
    add_mean("mean of L4, L5, S1")
    add_mean("mean of L5, S1")
    for muscle in Muscle:
        for disc in DiscLevel:
            if _muscle_sites(muscle, disc):
                add_mean(f"{muscle} at {disc}, both sides")
        every = _muscle_sites(muscle)
        add_mean(f"{muscle}, mean of all levels")
        add(f"{muscle}, lowest of all levels", every, _lowest(every))
        sides = (_one_side(muscle, side) for side in Side)
        add(f"{muscle}, right minus left", every, _difference(*sides))
    add_mean("mean of all muscles")
    return found


_FORMULAS = _formulas()

DESIGN: tuple[DesignFeature, ...] = (
    *(feature for feature, _ in _FORMULAS),
    DesignFeature(AGE, ()),
    DesignFeature(SEX, ()),
)
"""The columns of `design_matrix`: 6 vertebrae, 35 derived features, age, sex."""
