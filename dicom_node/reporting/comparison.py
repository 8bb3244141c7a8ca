"""Before and now: how much each vertebra's HU changed since an earlier report, and whether it may.

Scanners, spectra, contrast agents, kernels and methods move HU by more than bone loss does in a
year; a report is compared only with one for which all of these were the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from dicom_node.assessment.assessment import SAME_KVP
from dicom_node.reporting.report_model import (
    AcquisitionReport,
    Comparison,
    EarlierReport,
    NotCompared,
    Report,
    SiteChange,
)
from dicom_node.series.kernels import KernelClass
from roi_extraction.sites import SITES

__all__ = ["DAYS_PER_YEAR", "LEAST_SIGNIFICANT_HU", "PriorReport", "compare"]

LEAST_SIGNIFICANT_FACTOR = 2.77
"""Least significant change over the SD of one measurement, 95 %: 1.96 times the square root of two
(Glueer 1995, doi 10.1007/BF01774016)."""

PUBLISHED_LEAST_SIGNIFICANT_HU = 16.0
"""Upper end of the least significant change of L1 and L4, HU: two scans within 16 days of 30
patients, ROIs of 200 mm2 placed by hand, 10 to 16 HU (Osteoporos Int 2025, abstract,
doi 10.1007/s00198-025-07529-7)."""

REPEATED_SD_HU: Mapping[str, float] = {
    "L1": 1.4,
    "L2": 2.4,
    "L3": 1.1,
    "L4": 1.5,
    "L5": 1.2,
    "S1": 3.0,
}
"""SD of a vertebra's mean in 20 moved and noisy copies of one scan, HU (``make bench-roi``,
docs/accuracy.md): of placing and noise alone, without what a scanner changes between two days."""

LEAST_SIGNIFICANT_HU: Mapping[str, float] = {
    name: round(max(LEAST_SIGNIFICANT_FACTOR * sd, PUBLISHED_LEAST_SIGNIFICANT_HU), 1)
    for name, sd in REPEATED_SD_HU.items()
}
"""Least significant change, HU: the larger of what was measured here and what was published."""

DAYS_PER_YEAR = 365.25

MIN_INTERVAL_DAYS = 182
"""Shortest interval that is compared, days: over a shorter one than half a year the error of a
change a year is more than twice that of the change."""

SAME_THICKNESS_MM = 0.5
"""Slice thicknesses that differ by no more are the same, mm: a choice, 2.5 beside 3 mm."""

LEVELS = tuple(site.name for site in SITES if site.is_vertebra)

BODY_FINDINGS = frozenset(
    {"roi.dense_body", "roi.dense_lesion", "roi.focal_density", "roi.fractured"}
)
"""Findings by which the HU of a body tells of something else than its bone density."""


@dataclass(frozen=True)
class PriorReport:
    """An earlier report of the same patient.

    Parameters
    ----------
    uid, study_uid
        SOP Instance UID of its Structured Report, and Study Instance UID.
    study_date
        Study Date of its images; None if it is not stated.
    content
        What its ``report.json`` holds; None if that cannot be read.
    withdrawn, superseded
        Whether it was withdrawn, or another report supersedes it.
    """

    uid: str
    study_uid: str
    study_date: date | None
    content: Report | None
    withdrawn: bool = False
    superseded: bool = False


def compare(
    present: Report, study_date: date | None, priors: Sequence[PriorReport]
) -> Comparison | None:
    """Compare a report with the newest earlier one that allows it.

    Parameters
    ----------
    present
        The new report.
    study_date
        Study Date of its images; None if it is not stated.
    priors
        The other reports of the same patient, in any order.

    Returns
    -------
    Comparison or None
        The change of each vertebra that both measured without a finding in its body, with the
        reasons against newer or other reports; None if there are no other reports.
    """
    if not priors:
        return None
    ordered = sorted(priors, key=lambda prior: (prior.study_date or date.min, prior.uid))
    refused: list[NotCompared] = []
    for prior in reversed(ordered):
        reason = _objection(present, study_date, prior)
        if reason is None and study_date and prior.study_date and prior.content:
            days = (study_date - prior.study_date).days
            changes = _changes(present, prior.content, days / DAYS_PER_YEAR)
            if changes:
                return Comparison(
                    earlier=EarlierReport(
                        sop_instance_uid=prior.uid,
                        study_uid=prior.study_uid,
                        study_date=prior.study_date,
                    ),
                    years=round(days / DAYS_PER_YEAR, 2),
                    changes=changes,
                    not_compared=tuple(refused),
                )
            reason = "no_site", "no vertebra was measured in both without a finding in its body"
        code, message = reason or ("unreadable", "the earlier report cannot be read")
        refused.append(NotCompared(study_date=prior.study_date, code=code, message=message))
    return Comparison(earlier=None, years=None, changes=(), not_compared=tuple(refused))


def _objection(
    present: Report, study_date: date | None, prior: PriorReport
) -> tuple[str, str] | None:
    """Why a prior is not compared: a code and words; None if nothing speaks against it."""
    if prior.withdrawn:
        return "withdrawn", "the earlier report was withdrawn"
    if prior.superseded:
        return "superseded", "a newer report of the same study supersedes it"
    if prior.study_uid == present.study_uid:
        return "same_study", "the other report is of the same study"
    if study_date is None or prior.study_date is None:
        return "unknown_date", "the date of one of the two studies is not stated"
    if prior.study_date > study_date:
        return "later_study", "the other study is the later one"
    if (study_date - prior.study_date).days < MIN_INTERVAL_DAYS:
        return "short_interval", f"the studies are less than {MIN_INTERVAL_DAYS} days apart"
    if prior.content is None:
        return "unreadable", "the earlier report cannot be read"
    if prior.content.segmenter != present.segmenter:
        return "segmenter", "another segmenter, or another version of it, placed the regions"
    return _scans(present, prior.content)


def _scans(present: Report, earlier: Report) -> tuple[str, str] | None:
    """Why two scans do not measure the same."""
    now, then = present.acquisition, earlier.acquisition
    if not all((now.manufacturer, now.model, then.manufacturer, then.model)):
        return "scanner", "one of the two scanners is not stated"
    if _scanner(now) != _scanner(then):
        return "scanner", f"another scanner: {then.model} before, {now.model} now"
    if now.kvp is None or then.kvp is None or abs(now.kvp - then.kvp) > SAME_KVP:
        return "kvp", f"another tube voltage: {_kv(then)} before, {_kv(now)} now"
    if _warned(present, "acquisition.multienergy") or _warned(earlier, "acquisition.multienergy"):
        return "kvp", "several X-ray spectra"
    for report in (earlier, present):
        if report.acquisition.contrast or _warned(report, "acquisition.contrast_seen"):
            return "contrast", "a contrast agent in one of the two scans"
        if report.acquisition.aorta_hu is None:
            return "contrast", "no aorta to tell that one of the two scans has no contrast agent"
    if not _same_kernel(now, then):
        return "kernel", f"another kernel: {then.kernel or '-'} before, {now.kernel or '-'} now"
    if abs(now.slice_thickness_mm - then.slice_thickness_mm) > SAME_THICKNESS_MM:
        return "slice_thickness", (
            f"another slice thickness: {then.slice_thickness_mm:g} mm before, "
            f"{now.slice_thickness_mm:g} mm now"
        )
    return None


def _scanner(acquisition: AcquisitionReport) -> tuple[str, str]:
    return acquisition.manufacturer.strip().casefold(), acquisition.model.strip().casefold()


def _kv(acquisition: AcquisitionReport) -> str:
    return "unknown" if acquisition.kvp is None else f"{acquisition.kvp:g} kV"


def _same_kernel(now: AcquisitionReport, then: AcquisitionReport) -> bool:
    """Of one class; kernels of no known class must have the same name."""
    if now.kernel_class is KernelClass.UNKNOWN:
        return bool(now.kernel) and now.kernel == then.kernel
    return now.kernel_class == then.kernel_class


def _warned(report: Report, code: str) -> bool:
    return any(warning.code == code for warning in report.warnings)


def _changes(present: Report, earlier: Report, years: float) -> tuple[SiteChange, ...]:
    now = _clean_means(present)
    then = _clean_means(earlier)
    return tuple(
        SiteChange(
            name=name,
            mean_hu=now[name],
            earlier_hu=then[name],
            change_hu=round(now[name] - then[name], 2),
            per_year_hu=round((now[name] - then[name]) / years, 2),
            least_significant_hu=LEAST_SIGNIFICANT_HU[name],
            significant=round(abs(now[name] - then[name]), 2) > LEAST_SIGNIFICANT_HU[name],
        )
        for name in LEVELS
        if name in now and name in then
    )


def _clean_means(report: Report) -> dict[str, float]:
    """Means of the vertebrae without a finding in their body, HU; findings begin with the site."""
    spoken_of = {
        warning.message.split()[0].rstrip(":")
        for warning in report.warnings
        if warning.code in BODY_FINDINGS
    }
    return {
        site.name: site.mean_hu
        for site in report.sites
        if site.name in LEVELS and site.mean_hu is not None and site.name not in spoken_of
    }
