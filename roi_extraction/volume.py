"""A CT volume in Hounsfield units with its place in the patient."""

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from roi_extraction.errors import InvalidVolume
from roi_extraction.kernels import mean_of_slab

__all__ = ["EFFECTIVE_SLICE_MM", "CtVolume"]

FloatArray = npt.NDArray[np.floating[Any]]

EFFECTIVE_SLICE_MM = 3.0
"""Slice thickness of the published cohort, in mm (Wang 2025, doi 10.1101/2025.02.12.25321163);
thinner series are averaged to it so that their noise matches."""

KEPT_SLICES = 4
"""Effective slices that a volume keeps: those of one disc. If it kept three times as many, 228 in
place of 245 would be averaged for a scan of 300 slices."""


@dataclass(frozen=True, eq=False)
class CtVolume:
    """An axial CT volume.

    Arrays are (slice, row, column): slices run from feet to head, rows from anterior to
    posterior, columns from the patient's right to the left. Positions are LPS millimetres.

    Parameters
    ----------
    hu
        int16 or float32, shape (slices, rows, columns), HU. Set read-only.
    affine
        float64, shape (4, 4): homogeneous (slice, row, column, 1) to LPS mm. The slice axis
        points mostly to +z (head), the row axis to +y (posterior), the column axis to +x (left).
        In-plane axes may be oblique and the slice axis may be sheared (gantry tilt).
    slice_thickness_mm
        The nominal thickness of one slice, which may differ from the step between slices.
    """

    hu: npt.NDArray[Any]
    affine: npt.NDArray[np.float64]
    slice_thickness_mm: float
    _from_lps: npt.NDArray[np.float64] = field(init=False, repr=False)
    _kept: OrderedDict[int, npt.NDArray[np.float32]] = field(
        default_factory=OrderedDict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        if self.hu.ndim != 3 or min(self.hu.shape) < 1:
            raise InvalidVolume(f"a volume has three dimensions, found shape {self.hu.shape}")
        if self.hu.dtype not in (np.dtype(np.int16), np.dtype(np.float32)):
            raise InvalidVolume(f"HU must be int16 or float32, found {self.hu.dtype}")
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise InvalidVolume("the affine must be a finite 4 x 4 matrix")
        diagonal = (affine[2, 0], affine[1, 1], affine[0, 2])
        if min(diagonal) <= 0:
            raise InvalidVolume("slice, row and column axes must point to head, posterior and left")
        if not self.slice_thickness_mm > 0:
            raise InvalidVolume(
                f"slice thickness must be positive, found {self.slice_thickness_mm}"
            )
        affine.setflags(write=False)
        hu = self.hu.view()
        hu.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "_from_lps", np.linalg.inv(affine[:3, :3]).T)
        object.__setattr__(self, "hu", hu)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        slices, rows, columns = self.hu.shape
        return slices, rows, columns

    @cached_property
    def spacing_mm(self) -> npt.NDArray[np.float64]:
        """Distance between neighbouring voxels along (slice, row, column), shape (3,), mm.

        For the slice axis it is the distance between slice centres along that axis.
        """
        spacing = np.linalg.norm(self.affine[:3, :3], axis=0)
        spacing.setflags(write=False)
        return spacing

    @cached_property
    def slice_step_mm(self) -> float:
        """Perpendicular distance between neighbouring slice planes, mm."""
        normal = np.cross(self.affine[:3, 2], self.affine[:3, 1])
        normal /= np.linalg.norm(normal)
        return float(abs(normal @ self.affine[:3, 0]))

    @cached_property
    def slices_per_slab(self) -> int:
        """How many slices are averaged into one effective slice (1 if already thick enough)."""
        missing = EFFECTIVE_SLICE_MM - self.slice_thickness_mm
        if missing <= 0:
            return 1
        return 1 + max(0, round(missing / self.slice_step_mm))

    @property
    def slab_stride(self) -> int:
        """Slices between two neighbouring effective slices that do not share voxels."""
        return max(1, self.slices_per_slab)

    def to_lps(self, index: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Convert (slice, row, column) indices, shape (..., 3), to LPS mm, shape (..., 3).

        >>> import numpy as np
        >>> affine = np.array([[0, 0, 0.7, -90], [0, 0.7, 0, -90], [3, 0, 0, 12], [0, 0, 0, 1.0]])
        >>> CtVolume(np.zeros((4, 8, 8), np.int16), affine, 3.0).to_lps([1, 0, 0]).tolist()
        [-90.0, -90.0, 15.0]
        """
        points = np.asarray(index, dtype=np.float64)
        return points @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_index(self, lps_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Convert LPS mm, shape (..., 3), to fractional (slice, row, column), shape (..., 3)."""
        points = np.asarray(lps_mm, dtype=np.float64) - self.affine[:3, 3]
        return points @ self._from_lps

    def effective_slice(self, index: int) -> npt.NDArray[np.float32]:
        """The mean of the slab centred on slice ``index``, float32, shape (rows, columns), HU.

        A slab is ``slices_per_slab`` slices; of an even number the outermost two count half each,
        so that the slab stays centred. Read-only: the last few are kept.

        Raises
        ------
        IndexError
            The slab leaves the volume.
        """
        kept = self._kept.get(index)
        if kept is None:
            kept = self._mean_of_slab(index)
            kept.setflags(write=False)
            self._kept[index] = kept
            if len(self._kept) > KEPT_SLICES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(index)
        return kept

    def _mean_of_slab(self, index: int) -> npt.NDArray[np.float32]:
        count = self.slices_per_slab
        half = count // 2
        first, last = index - half, index + half
        if first < 0 or last >= self.hu.shape[0]:
            raise IndexError(f"slab {first}..{last} leaves the {self.hu.shape[0]} slices")
        if half == 0:
            return self.hu[index].astype(np.float32)
        if self.hu.dtype == np.int16:
            return mean_of_slab(self.hu[first : last + 1], count)
        slab = self.hu[first].astype(np.float32)
        slab += self.hu[last]
        if count % 2 == 0:
            slab *= np.float32(0.5)
        for inner in range(first + 1, last):
            slab += self.hu[inner]
        slab *= np.float32(1.0 / count)
        return slab
