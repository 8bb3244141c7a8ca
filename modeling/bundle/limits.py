"""When the model abstains: too little measured, or values far outside the cohort's."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.cohort import SITE_NAMES
from modeling.design import CLIP_HU, USED_SITES
from roi_extraction.anatomy import Finding
from roi_extraction.sites import SITES_BY_NAME, Level

__all__ = ["MIN_VERTEBRAE", "Bounds", "StagingLimits", "fit_limits", "tissue"]

MIN_VERTEBRAE = 4
"""Vertebrae of six that must be measured: on the published cohort with sites masked at random, the
mean pair AUROC is .839 with six, .829 with four, .808 with three (docs/modeling.md)."""

RANGE_QUANTILES = (0.001, 0.999)
"""The cohort's range of a tissue, as quantiles: its few grossly outlying cells (bone or metal
within a ROI) do not widen it."""

FAR_FACTOR = 1.5
"""Far outside is half as far again from the tissue's median as the end of its range. On the
published cohort this refuses 12 of 443 patients: those with cement or metal in a vertebra, or a
bony or all-fat muscle ROI (docs/modeling.md)."""


@dataclass(frozen=True)
class Bounds:
    """The cohort's range, and where far outside of it begins.

    Parameters
    ----------
    low, high
        Ends of the range, in the values' unit.
    far_low, far_high
        Beyond these a value is far outside.
    """

    low: float
    high: float
    far_low: float
    far_high: float

    @classmethod
    def of(
        cls, values: npt.NDArray[np.float64], quantiles: tuple[float, float] = RANGE_QUANTILES
    ) -> "Bounds":
        """Fit to values, float64, shape (n,), NaN ignored."""
        low, median, high = np.nanquantile(values, [quantiles[0], 0.5, quantiles[1]])
        return cls(
            round(float(low), 3),
            round(float(high), 3),
            round(float(median + FAR_FACTOR * (low - median)), 3),
            round(float(median + FAR_FACTOR * (high - median)), 3),
        )

    def is_outside(self, value: float) -> bool:
        """Whether a value lies outside the cohort's range."""
        return not self.low <= value <= self.high

    def is_far(self, value: float) -> bool:
        """Whether a value lies far outside the cohort's range."""
        return not self.far_low <= value <= self.far_high


@dataclass(frozen=True)
class StagingLimits:
    """What a patient must have to be staged.

    Parameters
    ----------
    min_vertebrae, min_muscles
        Measured sites, of the 6 vertebrae and the 26 muscle sites that the model uses.
    tissues
        The bounds of each `tissue`, in HU.
    age_years
        The bounds of the cohort's ages, in years.
    """

    min_vertebrae: int
    min_muscles: int
    tissues: Mapping[str, Bounds]
    age_years: Bounds

    def refusals(
        self,
        mean_hu: npt.NDArray[np.float64],
        age: float | None,
        *,
        without_l5_s1: bool = False,
    ) -> tuple[Finding, ...]:
        """Say why a patient must not be staged; empty if nothing speaks against it.

        Parameters
        ----------
        mean_hu
            float64, shape (36,): NaN where missing.
        age
            Years, or None.
        without_l5_s1
            Whether a patient without both L5 and S1 is staged all the same.
        """
        by_name = dict(zip(SITE_NAMES, map(float, mean_hu), strict=True))
        infinite = [name for name, value in by_name.items() if math.isinf(value)]
        if infinite or (age is not None and not math.isfinite(age)):
            where = ", ".join(infinite) if infinite else "age"
            return (Finding("model.not_finite", f"not a finite number: {where}"),)
        found = []
        measured = [name for name in USED_SITES if not math.isnan(by_name[name])]
        vertebrae = sum(SITES_BY_NAME[name].is_vertebra for name in measured)
        muscles = len(measured) - vertebrae
        if vertebrae < self.min_vertebrae:
            found.append(
                Finding(
                    "model.too_few_vertebrae",
                    f"{vertebrae} of 6 vertebrae measured, at least {self.min_vertebrae} needed",
                )
            )
        elif not (without_l5_s1 or {"L5", "S1"} & set(measured)):
            found.append(
                Finding(
                    "model.lumbosacral_missing",
                    "neither L5 nor S1 was measured; with medians in their place the stage would "
                    "often be another",
                )
            )
        if muscles < self.min_muscles:
            found.append(
                Finding(
                    "model.too_few_muscles",
                    f"{muscles} of {len(USED_SITES) - 6} muscle sites measured, at least "
                    f"{self.min_muscles} needed",
                )
            )
        far = [n for n in measured if self.tissues[tissue(n)].is_far(by_name[n])]
        if far:
            said = ", ".join(f"{name} {by_name[name]:.0f} HU" for name in far)
            found.append(
                Finding("model.far_outside_cohort", f"far outside the cohort's range: {said}")
            )
        if age is not None and self.age_years.is_far(age):
            found.append(
                Finding(
                    "model.age_far_outside_cohort",
                    f"age {age:g} is far outside the cohort's "
                    f"({self.age_years.low:.0f} to {self.age_years.high:.0f} years)",
                )
            )
        return tuple(found)

    def cautions(self, mean_hu: npt.NDArray[np.float64], age: float | None) -> tuple[Finding, ...]:
        """Say what the reader should know about a patient who can be staged.

        Parameters
        ----------
        mean_hu, age
            As for `refusals`.
        """
        by_name = dict(zip(SITE_NAMES, map(float, mean_hu), strict=True))
        found = []
        absent = [n for n in USED_SITES if math.isnan(by_name[n])]
        bones = [n for n in absent if SITES_BY_NAME[n].is_vertebra]
        muscles = [n for n in absent if n not in bones]
        for code, names in (("model.vertebra_imputed", bones), ("model.muscle_imputed", muscles)):
            if names:
                said = f"not measured, the cohort's median stands in: {', '.join(names)}"
                found.append(Finding(code, said))
        outside = [
            n
            for n in USED_SITES
            if not math.isnan(by_name[n]) and self.tissues[tissue(n)].is_outside(by_name[n])
        ]
        if outside:
            said = ", ".join(f"{name} {by_name[name]:.0f} HU" for name in outside)
            found.append(Finding("model.outside_cohort", f"outside the cohort's range: {said}"))
        if age is not None and self.age_years.is_outside(age):
            found.append(
                Finding(
                    "model.age_outside_cohort",
                    f"age {age:g} is outside the cohort's "
                    f"({self.age_years.low:.0f} to {self.age_years.high:.0f} years)",
                )
            )
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """Write as a JSON object."""
        return {
            "min_vertebrae": self.min_vertebrae,
            "min_muscles": self.min_muscles,
            "tissues_hu": {name: vars(bounds) for name, bounds in self.tissues.items()},
            "age_years": vars(self.age_years),
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "StagingLimits":
        """Read what `to_json` wrote; KeyError, TypeError or ValueError for anything else."""
        names = dict.fromkeys(map(tissue, USED_SITES))
        return cls(
            int(found["min_vertebrae"]),
            int(found["min_muscles"]),
            {name: Bounds(**found["tissues_hu"][name]) for name in names},
            Bounds(**found["age_years"]),
        )


def tissue(site_name: str) -> str:
    """Name the tissue whose range a site shares: ``L1-L5``, ``S1``, or the muscle.

    >>> tissue("L4-L5_3")
    'psoas major'
    """
    site = SITES_BY_NAME[site_name]
    if site.muscle is not None:
        return site.muscle.value
    return "S1" if site.level is Level.S1 else "L1-L5"


def fit_limits(mean_hu: npt.NDArray[np.float64], age: npt.NDArray[np.float64]) -> StagingLimits:
    """Derive the limits from a cohort.

    The least number of muscle sites is the least that any patient of the cohort has: the model
    has seen no poorer one.

    Parameters
    ----------
    mean_hu
        float64, shape (n, 36).
    age
        float64, shape (n,), years.
    """
    clipped = np.clip(mean_hu, *CLIP_HU)
    groups: dict[str, list[int]] = {}
    for name in USED_SITES:
        groups.setdefault(tissue(name), []).append(SITE_NAMES.index(name))
    muscles = [SITE_NAMES.index(n) for n in USED_SITES if not SITES_BY_NAME[n].is_vertebra]
    return StagingLimits(
        MIN_VERTEBRAE,
        int((~np.isnan(mean_hu[:, muscles])).sum(axis=1).min()),
        {name: Bounds.of(clipped[:, columns].ravel()) for name, columns in groups.items()},
        Bounds.of(age, (0.0, 1.0)),
    )
