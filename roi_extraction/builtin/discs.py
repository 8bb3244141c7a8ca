"""Where discs may lie along the straightened spine: dark slabs between two bright endplates."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roi_extraction.builtin.straighten import (
    LINE_STEP_MM,
    PLANE_AHEAD_MM,
    PLANE_SIDE_MM,
    StraightSpine,
)
from roi_extraction.kernels import sum_of_shifted

__all__ = ["BODY_AHEAD_MM", "DiscProfile", "disc_profile"]

BODY_AHEAD_MM = (-8.0, 18.0)
"""The part of the body, forward of the line, whose endplates are looked at, mm."""

BODY_SIDE_MM = 12.0
"""Half width of that part, mm."""

PITCH_DEG = np.arange(-30.0, 30.1, 3.0)
"""Tilts of a disc against its plane in the sagittal plane, degrees; positive: front end up."""

LEAN_DEG = np.arange(-12.0, 12.1, 4.0)
"""Tilts in the coronal plane, degrees; positive: left end up."""

TILT_PRICE_HU = 0.4
"""Price of each degree of tilt, HU of the signal."""

DISC_ENDPLATE_MM = (2.0, 9.0)
"""Distance of the endplates from the disc's mid-plane, mm."""

BEYOND_ENDPLATE_MM = 14.0
"""Up to this distance HU must not rise above the endplate's, mm."""

FLANK_PRICE = 2.0
"""Price of each HU by which they rise."""

DISC_CLIP_HU = (-50.0, 450.0)
"""HU are clipped to this before averaging: gas in a disc and sclerosis must not dominate."""

EMPTY_HU = -500.0
"""Samples below this lie outside the scan."""


@dataclass(frozen=True, eq=False)
class DiscProfile:
    """The disc signal along the line.

    Parameters
    ----------
    signal_hu
        float64, shape (n,): lower endplate minus centre at the best tilt; 0 where the body's
        window leaves the scan.
    pitch_deg, lean_deg
        float64, shape (n,): the best tilt.
    seen
        bool, shape (n,): whether the body's window lies in the scan.
    """

    signal_hu: npt.NDArray[np.float64]
    pitch_deg: npt.NDArray[np.float64]
    lean_deg: npt.NDArray[np.float64]
    seen: npt.NDArray[np.bool_]


def disc_profile(spine: StraightSpine) -> DiscProfile:
    """Measure the disc signal in each plane, over all tilts.

    Parameters
    ----------
    spine
        The spine laid straight, n planes.

    Returns
    -------
    profile
        The signal at the best tilt of each plane.
    """
    rows = np.flatnonzero(
        (BODY_AHEAD_MM[0] <= PLANE_AHEAD_MM) & (BODY_AHEAD_MM[1] >= PLANE_AHEAD_MM)
    )
    columns = np.flatnonzero(np.abs(PLANE_SIDE_MM) <= BODY_SIDE_MM)
    window = spine.hu[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    seen = (window < EMPTY_HU).mean(axis=(1, 2)) < 0.05
    body = np.clip(window, *DISC_CLIP_HU).astype(np.float64)
    by_column = np.ascontiguousarray(body.transpose(2, 0, 1))
    ahead = PLANE_AHEAD_MM[rows] - PLANE_AHEAD_MM[rows].mean()
    side = PLANE_SIDE_MM[columns]
    count = len(body)
    best = np.full(count, -np.inf)
    pitch, lean = np.zeros(count), np.zeros(count)
    for lean_deg in LEAN_DEG:
        shifts = side * np.tan(np.deg2rad(lean_deg)) / LINE_STEP_MM
        by_row = sum_of_shifted(by_column, shifts) / len(side)
        rows_first = np.ascontiguousarray(by_row.T)[:, :, None]
        for pitch_deg in PITCH_DEG:
            shifts = ahead * np.tan(np.deg2rad(pitch_deg)) / LINE_STEP_MM
            profile = sum_of_shifted(rows_first, shifts)[:, 0] / len(ahead)
            signal = _contrast(profile) - TILT_PRICE_HU * (abs(pitch_deg) + abs(lean_deg))
            better = signal > best
            best[better], pitch[better], lean[better] = signal[better], pitch_deg, lean_deg
    margin = round(DISC_ENDPLATE_MM[1] / LINE_STEP_MM) + 1
    best[~ndimage.binary_erosion(seen, np.ones(2 * margin + 1, bool))] = 0.0
    return DiscProfile(np.maximum(best, 0.0), pitch, lean, seen)


def _contrast(profile: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The lower of the two endplates beside each plane, minus the plane itself."""
    near, far, beyond = (round(d / LINE_STEP_MM) for d in (*DISC_ENDPLATE_MM, BEYOND_ENDPLATE_MM))
    centre = ndimage.uniform_filter1d(profile, 3, mode="nearest")
    count = len(profile)
    padded = np.pad(profile, beyond, mode="edge")
    sides = []
    for direction in (-1, 1):
        endplate = np.full(count, -np.inf)
        flank = np.full(count, -np.inf)
        for distance in range(near, beyond + 1):
            start = beyond + direction * distance
            there = padded[start : start + count]
            target = endplate if distance <= far else flank
            np.maximum(target, there, out=target)
        # in the dark middle of a body HU still rise where an endplate should have been passed
        sides.append(endplate - FLANK_PRICE * np.maximum(flank - endplate, 0.0))
    contrast: npt.NDArray[np.float64] = np.minimum(*sides) - centre
    return contrast
