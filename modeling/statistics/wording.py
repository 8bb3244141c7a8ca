"""Words and numbers that the steps' texts share."""

import math

import pandas as pd

from modeling.design import CLIP_HU
from modeling.statistics.site_values import clipped_count

__all__ = ["clipping", "json_number", "p_words"]


def clipping(cohort: pd.DataFrame) -> str:
    """Say how many values were clipped, and to what."""
    count = clipped_count(cohort)
    return f"{count} values beyond {CLIP_HU[0]:g} and {CLIP_HU[1]:g} HU are set to these bounds."


def json_number(value: float) -> float | None:
    """The number to four decimals; None where it is not known."""
    return None if math.isnan(value) else round(float(value), 4)


def p_words(p: float, name: str = "p") -> str:
    """Write a p-value as a reader expects it.

    >>> p_words(0.00002)
    'p < .001'
    """
    if math.isnan(p):
        return f"{name} unknown"
    return f"{name} < .001" if p < 0.001 else f"{name} = {p:.3f}".replace("0.", ".")
