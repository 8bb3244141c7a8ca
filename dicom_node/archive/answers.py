"""What archives answer to questions, as texts by DICOM keyword, and what is read from it."""

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset

from dicom_node.archive.sources import ListedSeries, SeriesFilter
from dicom_node.series.instances import age_years

__all__ = [
    "SERIES_KEYS",
    "STUDY_KEYS",
    "Answer",
    "answer_of_dataset",
    "answer_of_json",
    "listed_series",
    "series_wanted",
    "stated",
    "study_wanted",
]

Answer = Mapping[str, tuple[str, ...]]
"""Values of one study, series or instance; a keyword that the archive did not return is absent."""

STUDY_KEYS = (
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "PatientID",
    "PatientAge",
    "PatientBirthDate",
    "PatientSex",
    "ModalitiesInStudy",
)
"""What is asked of a study."""

SERIES_KEYS = (
    "SeriesInstanceUID",
    "Modality",
    "BodyPartExamined",
    "Manufacturer",
    "ManufacturerModelName",
    "ConvolutionKernel",
    "KVP",
    "SliceThickness",
    "ImageType",
    "NumberOfSeriesRelatedInstances",
)
"""What is asked of a series."""


def answer_of_dataset(dataset: Dataset) -> Answer:
    """Read an answer of C-FIND; values that cannot be read count as not returned."""
    found: dict[str, tuple[str, ...]] = {}
    with suppress(Exception):  # texts in an encoding that the archive named wrongly stay
        dataset.decode()
    for tag in dataset.keys():  # noqa: SIM118 - the values of a data set are elements
        try:
            element = dataset[tag]
            if element.VR != "SQ" and element.keyword:
                values = element.value if element.VM > 1 else [element.value]
                found[element.keyword] = tuple(_text(value) for value in values)
        except Exception:  # an archive may send anything
            continue
    return found


def answer_of_json(item: Mapping[str, Any]) -> Answer:
    """Read an answer of QIDO-RS (PS3.18, F.2); values that cannot be read count as not returned."""
    found: dict[str, tuple[str, ...]] = {}
    for tag, element in item.items():
        try:
            keyword = keyword_for_tag(int(tag, 16))
            values = element.get("Value", [])
            if keyword and element.get("vr") != "SQ":
                found[keyword] = tuple(_text(value) for value in values)
        except (AttributeError, TypeError, ValueError):
            continue
    return found


def stated(answer: Answer, keyword: str) -> str | None:
    """The first value; None where there is none."""
    values = answer.get(keyword, ())
    return values[0] or None if values else None


def listed_series(study: Answer, series: Answer) -> ListedSeries:
    """A series as its archive lists it, of the answers for its study and for itself."""
    image_type = tuple(series.get("ImageType", ()))
    return ListedSeries(
        study_uid=stated(study, "StudyInstanceUID") or "",
        series_uid=stated(series, "SeriesInstanceUID") or "",
        accession=stated(study, "AccessionNumber"),
        patient_id=stated(study, "PatientID"),
        study_date=stated(study, "StudyDate"),
        age_years=age_years(
            *(
                stated(study, keyword) or ""
                for keyword in ("PatientAge", "PatientBirthDate", "StudyDate")
            )
        ),
        sex=stated(study, "PatientSex"),
        modality=stated(series, "Modality"),
        body_part=stated(series, "BodyPartExamined"),
        manufacturer=stated(series, "Manufacturer"),
        model=stated(series, "ManufacturerModelName"),
        kernel=stated(series, "ConvolutionKernel"),
        kvp=_number(series, "KVP"),
        slice_thickness_mm=_number(series, "SliceThickness"),
        image_type=image_type if any(image_type) else None,
        instances=_count(series),
    )


def study_wanted(study: Answer, wanted: SeriesFilter) -> bool:
    """Whether an answer is a study that was asked for: an archive may ignore what it is asked.

    UIDs, accession number and patient ID that were asked for must be stated, and be those; a
    study date that is stated must lie within the range.
    """
    named = {
        "StudyInstanceUID": wanted.study_uid,
        "AccessionNumber": wanted.accession,
        "PatientID": wanted.patient_id,
    }
    if any(value is not None and stated(study, key) != value for key, value in named.items()):
        return False
    day = stated(study, "StudyDate")
    if wanted.dates is not None and day is not None:
        first, last = (f"{day:%Y%m%d}" for day in wanted.dates)
        return first <= day <= last
    return bool(stated(study, "StudyInstanceUID"))


def series_wanted(series: ListedSeries, wanted: SeriesFilter) -> bool:
    """Whether a series is let through; what it does not state lets through."""
    if not series.series_uid or wanted.series_uid not in (None, series.series_uid):
        return False
    for value, condition in (
        (series.modality, wanted.modality),
        (series.body_part, wanted.body_part),
    ):
        if value is not None and condition is not None and value.upper() != condition.upper():
            return False
    if wanted.ages_years is None or series.age_years is None:
        return True
    least, most = wanted.ages_years
    return least <= series.age_years <= most


def _text(value: object) -> str:
    if isinstance(value, dict):  # a person's name in JSON
        value = value.get("Alphabetic", "")
    return "" if value is None else str(value).strip(" \0")


def _number(answer: Answer, keyword: str) -> float | None:
    try:
        value = float(stated(answer, keyword) or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _count(series: Answer) -> int | None:
    text = stated(series, "NumberOfSeriesRelatedInstances") or ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
