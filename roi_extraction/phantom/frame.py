"""A rigid frame of a vertebra or disc."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from roi_extraction.phantom.canvas import Array, Patch

__all__ = ["Frame", "axis"]


@dataclass(frozen=True)
class Frame:
    """A vertebra's or disc's own axes: a to the patient's left, b posterior, c towards the head.

    Parameters
    ----------
    name
        Such as ``L3``, or ``L3-L4`` for a disc.
    y_mm, z_mm, x_mm
        Its centre, LPS mm.
    tilt_deg, roll_deg
        How far its c axis leans forward, and to the patient's left.
    upper_deg, lower_deg
        Tilt of its upper and lower face.
    width_mm, depth_mm, height_mm
        Its size.
    dip_mm
        Depth of the concavity of each face of a body.
    """

    name: str
    y_mm: float
    z_mm: float
    tilt_deg: float
    upper_deg: float
    lower_deg: float
    width_mm: float
    depth_mm: float
    height_mm: float
    x_mm: float = 0.0
    roll_deg: float = 0.0
    dip_mm: float = 0.0

    @property
    def centre_lps_mm(self) -> npt.NDArray[np.float64]:
        """Shape (3,), LPS mm."""
        return np.array([self.x_mm, self.y_mm, self.z_mm])

    @property
    def axis(self) -> npt.NDArray[np.float64]:
        """The c axis, shape (3,), LPS."""
        return axis(self.tilt_deg, self.roll_deg)

    def local(self, patch: Patch) -> tuple[Array, Array, Array]:
        """Return a, b and c of a patch's voxels.

        Their shapes are (1, 1, columns), (slices, rows, 1) and again, or, of a frame that leans
        to a side, (slices, 1, columns), (slices, rows, columns) and again.
        """
        sin, cos = (np.float32(f(np.deg2rad(self.tilt_deg))) for f in (np.sin, np.cos))
        x, y, z = patch.x, patch.y - np.float32(self.y_mm), patch.z - np.float32(self.z_mm)
        if self.x_mm or self.roll_deg:
            s, c = (np.float32(f(np.deg2rad(self.roll_deg))) for f in (np.sin, np.cos))
            x = x - np.float32(self.x_mm)
            x, z = x * c - z * s, x * s + z * c
        return x, y * cos + z * sin, z * cos - y * sin

    def to_lps(self, point: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the LPS mm of a point given as (a, b, c), shape (3,)."""
        a, b, c = np.asarray(point, np.float64)
        sin, cos = np.sin(np.deg2rad(self.tilt_deg)), np.cos(np.deg2rad(self.tilt_deg))
        y, up = b * cos - c * sin, b * sin + c * cos
        s, co = np.sin(np.deg2rad(self.roll_deg)), np.cos(np.deg2rad(self.roll_deg))
        return self.centre_lps_mm + np.array([a * co + up * s, y, up * co - a * s])

    def point(self, b_mm: float, c_mm: float) -> tuple[float, float]:
        """Return (y, z) in LPS mm of a mid-line point given in the frame."""
        sin, cos = np.sin(np.deg2rad(self.tilt_deg)), np.cos(np.deg2rad(self.tilt_deg))
        return float(self.y_mm + b_mm * cos - c_mm * sin), float(
            self.z_mm + b_mm * sin + c_mm * cos
        )


def axis(tilt_deg: float, roll_deg: float) -> npt.NDArray[np.float64]:
    """Return the c axis of a frame that leans forward and to the patient's left, LPS."""
    tilt, roll = np.deg2rad(tilt_deg), np.deg2rad(roll_deg)
    return np.array([
        np.cos(tilt) * np.sin(roll), -np.sin(tilt), np.cos(tilt) * np.cos(roll)
    ])  # fmt: skip
