"""The HU of the psoas major, a summary of its measured sites."""

from dataclasses import dataclass

import numpy as np

from roi_extraction.features import FeatureVector
from roi_extraction.sites import Muscle

__all__ = ["PsoasSummary", "psoas_summary"]


@dataclass(frozen=True)
class PsoasSummary:
    """The psoas major over all its measured sites.

    Parameters
    ----------
    mean_hu, sd_hu
        Medians of the sites' means and standard deviations, HU.
    sites
        Number of sites.
    """

    mean_hu: float
    sd_hu: float
    sites: int


def psoas_summary(features: FeatureVector) -> PsoasSummary | None:
    """Summarise the psoas of both sides; None when no site of it was measured."""
    values = [
        (found.mean_hu, found.sd_hu)
        for found in features.measurements
        if found.site.muscle is Muscle.PSOAS_MAJOR and found.missing is None
    ]
    if not values:
        return None
    mean_hu, sd_hu = np.median(values, axis=0)
    return PsoasSummary(float(mean_hu), float(sd_hu), len(values))
