"""The HU of blood in the inferior vena cava, to the right of the aorta."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from roi_extraction.anatomy import SpineLandmarks
from roi_extraction.checks.body_line import BodyLine, body_line
from roi_extraction.grid import OUTSIDE_HU, sample_planes
from roi_extraction.kernels import gaussian_smoothed
from roi_extraction.sites import Level
from roi_extraction.volume import CtVolume

__all__ = ["VenaCava", "VenaCavaNotFound", "find_vena_cava"]

VEIN_LEVELS = (Level.L2, Level.L3, Level.L4)
"""Bodies in front of which the vein lies close to the spine: above, it turns to the liver; below,
it divides."""

VEIN_STEP_MM = 6.0
"""Distance of the planes in which it is sought, mm."""

SLAB_MM = 3.0
"""What each plane averages along the body, mm."""

VEIN_FORWARD_MM = np.arange(20.0, 49.0)
VEIN_LATERAL_MM = np.arange(-30.0, -5.0)
"""Where its centre may lie, mm forward and to the left of the bodies' centres: 28-40 forward and
12-19 right on a labelled scan."""

AROUND_MM = 14
"""Extent of the image around these places, mm."""

VEIN_RADIUS_MM = 4.0
"""Radius of the disc that is read, mm: it fits into a flat vein."""

VEIN_RAYS = 16
BEYOND_VEIN_MM = (8.0, 10.0, 12.0, 14.0)
"""Directions in which, and distances at which, darker tissue is looked for."""

VEIN_EDGE_HU = (15.0, 60.0)
"""How much darker than blood the outside must be to count as an edge at all, and wholly."""

VEIN_SMOOTH_MM = 1.2
"""Gaussian sigma in plane, mm: noise must not pass for a lack of homogeneity."""

LARGEST_SD_HU = 40.0
"""SD inside the smoothed disc from which it does not count as homogeneous at all."""

VEIN_BLOOD_HU = (10.0, 400.0)
"""Means that venous blood may have, HU."""

USUAL_VEIN_MM = (32.0, -16.0)
"""Its usual place, mm forward and left."""

VEIN_PULL_MM = 40.0
"""Distance from there at which a place loses as much as a perfect fit gains, mm."""

VEIN_STRAY_MM = 5
"""How far the vein strays from its mean course beside the bodies, mm."""

LEAST_FIT = 0.3
"""Least fit of a plane that is read."""

LEAST_SHARE = 0.5
"""Least share of the planes in which it must fit, and at least three."""

VEIN_SPREAD_HU = 50.0
"""Largest distance of the quartiles of the planes' HU: opacified blood from the kidneys mixes with
dark blood from the legs."""

Image = npt.NDArray[np.float32]


@dataclass(frozen=True)
class VenaCava:
    """The inferior vena cava in front of the lumbar spine.

    Parameters
    ----------
    mean_hu
        HU of the blood: the median over the planes of the mean within the vein.
    planes
        Number of planes in which it was seen.
    """

    mean_hu: float
    planes: int


@dataclass(frozen=True)
class VenaCavaNotFound:
    """Why venous blood could not be measured."""

    reason: str


def find_vena_cava(volume: CtVolume, spine: SpineLandmarks) -> VenaCava | VenaCavaNotFound:
    """Find the inferior vena cava in front of L2 to L4 and measure its blood.

    A homogeneous region with darker tissue beside it is sought in planes every 6 mm, near the same
    place beside all bodies.

    Parameters
    ----------
    volume
        The scan.
    spine
        Its landmarks, found by any segmenter.

    Returns
    -------
    VenaCava or VenaCavaNotFound
        The blood's HU, or why it could not be measured.
    """
    line = body_line(spine, VEIN_LEVELS, VEIN_STEP_MM)
    if line is None:
        return VenaCavaNotFound("fewer than two of L2 to L4 are in the scan")
    planes = _planes(volume, line)
    smooth = gaussian_smoothed(planes, (0.0, VEIN_SMOOTH_MM, VEIN_SMOOTH_MM))
    mean, fit = _fit(smooth)
    row, column = _course(fit)
    rows, columns = (
        slice(max(0, place - VEIN_STRAY_MM), place + VEIN_STRAY_MM + 1) for place in (row, column)
    )
    values = [
        float(plane_mean[rows, columns].flat[best])
        for plane_mean, plane_fit in zip(mean, fit, strict=True)
        for best in [int(plane_fit[rows, columns].argmax())]
        if plane_fit[rows, columns].flat[best] >= LEAST_FIT
    ]
    if len(values) < max(3, LEAST_SHARE * len(fit)):
        return VenaCavaNotFound(
            f"no vein was recognised to the right of the aorta (in {len(values)} of {len(fit)} "
            "planes)"
        )
    low, high = np.percentile(values, (25, 75))
    if high - low > VEIN_SPREAD_HU:
        return VenaCavaNotFound(f"its HU vary from {low:.0f} to {high:.0f}")
    return VenaCava(float(np.median(values)), len(values))


def _planes(volume: CtVolume, line: BodyLine) -> Image:
    """HU, float32, shape (planes, forward, lateral), each the mean of three within a slab."""
    ahead, aside = (
        np.arange(places[0] - AROUND_MM, places[-1] + AROUND_MM + 1)
        for places in (VEIN_FORWARD_MM, VEIN_LATERAL_MM)
    )
    forward, left = (
        np.tile(way, (len(line.points_lps_mm), 1)) for way in (line.forward, line.left)
    )
    slab = [
        sample_planes(volume, line.points_lps_mm + offset, (ahead, forward), (aside, left))
        for offset in np.outer((-1, 0, 1), (0.0, 0.0, SLAB_MM / 3))
    ]
    return np.mean(slab, axis=0, dtype=np.float32)


def _fit(hu: Image) -> tuple[Image, Image]:
    """Mean of the disc at each possible centre, and how well a vein fits there, 0 to 1."""
    middle = _shifted(hu, 0.0, 0.0)
    angles = np.arange(VEIN_RAYS) * 2 * np.pi / VEIN_RAYS
    disc = np.stack([middle, *(_shifted(hu, VEIN_RADIUS_MM, angle) for angle in angles[::2])])
    mean, sd = disc.mean(axis=0), disc.std(axis=0)
    edge = np.zeros(mean.shape, np.float32)
    seen = middle > OUTSIDE_HU + 1
    for angle in angles:
        beyond = np.min([_shifted(hu, reach, angle) for reach in BEYOND_VEIN_MM], axis=0)
        seen &= beyond > OUTSIDE_HU + 1
        darker = (mean - beyond - VEIN_EDGE_HU[0]) / (VEIN_EDGE_HU[1] - VEIN_EDGE_HU[0])
        edge += np.clip(darker, 0, 1) / VEIN_RAYS
    even = np.clip(1 - sd / LARGEST_SD_HU, 0, 1)
    possible = seen & (mean > VEIN_BLOOD_HU[0]) & (mean < VEIN_BLOOD_HU[1])
    return mean, np.where(possible, even * edge, 0).astype(np.float32)


def _shifted(hu: Image, reach_mm: float, angle: float) -> Image:
    """What lies ``reach_mm`` from each possible centre in one direction."""
    row = AROUND_MM + round(reach_mm * np.sin(angle))
    column = AROUND_MM + round(reach_mm * np.cos(angle))
    return hu[:, row : row + len(VEIN_FORWARD_MM), column : column + len(VEIN_LATERAL_MM)]


def _course(fit: Image) -> tuple[int, int]:
    """(row, column) near which the vein fits best in the mean of all planes."""
    away = np.hypot(
        (VEIN_FORWARD_MM[:, None] - USUAL_VEIN_MM[0]) / VEIN_PULL_MM,
        (VEIN_LATERAL_MM[None, :] - USUAL_VEIN_MM[1]) / VEIN_PULL_MM,
    )
    near = scipy.ndimage.maximum_filter(fit, (1, 2 * VEIN_STRAY_MM + 1, 2 * VEIN_STRAY_MM + 1))
    row, column = np.unravel_index(int((near.mean(axis=0) - away**2).argmax()), near.shape[1:])
    return int(row), int(column)
