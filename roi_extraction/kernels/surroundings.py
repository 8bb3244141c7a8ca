"""What lies round each place: how far an edge is, and what is met on the way."""

from typing import Any

import numpy as np
import numpy.typing as npt

from roi_extraction.kernels.compiling import compiled_as

__all__ = [
    "darker_ring",
    "distance_inside",
    "ellipse_shares",
    "enclosed_rays",
    "least_over_offsets",
    "rebuilt_below",
]

FloatArray = npt.NDArray[np.floating[Any]]

Float32Array = npt.NDArray[np.float32]


def darker_ring(
    images: Float32Array,
    inside: Float32Array,
    offsets: npt.NDArray[np.int64],
    darker: tuple[float, float],
    least: float,
) -> tuple[Float32Array, npt.NDArray[np.bool_]]:
    """How much darker than what is inside of it the ring round each place is.

    Parameters
    ----------
    images
        float32, shape (images, rows, columns).
    inside
        float32, shape (images, height, width): the value inside of the ring at each place.
    offsets
        int64, shape (k, 2, 2): first row and column of what is seen from all places in each of k
        directions, near and far; the darker of both counts.
    darker
        How much darker it must be to count at all, and wholly.
    least
        What is not above it was not seen.

    Returns
    -------
    edge, seen
        The shape of ``inside``: float32, the sum over the directions of 0 to 1; bool, whether all
        of the ring was seen.
    """
    edge, seen = np.zeros(inside.shape, np.float32), np.ones(inside.shape, np.bool_)
    low, span = np.float32(darker[0]), np.float32(darker[1] - darker[0])
    _ring(
        np.ascontiguousarray(images), np.ascontiguousarray(inside), offsets, low, span,
        np.float32(least), edge, seen,
    )  # fmt: skip
    return edge, seen


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


def ellipse_shares(
    box: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]],
    spacing_mm: FloatArray,
    centre: tuple[float, float],
    semi_axes_mm: tuple[float, float],
    angle_rad: float,
) -> npt.NDArray[np.float64]:
    """The share of each pixel of a box that an ellipse covers, by points spread evenly over it.

    Parameters
    ----------
    box
        First row and column, number of rows and columns, and number of points a pixel along each;
        int64, shape (2,) each.
    spacing_mm
        Distance between rows and between columns, shape (2,), mm.
    centre
        Of the ellipse: fractional row and column.
    semi_axes_mm, angle_rad
        Its semi-axes, and the angle of the first from the columns' axis towards the rows'.

    Returns
    -------
    numpy.ndarray
        float64, shape (rows, columns).
    """
    low, size, fine = box
    down, across = (
        (low[k] - 0.5 + (np.arange(size[k] * fine[k]) + 0.5) / fine[k] - centre[k]) * spacing_mm[k]
        for k in (0, 1)
    )
    shares = np.zeros(size)
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    _ellipse(down, across, float(cos), float(sin), *semi_axes_mm, shares)
    return shares


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
    shifts, layers, high, wide = packed.shape
    rows, columns = high - 2 * reach, wide - 2 * reach
    # a layer is one line, the rims between its rows included: long lines are quick
    length = (rows - 1) * wide + columns
    places = np.empty((len(rays), 2 * rays.shape[1]), np.int64)
    places[:, ::2] = rays[..., 0]
    places[:, 1::2] = (reach + rays[..., 1]) * wide + reach + rays[..., 2]
    count = np.zeros((layers, 8, rows * wide), np.uint8)
    lines = np.ascontiguousarray(packed).reshape(shifts, layers, -1)
    _rays(lines, places, np.empty((6, length), np.uint8), count)
    return count.reshape(layers * 8, rows, wide)[:slices, :, :columns]


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
    "void(Array(float32, 3, 'C', True), Array(float32, 3, 'C', True), "
    "Array(int64, 3, 'C', True), float32, float32, float32, float32[:, :, ::1], boolean[:, :, ::1])"
)
def _ring(images, inside, offsets, low, span, least, edge, seen):  # type: ignore[no-untyped-def]
    zero, one = np.float32(0), np.float32(1)
    width = inside.shape[2]
    for image in range(inside.shape[0]):
        for y in range(inside.shape[1]):
            middle, total, whole = inside[image, y], edge[image, y], seen[image, y]
            for ray in range(offsets.shape[0]):
                near, far = offsets[ray, 0], offsets[ray, 1]
                nearer = images[image, y + near[0], near[1] : near[1] + width]
                farther = images[image, y + far[0], far[1] : far[1] + width]
                for x in range(width):
                    beyond = min(nearer[x], farther[x])
                    whole[x] &= beyond > least
                    total[x] += min(max((middle[x] - beyond - low) / span, zero), one)


@compiled_as(
    "void(Array(float64, 1, 'C', True), Array(float64, 1, 'C', True), float64, float64, float64, "
    "float64, float64[:, ::1])"
)
def _ellipse(down, across, cos, sin, long, short, shares):  # type: ignore[no-untyped-def]
    high, wide = down.size // shares.shape[0], across.size // shares.shape[1]
    for i in range(down.size):
        y = down[i]
        line = shares[i // high]
        for j in range(across.size):
            x = across[j]
            along = (x * cos + y * sin) / long
            aside = (y * cos - x * sin) / short
            line[j // wide] += along * along + aside * aside <= 1.0
    for i in range(shares.shape[0]):
        for j in range(shares.shape[1]):
            shares[i, j] /= high * wide


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
    "void(Array(uint8, 3, 'C', True), Array(int64, 2, 'C', True), uint8[:, ::1], uint8[:, :, ::1])",
)
def _rays(packed, places, digits, count):  # type: ignore[no-untyped-def]
    layers, length = packed.shape[1], digits.shape[1]
    hit = digits[5]
    for layer in range(layers):
        digits[:] = 0
        for ray in range(places.shape[0]):
            hit[:] = 0
            for step in range(places.shape[1] // 2):
                first = places[ray, 2 * step + 1]
                there = packed[places[ray, 2 * step], layer, first : first + length]
                for p in range(length):
                    hit[p] |= there[p]
            # as many digits as the number of rays so far may have
            most, place = ray + 1, 0
            while most:
                digit = digits[place]
                for p in range(length):
                    carry = digit[p] & hit[p]
                    digit[p] ^= hit[p]
                    hit[p] = carry
                most, place = most >> 1, place + 1
        for bit in range(8):
            found = count[layer, bit]
            for place in range(5):
                digit = digits[place]
                for p in range(length):
                    one = (digit[p] >> np.uint8(bit)) & np.uint8(1)
                    found[p] += one << np.uint8(place)


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
