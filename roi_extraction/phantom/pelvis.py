"""Sacrum and hip bones."""

import numpy as np
import numpy.typing as npt

from roi_extraction.phantom.canvas import Array, Canvas, Patch
from roi_extraction.phantom.shapes import ellipse, intersect, unite
from roi_extraction.phantom.spine import Spine
from roi_extraction.phantom.vertebrae import (
    SPINE_FAT_HU,
    VERTEBRA_NUMBERS,
    body_faces,
    canal_distance,
    paint_body,
    superior_processes,
)

__all__ = ["ilium_distance", "paint_ilia", "paint_sacrum", "wing_sides"]

SACRUM_LABEL = 25
"""TotalSegmentator's number of the sacrum (below S1, which has its own)."""

ILIUM_LINE_MM = ((49.0, 50.0), (60.0, 26.0), (68.0, 2.0), (94.0, -32.0), (121.0, -60.0))
"""The wing of the ilium in an axial slice at S1: lateral, posterior of the centre of S1, mm."""

ILIUM_THICKNESS_MM = (
    (0.0, 17.0),
    (0.3, 15.0),
    (0.45, 13.0),
    (0.65, 8.0),
    (0.85, 10.0),
    (1.0, 13.0),
)
"""Thickness of the wing along that line (0 at the back, 1 in front), mm."""

ILIUM_FLARE = 0.25
"""How far the wing leans outwards, mm per mm upwards."""


def paint_sacrum(
    canvas: Canvas, spine: Spine, hu: float, ilia: bool, rng: np.random.Generator | None
) -> None:
    """Paint the sacrum with the body of S1 (label 26) and the rest of it (label 25)."""
    k = spine.bone_scale
    s1 = spine.bodies["S1"]
    patch = canvas.patch((
        -70 * k, 70 * k, s1.y_mm - 40 * k, s1.y_mm + 82 * k, s1.z_mm - 110 * k, s1.z_mm + 45 * k
    ))  # fmt: skip
    if patch is None:
        return
    s, v = spine.sacrum.local(patch)
    s, v = s / np.float32(k), v / np.float32(k)
    x = np.abs(patch.x) / np.float32(k)
    wide = np.abs(patch.x) / np.float32(spine.scale)
    canal = canal_distance(patch, spine)
    shrink = np.interp(s, (0, 30, 60, 100), (1.0, 0.95, 0.78, 0.45)).astype(np.float32)
    half_width = np.interp(s, (-10, 0, 15, 30, 60, 90, 112), (55, 60, 60, 58, 50, 32, 9))
    front = np.interp(x, (0, 20, 27, 36, 55), (2.0, 2.0, -1.0, -4.0, -10.0)) * shrink
    rear = np.interp(x, (0, 16, 30, 46, 60), (30.0, 30.0, 25.0, 22.0, 16.0)) * shrink
    top = np.interp(x, (0, 20, 28, 40, 55), (6.0, 4.0, 2.0, 3.0, 7.0)) - 0.12 * v
    lateral = intersect(
        wide - half_width.astype(np.float32),
        front.astype(np.float32) - v,
        v - rear.astype(np.float32),
        top.astype(np.float32) - s,
        s - 108.0,
    )  # fmt: skip
    half_depth = np.interp(s, (0, 28, 60, 100), (17.0, 14.5, 9.5, 5.0)).astype(np.float32)
    half_body = np.interp(s, (0, 28, 60, 100), (25.0, 18.0, 13.0, 9.0)).astype(np.float32)
    column = np.maximum(ellipse(x, v, half_body, half_depth, 2.5), np.maximum(27.0 - s, s - 110.0))
    ring = np.maximum(canal / k - 4.5, np.maximum(8.0 - s, s - 85.0))
    crest = intersect(
        x - 3.0, v - 43.0 * shrink, 12.0 * shrink - v,
        12.0 - s + 4.0 * np.sin(s / 3.4), s - 80.0,
    )  # fmt: skip
    bone = unite(lateral, column, ring, crest.astype(np.float32)) * np.float32(k)
    bone = np.minimum(bone, np.maximum(superior_processes(spine, s1, patch), -canal))
    bone = np.maximum(bone, -canal)
    if ilia:
        bone = np.maximum(bone, 2.2 * k - ilium_distance(patch, spine))
    bone = bone.astype(np.float32)
    faces = body_faces(s1, patch)
    faces = type(faces)(np.maximum(faces.side, 0.6 - canal), faces.ends)
    ala = max(15.0, 0.55 * hu + 20.0)
    marrow: float | Array = ala
    if rng is not None:
        marrow = np.float32(ala) + 18.0 * canvas.texture(bone.shape, rng, 1.2, 6.0, 2.0)
    outside = np.maximum(bone, -(faces.body + 1.0))
    canvas.paint(patch, outside, float(np.clip(330.0 + 0.5 * hu, 300.0, 480.0)))
    canvas.paint(patch, np.maximum(bone + 1.8, -(faces.body + 1.0)), marrow)
    for middle in (33.0, 54.0, 73.0):
        hole = ellipse(x - np.float32(17.5 - 0.05 * middle), s - middle, 5.2, 5.5) * np.float32(k)
        hole = np.maximum(hole, -(v + 0.0 * hole) - 20.0)
        hole = intersect(hole, v - 30.0 * shrink, bone - 1.0)
        canvas.paint(patch, hole.astype(np.float32), SPINE_FAT_HU + 15.0)
        canvas.paint(patch, (hole + 2.6 * k).astype(np.float32), 35.0)
    paint_body(canvas, patch, s1, faces, hu, rng)
    # The remnant of the disc S1-S2.
    rest = np.maximum(np.abs(s - 29.0) * k - 1.0, ellipse(x, v, 14.0, 10.0) * k)
    canvas.paint(patch, rest.astype(np.float32), 160.0)
    whole = (np.minimum(bone, faces.body)) < 0
    labels = canvas.labels[patch.index]
    labels[whole & (s < 29.0)] = VERTEBRA_NUMBERS["S1"]
    labels[whole & (s >= 29.0)] = SACRUM_LABEL


def ilium_distance(patch: Patch, spine: Spine) -> Array:
    """Return the distance to the hip bones of both sides."""
    distance, along, _ = _wing(patch, spine)
    k = spine.scale
    places, sizes = np.array(ILIUM_THICKNESS_MM).T
    thickness = np.interp(along, places, sizes).astype(np.float32) * k
    s1, disc = spine.bodies["S1"], spine.discs["L4-L5"]
    top = disc.z_mm + 6.0 * k
    rise = top - s1.z_mm
    behind = np.clip(0.55 - along, 0.0, 1.0) / 0.55
    ahead = np.clip(along - 0.55, 0.0, 1.0) / 0.45
    crest = top - (rise + 12.0 * k) * behind**2 - (rise + 14.0 * k) * ahead**2
    lip = np.clip(1.0 - (crest - patch.z) / (14.0 * k), 0.0, 1.0)
    wall = distance - thickness / 2 - 2.5 * k * lip
    over = (patch.z - crest) * 0.7
    notch = s1.z_mm - 50.0 * k - 45.0 * k * np.clip(along - 0.25, 0.0, 0.4) / 0.4 - patch.z
    return intersect(wall, over, notch).astype(np.float32)


def paint_ilia(canvas: Canvas, spine: Spine, hu: float, rng: np.random.Generator | None) -> None:
    """Paint the hip bones, with iliacus inside and the gluteal muscles outside."""
    k = spine.scale
    s1 = spine.bodies["S1"]
    for side in (-1, 1):
        lateral = sorted((side * 30 * k, side * 165 * k))
        patch = canvas.patch((
            lateral[0], lateral[1], s1.y_mm - 110 * k, s1.y_mm + 80 * k,
            s1.z_mm - 160 * k, s1.z_mm + 75 * k,
        ))  # fmt: skip
        if patch is None:
            continue
        bone = ilium_distance(patch, spine)
        trabecular = max(30.0, 0.5 * hu + 30.0)
        marrow: float | Array = trabecular
        if rng is not None:
            marrow = np.float32(trabecular) + 22.0 * canvas.texture(bone.shape, rng, 1.2, 6.0, 2.0)
        canvas.paint(patch, bone, 480.0)
        canvas.paint(patch, bone + 2.0, marrow)


def wing_sides(patch: Patch, spine: Spine) -> tuple[Array, Array]:
    """Return the distance to the wing's middle surface, positive outwards, and the place along."""
    distance, along, outwards = _wing(patch, spine)
    return np.where(outwards, distance, -distance).astype(np.float32), along


def _wing(patch: Patch, spine: Spine) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    k = spine.scale
    s1 = spine.bodies["S1"]
    x = (np.abs(patch.x) - ILIUM_FLARE * (patch.z - np.float32(s1.z_mm))).astype(np.float32)
    y = patch.y - np.float32(s1.y_mm)
    points = np.array(ILIUM_LINE_MM, np.float32) * np.float32(k)
    lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
    before = np.concatenate([[0.0], np.cumsum(lengths)])
    shape = np.broadcast_shapes(x.shape, y.shape)
    best = np.full(shape, np.inf, np.float32)
    along = np.zeros(shape, np.float32)
    outwards = np.zeros(shape, np.bool_)
    for i, length in enumerate(lengths):
        px, py = x - points[i, 0], y - points[i, 1]
        dx, dy = (points[i + 1] - points[i]) / length
        t = np.clip(px * dx + py * dy, 0.0, length)
        distance = np.sqrt((px - t * dx) ** 2 + (py - t * dy) ** 2)
        nearer = distance < best
        best = np.where(nearer, distance, best)
        along = np.where(nearer, (before[i] + t) / before[-1], along)
        outwards = np.where(nearer, px * dy - py * dx < 0, outwards)
    return best, along.astype(np.float32), outwards
