"""Signed distances of simple shapes, in mm, negative inside."""

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise

import numpy as np

from roi_extraction.phantom.canvas import Array

__all__ = ["capsule", "ellipse", "ellipsoid", "intersect", "tube", "unite"]


def ellipse(
    u: Array, v: Array, half_u: float | Array, half_v: float | Array, power: float = 2.0
) -> Array:
    """Return the distance to a superellipse along the ray from its centre, broadcast of u and v.

    >>> import numpy as np
    >>> round(float(ellipse(np.float32(12.0), np.float32(0.0), 10.0, 5.0)), 3)
    2.0
    """
    reach = np.sqrt(u * u + v * v)
    p, q = np.abs(u) / half_u, np.abs(v) / half_v
    if power == 2.0:
        size = np.sqrt(p * p + q * q)
    elif power == 4.0:
        p, q = p * p, q * q
        size = np.sqrt(np.sqrt(p * p + q * q))
    else:
        size = (p**power + q**power) ** (1.0 / power)
    size = np.maximum(size, 1e-3)
    return np.asarray(reach * (1.0 - 1.0 / size), dtype=np.float32)


def ellipsoid(x: Array, y: Array, z: Array, radii: tuple[float, float, float]) -> Array:
    """Return an approximate distance to an ellipsoid at the origin."""
    size = np.sqrt((x / radii[0]) ** 2 + (y / radii[1]) ** 2 + (z / radii[2]) ** 2)
    return np.asarray((size - 1.0) * min(radii), dtype=np.float32)


def capsule(
    x: Array,
    y: Array,
    z: Array,
    start: Sequence[float],
    end: Sequence[float],
    radius: float,
    flat: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Array:
    """Return the distance to a rod with round ends.

    ``flat`` divides the distances along the three axes: more than 1 makes the rod thicker there.
    """
    sx, sy, sz = (np.float32(value) for value in start)
    dx, dy, dz = (np.float32(b - a) for a, b in zip(start, end, strict=True))
    length = max(float(dx * dx + dy * dy + dz * dz), 1e-6)
    ax, ay, az = x - sx, y - sy, z - sz
    t = np.clip((ax * dx + ay * dy + az * dz) / np.float32(length), 0.0, 1.0)
    squared = (
        ((ax - t * dx) / flat[0]) ** 2
        + ((ay - t * dy) / flat[1]) ** 2
        + ((az - t * dz) / flat[2]) ** 2
    )
    return np.asarray(np.sqrt(squared) - radius, dtype=np.float32)


def tube(x: Array, y: Array, z: Array, points: Sequence[Sequence[float]], radius: float) -> Array:
    """Return the distance to a bent tube along ``points``."""
    return unite(*(capsule(x, y, z, start, end, radius) for start, end in pairwise(points)))


def intersect(*distances: Array | float) -> Array:
    """Return the distance to what several shapes share; arrays are broadcast."""
    return np.asarray(reduce(np.maximum, distances), dtype=np.float32)


def unite(*distances: Array | float) -> Array:
    """Return the distance to the union of several shapes; arrays are broadcast."""
    return np.asarray(reduce(np.minimum, distances), dtype=np.float32)
