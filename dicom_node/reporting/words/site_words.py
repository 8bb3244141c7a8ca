"""Sites, model inputs and reasons in a radiologist's words."""

from collections import defaultdict
from collections.abc import Sequence

from roi_extraction.anatomy import MissingReason
from roi_extraction.features import SiteMeasurement
from roi_extraction.sites import SITES_BY_NAME

__all__ = ["MISSING_WORDS", "not_measured", "site_words"]

MISSING_WORDS: dict[MissingReason, str] = {
    MissingReason.TOO_SMALL: "too small for a region of 150 mm2",
    MissingReason.OUTSIDE_SCAN: "outside the scan",
    MissingReason.NOT_FOUND: "not found",
    MissingReason.NOT_SEGMENTED: "not segmented",
    MissingReason.METAL: "metal",
    MissingReason.FATTY: "mostly fat",
    MissingReason.IMPLAUSIBLE: "implausible values",
    MissingReason.SLICES_DISAGREE: "the three slices disagree",
    MissingReason.LEFT_OUT: "left out by the reader",
}
"""Why a site has no value."""


def site_words(name: str) -> str:
    """A site or another input of the model in words.

    >>> site_words("L1"), site_words("L4-L5_3"), site_words("age")
    ('L1', 'right psoas major at L4-L5', 'age')
    """
    site = SITES_BY_NAME.get(name)
    if site is None or site.is_vertebra:
        return name
    return f"{site.side} {site.muscle} at {site.disc}"


def not_measured(measurements: Sequence[SiteMeasurement]) -> str:
    """The sites without a value, by reason; empty if there are none."""
    found: dict[MissingReason, list[str]] = defaultdict(list)
    for measurement in measurements:
        if measurement.missing is not None:
            found[measurement.missing.reason].append(site_words(measurement.site.name))
    return "; ".join(f"{', '.join(sites)} ({MISSING_WORDS[why]})" for why, sites in found.items())
