"""Patient and study of a header, as a page prints them."""

import unicodedata
from dataclasses import dataclass, replace

from pydicom.dataset import Dataset

__all__ = [
    "NAME_NOT_PRINTABLE",
    "NOT_STATED",
    "PRINTED",
    "Identity",
    "identity_of",
    "printable",
    "shown",
]

NOT_STATED = "not stated"
"""Stands for what the header leaves empty."""

NOT_PRINTABLE = "in characters that cannot be printed here"
"""Stands for a text that the pages' font cannot show."""

NAME_NOT_PRINTABLE = "name not printable, see Patient ID"
"""Stands for a name of which no component group can be shown."""

MOST_PRINTED = 90
"""The most that is printed of one value: two lines beside its name."""

RANGES = (
    (0x0020, 0x007E),
    (0x00A0, 0x00AC),
    (0x00AE, 0x024F),
    (0x0386, 0x0386),
    (0x0388, 0x038A),
    (0x038E, 0x03A1),
    (0x03A3, 0x03FF),
    (0x0400, 0x0482),
    (0x048A, 0x0525),
    (0x1E00, 0x1EFB),
    (0x2010, 0x2027),
    (0x2030, 0x203A),
    (0x20AC, 0x20AC),
)
"""First and last characters of what is printed: Latin, Greek and Cyrillic letters, digits and
punctuation."""

PRINTED = frozenset(chr(code) for first, last in RANGES for code in range(first, last + 1))
"""What is printed. DejaVu Sans holds it all; it needs no shaping and runs from left to right."""

SEX_WORDS = {"F": "female", "M": "male", "O": "other"}
"""Patient's Sex (PS3.3, C.7.1.1)."""

AGE_UNITS = {"Y": "years", "M": "months", "W": "weeks", "D": "days"}
"""Units of an Age String (PS3.5, table 6.2-1)."""


@dataclass(frozen=True)
class Identity:
    """Who and what a page is of, every value in printable words.

    Parameters
    ----------
    name, patient_id, birth_date, sex, age
        Of the patient.
    study_date, study, accession, series
        Of the examination and of the series that was measured.
    """

    name: str
    patient_id: str
    birth_date: str
    sex: str
    age: str
    study_date: str
    study: str
    accession: str
    series: str

    @property
    def patient_rows(self) -> tuple[tuple[str, str], ...]:
        """Names and values of the patient, in the order in which they are read."""
        return (
            ("Patient", self.name),
            ("Patient ID", self.patient_id),
            ("Born", self.birth_date),
            ("Sex, age", f"{self.sex}, {self.age}"),
        )

    @property
    def study_rows(self) -> tuple[tuple[str, str], ...]:
        """Names and values of the study, in the order in which they are read."""
        return (
            ("Study date", self.study_date),
            ("Study", self.study),
            ("Accession", self.accession),
            ("Series", self.series),
        )


def identity_of(header: Dataset) -> Identity:
    """Patient and study of an image or a report.

    Parameters
    ----------
    header
        Decoded text elements; missing and empty ones are printed as `NOT_STATED`.
    """
    sex = _text(header, "PatientSex")
    return Identity(
        name=_name(_text(header, "PatientName")),
        patient_id=_value(header, "PatientID"),
        birth_date=_date(header, "PatientBirthDate"),
        sex=SEX_WORDS.get(sex, f"sex {NOT_STATED}"),
        age=_age(header),
        study_date=_date(header, "StudyDate"),
        study=_value(header, "StudyDescription"),
        accession=_value(header, "AccessionNumber"),
        series=_series(header),
    )


def refused_identity(header: Dataset, series_uid: str) -> Identity:
    """Patient and study of a refusal; the header's series only if it is the refused one.

    Parameters
    ----------
    header
        As for `identity_of`, of any image of the study.
    series_uid
        Of the refused series; empty if all series of the study were refused.
    """
    identity = identity_of(header)
    if _text(header, "SeriesInstanceUID") == series_uid:
        return identity
    return replace(identity, series=NOT_STATED if series_uid else "all of the study")


def shown(text: str) -> str:
    """A text with a question mark in place of each character that cannot be printed."""
    return "".join(character if character in PRINTED else "?" for character in text)


def printable(text: str, instead: str = NOT_PRINTABLE, most: int = MOST_PRINTED) -> str:
    r"""The text on one line, or other words if a character of it cannot be printed.

    Parameters
    ----------
    text
        A header's value; control characters count as spaces.
    instead
        What is printed of a text with other letters than Latin, Greek and Cyrillic ones.
    most
        Number of characters; a longer text is cut, which it shows.

    Examples
    --------
    >>> printable("Mu\u0308ller\n Anna"), printable("\u5c71\u7530")
    ('Müller Anna', 'in characters that cannot be printed here')
    """
    spaced = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Zs") else c for c in text)
    line = unicodedata.normalize("NFC", " ".join(spaced.split()))
    if not PRINTED.issuperset(line):
        return instead
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _text(header: Dataset, keyword: str) -> str:
    return str(header.get(keyword) or "").strip()


def _value(header: Dataset, keyword: str) -> str:
    return printable(_text(header, keyword)) or NOT_STATED


def _name(name: str) -> str:
    """The first component group that can be printed: family name, then the given names."""
    groups = [" ".join(group.split()) for group in name.split("=")]
    filled = [group for group in groups if group.strip("^ ")]
    if not filled:
        return NOT_STATED
    return next((words for words in map(_person, filled) if words), NAME_NOT_PRINTABLE)


def _person(group: str) -> str:
    """A component group in reading order; empty if it cannot be printed."""
    family, given, middle, prefix, suffix = (*group.split("^"), *[""] * 5)[:5]
    others = " ".join(part.strip() for part in (prefix, given, middle, suffix) if part.strip())
    return printable(", ".join(part for part in (family.strip(), others) if part), "")


def _date(header: Dataset, keyword: str) -> str:
    """A date as year, month and day, which no country reads otherwise."""
    date = _text(header, keyword)
    if len(date) == 8 and date.isascii() and date.isdecimal():
        return f"{date[:4]}-{date[4:6]}-{date[6:]}"
    return NOT_STATED


def _age(header: Dataset) -> str:
    """Patient's Age, else the years from birth to the study."""
    age = _text(header, "PatientAge")
    if len(age) == 4 and age[:3].isdecimal() and age.isascii() and age[3] in AGE_UNITS:
        return f"{int(age[:3])} {AGE_UNITS[age[3]]}"
    birth, study = _text(header, "PatientBirthDate"), _text(header, "StudyDate")
    if NOT_STATED in (_date(header, "PatientBirthDate"), _date(header, "StudyDate")):
        return f"age {NOT_STATED}"
    return f"{int(study[:4]) - int(birth[:4]) - (study[4:] < birth[4:])} years"


def _series(header: Dataset) -> str:
    number, description = _text(header, "SeriesNumber"), _value(header, "SeriesDescription")
    known = [part for part in (printable(number), description) if part not in ("", NOT_STATED)]
    return ": ".join(known) or NOT_STATED
