"""Blood, psoas and fat as internal references: in ``report.json`` and in the Structured Report."""

import math

from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset

from dicom_node.assessment.assessment import Assessment
from dicom_node.reporting import codes as own
from dicom_node.reporting.content_items import (
    MODIFIES,
    PROPERTY,
    code_item,
    finding_site_item,
    number_item,
    text_item,
)
from dicom_node.reporting.report_model import ReferenceReport, ReferencesReport
from roi_extraction.checks.fat import USUAL_FAT_HU, Fat
from roi_extraction.checks.psoas import psoas_summary
from roi_extraction.checks.vena_cava import VenaCava
from roi_extraction.sites import Muscle

__all__ = ["reference_items", "references_report"]


def references_report(assessment: Assessment) -> ReferencesReport:
    """Each reference with its value, or with the reason why it has none."""
    image, psoas = assessment.image, psoas_summary(assessment.features)
    vein, fat = image.vein, image.fat
    return ReferencesReport(
        aorta=_reference(image.aorta_hu, None, image.aorta_missing),
        vena_cava=(
            _reference(vein.mean_hu) if isinstance(vein, VenaCava) else _missing(vein.reason)
        ),
        psoas=(
            _missing("no site of the psoas was measured")
            if psoas is None
            else _reference(psoas.mean_hu, psoas.sd_hu)
        ),
        fat=_reference(fat.mean_hu, fat.sd_hu) if isinstance(fat, Fat) else _missing(fat.reason),
        fat_place=fat.place if isinstance(fat, Fat) else None,
        usual_fat_hu=USUAL_FAT_HU,
        phase=image.phase,
    )


def reference_items(assessment: Assessment) -> list[Dataset]:
    """Each reference as a number with its place, or as words on why it has none.

    They are no measurement groups: a group without a region on an image stops viewers (OHIF).
    """
    found = references_report(assessment)
    fat_place = None if found.fat_place is None else own.FAT_PLACES[found.fat_place]
    return [
        _item(found.aorta, own.AORTA, "Blood in the aorta"),
        _item(found.vena_cava, own.VENA_CAVA, "Blood in the inferior vena cava"),
        _item(found.psoas, own.MUSCLE_CODES[Muscle.PSOAS_MAJOR], "Psoas"),
        _item(found.fat, fat_place, "Fat"),
    ]


def _reference(
    mean_hu: float, sd_hu: float | None = None, missing: str | None = None
) -> ReferenceReport:
    return ReferenceReport(
        mean_hu=round(mean_hu, 1) if math.isfinite(mean_hu) else None,
        sd_hu=None if sd_hu is None else round(sd_hu, 1),
        missing=missing,
    )


def _missing(reason: str) -> ReferenceReport:
    return ReferenceReport(mean_hu=None, sd_hu=None, missing=reason)


def _item(reference: ReferenceReport, place: CodedConcept | None, name: str) -> Dataset:
    if reference.mean_hu is None or place is None:
        return text_item(own.COMMENT, f"{name}: not measured, {reference.missing}")
    qualifiers = [finding_site_item(place), code_item(own.DERIVATION, own.MEAN, MODIFIES)]
    if reference.sd_hu is not None:
        qualifiers.append(
            number_item(own.STANDARD_DEVIATION, reference.sd_hu, own.HOUNSFIELD, PROPERTY)
        )
    return number_item(own.ATTENUATION, reference.mean_hu, own.HOUNSFIELD, items=qualifiers)
