"""The acquisition rules that the header decides: refused, or reported with a warning."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from dicom_node.errors import SeriesRefused
from dicom_node.foreign_text import cleaned
from dicom_node.series.geometry import SliceStack
from dicom_node.series.instances import Instance
from dicom_node.series.kernels import KernelClass, kernel_class
from dicom_node.settings.node import Acquisition, Mode
from roi_extraction.anatomy import Finding

__all__ = [
    "TILT_WARNED_DEG",
    "check_acquisition",
    "check_header",
    "check_rules",
    "refuse_or_report",
    "series_kernel",
    "series_thickness_mm",
]

TILT_WARNED_DEG = 1.0
"""Gantry tilt above which a series is warned of or refused, degrees; a smaller angle is
the rounding of positions and orientation."""

BACK_MUSCLES_MM = 60.0
"""Distance of the back muscles behind the middle of a vertebral body, mm (57-63 on a labelled
scan)."""

KVP_TOLERANCE = 0.01
"""Tube voltages of one series that differ by no more are one, kV: they were rounded."""

THICKNESS_TOLERANCE_MM = 0.01
"""Slice thicknesses of one series that differ by no more are one, mm: 3.0 beside 2.999."""

LARGE_PIXEL_MM = 1.5
"""Pixel spacing above which the reader is told, mm: 70 pixels are left to a ROI of 150 mm2, and
cortex of 1-2 mm spreads over its neighbours."""

LARGEST_PIXEL_MM = 3.0
"""Pixel spacing above which nothing is measured, mm: a ROI would have fewer than 17 pixels."""

COHORT_SCANNER = ("GE", "Revolution")
"""Maker and model of the scanner that the cohort was measured on (Wang 2025, doi
10.1101/2025.02.12.25321163)."""

COHORT_SLICE_MM = 3.0
"""Slice thickness of the published cohort, mm (Wang 2025, doi 10.1101/2025.02.12.25321163)."""


def refuse_or_report(mode: Mode, finding: Finding, code: str | None = None) -> list[Finding]:
    """Refuse a series that breaks a rule, or return the finding to be reported.

    Parameters
    ----------
    mode
        ``strict`` refuses, ``warn`` reports.
    finding
        What is wrong.
    code
        Code of the refusal if it is not the finding's.

    Returns
    -------
    list of Finding
        The finding, to be reported.

    Raises
    ------
    SeriesRefused
        In ``strict``.
    """
    if mode == "strict":
        raise SeriesRefused(code or finding.code, finding.message)
    return [finding]


def check_acquisition(members: Sequence[Instance], rules: Acquisition) -> None:
    """Check the tube voltage, which must always be one that the settings allow.

    Raises
    ------
    SeriesRefused
        The tube voltage is not stated, not allowed, or changes within the series.
    """
    allowed = ", ".join(f"{value:g}" for value in rules.kvp)
    kvp = _one([instance.kvp for instance in members], "KVP", KVP_TOLERANCE)
    if kvp is None:
        raise SeriesRefused("series.kvp_missing", f"the tube voltage is not stated; need {allowed}")
    if not any(abs(kvp - value) <= rules.kvp_tolerance for value in rules.kvp):
        raise SeriesRefused(
            "series.kvp",
            f"acquired at {kvp:g} kVp; HU of bone depend on it, and {allowed} kVp is allowed",
        )


def series_thickness_mm(stack: SliceStack, rules: Acquisition) -> float:
    """The slice thickness, or the step where none is stated, mm.

    Raises
    ------
    SeriesRefused
        Slices or steps are too thick.
    """
    most = rules.max_slice_thickness_mm
    if stack.step_mm > most + 1e-6:
        raise SeriesRefused(
            "series.slice_step", f"slices are {stack.step_mm:g} mm apart; at most {most:g} mm"
        )
    stated = _one(
        [s.slice_thickness_mm for s in stack.slices], "Slice Thickness", THICKNESS_TOLERANCE_MM
    )
    thickness_mm = stated or stack.step_mm
    _check_thickness(thickness_mm, rules)
    return thickness_mm


def check_header(header: Instance, instances: int | None, rules: Acquisition) -> None:
    """Refuse a series by one of its headers, by the rules that this alone decides.

    Parameters
    ----------
    header
        Of one slice; what is missing in it decides nothing, but for the tube voltage.
    instances
        Number of instances of the series; None if it is unknown.
    rules
        What a series must fulfil.

    Raises
    ------
    SeriesRefused
        Whatever the other slices are, the series could not be assessed.
    """
    check_acquisition([header], rules)
    if header.slice_thickness_mm is not None:
        _check_thickness(header.slice_thickness_mm, rules)
    if instances is not None:
        _enough_slices(instances, rules)
    if header.kernel:
        _kernel(header, series_kernel([header]), rules)
    _contrast([header], rules)
    _pixels(header, rules)


def series_kernel(slices: Sequence[Instance]) -> KernelClass:
    """The class of the series' reconstruction kernel.

    Raises
    ------
    SeriesRefused
        It changes within the series.
    """
    names = {instance.kernel for instance in slices if instance.kernel}
    if len(names) > 1:
        raise SeriesRefused(
            "series.mixed_acquisition",
            "Convolution Kernel differs within the series: "
            + ", ".join(cleaned(name) for name in sorted(names)),
        )
    return kernel_class(slices[0].manufacturer, names.pop() if names else "")


def check_rules(
    stack: SliceStack, thickness_mm: float, kernel: KernelClass, rules: Acquisition
) -> list[Finding]:
    """Apply the rules whose mode the settings choose.

    Returns
    -------
    list of Finding
        What to warn of.

    Raises
    ------
    SeriesRefused
        A rule that is ``strict`` is broken.
    """
    return [
        *_header(stack.slices),
        *_coverage(stack, rules),
        *_tilt(stack, rules),
        *_kernel(stack.slices[0], kernel, rules),
        *_contrast(stack.slices, rules),
        *_pixels(stack.slices[0], rules),
        *_thickness(stack.slices, thickness_mm, rules),
        *_position(stack.slices[0], rules),
        *_scanner(stack.slices[0], rules),
    ]


def _header(slices: Sequence[Instance]) -> list[Finding]:
    """What in the header is invalid, and whether several X-ray spectra were used."""
    findings = []
    invalid = sorted({keyword for instance in slices for keyword in instance.invalid})
    if "PatientSex" in invalid:
        invalid.remove("PatientSex")
        found = "Patient's Sex is none of M, F and O; it counts as unknown"
        findings.append(Finding("header.sex_unknown", found))
    if invalid:
        found = f"values that are invalid count as missing: {', '.join(invalid)}"
        findings.append(Finding("header.invalid_values", found))
    if any(instance.multienergy for instance in slices):
        finding = Finding(
            "acquisition.multienergy",
            "the scan was acquired with several X-ray spectra; its HU may differ from those of "
            "one tube voltage, so it is not staged",
        )
        findings.append(finding)
    return findings


def _check_thickness(thickness_mm: float, rules: Acquisition) -> None:
    most = rules.max_slice_thickness_mm
    if thickness_mm > most + 1e-6:
        raise SeriesRefused(
            "series.slice_thickness",
            f"slices are {thickness_mm:g} mm thick; at most {most:g} mm can be assessed",
        )


def _coverage(stack: SliceStack, rules: Acquisition) -> list[Finding]:
    few = _enough_slices(len(stack.slices), rules)
    if few or stack.coverage_mm >= rules.min_coverage_mm:
        return few
    found = (
        f"the slices cover {stack.coverage_mm:.0f} mm; at least {rules.min_coverage_mm:g} mm "
        "are needed"
    )
    return _short(found, rules)


def _enough_slices(count: int, rules: Acquisition) -> list[Finding]:
    if count >= rules.min_slices:
        return []
    return _short(f"{count} slices; at least {rules.min_slices} are needed", rules)


def _short(found: str, rules: Acquisition) -> list[Finding]:
    finding = Finding("acquisition.short_coverage", found)
    return refuse_or_report(rules.rules.coverage, finding, "series.too_few_slices")


def _tilt(stack: SliceStack, rules: Acquisition) -> list[Finding]:
    stated = stack.slices[0].gantry_tilt_deg
    if stated is not None and abs(abs(stated) - stack.tilt_deg) > TILT_WARNED_DEG:
        finding = Finding(
            "acquisition.gantry_tilt_unclear",
            f"a gantry tilt of {abs(stated):.1f} degrees is stated, the slices' positions show "
            f"{stack.tilt_deg:.1f}; lengths along the spine may be wrong",
        )
        return refuse_or_report(rules.rules.gantry_tilt_unclear, finding)
    if stack.tilt_deg <= TILT_WARNED_DEG:
        return []
    off_mm = BACK_MUSCLES_MM * float(np.tan(np.deg2rad(stack.tilt_deg)))
    finding = Finding(
        "acquisition.gantry_tilt",
        f"the gantry was tilted by {stack.tilt_deg:.1f} degrees; regions lie in the tilted slices, "
        f"those of the back muscles {off_mm:.0f} mm off their disc along the patient",
    )
    return refuse_or_report(rules.rules.gantry_tilt, finding, "series.gantry_tilt")


def _kernel(first: Instance, kernel: KernelClass, rules: Acquisition) -> list[Finding]:
    kernel_name, vendor = cleaned(first.kernel), cleaned(first.manufacturer)
    named = f"the reconstruction kernel {kernel_name}" if kernel_name else "no kernel is stated"
    if kernel is KernelClass.UNKNOWN:
        found = f"{named} of {vendor or 'an unnamed vendor'} is not in the tables"
        finding = Finding(
            "acquisition.kernel_unknown",
            f"{found if first.kernel else named}; HU hold for soft and standard body kernels",
        )
        return refuse_or_report(rules.rules.kernel_unknown, finding)
    if kernel is KernelClass.SHARP:
        finding = Finding(
            "acquisition.kernel_sharp",
            f"{named} is sharper than a standard body kernel; noise is higher and HU near edges "
            "may be off",
        )
        return refuse_or_report(rules.rules.kernel_sharp, finding)
    if kernel is KernelClass.LUNG_BONE:
        finding = Finding(
            "acquisition.kernel_lung_bone",
            f"{named} is made for lung or bone; a soft or standard body kernel is needed",
        )
        return refuse_or_report(rules.rules.kernel_lung_bone, finding)
    return []


def _contrast(slices: Sequence[Instance], rules: Acquisition) -> list[Finding]:
    if not any(instance.contrast_agent for instance in slices):
        return []
    finding = Finding(
        "acquisition.contrast",
        "a contrast agent is stated; iodine raises the HU of bone and muscle, so the "
        "stage may be too favourable",
    )
    return refuse_or_report(rules.rules.contrast, finding)


def _pixels(first: Instance, rules: Acquisition) -> list[Finding]:
    largest_mm = max(first.pixel_spacing_mm or (0.0,))
    if largest_mm > LARGEST_PIXEL_MM + 1e-6:
        raise SeriesRefused(
            "series.large_pixels",
            f"pixels are {largest_mm:.3g} mm wide; at most {LARGEST_PIXEL_MM:g} mm can be measured",
        )
    if largest_mm <= LARGE_PIXEL_MM + 1e-6:
        return []
    finding = Finding(
        "acquisition.large_pixels",
        f"pixels of {largest_mm:.3g} mm mix tissues at the edges of small muscles; pixels of at "
        f"most {LARGE_PIXEL_MM:g} mm show them better",
    )
    return refuse_or_report(rules.rules.large_pixels, finding)


def _thickness(
    slices: Sequence[Instance], thickness_mm: float, rules: Acquisition
) -> list[Finding]:
    findings = []
    if thickness_mm > COHORT_SLICE_MM + 1e-6:
        finding = Finding(
            "acquisition.thick_slices",
            f"slices of {thickness_mm:g} mm were used as they are; the cohort's were 3 mm",
        )
        findings += refuse_or_report(rules.rules.thick_slices, finding)
    if all(instance.slice_thickness_mm is None for instance in slices):
        finding = Finding(
            "acquisition.thickness_unknown",
            "Slice Thickness is not stated; the step between slices was taken for it",
        )
        findings += refuse_or_report(rules.rules.thickness_unknown, finding)
    return findings


def _position(first: Instance, rules: Acquisition) -> list[Finding]:
    if first.patient_position:
        return []
    finding = Finding(
        "acquisition.patient_position_missing",
        "Patient Position is not stated; sides follow Image Orientation alone",
    )
    return refuse_or_report(rules.rules.patient_position_missing, finding)


def _one(values: Sequence[float | None], name: str, tolerance: float) -> float | None:
    """The commonest value, rounded to three digits; None if no slice states it."""
    found = Counter(round(value, 3) for value in values if value is not None)
    if found and max(found) - min(found) > tolerance:
        raise SeriesRefused(
            "series.mixed_acquisition", f"{name} differs within the series: {sorted(found)}"
        )
    if found and any(value is None for value in values):
        raise SeriesRefused(
            "series.mixed_acquisition", f"{name} is stated in a part of the images only"
        )
    return found.most_common(1)[0][0] if found else None


def _scanner(first: Instance, rules: Acquisition) -> list[Finding]:
    maker, model = COHORT_SCANNER
    stated = cleaned(f"{first.manufacturer} {first.model}")
    if first.manufacturer.casefold().startswith(maker.casefold()) and (
        model.casefold() in first.model.casefold()
    ):
        return []
    finding = Finding(
        "acquisition.other_scanner",
        f"scanner {stated or 'not stated'}; the cohort's was a {maker} {model}. Where HU differ by "
        "10, the stage may change",
    )
    return refuse_or_report(rules.rules.other_scanner, finding)
