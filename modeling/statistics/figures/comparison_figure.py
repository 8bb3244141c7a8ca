"""The figure of the sites compared between the stages."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from modeling.cohort import SITE_NAMES
from modeling.statistics.comparison import SiteComparison
from modeling.statistics.figures.drawing import heat_map, new_axes

__all__ = ["STARS_EXPLAINED", "plot", "stars"]

MARKS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))
"""Marks of an adjusted p-value below each bound."""

STARS_EXPLAINED = "* q < .05   ** q < .01   *** q < .001"
"""The marks, for an axis."""


def stars(q: float) -> str:
    """Mark an adjusted p-value.

    >>> stars(0.03), stars(0.0004), stars(0.2)
    ('*', '***', '')
    """
    return next((mark for bound, mark in MARKS if q < bound), "")


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
        texts[place[0]][place[1]] = (
            f"{round(delta, 2) + 0.0:.2f} {stars(row.q)}".strip() if not np.isnan(delta) else "–"
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
    ax.set_xlabel(f"pair of stages     {STARS_EXPLAINED}")
    ax.set_ylabel("site")
    return ax
