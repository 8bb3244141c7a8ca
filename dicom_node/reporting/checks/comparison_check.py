"""The comparison with an earlier report, recomputed from both reports before one is sent."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from pydicom.dataset import Dataset

from dicom_node.reporting.checks.report_content import (
    CHANGE_NAME,
    COMPARISON_NAME,
    MEASUREMENT_GROUP_NAME,
    Code,
    ContentItem,
)
from dicom_node.reporting.checks.report_geometry import ReportFault, named_site
from dicom_node.reporting.report_history import study_date_of
from dicom_node.reporting.report_model import Comparison, EarlierReport, Report, SiteChange
from dicom_node.reporting.words.comparison_words import comparison_words
from dicom_node.series.patients import differing, patient_of

__all__ = ["comparison_faults", "says_the_same"]

LEVELS = {
    "66794005": "L1",
    "14293000": "L2",
    "36470004": "L3",
    "11994002": "L4",
    "49668003": "L5",
    "65985001": "S1",
}
"""Vertebrae by their SNOMED code."""

STATED_LIMITS_HU = dict.fromkeys(LEVELS.values(), 16.0)
"""The least significant change that a report may state, HU."""

MIN_DAYS = 182
"""Shortest interval between two studies that are compared, days."""

HU: Code = ("[hnsf'U]", "UCUM", "Hounsfield unit")
HU_A_YEAR: Code = ("[hnsf'U]/a", "UCUM", "Hounsfield unit per year")

ROUNDING = 0.006
"""Largest difference to a recomputed number, which is rounded to two decimals."""


def comparison_faults(
    document: Dataset, nodes: Sequence[ContentItem], earlier: Dataset | None
) -> Iterator[ReportFault]:
    """The comparison must follow from the two reports, and be of one patient.

    Parameters
    ----------
    document
        The report that is to be sent.
    nodes
        All its content items.
    earlier
        The report that it is compared with; None if it is with none.
    """
    found = [node for node in nodes if node.name == COMPARISON_NAME]
    if _other_evidence(document) != ([] if earlier is None else [_place(earlier)]):
        yield _fault("the other evidence is not the earlier report")
    if earlier is None or len(found) != 1:
        if found or earlier is not None:
            yield _fault("there is not one comparison with one earlier report")
        return
    now, then = patient_of(document), patient_of(earlier)
    if differing(now, then) or not now[0] or now[:3] != then[:3]:
        yield ReportFault("report.comparison_patient", "the earlier report is of another patient")
    today, before = study_date_of(document), study_date_of(earlier)
    if today is None or before is None or (today - before).days < MIN_DAYS:
        yield _fault("the earlier report is not older by half a year")
        return
    years = (today - before).days / 365.25
    [comparison] = found
    if not _names(comparison, earlier):
        yield _fault("the comparison does not name the earlier report and its date")
    means = _means(document), _means(earlier)
    changes = [
        _change(node, *means, years) for node in comparison.children() if node.name == CHANGE_NAME
    ]
    sound = [change for change in changes if change is not None]
    if not sound or len(sound) != len(changes) or len({c.name for c in sound}) != len(sound):
        yield _fault("a change does not follow from the two reports")
        return
    texts = [str(node.item.get("TextValue") or "") for node in comparison.children("121106")]
    if texts != list(_words(sound, earlier, before)):
        yield _fault("the words of the comparison do not say its numbers")


def says_the_same(report: Report, document: Dataset) -> bool:
    """Whether ``report.json`` and a Structured Report state the same means of the vertebrae."""
    means = _means(document)
    stated = {site.name: site.mean_hu for site in report.sites if site.name in LEVELS.values()}
    return all(
        name not in means if mean is None else _is(means.get(name), mean)
        for name, mean in stated.items()
    )


def _fault(words: str) -> ReportFault:
    return ReportFault("report.comparison", words)


def _place(report: Dataset) -> tuple[str, ...]:
    keywords = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")
    return tuple(str(report.get(keyword)) for keyword in keywords)


def _other_evidence(document: Dataset) -> list[tuple[str, ...]]:
    return [
        (
            str(study.get("StudyInstanceUID")),
            str(series.get("SeriesInstanceUID")),
            str(instance.get("ReferencedSOPClassUID")),
            str(instance.get("ReferencedSOPInstanceUID")),
        )
        for study in document.get("PertinentOtherEvidenceSequence") or ()
        for series in study.get("ReferencedSeriesSequence") or ()
        for instance in series.get("ReferencedSOPSequence") or ()
    ]


def _names(comparison: ContentItem, earlier: Dataset) -> bool:
    reports = comparison.children("EARLIER-REPORT")
    dates = [str(node.item.get("Date") or "") for node in comparison.children("111060")]
    return [node.image for node in reports] == [str(earlier.SOPInstanceUID)] and dates == [
        str(earlier.StudyDate)
    ]


def _change(
    node: ContentItem, means: Mapping[str, float], earlier: Mapping[str, float], years: float
) -> SiteChange | None:
    """The change of a vertebra; None if a number is not what follows from the two reports."""
    places = [place.concept[0] for place in node.children("363698007") if place.concept]
    if len(places) != 1 or places[0] not in LEVELS:
        return None
    name = LEVELS[places[0]]
    now, then = means.get(name), earlier.get(name)
    if now is None or then is None or node.unit != HU:
        return None
    expected = (
        ("112031", HU, then),
        ("CHANGE-A-YEAR", HU_A_YEAR, (now - then) / years),
        ("LEAST-SIGNIF", HU, STATED_LIMITS_HU[name]),
    )
    if not _is(node.number, now - then) or len(node.children()) != len(expected) + 1:
        return None
    stated = []
    for value, unit, number in expected:
        below = node.children(value)
        if len(below) != 1 or below[0].unit != unit or not _is(below[0].number, number):
            return None
        stated.append(below[0].number or 0.0)
    change_hu = node.number or 0.0
    return SiteChange(
        name=name,
        mean_hu=now,
        earlier_hu=stated[0],
        change_hu=change_hu,
        per_year_hu=stated[1],
        least_significant_hu=stated[2],
        significant=abs(change_hu) > stated[2],
    )


def _is(stated: float | None, expected: float) -> bool:
    return stated is not None and abs(stated - expected) <= ROUNDING


def _means(report: Dataset) -> Mapping[str, float]:
    """Mean HU of the sites of a report, by name."""
    found = {}
    for part in ContentItem(report, None).children("126010"):
        for group in part.children():
            site, means = named_site(group), group.children("112031")
            if group.name == MEASUREMENT_GROUP_NAME and site is not None and len(means) == 1:
                number = means[0].number
                if number is not None:
                    found[site.name] = number
    return found


def _words(changes: Sequence[SiteChange], earlier: Dataset, then: date) -> Sequence[str]:
    return comparison_words(
        Comparison(
            earlier=EarlierReport(
                sop_instance_uid=str(earlier.SOPInstanceUID),
                study_uid=str(earlier.StudyInstanceUID),
                study_date=then,
            ),
            years=None,
            changes=tuple(changes),
            not_compared=(),
        )
    )
