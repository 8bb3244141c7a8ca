"""The page on a scan that was meant for the node and was not analysed, for any PACS."""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial

from pydicom.dataset import Dataset

from dicom_node.analysis.object_maker import ObjectMaker
from dicom_node.reporting.checks.report_check import sources_of
from dicom_node.reporting.objects.encapsulated_pdf import encapsulated_pdf
from dicom_node.reporting.objects.kinds import NotAnalysed
from dicom_node.reporting.objects.pdf_pages import refusal_pdf
from dicom_node.reporting.objects.secondary_capture import secondary_capture
from dicom_node.reporting.pictures.refusal_picture import refusal_picture
from dicom_node.reporting.report_model import Refusal
from dicom_node.reporting.structured_report import evidence_header
from dicom_node.reporting.words.screening_scope import page_is_due
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
        Of the study; the pages are of the patient of those that were refused.
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
        if refusal.study_uid in (instance.study_uid, "")
        and refusal.series_uid in (instance.series_uid, "")
    ]
    reason = refusal.refused
    if not forms or not refused or not page_is_due(refusal, evidence_header(refused[0].path)):
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
    maker = ObjectMaker(identity, sources_of(refused))
    for form in forms:
        build = partial(_page, form, refusal, refused[0], identity)
        maker.make(form.kind, build, form.file_name)
    return maker


def _page(form: NotAnalysed, refusal: Refusal, image: Instance, identity: str) -> Dataset:
    header = evidence_header(image.path)
    if form is NotAnalysed.PDF:
        return encapsulated_pdf(refusal_pdf(refusal, header), header, identity, datetime.now())
    return secondary_capture(refusal_picture(refusal, header), form.kind, header, identity)
