"""A closed contour around a bright body: the best path in polar coordinates."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["RADIUS_MM", "RAY_ANGLES", "closed_contour"]

RAY_ANGLES = np.arange(72) * 2 * np.pi / 72
"""Directions of the rays, radians, from the column axis (left) towards the row axis (back)."""

RADIUS_MM = np.arange(10.0, 42.1, 0.5)
"""Radii at which the wall may lie, mm."""

WALL_MM = 4.0
"""Depth on each side of the wall over which HU are averaged, mm."""

TOP_HU = 350.0
"""HU are clipped to this: an osteophyte must not pull the wall outward."""

BEND_PRICE_HU = 12.0
"""Price of one squared 0.5 mm change of radius from ray to ray, HU."""

MAX_BEND = 4
"""Largest change of radius from ray to ray, in steps of 0.5 mm."""


def closed_contour(
    image: npt.NDArray[np.float32],
    centre: tuple[float, float],
    pixel_mm: tuple[float, float],
    farthest_mm: npt.NDArray[np.float64],
    usual_mm: npt.NDArray[np.float64] | None = None,
    usual_price_hu: float | npt.NDArray[np.float64] = 1.0,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The wall of a body that is brighter inside than outside.

    Parameters
    ----------
    image
        HU, shape (rows, columns).
    centre
        (row, column) inside the body.
    pixel_mm
        Spacing of (rows, columns), mm.
    farthest_mm
        Shape (72,): the largest radius allowed on each ray, mm.
    usual_mm
        Shape (72,): expected radius on each ray, mm; None for no expectation.
    usual_price_hu
        Price of one mm away from it, HU, for all rays or for each.

    Returns
    -------
    radius_mm, step_hu
        float64, shape (72,) each: the wall's radius and the step of HU across it.
    """
    fine = np.arange(RADIUS_MM[0] - WALL_MM, RADIUS_MM[-1] + WALL_MM + 0.1, 0.5)
    rows = centre[0] + fine[None] * np.sin(RAY_ANGLES)[:, None] / pixel_mm[0]
    columns = centre[1] + fine[None] * np.cos(RAY_ANGLES)[:, None] / pixel_mm[1]
    polar = ndimage.map_coordinates(
        np.clip(image, -100, TOP_HU), (rows, columns), order=1, mode="nearest"
    )
    polar = ndimage.gaussian_filter1d(polar, 0.7, axis=0, mode="wrap")
    depth = round(WALL_MM / 0.5)
    total = np.concatenate([np.zeros((len(polar), 1)), np.cumsum(polar, axis=1)], axis=1)
    wall = depth + np.arange(len(RADIUS_MM))
    inside = (total[:, wall] - total[:, wall - depth]) / depth
    outside = (total[:, wall + depth] - total[:, wall]) / depth
    step = inside - outside
    gain = step.copy()
    if usual_mm is not None:
        price = np.broadcast_to(usual_price_hu, usual_mm.shape)[:, None]
        gain -= price * np.abs(RADIUS_MM[None] - usual_mm[:, None])
    gain[RADIUS_MM[None] > np.maximum(farthest_mm, RADIUS_MM[0])[:, None]] = -1e6
    half = len(gain) // 2
    path = np.roll(_around(np.concatenate([gain, gain]))[half : half + len(gain)], half)
    return RADIUS_MM[path], step[np.arange(len(step)), path]


def _around(gain: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """The best path through the rows of ``gain`` with little change of column."""
    came = np.zeros(gain.shape, np.intp)
    bends = np.arange(-MAX_BEND, MAX_BEND + 1)
    price = BEND_PRICE_HU * bends**2
    columns = np.arange(gain.shape[1])
    padded = np.full(gain.shape[1] + 2 * MAX_BEND, -np.inf)
    total = padded[MAX_BEND:-MAX_BEND]
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(bends))
    total[:] = gain[0]
    for ray in range(1, len(gain)):
        moved = windows - price
        best = moved.argmax(axis=1)
        came[ray] = bends[best]
        total[:] = moved[columns, best] + gain[ray]
    path = np.zeros(len(gain), np.intp)
    path[-1] = int(total.argmax())
    for ray in range(len(gain) - 1, 0, -1):
        path[ray - 1] = path[ray] + came[ray, path[ray]]
    return path
