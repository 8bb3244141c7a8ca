"""An earlier report of which only the Structured Report is at hand, as a PACS holds it.

A Structured Report states means, findings, contrast and segmenter. Scanner, tube voltage, kernel
and slice thickness are read from an image that it names as evidence.
"""

from itertools import pairwise

from pydicom.dataset import Dataset

from dicom_node.reporting.checks.report_check import find_faults
from dicom_node.reporting.checks.report_content import (
    MEASUREMENT_GROUP_NAME,
    RESULTS_NAME,
    SUPPLEMENT_NAME,
    ContentItem,
)
from dicom_node.reporting.checks.report_geometry import named_site
from dicom_node.reporting.compared_scan import BODY_FINDINGS, ComparedScan, clean_means
from dicom_node.reporting.report_history import KeptReport
from dicom_node.reporting.structured_report import MANUFACTURER
from dicom_node.reporting.words.warning_words import WARNING_WORDS
from dicom_node.series.instances import Instance
from dicom_node.series.kernels import KernelClass, kernel_class

__all__ = ["document_faults", "scan_of_document"]

NEEDS_IMAGES = frozenset(
    {"report.no_source", "report.evidence", "report.reference", "report.comparison"}
)
"""Faults that say only that the images, or the report before it, are not at hand."""

BODY_CODES = frozenset(WARNING_WORDS[code].short for code in BODY_FINDINGS)
SPECTRA_CODE = WARNING_WORDS["acquisition.multienergy"].short
CONTRAST_SAID = {"373066001": True, "373067005": False}
"""SNOMED codes of Yes and No."""

SEGMENTER = "segmenter "
"""Begins the algorithm parameter that names the segmenter with its version."""


def document_faults(document: Dataset, kept: KeptReport) -> tuple[str, ...]:
    """Why a Structured Report from elsewhere is none of this program; nothing if it is one.

    It must pass the check that each report passes before it is sent, as far as that needs no
    images: identity, content, codes, units, sites, ranges.

    Parameters
    ----------
    document
        The Structured Report.
    kept
        Its header as it was read.

    Returns
    -------
    tuple of str
        Stable codes of what was found, each once.
    """
    if document.get("Manufacturer") != MANUFACTURER:
        return ("report.manufacturer",)
    if not kept.evidence_uids:
        return ("report.evidence",)
    observers = document.get("VerifyingObserverSequence") or ()
    reader = str(observers[0].get("VerifyingObserverName") or "") if observers else None
    faults = find_faults(document, {}, kept.predecessor_uids, verified_by=reader)
    return tuple(dict.fromkeys(f.code for f in faults if f.code not in NEEDS_IMAGES))


def scan_of_document(document: Dataset, image: Instance | None) -> ComparedScan:
    """What a Structured Report without faults tells of its scan.

    Parameters
    ----------
    document
        The Structured Report.
    image
        An image that it measured; None if none is at hand: then scanner, tube voltage, kernel
        and thickness are not known.
    """
    root = ContentItem(document, None)
    [results] = [part for part in root.children() if part.name == RESULTS_NAME]
    warned = {node.concept[0] for node in results.children("WARNING") if node.concept}
    manufacturer = "" if image is None else image.manufacturer
    kernel = "" if image is None else image.kernel
    return ComparedScan(
        segmenter=_segmenter(root),
        manufacturer=manufacturer,
        model="" if image is None else image.model,
        kernel=kernel,
        kernel_class=kernel_class(manufacturer, kernel) if kernel else KernelClass.UNKNOWN,
        kvp=None if image is None else image.kvp,
        slice_thickness_mm=None if image is None else image.slice_thickness_mm,
        several_spectra=SPECTRA_CODE in warned or (image is not None and image.multienergy),
        contrast=_contrast(results, image),
        means_hu=clean_means(_means(root), _body_findings(results)),
    )


def _segmenter(root: ContentItem) -> str:
    """Name and version of the segmenter; empty unless one is stated."""
    stated = {
        str(node.item.get("TextValue") or "").removeprefix(SEGMENTER)
        for part in root.children()
        if part.name == SUPPLEMENT_NAME
        for node in part.children("111002")
        if str(node.item.get("TextValue") or "").startswith(SEGMENTER)
    }
    return stated.pop() if len(stated) == 1 else ""


def _contrast(results: ContentItem, image: Instance | None) -> bool | None:
    if image is not None and image.contrast_agent:
        return True
    said = [node.concept[0] for node in results.children("123011") if node.concept]
    return CONTRAST_SAID.get(said[0]) if len(said) == 1 else None


def _body_findings(results: ContentItem) -> list[str]:
    """The words of findings in vertebral bodies: they stand behind the code."""
    items = results.children()
    return [
        str(words.item.get("TextValue") or "")
        for warning, words in pairwise(items)
        if warning.concept is not None and warning.concept[0] in BODY_CODES
    ]


def _means(root: ContentItem) -> dict[str, float]:
    """Means of the sites, HU: a group has one, or the document has a fault."""
    found = {}
    for part in root.children("126010"):
        for group in part.children():
            site, means = named_site(group), group.children("112031")
            if group.name == MEASUREMENT_GROUP_NAME and site is not None and means:
                mean_hu = means[0].number
                if mean_hu is not None:
                    found[site.name] = mean_hu
    return found
