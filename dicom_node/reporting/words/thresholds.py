"""The published thresholds of L1."""

import math
from typing import Literal

from dicom_node.assessment.assessment import Assessment

__all__ = [
    "L1_OSTEOPOROSIS_SENSITIVE_HU",
    "L1_OSTEOPOROSIS_SPECIFIC_HU",
    "L1Category",
    "bone_offset_hu",
    "l1_category",
    "l1_threshold",
    "l1_words",
]

L1Category = Literal["low", "middle", "high"]

L1_OSTEOPOROSIS_SPECIFIC_HU = 110.0
"""At or below it L1 is more than 90 % specific for osteoporosis by DXA, HU
(Pickhardt 2013, doi 10.7326/0003-4819-158-8-201304160-00003)."""

L1_OSTEOPOROSIS_SENSITIVE_HU = 160.0
"""At or below it L1 is 90 % sensitive for osteoporosis by DXA, HU
(Pickhardt 2013, doi 10.7326/0003-4819-158-8-201304160-00003)."""


def l1_category(assessment: Assessment) -> L1Category | None:
    """The category of L1; None if it was not measured, or not at the thresholds' 120 kVp."""
    if not assessment.at_cohort_kvp:
        return None
    return l1_threshold(assessment.features.by_name["L1"].mean_hu, bone_offset_hu(assessment))


def bone_offset_hu(assessment: Assessment) -> float:
    """How much higher the scanner reads bone than the cohort's, HU; 0 where nobody said."""
    return 0.0 if assessment.offset is None else assessment.offset.bone_hu


def l1_threshold(mean_hu: float, offset_hu: float = 0.0) -> L1Category | None:
    """The category of L1 by the 110 and 160 HU thresholds; None if it was not measured (NaN).

    Parameters
    ----------
    mean_hu
        Of L1, HU.
    offset_hu
        How much the thresholds lie higher on this scanner, HU.

    >>> l1_threshold(110.0), l1_threshold(110.1), l1_threshold(161.0), l1_threshold(float("nan"))
    ('low', 'middle', 'high', None)
    """
    if math.isnan(mean_hu):
        return None
    if mean_hu <= L1_OSTEOPOROSIS_SPECIFIC_HU + offset_hu:
        return "low"
    return "middle" if mean_hu <= L1_OSTEOPOROSIS_SENSITIVE_HU + offset_hu else "high"


def l1_words(mean_hu: float, offset_hu: float = 0.0) -> str:
    """L1 in whole HU, or with the decimals that its category needs.

    Parameters
    ----------
    mean_hu, offset_hu
        As for `l1_threshold`.

    >>> l1_words(97.4), l1_words(110.3), l1_words(160.04)
    ('97', '110.3', '160.04')
    """
    written = [f"{mean_hu:.{digits}f}" for digits in range(3)]
    category = l1_threshold(mean_hu, offset_hu)
    fitting = (text for text in written if l1_threshold(float(text), offset_hu) == category)
    return next(fitting, written[-1])
