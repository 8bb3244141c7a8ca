"""Every site compared between every two stages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from modeling.calibration import PAIRS, pair_name
from modeling.cohort import SITE_NAMES
from modeling.statistics.drawing import heat_map, new_axes
from modeling.statistics.site_values import site_values, stages_of
from modeling.statistics.two_groups import TwoGroups, compare_groups, false_discovery

__all__ = ["SiteComparison", "compare_sites", "plot"]

MARKS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))
"""Marks of an adjusted p-value below each bound."""


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


def plot(rows: Sequence[SiteComparison], ax: Any = None) -> Any:
    """Cliff's delta of each site and pair as colours, with marks of the adjusted p-values."""
    ax = new_axes(ax, (8, 9.5))
    pairs = list(dict.fromkeys(row.pair for row in rows))
    values = np.full((len(SITE_NAMES), len(pairs)), np.nan)
    texts = [[""] * len(pairs) for _ in SITE_NAMES]
    for row in rows:
        place = SITE_NAMES.index(row.site), pairs.index(row.pair)
        delta = row.comparison.cliffs_delta
        values[place] = delta
        mark = next((mark for bound, mark in MARKS if row.q < bound), "")
        texts[place[0]][place[1]] = (
            f"{round(delta, 2) + 0.0:.2f} {mark}".strip() if not np.isnan(delta) else "–"
        )
    heat_map(
        ax,
        values,
        SITE_NAMES,
        pairs,
        texts,
        (-1, 1),
        "PuOr",
        "Cliff's delta (below 0: lower HU in the later stage)",
    )
    ax.set_xlabel("pair of stages     * q < .05   ** q < .01   *** q < .001")
    ax.set_ylabel("site")
    return ax
