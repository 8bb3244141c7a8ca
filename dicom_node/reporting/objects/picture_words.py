"""What the pictures say in words: whose they are, what was not measured, what limits them."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from pydicom.dataset import Dataset

from dicom_node.decoding.elements import Elements
from dicom_node.reporting.objects.canvas import is_drawable
from dicom_node.reporting.report_model import Report, SiteReport
from dicom_node.reporting.words.report_text import L1_WORDS
from dicom_node.reporting.words.site_words import MISSING_WORDS
from dicom_node.reporting.words.thresholds import l1_words
from dicom_node.reporting.words.warning_words import WARNING_WORDS
from roi_extraction.anatomy import MissingReason
from roi_extraction.sites import SITES_BY_NAME, DiscLevel, Muscle

__all__ = [
    "Identity",
    "acquisition_words",
    "identity_of",
    "l1_verdict",
    "missing_words",
    "notes",
    "why_missing",
]

SEX_WORDS = {"F": "female", "M": "male", "O": "other sex"}

AGE_UNITS = {"D": "days", "W": "weeks", "M": "months", "Y": "years"}
"""Of an Age String (PS3.5, table 6.2-1)."""

DECIDED = frozenset(("model.undetermined",))
"""Warnings that the words of the stage say already."""


@dataclass(frozen=True)
class Identity:
    """Whose images these are, in texts that can be drawn.

    Parameters
    ----------
    name, patient_id
        Of the patient; words where they are not stated or cannot be drawn.
    person
        Date of birth, sex and age.
    study, series
        Which images.
    """

    name: str
    patient_id: str
    person: str
    study: str
    series: str


def identity_of(header: Dataset) -> Identity:
    """Whose images these are.

    Parameters
    ----------
    header
        Of an image, its text Unicode (`structured_report.evidence_header`).
    """
    elements = Elements(header)
    name = _drawable(elements.text("PatientName").split("=")[0].replace("^", " "), "name")
    number = _drawable(elements.text("PatientID"), "number")
    birth = _date(elements.text("PatientBirthDate"))
    sex = SEX_WORDS.get(elements.text("PatientSex").upper(), "sex not stated")
    accession = _drawable(elements.text("AccessionNumber"), "number")
    study = _drawable(elements.text("StudyDescription"), "description")
    described = _drawable(elements.text("SeriesDescription"), "description")
    series = elements.text("SeriesNumber")
    return Identity(
        name=name or "Name not stated",
        patient_id=f"ID {number}" if number else "ID not stated",
        person=", ".join(
            (
                f"born {birth}" if birth else "date of birth not stated",
                sex,
                _age(elements.text("PatientAge")),
            )
        ),
        study=_joined(
            f"Study {_date(elements.text('StudyDate')) or 'of unknown date'}",
            study,
            f"accession {accession}" if accession else "",
        ),
        series=_joined(f"series {series}" if series else "series without number", described),
    )


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
            *((f"kernel {_drawable(scan.kernel, 'name')}",) if scan.kernel else ()),
            *((_drawable(scan.model, "name"),) if scan.model else ()),
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


def _drawable(text: str, what: str) -> str:
    """A header's text on one line; words for what it is if the font lacks any of it."""
    line = " ".join(
        "".join(c if c.isprintable() else " " for c in unicodedata.normalize("NFC", text)).split()
    )
    return line if is_drawable(line) else f"({what} in a script that is not drawn here)"


def _joined(*parts: str) -> str:
    return "  ·  ".join(part for part in parts if part)


def _date(text: str) -> str:
    found = re.fullmatch(r"(\d{4})(\d{2})(\d{2})", text)
    return "-".join(found.groups()) if found else ""


def _age(text: str) -> str:
    found = re.fullmatch(r"(\d{3})([DWMY])", text)
    return f"{int(found[1])} {AGE_UNITS[found[2]]}" if found else "age not stated"
