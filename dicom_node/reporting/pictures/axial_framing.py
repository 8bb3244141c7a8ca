"""What axial views show: which slice of a level, how much of it, and where in the picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dicom_node.reporting.pictures.canvas import SIZE
from dicom_node.reporting.pictures.ct_views import AxialView
from roi_extraction.anatomy import Landmark
from roi_extraction.features import FeatureVector, SiteMeasurement
from roi_extraction.sites import DiscLevel, Level
from roi_extraction.volume import CtVolume

__all__ = [
    "AXIAL_CAPTION",
    "BODY_FRAMING",
    "GAP",
    "MUSCLE_STRIP",
    "Framing",
    "Row",
    "axial_view",
    "disc_framing",
]

AXIAL_CAPTION = 18
"""Height of the line above each slice, pixels."""

MUSCLE_STRIP = 46
"""Width of the strips beside a disc in which its muscles stand, pixels."""

GAP = 6
"""Between neighbouring slices, pixels."""

BODY_WIDTH_MM = 100.0
"""Width of the view of a body, mm."""

LEAST_MUSCLE_MM, VIEW_MARGIN_MM = (58.0, 38.0, 60.0), 6.0
"""Shown at least beside, in front of and behind the centre of a disc, and round the regions, mm."""


@dataclass(frozen=True, eq=False)
class Row:
    """Where a row is drawn, and which of the three slices it shows.

    Parameters
    ----------
    top, bottom
        Pixels.
    which
        0 the lowest slice, 1 the middle one, 2 the uppermost.
    each
        Whether the HU are those of this slice; else the means of all three.
    """

    top: int
    bottom: int
    which: int = 1
    each: bool = False

    def hu(self, measurement: SiteMeasurement) -> float:
        """What stands beside a site that was measured, HU."""
        return measurement.rois[self.which].mean_hu if self.each else measurement.mean_hu


@dataclass(frozen=True)
class Framing:
    """What the views of a row show.

    Parameters
    ----------
    mm_per_pixel
        Their scale.
    front
        Share of their height in front of the level's centre.
    """

    mm_per_pixel: float
    front: float


BODY_FRAMING = Framing(BODY_WIDTH_MM / (SIZE[0] // len(Level) - GAP), 0.38)
"""The framing of the vertebral bodies: a little more is shown behind them than in front."""


def disc_framing(features: FeatureVector, row: Row) -> Framing:
    """The framing of the discs in rows of this height: every region of a muscle is in it."""
    width = SIZE[0] // len(DiscLevel) - GAP - 2 * MUSCLE_STRIP
    height = row.bottom - row.top - AXIAL_CAPTION
    beside, front, behind = LEAST_MUSCLE_MM
    for measurement in features.measurements[len(Level) :]:
        centre = _level_centre(features, [measurement], measurement.site.disc)
        for roi in measurement.rois:
            if centre is not None:
                x, y = (roi.contour_lps_mm - centre)[:, :2].T
                beside = max(beside, float(np.abs(x).max()) + VIEW_MARGIN_MM)
                front = max(front, float(-y.min()) + VIEW_MARGIN_MM)
                behind = max(behind, float(y.max()) + VIEW_MARGIN_MM)
    shown = max(2 * beside / width, (front + behind) / height)
    spare = height * shown - front - behind
    return Framing(shown, (front + spare / 2) / (height * shown))


def axial_view(
    volume: CtVolume,
    features: FeatureVector,
    found: Sequence[SiteMeasurement],
    level: Level | DiscLevel,
    box: tuple[int, int, int, int],
    row: Row,
    framing: Framing,
) -> AxialView | None:
    """The view of a level in one of its slices; None if there is no such slice.

    Parameters
    ----------
    volume
        The scan.
    features
        Its sites.
    found
        The sites of the level.
    level
        A vertebra or a disc.
    box
        Left, top, right and bottom of the view, pixels.
    row
        Which slice is shown.
    framing
        How much of it.
    """
    centre = _level_centre(features, found, level)
    slices = [m.rois[row.which].slice_index for m in found if m.rois]
    if centre is None or (row.each and not slices):
        return None
    index = slices[0] if slices else round(float(volume.to_index(centre)[0]))
    if not 0 <= index < volume.shape[0]:
        return None
    left, top, right, bottom = box
    size = (right - left, bottom - top)
    return AxialView(volume, index, centre, size, framing.mm_per_pixel, framing.front)


def _level_centre(
    features: FeatureVector, found: Sequence[SiteMeasurement], level: Level | DiscLevel | None
) -> npt.NDArray[np.float64] | None:
    """Centre of a level, LPS mm; without a landmark that of its regions; None if there are none."""
    spine = features.spine
    landmark: Landmark | None = None
    if isinstance(level, Level):
        landmark = spine.bodies.get(level)
    elif level is not None:
        landmark = spine.discs.get(level)
    if landmark is not None:
        return landmark.centre_lps_mm
    centres = [roi.centre_lps_mm for measurement in found for roi in measurement.rois]
    return np.mean(centres, axis=0) if centres else None
