"""Whether a table's values as a whole can be HU."""

import numpy as np
import numpy.typing as npt

from modeling.cohort.reading import PLAUSIBLE_BONE_HU, PLAUSIBLE_MUSCLE_HU, SITE_NAMES
from modeling.errors import CohortUnits
from roi_extraction.sites import SITES

__all__ = ["check_units"]

LEAST_VALUES_FOR_UNITS = 5
"""Values of a column below which its unit is not judged."""

LARGEST_DENSITY = 6.0
"""Densities in g/cm3 and T-scores lie within this; the HU of several vertebrae do not."""


def check_units(mean_hu: npt.NDArray[np.float64]) -> None:
    """Refuse a table whose columns hold something else than HU.

    A column is judged by its median, which single implausible values do not move.

    Parameters
    ----------
    mean_hu
        float64, shape (n, 36): NaN where missing.

    Raises
    ------
    CohortUnits
        Vertebrae that are all near 0 (g/cm3, T-scores), or a median that the tissue cannot have
        (stored values whose offset was not subtracted).
    """
    for column, (name, site) in enumerate(zip(SITE_NAMES, SITES, strict=True)):
        values = mean_hu[:, column]
        rows = np.flatnonzero(~np.isnan(values))
        values = values[rows]
        if len(values) < LEAST_VALUES_FOR_UNITS:
            continue
        first = f"data row {rows[0] + 1} has {values[0]:g}"
        if site.is_vertebra and (np.abs(values) <= LARGEST_DENSITY).all():
            raise CohortUnits(
                name,
                f"all {len(values)} values lie within {LARGEST_DENSITY:g} of 0 ({first}), as "
                "densities in g/cm3 or T-scores do",
                "give mean HU",
            )
        low, high = PLAUSIBLE_BONE_HU if site.is_vertebra else PLAUSIBLE_MUSCLE_HU
        median = float(np.median(values))
        if not low <= median <= high:
            tissue = "trabecular bone" if site.is_vertebra else "muscle"
            raise CohortUnits(
                name,
                f"the median of {len(values)} values is {median:g} ({first}), HU of {tissue} lie "
                f"within {low:g} to {high:g}",
                "give mean HU; stored values need their slope and intercept (often -1024) first",
            )
