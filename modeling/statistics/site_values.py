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
    "TISSUES",
    "clipped_count",
    "pair_label",
    "pair_rows",
    "site_values",
    "stages_of",
    "table_of",
    "tissue_means",
]

FloatArray = npt.NDArray[np.float64]

ALL_MUSCLES = "all muscles"
"""The mean of every muscle site that was measured."""

TISSUES: tuple[str, ...] = (*dict.fromkeys(map(tissue, SITE_NAMES)), ALL_MUSCLES)
"""What HU are averaged over: L1-L5, S1, each muscle, all muscles."""


def site_values(cohort: pd.DataFrame) -> pd.DataFrame:
    """The 36 sites' HU, clipped to `CLIP_HU`; the index is that of the cohort.

    Beyond these bounds the published table holds cement and metal. Ranks hardly change by it;
    means, variances and slopes would be those of a few such values.
    """
    return cohort[list(SITE_NAMES)].clip(*CLIP_HU)


def clipped_count(cohort: pd.DataFrame) -> int:
    """How many values `site_values` changes."""
    values = cohort[list(SITE_NAMES)].to_numpy(dtype=np.float64)
    return int(((values < CLIP_HU[0]) | (values > CLIP_HU[1])).sum())


def stages_of(cohort: pd.DataFrame) -> npt.NDArray[Any]:
    """The stages, str, shape (n,)."""
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
    """Which patients are of one of the two stages."""
    return np.isin(stages, [stage.value for stage in pair])


def pair_label(pair: tuple[Stage, Stage]) -> str:
    """The pair's name, the earlier stage first.

    >>> pair_label(PAIRS[0])
    'A/B'
    """
    return f"{pair[0]}/{pair[1]}"


def table_of(rows: Sequence[Any], drop: Sequence[str] = ()) -> pd.DataFrame:
    """Frozen rows as a table; fields become columns, nested rows are spread out."""
    found = []
    for row in rows:
        flat: dict[str, Any] = {}
        for key, value in asdict(row).items():
            flat.update(value if isinstance(value, dict) else {key: value})
        found.append({key: value for key, value in flat.items() if key not in drop})
    return pd.DataFrame(found)
