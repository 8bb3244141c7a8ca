"""Discs and bodies as points and axes in the patient."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from roi_extraction.anatomy import Finding, Landmark, LevelNaming, SpineLandmarks
from roi_extraction.builtin.contour import RAY_ANGLES, closed_contour
from roi_extraction.builtin.discs import BODY_AHEAD_MM, EMPTY_HU, DiscProfile
from roi_extraction.builtin.straighten import (
    LINE_STEP_MM,
    PLANE_AHEAD_MM,
    PLANE_SIDE_MM,
    StraightSpine,
)
from roi_extraction.endplates import across_and_ahead
from roi_extraction.grid import sample_hu
from roi_extraction.sites import DiscLevel, Level
from roi_extraction.volume import CtVolume

__all__ = ["landmarks"]

S1_BELOW_MM = 15.0
"""Distance of the centre of S1 below the L5-S1 disc, mm."""

BACK_WALL_MM = 17.0
"""Farthest place of a body's back wall behind the line, mm."""

OFF_LINE_MM = 9.0
"""Largest distance of a body from the usual place of the other bodies beside the line, mm."""

UNSEEN_SHARE = 0.48
"""Height of a body's centre above the disc below it when the disc above it was not found, as a
share of the spacing of the discs."""

UNSEEN_BODY_MM = (np.arange(-14.0, 14.1, 7.0), np.arange(-18.0, 18.1, 9.0))
"""Extent of such a body, forward and sideways of its centre, mm: all of it must lie in the scan."""


def landmarks(
    volume: CtVolume,
    straight: StraightSpine,
    profile: DiscProfile,
    lowest: DiscLevel,
    places: Sequence[int],
    confidence: float,
    findings: tuple[Finding, ...],
    naming: LevelNaming,
) -> SpineLandmarks:
    """Bodies and discs from the discs' places along the line.

    Parameters
    ----------
    volume, straight, profile
        The scan, laid straight, and its disc signal.
    lowest
        The lowest disc. S1 is found below L5-S1; no other body without its lower disc.
    places
        Places of the discs from the lowest upwards, up to T12-L1.
    confidence
        Confidence of the naming, 0 to 1.
    findings
        What the reader should know about the naming.
    naming
        How the levels were named.

    Returns
    -------
    landmarks
        The named spine.
    """
    disc_names = tuple(DiscLevel)[tuple(DiscLevel).index(lowest) :: -1]
    names = tuple(disc.above for disc in disc_names)
    bodies: dict[Level, Landmark] = {}
    offsets: list[tuple[float, float]] = []
    for level, low, high in zip(names, places, places[1:], strict=False):
        middle = (low + high) / 2
        offset = _body_offset(straight, round(middle))
        if offsets and np.abs(np.median(offsets, axis=0) - offset).max() > OFF_LINE_MM:
            # the line has left the bodies, as it may at the scan's upper end
            places = places[: len(offsets) + 1]
            break
        offsets.append(offset)
        tilts = (profile.pitch_deg, profile.lean_deg)
        pitch, lean = (float((t[low] + t[high]) / 2) for t in tilts)
        bodies[level] = _landmark(straight, middle, offsets[-1], (pitch, lean), confidence)
    discs: dict[DiscLevel, Landmark] = {}
    for number, (name, s) in enumerate(zip(disc_names, places, strict=False)):
        near = offsets[max(0, number - 1) : number + 1]
        ahead, side = (float(mean) for mean in np.mean(near, axis=0))
        tilt = (float(profile.pitch_deg[s]), float(profile.lean_deg[s]))
        # the disc's place is that of the window's middle, not of the body's own middle
        rise = (ahead - float(np.mean(BODY_AHEAD_MM))) * float(np.tan(np.deg2rad(tilt[0])))
        discs[name] = _landmark(straight, s + rise, (ahead, side), tilt, confidence)
    if lowest is DiscLevel.L5_S1:
        bodies[Level.S1] = _first_sacral(straight, discs[lowest])
    if len(places) <= len(names):
        # the disc above the next body is not seen: the body is placed by the spacing
        spacing_mm = float(np.median(np.diff(places))) * LINE_STEP_MM
        unseen = _unseen_body(volume, discs[disc_names[len(places) - 1]], spacing_mm)
        if unseen is not None:
            bodies[names[len(places) - 1]] = unseen
    return SpineLandmarks(straight.canal_lps_mm, bodies, discs, confidence, findings, naming)


def _first_sacral(straight: StraightSpine, disc: Landmark) -> Landmark:
    """S1 below its disc: the sacrum bends, so its axis lies between the disc's and the canal's."""
    canal = straight.canal_lps_mm
    beside = int(np.linalg.norm(canal - disc.centre_lps_mm, axis=1).argmin())
    below = max(0, beside - round(2 * S1_BELOW_MM / LINE_STEP_MM))
    axis = disc.axis
    if beside - below > S1_BELOW_MM / LINE_STEP_MM:
        along = canal[beside] - canal[below]
        axis = axis + along / np.linalg.norm(along)
        axis = axis / np.linalg.norm(axis)
    return Landmark(disc.centre_lps_mm - S1_BELOW_MM * axis, axis, disc.confidence)


def _unseen_body(volume: CtVolume, below: Landmark, spacing_mm: float) -> Landmark | None:
    """The body above a disc without the disc above it; None where it is not whole in the scan."""
    side, ahead = across_and_ahead(below.axis)
    top = (
        below.centre_lps_mm
        + spacing_mm * below.axis
        + UNSEEN_BODY_MM[0][:, None, None] * ahead
        + UNSEEN_BODY_MM[1][None, :, None] * side
    )
    if float(sample_hu(volume, top).min()) < EMPTY_HU:
        return None
    centre = below.centre_lps_mm + UNSEEN_SHARE * spacing_mm * below.axis
    return Landmark(centre, below.axis, below.confidence / 2)


def _landmark(
    straight: StraightSpine,
    s_mm: float,
    offset_mm: tuple[float, float],
    tilt_deg: tuple[float, float],
    confidence: float,
) -> Landmark:
    plane = int(np.clip(round(s_mm / LINE_STEP_MM), 0, len(straight.along) - 1))
    pitch, lean = np.tan(np.deg2rad(tilt_deg))
    axis = straight.along[plane] - pitch * straight.ahead[plane] - lean * straight.side[plane]
    return Landmark(straight.to_lps(s_mm, *offset_mm), axis / np.linalg.norm(axis), confidence)


def _body_offset(straight: StraightSpine, plane: int) -> tuple[float, float]:
    """The body's own middle in a plane, mm forward of the line and to the left of it."""
    image = straight.hu[max(0, plane - 3) : plane + 4].mean(axis=0)[::-1]
    step = float(PLANE_AHEAD_MM[1] - PLANE_AHEAD_MM[0])
    ahead, side = float(np.mean(BODY_AHEAD_MM)), 0.0
    for _ in range(2):
        centre = ((PLANE_AHEAD_MM[-1] - ahead) / step, (side - PLANE_SIDE_MM[0]) / step)
        # the back wall lies no farther than the canal's place behind the line
        limit = _behind(ahead + BACK_WALL_MM)
        radius, _ = closed_contour(image, centre, (step, step), limit)
        shift_side, shift_back = _centroid(radius)
        ahead, side = ahead - shift_back, side + shift_side
    return ahead, side


def _behind(back_mm: float) -> npt.NDArray[np.float64]:
    """Largest radius on each ray that stays in front of a wall ``back_mm`` behind the centre."""
    backward = np.sin(RAY_ANGLES)
    limit = np.full(len(RAY_ANGLES), np.inf)
    limit[backward > 0.05] = back_mm / backward[backward > 0.05]
    return limit


def _centroid(radius_mm: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The centroid (column, row), mm from the centre, of the area inside a polar contour."""
    weight = radius_mm**2
    cubed = radius_mm**3 * 2 / 3
    return (
        float((cubed * np.cos(RAY_ANGLES)).sum() / weight.sum()),
        float((cubed * np.sin(RAY_ANGLES)).sum() / weight.sum()),
    )
