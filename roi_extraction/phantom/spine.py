"""The spine's course: a rigid frame per vertebra and disc, and the sacral arc."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from roi_extraction.phantom.canvas import Array, Patch
from roi_extraction.phantom.frame import Frame, axis
from roi_extraction.phantom.parameters import PhantomParameters, PhantomSex
from roi_extraction.phantom.pathology import Fracture, FractureKind, Pathology

__all__ = ["SacralArc", "Spine", "build_spine"]

VERTEBRAE = ("T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5")
"""Vertebrae that are built, from head to feet."""

BODY_MM: dict[str, tuple[float, float, float]] = {
    "T9": (31.5, 30.0, 22.0),
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
    "T9": 4.3, "T10": 4.5, "T11": 5.5, "T12": 7.0,
    "L1": 8.5, "L2": 9.5, "L3": 10.5, "L4": 11.5, "L5": 11.0,
}  # fmt: skip
"""Height of the disc below each vertebra, mm."""

LORDOSIS_SHARE: dict[str, tuple[float, float]] = {
    "L5": (0.28, 0.17), "L4": (0.20, 0.07), "L3": (0.13, 0.02), "L2": (0.08, 0.01),
    "L1": (0.04, 0.0), "T12": (-0.02, -0.05), "T11": (-0.03, -0.06), "T10": (-0.03, -0.06),
    "T9": (-0.03, -0.06),
}  # fmt: skip
"""Share of the lordosis in the disc below each vertebra and in its body: most of it lies at the
bottom (as Vialle 2005 found, J Bone Joint Surg Am 87(2):260-267; the shares are chosen); above L1
the spine bends the other way."""

SACRAL_SEGMENTS: tuple[tuple[float, float], ...] = (
    (28.0, 3.0), (23.0, -4.0), (20.0, -18.0), (17.0, -34.0), (15.0, -50.0),
)  # fmt: skip
"""Height of S1..S5, mm, and the angle of each against the sacral slope, degrees."""

ENDPLATE_DIP_MM = 1.6
"""Depth of an endplate's concavity in a body 27 mm high, mm."""

CRUSH_SPREAD = 0.15
"""How much a crushed body spreads sideways and forward per share of lost height."""

DISC_RELIEF = 0.25
"""Share of a wedge fracture's kyphosis that each of the two discs beside it makes up for."""

WOMANS_VERTEBRA = 0.92
"""Size of a woman's vertebrae relative to a man's of the same stature."""


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
        Frames by name, counted from the sacrum (``T9`` .. ``S1``, ``T12-L1`` .. ``L5-S1``).
    ribs
        Number of the ribs that hang on a vertebra, by its name: 12 on the lowest with ribs.
    sacrum
        The arc of the sacral bodies.
    """

    scale: float
    bone_scale: float
    bodies: Mapping[str, Frame]
    discs: Mapping[str, Frame]
    sacrum: SacralArc
    ribs: Mapping[str, int]

    @property
    def curved(self) -> bool:
        """Whether the spine leaves the mid-line."""
        return any(frame.x_mm for frame in self.bodies.values())

    def lateral(self, z: Array) -> Array:
        """Return x of the line through the bodies' centres at heights ``z``."""
        knots = sorted((f.z_mm, f.x_mm) for f in (*self.bodies.values(), *self.discs.values()))
        heights, places = zip(*knots, strict=True)
        return np.interp(z, heights, places).astype(np.float32)

    def across(self, patch: Patch) -> Array:
        """Return the distance to the patient's left of that line, (1 or slices, 1, columns)."""
        return np.asarray(patch.x - self.lateral(patch.z)) if self.curved else patch.x

    def as_built(self, name: str) -> str:
        """Return which vertebra this one looks like: with ribs a thoracic, without a lumbar one.

        It differs from ``name`` where there are six or four lumbar vertebrae.
        """
        rib = self.ribs.get(name)
        if rib is not None:
            return f"T{max(rib, 9)}"
        return "L1" if name.startswith("T") else name

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
    bone = scale * (WOMANS_VERTEBRA if parameters.sex is PhantomSex.FEMALE else 1.0)
    slope, pathology = parameters.sacral_slope_deg, parameters.pathology
    rolls = _rolls(pathology)
    top = np.zeros(3)
    angle = slope
    frames: list[Frame] = []
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
            wedge, dip = share * parameters.lordosis_deg, ENDPLATE_DIP_MM * size[2] / 27.0
            fracture = pathology.fracture(part)
            if fracture is not None:
                size, wedge, dip = _collapsed(fracture, size, wedge, dip)
            for neighbour in part.split("-") if "-" in part else ():
                wedge += DISC_RELIEF * _kyphosis(pathology.fracture(neighbour), bone, parameters)
            upper = angle - wedge
            centre_angle = (angle + upper) / 2
            up = axis(centre_angle, rolls[part])
            x, y, z = top + up * size[2] / 2
            frames.append(
                Frame(part, float(y), float(z), centre_angle, upper, angle, *size,
                      float(x), rolls[part], dip)
            )  # fmt: skip
            top = top + up * size[2]
            angle = upper
    s1_tilt = slope + SACRAL_SEGMENTS[0][1]
    width, depth, height = (bone * size for size in BODY_MM["S1"])
    _, y, z = -axis(s1_tilt, 0.0) * height / 2
    frames.append(
        Frame("S1", float(y), float(z), s1_tilt, slope, s1_tilt + 3.0, width, depth, height,
              dip_mm=ENDPLATE_DIP_MM * height / 27.0)
    )  # fmt: skip
    l3 = next(frame for frame in frames if frame.name == "L3")
    built = [
        replace(frame, y_mm=frame.y_mm - l3.y_mm, z_mm=frame.z_mm - l3.z_mm) for frame in frames
    ]
    ribbed = VERTEBRAE[: len(VERTEBRAE) - pathology.lumbar_vertebrae]
    return Spine(
        scale,
        bone,
        {frame.name: frame for frame in built[::-1] if "-" not in frame.name},
        {frame.name: frame for frame in built[::-1] if "-" in frame.name},
        _sacral_arc(slope, bone, -np.array([l3.y_mm, l3.z_mm])),
        {name: 12 - i for i, name in enumerate(ribbed[::-1])},
    )


def _rolls(pathology: Pathology) -> dict[str, float]:
    """Return how far each vertebra and disc leans to the left, degrees.

    The roll is one wave of a sine from the sacrum over the apex, where it is zero, to as far
    above the apex; nothing leans farther up.
    """
    heights, at = {}, 0.0
    for name, below in zip(VERTEBRAE[::-1], ("S1", *VERTEBRAE[:0:-1]), strict=True):
        for part, size in ((f"{name}-{below}", DISC_MM[name]), (name, BODY_MM[name][2])):
            heights[part] = at + size / 2
            at += size
    apex = heights[pathology.scoliosis_apex]
    waves = {part: np.sin(np.pi * min(h / apex, 2.0)) for part, h in heights.items()}
    bodies = [wave for part, wave in waves.items() if "-" not in part]
    size = pathology.scoliosis_cobb_deg / (max(bodies) - min(bodies))
    return {part: float(size * wave) for part, wave in waves.items()}


def _collapsed(
    fracture: Fracture, size: tuple[float, float, float], wedge_deg: float, dip_mm: float
) -> tuple[tuple[float, float, float], float, float]:
    """Return a body's size, the angle between its endplates and their dip after a fracture."""
    width, depth, height = size
    loss = fracture.height_loss
    if fracture.kind is FractureKind.CRUSH:
        spread = 1.0 + CRUSH_SPREAD * loss
        return (width * spread, depth * spread, height * (1.0 - loss)), wedge_deg, dip_mm
    if fracture.kind is FractureKind.BICONCAVE:
        return size, wedge_deg, height * loss / 2
    # The posterior wall keeps its height.
    posterior = height - depth * np.tan(np.deg2rad(wedge_deg / 2))
    left = -2.0 * np.rad2deg(np.arctan(posterior * loss / (2 * depth)))
    return (width, depth, float(posterior * (1.0 - loss / 2))), float(left), dip_mm


def _kyphosis(fracture: Fracture | None, bone: float, parameters: PhantomParameters) -> float:
    """Return how far forward a fracture bends the spine, degrees."""
    if fracture is None or fracture.kind is not FractureKind.WEDGE:
        return 0.0
    width, depth, height = (bone * size for size in BODY_MM[fracture.level])
    before = LORDOSIS_SHARE[fracture.level][1] * parameters.lordosis_deg
    _, after, _ = _collapsed(fracture, (width, depth, height), before, 0.0)
    return before - after


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
