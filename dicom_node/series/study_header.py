"""Whose a study is and what it was made with, read from the header of one of its objects."""

from pydicom.dataset import Dataset

from dicom_node.records.listed_studies import StudyHeader

__all__ = ["HEADER_ELEMENTS", "scanner_header", "study_header"]

OF_STUDY = {
    "study_uid": "StudyInstanceUID",
    "accession": "AccessionNumber",
    "patient_id": "PatientID",
    "patient_name": "PatientName",
    "birth_date": "PatientBirthDate",
    "sex": "PatientSex",
    "study_date": "StudyDate",
}
"""Elements by the names of `StudyHeader`."""

OF_SCANNER = {
    "manufacturer": "Manufacturer",
    "model": "ManufacturerModelName",
    "kernel": "ConvolutionKernel",
}

HEADER_ELEMENTS = ["SpecificCharacterSet", *OF_STUDY.values(), *OF_SCANNER.values()]
"""What `scanner_header` reads."""


def study_header(document: Dataset) -> StudyHeader:
    """Whose a study is, from any object of it; what it lacks or is damaged is empty.

    The first form of a name counts, as a rule the one in Latin letters.
    """
    return StudyHeader(**_read(document, OF_STUDY))


def scanner_header(image: Dataset) -> StudyHeader:
    """Whose a study is and what it was made with, from an image of it."""
    return StudyHeader(**_read(image, OF_STUDY | OF_SCANNER))


def _read(dataset: Dataset, elements: dict[str, str]) -> dict[str, str]:
    return {name: _text(dataset, keyword) for name, keyword in elements.items()}


def _text(dataset: Dataset, keyword: str) -> str:
    try:
        text = str(dataset.get(keyword) or "")
    except Exception:  # foreign values fail in open-ended ways
        return ""
    if keyword == "PatientName":
        return next((form for form in text.split("=") if form.strip("^ ")), "")
    return text
