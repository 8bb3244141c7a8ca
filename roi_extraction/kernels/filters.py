"""Filters along the axes of an image, as scipy's ``ndimage`` has them."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from roi_extraction.kernels.compiling import compiled_as

__all__ = ["box_mean", "gaussian_smoothed"]

T = TypeVar("T", bound=np.floating[Any])

GAUSSIAN_REACH = 4.0
"""Where the Gaussian is cut off, in standard deviations: scipy's default."""


def gaussian_smoothed(
    image: npt.NDArray[T],
    sigma: float | Sequence[float] | npt.NDArray[np.float64],
    mode: Literal["reflect", "nearest"] = "reflect",
) -> npt.NDArray[T]:
    """Smooth by a Gaussian, as scipy's ``gaussian_filter``.

    Parameters
    ----------
    image
        float32 or float64, of any number of axes.
    sigma
        Standard deviation along all axes, or along each, in voxels; 0 for none.
    mode
        What lies beyond the edge: the image reflected at it, or its outermost voxels.

    Returns
    -------
    numpy.ndarray
        The type and the shape of ``image``.
    """
    smooth: Any = np.ascontiguousarray(image)
    for axis, width in enumerate(np.broadcast_to(sigma, (image.ndim,)).tolist()):
        if width > 0:
            weights = _gaussian(width)
            source = _source(image.shape[axis], weights.size // 2, weights.size // 2, mode)
            found = np.empty_like(smooth)
            if axis == image.ndim - 1:
                _lines(_as_lines(smooth), weights, source, _as_lines(found))
            else:
                _planes(_as_planes(smooth, axis), weights, source, _as_planes(found, axis))
            smooth = found
    result: npt.NDArray[T] = smooth
    return result


def box_mean(
    image: npt.NDArray[T], size: int | Sequence[int] | npt.NDArray[np.int64]
) -> npt.NDArray[T]:
    """Means over boxes, as scipy's ``uniform_filter``; the image is reflected at its edge.

    Parameters
    ----------
    image
        float32 or float64, of any number of axes.
    size
        Of the box along all axes, or along each, in voxels.

    Returns
    -------
    numpy.ndarray
        The type and the shape of ``image``.
    """
    shape = image.shape
    mean: Any = np.ascontiguousarray(image)
    del image  # a caller that does not need it any more need not keep it
    for axis, length in enumerate(np.broadcast_to(size, (len(shape),)).tolist()):
        if length > 1:
            source = _source(shape[axis], length // 2, length - length // 2 - 1, "reflect")
            found = np.empty_like(mean)
            if axis == len(shape) - 1:
                _running_lines(_as_lines(mean), length, source, _as_lines(found))
            else:
                _running_planes(_as_planes(mean, axis), length, source, _as_planes(found, axis))
            mean = found
    result: npt.NDArray[T] = mean
    return result


@lru_cache(maxsize=64)
def _gaussian(sigma: float) -> npt.NDArray[np.float64]:
    reach = int(GAUSSIAN_REACH * sigma + 0.5)
    weights = np.exp(-0.5 / (sigma * sigma) * np.arange(-reach, reach + 1) ** 2)
    weights = weights / weights.sum()
    weights.setflags(write=False)
    return weights


@lru_cache(maxsize=64)
def _source(length: int, before: int, behind: int, mode: str) -> npt.NDArray[np.intp]:
    """Which voxel stands at each place from ``before`` the edge to ``behind`` the other one."""
    if mode == "nearest":
        source = np.clip(np.arange(-before, length + behind), 0, length - 1)
    else:
        source = np.arange(-before, length + behind) % (2 * length)
        source = np.minimum(source, 2 * length - 1 - source)
    source = source.astype(np.intp)
    source.setflags(write=False)
    return source


def _as_lines(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Shape (lines, n): of the last axis."""
    return values.reshape(-1, values.shape[-1])


def _as_planes(values: npt.NDArray[Any], axis: int) -> npt.NDArray[Any]:
    """Shape (planes, n, m): of an axis before the last, and all that come behind it."""
    return values.reshape(-1, values.shape[axis], int(np.prod(values.shape[axis + 1 :])))


@compiled_as(
    "void(Array(float32, 2, 'C', True), Array(float64, 1, 'C', True), "
    "Array(intp, 1, 'C', True), float32[:, ::1])",
    "void(Array(float64, 2, 'C', True), Array(float64, 1, 'C', True), "
    "Array(intp, 1, 'C', True), float64[:, ::1])",
)
def _lines(values, weights, source, found):  # type: ignore[no-untyped-def]
    lines, length = values.shape
    reach = weights.size // 2
    wide, total = np.empty(source.size), np.empty(length)
    for k in range(lines):
        for x in range(source.size):
            wide[x] = values[k, source[x]]
        middle = wide[reach : reach + length]
        for x in range(length):
            total[x] = middle[x] * weights[reach]
        for step in range(reach):
            left, right = wide[step : step + length], wide[2 * reach - step :]
            for x in range(length):
                total[x] += (left[x] + right[x]) * weights[step]
        for x in range(length):
            found[k, x] = total[x]


@compiled_as(
    "void(Array(float32, 3, 'C', True), Array(float64, 1, 'C', True), "
    "Array(intp, 1, 'C', True), float32[:, :, ::1])",
    "void(Array(float64, 3, 'C', True), Array(float64, 1, 'C', True), "
    "Array(intp, 1, 'C', True), float64[:, :, ::1])",
)
def _planes(values, weights, source, found):  # type: ignore[no-untyped-def]
    planes, length, columns = values.shape
    reach = weights.size // 2
    total = np.empty(columns)
    for k in range(planes):
        for y in range(length):
            middle = values[k, y]
            for x in range(columns):
                total[x] = np.float64(middle[x]) * weights[reach]
            for step in range(reach):
                above = values[k, source[y + step]]
                below = values[k, source[y + 2 * reach - step]]
                for x in range(columns):
                    total[x] += (np.float64(above[x]) + np.float64(below[x])) * weights[step]
            for x in range(columns):
                found[k, y, x] = total[x]


@compiled_as(
    "void(Array(float32, 2, 'C', True), intp, Array(intp, 1, 'C', True), float32[:, ::1])",
    "void(Array(float64, 2, 'C', True), intp, Array(intp, 1, 'C', True), float64[:, ::1])",
)
def _running_lines(values, size, source, found):  # type: ignore[no-untyped-def]
    lines, length = values.shape
    wide, change = np.empty(source.size), np.empty(length)
    for k in range(lines):
        for x in range(source.size):
            wide[x] = values[k, source[x]]
        for x in range(1, length):
            change[x] = wide[x + size - 1] - wide[x - 1]
        total = 0.0
        for x in range(size):
            total += wide[x]
        change[0] = total
        for x in range(1, length):
            total += change[x]
            change[x] = total
        for x in range(length):
            found[k, x] = change[x] / size


@compiled_as(
    "void(Array(float32, 3, 'C', True), intp, Array(intp, 1, 'C', True), float32[:, :, ::1])",
    "void(Array(float64, 3, 'C', True), intp, Array(intp, 1, 'C', True), float64[:, :, ::1])",
)
def _running_planes(values, size, source, found):  # type: ignore[no-untyped-def]
    planes, length, columns = values.shape
    total = np.empty(columns)
    for k in range(planes):
        total[:] = 0
        for step in range(size):
            row = values[k, source[step]]
            for x in range(columns):
                total[x] += row[x]
        for x in range(columns):
            found[k, 0, x] = total[x] / size
        for y in range(1, length):
            gone, new = values[k, source[y - 1]], values[k, source[y + size - 1]]
            for x in range(columns):
                total[x] += np.float64(new[x]) - np.float64(gone[x])
                found[k, y, x] = total[x] / size
