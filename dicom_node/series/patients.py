"""Whether instances are of one patient, beyond how systems spell."""

import unicodedata
from collections import Counter
from collections.abc import Sequence

from pydicom.dataset import Dataset

__all__ = ["PATIENT", "Patient", "common_patient", "differing", "patient_of", "plain"]

PATIENT = ("PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientName")
"""Elements that tell patients apart."""

Patient = tuple[str, ...]
"""The values of `PATIENT` in that order, as `plain` gives them."""


def plain(value: str) -> str:
    """A value without what archives change: case, diacritics, carets, further spaces.

    >>> plain("M\u00fcller^J\u00f6rg^^"), plain(" muller JORG")
    ('muller jorg', 'muller jorg')
    """
    letters = unicodedata.normalize("NFKD", value.casefold())
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(bare.replace("^", " ").split()).rstrip("= ")


def patient_of(dataset: Dataset) -> Patient:
    """The patient of a data set; an element that it lacks or that is damaged is empty."""
    return tuple(_text(dataset, keyword) for keyword in PATIENT)


def differing(one: Patient, other: Patient) -> tuple[str, ...]:
    """Keywords in which two patients differ.

    An element that is empty on one side does not differ; of Patient ID, which a report needs,
    that is a difference too.
    """
    return tuple(
        keyword
        for keyword, a, b in zip(PATIENT, one, other, strict=True)
        if a != b and ((a and b) or keyword == "PatientID")
    )


def common_patient(patients: Sequence[Patient]) -> Patient:
    """The patient of most instances; what these leave empty is taken from those that agree."""
    counted = sorted(Counter(patients).items(), key=lambda item: (-item[1], item[0]))
    common = counted[0][0]
    for patient, _ in counted[1:]:
        if not differing(common, patient):
            common = tuple(a or b for a, b in zip(common, patient, strict=True))
    return common


def _text(dataset: Dataset, keyword: str) -> str:
    try:
        return plain(str(dataset.get(keyword) or ""))
    except Exception:  # foreign values fail in open-ended ways
        return ""
