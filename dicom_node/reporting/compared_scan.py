"""What of a report decides whether it is compared with another one, and what is compared."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dicom_node.reporting.report_model import Report
from dicom_node.series.kernels import KernelClass
from roi_extraction.sites import SITES

__all__ = ["BODY_FINDINGS", "LEVELS", "ComparedScan", "clean_means", "compared_scan"]

LEVELS = tuple(site.name for site in SITES if site.is_vertebra)

BODY_FINDINGS = frozenset(
    {"roi.dense_body", "roi.dense_lesion", "roi.focal_density", "roi.fractured"}
)
"""Findings by which the HU of a body tells of something else than its bone density."""


@dataclass(frozen=True)
class ComparedScan:
    """A scan and its measurement, whether ``report.json`` or a Structured Report tells of it.

    Parameters
    ----------
    segmenter
        Name and version of what placed the regions.
    manufacturer, model, kernel
        As the images state them; empty if they do not.
    kernel_class
        How the kernel treats fine detail.
    kvp, slice_thickness_mm
        Tube voltage, kV, and thickness, mm; None if they are not known.
    several_spectra
        Whether it was acquired with several X-ray spectra.
    contrast
        Whether a contrast agent is stated or seen; None if that cannot be told.
    means_hu
        Means of the vertebrae without a finding in their body, HU.
    """

    segmenter: str
    manufacturer: str
    model: str
    kernel: str
    kernel_class: KernelClass
    kvp: float | None
    slice_thickness_mm: float | None
    several_spectra: bool
    contrast: bool | None
    means_hu: Mapping[str, float]


def compared_scan(report: Report) -> ComparedScan:
    """What ``report.json`` tells of a scan."""
    scan = report.acquisition
    warned = {warning.code for warning in report.warnings}
    contrast: bool | None = None if scan.aorta_hu is None else False
    if scan.contrast or "acquisition.contrast_seen" in warned:
        contrast = True
    return ComparedScan(
        segmenter=f"{report.segmenter.name} {report.segmenter.version}",
        manufacturer=scan.manufacturer,
        model=scan.model,
        kernel=scan.kernel,
        kernel_class=scan.kernel_class,
        kvp=scan.kvp,
        slice_thickness_mm=scan.slice_thickness_mm,
        several_spectra="acquisition.multienergy" in warned,
        contrast=contrast,
        means_hu=clean_means(
            {site.name: site.mean_hu for site in report.sites if site.mean_hu is not None},
            [warning.message for warning in report.warnings if warning.code in BODY_FINDINGS],
        ),
    )


def clean_means(means_hu: Mapping[str, float], findings: Iterable[str]) -> dict[str, float]:
    """Means of the vertebrae of which no finding speaks.

    Parameters
    ----------
    means_hu
        Means by the names of the sites, HU.
    findings
        Words on `BODY_FINDINGS`, each of which begins with the name of its site.
    """
    spoken_of = {words.split()[0].rstrip(":") for words in findings if words.split()}
    return {name: means_hu[name] for name in LEVELS if name in means_hu and name not in spoken_of}
