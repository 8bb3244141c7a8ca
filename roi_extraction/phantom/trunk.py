"""Skin, fat, abdominal wall, ribs, and the table under the patient."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from roi_extraction.phantom.canvas import Array, Canvas, Patch
from roi_extraction.phantom.pathology import LONGEST_RIB_MM, Pathology
from roi_extraction.phantom.shapes import capsule, ellipse
from roi_extraction.phantom.spine import VERTEBRAE, Spine

__all__ = ["paint_ribs", "paint_table", "paint_trunk", "trunk_distance"]

TRUNK_MM: dict[str, tuple[float, float, float]] = {
    "T10": (92.0, 164.0, 226.0),
    "T12": (91.0, 164.0, 232.0),
    "L1": (93.0, 163.0, 235.0),
    "L2": (96.0, 161.0, 237.0),
    "L3": (99.0, 160.0, 239.0),
    "L4": (101.0, 163.0, 241.0),
    "L5": (101.0, 171.0, 242.0),
    "S1": (88.0, 179.0, 236.0),
}
"""The skin: distance behind the centre of the body, half-width, and depth of the trunk, mm."""

SUBCUTANEOUS_HU, VISCERAL_FAT_HU, SKIN_HU, WALL_HU = -107.0, -100.0, 15.0, 50.0
"""HU of fat below the skin, of fat around the organs, of skin and of muscle, at 120 kVp."""


COURSES_MM: dict[int, tuple[tuple[float, float, float], ...]] = {
    12: ((21, 15, 4), (40, 32, -2), (72, 38, -16), (104, 22, -36)),
    11: ((20, 15, 4), (42, 38, 0), (84, 40, -18), (122, 8, -42), (138, -28, -62), (142, -62, -84)),
    10: ((20, 15, 4), (44, 40, 2), (88, 42, -14), (130, 5, -36), (146, -45, -62),
         (132, -88, -80)),
    9: ((20, 15, 4), (46, 42, 2), (92, 44, -12), (136, 6, -34), (150, -45, -60),
        (134, -95, -84)),
}  # fmt: skip
"""Knots of each rib: lateral, behind and above the centre of its vertebra, mm."""


def trunk_distance(patch: Patch, spine: Spine) -> Array:
    """Return the distance to the skin."""
    k = spine.scale
    back = spine.at_level(
        patch.z, {name: spine.bodies[name].y_mm + row[0] * k for name, row in TRUNK_MM.items()}
    )
    half_width = spine.at_level(patch.z, {name: row[1] * k for name, row in TRUNK_MM.items()})
    half_depth = spine.at_level(patch.z, {name: row[2] * k / 2 for name, row in TRUNK_MM.items()})
    furrow = 5.0 * k * np.exp(-((spine.across(patch) / (16.0 * k)) ** 2))
    y = patch.y - (back - half_depth)
    sdf = ellipse(patch.x, y, half_width, half_depth, 2.3)
    return (sdf + furrow * np.clip(y / half_depth, 0.0, 1.0)).astype(np.float32)


def paint_trunk(canvas: Canvas, spine: Spine) -> None:
    """Paint skin, subcutaneous and visceral fat and the muscles of the abdominal wall."""
    k = spine.scale
    centre = float(spine.line(canvas.z).mean())
    for start in range(0, canvas.z.size, 8):
        z = canvas.z[start : start + 8]
        part = canvas.patch((-200 * k, 200 * k, centre - 190 * k, centre + 150 * k, z[0], z[-1]))
        if part is None:
            continue
        part = Patch(
            (slice(start, start + z.size), part.index[1], part.index[2]),
            part.x, part.y, z[:, None, None],
        )  # fmt: skip
        skin = trunk_distance(part, spine)
        canvas.paint(part, skin, SKIN_HU)
        canvas.paint(part, skin + 1.8, SUBCUTANEOUS_HU)
        _paint_wall(canvas, spine, part, skin)


def paint_ribs(canvas: Canvas, spine: Spine, pathology: Pathology) -> None:
    """Paint the ninth to twelfth ribs as far as the scan shows them.

    The highest is there only if its vertebra is in the field too.
    """
    top = float(canvas.z[-1])
    for name, rib in spine.ribs.items():
        if rib not in COURSES_MM or (rib == min(COURSES_MM) and spine.bodies[name].z_mm > top):
            continue
        usual = (LONGEST_RIB_MM, LONGEST_RIB_MM)
        lengths = pathology.last_ribs_mm if rib == max(COURSES_MM) else usual
        _paint_pair(canvas, spine, name, COURSES_MM[rib], lengths)
    first_lumbar = VERTEBRAE[len(VERTEBRAE) - pathology.lumbar_vertebrae]
    _paint_pair(canvas, spine, first_lumbar, COURSES_MM[max(COURSES_MM)], pathology.lumbar_ribs_mm)


def paint_table(canvas: Canvas, spine: Spine) -> None:
    """Paint a mattress and the curved shell of a table below the patient's back."""
    k = spine.scale
    lowest = max(spine.bodies[name].y_mm + row[0] * k for name, row in TRUNK_MM.items())
    shape = (canvas.y.size, canvas.x.size)
    y = np.broadcast_to(canvas.y[:, None], shape)
    x = np.broadcast_to(canvas.x[None, :], shape)
    depth = y - (lowest + 9.0 - x * x / 1500.0)
    inside = np.abs(x) < 215.0
    pixel = canvas.edge_mm
    air = canvas.hu.min(axis=0) < -990.0
    mattress = np.clip(0.5 + (depth + 8.0) / pixel, 0, 1) * np.clip(0.5 - depth / pixel, 0, 1)
    shell = np.clip(0.5 - (np.abs(depth - 1.5) - 0.9) / pixel, 0, 1)
    under = np.clip(0.5 - (np.abs(y - lowest - 38.0) - 0.9) / pixel, 0, 1)
    table = (
        90.0 * mattress
        + 880.0 * np.maximum(shell, 0.9 * under)
        + 60.0 * ((depth > 2) & (y < lowest + 37))
    )
    table = np.where(inside & air, table, 0.0).astype(np.float32)
    free = canvas.hu < -900.0
    free &= (table > 0)[None]
    canvas.hu += free * table[None]


def _paint_wall(canvas: Canvas, spine: Spine, patch: Patch, skin: Array) -> None:
    k = spine.scale
    y0 = spine.line(patch.z)
    side = np.clip(np.abs(patch.x) / (95.0 * k), 0.0, 1.0) ** 2
    ahead = np.clip((y0 - 40.0 * k - patch.y) / (70.0 * k), 0.0, 1.0)
    outer = skin + (10.0 + 9.0 * ahead * (1 - 0.6 * side) + 8.0 * (1 - ahead) * (1 - side)) * k
    thickness = (9.0 + 10.0 * side) * k
    # Below the iliac crest only its part in front of the hip bone is left.
    below = np.clip((spine.discs["L4-L5"].z_mm + 4.0 * k - patch.z) / (42.0 * k), 0.0, 1.0)
    limit = patch.y - y0 - (46.0 - 116.0 * below) * k
    # Behind, it thins out into the fascia of the back muscles.
    rear = np.clip(limit / (40.0 * k) + 0.95, 0.0, 1.0)
    thickness = thickness * (1.0 - 0.75 * rear)
    outer = outer + 9.0 * k * rear**2
    sdf = np.maximum(np.maximum(outer, -(outer + thickness)), limit)
    depth = np.clip(-outer / thickness, 0.0, 1.0)
    planes = np.minimum(np.abs(depth - 0.36), np.abs(depth - 0.7)) * thickness
    dark = np.clip(1.0 - planes / (1.1 * k), 0.0, 1.0) * np.clip(side * 2.0 - 0.5, 0.0, 1.0)
    alba = np.clip(1.0 - (np.abs(patch.x) - 2.0 * k) / (2.0 * k), 0.0, 1.0) * ahead
    semilunar = np.clip(1.2 - np.abs(np.abs(patch.x) - 68.0 * k) / (2.0 * k), 0.0, 1.0) * ahead
    hu = WALL_HU - 85.0 * np.maximum(dark, 0.8 * semilunar) - 20.0 * alba
    canvas.paint(patch, sdf.astype(np.float32), hu.astype(np.float32))
    cavity = np.maximum(outer + thickness, patch.y - y0 - 46.0 * k).astype(np.float32)
    canvas.paint(patch, cavity, VISCERAL_FAT_HU)


def _paint_pair(
    canvas: Canvas,
    spine: Spine,
    name: str,
    course_mm: tuple[tuple[float, float, float], ...],
    lengths_mm: tuple[float, float],
) -> None:
    """Paint the ribs of a vertebra, right and left, up to so long."""
    k = spine.scale
    frame = spine.bodies[name]
    roll = np.deg2rad(frame.roll_deg)
    for side, length_mm in zip((-1, 1), lengths_mm, strict=True):
        points = _shortened(np.array(course_mm, float) * k, length_mm)
        along, up = points[:, 0].copy(), points[:, 2].copy()
        points[:, 0] = along * np.cos(roll) + side * up * np.sin(roll) + side * frame.x_mm
        points[:, 2] = up * np.cos(roll) - side * along * np.sin(roll)
        points += (0.0, frame.y_mm, frame.z_mm)
        for start, end in pairwise(points):
            low, high = np.minimum(start, end) - 8, np.maximum(start, end) + 8
            across = sorted((side * low[0], side * high[0]))
            patch = canvas.patch((across[0], across[1], low[1], high[1], low[2], high[2]))
            if patch is None:
                continue
            bone = capsule(side * patch.x, patch.y, patch.z, start, end, 3.4 * k, (1, 1, 1.6))
            canvas.paint(patch, bone, 420.0)
            canvas.paint(patch, bone + 1.6, 140.0)


def _shortened(points: npt.NDArray[np.float64], length_mm: float) -> npt.NDArray[np.float64]:
    """The first ``length_mm`` of a line through points, shape (n, 3); nothing for 0."""
    before = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    if length_mm >= before[-1]:
        return points
    if length_mm <= 0:
        return points[:0]
    end = [np.interp(length_mm, before, points[:, axis]) for axis in range(3)]
    return np.concatenate([points[before < length_mm], [end]])
