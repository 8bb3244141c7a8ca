"""What is wrong with a Structured Report as a document: its header, patient, study and evidence."""

import re
from collections.abc import Iterator, Mapping, Sequence

from pydicom.dataset import Dataset
from pydicom.uid import UID

from dicom_node.reporting.checks.report_content import COMPREHENSIVE_SR
from dicom_node.reporting.checks.report_geometry import ReportFault, Source, is_sound

__all__ = [
    "PATIENT",
    "STUDY",
    "element_faults",
    "evidence_faults",
    "header_faults",
    "identity_faults",
    "predecessor_faults",
    "verification_faults",
]

PATIENT = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex")
STUDY = ("StudyInstanceUID", "StudyDate", "StudyID", "AccessionNumber")


SEQUENCES = frozenset(
    {
        "CodingSchemeIdentificationSequence",
        "ConceptNameCodeSequence",
        "ContentSequence",
        "ContentTemplateSequence",
        "ContributingEquipmentSequence",
        "CurrentRequestedProcedureEvidenceSequence",
        "PerformedProcedureCodeSequence",
        "PertinentOtherEvidenceSequence",
        "PredecessorDocumentsSequence",
        "ReferencedPerformedProcedureStepSequence",
        "VerifyingObserverSequence",
    }
)
"""Sequences of a report; those of the images' patient and study may be broken."""


def header_faults(document: Dataset, sources: Mapping[str, Source]) -> Iterator[ReportFault]:
    """A complete Comprehensive SR of TID 1500 with UIDs of its own."""
    if document.get("SOPClassUID") != COMPREHENSIVE_SR or document.get("Modality") != "SR":
        yield ReportFault("report.sop_class", "the report is not a Comprehensive SR")
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        if not UID(str(document.get(keyword) or "")).is_valid or not document.get(keyword):
            yield ReportFault("report.uid", f"{keyword} is missing or invalid")
    series = {source.text("SeriesInstanceUID") for source in sources.values()}
    if document.get("SeriesInstanceUID") in series or document.get("SOPInstanceUID") in sources:
        yield ReportFault("report.uid", "the report has a UID of the images")
    if document.get("CompletionFlag") != "COMPLETE":
        yield ReportFault("report.completion", "Completion Flag is not COMPLETE")
    template = document.get("ContentTemplateSequence") or [Dataset()]
    if template[0].get("TemplateIdentifier") != "1500":
        yield ReportFault("report.template", "the report does not follow TID 1500")


def verification_faults(document: Dataset, verified_by: str | None) -> Iterator[ReportFault]:
    """Only what a reader has read may say so, and must name that reader alone."""
    flag, preliminary = document.get("VerificationFlag"), document.get("PreliminaryFlag")
    observers = [
        str(observer.get("VerifyingObserverName") or "")
        for observer in document.get("VerifyingObserverSequence") or ()
    ]
    if verified_by is None and (flag != "UNVERIFIED" or observers):
        yield ReportFault("report.verification", "the report claims that a person verified it")
    if verified_by is not None and (flag != "VERIFIED" or observers != [verified_by]):
        yield ReportFault("report.verification", "the report does not name the reader who read it")
    expected = "PRELIMINARY" if verified_by is None else "FINAL"
    if preliminary != expected:
        yield ReportFault("report.verification", f"Preliminary Flag is not {expected}")


def element_faults(document: Dataset) -> Iterator[ReportFault]:
    """No element may hold more than it allows, no sequence may come from the images."""
    for element in document:
        if element.VR == "SQ":
            if element.keyword not in SEQUENCES:
                yield ReportFault("report.element", f"{element.keyword} is not of this report")
        elif element.value is not None and not is_sound(
            element.keyword, element.VR, str(element.value)
        ):
            yield ReportFault("report.element", f"{element.keyword} holds an invalid value")
    offset = str(document.get("TimezoneOffsetFromUTC") or "")
    if not re.fullmatch(r"[+-][01]\d[0-5]\d", offset):
        yield ReportFault("report.element", "Timezone Offset From UTC is missing or invalid")


def identity_faults(document: Dataset, sources: Mapping[str, Source]) -> Iterator[ReportFault]:
    """The patient and the study must be those of the images."""
    if not sources:
        yield ReportFault("report.no_source", "there are no images to compare the report with")
        return
    stated = Source(document)
    for keywords, code, what in (
        (PATIENT, "report.wrong_patient", "patient"),
        (STUDY, "report.wrong_study", "study"),
    ):
        for keyword in keywords:
            values = {source.text(keyword) for source in sources.values()}
            if len(values) > 1 and keyword in ("PatientID", "StudyInstanceUID"):
                yield ReportFault("report.mixed_sources", f"the images differ in {keyword}")
            elif stated.text(keyword) not in values:
                yield ReportFault(
                    code, f"{keyword} differs from the images: the report is of another {what}"
                )


def predecessor_faults(document: Dataset, predecessor_uids: Sequence[str]) -> Iterator[ReportFault]:
    """The report must name exactly the reports that it supersedes."""
    named = {
        str(instance.get("ReferencedSOPInstanceUID"))
        for study in document.get("PredecessorDocumentsSequence") or ()
        for series in study.get("ReferencedSeriesSequence") or ()
        for instance in series.get("ReferencedSOPSequence") or ()
    }
    if str(document.get("SOPInstanceUID")) in named:
        yield ReportFault("report.predecessor", "the report names itself as its predecessor")
    if named != set(predecessor_uids):
        yield ReportFault(
            "report.predecessor", "the report does not name the reports that it supersedes"
        )


def evidence_faults(
    document: Dataset, sources: Mapping[str, Source]
) -> tuple[dict[str, str], list[ReportFault]]:
    """The evidence as SOP Class UID by SOP Instance UID, and what is wrong with it."""
    evidence: dict[str, str] = {}
    faults: list[ReportFault] = []
    for study in document.get("CurrentRequestedProcedureEvidenceSequence") or ():
        if study.get("StudyInstanceUID") != document.get("StudyInstanceUID"):
            faults.append(ReportFault("report.wrong_study", "the evidence is of another study"))
        for series in study.get("ReferencedSeriesSequence") or ():
            for instance in series.get("ReferencedSOPSequence") or ():
                uid = str(instance.get("ReferencedSOPInstanceUID"))
                evidence[uid] = str(instance.get("ReferencedSOPClassUID"))
                source = sources.get(uid)
                if source is None:
                    text = "the evidence names an image that is not of the series"
                    faults.append(ReportFault("report.evidence", text))
                elif source.text("SeriesInstanceUID") != series.get("SeriesInstanceUID"):
                    text = "the evidence names an image under another series"
                    faults.append(ReportFault("report.evidence", text))
    if not evidence:
        faults.append(ReportFault("report.evidence", "the report names no evidence"))
    return evidence, faults
