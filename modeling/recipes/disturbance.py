"""What another scanner or scan may change: copies of the training patients that differ by it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from modeling.cohort import SITE_NAMES
from roi_extraction.sites import SITES_BY_NAME

__all__ = ["MISSING_RATES", "NO_DISTURBANCE", "STANDARD_DISTURBANCE", "Disturbance"]

FloatArray = npt.NDArray[np.float64]

_SCANS = 110
_MISSING_IN = {
    "L1-L2_3": 110, "L1-L2_6": 110, "L5-S1_4": 49, "L5-S1_1": 30, "L4-L5_5": 20, "L2-L3_3": 19,
    "L1-L2_4": 15, "L2-L3_6": 13, "L1-L2_1": 11, "S1": 11, "L3-L4_3": 6, "L3-L4_6": 6,
    "L4-L5_3": 6, "L4-L5_6": 5, "L4-L5_2": 3, "L1-L2_5": 3, "L2-L3_2": 2, "L1-L2_2": 1,
    "L3-L4_2": 1,
}  # fmt: skip

MISSING_RATES: Mapping[str, float] = {name: n / _SCANS for name, n in _MISSING_IN.items()}
"""How often a used site cannot be measured, of 110 complete scans (docs/accuracy.md); a site that
does not stand here always could."""


@dataclass(frozen=True)
class Disturbance:
    """How copies of the training patients differ from them.

    Parameters
    ----------
    copies
        Copies of each patient beside the patient as measured.
    offset_hu
        Standard deviation of the offset that all sites of a copy share, in HU.
    bone_hu
        Standard deviation of a further offset of the vertebrae alone, in HU, as by contrast medium.
    site_noise_hu
        Standard deviation of each site by itself, in HU.
    missing
        Whether sites are left out at `MISSING_RATES`.
    """

    copies: int
    offset_hu: float = 0.0
    bone_hu: float = 0.0
    site_noise_hu: float = 0.0
    missing: bool = False

    def applied(self, mean_hu: FloatArray, generator: np.random.Generator) -> FloatArray:
        """Give the patients as measured, and after them their copies.

        Parameters
        ----------
        mean_hu
            float64, shape (n, 36): HU in the cohort's order, NaN where missing.
        generator
            Draws what the copies differ by.

        Returns
        -------
        ndarray
            float64, shape ((1 + copies) n, 36): each block in the patients' order.
        """
        is_bone = np.array([SITES_BY_NAME[name].is_vertebra for name in SITE_NAMES])
        rates = np.array([MISSING_RATES.get(name, 0.0) for name in SITE_NAMES])
        count, blocks = len(mean_hu), [mean_hu]
        for _ in range(self.copies):
            copy = mean_hu + generator.normal(0, self.offset_hu, (count, 1))
            copy += is_bone * generator.normal(0, self.bone_hu, (count, 1))
            copy += generator.normal(0, self.site_noise_hu, mean_hu.shape)
            lost = generator.random(mean_hu.shape) < rates
            blocks.append(np.where(lost & self.missing, np.nan, copy))
        return np.vstack(blocks)


NO_DISTURBANCE = Disturbance(0)
"""The patients as measured alone."""

STANDARD_DISTURBANCE = Disturbance(3, offset_hu=15.0, missing=True)
"""What the default model is trained with; docs/recipes.md has what else was tried."""
