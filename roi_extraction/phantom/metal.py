"""Streaks around metal: the error that beam hardening and lack of photons leave in a slice."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roi_extraction.phantom.canvas import Canvas

__all__ = ["add_streaks"]

STREAK_ANGLES = 90
"""Projections over 180 degrees."""

COARSE_MM = 1.5
"""Pixel on which streaks are computed, mm."""

NEAR_MM = 25.0
"""Within this distance of metal the streaks have the asked SD, mm."""

SATURATION_MM = 25.0
"""Length of metal, mm, over which a ray's loss of signal grows fast."""


def add_streaks(
    canvas: Canvas, metal: npt.NDArray[np.bool_], sd_hu: float, rng: np.random.Generator
) -> None:
    """Add streaks to every slice with metal.

    Each ray's error grows with the square of its length in metal, as beam hardening's does, and
    has noise where it is long; the filtered back projection of these errors is the image of the
    streaks: dark between two pieces of metal, bright and dark rays around.

    Parameters
    ----------
    canvas
        The scan; its HU are changed outside metal and inside the patient.
    metal
        Shape of the canvas: where metal is.
    sd_hu
        SD of the streaks near the metal, over all slices, HU.
    rng
        Source of the rays' noise.
    """
    slices = np.nonzero(metal.any(axis=(1, 2)))[0]
    if slices.size == 0:
        return
    step = max(1, round(COARSE_MM / canvas.pixel_mm))
    streaks = np.stack([_streaks(canvas, metal[k], step, rng) for k in slices])
    near = np.zeros(streaks.shape, np.bool_)
    for i, k in enumerate(slices):
        coarse = metal[k][::step, ::step]
        if coarse.any():
            far = ndimage.distance_transform_edt(~coarse) * step * canvas.pixel_mm
            near[i] = (far < NEAR_MM) & (far > 0)
    spread = float(streaks[near].std()) if near.any() else 0.0
    if spread <= 0:
        return
    streaks *= sd_hu / spread
    rows, columns = canvas.hu.shape[1:]
    for i, k in enumerate(slices):
        fine = np.repeat(np.repeat(streaks[i], step, axis=0), step, axis=1)[:rows, :columns]
        if step > 1:
            fine = ndimage.uniform_filter(fine, step)
        fine[metal[k] | (canvas.hu[k] < -500.0)] = 0.0
        canvas.hu[k] += fine


def _streaks(
    canvas: Canvas, metal: npt.NDArray[np.bool_], step: int, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    y, x = canvas.y[::step], canvas.x[::step]
    rows, columns = np.nonzero(metal)
    px, py = canvas.x[columns], canvas.y[rows]
    bin_mm = step * canvas.pixel_mm
    reach = float(np.hypot(np.ptp(x) / 2, np.ptp(y) / 2)) + 2 * bin_mm
    bins = 2 * int(np.ceil(reach / bin_mm)) + 1
    x0, y0 = float(x.mean()), float(y.mean())
    ramp = np.abs(np.fft.rfftfreq(2 * bins)) * np.hanning(2 * bins + 2)[bins + 1 : 2 * bins + 2]
    image = np.zeros((y.size, x.size), np.float32)
    for angle in np.pi * np.arange(STREAK_ANGLES) / STREAK_ANGLES:
        cos, sin = float(np.cos(angle)), float(np.sin(angle))
        at = np.rint(((px - x0) * cos + (py - y0) * sin) / bin_mm).astype(int) + bins // 2
        length = np.bincount(at, minlength=bins) * canvas.pixel_mm**2 / bin_mm
        loss = length / SATURATION_MM
        error = -(loss**2) + rng.normal(0.0, 0.5, bins) * loss**1.5
        filtered = np.fft.irfft(np.fft.rfft(error, 2 * bins) * ramp, 2 * bins)[:bins]
        place = ((x[None, :] - x0) * cos + (y[:, None] - y0) * sin) / bin_mm + bins // 2
        low = place.astype(np.intp)
        share = (place - low).astype(np.float32)
        table = filtered.astype(np.float32)
        image += table[low] * (1.0 - share) + table[low + 1] * share
    return image
