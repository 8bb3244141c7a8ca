"""The cohort's HU as the statistics take them, and their results as tables."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from modeling.bundle.limits import tissue
from modeling.cohort import SITE_NAMES, STAGE_COLUMN, Stage
from modeling.design import CLIP_HU

__all__ = [
    "MAX_MISSING_SHARE",
    "TISSUES",
    "clipped_count",
    "comparison_table",
    "pair_rows",
    "site_values",
    "stages_of",
    "table_of",
    "tissue_means",
]

FloatArray = npt.NDArray[np.float64]

ALL_MUSCLES = "all muscles"
"""The mean of every muscle site that was measured."""

MAX_MISSING_SHARE = 0.5
"""A site that a larger share of the patients lacks is left out of formulas and of KNN imputation
(the published toolkit's number)."""

TISSUES: tuple[str, ...] = (*dict.fromkeys(map(tissue, SITE_NAMES)), ALL_MUSCLES)
"""Groups of sites over which HU are averaged: L1-L5, S1, each muscle, all muscles."""


def site_values(cohort: pd.DataFrame) -> pd.DataFrame:
    """The 36 sites' HU, clipped to `CLIP_HU`; the index is that of the cohort.

    Beyond these bounds the published table holds cement and metal. Clipping hardly changes ranks;
    without it a few such values would decide means, variances and slopes.
    """
    return cohort[list(SITE_NAMES)].clip(*CLIP_HU)


def clipped_count(cohort: pd.DataFrame) -> int:
    """Count the values that `site_values` clips."""
    values = cohort[list(SITE_NAMES)].to_numpy(dtype=np.float64)
    return int(((values < CLIP_HU[0]) | (values > CLIP_HU[1])).sum())


def stages_of(cohort: pd.DataFrame) -> npt.NDArray[Any]:
    """Give the stages, str, shape (n,)."""
    return cohort[STAGE_COLUMN].to_numpy(dtype=str)


def tissue_means(cohort: pd.DataFrame) -> pd.DataFrame:
    """Each patient's mean HU of each of `TISSUES`, over the sites that were measured."""
    values = site_values(cohort)
    found = {}
    for name in TISSUES:
        sites = [s for s in SITE_NAMES if tissue(s) == name or (name == ALL_MUSCLES and "_" in s)]
        found[name] = values[sites].mean(axis=1)
    return pd.DataFrame(found)


def pair_rows(stages: npt.NDArray[Any], pair: tuple[Stage, Stage]) -> npt.NDArray[np.bool_]:
    """Tell which patients are of one of the two stages, bool, shape (n,)."""
    return np.isin(stages, [stage.value for stage in pair])


def table_of(rows: Sequence[Any], drop: Sequence[str] = ()) -> pd.DataFrame:
    """Frozen rows as a table; fields become columns, nested rows are spread out."""
    found = []
    for row in rows:
        flat: dict[str, Any] = {}
        for key, value in asdict(row).items():
            flat.update(value if isinstance(value, dict) else {key: value})
        found.append({key: value for key, value in flat.items() if key not in drop})
    return pd.DataFrame(found)


def comparison_table(rows: Sequence[Any]) -> pd.DataFrame:
    """Lay out rows that hold a `TwoGroups`: the result before the numbers that it rests on."""
    found = table_of(rows)
    moments = ("mean_", "sd_", "median_")
    names = [f"{name}_hu" if str(name).startswith(moments) else str(name) for name in found]
    found.columns = pd.Index(names)
    effects = [name for name in names if name.startswith(("hedges_g", "cliffs_delta"))]
    leading = [*names[:2], "test", "p", "q", *effects]
    return found[[*leading, *(name for name in names if name not in leading)]]
