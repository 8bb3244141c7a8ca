"""Put the slices of a series in order, or say why they are not one even, nearly axial stack."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dicom_node.errors import SeriesRefused
from dicom_node.series.instances import Instance

__all__ = ["SliceStack", "stack_slices"]

MAX_OBLIQUITY_DEG = 10.0
"""Largest angle between slice normal and head axis for a series to count as axial, degrees."""

AXIAL_TOLERANCE_DEG = 45.0
"""Largest angle between slice normal and head axis at which a slice can still be axial, with a
tilted gantry or a turned patient, degrees; beyond it the slice is sagittal or coronal."""

MAX_TILT_DEG = 10.0
"""Largest gantry tilt that is assessed, degrees: the angle between the line through the slices and
their normal."""

MAX_DRIFT_MM = 1.0
"""Largest distance of a slice's origin from the straight line through all of them, mm: slices
that wander do not come from one acquisition."""

SPACING_TOLERANCE = 0.05
"""Largest relative deviation of one slice step from the series' own median."""

POSITION_TOLERANCE_MM = 0.05
"""Slices closer than this lie at the same position, mm."""

ROUNDING_TOLERANCE_MM = 0.06
"""Largest distance of a position from its even place that its rounding explains, mm: 0.05 where
positions are written with one decimal, and what the fitted line adds."""

FEWEST_SLICES = 3
"""Fewest slices for which a step can be determined."""


@dataclass(frozen=True, eq=False)
class SliceStack:
    """Slices from feet to head, evenly spaced.

    Parameters
    ----------
    slices
        The instances, each with position and orientation.
    step_mm
        Perpendicular distance between neighbours, mm.
    tilt_deg
        Gantry tilt, degrees: angle between the line through the slices' origins and their normal.
    """

    slices: tuple[Instance, ...]
    step_mm: float
    tilt_deg: float

    @property
    def coverage_mm(self) -> float:
        """Extent along the normal, half a step beyond the outer slices included, mm."""
        return len(self.slices) * self.step_mm


def stack_slices(members: Sequence[Instance]) -> SliceStack:
    """Sort slices along their common normal and check that they are one even stack.

    Parameters
    ----------
    members
        Instances of one series, in any order.

    Raises
    ------
    SeriesRefused
        They are not; the code and the message say what was found.
    """
    missing = [i for i in members if i.orientation is None or i.position_mm is None]
    if missing:
        raise SeriesRefused(
            "series.no_position",
            f"{len(missing)} of {len(members)} images have no position or orientation",
        )
    normal = _normal(members)
    angle = float(np.degrees(np.arccos(min(1.0, float(normal[2])))))
    if angle > AXIAL_TOLERANCE_DEG:
        raise SeriesRefused("series.not_axial", f"slices are {angle:.0f} degrees away from axial")
    if len(members) < FEWEST_SLICES:
        raise SeriesRefused(
            "series.too_few_slices", f"{len(members)} slices; at least {FEWEST_SLICES} are needed"
        )
    ordered = sorted(members, key=lambda i: float(_array(i.position_mm) @ normal))
    positions = np.array([_array(instance.position_mm) for instance in ordered])
    along = positions @ normal
    tilt_deg = _tilt_deg(positions, normal)
    if tilt_deg > MAX_TILT_DEG:
        raise SeriesRefused(
            "series.gantry_tilt",
            f"the gantry was tilted by {tilt_deg:.1f} degrees; at most {MAX_TILT_DEG:g}",
        )
    if angle > MAX_OBLIQUITY_DEG:
        raise SeriesRefused(
            "series.not_axial",
            f"slices are {angle:.0f} degrees away from axial; at most {MAX_OBLIQUITY_DEG:g}",
        )
    step_mm = _regular_step(ordered, along)
    _check_straight(positions, along)
    return SliceStack(tuple(ordered), step_mm, tilt_deg)


def _normal(members: Sequence[Instance]) -> npt.NDArray[np.float64]:
    """The unit normal that points to the head."""
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
    return np.asarray(-normal if normal[2] < 0 else normal, dtype=np.float64)


def _tilt_deg(positions: npt.NDArray[np.float64], normal: npt.NDArray[np.float64]) -> float:
    """Angle between the line from the lowest to the highest slice and the normal, degrees."""
    line = positions[-1] - positions[0]
    along = float(line @ normal)
    return float(np.degrees(np.arctan2(np.linalg.norm(line - normal * along), along)))


def _check_straight(positions: npt.NDArray[np.float64], along: npt.NDArray[np.float64]) -> None:
    share = (along - along[0]) / (along[-1] - along[0])
    line = positions[-1] - positions[0]
    off = np.linalg.norm(positions - positions[0] - share[:, None] * line, axis=1)
    if off.max() > MAX_DRIFT_MM:
        raise SeriesRefused(
            "series.mixed_geometry",
            f"the slices are shifted against each other by up to {off.max():.1f} mm, off any "
            "straight line",
        )


def _regular_step(ordered: list[Instance], along: npt.NDArray[np.float64]) -> float:
    steps = np.diff(along)
    doubled = int((steps < POSITION_TOLERANCE_MM).sum())
    if doubled:
        acquisitions = sorted({i.acquisition_number for i in ordered if i.acquisition_number})
        raise SeriesRefused(
            "series.duplicate_positions",
            f"{doubled} slice positions are taken twice"
            + (f" (acquisitions {acquisitions})" if len(acquisitions) > 1 else "")
            + "; send each acquisition as a series of its own",
        )
    step_mm = float(np.mean(steps[steps < 1.5 * np.median(steps)]))
    counts = np.maximum(1, np.rint(steps / step_mm))
    off_mm = np.abs(steps - counts * step_mm)
    irregular = (off_mm > SPACING_TOLERANCE * step_mm + 0.01) & ~_rounded(along, counts)
    if irregular.any():
        found = ", ".join(
            f"{count} x {step:g} mm"
            for step, count in Counter(round(float(step), 2) for step in steps).most_common(3)
        )
        raise SeriesRefused("series.irregular_spacing", f"slices are not evenly spaced: {found}")
    if counts.max() > 1:
        first = int(np.argmax(counts > 1))
        raise SeriesRefused(
            "series.missing_slices",
            f"{int(counts.sum()) - len(counts)} slices are missing, the first behind position "
            f"{along[first]:.1f} mm; send the series again",
        )
    return float(along[-1] - along[0]) / len(steps)


def _rounded(along: npt.NDArray[np.float64], counts: npt.NDArray[np.float64]) -> bool:
    """Whether positions differ from even ones by no more than their rounding to 0.1 mm.

    Parameters
    ----------
    along
        float64, shape (n,): positions along the normal, mm.
    counts
        float64, shape (n - 1,): how many steps lie between neighbours.
    """
    numbers = np.concatenate([[0.0], np.cumsum(counts)])
    step_mm, start_mm = np.polyfit(numbers, along, 1)
    return bool(np.abs(along - (start_mm + step_mm * numbers)).max() <= ROUNDING_TOLERANCE_MM)


def _array(value: npt.NDArray[np.float64] | None) -> npt.NDArray[np.float64]:
    if value is None:
        raise SeriesRefused("series.no_position", "an image has no position or orientation")
    return value
