"""The measured sites as a table: vertebrae, and muscles with right and left side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dicom_node.reporting.words.site_words import MISSING_WORDS
from roi_extraction.anatomy import MissingReason
from roi_extraction.sites import SITES, DiscLevel, Muscle, Side

__all__ = ["MuscleRow", "Value", "muscle_rows", "vertebra_rows"]


@dataclass(frozen=True)
class Value:
    """What was measured at a site.

    Parameters
    ----------
    name
        The site's name.
    hu
        Mean and standard deviation, HU, as text; empty if it has no value.
    missing
        Why it has no value, in words; empty if it has one.
    """

    name: str
    hu: str
    missing: str


@dataclass(frozen=True)
class MuscleRow:
    """A muscle at a disc on both sides."""

    disc: DiscLevel
    muscle: Muscle
    right: Value
    left: Value


def vertebra_rows(report: Mapping[str, Any]) -> tuple[Value, ...]:
    """The vertebrae of a report, from head to feet."""
    values = _values(report)
    return tuple(values[site.name] for site in SITES if site.is_vertebra and site.name in values)


def muscle_rows(report: Mapping[str, Any]) -> tuple[MuscleRow, ...]:
    """The muscles of a report, from head to feet."""
    values = _values(report)
    names = {(site.disc, site.muscle, site.side): site.name for site in SITES}
    rows = []
    for disc in DiscLevel:
        for muscle in Muscle:
            right, left = (values.get(names[disc, muscle, side]) for side in Side)
            if right is not None and left is not None:
                rows.append(MuscleRow(disc, muscle, right, left))
    return tuple(rows)


def _values(report: Mapping[str, Any]) -> dict[str, Value]:
    return {site["name"]: _value(site) for site in report.get("sites", ())}


def _value(site: Mapping[str, Any]) -> Value:
    if site["mean_hu"] is not None:
        return Value(site["name"], f"{site['mean_hu']:.0f} ± {site['sd_hu']:.0f}", "")
    reason = str(site["reason"])
    known = MISSING_WORDS[MissingReason(reason)] if reason in set(MissingReason) else reason
    return Value(site["name"], "", known)
