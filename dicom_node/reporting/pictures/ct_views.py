"""Windowed views of a volume with a known scale: axial crops, and reformats along the spine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from roi_extraction.anatomy import Landmark
from roi_extraction.grid import sample_hu
from roi_extraction.volume import CtVolume

__all__ = ["REFORMAT_WINDOW_HU", "AxialView", "SpineLine", "SpineView", "windowed"]

FloatArray = npt.NDArray[np.floating[Any]]

REFORMAT_WINDOW_HU = (-250.0, 500.0)
"""Shown from black to white in reformats: bone, with the muscles told from fat."""

SPARE = 3
"""Pixels beyond a view's edge that its interpolation may look at."""


def windowed(hu: FloatArray, window_hu: tuple[float, float]) -> npt.NDArray[np.uint8]:
    """Greys, uint8, of HU: 0 at the window's lower end, 255 at its upper."""
    low, high = window_hu
    return (np.clip((hu - low) / (high - low), 0.0, 1.0) * 255.0).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class AxialView:
    """A crop of one slice.

    Parameters
    ----------
    volume
        The scan.
    slice_index
        The slice; it is shown as it is measured, averaged with its neighbours.
    centre_lps_mm
        float64, shape (3,): what lies in the middle of its width and at ``front`` of its height.
    size
        Columns and rows, pixels.
    mm_per_pixel
        Its scale.
    front
        Share of its height that lies in front of the centre.
    """

    volume: CtVolume
    slice_index: int
    centre_lps_mm: npt.NDArray[np.float64]
    size: tuple[int, int]
    mm_per_pixel: float
    front: float

    @property
    def _box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom in the slice's pixels, whose centres are whole numbers + 0.5."""
        row_mm, column_mm = self.volume.spacing_mm[1:]
        _, row, column = self.volume.to_index(self.centre_lps_mm)
        width, height = (pixels * self.mm_per_pixel for pixels in self.size)
        left = column + 0.5 - width / 2 / column_mm
        top = row + 0.5 - height * self.front / row_mm
        return left, top, left + width / column_mm, top + height / row_mm

    @property
    def z_mm(self) -> float:
        """LPS z of the slice where it crosses the centre's row and column, mm."""
        _, row, column = self.volume.to_index(self.centre_lps_mm)
        return float(self.volume.to_lps([self.slice_index, row, column])[2])

    def grey(self, window_hu: tuple[float, float]) -> npt.NDArray[np.uint8]:
        """The view, uint8, shape (rows, columns); black outside the scan."""
        try:
            hu = self.volume.effective_slice(self.slice_index)
        except IndexError:  # too near the scan's end to be averaged
            hu = self.volume.hu[self.slice_index].astype(np.float32)
        left, top, right, bottom = box = self._box
        rows, columns = (
            slice(max(0, int(np.floor(low)) - SPARE), max(0, int(np.ceil(high)) + SPARE))
            for low, high in ((top, bottom), (left, right))
        )
        grey = np.zeros(hu.shape, np.uint8)
        grey[rows, columns] = windowed(hu[rows, columns], window_hu)
        return np.asarray(
            Image.fromarray(grey).transform(
                self.size, Image.Transform.EXTENT, box, Image.Resampling.BICUBIC
            )
        )

    def pixels(self, lps_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Column and row in the view of points, LPS mm, shape (n, 3); float64, shape (n, 2)."""
        left, top, right, bottom = self._box
        points = self.volume.to_index(lps_mm)[:, :0:-1] + 0.5
        return (points - (left, top)) / (right - left, bottom - top) * self.size


@dataclass(frozen=True, eq=False)
class SpineLine:
    """The line through the middle of the bodies and discs that were found.

    Parameters
    ----------
    points_lps_mm
        float64, shape (n, 3): at least one point, from feet to head, LPS mm.
    """

    points_lps_mm: npt.NDArray[np.float64]

    @classmethod
    def through(cls, landmarks: Sequence[Landmark]) -> "SpineLine":
        """The line through landmarks in any order."""
        points = np.array([landmark.centre_lps_mm for landmark in landmarks])
        return cls(points[np.argsort(points[:, 2])])

    def at(self, z_mm: FloatArray, axis: int) -> npt.NDArray[np.float64]:
        """Its x (axis 0) or y (axis 1) at heights, mm; straight up and down from its ends."""
        return np.interp(z_mm, self.points_lps_mm[:, 2], self.points_lps_mm[:, axis])


@dataclass(frozen=True, eq=False)
class SpineView:
    """A sagittal or coronal reformat that follows the spine, in true proportions.

    Parameters
    ----------
    volume
        The scan.
    line
        The spine.
    lateral
        Whether it is sagittal, anterior on its left; else coronal, the patient's right on its left.
    size
        Columns and rows, pixels.
    mm_per_pixel
        Its scale.
    left_mm, top_mm
        LPS y (sagittal) or x (coronal) of its left edge, LPS z of its top, mm.
    """

    volume: CtVolume
    line: SpineLine
    lateral: bool
    size: tuple[int, int]
    mm_per_pixel: float
    left_mm: float
    top_mm: float

    def grey(self) -> npt.NDArray[np.uint8]:
        """The view, uint8, shape (rows, columns); black outside the scan."""
        columns, rows = self.size
        across = self.left_mm + (np.arange(columns) + 0.5) * self.mm_per_pixel
        z = self.top_mm - (np.arange(rows) + 0.5) * self.mm_per_pixel
        kept, shown = (0, 1) if self.lateral else (1, 0)
        points = np.empty((rows, columns, 3))
        points[..., kept] = self.line.at(z, kept)[:, None]
        points[..., shown] = across
        points[..., 2] = z[:, None]
        return windowed(sample_hu(self.volume, points), REFORMAT_WINDOW_HU)

    def pixels(self, lps_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Column and row in the view of points, LPS mm, shape (n, 3); float64, shape (n, 2)."""
        across = lps_mm[:, 1 if self.lateral else 0] - self.left_mm
        down = self.top_mm - lps_mm[:, 2]
        return np.column_stack([across, down]) / self.mm_per_pixel
