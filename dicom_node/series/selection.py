"""Decide which series can be assessed, and say why the others cannot."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.config import IGNORE
from pydicom.uid import UID

from dicom_node.errors import SeriesRefused
from dicom_node.foreign_text import cleaned
from dicom_node.series.acquisition import (
    check_acquisition,
    check_rules,
    series_kernel,
    series_thickness_mm,
)
from dicom_node.series.doubles import drop_doubles
from dicom_node.series.geometry import stack_slices
from dicom_node.series.instances import Instance
from dicom_node.series.interleaving import check_interleaving
from dicom_node.series.kernels import KernelClass
from dicom_node.series.stray_images import set_strays_aside
from dicom_node.settings.node import Acquisition
from roi_extraction.anatomy import Finding

__all__ = [
    "EligibleSeries",
    "RefusedSeries",
    "Selection",
    "check_identity",
    "check_kind",
    "check_pixels",
    "check_series",
    "select_series",
]

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")

LOSSY_SYNTAXES = frozenset(
    f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 52, 53, 54, 55, 56, 81)
)
"""Transfer syntaxes that are always lossy (DICOM PS3.5, annex A.4) and so change HU."""

PIXEL_SPACING_TOLERANCE = 1e-3
"""Largest relative difference of Pixel Spacing within a series: half a pixel over a whole image."""

USUAL_KERNELS = (KernelClass.SOFT, KernelClass.STANDARD)
"""Kernels that HU of soft tissue and trabecular bone are usually measured with."""


@dataclass(frozen=True, eq=False)
class EligibleSeries:
    """A series that may be assessed.

    Parameters
    ----------
    study_uid, series_uid
        Study and Series Instance UID.
    slices
        Its instances from feet to head.
    step_mm
        Perpendicular distance between neighbouring slices, mm.
    slice_thickness_mm
        As stated, or the step where none is stated, mm.
    findings
        Its warnings.
    kernel_class
        How its reconstruction kernel treats fine detail.
    gantry_tilt_deg
        Angle between the line through the slices and their normal, degrees.
    """

    study_uid: str
    series_uid: str
    slices: tuple[Instance, ...]
    step_mm: float
    slice_thickness_mm: float
    findings: tuple[Finding, ...]
    kernel_class: KernelClass = KernelClass.UNKNOWN
    gantry_tilt_deg: float = 0.0

    @property
    def first(self) -> Instance:
        """The slice nearest to the feet, for the header values that all slices share."""
        return self.slices[0]

    @property
    def contrast(self) -> bool:
        """Whether any slice states a contrast agent."""
        return any(instance.contrast_agent for instance in self.slices)


@dataclass(frozen=True)
class RefusedSeries:
    """A series that cannot be assessed: a stable code and the reason in words."""

    study_uid: str
    series_uid: str
    code: str
    message: str


@dataclass(frozen=True, eq=False)
class Selection:
    """All series of a set of instances: the eligible ones, best first, and the refused ones."""

    eligible: tuple[EligibleSeries, ...]
    refused: tuple[RefusedSeries, ...]


def select_series(instances: Sequence[Instance], rules: Acquisition) -> Selection:
    """Sort instances into series and check each.

    The best eligible series is one with a soft or standard kernel before an unknown and that before
    a sharp one; among these the one whose slice thickness is nearest to the cohort's 3 mm, then the
    one without contrast agent, then the one with more slices.

    Parameters
    ----------
    instances
        Headers of one or more series, in any order.
    rules
        What a series must fulfil.
    """
    groups: dict[str, list[Instance]] = defaultdict(list)
    for instance in instances:
        groups[instance.series_uid].append(instance)
    eligible: list[EligibleSeries] = []
    refused: list[RefusedSeries] = []
    for series_uid, members in sorted(groups.items()):
        try:
            eligible.append(check_series(members, rules))
        except SeriesRefused as error:
            refused.append(RefusedSeries(members[0].study_uid, series_uid, error.code, str(error)))
    eligible.sort(
        key=lambda series: (
            _kernel_rank(series.kernel_class),
            abs(series.slice_thickness_mm - 3.0),
            series.contrast,
            -len(series.slices),
            series.series_uid,
        )
    )
    return Selection(tuple(eligible), tuple(refused))


def check_series(instances: Sequence[Instance], rules: Acquisition) -> EligibleSeries:
    """Check that the instances are one complete axial CT series that the rules admit.

    Parameters
    ----------
    instances
        Headers of one series, in any order; one that occurs twice counts once.
    rules
        What the series must fulfil.

    Raises
    ------
    SeriesRefused
        A rule fails; the message says what was found and what is needed.
    """
    unique = {instance.sop_instance_uid: instance for instance in instances}
    members = list(unique.values())
    check_identity(members)
    members, findings = set_strays_aside(members)
    check_kind(members)
    check_acquisition(members, rules)
    check_pixels(members)
    members, doubled = drop_doubles(members)
    stack = stack_slices(members)
    check_interleaving(stack.slices)
    thickness_mm = series_thickness_mm(stack, rules)
    kernel = series_kernel(stack.slices)
    findings += [*doubled, *check_rules(stack, thickness_mm, kernel, rules)]
    return EligibleSeries(
        study_uid=stack.slices[0].study_uid,
        series_uid=stack.slices[0].series_uid,
        slices=stack.slices,
        step_mm=stack.step_mm,
        slice_thickness_mm=thickness_mm,
        findings=tuple(findings),
        kernel_class=kernel,
        gantry_tilt_deg=stack.tilt_deg,
    )


def _kernel_rank(kernel: KernelClass) -> int:
    if kernel in USUAL_KERNELS:
        return 0
    return 1 if kernel is KernelClass.UNKNOWN else 2


def check_identity(members: Sequence[Instance]) -> None:
    """Check that the UIDs and the Patient ID are such that a report can carry them.

    Raises
    ------
    SeriesRefused
        They are not.
    """
    for instance in members:
        for uid, name in (
            (instance.study_uid, "Study Instance UID"),
            (instance.series_uid, "Series Instance UID"),
            (instance.sop_instance_uid, "SOP Instance UID"),
        ):
            if not uid or not UID(uid, validation_mode=IGNORE).is_valid:
                found = "no" if not uid else "an invalid"
                raise SeriesRefused(
                    "series.invalid_uid",
                    f"found {found} {name}; a report could not refer to the images. "
                    "Send the series again from its archive",
                )
    if len({instance.study_uid for instance in members}) > 1:
        raise SeriesRefused(
            "series.mixed_studies", "the instances of the series claim different studies"
        )
    if any("PatientID" in instance.invalid for instance in members):
        raise SeriesRefused(
            "series.invalid_patient_id",
            "Patient ID is longer than 64 characters, has several values or characters that are "
            "not allowed; a report could not carry it. Correct it in the archive",
        )


def check_kind(members: Sequence[Instance]) -> None:
    """Check that images are single-frame CT that was not computed from others.

    Raises
    ------
    SeriesRefused
        One is not.
    """
    first = members[0]
    modality = cleaned(first.modality) or "none"
    if first.modality != "CT":
        raise SeriesRefused("series.not_ct", f"modality is {modality}; only CT can be assessed")
    if any("LOCALIZER" in instance.image_type for instance in members):
        raise SeriesRefused("series.localizer", "the series is a localizer (scout)")
    derived = [i for i in members if i.image_type[:1] != ("ORIGINAL",)]
    if derived:
        found = cleaned("\\".join(derived[0].image_type)) or "none"
        raise SeriesRefused(
            "series.derived",
            f"{len(derived)} of {len(members)} images are not ORIGINAL (Image Type {found}); "
            "derived images need not hold HU",
        )
    spectral = [i for i in members if i.spectral]
    if spectral:
        raise SeriesRefused(
            "series.spectral",
            f"{len(spectral)} of {len(members)} images were computed from several X-ray spectra "
            f"({cleaned(spectral[0].spectral)}); their HU are not those of a tube voltage. Send "
            "the conventional images",
        )
    if first.sop_class_uid in ENHANCED_CT or any(i.frames > 1 for i in members):
        raise SeriesRefused(
            "series.enhanced",
            "Enhanced (multi-frame) CT cannot be read yet; send single-frame CT Image Storage",
        )
    if first.sop_class_uid != CT_IMAGE_STORAGE:
        found = cleaned(first.sop_class_uid) or "missing"
        raise SeriesRefused("series.not_ct", f"SOP class is {found}")


def check_pixels(members: Sequence[Instance]) -> None:
    """Check that pixels can become HU, and that images have one size and spacing.

    Raises
    ------
    SeriesRefused
        They cannot, or have not.
    """
    lossy = [i for i in members if i.lossy == "01" or i.transfer_syntax_uid in LOSSY_SYNTAXES]
    if lossy:
        raise SeriesRefused(
            "series.lossy", f"{len(lossy)} of {len(members)} images are lossy compressed"
        )
    if any(not instance.has_rescale for instance in members):
        raise SeriesRefused(
            "series.no_rescale", "Rescale Slope or Intercept is missing: pixels cannot become HU"
        )
    shapes = {(instance.rows, instance.columns) for instance in members}
    if len(shapes) > 1 or None in next(iter(shapes)):
        raise SeriesRefused("series.mixed_geometry", f"image sizes differ or are missing: {shapes}")
    spacings = [i.pixel_spacing_mm for i in members if i.pixel_spacing_mm is not None]
    if len(spacings) < len(members):
        raise SeriesRefused("series.no_pixel_spacing", "Pixel Spacing is missing or not a number")
    low_mm, high_mm = np.min(spacings, axis=0), np.max(spacings, axis=0)
    if low_mm.min() <= 0 or (high_mm - low_mm > PIXEL_SPACING_TOLERANCE * low_mm).any():
        raise SeriesRefused(
            "series.mixed_geometry", f"Pixel Spacing differs or is zero: {sorted(set(spacings))}"
        )
