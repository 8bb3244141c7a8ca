"""A series judged by its headers before any pixel moves, by the node's own rules.

What is not stated is unknown and decides nothing: the series is fetched, and the rules decide on
its images.
"""

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage

from dicom_node.archive.answers import series_wanted
from dicom_node.archive.sources import ListedSeries, SeriesFilter, SeriesIncomplete, SeriesSource
from dicom_node.decoding.elements import Elements
from dicom_node.errors import SeriesRefused
from dicom_node.series.acquisition import check_header
from dicom_node.series.instances import Instance, age_years, instance_of
from dicom_node.series.selection import check_kind
from dicom_node.settings.node import Acquisition

__all__ = ["STATED_KEYWORDS", "JudgedSeries", "judge", "stated_series"]

STATED_KEYWORDS = (
    "SpecificCharacterSet", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID",
    "AccessionNumber", "PatientID", "StudyDate", "PatientAge", "PatientBirthDate", "PatientSex",
    "Modality", "BodyPartExamined", "Manufacturer", "ManufacturerModelName", "ConvolutionKernel",
    "KVP", "SliceThickness", "ImageType",
)  # fmt: skip
"""What listing reads of a header."""

DECIDING = ("modality", "kvp", "kernel", "slice_thickness_mm", "image_type", "instances")
"""What must be known of a series to judge it without a header."""

KIND_CODES = ("series.localizer", "series.derived", "series.spectral", "series.not_ct")
"""Refusals that a single stray image in a series of slices would give too."""

COUNT_CODE = "series.too_few_slices"


@dataclass(frozen=True)
class JudgedSeries:
    """A series with what its headers add, and why it is not fetched; None if it is."""

    series: ListedSeries
    refusal: SeriesRefused | None
    contrast: bool | None = None


def judge(
    source: SeriesSource, series: ListedSeries, wanted: SeriesFilter, rules: Acquisition
) -> JudgedSeries:
    """Judge a series by what is listed of it and, where that is not enough, by a header.

    A kind of image that cannot be assessed refuses a series only where an instance in the middle
    and those half way to its ends say the same, for a series of slices may hold strays. Too few
    slices refuse it only where the source gives their number twice, for it may be filling or dying.

    Parameters
    ----------
    source
        Whose series it is; not asked where everything is listed.
    series
        As listed.
    wanted
        What the screening looks for.
    rules
        What a series must fulfil.

    Raises
    ------
    SourceUnavailable
        The source does not answer.
    """
    refusal = _refusal(assumed_instance(series, rules), series, wanted, rules)
    decided = all(getattr(series, name) is not None for name in DECIDING)
    doubtful = _may_be_stray(refusal, series)
    if (refusal is not None and not doubtful) or (decided and refusal is None):
        return JudgedSeries(series, _confirmed(source, series, refusal))
    try:
        instances = source.instances(series)
    except SeriesIncomplete:  # the fetch will say so, and is tried again
        return JudgedSeries(series, None)
    header = source.header(series, instances)
    if header is None:
        known = replace(series, instances=len(instances))
        return JudgedSeries(known, None if doubtful else refusal)
    known = completed(series, header, len(instances))
    contrast = bool(_instance(header).contrast_agent)
    refusal = _header_refusal(header, known, wanted, rules)
    if _may_be_stray(refusal, known):
        half = len(instances) // 2
        for part in (instances[:half], instances[half:]):
            other = source.header(series, part)
            if other is not None and _header_refusal(other, known, wanted, rules) is None:
                refusal = None
    return JudgedSeries(known, _confirmed(source, known, refusal), contrast)


def stated_series(header: Dataset) -> ListedSeries:
    """What one header states of its series."""
    elements = Elements(header)
    image_type = tuple(str(part).strip().upper() for part in elements.values("ImageType"))
    return ListedSeries(
        study_uid=elements.text("StudyInstanceUID"),
        series_uid=elements.text("SeriesInstanceUID"),
        accession=elements.text("AccessionNumber") or None,
        patient_id=elements.text("PatientID") or None,
        study_date=elements.text("StudyDate") or None,
        age_years=age_years(*map(elements.text, ("PatientAge", "PatientBirthDate", "StudyDate"))),
        sex=elements.text("PatientSex") or None,
        modality=elements.text("Modality") or None,
        body_part=elements.text("BodyPartExamined") or None,
        manufacturer=elements.text("Manufacturer") or None,
        model=elements.text("ManufacturerModelName") or None,
        kernel="\\".join(map(str, elements.values("ConvolutionKernel"))) or None,
        kvp=elements.number("KVP"),
        slice_thickness_mm=elements.positive("SliceThickness"),
        image_type=image_type or None,
    )


def completed(series: ListedSeries, header: Dataset, instances: int) -> ListedSeries:
    """A series as listed, with what one of its headers states beside it."""
    stated = stated_series(header)
    missing = {
        field.name: getattr(stated, field.name)
        for field in fields(ListedSeries)
        if getattr(series, field.name) is None
    }
    return replace(series, **{**missing, "instances": instances})


def assumed_instance(series: ListedSeries, rules: Acquisition) -> Instance:
    """A slice of a series as listed; where something is unknown, as the rules want it."""
    return Instance(
        path=Path(), sop_class_uid=CTImageStorage, sop_instance_uid="", study_uid=series.study_uid,
        series_uid=series.series_uid, modality=series.modality or "CT",
        image_type=series.image_type or ("ORIGINAL", "PRIMARY", "AXIAL"), transfer_syntax_uid="",
        lossy="", kvp=rules.kvp[0] if series.kvp is None else series.kvp,
        slice_thickness_mm=series.slice_thickness_mm, pixel_spacing_mm=None, rows=None,
        columns=None, orientation=np.zeros((2, 3)), position_mm=np.zeros(3), instance_number=None,
        acquisition_number=None, frames=1, kernel=series.kernel or "", contrast_agent="",
        manufacturer=series.manufacturer or "", model=series.model or "", series_description="",
        has_rescale=True, sex="", age_years=series.age_years, patient_position="",
    )  # fmt: skip


def _header_refusal(
    header: Dataset, series: ListedSeries, wanted: SeriesFilter, rules: Acquisition
) -> SeriesRefused | None:
    """Why a series is not fetched, by one of its headers."""
    read, assumed = _instance(header), assumed_instance(series, rules)
    slice_ = replace(
        read,
        modality=read.modality or assumed.modality,
        sop_class_uid=read.sop_class_uid or assumed.sop_class_uid,
        image_type=read.image_type or assumed.image_type,
        kvp=assumed.kvp if read.kvp is None else read.kvp,
    )
    return _refusal(slice_, series, wanted, rules)


def _refusal(
    slice_: Instance, series: ListedSeries, wanted: SeriesFilter, rules: Acquisition
) -> SeriesRefused | None:
    try:
        check_kind([slice_])
        check_header(slice_, series.instances, rules)
    except SeriesRefused as error:
        return error
    if not series_wanted(series, wanted):
        return SeriesRefused("screening.not_wanted", "body part or age are not those looked for")
    return None


def _confirmed(
    source: SeriesSource, series: ListedSeries, refusal: SeriesRefused | None
) -> SeriesRefused | None:
    """A refusal, but for one by a number of slices that the source does not give again."""
    if refusal is None or refusal.code != COUNT_CODE:
        return refusal
    try:
        return refusal if len(source.instances(series)) == series.instances else None
    except SeriesIncomplete:
        return None


def _may_be_stray(refusal: SeriesRefused | None, series: ListedSeries) -> bool:
    """Whether a refusal may be that of a stray image in a series of slices."""
    kinds = refusal is not None and refusal.code in KIND_CODES
    return kinds and series.modality in (None, "CT")


def _instance(header: Dataset) -> Instance:
    meta = getattr(header, "file_meta", None) or FileMetaDataset()
    return instance_of(Path(), FileDataset("", header, file_meta=meta))
