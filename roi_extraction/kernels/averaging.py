"""Means over slices and over blocks of voxels."""

import numpy as np
import numpy.typing as npt

from roi_extraction.kernels.compiling import compiled_as

__all__ = [
    "block_means",
    "columns_above",
    "disc_means",
    "mean_of_slab",
    "median_off_neighbours",
    "mirror_likeness",
    "sum_of_shifted",
]

Float32Array = npt.NDArray[np.float32]

MOST_EXACT = 256
"""So many values of 16 bits have a sum of 24 bits, which single precision holds; if their number is
a power of two, so are all means of them, in whatever order they are taken."""


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
    voxels = slab.shape[0] * rows[1] * columns[1]
    if voxels <= MOST_EXACT and voxels.bit_count() == 1:
        _exact_blocks(np.ascontiguousarray(slab), rows[1], columns[1], means)
        return means
    line = np.empty(slab.shape[2], np.float32)
    _blocks(np.ascontiguousarray(slab), rows[1], columns[1], line, means)
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
    _slab(np.ascontiguousarray(slab), count, mean)
    return mean


def disc_means(
    images: Float32Array, half_widths: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Means of the values, and of their squares, within a disc round each place.

    Not bit for bit as by a convolution: the sums of lines are differences of running sums.

    Parameters
    ----------
    images
        float32, shape (images, rows, columns).
    half_widths
        int64, shape (2 k + 1,): how far each row of the disc reaches to either side.

    Returns
    -------
    mean, square
        float64, shape (images, rows - 2 k, columns - 2 k).
    """
    count, rows, columns = images.shape
    shape = (count, rows - half_widths.size + 1, columns - half_widths.size + 1)
    mean, square = np.empty(shape), np.empty(shape)
    running = np.empty((2, rows, columns + 1))
    _discs(np.ascontiguousarray(images), half_widths, running, mean, square)
    return mean, square


def sum_of_shifted(
    layers: npt.NDArray[np.float64], shifts: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The sum of layers, each shifted along its first axis, its ends repeated.

    Parameters
    ----------
    layers
        float64, shape (layers, n, m).
    shifts
        float64, shape (layers,): how much further along each is looked at, in places; between two
        places by linear interpolation.

    Returns
    -------
    numpy.ndarray
        float64, shape (n, m).
    """
    total = np.zeros(layers.shape[1:])
    _shifted(np.ascontiguousarray(layers), np.ascontiguousarray(shifts), total)
    return total


def mirror_likeness(
    planes: Float32Array, firsts: npt.NDArray[np.int64], width: int
) -> npt.NDArray[np.float64]:
    """Correlation of parts of planes with their own mirror images, left to right.

    Not bit for bit as by numpy: sums are of double precision.

    Parameters
    ----------
    planes
        float32, shape (planes, rows, columns).
    firsts
        int64, shape (parts,): first column of each part.
    width
        Columns of a part.

    Returns
    -------
    numpy.ndarray
        float64, shape (parts, planes).
    """
    likeness = np.empty((firsts.size, len(planes)))
    _mirrored(np.ascontiguousarray(planes), firsts, width, likeness)
    return likeness


def columns_above(image: Float32Array, threshold: float) -> npt.NDArray[np.int64]:
    """How many places of each column have a mean of the 5 by 5 round them above a threshold.

    Parameters
    ----------
    image
        float32, shape (rows, columns), reflected at its edge.
    threshold
        In the image's unit.

    Returns
    -------
    numpy.ndarray
        int64, shape (columns,).
    """
    columns = image.shape[1]
    padded = np.pad(image, 2, mode="symmetric")
    count = np.zeros(columns, np.int64)
    _columns(padded, np.float32(threshold), np.empty(columns + 4, np.float32), count)
    return count


def median_off_neighbours(
    below: npt.NDArray[np.int16],
    here: npt.NDArray[np.int16],
    above: npt.NDArray[np.int16],
    between: tuple[int, int],
) -> float:
    """The median difference of a slice to the mean of the slices below and above it.

    Parameters
    ----------
    below, here, above
        int16, shape (rows, columns): the three slices.
    between
        Voxels are compared that lie between these values, as the mean of both neighbours does.

    Returns
    -------
    float
        0.0 where no voxel is compared.
    """
    low, high = between
    counts = np.zeros(4 * (high - low) + 1, np.int64)
    planes = (np.ascontiguousarray(plane) for plane in (below, here, above))
    _off_neighbours(*planes, low, high, counts)
    total = np.cumsum(counts)
    if not total[-1]:
        return 0.0
    middle = np.searchsorted(total, [(total[-1] - 1) // 2 + 1, total[-1] // 2 + 1])
    return float(middle.sum() - (counts.size - 1)) / 4


@compiled_as("void(Array(int16, 3, 'C', True), intp, intp, float32[:, ::1])")
def _exact_blocks(slab, high, wide, means):  # type: ignore[no-untyped-def]
    depth, _, columns = slab.shape
    share = np.float32(1.0 / (depth * high * wide))
    total = np.empty(columns, np.int32)
    for i in range(means.shape[0]):
        total[:] = 0
        for z in range(depth):
            for y in range(i * high, (i + 1) * high):
                row = slab[z, y]
                for x in range(columns):
                    total[x] += row[x]
        mean = means[i]
        if wide == 2:
            for j in range(mean.size):
                mean[j] = np.float32(total[2 * j] + total[2 * j + 1]) * share
            continue
        for j in range(mean.size):
            block = np.int32(0)
            for x in range(j * wide, (j + 1) * wide):
                block += total[x]
            mean[j] = np.float32(block) * share


@compiled_as(
    "void(Array(int16, 3, 'C', True), intp, intp, float32[::1], float32[:, ::1])",
)
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


@compiled_as(
    "void(Array(int16, 3, 'C', True), intp, float32[:, ::1])",
)
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


@compiled_as(
    "void(Array(float32, 3, 'C', True), Array(int64, 1, 'C', True), float64[:, :, ::1], "
    "float64[:, :, ::1], float64[:, :, ::1])"
)
def _discs(images, half_widths, running, mean, square):  # type: ignore[no-untyped-def]
    count, high, wide = mean.shape
    reach = half_widths.size // 2
    pixels = 0
    for row in range(half_widths.size):
        pixels += 2 * half_widths[row] + 1
    for image in range(count):
        for y in range(images.shape[1]):
            total, squares = 0.0, 0.0
            running[:, y, 0] = 0
            for x in range(images.shape[2]):
                value = np.float64(images[image, y, x])
                total += value
                squares += value * value
                running[0, y, x + 1] = total
                running[1, y, x + 1] = squares
        for y in range(high):
            for which in range(2):
                line = mean[image, y] if which == 0 else square[image, y]
                line[:] = 0
                for row in range(half_widths.size):
                    behind = running[which, y + row, reach + half_widths[row] + 1 :]
                    before = running[which, y + row, reach - half_widths[row] :]
                    for x in range(wide):
                        line[x] += behind[x] - before[x]
                for x in range(wide):
                    line[x] /= pixels


@compiled_as("void(Array(float64, 3, 'C', True), Array(float64, 1, 'C', True), float64[:, ::1])")
def _shifted(layers, shifts, total):  # type: ignore[no-untyped-def]
    count, width = total.shape
    for layer in range(layers.shape[0]):
        for y in range(count):
            place = min(max(y + shifts[layer], 0.0), count - 1.0)
            low = min(int(place), max(0, count - 2))
            part = place - low
            here, there = layers[layer, low], layers[layer, min(low + 1, count - 1)]
            line = total[y]
            for x in range(width):
                line[x] += (1 - part) * here[x] + part * there[x]


@compiled_as("void(Array(float32, 2, 'C', True), float32, float32[::1], int64[::1])")
def _columns(padded, threshold, down, count):  # type: ignore[no-untyped-def]
    columns = count.size
    for y in range(padded.shape[0] - 4):
        for x in range(columns + 4):
            down[x] = padded[y, x] + padded[y + 1, x]
        for step in range(2, 5):
            for x in range(columns + 4):
                down[x] += padded[y + step, x]
        for x in range(columns):
            total = down[x] + down[x + 1] + down[x + 2] + down[x + 3] + down[x + 4]
            count[x] += total / np.float32(25) > threshold


@compiled_as(
    "void(Array(int16, 2, 'C', True), Array(int16, 2, 'C', True), Array(int16, 2, 'C', True), "
    "intp, intp, int64[::1])"
)
def _off_neighbours(below, here, above, low, high, counts):  # type: ignore[no-untyped-def]
    middle = counts.size // 2
    for y in range(here.shape[0]):
        for x in range(here.shape[1]):
            value = np.int64(here[y, x])
            around = np.int64(below[y, x]) + np.int64(above[y, x])
            if low < value < high and 2 * low < around < 2 * high:
                counts[2 * value - around + middle] += 1


@compiled_as(
    "void(Array(float32, 3, 'C', True), Array(int64, 1, 'C', True), intp, float64[:, ::1])"
)
def _mirrored(planes, firsts, width, likeness):  # type: ignore[no-untyped-def]
    count, rows, _ = planes.shape
    for part in range(firsts.size):
        first = firsts[part]
        for plane in range(count):
            total, squares, products = 0.0, 0.0, 0.0
            for y in range(rows):
                line = planes[plane, y, first : first + width]
                for x in range(width):
                    value = np.float64(line[x])
                    total += value
                    squares += value * value
                    products += value * np.float64(line[width - 1 - x])
            outside = total * total / (rows * width)
            likeness[part, plane] = (products - outside) / (squares - outside + 1e-6)
