"""What the pictures say in words: how it was scanned, what was not measured, what limits it."""

from collections.abc import Mapping

from dicom_node.reporting.report_model import Report, SiteReport
from dicom_node.reporting.words.identity_words import NOT_STATED, Identity, printable
from dicom_node.reporting.words.report_text import L1_WORDS
from dicom_node.reporting.words.site_words import MISSING_WORDS
from dicom_node.reporting.words.thresholds import l1_words
from dicom_node.reporting.words.warning_words import WARNING_WORDS
from roi_extraction.anatomy import MissingReason
from roi_extraction.sites import SITES_BY_NAME, DiscLevel, Muscle

__all__ = [
    "acquisition_words",
    "l1_verdict",
    "missing_words",
    "notes",
    "study_words",
    "whose_words",
    "why_missing",
]

DECIDED = frozenset(("model.undetermined",))
"""Warnings that the words of the stage say already."""


def whose_words(identity: Identity) -> tuple[str, str, str]:
    """Name, Patient ID, and date of birth with sex and age."""
    return (
        _or_not_stated("{}", "Name", identity.name),
        f"ID {identity.patient_id}",
        ", ".join(
            (
                _or_not_stated("born {}", "date of birth", identity.birth_date),
                identity.sex,
                identity.age,
            )
        ),
    )


def study_words(identity: Identity) -> list[str]:
    """What is stated of study and series."""
    found = (
        ("study", identity.study_date),
        ("", identity.study),
        ("accession", identity.accession),
        ("series", identity.series),
    )
    return [f"{what} {value}".strip() for what, value in found if value != NOT_STATED]


def acquisition_words(report: Report) -> str:
    """How the images were made.

    >>> from types import SimpleNamespace as S
    >>> scan = S(kvp=120.0, slice_thickness_mm=3.0, slice_step_mm=2.0, kernel="B", model="")
    >>> acquisition_words(S(acquisition=scan))
    '120 kVp, slices of 3 mm every 2 mm, kernel B'
    """
    scan = report.acquisition
    return ", ".join(
        (
            "tube voltage not stated" if scan.kvp is None else f"{scan.kvp:g} kVp",
            f"slices of {scan.slice_thickness_mm:.3g} mm every {scan.slice_step_mm:.3g} mm",
            *((f"kernel {printable(scan.kernel)}",) if scan.kernel else ()),
            *((printable(scan.model),) if scan.model else ()),
        )
    )


def l1_verdict(report: Report) -> str:
    """L1 against the published thresholds, or why it is not held against them."""
    l1 = report.l1_threshold
    if l1.mean_hu is None:
        reason = report.sites[0].reason
        why = "" if reason is None else f" ({MISSING_WORDS[reason]})"
        return f"L1 not measured{why}, so no verdict by its thresholds"
    if l1.category is None:
        return "No verdict by the thresholds of L1: they hold for 120 kVp and one spectrum only"
    return f"L1 {l1_words(l1.mean_hu)} HU, {L1_WORDS[l1.category]}"


def why_missing(site: SiteReport) -> str:
    """Why a site has no value; empty if it has one."""
    return "" if site.reason is None else f"not measured: {MISSING_WORDS[site.reason]}"


def missing_words(report: Report) -> list[str]:
    """The sites without a value, a sentence for each reason; empty if there are none."""
    found: dict[MissingReason, dict[tuple[Muscle | None, DiscLevel | None], list[str]]] = {}
    for entry in report.sites:
        if entry.reason is not None:
            site = SITES_BY_NAME[entry.name]
            places = found.setdefault(entry.reason, {})
            sides = places.setdefault((site.muscle, site.disc), [])
            sides.append(entry.name if site.side is None else site.side)
    return [
        f"{MISSING_WORDS[reason].capitalize()}: {_places_words(places)}."
        for reason, places in found.items()
    ]


def notes(report: Report) -> list[str]:
    """The warnings in words, each once, the most misleading first."""
    codes = {warning.code: warning.message for warning in report.warnings}
    known = [
        words.meaning for code, words in WARNING_WORDS.items() if code in codes.keys() - DECIDED
    ]
    return known + [text for code, text in codes.items() if code not in WARNING_WORDS]


def _places_words(places: Mapping[tuple[Muscle | None, DiscLevel | None], list[str]]) -> str:
    """Vertebrae, then each muscle and side with its discs."""
    discs: dict[str, list[str]] = {}
    vertebrae: list[str] = []
    for (muscle, disc), sides in places.items():
        if muscle is None:
            vertebrae += sides
        else:
            discs.setdefault(f"{' and '.join(sides)} {muscle}", []).append(str(disc))
    return "; ".join(
        ([", ".join(vertebrae)] if vertebrae else [])
        + [f"{tissue} at {', '.join(levels)}" for tissue, levels in discs.items()]
    )


def _or_not_stated(form: str, what: str, value: str) -> str:
    return f"{what} {NOT_STATED}" if value == NOT_STATED else form.format(value)
