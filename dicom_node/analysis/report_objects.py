"""The picture of a report, and the objects that show it in any PACS."""

from collections.abc import Collection
from datetime import datetime
from functools import cache

from PIL.Image import Image

from dicom_node.analysis.object_maker import ObjectMaker
from dicom_node.reporting.objects.encapsulated_pdf import encapsulated_pdf
from dicom_node.reporting.objects.kinds import ObjectKind
from dicom_node.reporting.objects.pdf_pages import report_pdf
from dicom_node.reporting.objects.secondary_capture import secondary_capture
from dicom_node.reporting.pictures.reading_picture import reading_picture, slices_picture
from dicom_node.reporting.report_model import Report
from dicom_node.reporting.structured_report import evidence_header
from dicom_node.series.selection import EligibleSeries
from roi_extraction import CtVolume, FeatureVector

__all__ = ["make_report_objects"]


def make_report_objects(
    maker: ObjectMaker,
    kinds: Collection[ObjectKind],
    report: Report,
    series: EligibleSeries,
    volume: CtVolume,
    features: FeatureVector,
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
    series
        The series that was measured.
    volume
        Its volume: int16 HU, shape (slices, rows, columns).
    features
        Its 36 sites, HU.
    identity
        Of the report.

    Returns
    -------
    bytes
        The picture as PNG; empty if it could not be drawn.
    """
    header = evidence_header(series.first.path)
    made = datetime.now()

    @cache
    def picture() -> Image:
        return reading_picture(report, header, volume, features)

    builders = {
        ObjectKind.SC: lambda: secondary_capture(picture(), ObjectKind.SC, header, identity, made),
        ObjectKind.SLICES: lambda: secondary_capture(
            slices_picture(report, header, volume, features),
            ObjectKind.SLICES,
            header,
            identity,
            made,
        ),
        ObjectKind.PDF: lambda: encapsulated_pdf(
            report_pdf(report, header, picture()), header, identity, made
        ),
    }
    for kind, build in builders.items():
        if kind in kinds:
            maker.make(kind, build)
    return maker.draw(picture)
