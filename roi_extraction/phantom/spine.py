"""The spine's course in the mid-sagittal plane: a rigid frame per vertebra, and the sacral arc."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from roi_extraction.phantom.canvas import Array, Patch
from roi_extraction.phantom.parameters import PhantomParameters, Sex

__all__ = ["Frame", "SacralArc", "Spine", "build_spine"]

VERTEBRAE = ("T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5")
"""Vertebrae that are built, from head to feet."""

BODY_MM: dict[str, tuple[float, float, float]] = {
    "T10": (33.0, 31.0, 23.0),
    "T11": (36.0, 32.0, 24.0),
    "T12": (40.0, 33.0, 25.0),
    "L1": (43.0, 34.0, 26.5),
    "L2": (45.0, 35.0, 27.5),
    "L3": (47.5, 35.5, 27.5),
    "L4": (50.0, 36.0, 27.5),
    "L5": (52.5, 36.5, 26.5),
    "S1": (52.0, 34.0, 28.0),
}
"""Width, depth and height of the bodies of a man, mm: round numbers of the order that is found in
adults (Panjabi 1992, Spine 17(3):299-306), not a copy of that table."""

DISC_MM: dict[str, float] = {
    "T10": 4.5, "T11": 5.5, "T12": 7.0, "L1": 8.5, "L2": 9.5, "L3": 10.5, "L4": 11.5, "L5": 11.0,
}  # fmt: skip
"""Height of the disc below each vertebra, mm."""

LORDOSIS_SHARE: dict[str, tuple[float, float]] = {
    "L5": (0.28, 0.17), "L4": (0.20, 0.07), "L3": (0.13, 0.02), "L2": (0.08, 0.01),
    "L1": (0.04, 0.0), "T12": (-0.02, -0.05), "T11": (-0.03, -0.06), "T10": (-0.03, -0.06),
}  # fmt: skip
"""Share of the lordosis in the disc below each vertebra and in its body: most of it lies at the
bottom (as Vialle 2005 found, J Bone Joint Surg Am 87(2):260-267; the shares are chosen); above L1
the spine bends the other way."""

SACRAL_SEGMENTS: tuple[tuple[float, float], ...] = (
    (28.0, 3.0), (23.0, -4.0), (20.0, -18.0), (17.0, -34.0), (15.0, -50.0),
)  # fmt: skip
"""Height of S1..S5, mm, and the angle of each against the sacral slope, degrees."""

WOMANS_VERTEBRA = 0.92
"""Size of a woman's vertebrae relative to a man's of the same stature."""


@dataclass(frozen=True)
class Frame:
    """A vertebra's or disc's own axes: a to the patient's left, b posterior, c towards the head.

    Parameters
    ----------
    name
        Such as ``L3``, or ``L3-L4`` for a disc.
    y_mm, z_mm
        Its centre (x is 0), LPS mm.
    tilt_deg
        How far its c axis leans forward.
    upper_deg, lower_deg
        Tilt of its upper and lower face.
    width_mm, depth_mm, height_mm
        Its size.
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

    @property
    def centre_lps_mm(self) -> npt.NDArray[np.float64]:
        """Shape (3,), LPS mm."""
        return np.array([0.0, self.y_mm, self.z_mm])

    @property
    def axis(self) -> npt.NDArray[np.float64]:
        """The c axis, shape (3,), LPS."""
        tilt = np.deg2rad(self.tilt_deg)
        return np.array([0.0, -np.sin(tilt), np.cos(tilt)])

    def local(self, patch: Patch) -> tuple[Array, Array, Array]:
        """Return a, shape (1, 1, columns), and b and c, (slices, rows, 1), of a patch."""
        sin, cos = (np.float32(f(np.deg2rad(self.tilt_deg))) for f in (np.sin, np.cos))
        y, z = patch.y - np.float32(self.y_mm), patch.z - np.float32(self.z_mm)
        return patch.x, y * cos + z * sin, z * cos - y * sin

    def point(self, b_mm: float, c_mm: float) -> tuple[float, float]:
        """Return (y, z) in LPS mm of a mid-line point given in the frame."""
        sin, cos = np.sin(np.deg2rad(self.tilt_deg)), np.cos(np.deg2rad(self.tilt_deg))
        return float(self.y_mm + b_mm * cos - c_mm * sin), float(
            self.z_mm + b_mm * sin + c_mm * cos
        )


@dataclass(frozen=True, eq=False)
class SacralArc:
    """The mid-line of the sacral bodies from the upper face of S1 downwards.

    Parameters
    ----------
    yz_mm
        float64, shape (n, 2): points of the arc, LPS mm.
    s_mm
        Length along the arc at each point.
    """

    yz_mm: npt.NDArray[np.float64]
    s_mm: npt.NDArray[np.float64]

    def local(self, patch: Patch) -> tuple[Array, Array]:
        """Return length along and posterior distance from the arc, shape (slices, rows, 1), mm."""
        y, z = np.broadcast_arrays(patch.y[:, :, 0], patch.z[:, :, 0])
        queries = np.stack([y.ravel(), z.ravel()], axis=1).astype(np.float64)
        _, nearest = cKDTree(self.yz_mm).query(queries)
        tangent = np.gradient(self.yz_mm, axis=0)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        away = queries - self.yz_mm[nearest]
        along = (away * tangent[nearest]).sum(axis=1)
        # The tangent points down (towards the coccyx): its left normal is posterior.
        posterior = -away[:, 0] * tangent[nearest, 1] + away[:, 1] * tangent[nearest, 0]
        s = (self.s_mm[nearest] + along).reshape(y.shape).astype(np.float32)
        return s[:, :, None], posterior.reshape(y.shape).astype(np.float32)[:, :, None]


@dataclass(frozen=True, eq=False)
class Spine:
    """All frames of the spine; the centre of L3 is the origin.

    Parameters
    ----------
    scale
        Every length of the patient's relative to the tables of this package.
    bone_scale
        The same for vertebrae.
    bodies, discs
        Frames by name (``T10`` .. ``S1``, ``T12-L1`` .. ``L5-S1``).
    sacrum
        The arc of the sacral bodies.
    """

    scale: float
    bone_scale: float
    bodies: Mapping[str, Frame]
    discs: Mapping[str, Frame]
    sacrum: SacralArc

    def at_level(self, z: Array, values: Mapping[str, float]) -> Array:
        """Interpolate values given at the heights of bodies or discs, in the shape of ``z``."""
        frames = {**self.bodies, **self.discs}
        knots = sorted((frames[name].z_mm, value) for name, value in values.items())
        heights, numbers = zip(*knots, strict=True)
        return np.interp(z, heights, numbers).astype(np.float32)

    def line(self, z: Array, behind_mm: float = 0.0) -> Array:
        """Return y of the line ``behind_mm`` behind the bodies' centres at heights ``z``.

        ``behind_mm`` counts from the posterior wall if it is not 0.
        """
        points = []
        for frame in (*self.bodies.values(), *self.discs.values()):
            offset = frame.depth_mm / 2 + behind_mm if behind_mm else 0.0
            points.append(frame.point(offset, 0.0))
        arc = self.sacrum
        for s in range(34, 100, 6):
            k = int(np.searchsorted(arc.s_mm, s * self.bone_scale))
            tangent = arc.yz_mm[k] - arc.yz_mm[k - 1]
            tangent /= np.linalg.norm(tangent)
            half_depth = self.bone_scale * max(5.0, 15.0 - 0.13 * (s - 28))
            offset = half_depth + behind_mm * 0.9 if behind_mm else 0.0
            y, zz = arc.yz_mm[k] + offset * np.array([-tangent[1], tangent[0]])
            points.append((float(y), float(zz)))
        points.sort(key=lambda point: point[1])
        y, heights = np.array(points).T
        return np.interp(z, np.maximum.accumulate(heights), y).astype(np.float32)


def build_spine(parameters: PhantomParameters) -> Spine:
    """Stack the vertebrae on the sacrum."""
    scale = parameters.body_scale
    bone = scale * (WOMANS_VERTEBRA if parameters.sex is Sex.FEMALE else 1.0)
    slope = parameters.sacral_slope_deg
    top = np.zeros(2)
    angle = slope
    frames: list[
        tuple[str, npt.NDArray[np.float64], float, float, float, tuple[float, float, float]]
    ] = []
    for name, below in zip(VERTEBRAE[::-1], ("S1", *VERTEBRAE[:0:-1]), strict=True):
        disc_share, body_share = LORDOSIS_SHARE[name]
        width, depth, height = (bone * size for size in BODY_MM[name])
        disc = bone * DISC_MM[name]
        below_size = BODY_MM[below]
        mean_size = (
            (width + bone * below_size[0]) / 2, (depth + bone * below_size[1]) / 2, disc,
        )  # fmt: skip
        for part, share, size in (
            (f"{name}-{below}", disc_share, mean_size),
            (name, body_share, (width, depth, height)),
        ):
            upper = angle - share * parameters.lordosis_deg
            centre_angle = (angle + upper) / 2
            up = np.array([-np.sin(np.deg2rad(centre_angle)), np.cos(np.deg2rad(centre_angle))])
            frames.append((part, top + up * size[2] / 2, centre_angle, upper, angle, size))
            top = top + up * size[2]
            angle = upper
    s1_tilt = slope + SACRAL_SEGMENTS[0][1]
    width, depth, height = (bone * size for size in BODY_MM["S1"])
    s1_size = (width, depth, height)
    down = -np.array([-np.sin(np.deg2rad(s1_tilt)), np.cos(np.deg2rad(s1_tilt))])
    frames.append(("S1", down * s1_size[2] / 2, s1_tilt, slope, s1_tilt + 3.0, s1_size))
    origin = next(centre for name, centre, *_ in frames if name == "L3")
    built = [
        Frame(name, float(at[0]), float(at[1]), tilt, upper, lower, *size)
        for name, centre, tilt, upper, lower, size in frames
        for at in (centre - origin,)
    ]
    return Spine(
        scale,
        bone,
        {frame.name: frame for frame in built[::-1] if "-" not in frame.name},
        {frame.name: frame for frame in built[::-1] if "-" in frame.name},
        _sacral_arc(slope, bone, -origin),
    )


def _sacral_arc(slope_deg: float, scale: float, start: npt.NDArray[np.float64]) -> SacralArc:
    lengths = np.array([length for length, _ in SACRAL_SEGMENTS]) * scale
    mid_s = np.cumsum(lengths) - lengths / 2
    turns = [turn for _, turn in SACRAL_SEGMENTS]
    step = 0.5
    # The arc goes on above S1, so that nearest points are defined there.
    s = np.arange(-30.0, lengths.sum() + step, step)
    tilt = np.deg2rad(slope_deg + np.interp(s, mid_s, turns))
    tangent = np.stack([np.sin(tilt), -np.cos(tilt)], axis=1)
    points = np.cumsum(tangent * step, axis=0)
    points += start - points[int(np.searchsorted(s, 0.0))]
    return SacralArc(points, s)
