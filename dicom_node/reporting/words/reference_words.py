"""The internal references in words: blood, psoas and fat, and the phase of the contrast agent."""

from dicom_node.reporting.report_model import ReferenceReport, Report
from roi_extraction.checks.contrast_phase import ContrastPhase

__all__ = ["PHASE_WORDS", "reference_rows"]

PHASE_WORDS = {
    ContrastPhase.UNENHANCED: "unenhanced",
    ContrastPhase.ARTERIAL: "arterial",
    ContrastPhase.PORTAL_VENOUS: "portal venous",
    ContrastPhase.DELAYED: "delayed",
    ContrastPhase.UNDETERMINED: "undetermined",
}
"""Each phase as a reader says it."""


def reference_rows(report: Report) -> tuple[tuple[str, str], ...]:
    """Name and value of each reference; empty for a report of a version before them."""
    found = report.references
    if found is None:
        return ()
    low, high = found.usual_fat_hu
    fat = _value(found.fat, f" (95 % of abdominal CT {low:.0f} to {high:.0f})")
    place = "" if found.fat_place is None else f", {found.fat_place}"
    return (
        ("Blood in the aorta", _value(found.aorta, " (unenhanced blood about 30 to 45)")),
        ("Blood in the vena cava", _value(found.vena_cava)),
        ("Contrast phase", PHASE_WORDS[found.phase]),
        ("Psoas, median", _value(found.psoas)),
        (f"Fat{place}", fat),
    )


def _value(reference: ReferenceReport, beside: str = "") -> str:
    if reference.mean_hu is None:
        return f"not measured: {reference.missing}"
    spread = "" if reference.sd_hu is None else f" ± {reference.sd_hu:.0f}"
    return f"{reference.mean_hu:z.0f}{spread} HU{beside}"
