"""Whose a study is and what it was made with."""

from dataclasses import dataclass

__all__ = ["StudyHeader"]


@dataclass(frozen=True)
class StudyHeader:
    """Whose a study is and what it was made with, as its headers say; empty where they do not.

    Parameters
    ----------
    study_uid
        Study Instance UID.
    accession
        Accession Number.
    patient_id, patient_name, birth_date, sex
        Of the patient; the name in its first form, the date YYYYMMDD.
    study_date
        YYYYMMDD.
    manufacturer, model, kernel
        Of the scanner.
    ideographic_name
        The patient's name in ideographic letters, where it has another form too.
    """

    study_uid: str = ""
    accession: str = ""
    patient_id: str = ""
    patient_name: str = ""
    birth_date: str = ""
    sex: str = ""
    study_date: str = ""
    manufacturer: str = ""
    model: str = ""
    kernel: str = ""
    ideographic_name: str = ""
