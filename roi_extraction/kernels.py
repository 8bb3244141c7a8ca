"""Loops that numpy and scipy do not run fast enough, compiled by numba on their first call.

Each gives, bit for bit, what the numpy or scipy code gives that the tests compare it with.
Compiling takes about 4 CPU seconds a process unless it is found compiled beside this module.
A process that assesses many scans calls `compile_kernels` before the first.
"""

import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import numpy.typing as npt

__all__ = [
    "best_closed_path",
    "block_means",
    "canal_gain",
    "compile_kernels",
    "distance_inside",
    "enclosed_rays",
    "interpolate_between",
    "interpolate_grid",
    "interpolate_plane",
    "interpolate_volume",
    "least_over_offsets",
    "mean_of_slab",
    "rebuilt_below",
]

FloatArray = npt.NDArray[np.floating[Any]]

Float32Array = npt.NDArray[np.float32]


def compile_kernels() -> None:
    """Compile all kernels; costs nothing the second time."""
    for kernel in _SIGNATURES:
        _compiled(kernel)


def interpolate_volume(values: npt.NDArray[Any], index: FloatArray, outside: float) -> Float32Array:
    """Linear interpolation of a volume, as scipy's ``map_coordinates`` of order 1.

    Parameters
    ----------
    values
        int16 or float32, shape (slices, rows, columns).
    index
        float64, shape (3, ...): fractional (slice, row, column).
    outside
        Value of places outside the volume.

    Returns
    -------
    numpy.ndarray
        float32, shape (...).
    """
    places = np.ascontiguousarray(index, dtype=np.float64).reshape(3, -1)
    found = np.empty(places.shape[1], np.float32)
    _compiled(_volume)(np.ascontiguousarray(values), places, outside, found)
    return found.reshape(index.shape[1:])


def interpolate_plane(
    image: Float32Array,
    rows: FloatArray,
    columns: FloatArray,
    *,
    outside: float | None = None,
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> Float32Array:
    """Linear interpolation of an image, as scipy's ``map_coordinates`` of order 1.

    Parameters
    ----------
    image
        float32, shape (rows, columns).
    rows, columns
        float64, the same shape: fractional places.
    outside
        Value of places outside the image; None for that of the nearest pixel.
    limits
        The image's values are clipped to these first.

    Returns
    -------
    numpy.ndarray
        float32, the shape of ``rows``.
    """
    places = np.empty((2, *np.broadcast_shapes(rows.shape, columns.shape)))
    places[0], places[1] = rows, columns
    found = np.empty(places.shape[1:], np.float32)
    nearest = outside is None
    _compiled(_plane)(
        np.ascontiguousarray(image), places.reshape(2, -1), nearest, outside or 0.0,
        np.float32(limits[0]), np.float32(limits[1]), found.reshape(-1),
    )  # fmt: skip
    return found


def interpolate_grid(image: Float32Array, rows: FloatArray, columns: FloatArray) -> Float32Array:
    """Linear interpolation on a grid along an image's axes; beyond its edge what lies there.

    Parameters
    ----------
    image
        float32, shape (rows, columns).
    rows, columns
        float64, shapes (n,) and (m,): fractional places.

    Returns
    -------
    numpy.ndarray
        float32, shape (n, m).
    """
    found = np.empty((rows.size, columns.size), np.float32)
    _compiled(_grid)(np.ascontiguousarray(image), rows, columns, found)
    return found


def interpolate_between(
    values: Float32Array, rows: FloatArray, columns: FloatArray
) -> Float32Array:
    """Linear interpolation of a plane along rows, then along columns, in single precision.

    Parameters
    ----------
    values
        float32, shape (rows, columns).
    rows, columns
        float64, shapes (n,) and (m,): fractional places; beyond the ends the line goes on.

    Returns
    -------
    numpy.ndarray
        float32, shape (n, m).
    """
    split = []
    for places, size in zip((rows, columns), values.shape, strict=True):
        low = np.clip(np.floor(places).astype(np.intp), 0, max(0, size - 2))
        split += [low, (places - low).astype(np.float32)]
    found = np.empty((rows.size, columns.size), np.float32)
    line = np.empty(values.shape[1], np.float32)
    _compiled(_between)(np.ascontiguousarray(values), *split, line, found)
    return found


def block_means(
    slab: npt.NDArray[np.int16], rows: tuple[int, int], columns: tuple[int, int]
) -> Float32Array:
    """Means over blocks of some slices.

    Parameters
    ----------
    slab
        int16, shape (slices, rows, columns): all slices make one layer of blocks.
    rows, columns
        How many blocks there are along the axis, and the length of each.

    Returns
    -------
    numpy.ndarray
        float32, shape (blocks along rows, blocks along columns).
    """
    means = np.empty((rows[0], columns[0]), np.float32)
    line = np.empty(slab.shape[2], np.float32)
    _compiled(_blocks)(np.ascontiguousarray(slab), rows[1], columns[1], line, means)
    return means


def mean_of_slab(slab: npt.NDArray[np.int16], count: int) -> Float32Array:
    """The mean of some slices.

    Parameters
    ----------
    slab
        int16, shape (slices, rows, columns), of an odd number of slices.
    count
        How many slices it counts as: all, or one less, its outermost two counting half each.

    Returns
    -------
    numpy.ndarray
        float32, shape (rows, columns).
    """
    mean = np.empty(slab.shape[1:], np.float32)
    _compiled(_slab)(np.ascontiguousarray(slab), count, mean)
    return mean


def rebuilt_below(seed: FloatArray, limit: FloatArray) -> FloatArray:
    """Morphological reconstruction by dilation with the eight neighbours of each pixel.

    Parameters
    ----------
    seed
        float64, shape (rows, columns): nowhere above ``limit``.
    limit
        float64, the same shape.

    Returns
    -------
    numpy.ndarray
        float64, the same shape.
    """
    rebuilt = np.array(seed, dtype=np.float64, order="C")
    _compiled(_rebuilt)(rebuilt, np.ascontiguousarray(limit, dtype=np.float64))
    return rebuilt


def best_closed_path(gain: FloatArray, bend_price: FloatArray) -> npt.NDArray[np.intp]:
    """The best path through the rays of each body with little change of column.

    Parameters
    ----------
    gain
        float64, shape (bodies, rays, columns).
    bend_price
        float64, shape (2 k + 1,): price of a change of column by -k to k from ray to ray.

    Returns
    -------
    numpy.ndarray
        intp, shape (bodies, rays): column of each ray.
    """
    path = np.empty(gain.shape[:2], np.intp)
    _compiled(_closed_path)(gain.copy(), bend_price, path)
    return path


def distance_inside(mask: npt.NDArray[np.bool_]) -> FloatArray:
    """Distance of each pixel of a mask to the nearest pixel outside of it, in pixels.

    Parameters
    ----------
    mask
        bool, shape (rows, columns), not all true.

    Returns
    -------
    numpy.ndarray
        float64, the same shape: Euclidean, 0 outside.
    """
    distance = np.empty(mask.shape)
    _compiled(_distance)(np.ascontiguousarray(mask), distance)
    return distance


def least_over_offsets(
    values: FloatArray,
    low: npt.NDArray[np.int64],
    shape: tuple[int, int],
    offsets: npt.NDArray[np.int64],
) -> FloatArray:
    """The least of the values at some offsets from each place of a box.

    Parameters
    ----------
    values
        float64, shape (n, m).
    low
        int64, shape (2,): first row and column of the box.
    shape
        Its height and width; no offset may lead outside of ``values`` from it.
    offsets
        int64, shape (k, 2): steps of rows and columns.

    Returns
    -------
    numpy.ndarray
        float64, shape ``shape``.
    """
    least = np.empty(shape)
    _compiled(_least)(np.ascontiguousarray(values), np.ascontiguousarray(low + offsets), least)
    return least


def canal_gain(
    gain: Float32Array,
    moves: npt.NDArray[np.int64],
    price: Float32Array,
) -> Float32Array:
    """Summed gain of the best path that ends in each voxel, by a move from slice to slice.

    Parameters
    ----------
    gain
        float32, shape (slices, rows, columns): of each voxel; its rim is never left by a move.
    moves
        int64, shape (k, 2): steps of rows and columns from a voxel to where the path came from.
    price
        float32, shape (k,): of each move.

    Returns
    -------
    numpy.ndarray
        float32, the shape of ``gain``; a path whose sum is not positive is not continued.
    """
    total = gain.copy()
    far, wide = np.abs(moves).max(axis=0)
    _compiled(_canal)(
        total, moves, far, wide, price, np.empty(gain.shape[2] - 2 * wide, np.float32)
    )
    return total


def enclosed_rays(
    packed: npt.NDArray[np.uint8], rays: npt.NDArray[np.int64], reach: int, slices: int
) -> npt.NDArray[np.uint8]:
    """On how many rays from each voxel bone is met, eight slices being the bits of a byte.

    Parameters
    ----------
    packed
        uint8, shape (shifts, layers, rows + 2 reach, columns + 2 reach): the mask, shifted by as
        many slices as its first index says.
    rays
        int64, shape (rays, steps, 3): shift and steps of rows and columns of each place looked at.
    reach
        Rows and columns of the rim.
    slices
        How many slices there are.

    Returns
    -------
    numpy.ndarray
        uint8, shape (slices, rows, columns).
    """
    _, layers, rows, columns = packed.shape
    count = np.zeros((layers * 8, rows - 2 * reach, columns - 2 * reach), np.uint8)
    digits = np.empty((6, columns - 2 * reach), np.uint8)
    _compiled(_rays)(np.ascontiguousarray(packed), rays, reach, digits, count)
    return count[:slices]


def _volume(values, places, outside, found):  # type: ignore[no-untyped-def]
    slices, rows, columns = values.shape
    for k in range(places.shape[1]):
        z, y, x = places[0, k], places[1, k], places[2, k]
        if not (0 <= z <= slices - 1 and 0 <= y <= rows - 1 and 0 <= x <= columns - 1):
            found[k] = outside
            continue
        z0, y0, x0 = int(z), int(y), int(x)
        dz, dy, dx = z - z0, y - y0, x - x0
        total = 0.0
        for i in range(2):
            a = min(z0 + i, slices - 1)
            wz = dz if i else 1.0 - dz
            for j in range(2):
                b = min(y0 + j, rows - 1)
                wy = dy if j else 1.0 - dy
                total += values[a, b, x0] * wz * wy * (1.0 - dx)
                total += values[a, b, min(x0 + 1, columns - 1)] * wz * wy * dx
        found[k] = total


def _plane(image, places, nearest, outside, low, high, found):  # type: ignore[no-untyped-def]
    rows, columns = image.shape
    for k in range(places.shape[1]):
        y, x = places[0, k], places[1, k]
        if nearest:
            y, x = min(max(y, 0.0), rows - 1.0), min(max(x, 0.0), columns - 1.0)
        elif not (0 <= y <= rows - 1 and 0 <= x <= columns - 1):
            found[k] = outside
            continue
        y0, x0 = int(y), int(x)
        dy, dx = y - y0, x - x0
        total = 0.0
        for j in range(2):
            b = min(y0 + j, rows - 1)
            wy = dy if j else 1.0 - dy
            total += min(max(image[b, x0], low), high) * wy * (1.0 - dx)
            total += min(max(image[b, min(x0 + 1, columns - 1)], low), high) * wy * dx
        found[k] = total


def _grid(image, rows, columns, found):  # type: ignore[no-untyped-def]
    height, width = image.shape
    for i in range(rows.size):
        y = min(max(rows[i], 0.0), height - 1.0)
        y0 = min(int(y), max(0, height - 2))
        y1 = min(y0 + 1, height - 1)
        dy = y - y0
        for j in range(columns.size):
            x = min(max(columns[j], 0.0), width - 1.0)
            x0 = min(int(x), max(0, width - 2))
            x1 = min(x0 + 1, width - 1)
            dx = x - x0
            value = image[y0, x0] * (1 - dy) * (1 - dx)
            value += image[y0, x1] * (1 - dy) * dx
            value += image[y1, x0] * dy * (1 - dx)
            value += image[y1, x1] * dy * dx
            found[i, j] = value


def _between(values, row_low, row_part, low, part, line, found):  # type: ignore[no-untyped-def]
    rows, columns = values.shape
    for i in range(row_low.size):
        below, above = values[row_low[i]], values[min(row_low[i] + 1, rows - 1)]
        for x in range(columns):
            line[x] = (above[x] - below[x]) * row_part[i] + below[x]
        for j in range(low.size):
            left, right = line[low[j]], line[min(low[j] + 1, columns - 1)]
            found[i, j] = (right - left) * part[j] + left


def _blocks(slab, high, wide, line, means):  # type: ignore[no-untyped-def]
    depth, _, columns = slab.shape
    total = np.empty(columns, np.int32)
    for i in range(means.shape[0]):
        line[:] = 0
        for y in range(i * high, (i + 1) * high):
            total[:] = 0
            for z in range(depth):
                row = slab[z, y]
                for x in range(columns):
                    total[x] += row[x]
            for x in range(columns):
                line[x] += np.float32(total[x]) / np.float32(depth)
        for x in range(columns):
            line[x] /= np.float32(high)
        for j in range(means.shape[1]):
            mean = line[j * wide]
            for x in range(j * wide + 1, (j + 1) * wide):
                mean += line[x]
            means[i, j] = mean / np.float32(wide)


def _slab(slab, count, mean):  # type: ignore[no-untyped-def]
    slices, rows, columns = slab.shape
    outer = np.float32(1.0 if count == slices else 0.5)
    for y in range(rows):
        line, first, last = mean[y], slab[0, y], slab[slices - 1, y]
        for x in range(columns):
            line[x] = (np.float32(first[x]) + np.float32(last[x])) * outer
        for z in range(1, slices - 1):
            inner = slab[z, y]
            for x in range(columns):
                line[x] += np.float32(inner[x])
        for x in range(columns):
            line[x] *= np.float32(1.0 / count)


def _rebuilt(rebuilt, limit):  # type: ignore[no-untyped-def]
    rows, columns = rebuilt.shape
    changed = True
    while changed:
        changed = False
        for sweep in range(2):
            back = 1 if sweep else -1
            for i in range(rows):
                y = rows - 1 - i if sweep else i
                for j in range(columns):
                    x = columns - 1 - j if sweep else j
                    value = rebuilt[y, x]
                    if 0 <= x + back < columns:
                        value = max(value, rebuilt[y, x + back])
                    if 0 <= y + back < rows:
                        for there in range(max(0, x - 1), min(columns, x + 2)):
                            value = max(value, rebuilt[y + back, there])
                    value = min(value, limit[y, x])
                    if value > rebuilt[y, x]:
                        rebuilt[y, x] = value
                        changed = True


def _closed_path(total, price, path):  # type: ignore[no-untyped-def]
    bodies, rays, columns = total.shape
    far = price.size // 2
    for body in range(bodies):
        for ray in range(1, rays):
            for column in range(columns):
                best = -np.inf
                for bend in range(max(-far, -column), min(far, columns - 1 - column) + 1):
                    best = max(best, total[body, ray - 1, column + bend] - price[bend + far])
                total[body, ray, column] += best
        at = 0
        for column in range(1, columns):
            if total[body, rays - 1, column] > total[body, rays - 1, at]:
                at = column
        path[body, rays - 1] = at
        for ray in range(rays - 1, 0, -1):
            best, came = -np.inf, at
            for bend in range(max(-far, -at), min(far, columns - 1 - at) + 1):
                value = total[body, ray - 1, at + bend] - price[bend + far]
                if value > best:
                    best, came = value, at + bend
            at = came
            path[body, ray - 1] = at


def _distance(mask, distance):  # type: ignore[no-untyped-def]
    rows, columns = mask.shape
    far = rows + columns
    gap = np.empty(mask.shape, np.int64)
    for x in range(columns):
        gap[0, x] = far if mask[0, x] else 0
    for y in range(1, rows):
        for x in range(columns):
            gap[y, x] = min(gap[y - 1, x] + 1, far) if mask[y, x] else 0
    for y in range(rows - 2, -1, -1):
        for x in range(columns):
            gap[y, x] = min(gap[y, x], gap[y + 1, x] + 1)
    for y in range(rows):
        squared = gap[y]
        for x in range(columns):
            squared[x] *= squared[x]
        for x in range(columns):
            best = squared[x]
            aside = 1
            while aside * aside < best and aside < columns:
                if x >= aside:
                    best = min(best, aside * aside + squared[x - aside])
                if x + aside < columns:
                    best = min(best, aside * aside + squared[x + aside])
                aside += 1
            distance[y, x] = np.sqrt(best)


def _least(values, starts, least):  # type: ignore[no-untyped-def]
    height, width = least.shape
    for y in range(height):
        found = least[y]
        found[:] = np.inf
        for k in range(len(starts)):
            there = values[starts[k, 0] + y, starts[k, 1] : starts[k, 1] + width]
            for x in range(width):
                found[x] = there[x] if there[x] < found[x] else found[x]


def _canal(total, moves, far, wide, price, best):  # type: ignore[no-untyped-def]
    slices, rows, columns = total.shape
    for z in range(1, slices):
        for y in range(far, rows - far):
            best[:] = 0
            for k in range(len(moves)):
                from_x = wide + moves[k, 1]
                there = total[z - 1, y + moves[k, 0], from_x : from_x + best.size]
                for x in range(best.size):
                    gain = there[x] - price[k]
                    best[x] = gain if gain > best[x] else best[x]
            here = total[z, y, wide : columns - wide]
            for x in range(best.size):
                here[x] += best[x]


def _rays(packed, rays, reach, digits, count):  # type: ignore[no-untyped-def]
    layers, rows, columns = packed.shape[1], count.shape[1], count.shape[2]
    hit = digits[5]
    for layer in range(layers):
        for y in range(rows):
            digits[:] = 0
            for ray in range(rays.shape[0]):
                hit[:] = 0
                for step in range(rays.shape[1]):
                    column = reach + rays[ray, step, 2]
                    row = packed[rays[ray, step, 0], layer, reach + y + rays[ray, step, 1]]
                    there = row[column : column + columns]
                    for x in range(columns):
                        hit[x] |= there[x]
                for place in range(5):
                    digit = digits[place]
                    for x in range(columns):
                        carry = digit[x] & hit[x]
                        digit[x] ^= hit[x]
                        hit[x] = carry
            for bit in range(8):
                found = count[layer * 8 + bit, y]
                for place in range(5):
                    digit = digits[place]
                    for x in range(columns):
                        one = (digit[x] >> np.uint8(bit)) & np.uint8(1)
                        found[x] += one << np.uint8(place)


_SIGNATURES: Mapping[Callable[..., None], tuple[str, ...]] = MappingProxyType({
    _volume: (
        "void(Array(int16, 3, 'C', True), float64[:, ::1], float64, float32[::1])",
        "void(Array(float32, 3, 'C', True), float64[:, ::1], float64, float32[::1])",
    ),
    _plane: (
        "void(Array(float32, 2, 'C', True), float64[:, ::1], boolean, float64, float32, float32, "
        "float32[::1])",
    ),
    _grid: (
        "void(Array(float32, 2, 'C', True), Array(float64, 1, 'C', True), "
        "Array(float64, 1, 'C', True), float32[:, ::1])",
    ),
    _between: (
        "void(Array(float32, 2, 'C', True), intp[::1], float32[::1], intp[::1], float32[::1], "
        "float32[::1], float32[:, ::1])",
    ),
    _blocks: ("void(Array(int16, 3, 'C', True), intp, intp, float32[::1], float32[:, ::1])",),
    _slab: ("void(Array(int16, 3, 'C', True), intp, float32[:, ::1])",),
    _rebuilt: ("void(float64[:, ::1], Array(float64, 2, 'C', True))",),
    _closed_path: ("void(float64[:, :, ::1], Array(float64, 1, 'C', True), intp[:, ::1])",),
    _distance: ("void(Array(boolean, 2, 'C', True), float64[:, ::1])",),
    _least: ("void(Array(float64, 2, 'C', True), int64[:, ::1], float64[:, ::1])",),
    _canal: (
        "void(float32[:, :, ::1], Array(int64, 2, 'C', True), intp, intp, "
            "Array(float32, 1, 'C', True), "
        "float32[::1])",
    ),
    _rays: (
        "void(Array(uint8, 4, 'C', True), Array(int64, 3, 'C', True), intp, uint8[:, ::1], "
        "uint8[:, :, ::1])",
    ),
})  # fmt: skip
"""The argument types of each kernel, in numba's notation; True: read-only will do."""


@cache
def _compiled(kernel: Callable[..., None]) -> Callable[..., None]:
    """A kernel in machine code, kept beside this module where that can be written."""
    import numba

    signatures = [*_SIGNATURES[kernel]]
    if _is_writable(Path(__file__).parent):
        try:
            kept = numba.njit(signatures, error_model="numpy", cache=True)(kernel)
        except Exception:  # a damaged cache or a full disk must not keep a scan back
            pass
        else:
            return cast(Callable[..., None], kept)
    return cast(Callable[..., None], numba.njit(signatures, error_model="numpy")(kernel))


def _is_writable(folder: Path) -> bool:
    """Whether compiled code may lie in a package's own folder; numba would else use the home."""
    kept = folder / "__pycache__"
    return os.access(kept if kept.is_dir() else folder, os.W_OK)
