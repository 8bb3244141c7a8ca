"""The 36 features of one patient: measured, or missing with a reason."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from roi_extraction.anatomy import Finding, Missing, SegmenterIdentity, SpineLandmarks
from roi_extraction.sites import SITES, Site

__all__ = ["FEATURE_SCHEMA_VERSION", "FeatureVector", "Roi", "SiteMeasurement"]

FEATURE_SCHEMA_VERSION = 1
"""Raised whenever a change alters any feature's numbers; a bundle states the one it accepts."""


@dataclass(frozen=True, eq=False)
class Roi:
    """One region of interest in one slice.

    Parameters
    ----------
    slice_index
        The slice in the source volume: the centre of the averaged slab.
    centre_lps_mm
        float64, shape (3,), LPS mm.
    contour_lps_mm
        float64, shape (n, 3), LPS mm: closed polygon, first point not repeated.
    area_mm2, mean_hu, sd_hu
        Of the pixels inside, weighted by the share of each that is covered.
    """

    slice_index: int
    centre_lps_mm: npt.NDArray[np.float64]
    contour_lps_mm: npt.NDArray[np.float64]
    area_mm2: float
    mean_hu: float
    sd_hu: float


@dataclass(frozen=True, eq=False)
class SiteMeasurement:
    """A site's value, or the reason why it has none.

    ``mean_hu`` is the mean of the three slices' means, ``sd_hu`` the pooled standard deviation
    within them; both NaN, and ``rois`` empty, when ``missing`` is set.
    """

    site: Site
    mean_hu: float
    sd_hu: float
    rois: tuple[Roi, ...]
    missing: Missing | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, eq=False)
class FeatureVector:
    """All 36 sites of one scan, in the cohort's order."""

    measurements: tuple[SiteMeasurement, ...]
    segmenter: SegmenterIdentity
    spine: SpineLandmarks
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        found = tuple(m.site.name for m in self.measurements)
        expected = tuple(site.name for site in SITES)
        if found != expected:
            raise ValueError(f"expected the 36 sites in the cohort's order, found {found}")

    @property
    def mean_hu(self) -> npt.NDArray[np.float64]:
        """float64, shape (36,): mean HU in the cohort's order, NaN where missing."""
        return np.array([m.mean_hu for m in self.measurements], dtype=np.float64)

    @property
    def by_name(self) -> Mapping[str, SiteMeasurement]:
        """The measurements by site name."""
        return {m.site.name: m for m in self.measurements}
