"""Muscle tissue: a mean HU with fatty streaks that leave it as it is."""

import numpy as np
from scipy import ndimage

from roi_extraction.phantom.canvas import Array, Canvas, Patch

__all__ = ["paint_muscle"]

STREAK_MM = 1.0
"""Width of a fatty streak, mm."""

LEAN_HU, FULL_CONTRAST_HU = 58.0, 150.0
"""HU of muscle without fat, and how far below that pure fat lies."""


def paint_muscle(
    canvas: Canvas,
    patch: Patch,
    sdf: Array,
    hu: float | Array,
    fat: float,
    rng: np.random.Generator | None,
) -> None:
    """Paint a muscle.

    Parameters
    ----------
    canvas, patch, sdf
        What to paint on, where, and the distance to the muscle's surface, mm.
    hu
        Its mean HU; may vary along z, shape (slices, 1, 1).
    fat
        Fat infiltration, 0 to 0.5: together with a low HU it makes the streaks stronger.
    rng
        Source of the streaks; None for homogeneous muscle.
    """
    values: float | Array = hu
    if rng is not None:
        inside = np.nonzero(sdf < 2.0)
        if inside[0].size == 0:
            return
        box = tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in inside)
        index = tuple(
            slice(whole.start + part.start, whole.start + part.stop)
            for whole, part in zip(patch.index, box, strict=True)
        )
        patch = Patch(
            (index[0], index[1], index[2]),
            patch.x[:, :, box[2]], patch.y[:, box[1], :], patch.z[box[0]],
        )  # fmt: skip
        sdf = sdf[box]
        mean = np.asarray(hu[box[0]] if isinstance(hu, np.ndarray) else hu, np.float32)
        share = np.clip((LEAN_HU - mean) / FULL_CONTRAST_HU, 0.0, 0.8)
        spread = 3.0 + 45.0 * np.sqrt(np.clip(0.6 * share + 0.4 * fat, 0.0, 0.5))
        # Coarse pixels average over the streaks.
        spread = spread * min(1.0, STREAK_MM / canvas.pixel_mm)
        streaks = _streaks(canvas, sdf.shape, rng)
        # In each slice the streaks leave the mean of the muscle's interior as it is.
        interior = (sdf < -2.0).astype(np.float32)
        area = np.maximum(interior.sum(axis=(1, 2), keepdims=True), 1.0)
        streaks -= (streaks * interior).sum(axis=(1, 2), keepdims=True) / area
        values = mean + spread.astype(np.float32) * streaks
    canvas.paint(patch, sdf, values)


def _streaks(canvas: Canvas, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Return dark streaks along z with a mean of zero over any few millimetres, unit SD."""
    grain = canvas.texture(shape, rng, 1.1, 4.0, 7.0)
    # Septa are the zero lines of a smooth field, some of them fatty.
    fatty = canvas.texture(shape, rng, 2.2, 9.0, 9.0)
    dark = -np.exp(-((grain / 0.35) ** 2)) * np.clip(0.5 + fatty, 0.1, 2.0)
    coarse = max(2.6 / canvas.pixel_mm, 1.2)
    dark -= ndimage.gaussian_filter(dark, (0.0, coarse, coarse), truncate=3.0)
    return (dark / max(float(dark.std()), 1e-6)).astype(np.float32)
