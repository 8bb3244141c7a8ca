"""Linear interpolation of volumes and images."""

from typing import Any

import numpy as np
import numpy.typing as npt

from roi_extraction.kernels.compiling import compiled_as

__all__ = [
    "interpolate_between",
    "interpolate_grid",
    "interpolate_plane",
    "interpolate_planes",
    "interpolate_volume",
]

FloatArray = npt.NDArray[np.floating[Any]]

Float32Array = npt.NDArray[np.float32]


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
    _volume(np.ascontiguousarray(values), places, outside, found)
    return found.reshape(index.shape[1:])


def interpolate_planes(
    values: npt.NDArray[Any],
    starts: FloatArray,
    down: tuple[FloatArray, FloatArray],
    across: tuple[FloatArray, FloatArray],
    outside: float,
) -> Float32Array:
    """Linear interpolation of a volume on grids in planes, as `interpolate_volume`.

    Parameters
    ----------
    values
        int16 or float32, shape (slices, rows, columns).
    starts
        float64, shape (n, 3): fractional (slice, row, column) of each plane's origin.
    down, across
        Places of the grid's rows, shape (p,), and columns, shape (q,), each with the step of the
        index a unit of them, shape (n, 3); float64.
    outside
        Value of places outside the volume.

    Returns
    -------
    numpy.ndarray
        float32, shape (n, p, q).
    """
    found = np.empty((len(starts), down[0].size, across[0].size), np.float32)
    numbers = (np.ascontiguousarray(part, np.float64) for part in (starts, *down, *across))
    _planes_of_volume(np.ascontiguousarray(values), *numbers, outside, found)
    return found


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
    _plane(
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
    _grid(np.ascontiguousarray(image), rows, columns, found)
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
    _between(np.ascontiguousarray(values), *split, line, found)
    return found


@compiled_as(
    "void(Array(int16, 3, 'C', True), float64[:, ::1], float64, float32[::1])",
    "void(Array(float32, 3, 'C', True), float64[:, ::1], float64, float32[::1])",
)
def _volume(values, places, outside, found):  # type: ignore[no-untyped-def]
    slices, rows, columns = values.shape
    for k in range(places.shape[1]):
        z, y, x = places[0, k], places[1, k], places[2, k]
        if not (0 <= z <= slices - 1 and 0 <= y <= rows - 1 and 0 <= x <= columns - 1):
            found[k] = outside
            continue
        z0, y0, x0 = int(z), int(y), int(x)
        dz, dy, dx = z - z0, y - y0, x - x0
        z1, y1, x1 = min(z0 + 1, slices - 1), min(y0 + 1, rows - 1), min(x0 + 1, columns - 1)
        ez, ey, ex = 1.0 - dz, 1.0 - dy, 1.0 - dx
        total = values[z0, y0, x0] * ez * ey * ex
        total += values[z0, y0, x1] * ez * ey * dx
        total += values[z0, y1, x0] * ez * dy * ex
        total += values[z0, y1, x1] * ez * dy * dx
        total += values[z1, y0, x0] * dz * ey * ex
        total += values[z1, y0, x1] * dz * ey * dx
        total += values[z1, y1, x0] * dz * dy * ex
        total += values[z1, y1, x1] * dz * dy * dx
        found[k] = total


@compiled_as(
    "void(Array(int16, 3, 'C', True), Array(float64, 2, 'C', True), Array(float64, 1, 'C', True), "
    "Array(float64, 2, 'C', True), Array(float64, 1, 'C', True), Array(float64, 2, 'C', True), "
    "float64, float32[:, :, ::1])",
    "void(Array(float32, 3, 'C', True), Array(float64, 2, 'C', True), Array(float64, 1, 'C', "
    "True), Array(float64, 2, 'C', True), Array(float64, 1, 'C', True), Array(float64, 2, 'C', "
    "True), float64, float32[:, :, ::1])",
)
def _planes_of_volume(values, starts, down, down_step, across, across_step, outside, found):  # type: ignore[no-untyped-def]
    slices, rows, columns = values.shape
    for k in range(starts.shape[0]):
        for i in range(down.size):
            z_row = starts[k, 0] + down[i] * down_step[k, 0]
            y_row = starts[k, 1] + down[i] * down_step[k, 1]
            x_row = starts[k, 2] + down[i] * down_step[k, 2]
            line = found[k, i]
            for j in range(across.size):
                z = z_row + across[j] * across_step[k, 0]
                y = y_row + across[j] * across_step[k, 1]
                x = x_row + across[j] * across_step[k, 2]
                if not (0 <= z <= slices - 1 and 0 <= y <= rows - 1 and 0 <= x <= columns - 1):
                    line[j] = outside
                    continue
                z0, y0, x0 = int(z), int(y), int(x)
                dz, dy, dx = z - z0, y - y0, x - x0
                z1, y1 = min(z0 + 1, slices - 1), min(y0 + 1, rows - 1)
                x1 = min(x0 + 1, columns - 1)
                ez, ey, ex = 1.0 - dz, 1.0 - dy, 1.0 - dx
                total = values[z0, y0, x0] * ez * ey * ex
                total += values[z0, y0, x1] * ez * ey * dx
                total += values[z0, y1, x0] * ez * dy * ex
                total += values[z0, y1, x1] * ez * dy * dx
                total += values[z1, y0, x0] * dz * ey * ex
                total += values[z1, y0, x1] * dz * ey * dx
                total += values[z1, y1, x0] * dz * dy * ex
                total += values[z1, y1, x1] * dz * dy * dx
                line[j] = total


@compiled_as(
    "void(Array(float32, 2, 'C', True), float64[:, ::1], boolean, float64, float32, "
    "float32, float32[::1])",
)
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


@compiled_as(
    "void(Array(float32, 2, 'C', True), Array(float64, 1, 'C', True), Array(float64, "
    "1, 'C', True), float32[:, ::1])",
)
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


@compiled_as(
    "void(Array(float32, 2, 'C', True), intp[::1], float32[::1], intp[::1], "
    "float32[::1], float32[::1], float32[:, ::1])",
)
def _between(values, row_low, row_part, low, part, line, found):  # type: ignore[no-untyped-def]
    rows, columns = values.shape
    for i in range(row_low.size):
        below, above = values[row_low[i]], values[min(row_low[i] + 1, rows - 1)]
        for x in range(columns):
            line[x] = (above[x] - below[x]) * row_part[i] + below[x]
        for j in range(low.size):
            left, right = line[low[j]], line[min(low[j] + 1, columns - 1)]
            found[i, j] = (right - left) * part[j] + left
