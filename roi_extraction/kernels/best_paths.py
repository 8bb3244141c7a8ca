"""Paths of highest gain: of contours round bodies, and of the vertebral canal."""

from typing import Any

import numpy as np
import numpy.typing as npt

from roi_extraction.kernels.compiling import compiled_as

__all__ = ["best_closed_path", "canal_gain"]

FloatArray = npt.NDArray[np.floating[Any]]

Float32Array = npt.NDArray[np.float32]


def best_closed_path(gain: FloatArray, bend_price: FloatArray) -> npt.NDArray[np.intp]:
    """The best path through the rays of each body with little change of column.

    Parameters
    ----------
    gain
        float64, shape (bodies, rays, columns); it becomes the sum along the paths.
    bend_price
        float64, shape (2 k + 1,): price of a change of column by -k to k from ray to ray.

    Returns
    -------
    numpy.ndarray
        intp, shape (bodies, rays): column of each ray.
    """
    path = np.empty(gain.shape[:2], np.intp)
    _closed_path(gain, bend_price, path)
    return path


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
        It becomes the sum.
    moves
        int64, shape (k, 2): steps of rows and columns from a voxel to where the path came from.
    price
        float32, shape (k,): of each move.

    Returns
    -------
    numpy.ndarray
        ``gain`` itself; a path whose sum is not positive is not continued.
    """
    far, wide = np.abs(moves).max(axis=0)
    _canal(gain, moves, far, wide, price, np.empty(gain.shape[2] - 2 * wide, np.float32))
    return gain


@compiled_as(
    "void(float64[:, :, ::1], Array(float64, 1, 'C', True), intp[:, ::1])",
)
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


@compiled_as(
    "void(float32[:, :, ::1], Array(int64, 2, 'C', True), intp, intp, Array(float32, "
    "1, 'C', True), float32[::1])",
)
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
