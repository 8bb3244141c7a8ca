"""Whose a study is and what it was made with, read from the header of one of its objects."""

from pydicom.dataset import Dataset

from dicom_node.study_facts import StudyHeader

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

    A name is its first form, as a rule the one in Latin letters, and beside it the ideographic one
    (PS3.5, 6.2.1); how it is pronounced is left out.
    """
    return _read(document, OF_STUDY)


def scanner_header(image: Dataset) -> StudyHeader:
    """Whose a study is and what it was made with, from an image of it."""
    return _read(image, OF_STUDY | OF_SCANNER)


def _read(dataset: Dataset, elements: dict[str, str]) -> StudyHeader:
    values = {name: _text(dataset, keyword) for name, keyword in elements.items()}
    forms = [form if form.strip("^ ") else "" for form in values["patient_name"].split("=")]
    values["patient_name"] = next(filter(None, forms), "")
    ideographic = forms[1] if len(forms) > 1 else ""
    values["ideographic_name"] = ideographic if ideographic != values["patient_name"] else ""
    return StudyHeader(**values)


def _text(dataset: Dataset, keyword: str) -> str:
    try:
        return str(dataset.get(keyword) or "")
    except Exception:  # foreign values fail in open-ended ways
        return ""
