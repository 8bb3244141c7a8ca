"""Contrast agent in the urine: whether both renal pelves are bright beside the spine."""

from itertools import groupby

import numpy as np

from roi_extraction.anatomy import SpineLandmarks
from roi_extraction.checks.body_line import BodyLine, body_line
from roi_extraction.grid import OUTSIDE_HU, sample_planes
from roi_extraction.sites import Level
from roi_extraction.volume import CtVolume

__all__ = ["urine_enhanced"]

KIDNEY_LEVELS = (Level.L1, Level.L2, Level.L3)
"""Bodies beside which the renal pelves lie."""

URINE_STEP_MM = 5.0
"""Distance of the planes that are looked at, mm."""

PIXEL_MM = 1.5
"""Distance of the points in a plane, mm."""

PELVIS_FORWARD_MM = np.arange(-18.0, 25.0, PIXEL_MM)
PELVIS_LATERAL_MM = np.arange(30.0, 84.0, PIXEL_MM)
"""Where the renal pelvis and the calyces lie, mm forward and lateral of the bodies' centres: in
front of ribs and transverse processes, behind the duodenum and the colon."""

ABOVE_BLOOD_HU = 100.0
LEAST_URINE_HU = 350.0
"""How much brighter than the aorta urine must be, so that no vessel passes for it, and its least
HU, above the renal cortex, which is enhanced by 195-217 HU at its brightest (Eur J Radiol
2007;63:420, doi 10.1016/j.ejrad.2007.02.005)."""

LEAST_URINE_MM2 = 30.0
"""Least bright area in a plane, mm2, in two neighbouring planes of each side: a stone is smaller,
and seldom on both sides."""


def urine_enhanced(volume: CtVolume, spine: SpineLandmarks, aorta_hu: float) -> bool | None:
    """Whether the kidneys excrete the contrast agent, as they do from about three minutes on.

    Limits were chosen on the development scans.

    Parameters
    ----------
    volume
        The scan.
    spine
        Its landmarks, found by any segmenter.
    aorta_hu
        The blood in the aorta, HU.

    Returns
    -------
    enhanced
        None where the places of the renal pelves are not in the scan.
    """
    line = body_line(spine, KIDNEY_LEVELS, URINE_STEP_MM)
    if line is None:
        return None
    bright_hu = max(LEAST_URINE_HU, aorta_hu + ABOVE_BLOOD_HU)
    sides = [_bright_in_neighbours(volume, line, side, bright_hu) for side in (-1.0, 1.0)]
    return None if None in sides else all(sides)


def _bright_in_neighbours(
    volume: CtVolume, line: BodyLine, side: float, bright_hu: float
) -> bool | None:
    """Whether two neighbouring planes are bright left (1) or right (-1) of the bodies."""
    points = line.points_lps_mm
    ahead, lateral = (np.tile(way, (len(points), 1)) for way in (line.forward, side * line.left))
    hu = sample_planes(volume, points, (PELVIS_FORWARD_MM, ahead), (PELVIS_LATERAL_MM, lateral))
    if (hu <= OUTSIDE_HU + 1).any():
        return None
    bright = (hu > bright_hu).sum(axis=(1, 2)) * PIXEL_MM**2 >= LEAST_URINE_MM2
    return any(found and len(list(run)) >= 2 for found, run in groupby(bright.tolist()))
