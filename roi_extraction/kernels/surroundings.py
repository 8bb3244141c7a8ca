"""What lies round each place: how far an edge is, and what is met on the way."""

from typing import Any

import numpy as np
import numpy.typing as npt

from roi_extraction.kernels.compiling import compiled_as

__all__ = ["distance_inside", "enclosed_rays", "least_over_offsets", "rebuilt_below"]

FloatArray = npt.NDArray[np.floating[Any]]


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
    _distance(np.ascontiguousarray(mask), distance)
    return distance


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
    _rays(np.ascontiguousarray(packed), rays, reach, digits, count)
    return count[:slices]


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
    _least(np.ascontiguousarray(values), np.ascontiguousarray(low + offsets), least)
    return least


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
    _rebuilt(rebuilt, np.ascontiguousarray(limit, dtype=np.float64))
    return rebuilt


@compiled_as(
    "void(Array(boolean, 2, 'C', True), float64[:, ::1])",
)
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


@compiled_as(
    "void(Array(uint8, 4, 'C', True), Array(int64, 3, 'C', True), intp, uint8[:, ::1], "
    "uint8[:, :, ::1])",
)
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


@compiled_as(
    "void(Array(float64, 2, 'C', True), int64[:, ::1], float64[:, ::1])",
)
def _least(values, starts, least):  # type: ignore[no-untyped-def]
    height, width = least.shape
    for y in range(height):
        found = least[y]
        found[:] = np.inf
        for k in range(len(starts)):
            there = values[starts[k, 0] + y, starts[k, 1] : starts[k, 1] + width]
            for x in range(width):
                found[x] = there[x] if there[x] < found[x] else found[x]


@compiled_as(
    "void(float64[:, ::1], Array(float64, 2, 'C', True))",
)
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
