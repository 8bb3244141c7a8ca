"""How far a patient's values lie from the cohort's, as a rank among its patients."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.calibration import rounded
from modeling.cohort import SITE_NAMES
from modeling.design import CLIP_HU, USED_SITES

__all__ = ["UNUSUAL_PERCENT", "Novelty", "fit_novelty"]

FloatArray = npt.NDArray[np.float64]

UNUSUAL_PERCENT = 99.0
"""Percentile from which on the report says that the values are unlike the cohort's."""

NORMAL_MAD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation (Rousseeuw &
Croux 1993, doi 10.1080/01621459.1993.10476408)."""

_USED = [SITE_NAMES.index(name) for name in USED_SITES]


@dataclass(frozen=True, eq=False)
class Novelty:
    """The cohort's spread of each used site, and how far its own patients lie.

    The distance is the root mean square, over the sites that are measured, of the deviation from
    the cohort's median in robust standard deviations; it ignores how sites go together.

    Parameters
    ----------
    medians, spreads
        float64, shape (32,): HU, in the order of `modeling.design.USED_SITES`.
    quantiles
        float64, shape (101,): 0 to 100 % of the distances of the cohort's patients.
    """

    medians: FloatArray
    spreads: FloatArray
    quantiles: FloatArray

    def distance(self, mean_hu: FloatArray) -> float:
        """Measure one patient's distance; NaN if no used site is measured.

        Parameters
        ----------
        mean_hu
            float64, shape (36,): HU in the cohort's order, NaN where missing.
        """
        return float(_distances(mean_hu[None, :], self.medians, self.spreads)[0])

    def percentile(self, mean_hu: FloatArray) -> float:
        """Share of the cohort's patients that lie nearer, in %, 0 to 100."""
        return float(np.interp(self.distance(mean_hu), self.quantiles, np.arange(101.0)))

    def to_json(self) -> dict[str, Any]:
        """Write as a JSON object, sites by name."""
        return {
            "medians_hu": dict(zip(USED_SITES, map(float, self.medians), strict=True)),
            "spreads_hu": dict(zip(USED_SITES, map(float, self.spreads), strict=True)),
            "quantiles": [float(q) for q in self.quantiles],
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Novelty":
        """Read what `to_json` wrote; KeyError or ValueError for anything else."""
        quantiles = np.array(found["quantiles"], dtype=np.float64)
        if quantiles.shape != (101,):
            raise ValueError(f"expected 101 quantiles, found shape {quantiles.shape}")
        return cls(
            np.array([found["medians_hu"][name] for name in USED_SITES], dtype=np.float64),
            np.array([found["spreads_hu"][name] for name in USED_SITES], dtype=np.float64),
            quantiles,
        )


def fit_novelty(mean_hu: FloatArray) -> Novelty:
    """Fit to a cohort, float64, shape (n, 36), NaN where missing."""
    used = np.clip(mean_hu[:, _USED], *CLIP_HU)
    medians = np.nanmedian(used, axis=0)
    spreads = NORMAL_MAD * np.nanmedian(np.abs(used - medians), axis=0)
    distances = _distances(mean_hu, medians, spreads)
    quantiles = np.nanquantile(distances, np.linspace(0, 1, 101))
    return Novelty(*(np.array([rounded(v) for v in a]) for a in (medians, spreads, quantiles)))


def _distances(mean_hu: FloatArray, medians: FloatArray, spreads: FloatArray) -> FloatArray:
    squared = ((np.clip(mean_hu[:, _USED], *CLIP_HU) - medians) / spreads) ** 2
    measured = ~np.isnan(squared)
    count = measured.sum(axis=1)
    total = np.where(measured, squared, 0.0).sum(axis=1)
    return np.asarray(
        np.sqrt(np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0))
    )
