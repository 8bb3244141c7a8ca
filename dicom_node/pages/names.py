"""Names of persons as the pages write them."""

from dicom_node.study_facts import StudyHeader

__all__ = ["patient_words", "person_words"]


def person_words(name: str) -> str:
    """A name of DICOM as it is written: family name, then the others as they are spoken.

    >>> person_words("Doe^Jane^Ann^Dr"), person_words("Doe"), person_words("")
    ('Doe, Dr Jane Ann', 'Doe', '')
    """
    family, given, middle, prefix, suffix = (*name.split("^"), *[""] * 5)[:5]
    others = " ".join(part.strip() for part in (prefix, given, middle, suffix) if part.strip())
    return ", ".join(part for part in (family.strip(), others) if part)


def patient_words(study: StudyHeader) -> str:
    """The patient's name, its ideographic form in brackets; empty if none is stated.

    >>> patient_words(StudyHeader(patient_name="Yamada^Tarou", ideographic_name="山田^太郎"))
    'Yamada, Tarou (山田 太郎)'
    """
    ideographic = " ".join(study.ideographic_name.replace("^", " ").split())
    name = person_words(study.patient_name)
    return f"{name} ({ideographic})" if ideographic else name
