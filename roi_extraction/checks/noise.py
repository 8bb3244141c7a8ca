"""The scan's noise near the spine, and what it does to the mean of a region of interest."""

import numpy as np
import numpy.typing as npt
import scipy

from roi_extraction.anatomy import SpineLandmarks
from roi_extraction.kernels import box_mean, gaussian_smoothed
from roi_extraction.slices import ROI_AREA_MM2
from roi_extraction.volume import CtVolume

__all__ = ["estimate_noise_hu", "roi_standard_error_hu"]

LAG_MM = 4.0
"""Distance of the pixels that are compared, mm: beyond it a body kernel's noise is hardly
correlated."""

PATCH_MM = 11.0
"""Side of the square over which differences are averaged, mm."""

NOISE_SLICE_STEP_MM = 12.0
"""Distance of the effective slices that are looked at, mm."""

WINDOW_MM = (90.0, 80.0)
"""Half the width and half the depth of the part round the spine that is looked at, mm: noise grows
towards the middle of the patient."""

EVEN_TISSUE_HU = (-140.0, 140.0)
"""Smoothed HU of fat and of soft tissue; a square that leaves it holds bone, gas or skin."""

TISSUE_SMOOTH_MM = 2.0
"""Gaussian sigma of that smoothing, mm."""

FEWEST_SQUARES = 300
"""Fewest pixels whose square is even tissue."""

BIN_HU = 0.25
"""Width of the histogram's bins, HU."""

KERNEL_SHARE = 0.06
"""Gaussian sigma that smooths the histogram, as a share of the median."""

CORRELATION_MM2 = 5.3
"""Area over which the noise of a soft body kernel acts as one value, mm2: 4 pi times the square of
a Gaussian grain of 0.65 mm; the pixel's own area if that is larger."""


def estimate_noise_hu(volume: CtVolume, spine: SpineLandmarks) -> float:
    """SD of the noise in effective slices, HU; NaN where there is too little even tissue.

    Second differences over 4 mm leave out slow gradients. Their mean square in small squares of
    fat and soft tissue is the noise plus the structure of the square. Most squares hold no
    structure, so the commonest value is taken.

    Parameters
    ----------
    volume
        The scan.
    spine
        Its landmarks: noise is measured around the canal.

    Returns
    -------
    noise_hu
        Standard deviation, HU, or NaN.

    References
    ----------
    Christianson 2015, doi 10.2214/AJR.14.13613: the commonest local SD in soft tissue as the noise
    of a clinical CT.
    """
    points = volume.to_index(spine.canal_lps_mm)
    half = volume.slices_per_slab // 2
    first = max(half, round(float(points[:, 0].min())))
    last = min(volume.shape[0] - 1 - half, round(float(points[:, 0].max())))
    step = max(1, round(NOISE_SLICE_STEP_MM / volume.slice_step_mm))
    found = [
        _local_variance(volume, index, points[int(np.abs(points[:, 0] - index).argmin()), 1:])
        for index in range(first, last + 1, step)
    ]
    values = np.concatenate(found) if found else np.zeros(0)
    found.clear()
    np.sqrt(values, out=values)
    if len(values) < FEWEST_SQUARES:
        return float("nan")
    return _commonest(values)


def roi_standard_error_hu(noise_hu: float, volume: CtVolume, slices: int = 3) -> float:
    """Standard error of a site's mean by noise alone, HU.

    Parameters
    ----------
    noise_hu
        SD of the noise in effective slices.
    volume
        The scan, for its pixel size.
    slices
        How many regions of 150 mm2 are averaged.

    Examples
    --------
    >>> volume = CtVolume(np.zeros((1, 2, 2), np.int16), np.eye(4)[[2, 1, 0, 3]], 3.0)
    >>> round(roi_standard_error_hu(30.0, volume), 1)
    3.3
    """
    pixel_mm2 = float(volume.spacing_mm[1] * volume.spacing_mm[2])
    independent = ROI_AREA_MM2 / max(CORRELATION_MM2, pixel_mm2) * slices
    return float(noise_hu / np.sqrt(independent))


def _local_variance(
    volume: CtVolume, index: int, centre: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Variance of the noise at each pixel whose square holds even tissue, shape (n,)."""
    spacing = volume.spacing_mm[1:]
    reach = np.array(WINDOW_MM[::-1]) / spacing
    low = np.maximum(np.floor(centre - reach).astype(int), 0)
    high = np.minimum(np.ceil(centre + reach).astype(int) + 1, volume.shape[1:])
    if (high - low < 3).any():
        return np.zeros(0)
    hu = volume.effective_slice(index)[low[0] : high[0], low[1] : high[1]].astype(np.float64)
    smooth = gaussian_smoothed(hu, TISSUE_SMOOTH_MM / spacing)
    size = np.maximum(np.rint(PATCH_MM / spacing).astype(int), 5)
    lag = np.maximum(np.rint(LAG_MM / spacing).astype(int), 1)
    uneven = (smooth <= EVEN_TISSUE_HU[0]) | (smooth >= EVEN_TISSUE_HU[1])
    even = ~_widened(uneven, size)
    border = size // 2 + lag
    even[: border[0]] = even[-border[0] :] = False
    even[:, : border[1]] = even[:, -border[1] :] = False
    squares = np.zeros_like(hu)
    for axis in (0, 1):
        around = np.roll(hu, lag[axis], axis)
        around += np.roll(hu, -lag[axis], axis)
        around -= 2 * hu
        around *= around
        around /= 12
        squares += around
    return np.asarray(box_mean(squares, size)[even])


def _widened(mask: npt.NDArray[np.bool_], size: npt.NDArray[np.int_]) -> npt.NDArray[np.bool_]:
    """Where a box round a pixel holds one of a mask, within the image's edges."""
    rows, columns = mask.shape
    count = np.zeros((rows + 1, columns + 1), np.int32)
    np.cumsum(np.cumsum(mask, 0, dtype=np.int32), 1, out=count[1:, 1:])
    low, high = (
        [np.clip(np.arange(n) + shift, 0, n) for n, shift in zip(mask.shape, shifts, strict=True)]
        for shifts in (-(size // 2), size - size // 2)
    )
    held = count[high[0]][:, high[1]] + count[low[0]][:, low[1]]
    held -= count[high[0]][:, low[1]] + count[low[0]][:, high[1]]
    return np.asarray(held > 0)


def _commonest(values: npt.NDArray[np.float64]) -> float:
    bins = np.empty(values.shape, np.intp)
    np.divide(values, BIN_HU, out=bins, casting="unsafe")
    counts = np.bincount(bins)
    del bins
    middle, high = (_percentile(values, counts, share) for share in (0.5, 0.95))
    edges = np.arange(0.0, high + 2 * BIN_HU, BIN_HU)
    shown = counts[: edges.size - 1].astype(np.float64)
    sigma = max(1.0, KERNEL_SHARE * middle / BIN_HU)
    return float(edges[int(scipy.ndimage.gaussian_filter1d(shown, sigma).argmax())] + BIN_HU / 2)


def _percentile(
    values: npt.NDArray[np.float64], counts: npt.NDArray[np.intp], share: float
) -> float:
    """A percentile of values, as numpy's, of which few are sorted: ``counts`` by `BIN_HU`."""
    place = share * (len(values) - 1)
    before = np.concatenate([[0], np.cumsum(counts)])
    first, last = np.searchsorted(before, [np.floor(place), np.ceil(place)], side="right") - 1
    kept = np.sort(values[(values >= first * BIN_HU) & (values < (last + 1) * BIN_HU)])
    low = int(np.floor(place)) - int(before[first])
    high = int(np.ceil(place)) - int(before[first])
    part = place - np.floor(place)
    return float(kept[low] + (kept[high] - kept[low]) * part)
