"""The picture of a report, and the objects that show it in any PACS."""

from collections.abc import Callable, Collection
from datetime import datetime
from functools import cache

from PIL.Image import Image
from pydicom.dataset import Dataset

from dicom_node.analysis.object_maker import ObjectMaker
from dicom_node.assessment.assessment import Assessment, stated_sex
from dicom_node.reporting.objects.encapsulated_pdf import encapsulated_pdf
from dicom_node.reporting.objects.kinds import ObjectKind
from dicom_node.reporting.objects.pdf_pages import report_pdf
from dicom_node.reporting.objects.secondary_capture import secondary_capture
from dicom_node.reporting.pictures.hu_bars import Percentiles
from dicom_node.reporting.pictures.reading_picture import reading_picture, slices_picture
from dicom_node.reporting.report_model import Report
from dicom_node.reporting.structured_report import evidence_header
from dicom_node.reporting.words.comparison_words import comparison_words
from modeling.norms import vertebral_percentiles
from roi_extraction import CtVolume
from roi_extraction.sites import Level

__all__ = ["make_report_objects"]


def make_report_objects(
    maker: ObjectMaker,
    kinds: Collection[ObjectKind],
    report: Report,
    assessment: Assessment,
    volume: CtVolume,
    identity: str,
) -> bytes:
    """Draw the picture for reading, and make of it what is asked for.

    Parameters
    ----------
    maker
        Takes what is made.
    kinds
        What is asked for; planar report and segmentation are made elsewhere.
    report
        What picture and document say.
    assessment
        What was measured.
    volume
        Of its series: int16 HU, shape (slices, rows, columns).
    identity
        Of the report.

    Returns
    -------
    bytes
        The picture as PNG; empty if it could not be drawn.
    """
    features = assessment.features
    header = evidence_header(assessment.series.first.path)
    made = datetime.now()

    @cache
    def picture() -> Image:
        return reading_picture(report, header, volume, features, _percentiles(assessment))

    def document() -> bytes:
        return report_pdf(report, header, picture(), comparison_words(report.comparison))

    def every_slice() -> Image:
        return slices_picture(report, header, volume, features)

    def capture(drawn: Image, kind: ObjectKind) -> Dataset:
        return secondary_capture(drawn, kind, header, identity, made)

    builders: dict[ObjectKind, Callable[[], Dataset]] = {
        ObjectKind.SC: lambda: capture(picture(), ObjectKind.SC),
        ObjectKind.SLICES: lambda: capture(every_slice(), ObjectKind.SLICES),
        ObjectKind.PDF: lambda: encapsulated_pdf(document(), header, identity, made),
    }
    for kind, build in builders.items():
        if kind in kinds:
            maker.make(kind, build)
    return maker.draw(picture)


def _percentiles(assessment: Assessment) -> Percentiles | None:
    """The cohort's, for age and sex; None where they do not hold."""
    first = assessment.series.first
    if not assessment.at_cohort_kvp:
        return None
    found = vertebral_percentiles(first.age_years, stated_sex(first))
    return None if found is None else {Level(name): values for name, values in found.items()}
