"""What the pictures say in words: how it was scanned, what was not measured, what limits it."""

from dicom_node.reporting.report_model import Report, SiteReport
from dicom_node.reporting.words.identity_words import NOT_STATED, Identity, printable
from dicom_node.reporting.words.site_words import MISSING_WORDS
from dicom_node.reporting.words.warning_words import WARNING_WORDS

__all__ = [
    "acquisition_words",
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


def why_missing(site: SiteReport) -> str:
    """Why a site has no value; empty if it has one."""
    return "" if site.reason is None else f"not measured: {MISSING_WORDS[site.reason]}"


def notes(report: Report) -> list[str]:
    """The warnings in words, each once, the most misleading first."""
    codes = {warning.code: warning.message for warning in report.warnings}
    known = [
        words.meaning for code, words in WARNING_WORDS.items() if code in codes.keys() - DECIDED
    ]
    return known + [text for code, text in codes.items() if code not in WARNING_WORDS]


def _or_not_stated(form: str, what: str, value: str) -> str:
    return f"{what} {NOT_STATED}" if value == NOT_STATED else form.format(value)
