"""Check a Structured Report of this node before it is sent: its meaning, not only its form.

Validators accept a report in millimetres instead of HU, a vertebra's code with the meaning of
another, and a measurement without tracking UID. This check allows only what a report of this node
says, and compares it with the headers of the images that were measured.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

from pydicom.dataset import Dataset
from pydicom.uid import UID

from dicom_node.errors import ReportInvalid
from dicom_node.reporting.checks.comparison_check import comparison_faults
from dicom_node.reporting.checks.document_check import (
    element_faults,
    evidence_faults,
    header_faults,
    identity_faults,
    predecessor_faults,
    verification_faults,
)
from dicom_node.reporting.checks.reference_check import internal_reference_faults
from dicom_node.reporting.checks.report_content import (
    CONTENT,
    L1_ALONE,
    MEANINGS,
    MEASUREMENT_GROUP_NAME,
    NOT_STAGED,
    PROBABILITIES,
    RESULTS_NAME,
    SITE_CODES,
    STAGE_LETTERS,
    SUPPLEMENT_NAME,
    UNDETERMINED,
    UNITS,
    ContentItem,
)
from dicom_node.reporting.checks.report_geometry import (
    SOURCE,
    ReportFault,
    Source,
    named_site,
    reference_faults,
    region_faults,
    regions_of,
    side_faults,
)
from dicom_node.reporting.report_model import RESEARCH_USE
from dicom_node.series.instances import Instance

__all__ = ["ReportFault", "Source", "check_report", "find_faults", "sources_of"]

VERTEBRA_HU = (-300.0, 3071.0)
"""Lowest and highest possible mean of a vertebral site, HU: fat with air, the end of the 12-bit
scale."""

MUSCLE_HU = (-250.0, 500.0)
"""Lowest and highest possible mean of a muscle, HU: below fat (-100), above enhanced muscle."""

SD_HU = (0.0, 2000.0)
"""Lowest and highest possible standard deviation within one site, HU."""

MAX_DECIDED = 2
"""Stages that a prediction set may hold for one of them to be the coded result."""

PROBABILITY_SUM_TOLERANCE = 0.01
"""Largest deviation from 1 of the sum of the four probabilities, which are rounded."""

FREEHAND_TOOL = "Cornerstone3DTools@^0.1.0:PlanarFreehandROI"
"""Tracking identifier of a group of one slice."""


def sources_of(instances: Iterable[Instance]) -> dict[str, Source]:
    """What the images of one series state; the keys are their SOP Instance UIDs."""
    known: dict[Hashable, str] = {}
    sources = [Source(instance.stated, known) for instance in instances]
    return {source.uid: source for source in sources}


def check_report(
    document: Dataset,
    sources: Mapping[str, Source],
    predecessor_uids: Sequence[str] = (),
    earlier: Dataset | None = None,
    verified_by: str | None = None,
) -> None:
    """Refuse a report that must not be sent.

    Parameters
    ----------
    document
        The report, read back from the file that will be sent.
    sources
        Headers of all images of the measured series, by SOP Instance UID.
    predecessor_uids
        SOP Instance UIDs of the reports that this one supersedes.
    earlier
        The earlier report that it is compared with, as it was sent; None if it is with none.
    verified_by
        Name of the reader whose word it is, as in DICOM; None if it is the program's alone.

    Raises
    ------
    ReportInvalid
        With the code of the first fault and all of them in words.
    """
    faults = find_faults(document, sources, predecessor_uids, earlier, verified_by)
    if faults:
        found = "; ".join(dict.fromkeys(f"{fault.message} [{fault.code}]" for fault in faults))
        raise ReportInvalid(faults[0].code, f"the report must not be sent: {found}")


def find_faults(
    document: Dataset,
    sources: Mapping[str, Source],
    predecessor_uids: Sequence[str] = (),
    earlier: Dataset | None = None,
    verified_by: str | None = None,
) -> list[ReportFault]:
    """All faults of a report, in the order of the checks; parameters as of `check_report`."""
    nodes = list(_walk(ContentItem(document, None)))
    groups = [node for node in nodes if node.name == MEASUREMENT_GROUP_NAME]
    evidence, faults = evidence_faults(document, sources)
    return [
        *header_faults(document, sources),
        *verification_faults(document, verified_by),
        *element_faults(document),
        *identity_faults(document, sources),
        *predecessor_faults(document, predecessor_uids),
        *faults,
        *_content(nodes),
        *_codes(nodes),
        *_tracking(groups),
        *_statement(nodes),
        *_stage(nodes),
        *internal_reference_faults(nodes),
        *(fault for group in groups for fault in _site(group)),
        *(fault for node in nodes for fault in reference_faults(node, evidence, sources)),
        *region_faults(nodes, sources),
        *side_faults(groups, sources),
        *comparison_faults(document, nodes, earlier),
    ]


def _walk(node: ContentItem) -> Iterator[ContentItem]:
    yield node
    for child in node.children():
        yield from _walk(child)


def _content(nodes: Sequence[ContentItem]) -> Iterator[ReportFault]:
    for node in nodes:
        expected = CONTENT.get((node.parent, node.name))
        if expected is None:
            yield ReportFault(
                "report.content", f"{node.words} is in a place where it does not belong"
            )
        elif node.value_type != expected.value_type:
            yield ReportFault("report.content", f"{node.words} is a {node.value_type} item")
        elif node.relationship != expected.relationship:
            yield ReportFault(
                "report.relationship",
                f"{node.words} is related by {node.relationship}, not {expected.relationship}",
            )


def _codes(nodes: Sequence[ContentItem]) -> Iterator[ReportFault]:
    for node in nodes:
        for value, scheme, meaning in node.codes:
            if MEANINGS.get((value, scheme)) != meaning:
                yield ReportFault(
                    "report.code", f"code {value} of {scheme} is unknown or has a wrong meaning"
                )


def _tracking(groups: Sequence[ContentItem]) -> Iterator[ReportFault]:
    uids: Counter[str] = Counter()
    names: Counter[str] = Counter()
    for group in groups:
        found = [str(node.item.get("UID") or "") for node in group.children("112040")]
        texts = [str(node.item.get("TextValue") or "") for node in group.children("112039")]
        if len(found) != 1 or not found[0] or not UID(found[0]).is_valid:
            yield ReportFault(
                "report.tracking", "a measurement group does not have one valid tracking UID"
            )
        if len(texts) != 1 or not texts[0].strip():
            yield ReportFault(
                "report.tracking", "a measurement group does not have one tracking identifier"
            )
        uids.update(found)
        names.update(texts)
    names.pop(FREEHAND_TOOL, None)  # which all groups of one slice bear
    if any(count > 1 for count in (*uids.values(), *names.values())):
        yield ReportFault("report.tracking", "two measurement groups share a tracking UID or name")


def _statement(nodes: Sequence[ContentItem]) -> Iterator[ReportFault]:
    if not any(node.item.get("TextValue") == RESEARCH_USE for node in nodes):
        yield ReportFault("report.statement", "the statement of research use is missing")


def _stage(nodes: Sequence[ContentItem]) -> Iterator[ReportFault]:
    """One coded result, which agrees with the prediction set and the probabilities."""
    results = [node for node in nodes if node.name == RESULTS_NAME]
    supplements = [node for node in nodes if node.name == SUPPLEMENT_NAME]
    if len(results) != 1 or len(supplements) != 1:
        yield ReportFault("report.content", "the report does not have one stage and one supplement")
        return
    shares = {
        PROBABILITIES[node.name[:2]]: node.number
        for node in supplements[0].children()
        if node.value_type == "NUM" and node.name and node.name[:2] in PROBABILITIES
    }
    stages = [node.concept[:2] if node.concept else None for node in results[0].children("STAGE")]
    members = [
        STAGE_LETTERS.get(node.concept[:2]) if node.concept else None
        for node in results[0].children("STAGE-SET")
    ]
    if any(share is None or not 0.0 <= share <= 1.0 for share in shares.values()):
        yield ReportFault("report.value", "a probability is not between 0 and 1")
        return
    values = {name: share for name, share in shares.items() if share is not None}
    if values and abs(sum(values.values()) - 1.0) > PROBABILITY_SUM_TOLERANCE:
        yield ReportFault("report.value", "the probabilities do not add up to 1")
    if len(stages) != 1 or None in members or len(set(members)) != len(members):
        yield ReportFault("report.stage", "the report does not have one stage with its set")
        return
    compared = bool(results[0].children("L1-HU"))
    allowed = {UNDETERMINED} if len(members) > MAX_DECIDED else set(STAGE_LETTERS)
    if not values:
        allowed = {L1_ALONE if compared else NOT_STAGED, NOT_STAGED}
    if (
        stages[0] not in allowed
        or (values and set(values) != set("ABCD"))
        or (members and not values)
    ):
        yield ReportFault("report.stage", "stage, set and probabilities contradict each other")
    yield from _units(supplements[0])


def _units(group: ContentItem) -> Iterator[ReportFault]:
    for node in group.children():
        if node.value_type == "NUM" and node.name and node.unit != UNITS.get(node.name[:2]):
            yield ReportFault("report.unit", f"{node.words} has the wrong unit")


def _site(group: ContentItem) -> Iterator[ReportFault]:
    """The faults of one site's group, or of the group of one of its slices."""
    yield from _units(group)
    site = named_site(group)
    if site is None or group.finding not in ("ROI", site.name):
        yield ReportFault("report.site", "a measurement group names no known site")
        return
    places = group.children("363698007")
    found = [place.concept[0] for place in places if place.concept]
    if found != [SITE_CODES[site.level or site.muscle or ""]]:
        yield ReportFault("report.site", f"{site.name} has the finding site of another site")
    sides = [s.concept[0] for place in places for s in place.children("272741003") if s.concept]
    if sides != ([SITE_CODES[site.side]] if site.side else []):
        yield ReportFault("report.laterality", f"{site.name} has the wrong side")
    of_a_slice = group.finding == site.name
    means = group.children("373098007" if of_a_slice else "112031")
    spreads = group.children("386136009")
    numbers = [node for node in group.children() if node.value_type == "NUM"]
    if (len(means), len(spreads), len(numbers)) != (1, 1, 2) or not (
        of_a_slice or _is_mean(means[0])
    ):
        yield ReportFault(
            "report.content", f"{site.name} does not have one mean and one standard deviation"
        )
        return
    low, high = VERTEBRA_HU if site.is_vertebra else MUSCLE_HU
    if not _between(means[0].number, low, high) or not _between(spreads[0].number, *SD_HU):
        yield ReportFault("report.value", f"{site.name} has HU outside the possible range")
    regions = regions_of(group)
    images = [node.image for region in regions for node in region.children(SOURCE)]
    if not regions or len(set(images)) != len(regions) or (of_a_slice and len(regions) != 1):
        yield ReportFault(
            "report.region", f"{site.name} does not have one region on each of its images"
        )
    if of_a_slice and _drawn(spreads[0]) != _drawn(means[0]):
        yield ReportFault("report.region", f"{site.name} has two numbers of different regions")


def _is_mean(measured: ContentItem) -> bool:
    return [d.concept[0] for d in measured.children("121401") if d.concept] == ["373098007"]


def _drawn(measured: ContentItem) -> list[tuple[str, object]]:
    """The regions below a number: each with its image."""
    return [
        (node.image, region.item.get("GraphicData"))
        for region in measured.children(SOURCE)
        for node in region.children(SOURCE)
    ]


def _between(value: float | None, low: float, high: float) -> bool:
    return value is not None and low <= value <= high
