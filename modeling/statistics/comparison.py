"""Every site compared between every two stages."""

import math
from dataclasses import dataclass, replace

import pandas as pd

from modeling.calibration import PAIRS, pair_name
from modeling.cohort import SITE_NAMES
from modeling.statistics.site_values import site_values, stages_of
from modeling.statistics.two_groups import TwoGroups, compare_groups, false_discovery

__all__ = ["SiteComparison", "compare_sites"]


@dataclass(frozen=True)
class SiteComparison:
    """A site between the earlier (first) and the later (second) stage of a pair.

    Parameters
    ----------
    comparison
        HU of the two stages; effects are the later minus the earlier, so a loss is negative.
    q
        Its p-value after Benjamini-Hochberg over all sites and pairs together.
    """

    pair: str
    site: str
    comparison: TwoGroups
    q: float = math.nan


def compare_sites(cohort: pd.DataFrame) -> tuple[SiteComparison, ...]:
    """Compare the 36 sites between the six pairs of stages, pairwise complete."""
    values, stages = site_values(cohort), stages_of(cohort)
    found = [
        SiteComparison(
            pair_name(pair),
            site,
            compare_groups(*(values.loc[stages == s.value, site].to_numpy() for s in pair)),
        )
        for pair in PAIRS
        for site in SITE_NAMES
    ]
    adjusted = false_discovery([row.comparison.p for row in found])
    return tuple(replace(row, q=float(q)) for row, q in zip(found, adjusted, strict=True))
