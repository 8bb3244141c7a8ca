"""Vertebrae, discs and the vertebral canal."""

from dataclasses import dataclass

import numpy as np

from roi_extraction.phantom.canvas import Array, Canvas, Patch
from roi_extraction.phantom.frame import Frame
from roi_extraction.phantom.shapes import capsule, ellipse, intersect
from roi_extraction.phantom.spine import Spine

__all__ = [
    "ARCH_MM", "CANAL_BEHIND_MM", "LABELS", "SHELL_MM", "body_faces", "canal_distance",
    "paint_body",
    "paint_canal", "paint_disc", "paint_vertebra", "superior_processes",
]  # fmt: skip

LABELS: dict[str, int] = {
    "S1": 26, "L5": 27, "L4": 28, "L3": 29, "L2": 30, "L1": 31, "T12": 32, "T11": 33, "T10": 34,
    "T9": 35,
}  # fmt: skip
"""Label numbers of TotalSegmentator's task ``total``, version 2."""

CANAL_BEHIND_MM = 8.5
"""Distance of the canal's centre behind the posterior wall, mm."""

SHELL_MM = 1.2
"""Thickness of the cortex of a body, mm; its endplates are a fifth thicker."""

ARCH_SHELL_MM = 1.9
"""Thickness of the cortex of the arch, mm."""

WAIST = 0.09
"""How much narrower a body is at its middle than at its endplates, as a share."""

DISC_HU = 82.0
FAT_HU = -95.0
SAC_HU = 24.0
"""HU of disc, of fat between bones, and of the thecal sac with its roots."""

ARCH_MM: dict[str, tuple[float, float, float, float, float]] = {
    "T9": (9.3, 3.3, 23.0, 3.5, 36.0),
    "T10": (9.5, 3.4, 22.0, 3.4, 34.0),
    "T11": (10.0, 3.8, 20.0, 3.2, 30.0),
    "T12": (11.0, 4.0, 22.0, 3.0, 28.0),
    "L1": (11.5, 3.8, 36.0, 2.8, 28.0),
    "L2": (11.5, 4.0, 41.0, 2.8, 29.0),
    "L3": (12.0, 4.8, 46.0, 2.8, 30.0),
    "L4": (12.5, 6.0, 43.0, 3.2, 28.0),
    "L5": (14.0, 8.0, 43.0, 4.8, 22.0),
    "S1": (15.0, 8.0, 30.0, 4.0, 10.0),
}
"""Half-width of the canal, half-width of a pedicle, reach of a transverse process from the
mid-line, its radius, and length of the spinous process, of a man, mm: round numbers, chosen."""


@dataclass(frozen=True, eq=False)
class BodyFaces:
    """Distances to the faces of a body, mm, negative inside.

    Parameters
    ----------
    side, ends
        To the wall all around, and to the nearer endplate; arrays of the patch's shape.
    """

    side: Array
    ends: Array

    @property
    def body(self) -> Array:
        """The distance to the whole body."""
        return np.maximum(self.side, self.ends)

    def core(self, shell_mm: float) -> Array:
        """The distance to the trabecular core."""
        return np.maximum(self.side + shell_mm, self.ends + 1.2 * shell_mm)


def canal_distance(patch: Patch, spine: Spine) -> Array:
    """Return the distance to the wall of the vertebral canal."""
    z = patch.z
    y = spine.line(z, CANAL_BEHIND_MM * spine.bone_scale)
    lean = (spine.line(z + 2, CANAL_BEHIND_MM) - spine.line(z - 2, CANAL_BEHIND_MM)) / 4.0
    across = (patch.y - y) / np.sqrt(1.0 + lean * lean)
    half_widths = {name: spine.bone_scale * sizes[0] for name, sizes in ARCH_MM.items()}
    taper = np.clip((z - spine.bodies["S1"].z_mm + 80.0 * spine.scale) / (70.0 * spine.scale), 0, 1)
    half_width = spine.at_level(z, half_widths) * (0.45 + 0.55 * taper)
    half_depth = 8.3 * spine.bone_scale * (0.45 + 0.55 * taper)
    # Rounded triangle: wider in front than behind.
    wide = half_width * (1.0 - 0.22 * np.clip(across / half_depth, -1.0, 1.0))
    return ellipse(spine.across(patch), across, wide, half_depth, 2.6)


def body_faces(frame: Frame, patch: Patch) -> BodyFaces:
    """Return the distances to a vertebral body's faces."""
    a, b, c = frame.local(patch)
    up = np.tan(np.deg2rad(frame.upper_deg - frame.tilt_deg)).astype(np.float32)
    low = np.tan(np.deg2rad(frame.lower_deg - frame.tilt_deg)).astype(np.float32)
    half = frame.height_mm / 2
    waist = 1.0 - WAIST * np.clip(1.0 - (c / half) ** 2, 0.0, 1.0)
    half_width, half_depth = frame.width_mm / 2 * waist, frame.depth_mm / 2 * waist
    side = ellipse(a, b, half_width, half_depth, 2.5)
    centre = (a / (0.9 * half_width)) ** 2 + (b / (0.9 * half_depth)) ** 2
    dip = frame.dip_mm * np.clip(1.0 - centre, 0.0, 1.0)
    ends = np.maximum(c - up * b - half, low * b - half - c) + dip
    return BodyFaces(side, ends.astype(np.float32))


def paint_canal(canvas: Canvas, spine: Spine) -> None:
    """Paint epidural fat, thecal sac with its roots, and the fat of the foramina."""
    low, high = canvas.z[0], canvas.z[-1]
    y = spine.line(canvas.z, CANAL_BEHIND_MM)
    aside = spine.lateral(canvas.z)
    left, right = -24 + float(aside.min()), 24 + float(aside.max())
    patch = canvas.patch((left, right, float(y.min()) - 20, float(y.max()) + 50, low, high))
    if patch is None:
        return
    wall = canal_distance(patch, spine)
    # Yellow ligaments behind the canal, interspinous ligaments in the mid-line.
    behind = patch.y - spine.line(patch.z, CANAL_BEHIND_MM * spine.bone_scale)
    flavum = intersect(np.abs(wall - 1.8) - 1.8, 2.0 - behind)
    canvas.paint(patch, flavum, 55.0)
    k = spine.bone_scale
    sacral = spine.bodies["S1"].z_mm + 10.0 * k - patch.z
    between = intersect(
        np.abs(spine.across(patch)) - 2.3 * k, 12.0 * k - behind, behind - 38.0 * k, sacral
    )
    canvas.paint(patch, between, 5.0)
    canvas.paint(patch, wall - 0.5, FAT_HU + 20.0)
    below_l4 = np.clip((spine.bodies["L4"].z_mm - patch.z) / 90.0, 0.0, 1.0)
    sac = wall + 1.0 + 3.5 * below_l4
    canvas.paint(patch, sac, SAC_HU)
    for disc in spine.discs.values():
        # The foramen: fat from the canal outwards above the disc, with the root in it.
        y0, z0 = disc.point(disc.depth_mm / 2 + 7.0, disc.height_mm * 0.5 + 5.0 * spine.bone_scale)
        box = (disc.x_mm - 32, disc.x_mm + 32, y0 - 14, y0 + 14, z0 - 16, z0 + 16)
        hole = canvas.patch(box)
        if hole is None:
            continue
        dy, dz = hole.y - np.float32(y0), hole.z - np.float32(z0)
        scale, x = spine.bone_scale, spine.across(hole)
        space = np.maximum(ellipse(dy, dz, 6.5 * scale, 10.0 * scale), np.abs(x) - 25 * scale)
        space = np.maximum(space, -canal_distance(hole, spine))
        canvas.paint(hole, space.astype(np.float32), FAT_HU)
        for side in (-1, 1):
            root = capsule(
                x, dy, dz, (side * 12 * scale, -1, 4), (side * 26 * scale, 1, -4), 2.6 * scale
            )
            canvas.paint(hole, root, 38.0)


def paint_disc(canvas: Canvas, spine: Spine, disc: Frame) -> None:
    """Paint a disc between two bodies that will cover its faces; label it 2 in the body labels."""
    reach = disc.depth_mm / 2 + 8
    box = (
        disc.x_mm - disc.width_mm / 2 - 5, disc.x_mm + disc.width_mm / 2 + 5,
        disc.y_mm - reach, disc.y_mm + reach,
        disc.z_mm - 30, disc.z_mm + 30,
    )  # fmt: skip
    patch = canvas.patch(box)
    if patch is None:
        return
    a, b, c = disc.local(patch)
    up = np.tan(np.deg2rad(disc.upper_deg - disc.tilt_deg))
    low = np.tan(np.deg2rad(disc.lower_deg - disc.tilt_deg))
    half = disc.height_mm / 2
    side = ellipse(a, b, disc.width_mm / 2 + 0.6, disc.depth_mm / 2 + 0.6, 2.5)
    canal = -(canal_distance(patch, spine) - 0.5)
    side = np.maximum(side, canal)
    ends = np.maximum(c - up * b - half, low * b - half - c).astype(np.float32)
    # It fills the concavities of the bodies beside it.
    sunk = max(2.5, *(0.5 + spine.bodies[name].dip_mm for name in disc.name.split("-")))
    nucleus = np.clip(-side / 10.0, 0.0, 1.0)
    share = canvas.alpha(np.maximum(side, ends - sunk))
    canvas.blend(patch, share, (DISC_HU + 14.0 - 20.0 * nucleus).astype(np.float32))
    inside = np.maximum(side, ends) < 0
    canvas.body_labels[patch.index][inside] = 2


def paint_vertebra(
    canvas: Canvas, spine: Spine, name: str, hu: float, rng: np.random.Generator | None
) -> None:
    """Paint a whole vertebra, T9 to L5, and label it."""
    frame = spine.bodies[name]
    patch = _patch_around(canvas, spine, frame)
    if patch is None:
        return
    faces = body_faces(frame, patch)
    canal = canal_distance(patch, spine)
    faces = BodyFaces(np.maximum(faces.side, 0.6 - canal), faces.ends)
    rear = np.maximum(_arch(spine, name, patch), -canal)
    names = list(spine.bodies)
    below = spine.bodies[names[names.index(name) - 1]] if name in names[1:] else None
    if below is not None:
        rear = np.maximum(rear, 1.3 - superior_processes(spine, below, patch))
    paint_body(canvas, patch, frame, faces, hu, rng)
    outside = np.maximum(rear, -(faces.body + 2.0))
    cortex, marrow = _arch_hu(hu)
    canvas.paint(patch, outside, cortex)
    core = np.maximum(rear + ARCH_SHELL_MM, -(faces.body + 2.0))
    canvas.paint(patch, core, marrow)
    whole = np.minimum(faces.body, rear) < 0
    canvas.labels[patch.index][whole] = LABELS[name]


def paint_body(
    canvas: Canvas,
    patch: Patch,
    frame: Frame,
    faces: BodyFaces,
    hu: float,
    rng: np.random.Generator | None,
) -> None:
    """Paint a body's cortex, endplates and trabecular core; label it 1 in the body labels."""
    cortex = float(np.clip(280.0 + 0.9 * hu, 240.0, 520.0))
    canvas.paint(patch, faces.body, cortex)
    trabecular: float | Array = hu
    if rng is not None:
        grain = canvas.texture(faces.body.shape, rng, 0.7, 3.0, 1.0)
        trabecular = np.float32(hu) + np.float32(6.0 + 0.05 * max(hu, 0.0)) * grain
    canvas.paint(patch, faces.core(SHELL_MM), trabecular)
    a, b, c = frame.local(patch)
    vein = ellipse(np.sqrt(a * a + (2.2 * c) ** 2), b - np.float32(frame.depth_mm / 2), 3.2, 7.5)
    canvas.paint(patch, np.maximum(vein, faces.side), 0.45 * hu)
    canvas.body_labels[patch.index][faces.body < 0] = 1


def _arch(spine: Spine, name: str, patch: Patch) -> Array:
    """Return the distance to a vertebra's arch with all its processes."""
    frame = spine.bodies[name]
    k = spine.bone_scale
    built = spine.as_built(name)
    canal, pedicle = (k * size for size in ARCH_MM[name][:2])
    reach, thickness, spinous = (k * size for size in ARCH_MM[built][2:])
    a, b, c = frame.local(patch)
    a = np.abs(a)
    back, h = frame.depth_mm / 2, frame.height_mm
    centre = canal + 0.5 * k + pedicle
    pillar = canal + 4.0 * k
    parts = [
        capsule(
            a, b, c, (centre, back - 7 * k, 0.2 * h), (centre, back + 12 * k, 0.2 * h), pedicle,
            (1.0, 1.0, max(1.0, 7.2 * k / pedicle)),
        ),
        capsule(
            a, b, c, (pillar + k, back + 13 * k, 0.22 * h),
            (pillar - 2 * k, back + 18 * k, -0.2 * h),
            4.6 * k,
        ),
        capsule(
            a, b, c, (pillar - 2 * k, back + 18 * k, -0.15 * h),
            (pillar - 2.5 * k, back + 21 * k, -0.5 * h - 13 * k), 4.4 * k, (1.25, 1.0, 1.0),
        ),
        capsule(
            a, b, c, (pillar - k, back + 17 * k, -0.12 * h), (1.0, back + 24 * k, -0.42 * h),
            2.9 * k, (1.0, 1.0, 3.0),
        ),
        capsule(
            a, b, c, (0.0, back + 24 * k, -0.32 * h),
            (0.0, back + 22 * k + spinous, -0.42 * h - (7 * k if built.startswith("T") else 0.0)),
            2.5 * k, (1.0, 1.0, 3.3),
        ),
        capsule(
            a, b, c, (0.0, back + 21 * k + spinous, -0.36 * h),
            (0.0, back + 21 * k + spinous, -0.62 * h), 3.6 * k,
        ),
        capsule(
            a, b, c, (pillar + 2 * k, back + 9 * k, 0.16 * h),
            (reach, back + (11.0 if name != "L5" else 13.0) * k, 0.2 * h),
            thickness, (1.0, 1.0, 1.7),
        ),
        superior_processes(spine, frame, patch),
    ]  # fmt: skip
    sdf = parts[0]
    for part in parts[1:]:
        sdf = np.minimum(sdf, part)
    return sdf


def superior_processes(spine: Spine, frame: Frame, patch: Patch) -> Array:
    """Return the distance to both superior articular processes of a vertebra."""
    k = spine.bone_scale
    pillar = k * (ARCH_MM[frame.name][0] + 4.0)
    a, b, c = frame.local(patch)
    back, h = frame.depth_mm / 2, frame.height_mm
    return capsule(
        np.abs(a), b, c, (pillar + 2 * k, back + 12 * k, 0.2 * h),
        (pillar + 3.5 * k, back + 13 * k, 0.25 * h + 13 * k), 4.4 * k, (1.0, 1.3, 1.0),
    )  # fmt: skip


def _arch_hu(hu: float) -> tuple[float, float]:
    return float(np.clip(420.0 + 1.2 * hu, 400.0, 700.0)), max(60.0, 0.9 * hu + 70.0)


def _patch_around(canvas: Canvas, spine: Spine, frame: Frame) -> Patch | None:
    k = spine.bone_scale
    return canvas.patch((
        frame.x_mm - 52 * k, frame.x_mm + 52 * k, frame.y_mm - 32 * k, frame.y_mm + 86 * k,
        frame.z_mm - 48 * k, frame.z_mm + 48 * k,
    ))  # fmt: skip
