"""Before and now: how much each vertebra's HU changed since an earlier report, and whether it may.

Scanners, spectra, contrast agents, kernels and methods move HU by more than bone loss does in a
year; a report is compared only with one for which all of these were the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from dicom_node.assessment.assessment import SAME_KVP
from dicom_node.reporting.compared_scan import LEVELS, ComparedScan, compared_scan
from dicom_node.reporting.report_model import (
    Comparison,
    EarlierReport,
    NotCompared,
    Report,
    SiteChange,
)
from dicom_node.series.kernels import KernelClass

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
        The scan and its measurement; None if they cannot be read.
    withdrawn, superseded
        Whether it was withdrawn, or another report supersedes it.
    """

    uid: str
    study_uid: str
    study_date: date | None
    content: ComparedScan | None
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
    scan = compared_scan(present)
    ordered = sorted(priors, key=lambda prior: (prior.study_date or date.min, prior.uid))
    refused: list[NotCompared] = []
    for prior in reversed(ordered):
        reason = _objection(present.study_uid, scan, study_date, prior)
        if reason is None and study_date and prior.study_date and prior.content:
            days = (study_date - prior.study_date).days
            changes = _changes(scan, prior.content, days / DAYS_PER_YEAR)
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
    study_uid: str, now: ComparedScan, study_date: date | None, prior: PriorReport
) -> tuple[str, str] | None:
    """Why a prior is not compared: a code and words; None if nothing speaks against it."""
    if prior.withdrawn:
        return "withdrawn", "the earlier report was withdrawn"
    if prior.superseded:
        return "superseded", "a newer report of the same study supersedes it"
    if prior.study_uid == study_uid:
        return "same_study", "the other report is of the same study"
    if study_date is None or prior.study_date is None:
        return "unknown_date", "the date of one of the two studies is not stated"
    if prior.study_date > study_date:
        return "later_study", "the other study is the later one"
    if (study_date - prior.study_date).days < MIN_INTERVAL_DAYS:
        return "short_interval", f"the studies are less than {MIN_INTERVAL_DAYS} days apart"
    if prior.content is None:
        return "unreadable", "the earlier report cannot be read"
    if prior.content.segmenter != now.segmenter:
        return "segmenter", "another segmenter, or another version of it, placed the regions"
    return _scans(now, prior.content)


def _scans(now: ComparedScan, then: ComparedScan) -> tuple[str, str] | None:
    """Why two scans do not measure the same."""
    if not all((now.manufacturer, now.model, then.manufacturer, then.model)):
        return "scanner", "one of the two scanners is not stated"
    if _scanner(now) != _scanner(then):
        return "scanner", f"another scanner: {then.model} before, {now.model} now"
    if now.kvp is None or then.kvp is None or abs(now.kvp - then.kvp) > SAME_KVP:
        return "kvp", f"another tube voltage: {_kv(then)} before, {_kv(now)} now"
    if now.several_spectra or then.several_spectra:
        return "kvp", "several X-ray spectra"
    for scan in (then, now):
        if scan.contrast:
            return "contrast", "a contrast agent in one of the two scans"
        if scan.contrast is None:
            return "contrast", "no aorta to tell that one of the two scans has no contrast agent"
    if not _same_kernel(now, then):
        return "kernel", f"another kernel: {then.kernel or '-'} before, {now.kernel or '-'} now"
    if now.slice_thickness_mm is None or then.slice_thickness_mm is None:
        return "slice_thickness", "the slice thickness of one of the two scans is not stated"
    if abs(now.slice_thickness_mm - then.slice_thickness_mm) > SAME_THICKNESS_MM:
        return "slice_thickness", (
            f"another slice thickness: {then.slice_thickness_mm:g} mm before, "
            f"{now.slice_thickness_mm:g} mm now"
        )
    return None


def _scanner(scan: ComparedScan) -> tuple[str, str]:
    return scan.manufacturer.strip().casefold(), scan.model.strip().casefold()


def _kv(scan: ComparedScan) -> str:
    return "unknown" if scan.kvp is None else f"{scan.kvp:g} kV"


def _same_kernel(now: ComparedScan, then: ComparedScan) -> bool:
    """Of one class; kernels of no known class must have the same name."""
    if now.kernel_class is KernelClass.UNKNOWN:
        return bool(now.kernel) and now.kernel == then.kernel
    return now.kernel_class == then.kernel_class


def _changes(now: ComparedScan, then: ComparedScan, years: float) -> tuple[SiteChange, ...]:
    changes_hu = {
        name: now.means_hu[name] - then.means_hu[name]
        for name in LEVELS
        if name in now.means_hu and name in then.means_hu
    }
    return tuple(
        SiteChange(
            name=name,
            mean_hu=now.means_hu[name],
            earlier_hu=then.means_hu[name],
            change_hu=round(change_hu, 2),
            per_year_hu=round(change_hu / years, 2),
            least_significant_hu=LEAST_SIGNIFICANT_HU[name],
            significant=round(abs(change_hu), 2) > LEAST_SIGNIFICANT_HU[name],
        )
        for name, change_hu in changes_hu.items()
    )
