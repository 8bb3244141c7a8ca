"""Check a Structured Report of our own before it is sent: what it means, not only its form.

Validators accept a report in millimetres instead of HU, a vertebra's code under another one's
meaning, and a measurement without tracking UID. This check knows what this node's reports say and
refuses everything else, against the headers of the images that were measured.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID

from dicom_node.errors import ReportInvalid
from dicom_node.reporting.report_content import (
    COMPREHENSIVE_SR,
    CONTENT,
    MEANINGS,
    MEASUREMENT_GROUP,
    PROBABILITIES,
    SITE_CODES,
    STAGE_LETTERS,
    UNITS,
    Code,
    Node,
)
from dicom_node.reporting.report_geometry import (
    ReportFault,
    Source,
    named_site,
    reference_faults,
    region_faults,
    side_faults,
)
from dicom_node.reporting.report_model import RESEARCH_USE

__all__ = ["ReportFault", "Source", "check_report", "find_faults", "read_sources"]

VERTEBRA_HU = (-300.0, 3071.0)
"""Mean HU that a vertebral ROI can have: from fat with air to the end of the 12-bit scale."""

MUSCLE_HU = (-250.0, 500.0)
"""Mean HU that a muscle ROI can have: beyond fat (about -100) to beyond enhanced muscle."""

SD_HU = (0.0, 2000.0)
"""Standard deviation of HU within one site."""

PROBABILITY_SUM_TOLERANCE = 0.01

PATIENT = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex")
STUDY = ("StudyInstanceUID", "StudyDate", "StudyID", "AccessionNumber")
SOURCE_TAGS = (
    "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", *PATIENT, *STUDY,
    "Rows", "Columns", "PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient",
)  # fmt: skip


def read_sources(paths: Iterable[Path]) -> dict[str, Source]:
    """Read the headers of the images of one series; the keys are their SOP Instance UIDs."""
    sources = []
    for path in paths:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(SOURCE_TAGS))
        header.decode()
        sources.append(Source(header))
    return {source.uid: source for source in sources}


def check_report(
    document: Dataset, sources: Mapping[str, Source], predecessor_uids: Sequence[str] = ()
) -> None:
    """Refuse a report that must not be sent.

    Parameters
    ----------
    document
        The report, read back from the file that will be sent.
    sources
        All images of the series that was measured.
    predecessor_uids
        SOP Instance UIDs of the reports that this one supersedes.

    Raises
    ------
    ReportInvalid
        With the code of the first fault and all of them in words.
    """
    faults = find_faults(document, sources, predecessor_uids)
    if faults:
        found = "; ".join(dict.fromkeys(f"{fault.message} [{fault.code}]" for fault in faults))
        raise ReportInvalid(faults[0].code, f"the report must not be sent: {found}")


def find_faults(
    document: Dataset, sources: Mapping[str, Source], predecessor_uids: Sequence[str] = ()
) -> list[ReportFault]:
    """All that is wrong with a report; see `check_report`."""
    nodes = list(_walk(document))
    groups = [node for node in nodes if node.name == MEASUREMENT_GROUP]
    evidence, faults = _evidence(document, sources)
    return [
        *_header(document, sources),
        *_identity(document, sources),
        *_predecessor(document, predecessor_uids),
        *faults,
        *_content(nodes),
        *_codes(nodes),
        *_tracking(groups),
        *_statement(nodes),
        *_stage(groups),
        *(fault for group in groups for fault in _site(group)),
        *(fault for node in nodes for fault in reference_faults(node, evidence, sources)),
        *region_faults(nodes, sources),
        *side_faults(groups, sources),
    ]


def _walk(item: Dataset, parent: Code | None = None) -> Iterator[Node]:
    node = Node(item, parent)
    yield node
    for child in item.get("ContentSequence") or ():
        yield from _walk(child, node.name)


def _header(document: Dataset, sources: Mapping[str, Source]) -> Iterator[ReportFault]:
    if document.get("SOPClassUID") != COMPREHENSIVE_SR or document.get("Modality") != "SR":
        yield ReportFault("report.sop_class", "it is no Comprehensive SR")
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        if not UID(str(document.get(keyword) or "")).is_valid or not document.get(keyword):
            yield ReportFault("report.uid", f"{keyword} is missing or invalid")
    series = {source.text("SeriesInstanceUID") for source in sources.values()}
    if document.get("SeriesInstanceUID") in series or document.get("SOPInstanceUID") in sources:
        yield ReportFault("report.uid", "it has a UID of the images")
    if document.get("CompletionFlag") != "COMPLETE":
        yield ReportFault("report.completion", "Completion Flag is not COMPLETE")
    if document.get("VerificationFlag") != "UNVERIFIED" or document.get(
        "VerifyingObserverSequence"
    ):
        yield ReportFault("report.verification", "it claims that a person verified it")
    if document.get("PreliminaryFlag") != "PRELIMINARY":
        yield ReportFault("report.verification", "Preliminary Flag is not PRELIMINARY")
    template = document.get("ContentTemplateSequence") or [Dataset()]
    if template[0].get("TemplateIdentifier") != "1500":
        yield ReportFault("report.template", "it does not follow TID 1500")


def _identity(document: Dataset, sources: Mapping[str, Source]) -> Iterator[ReportFault]:
    if not sources:
        yield ReportFault("report.no_source", "there are no images to compare it with")
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
                    code, f"{keyword} is not that of the images: another {what}'s report"
                )


def _predecessor(document: Dataset, predecessor_uids: Sequence[str]) -> Iterator[ReportFault]:
    named = {
        str(instance.get("ReferencedSOPInstanceUID"))
        for study in document.get("PredecessorDocumentsSequence") or ()
        for series in study.get("ReferencedSeriesSequence") or ()
        for instance in series.get("ReferencedSOPSequence") or ()
    }
    if str(document.get("SOPInstanceUID")) in named:
        yield ReportFault("report.predecessor", "it names itself as its predecessor")
    if named != set(predecessor_uids):
        yield ReportFault("report.predecessor", "it does not name the report that it supersedes")


def _evidence(
    document: Dataset, sources: Mapping[str, Source]
) -> tuple[dict[str, str], list[ReportFault]]:
    """(SOP class by SOP instance UID of the evidence, what is wrong with it)."""
    evidence: dict[str, str] = {}
    faults: list[ReportFault] = []
    for study in document.get("CurrentRequestedProcedureEvidenceSequence") or ():
        if study.get("StudyInstanceUID") != document.get("StudyInstanceUID"):
            faults.append(ReportFault("report.wrong_study", "its evidence is of another study"))
        for series in study.get("ReferencedSeriesSequence") or ():
            for instance in series.get("ReferencedSOPSequence") or ():
                uid = str(instance.get("ReferencedSOPInstanceUID"))
                evidence[uid] = str(instance.get("ReferencedSOPClassUID"))
                source = sources.get(uid)
                if source is None:
                    text = "its evidence names an image that is not of the series"
                    faults.append(ReportFault("report.evidence", text))
                elif source.text("SeriesInstanceUID") != series.get("SeriesInstanceUID"):
                    text = "its evidence names an image under another series"
                    faults.append(ReportFault("report.evidence", text))
    if not evidence:
        faults.append(ReportFault("report.evidence", "it names no evidence"))
    return evidence, faults


def _content(nodes: Sequence[Node]) -> Iterator[ReportFault]:
    for node in nodes:
        expected = CONTENT.get((node.parent, node.name))
        if expected is None:
            yield ReportFault("report.content", f"{node.words} does not belong where it stands")
        elif node.value_type != expected.value_type:
            yield ReportFault("report.content", f"{node.words} is a {node.value_type}")
        elif node.relationship != expected.relationship:
            yield ReportFault(
                "report.relationship",
                f"{node.words} is related by {node.relationship}, not {expected.relationship}",
            )


def _codes(nodes: Sequence[Node]) -> Iterator[ReportFault]:
    for node in nodes:
        for value, scheme, meaning in node.codes:
            if MEANINGS.get((value, scheme)) != meaning:
                yield ReportFault("report.code", f"code {value} of {scheme} has another meaning")


def _tracking(groups: Sequence[Node]) -> Iterator[ReportFault]:
    uids: Counter[str] = Counter()
    names: Counter[str] = Counter()
    for group in groups:
        found = [str(node.item.get("UID") or "") for node in group.children("112040")]
        texts = [str(node.item.get("TextValue") or "") for node in group.children("112039")]
        if len(found) != 1 or not found[0] or not UID(found[0]).is_valid:
            yield ReportFault("report.tracking", "a measurement group has no one tracking UID")
        if len(texts) != 1 or not texts[0].strip():
            yield ReportFault("report.tracking", "a measurement group has no one identifier")
        uids.update(found)
        names.update(texts)
    if any(count > 1 for count in (*uids.values(), *names.values())):
        yield ReportFault("report.tracking", "two measurement groups share a tracking UID or name")


def _statement(nodes: Sequence[Node]) -> Iterator[ReportFault]:
    if not any(node.item.get("TextValue") == RESEARCH_USE for node in nodes):
        yield ReportFault("report.statement", "the statement of research use is missing")


def _stage(groups: Sequence[Node]) -> Iterator[ReportFault]:
    staging = [group for group in groups if group.finding == "STAGING"]
    if len(staging) != 1:
        yield ReportFault("report.content", "there is not one staging group")
        return
    shares = {
        PROBABILITIES[node.name[:2]]: node.number
        for node in staging[0].children()
        if node.value_type == "NUM" and node.name and node.name[:2] in PROBABILITIES
    }
    stages = [node.concept for node in staging[0].children("STAGE")]
    letter = STAGE_LETTERS.get(stages[0][:2]) if len(stages) == 1 and stages[0] else None
    if letter is None:
        yield ReportFault("report.stage", "there is not one stage")
    if any(share is None or not 0.0 <= share <= 1.0 for share in shares.values()):
        yield ReportFault("report.value", "a probability is not between 0 and 1")
        return
    values = {name: share for name, share in shares.items() if share is not None}
    if values and abs(sum(values.values()) - 1.0) > PROBABILITY_SUM_TOLERANCE:
        yield ReportFault("report.value", "the probabilities do not add up to 1")
    if bool(values) != bool(letter) or (values and set(values) != set("ABCD")):
        yield ReportFault("report.stage", "stage and probabilities contradict each other")
    yield from _units(staging[0])


def _units(group: Node) -> Iterator[ReportFault]:
    for node in group.children():
        if node.value_type == "NUM" and node.name and node.unit != UNITS.get(node.name[:2]):
            yield ReportFault("report.unit", f"{node.words} has the wrong unit")


def _site(group: Node) -> Iterator[ReportFault]:
    """What is wrong with the group of one site; the staging group is checked by `_stage`."""
    if group.finding == "STAGING":
        return
    yield from _units(group)
    site = named_site(group)
    if site is None or group.finding != "ROI":
        yield ReportFault("report.site", "a measurement group is of no known site")
        return
    places = group.children("363698007")
    found = [place.concept[0] for place in places if place.concept]
    if found != [SITE_CODES[site.level or site.muscle or ""]]:
        yield ReportFault("report.site", f"{site.name} has the finding site of another")
    sides = [s.concept[0] for place in places for s in place.children("272741003") if s.concept]
    if sides != ([SITE_CODES[site.side]] if site.side else []):
        yield ReportFault("report.laterality", f"{site.name} has the wrong side")
    values: dict[str, float | None] = {}
    for measured in group.children("112031"):
        derivation = [d.concept[0] for d in measured.children("121401") if d.concept]
        values[derivation[0] if len(derivation) == 1 else ""] = measured.number
    if set(values) != {"373098007", "386136009"} or len(group.children("112031")) != 2:
        yield ReportFault("report.content", f"{site.name} has not one mean and one deviation")
        return
    low, high = VERTEBRA_HU if site.is_vertebra else MUSCLE_HU
    if not _between(values["373098007"], low, high) or not _between(values["386136009"], *SD_HU):
        yield ReportFault("report.value", f"{site.name} has HU that cannot be")
    regions = group.children("111030")
    images = [node.image for region in regions for node in region.children("260753009")]
    if not regions or len(set(images)) != len(regions):
        yield ReportFault("report.region", f"{site.name} has not one region an image")


def _between(value: float | None, low: float, high: float) -> bool:
    return value is not None and low <= value <= high
