"""An axial slice seen from the spine: millimetres behind the canal and lateral of the mid-line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from roi_extraction.anatomy import SpineLandmarks
from roi_extraction.kernels import interpolate_plane
from roi_extraction.sites import Side
from roi_extraction.volume import CtVolume

__all__ = ["AxialFrame", "axial_frame", "spine_line_mm"]

FloatArray = npt.NDArray[np.floating[Any]]

ROLL_REACH_MM = 45.0
"""The mid-line's direction is averaged over this much of the spine above and below a level, mm."""


@dataclass(frozen=True, eq=False)
class AxialFrame:
    """The spine's own directions in one axial slice.

    Parameters
    ----------
    index
        The slice's index in the volume.
    canal_xy_mm, body_xy_mm
        float64, shape (2,): the canal's centre and the line of bodies and discs, LPS x and y.
    posterior, left
        float64, shape (2,): unit vectors in LPS x and y, along and across the mid-line plane.
    lean_left
        How far the spine runs to the left per mm towards the head, mm per mm.
    """

    index: int
    canal_xy_mm: FloatArray
    body_xy_mm: FloatArray
    posterior: FloatArray
    left: FloatArray
    lean_left: float

    def lean(self, side: Side) -> float:
        """How far the spine runs to one side per mm towards the head.

        A point that lies beside it by some mm lies that many times the lean higher along it.
        """
        return self.lean_left if side is Side.LEFT else -self.lean_left

    def lateral(self, side: Side) -> FloatArray:
        """Unit vector away from the mid-line on one side, shape (2,)."""
        return self.left if side is Side.LEFT else -self.left

    def pixels(
        self, volume: CtVolume, behind_mm: FloatArray, lateral_mm: FloatArray, side: Side
    ) -> tuple[FloatArray, FloatArray]:
        """Fractional (row, column) of points given from the canal's centre."""
        to_pixel = np.linalg.inv(volume.affine[:2, 1:3])
        origin = volume.affine[:2, 3] + volume.affine[:2, 0] * self.index
        row, column = to_pixel @ (self.canal_xy_mm - origin)
        back = to_pixel @ self.posterior
        aside = to_pixel @ self.lateral(side)
        return (
            row + (behind_mm * back[0] + lateral_mm * aside[0]),
            column + (behind_mm * back[1] + lateral_mm * aside[1]),
        )

    def sample(
        self,
        volume: CtVolume,
        image: npt.NDArray[Any],
        behind_mm: FloatArray,
        lateral_mm: FloatArray,
        side: Side,
        outside: float = -1024.0,
    ) -> npt.NDArray[np.float32]:
        """A slice's image on a (behind, lateral) grid of 1-D axes, float32."""
        places = self.pixels(volume, behind_mm[:, None], lateral_mm[None, :], side)
        return interpolate_plane(image.astype(np.float32, copy=False), *places, outside=outside)

    def to_pixel_mask(
        self,
        volume: CtVolume,
        mask: npt.NDArray[np.bool_],
        behind_mm: FloatArray,
        lateral_mm: FloatArray,
        side: Side,
    ) -> npt.NDArray[np.bool_]:
        """A mask on an even (behind, lateral) grid brought to the slice's own pixels."""
        pixels = np.zeros(volume.shape[1:], dtype=bool)
        if not mask.any():
            return pixels
        steps_mm = (behind_mm[1] - behind_mm[0], lateral_mm[1] - lateral_mm[0])
        box = self._box(volume, mask, (behind_mm, lateral_mm), steps_mm, side)
        behind, lateral = self._place_of_pixels(volume, box, side)
        i = (behind - behind_mm[0]) / steps_mm[0]
        j = (lateral - lateral_mm[0]) / steps_mm[1]
        share = interpolate_plane(mask.astype(np.float32), i, j, outside=0.0)
        pixels[box] = share >= 0.5
        return pixels

    def _box(
        self,
        volume: CtVolume,
        mask: npt.NDArray[np.bool_],
        axes_mm: tuple[FloatArray, FloatArray],
        steps_mm: tuple[float, float],
        side: Side,
    ) -> tuple[slice, slice]:
        """The pixels within a grid step of a mask on a (behind, lateral) grid."""
        ends = []
        for axis, places_mm, step_mm in zip((1, 0), axes_mm, steps_mm, strict=True):
            at = places_mm[np.flatnonzero(mask.any(axis=axis))]
            ends.append(np.array([at[0] - step_mm, at[-1] + step_mm]))
        corners = self.pixels(volume, ends[0][:, None], ends[1][None, :], side)
        rows, columns = (
            slice(max(0, int(np.floor(corner.min()))), max(0, int(np.ceil(corner.max())) + 1))
            for corner in corners
        )
        return rows, columns

    def _place_of_pixels(
        self, volume: CtVolume, box: tuple[slice, slice], side: Side
    ) -> tuple[FloatArray, FloatArray]:
        """(behind, lateral) mm of every pixel of a box of the slice."""
        rows, columns = np.ogrid[: volume.shape[1], : volume.shape[2]]
        rows, columns = rows[box[0]], columns[:, box[1]]
        origin = volume.affine[:2, 3] + volume.affine[:2, 0] * self.index - self.canal_xy_mm
        behind, lateral = (
            rows * (volume.affine[:2, 1] @ towards)
            + (columns * (volume.affine[:2, 2] @ towards) + origin @ towards)
            for towards in (self.posterior, self.lateral(side))
        )
        return behind, lateral


def spine_line_mm(spine: SpineLandmarks) -> FloatArray:
    """Centres of all bodies and discs from feet to head, float64, shape (n, 3), LPS mm."""
    centres = [m.centre_lps_mm for m in (*spine.bodies.values(), *spine.discs.values())]
    line = np.array(centres, dtype=np.float64).reshape(-1, 3)
    return line[np.argsort(line[:, 2])]


def axial_frame(volume: CtVolume, spine: SpineLandmarks, index: int) -> AxialFrame:
    """The spine's directions in the slice ``index``.

    The mid-line runs from the line of bodies and discs to the canal, averaged over neighbouring
    levels, because one level's own centres are a few millimetres uncertain.
    """
    line = spine_line_mm(spine)
    canal = spine.canal_lps_mm[np.argsort(spine.canal_lps_mm[:, 2])]
    near = volume.to_index(line.mean(axis=0))
    z = float(volume.to_lps([index, near[1], near[2]])[2])
    canal_xy = _at(canal, [z])[0]
    body_xy = _at(line, [z])[0]
    heights = np.arange(z - ROLL_REACH_MM, z + ROLL_REACH_MM + 1, 5.0)
    heights = heights[(heights >= line[0, 2]) & (heights <= line[-1, 2])]
    towards = (_at(canal, heights) - _at(line, heights)).mean(axis=0) if heights.size else None
    if towards is None or not np.linalg.norm(towards) > 1.0:
        towards = canal_xy - body_xy
    posterior = towards / max(float(np.linalg.norm(towards)), 1e-6)
    left = np.array([posterior[1], -posterior[0]])
    low, high = max(z - ROLL_REACH_MM, line[0, 2]), min(z + ROLL_REACH_MM, line[-1, 2])
    lean = 0.0
    if high - low > ROLL_REACH_MM / 2:
        ends = _at(line, [low, high])
        lean = float((ends[1] - ends[0]) @ left) / (high - low)
    return AxialFrame(index, canal_xy, body_xy, posterior, left, lean)


def _at(line: FloatArray, z: Sequence[float] | FloatArray) -> FloatArray:
    return np.stack([np.interp(z, line[:, 2], line[:, k]) for k in (0, 1)], axis=-1)
