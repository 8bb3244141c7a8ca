"""A closed contour around a bright body: the best path in polar coordinates."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roi_extraction.kernels import best_closed_path, interpolate_plane

__all__ = ["RADIUS_MM", "RAY_ANGLES", "closed_contour", "closed_contours"]

FloatArray = npt.NDArray[np.float64]

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
    farthest_mm: FloatArray,
    usual_mm: FloatArray | None = None,
    usual_price_hu: float | FloatArray = 1.0,
) -> tuple[FloatArray, FloatArray]:
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
    usual = None if usual_mm is None else usual_mm[None]
    radius, step = closed_contours(
        [image], [centre], pixel_mm, farthest_mm[None], usual, usual_price_hu
    )
    return radius[0], step[0]


def closed_contours(
    images: Sequence[npt.NDArray[np.float32]],
    centres: Sequence[tuple[float, float]],
    pixel_mm: tuple[float, float],
    farthest_mm: FloatArray,
    usual_mm: FloatArray | None = None,
    usual_price_hu: float | FloatArray = 1.0,
) -> tuple[FloatArray, FloatArray]:
    """The walls of several bodies, each in its own image, found in one go.

    Parameters
    ----------
    images, centres
        As for `closed_contour`, one for each body.
    pixel_mm
        Spacing of (rows, columns) of all images, mm.
    farthest_mm, usual_mm
        Shape (bodies, 72): as for `closed_contour`.
    usual_price_hu
        As for `closed_contour`, the same for all bodies.

    Returns
    -------
    radius_mm, step_hu
        float64, shape (bodies, 72) each.
    """
    fine = np.arange(RADIUS_MM[0] - WALL_MM, RADIUS_MM[-1] + WALL_MM + 0.1, 0.5)
    down = fine[None] * np.sin(RAY_ANGLES)[:, None] / pixel_mm[0]
    across = fine[None] * np.cos(RAY_ANGLES)[:, None] / pixel_mm[1]
    polar = np.stack([
        interpolate_plane(image, centre[0] + down, centre[1] + across, limits=(-100.0, TOP_HU))
        for image, centre in zip(images, centres, strict=True)
    ])  # fmt: skip
    polar = ndimage.gaussian_filter1d(polar, 0.7, axis=1, mode="wrap")
    depth = round(WALL_MM / 0.5)
    before = np.zeros((*polar.shape[:2], 1))
    total = np.concatenate([before, np.cumsum(polar, axis=2)], axis=2)
    wall = depth + np.arange(len(RADIUS_MM))
    inside = (total[..., wall] - total[..., wall - depth]) / depth
    outside = (total[..., wall + depth] - total[..., wall]) / depth
    step = inside - outside
    del polar, total, inside, outside  # several MB for the slices of a spine
    gain = step.copy()
    if usual_mm is not None:
        price = np.broadcast_to(usual_price_hu, usual_mm.shape[1:])[:, None]
        gain -= price * np.abs(RADIUS_MM - usual_mm[..., None])
    gain[np.maximum(farthest_mm, RADIUS_MM[0])[..., None] < RADIUS_MM] = -1e6
    rays = gain.shape[1]
    half = rays // 2
    bends = np.arange(-MAX_BEND, MAX_BEND + 1)
    price = BEND_PRICE_HU * bends**2
    path = best_closed_path(np.concatenate([gain, gain], axis=1), price)[:, half : half + rays]
    path = np.roll(path, half, axis=1)
    return RADIUS_MM[path], np.take_along_axis(step, path[..., None], axis=2)[..., 0]
