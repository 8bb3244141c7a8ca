"""The page on a scan that was meant for the node and was not analysed, for any PACS."""

from collections.abc import Collection, Sequence

from pydicom.dataset import Dataset

from dicom_node.analysis.object_maker import ObjectMaker
from dicom_node.reporting.checks.report_check import read_sources
from dicom_node.reporting.objects.encapsulated_pdf import encapsulated_pdf
from dicom_node.reporting.objects.kinds import NotAnalysed
from dicom_node.reporting.objects.pdf_pages import refusal_pdf
from dicom_node.reporting.objects.refusal_picture import refusal_picture
from dicom_node.reporting.objects.secondary_capture import secondary_capture
from dicom_node.reporting.report_model import Refusal
from dicom_node.reporting.structured_report import evidence_header
from dicom_node.reporting.words.refusal_words import meant_for_screening
from dicom_node.series.instances import Instance
from dicom_node.uids import content_id

__all__ = ["make_refusal_pages"]


def make_refusal_pages(
    refusal: Refusal, instances: Sequence[Instance], forms: Collection[NotAnalysed]
) -> ObjectMaker:
    """Make the pages of a refusal; none if the scan was not meant for the node.

    Parameters
    ----------
    refusal
        What the pages say.
    instances
        Of the study; the pages are of the patient of the series that was refused.
    forms
        The forms that are asked for.

    Returns
    -------
    ObjectMaker
        The pages, each checked or left out with a reason.
    """
    refused = [
        instance
        for instance in instances
        if (instance.study_uid, instance.series_uid) == (refusal.study_uid, refusal.series_uid)
    ]
    reason = refusal.refused
    if not forms or not refused or not meant_for_screening(reason.code):
        return ObjectMaker("", {})
    identity = content_id(
        "refusal",
        refusal.study_uid,
        refusal.series_uid,
        reason.code,
        reason.message,
        "\n".join(sorted(instance.sop_instance_uid for instance in refused)),
        "\n".join(sorted({instance.inherited_digest for instance in refused})),
    )
    maker = ObjectMaker(identity, read_sources([instance.path for instance in refused]))
    for form in forms:
        maker.make(
            form.kind,
            lambda form=form: _page(form, refusal, evidence_header(refused[0].path), identity),
            form.file_name,
        )
    return maker


def _page(form: NotAnalysed, refusal: Refusal, header: Dataset, identity: str) -> Dataset:
    if form is NotAnalysed.PDF:
        return encapsulated_pdf(refusal_pdf(refusal, header), header, identity)
    return secondary_capture(refusal_picture(refusal, header), form.kind, header, identity)
