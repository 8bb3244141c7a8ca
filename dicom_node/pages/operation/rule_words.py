"""The acquisition rules as they stand, in the words of the texts."""

from dataclasses import dataclass

from dicom_node.pages.operation.rule_trial import FIXED_RULES
from dicom_node.pages.rendering import text
from dicom_node.series.acquisition import COHORT_SLICE_MM, LARGE_PIXEL_MM, LARGEST_PIXEL_MM
from dicom_node.settings.node import Acquisition, AcquisitionRules, Mode

__all__ = ["StandingRule", "rules_as_they_stand"]


@dataclass(frozen=True)
class StandingRule:
    """A rule in words.

    Parameters
    ----------
    name
        As in `rule_trial.JudgedSeries.verdicts`.
    title, words
        What it is about and what it asks.
    setting
        Name of what decides it; empty where nothing does.
    mode
        What happens to a series that breaks it.
    fixed
        Whether its mode cannot be chosen.
    """

    name: str
    title: str
    words: str
    setting: str
    mode: Mode
    fixed: bool


def rules_as_they_stand(acquisition: Acquisition) -> list[StandingRule]:
    """All rules, those that are always required first.

    Parameters
    ----------
    acquisition
        Of the settings.
    """
    values = {
        "kvp": ", ".join(f"{value:g}" for value in acquisition.kvp),
        "kvp_tolerance": f"{acquisition.kvp_tolerance:g}",
        "thickness": f"{acquisition.max_slice_thickness_mm:g}",
        "slices": acquisition.min_slices,
        "coverage": f"{acquisition.min_coverage_mm:g}",
        "largest_pixel": f"{LARGEST_PIXEL_MM:g}",
        "large_pixel": f"{LARGE_PIXEL_MM:g}",
        "cohort_slice": f"{COHORT_SLICE_MM:g}",
    }
    settings = {
        "tube_voltage": "acquisition.kvp, acquisition.kvp_tolerance",
        "slice_thickness": "acquisition.max_slice_thickness_mm",
    }
    found = [
        StandingRule(
            name, text(f"rule_titles.{name}"), text(f"rule_words.{name}", **values),
            settings.get(name, ""), "strict", fixed=True,
        )
        for name in FIXED_RULES
    ]  # fmt: skip
    found += [
        StandingRule(
            name, text(f"rule_titles.{name}"), text(f"rule_words.{name}", **values),
            f"acquisition.rules.{name}", getattr(acquisition.rules, name), fixed=False,
        )
        for name in AcquisitionRules.model_fields
    ]  # fmt: skip
    return found
