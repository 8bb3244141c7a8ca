"""Abdominal organs, bowel and great vessels."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy import ndimage

from roi_extraction.phantom.canvas import Array, Canvas, Patch
from roi_extraction.phantom.pathology import Pathology
from roi_extraction.phantom.shapes import ellipse, ellipsoid, tube, unite
from roi_extraction.phantom.spine import Spine
from roi_extraction.phantom.trunk import trunk_distance

__all__ = ["paint_organs", "paint_vessels"]

PLAQUE_HU = 800.0
"""HU of calcified plaque where it fills a voxel."""

Vessel = tuple[Sequence[tuple[float, float, float]], float]
"""A vessel's course, LPS mm, and its radius, mm."""

WALL_TO_CAVITY_MM = 31.0
"""Distance from the skin within which no organ lies, mm."""


def paint_organs(
    canvas: Canvas, spine: Spine, gas: bool, rng: np.random.Generator, gain_hu: float = 0.0
) -> None:
    """Paint liver, spleen, kidneys, colon and small bowel.

    Parameters
    ----------
    canvas, spine
        What to paint on, and where.
    gas
        Whether the bowel holds gas.
    rng
        Decides the bowel's course.
    gain_hu
        How far the blood is above its native HU.
    """
    k = spine.scale
    t12, l1, l2, l4, s1 = (spine.bodies[n] for n in ("T12", "L1", "L2", "L4", "S1"))
    _paint_solid(
        canvas, spine, (-78, -42, l1.z_mm / k + 38), (74, 82, 82), 57.0 + 0.4 * gain_hu, rng
    )
    _paint_solid(
        canvas, spine, (112, 8, t12.z_mm / k + 10), (26, 44, 48), 50.0 + 0.55 * gain_hu, rng
    )
    _paint_solid(canvas, spine, (58, -72, t12.z_mm / k + 20), (46, 34, 40), 38.0, rng)
    _paint_solid(canvas, spine, (6, -48, l1.z_mm / k + 2), (52, 10, 13), 42.0 + 0.4 * gain_hu, rng)
    loops = [
        (rng.uniform(-85, 85), rng.uniform(-118, -48), rng.uniform(s1.z_mm - 60, l2.z_mm) / k)
        for _ in range(110)
    ]
    for x, y, z in loops:
        radii = (rng.uniform(11, 26), rng.uniform(9, 14), rng.uniform(10, 18))
        airy = rng.random() < 0.25
        _paint_loop(canvas, spine, (x, y, z), radii, gas and airy)
    for _ in range(90):
        x, y = rng.uniform(-75, 75), rng.uniform(-95, -34)
        z = rng.uniform(s1.z_mm - 60, l1.z_mm) / k
        point = (x, y, z)
        _paint_solid(canvas, spine, point, (rng.uniform(1.5, 3.0),) * 2 + (8.0,), 42.0, rng)
    for side, base in ((-1, l2), (1, l1)):
        _paint_kidney(
            canvas, spine, side, base.y_mm + 6 * k, base.z_mm + (8 if side < 0 else -18), gain_hu
        )
    crest = l4.z_mm / k
    right = (
        (-102, -18, crest - 50),
        (-112, -16, crest),
        (-108, -30, crest + 60),
        (-96, -66, crest + 78),
    )
    left = ((118, 2, l1.z_mm / k), (118, 2, crest), (112, -14, crest - 45), (70, -50, crest - 95))
    across = (
        (-94, -78, crest + 70),
        (-40, -100, crest + 40),
        (40, -100, crest + 44),
        (100, -62, l1.z_mm / k + 10),
    )
    for course, radius in ((right, 25.0), (left, 17.0), (across, 21.0)):
        _paint_colon(canvas, spine, course, radius, gas, rng)


def paint_vessels(
    canvas: Canvas, spine: Spine, pathology: Pathology, rng: np.random.Generator
) -> None:
    """Paint aorta and inferior vena cava with the common iliac vessels.

    Parameters
    ----------
    canvas, spine
        What to paint on, and where.
    pathology
        Tells the HU of the blood, and how much of the arteries' wall is calcified.
    rng
        Decides where it is.
    """
    k = spine.scale
    arterial, venous = [], []
    aorta, vein_hu = pathology.aorta_hu, pathology.vein_hu
    for name in ("T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4"):
        frame = spine.bodies[name]
        front, z = frame.point(-frame.depth_mm / 2, 0.0)
        arterial.append((frame.x_mm + 9.0 * k, front - 12.5 * k, z))
        venous.append(
            (
                frame.x_mm - 17.0 * k,
                front - 9.0 * k - (10.0 * k if z > spine.bodies["L2"].z_mm else 0),
                z,
            )
        )
    fork, l5, s1 = spine.discs["L4-L5"], spine.bodies["L5"], spine.bodies["S1"]
    fork_front = fork.y_mm - fork.depth_mm / 2
    venous.append((fork.x_mm - 10.0 * k, fork_front - 9.0 * k, fork.z_mm))
    limbs = []
    for side in (-1, 1):
        end = (side * 44.0 * k, s1.y_mm - 48.0 * k, s1.z_mm - 20.0 * k)
        limbs.append(
            (
                (arterial[-1], (side * 22.0 * k, fork_front - 14 * k, l5.z_mm + 8 * k), end),
                6.0,
                aorta,
            )
        )
        vein = (end[0] - side * 3 * k, end[1] + 12 * k, end[2])
        limbs.append(
            (
                (venous[-1], (side * 22.0 * k, fork_front - 3 * k, l5.z_mm - 6 * k), vein),
                7.5,
                vein_hu,
            )
        )
    for course, radius, hu in ((arterial, 9.0, aorta), (venous, 10.5, vein_hu), *limbs):
        for start, end in pairwise(course):
            box = np.sort(np.array([start, end]), axis=0)
            low, high = box[0] - radius * k - 4, box[1] + radius * k + 4
            patch = canvas.patch((low[0], high[0], low[1], high[1], low[2], high[2]))
            if patch is None:
                continue
            sdf = tube(patch.x, patch.y, patch.z, (start, end), radius * k)
            canvas.paint(patch, sdf, hu)
    if pathology.aortic_calcification:
        tubes = [
            (arterial, 9.0 * k), (venous, 10.5 * k), *((way, size * k) for way, size, _ in limbs)
        ]  # fmt: skip
        for artery in tubes[::2]:
            others = [vessel for vessel in tubes if vessel is not artery]
            _calcify(canvas, artery, others, pathology.aortic_calcification, rng)


def _calcify(
    canvas: Canvas,
    artery: Vessel,
    beside: Sequence[Vessel],
    share: float,
    rng: np.random.Generator,
) -> None:
    """Paint plaques on a share of an artery's wall, but not where it lies in another vessel."""
    course, radius_mm = artery
    points = np.array(course)
    low, high = points.min(axis=0) - radius_mm - 3, points.max(axis=0) + radius_mm + 3
    patch = canvas.patch((low[0], high[0], low[1], high[1], low[2], high[2]))
    if patch is None:
        return
    sdf = tube(patch.x, patch.y, patch.z, course, radius_mm)
    others = unite(*(tube(patch.x, patch.y, patch.z, *vessel) for vessel in beside))
    size = 3.0 / canvas.pixel_mm
    where = ndimage.gaussian_filter(
        rng.standard_normal(sdf.shape, dtype=np.float32), (4.0 / canvas.step_mm, size, size)
    )
    wall = (np.abs(sdf) < 1.0) & (others > 0)
    if not wall.any():
        return
    limit = float(np.quantile(where[wall], 1.0 - share))
    thick = 1.3 * np.clip((where - limit) / max(float(where[wall].std()), 1e-6), 0.0, 1.0)
    plaque = np.abs(sdf + 0.4) - thick.astype(np.float32)
    canvas.blend(patch, canvas.alpha(plaque) * ((where > limit) & (others > -0.5)), PLAQUE_HU)


def _cavity(patch: Patch, spine: Spine) -> Array:
    """Return the distance to the inside of the abdominal wall."""
    return trunk_distance(patch, spine) + np.float32(WALL_TO_CAVITY_MM * spine.scale)


def _around(
    canvas: Canvas, spine: Spine, centre: tuple[float, ...], radii: tuple[float, ...], more: float
) -> tuple[Patch, tuple[float, ...], tuple[float, float, float]] | None:
    k = spine.scale
    c = tuple(value * k for value in centre)
    r = (radii[0] * k, radii[1] * k, radii[2] * k)
    patch = canvas.patch((
        c[0] - r[0] - more, c[0] + r[0] + more, c[1] - r[1] - more, c[1] + r[1] + more,
        c[2] - r[2] - more, c[2] + r[2] + more,
    ))  # fmt: skip
    return None if patch is None else (patch, c, r)


def _paint_solid(
    canvas: Canvas,
    spine: Spine,
    centre: tuple[float, ...],
    radii: tuple[float, ...],
    hu: float,
    rng: np.random.Generator,
) -> None:
    found = _around(canvas, spine, centre, radii, 2.0)
    if found is None:
        return
    patch, c, r = found
    sdf = ellipsoid(patch.x - c[0], patch.y - c[1], patch.z - c[2], r)
    if max(radii) > 20:
        sdf = np.maximum(sdf, _cavity(patch, spine))
        sdf = np.maximum(sdf, _spine_space(patch, spine))
    canvas.paint(patch, sdf, hu)


def _spine_space(patch: Patch, spine: Spine) -> Array:
    """Return the distance to the retroperitoneal space around spine and psoas, positive in it."""
    y = patch.y - spine.line(patch.z)
    return -ellipse(
        spine.across(patch), y - 15 * spine.scale, 52.0 * spine.scale, 46.0 * spine.scale
    )


def _paint_loop(
    canvas: Canvas,
    spine: Spine,
    centre: tuple[float, float, float],
    radii: tuple[float, float, float],
    gas: bool,
) -> None:
    found = _around(canvas, spine, centre, radii, 2.0)
    if found is None:
        return
    patch, c, r = found
    sdf = ellipsoid(patch.x - c[0], patch.y - c[1], patch.z - c[2], r)
    sdf = np.maximum(sdf, _cavity(patch, spine))
    canvas.paint(patch, sdf, 42.0)
    canvas.paint(patch, sdf + 2.5, 22.0)
    if gas:
        level = patch.y - c[1] + r[1] * 0.25
        canvas.paint(patch, np.maximum(sdf + 2.5, level).astype(np.float32), -960.0)


def _paint_kidney(
    canvas: Canvas, spine: Spine, side: int, y: float, z: float, gain_hu: float
) -> None:
    k = spine.scale
    found = _around(canvas, spine, (side * 68.0, y / k, z / k), (46.0, 40.0, 62.0), 0.0)
    if found is None:
        return
    patch, c, _ = found
    up = patch.z - c[2]
    u, v = side * (patch.x - c[0]) + 0.22 * up, patch.y - c[1] + 0.12 * up
    u, v = 0.8 * u + 0.6 * v, -0.6 * u + 0.8 * v
    space = ellipsoid(u, v, up, (38 * k, 36 * k, 64 * k))
    space = np.maximum(space, _cavity(patch, spine) - 2.0)
    canvas.paint(
        patch, np.maximum(space, 1.0 - _psoas_side(patch, spine)).astype(np.float32), -103.0
    )
    kidney = ellipsoid(u, v, up, (29 * k, 23 * k, 54 * k))
    canvas.paint(patch, np.maximum(kidney, _cavity(patch, spine)), 34.0 + 0.8 * gain_hu)
    sinus = ellipsoid(u + 15 * k, v + 2 * k, up, (18 * k, 9 * k, 26 * k))
    canvas.paint(patch, sinus, -75.0)
    canvas.paint(patch, ellipsoid(u + 12 * k, v + 2 * k, up, (9 * k, 4.5 * k, 15 * k)), 12.0)


def _psoas_side(patch: Patch, spine: Spine) -> Array:
    y = patch.y - spine.line(patch.z)
    return ellipse(spine.across(patch), y, 30.0 * spine.scale, 30.0 * spine.scale)


def _paint_colon(
    canvas: Canvas,
    spine: Spine,
    course: tuple[tuple[float, float, float], ...],
    radius: float,
    gas: bool,
    rng: np.random.Generator,
) -> None:
    k = spine.scale
    points = np.array(course) * k
    low, high = points.min(axis=0) - radius * k - 4, points.max(axis=0) + radius * k + 4
    patch = canvas.patch((low[0], high[0], low[1], high[1], low[2], high[2]))
    if patch is None:
        return
    sdf = tube(patch.x, patch.y, patch.z, points.tolist(), radius * k)
    # Haustra narrow it every 35 mm.
    phase = (patch.z + 0.7 * patch.x) / (35.0 * k)
    sdf = sdf + np.float32(4.0 * k) * np.cos(2 * np.pi * phase) ** 4
    sdf = np.maximum(sdf, _cavity(patch, spine) - 2.0 * k).astype(np.float32)
    canvas.paint(patch, sdf, 45.0)
    grain = rng.standard_normal(sdf.shape, dtype=np.float32)
    fine = 2.5 / canvas.pixel_mm
    grain = ndimage.gaussian_filter(grain, (2.5 / canvas.step_mm, fine, fine), truncate=2.5)
    grain /= max(float(grain.std()), 1e-6)
    stool = 25.0 + 25.0 * grain
    if gas:
        stool = np.where(grain > 0.9, -350.0, stool)
    canvas.paint(patch, sdf + 2.5 * k, stool.astype(np.float32))
    if gas:
        axis = np.interp(patch.z, *np.sort(points[:, ::-1], axis=0)[:, :2].T)
        level = patch.y - axis + radius * k * 0.35
        canvas.paint(patch, np.maximum(sdf + 2.5 * k, level).astype(np.float32), -970.0)
