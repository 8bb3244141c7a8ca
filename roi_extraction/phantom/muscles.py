"""The muscles around the lumbar spine, each with its own HU, fat planes and fatty streaks."""

from collections.abc import Callable, Mapping

import numpy as np

from roi_extraction.phantom.canvas import Array, Canvas, Patch
from roi_extraction.phantom.pelvis import ilium_distance, wing_sides
from roi_extraction.phantom.shapes import ellipse, intersect
from roi_extraction.phantom.spine import Spine
from roi_extraction.phantom.tissue import paint_muscle
from roi_extraction.sites import DiscLevel, Muscle, Side, Site

__all__ = ["MUSCLE_NUMBER", "paint_muscles", "paint_pelvic_muscles"]

MUSCLE_NUMBER: dict[tuple[Side, Muscle], int] = {
    (side, muscle): number
    for number, (side, muscle) in enumerate(
        ((side, muscle) for side in (Side.RIGHT, Side.LEFT) for muscle in Muscle), start=1
    )
}
"""Numbers of the muscles in the label volume of single muscles, as in the sites' names."""

OUTWARD = {Side.LEFT: 1, Side.RIGHT: -1}
"""Sign of x on a side."""

AUTOCHTHON = {Side.LEFT: 86, Side.RIGHT: 87}
ILIOPSOAS = {Side.LEFT: 88, Side.RIGHT: 89}
"""Label numbers of TotalSegmentator's task ``total``, version 2."""

ERECTOR_MM: dict[str, tuple[float, float, float, float]] = {
    "T10": (31.0, 47.0, 28.0, 15.0),
    "T12": (35.0, 51.0, 32.0, 18.0),
    "L1-L2": (37.0, 55.0, 34.5, 20.5),
    "L2-L3": (36.5, 56.0, 34.0, 21.5),
    "L3-L4": (35.0, 57.0, 32.5, 22.0),
    "L4-L5": (30.5, 58.0, 28.0, 20.5),
    "L5-S1": (23.5, 55.0, 21.0, 16.5),
    "S1": (20.0, 49.0, 17.0, 13.0),
}
"""The posterior compartment of a side: centre lateral and behind the line of the bodies, half
width and half depth of a man, mm."""

SPLIT_MM: dict[str, tuple[float, float]] = {
    "T12": (13.0, 16.0),
    "L1-L2": (14.5, 19.0),
    "L2-L3": (15.5, 22.0),
    "L3-L4": (17.0, 27.0),
    "L4-L5": (20.0, 33.0),
    "L5-S1": (25.0, 37.0),
    "S1": (31.0, 39.0),
}
"""Where the plane between transversospinalis and longissimus starts at the facets and ends at the
fascia, mm lateral."""

PSOAS_MM: dict[str, tuple[float, float, float, float]] = {
    "T12": (22.5, 8.0, 1.5, 3.0),
    "L1": (24.5, 7.0, 3.0, 7.0),
    "L1-L2": (28.0, 7.0, 4.6, 9.5),
    "L2-L3": (33.5, 5.0, 8.8, 14.5),
    "L3-L4": (40.0, 3.0, 13.2, 17.0),
    "L4-L5": (46.5, -1.0, 15.5, 17.0),
    "L5-S1": (51.0, -18.0, 15.5, 15.0),
    "S1": (54.0, -37.0, 15.5, 14.5),
}
"""Psoas: centre lateral and behind the line of the bodies, half width and half depth, mm."""

QUADRATUS_MM: dict[str, tuple[float, float, float, float]] = {
    "T12-L1": (40.0, 24.0, 6.0, 3.0),
    "L1-L2": (48.0, 23.0, 11.0, 5.0),
    "L2-L3": (57.0, 23.0, 14.5, 6.5),
    "L3-L4": (66.0, 22.0, 17.0, 8.0),
    "L4-L5": (74.0, 16.0, 15.0, 8.0),
}
"""Quadratus lumborum, likewise."""

PLATEAU_MM = 9.0
"""Within this distance of a disc's centre along z a muscle has its site's HU; in between it
changes linearly."""


def paint_muscles(
    canvas: Canvas,
    spine: Spine,
    hu: Mapping[Site, float],
    fat: float,
    girth: Mapping[Side, float],
    rng: np.random.Generator | None,
) -> None:
    """Paint the posterior compartment, psoas and quadratus lumborum of both sides.

    Parameters
    ----------
    canvas, spine
        What to paint on, and where.
    hu
        True HU of the muscle sites.
    fat
        Fat infiltration, 0 to 0.5.
    girth
        Width of each side's muscles relative to the usual.
    rng
        Source of the streaks; None for homogeneous muscles.
    """
    low, high = float(canvas.z[0]), float(canvas.z[-1])
    aside = spine.lateral(canvas.z)
    for side, sign in reversed(OUTWARD.items()):
        x = sorted((sign * 1.0, sign * 100.0 * spine.scale))
        x = [x[0] + float(aside.min()), x[1] + float(aside.max())]
        centre = spine.line(canvas.z)
        patch = canvas.patch((
            x[0], x[1], float(centre.min()) - 60 * spine.scale,
            float(centre.max()) + 90 * spine.scale, low, high,
        ))  # fmt: skip
        if patch is None:
            continue
        _paint_quadratus(canvas, spine, patch, sign, rng)
        values = {muscle: _profile(spine, hu, muscle, side) for muscle in Muscle}
        _paint_psoas(canvas, spine, patch, side, values[Muscle.PSOAS_MAJOR], fat, girth[side], rng)
        _paint_erector(canvas, spine, patch, side, values, fat, girth[side], rng)


def paint_pelvic_muscles(canvas: Canvas, spine: Spine, rng: np.random.Generator | None) -> None:
    """Paint iliacus inside the wings of the ilium and the gluteal muscles outside."""
    k = spine.scale
    s1 = spine.bodies["S1"]
    for sign, side in ((-1, Side.RIGHT), (1, Side.LEFT)):
        x = sorted((sign * 8.0 * k, sign * 175.0 * k))
        patch = canvas.patch((
            x[0], x[1], s1.y_mm - 112 * k, s1.y_mm + 88 * k, s1.z_mm - 160 * k, s1.z_mm + 75 * k
        ))  # fmt: skip
        if patch is None:
            continue
        outward, along = wing_sides(patch, spine)
        depth = spine.discs["L4-L5"].z_mm + 4.0 * k - patch.z
        ends = np.maximum(np.abs(along - 0.66) - 0.31, 0.0) * 150.0 * k
        swell = np.clip(depth / (55.0 * k), 0.0, 1.0)
        inner = np.abs(outward + (5.0 + 8.0 * swell) * k) - 8.5 * k * swell + ends
        inner = np.maximum(inner, 8.0 * k - depth)
        paint_muscle(canvas, patch, inner.astype(np.float32), 52.0, 0.05, rng)
        away = np.maximum(inner, 2.0 - ilium_distance(patch, spine))
        canvas.labels[patch.index][away < -1.0] = ILIOPSOAS[side]
        shape = np.sin(np.pi * np.clip((along - 0.25) / 0.8, 0.0, 1.0))
        thick = 30.0 * k * swell * shape
        medius = np.maximum(outward - 5.0 * k - thick, 12.0 * k - depth)
        medius = intersect(medius, np.where(outward > 0, -50.0, 50.0), (0.12 - shape) * 60.0 * k)
        paint_muscle(canvas, patch, medius.astype(np.float32), 48.0, 0.12, rng)
        sink = np.clip((s1.z_mm + 8.0 * k - patch.z) / (55.0 * k), 0.0, 1.0)
        lateral = (np.abs(patch.x) - 62.0 * k) / (44.0 * k)
        maximus = np.abs(outward - 20.0 * k * sink) - 19.0 * k * sink
        maximus = np.maximum(maximus, (np.abs(lateral) - 1.0) * 40.0 * k)
        maximus = np.maximum(maximus, np.where((outward > 0) & (along < 0.5), -50.0, 50.0))
        maximus = np.maximum(maximus, np.where(sink > 0.05, -50.0, 50.0))
        paint_muscle(canvas, patch, maximus.astype(np.float32), 40.0, 0.2, rng)


def _paint_erector(
    canvas: Canvas,
    spine: Spine,
    patch: Patch,
    side: Side,
    hu: Mapping[Muscle, Callable[[Array], Array]],
    fat: float,
    girth: float,
    rng: np.random.Generator | None,
) -> None:
    k = spine.scale
    x = OUTWARD[side] * spine.across(patch)
    y = patch.y - spine.line(patch.z)
    lateral, behind, half_width, half_depth = _columns(spine, ERECTOR_MM, patch.z)
    lateral, half_width = lateral * girth, half_width * girth
    vanish = np.clip((patch.z - spine.bodies["S1"].z_mm) / (70.0 * k) + 1.0, 0.2, 1.0)
    half_width, half_depth = half_width * vanish, half_depth * vanish
    lateral, behind = lateral * vanish, behind * (0.7 + 0.3 * vanish)
    behind = behind - 38.0 * (spine.scale - spine.bone_scale)
    low_level = np.clip((spine.discs["L2-L3"].z_mm - patch.z) / (75.0 * k), 0.0, 1.0)
    start, end = _columns(spine, SPLIT_MM, patch.z)
    compartment = ellipse(
        x - lateral, y - behind + 0.10 * (x - lateral), half_width, half_depth, 2.25
    )
    # Near the mid-line the muscle fills the gutter down to lamina and facet.
    gutter_depth = (13.0 + 3.0 * low_level) * k
    deep = ellipse(
        x - np.minimum(start + 2.0 * k, 0.9 * lateral),
        y - (behind - 6.0 * k),
        13.0 * k,
        gutter_depth,
        2.3,
    )
    compartment = np.minimum(compartment, deep + 20.0 * (1.0 - vanish))
    # The facet's edge lies in front, the fascia behind; the plane between is gently curved.
    front = behind - 0.9 * half_depth
    part = np.clip((y - front) / (1.9 * half_depth), 0.0, 1.0)
    split = start + (end - start) * part**1.4
    plane = (x - split) * np.float32(0.92)
    gap = (0.7 + 3.0 * fat) * k
    midline = (4.2 + 5.0 * fat * (0.3 + low_level)) * k - x
    gutter = 16.0 * fat * low_level * k - 8.0 * k
    lamina = front + gutter - y - 0.35 * np.clip(x - start, 0.0, None)
    inner = intersect(
        compartment + 0.4, plane + gap, midline,
        np.where(x < start + 4.0, lamina, -30.0),
    ).astype(np.float32)  # fmt: skip
    outer = np.maximum(compartment + 0.4, gap - plane).astype(np.float32)
    fascia = np.abs(compartment - 0.8) - 0.5
    canvas.paint(patch, fascia.astype(np.float32), 35.0)
    canvas.paint(patch, (compartment + 0.2).astype(np.float32), -85.0)
    for muscle, sdf in ((Muscle.TRANSVERSOSPINALIS, inner), (Muscle.LONGISSIMUS, outer)):
        paint_muscle(canvas, patch, sdf, hu[muscle](patch.z), fat, rng)
        inside = sdf < 0
        canvas.labels[patch.index][inside] = AUTOCHTHON[side]
        canvas.muscle_labels[patch.index][inside] = MUSCLE_NUMBER[side, muscle]


def _paint_psoas(
    canvas: Canvas,
    spine: Spine,
    patch: Patch,
    side: Side,
    hu: Callable[[Array], Array],
    fat: float,
    girth: float,
    rng: np.random.Generator | None,
) -> None:
    k = spine.scale
    lateral, behind, half_width, half_depth = _columns(spine, PSOAS_MM, patch.z)
    lateral, half_width = lateral + (girth - 1.0) * half_width, half_width * girth
    below = np.clip((spine.bodies["S1"].z_mm - patch.z) / (60.0 * k), 0.0, 1.6)
    lateral, behind = lateral + 14.0 * k * below, behind - 55.0 * k * below
    lateral = lateral - 24.0 * (spine.scale - spine.bone_scale) - 1.5 * k
    u, v = OUTWARD[side] * spine.across(patch) - lateral, patch.y - spine.line(patch.z) - behind
    # It leans: the front edge lies nearer to the mid-line.
    sdf = ellipse(u - 0.16 * v, v, half_width, half_depth, 2.3)
    above = (patch.z - spine.bodies["T12"].z_mm) * np.float32(0.5)
    sdf = np.maximum(sdf, above).astype(np.float32)
    canvas.paint(patch, sdf - 1.5 * k, -95.0)
    paint_muscle(canvas, patch, sdf, hu(patch.z), 0.4 * fat, rng)
    inside = sdf < 0
    canvas.labels[patch.index][inside] = ILIOPSOAS[side]
    canvas.muscle_labels[patch.index][inside] = MUSCLE_NUMBER[side, Muscle.PSOAS_MAJOR]


def _paint_quadratus(
    canvas: Canvas, spine: Spine, patch: Patch, sign: int, rng: np.random.Generator | None
) -> None:
    lateral, behind, half_width, half_depth = _columns(spine, QUADRATUS_MM, patch.z)
    u, v = sign * spine.across(patch) - lateral, patch.y - spine.line(patch.z) - behind
    sdf = ellipse(u + 0.5 * v, v - 0.12 * u, half_width, half_depth, 2.2)
    top = patch.z - spine.discs["T12-L1"].z_mm
    bottom = spine.discs["L4-L5"].z_mm - 8.0 * spine.scale - patch.z
    sdf = intersect(sdf, top, bottom).astype(np.float32)
    paint_muscle(canvas, patch, sdf, 48.0, 0.08, rng)


def _columns(spine: Spine, table: Mapping[str, tuple[float, ...]], z: Array) -> tuple[Array, ...]:
    count = len(next(iter(table.values())))
    return tuple(
        spine.at_level(z, {name: row[i] * spine.scale for name, row in table.items()})
        for i in range(count)
    )


def _profile(
    spine: Spine, hu: Mapping[Site, float], muscle: Muscle, side: Side
) -> Callable[[Array], Array]:
    knots = []
    for disc in DiscLevel:
        value = next(h for s, h in hu.items() if (s.disc, s.muscle, s.side) == (disc, muscle, side))
        z = spine.discs[disc.value].z_mm
        knots += [(z - PLATEAU_MM, value), (z + PLATEAU_MM, value)]
    knots.sort(key=lambda knot: knot[0])
    heights, values = np.array(knots).T

    def at(z: Array) -> Array:
        return np.interp(z, heights, values).astype(np.float32)

    return at
