"""Decide whether a series can be assessed, and say why not."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.uid import UID

from dicom_node.errors import SeriesRefused
from dicom_node.instances import Instance
from dicom_node.settings import Acquisition
from roi_extraction.anatomy import Finding

__all__ = ["EligibleSeries", "RefusedSeries", "Selection", "check_series", "select_series"]

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")

LOSSY_SYNTAXES = frozenset(
    f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 52, 53, 54, 55, 56, 81)
)
"""Transfer syntaxes that are always lossy (DICOM PS3.5, annex A.4): they alter HU."""

MAX_OBLIQUITY_DEG = 10.0
"""Largest angle between the slice normal and the head axis for a series to count as axial."""

MAX_TILT_DEG = 1.0
"""Largest angle between the slice step and the slice normal; more is gantry tilt."""

SPACING_TOLERANCE = 0.05
"""Largest relative deviation of one slice step from the series' own median."""

POSITION_TOLERANCE_MM = 0.05
"""Slices closer than this lie at the same position."""


@dataclass(frozen=True, eq=False)
class EligibleSeries:
    """A series that may be assessed: its slices from feet to head, and what to warn of."""

    study_uid: str
    series_uid: str
    slices: tuple[Instance, ...]
    step_mm: float
    slice_thickness_mm: float
    findings: tuple[Finding, ...]

    @property
    def first(self) -> Instance:
        """A slice that stands for the header values that all share."""
        return self.slices[0]

    @property
    def contrast(self) -> bool:
        """Whether any slice states a contrast agent."""
        return any(instance.contrast_agent for instance in self.slices)


@dataclass(frozen=True)
class RefusedSeries:
    """A series that may not be assessed, and why."""

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

    The best eligible series is the one whose slice thickness is nearest to the cohort's 3 mm,
    then the one without contrast agent, then the one with more slices.
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
            abs(series.slice_thickness_mm - 3.0),
            series.contrast,
            -len(series.slices),
            series.series_uid,
        )
    )
    return Selection(tuple(eligible), tuple(refused))


def check_series(instances: Sequence[Instance], rules: Acquisition) -> EligibleSeries:
    """Check that the instances are one complete axial CT series that the rules admit.

    Raises
    ------
    SeriesRefused
        With the first rule that fails, what was found and what is needed.
    """
    unique = {instance.sop_instance_uid: instance for instance in instances}
    members = list(unique.values())
    _check_kind(members)
    _check_acquisition(members, rules)
    _check_pixels(members)
    slices, step_mm = _check_geometry(members, rules)
    thickness_mm = _one([s.slice_thickness_mm for s in slices], "Slice Thickness") or step_mm
    if thickness_mm > rules.max_slice_thickness_mm + 1e-6:
        raise SeriesRefused(
            "series.slice_thickness",
            f"slices are {thickness_mm:g} mm thick; at most {rules.max_slice_thickness_mm:g} mm "
            "can be assessed",
        )
    return EligibleSeries(
        study_uid=slices[0].study_uid,
        series_uid=slices[0].series_uid,
        slices=tuple(slices),
        step_mm=step_mm,
        slice_thickness_mm=thickness_mm,
        findings=tuple(_findings(slices, thickness_mm)),
    )


def _check_kind(members: list[Instance]) -> None:
    first = members[0]
    for instance in members:
        for uid, name in (
            (instance.study_uid, "Study Instance UID"),
            (instance.series_uid, "Series Instance UID"),
            (instance.sop_instance_uid, "SOP Instance UID"),
        ):
            if not uid or not UID(uid).is_valid:
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
    modality = first.modality or "none"
    if modality != "CT":
        raise SeriesRefused("series.not_ct", f"modality is {modality}; only CT can be assessed")
    if any("LOCALIZER" in instance.image_type for instance in members):
        if all("LOCALIZER" in instance.image_type for instance in members):
            raise SeriesRefused("series.localizer", "the series is a localizer (scout)")
        raise SeriesRefused(
            "series.localizer", "the series mixes localizer images with slices; send them apart"
        )
    derived = [i for i in members if i.image_type[:1] != ("ORIGINAL",)]
    if derived:
        found = "\\".join(derived[0].image_type) or "none"
        raise SeriesRefused(
            "series.derived",
            f"{len(derived)} of {len(members)} images are not ORIGINAL (Image Type {found}); "
            "derived images need not hold HU",
        )
    if first.sop_class_uid in ENHANCED_CT or any(i.frames > 1 for i in members):
        raise SeriesRefused(
            "series.enhanced",
            "Enhanced (multi-frame) CT cannot be read yet; send single-frame CT Image Storage",
        )
    if first.sop_class_uid != CT_IMAGE_STORAGE:
        raise SeriesRefused("series.not_ct", f"SOP class is {first.sop_class_uid or 'missing'}")


def _check_acquisition(members: list[Instance], rules: Acquisition) -> None:
    allowed = ", ".join(f"{value:g}" for value in rules.kvp)
    kvp = _one([instance.kvp for instance in members], "KVP")
    if kvp is None:
        raise SeriesRefused("series.kvp_missing", f"the tube voltage is not stated; need {allowed}")
    if not any(abs(kvp - value) <= rules.kvp_tolerance for value in rules.kvp):
        raise SeriesRefused(
            "series.kvp",
            f"acquired at {kvp:g} kVp; HU of bone depend on it, and {allowed} kVp is allowed",
        )


def _check_pixels(members: list[Instance]) -> None:
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
    spacings = {instance.pixel_spacing_mm for instance in members}
    if None in spacings:
        raise SeriesRefused("series.no_pixel_spacing", "Pixel Spacing is missing or not a number")
    if len(spacings) > 1 or min(next(iter(spacings)) or (0.0,)) <= 0:
        raise SeriesRefused(
            "series.mixed_geometry", f"Pixel Spacing differs or is zero: {spacings}"
        )


def _check_geometry(members: list[Instance], rules: Acquisition) -> tuple[list[Instance], float]:
    missing = [i for i in members if i.orientation is None or i.position_mm is None]
    if missing:
        raise SeriesRefused(
            "series.no_position",
            f"{len(missing)} of {len(members)} images have no position or orientation",
        )
    orientation = _array(members[0].orientation)
    for instance in members:
        if np.abs(_array(instance.orientation) - orientation).max() > 1e-3:
            raise SeriesRefused(
                "series.mixed_geometry", "the images' orientations differ within the series"
            )
    normal = np.cross(orientation[0], orientation[1])
    length = float(np.linalg.norm(normal))
    if abs(length - 1.0) > 1e-2:
        raise SeriesRefused("series.mixed_geometry", "Image Orientation is not a pair of unit axes")
    normal /= length
    angle = float(np.degrees(np.arccos(min(1.0, abs(normal[2])))))
    if angle > MAX_OBLIQUITY_DEG:
        raise SeriesRefused(
            "series.not_axial",
            f"slices are {angle:.0f} degrees away from axial; at most {MAX_OBLIQUITY_DEG:g}",
        )
    if normal[2] < 0:
        normal = -normal
    if len(members) < rules.min_slices:
        raise SeriesRefused(
            "series.too_few_slices",
            f"{len(members)} slices; at least {rules.min_slices} are needed",
        )
    ordered = sorted(members, key=lambda i: float(_array(i.position_mm) @ normal))
    positions = np.array([_array(instance.position_mm) for instance in ordered])
    along = positions @ normal
    steps = np.diff(along)
    step_mm = _regular_step(ordered, along, steps)
    drift = (positions[-1] - positions[0]) - normal * (along[-1] - along[0])
    tilt = float(np.degrees(np.arctan2(np.linalg.norm(drift), along[-1] - along[0])))
    if tilt > MAX_TILT_DEG:
        raise SeriesRefused(
            "series.gantry_tilt",
            f"the gantry was tilted by {tilt:.1f} degrees; at most {MAX_TILT_DEG:g}",
        )
    if step_mm > rules.max_slice_thickness_mm + 1e-6:
        raise SeriesRefused(
            "series.slice_step",
            f"slices are {step_mm:g} mm apart; at most {rules.max_slice_thickness_mm:g} mm",
        )
    coverage_mm = float(along[-1] - along[0] + step_mm)
    if coverage_mm < rules.min_coverage_mm:
        raise SeriesRefused(
            "series.too_few_slices",
            f"the slices cover {coverage_mm:.0f} mm; at least {rules.min_coverage_mm:g} mm",
        )
    return ordered, step_mm


def _regular_step(
    ordered: list[Instance],
    along: npt.NDArray[np.float64],
    steps: npt.NDArray[np.float64],
) -> float:
    doubled = int((steps < POSITION_TOLERANCE_MM).sum())
    if doubled:
        acquisitions = sorted({i.acquisition_number for i in ordered if i.acquisition_number})
        raise SeriesRefused(
            "series.duplicate_positions",
            f"{doubled} slice positions are taken twice"
            + (f" (acquisitions {acquisitions})" if len(acquisitions) > 1 else "")
            + "; send each acquisition as a series of its own",
        )
    step_mm = float(np.median(steps))
    gaps = [
        (float(along[k]), float(steps[k]))
        for k in range(len(steps))
        if steps[k] > 1.5 * step_mm and abs(steps[k] / step_mm - round(steps[k] / step_mm)) < 0.1
    ]
    irregular = np.abs(steps - step_mm) > SPACING_TOLERANCE * step_mm + 0.01
    if gaps and len(gaps) == int(irregular.sum()):
        lost = sum(round(step / step_mm) - 1 for _, step in gaps)
        at_mm, _ = gaps[0]
        raise SeriesRefused(
            "series.missing_slices",
            f"{lost} slices are missing, the first behind position {at_mm:.1f} mm; "
            "send the series again",
        )
    if irregular.any():
        counts = Counter(round(float(step), 2) for step in steps).most_common(3)
        found = ", ".join(f"{count} x {step:g} mm" for step, count in counts)
        raise SeriesRefused("series.irregular_spacing", f"slices are not evenly spaced: {found}")
    return float(along[-1] - along[0]) / len(steps)


def _findings(slices: Sequence[Instance], thickness_mm: float) -> list[Finding]:
    findings = []
    first = slices[0]
    if any(instance.contrast_agent for instance in slices):
        findings.append(
            Finding(
                "acquisition.contrast",
                "a contrast agent is stated; iodine raises the HU of bone and muscle, so the "
                "stage may be too favourable",
            )
        )
    if thickness_mm > 3.0 + 1e-6:
        findings.append(
            Finding(
                "acquisition.thick_slices",
                f"slices of {thickness_mm:g} mm were used as they are; the cohort's were 3 mm",
            )
        )
    if all(instance.slice_thickness_mm is None for instance in slices):
        findings.append(
            Finding(
                "acquisition.thickness_unknown",
                "Slice Thickness is not stated; the step between slices was taken for it",
            )
        )
    if not first.patient_position:
        findings.append(
            Finding(
                "acquisition.patient_position_missing",
                "Patient Position is not stated; sides follow Image Orientation alone",
            )
        )
    return findings


def _one(values: Sequence[float | None], name: str) -> float | None:
    """Return the one value that all slices share, None if none states it."""
    found = {round(value, 3) for value in values if value is not None}
    if len(found) > 1:
        raise SeriesRefused(
            "series.mixed_acquisition", f"{name} differs within the series: {sorted(found)}"
        )
    if found and any(value is None for value in values):
        raise SeriesRefused(
            "series.mixed_acquisition", f"{name} is stated in a part of the images only"
        )
    return found.pop() if found else None


def _array(value: npt.NDArray[np.float64] | None) -> npt.NDArray[np.float64]:
    if value is None:
        raise SeriesRefused("series.no_position", "an image has no position or orientation")
    return value
