"""A cohort's table parted into the features that a recipe takes and the stages that it learns."""

from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from modeling.cohort.reading import AGE_COLUMN, SEX_COLUMN, SITE_NAMES, STAGE_COLUMN, Stage
from modeling.errors import StagesAbsent

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FEATURE_COLUMNS", "features_of"]

FEATURE_COLUMNS: tuple[str, ...] = (*SITE_NAMES, AGE_COLUMN, SEX_COLUMN)
"""The columns that a recipe takes, in order."""


def features_of(cohort: "pd.DataFrame") -> "tuple[pd.DataFrame, npt.NDArray[Any]]":
    """Split a cohort into `FEATURE_COLUMNS` and stages (str, shape (n,)).

    Raises
    ------
    StagesAbsent
        A stage without patients.
    """
    stages = cohort[STAGE_COLUMN].to_numpy(dtype=str)
    absent = [stage.value for stage in Stage if stage not in set(stages)]
    if absent:
        raise StagesAbsent(absent)
    return cohort[list(FEATURE_COLUMNS)], stages
