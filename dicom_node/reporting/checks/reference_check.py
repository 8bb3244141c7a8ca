"""The internal references of a Structured Report: blood, psoas and fat, each once and possible."""

from collections.abc import Iterator, Sequence

from dicom_node.reporting.checks.report_content import (
    RESULTS_NAME,
    SUPPLEMENT_NAME,
    ContentItem,
)
from dicom_node.reporting.checks.report_geometry import ReportFault

__all__ = ["internal_reference_faults"]

POSSIBLE_HU: dict[str, tuple[float, float]] = {
    "7832008": (5.0, 700.0),
    "64131007": (5.0, 700.0),
    "68455001": (-250.0, 500.0),
    "71966008": (-200.0, -40.0),
    "82849001": (-200.0, -40.0),
}
"""Possible means by the SNOMED code of the place, HU: blood in aorta and inferior vena cava,
iliopsoas, subcutaneous and retroperitoneal fat."""

REFERENCE_SD_HU = (0.0, 500.0)
"""Possible standard deviations, HU."""

UNDETERMINED = "373068000"
PHASES = {UNDETERMINED, "PHASE-NONE", "PHASE-ARTERIAL", "PHASE-VENOUS", "PHASE-DELAYED"}
"""Code values of the phases of the contrast agent."""


def internal_reference_faults(nodes: Sequence[ContentItem]) -> Iterator[ReportFault]:
    """The faults of the references and of the phase of the contrast agent.

    Parameters
    ----------
    nodes
        All content items of the report.
    """
    places: list[str] = []
    for supplement in (node for node in nodes if node.name == SUPPLEMENT_NAME):
        for measured in supplement.children("112031"):
            found = [node.concept[0] for node in measured.children("363698007") if node.concept]
            places += found
            if len(found) != 1 or found[0] not in POSSIBLE_HU:
                yield ReportFault(
                    "report.internal_reference", "a reference does not name one known tissue"
                )
            elif not _between(measured.number, *POSSIBLE_HU[found[0]]) or not all(
                _between(spread.number, *REFERENCE_SD_HU)
                for spread in measured.children("386136009")
            ):
                yield ReportFault("report.value", "a reference has HU outside the possible range")
            if [d.concept[0] for d in measured.children("121401") if d.concept] != ["373098007"]:
                yield ReportFault("report.internal_reference", "a reference is not called a mean")
            if any(node.unit != measured.unit for node in measured.children("386136009")):
                yield ReportFault("report.unit", "a reference has the wrong unit")
    if len(set(places)) != len(places):
        yield ReportFault("report.internal_reference", "a reference stands twice")
    for results in (node for node in nodes if node.name == RESULTS_NAME):
        phases = [p.concept[0] for p in results.children("CONTRAST-PHASE") if p.concept]
        if len(phases) > 1 or not set(phases) <= PHASES:
            yield ReportFault("report.internal_reference", "the contrast agent has no single phase")
        elif phases and phases[0] != UNDETERMINED and "7832008" not in places:
            yield ReportFault(
                "report.internal_reference", "a phase is told without blood in the aorta"
            )


def _between(value: float | None, low: float, high: float) -> bool:
    return value is not None and low <= value <= high
