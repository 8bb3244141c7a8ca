"""One axial slice as psoas is looked for in it: tissue beside the spine's outline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from roi_extraction.anatomy import Missing, SpineLandmarks
from roi_extraction.axial import AxialFrame, axial_frame
from roi_extraction.builtin.contour import RAY_ANGLES, closed_contours
from roi_extraction.kernels import distance_inside, gaussian_smoothed
from roi_extraction.sites import DiscLevel, Level, Side
from roi_extraction.slices import central_slices
from roi_extraction.volume import CtVolume

__all__ = [
    "FIELD_SPARE_MM",
    "PSOAS_BEHIND_MM",
    "PSOAS_LATERAL_MM",
    "PsoasSlice",
    "SlicesAtSpine",
    "half_widths",
    "in_field",
    "psoas_slices",
]

FloatArray = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

# Numbers without a source of their own were chosen on the development scans (docs/roi.md).

PSOAS_STEP_MM = 1.0
"""Step of the grid on which a slice is looked at, mm."""

PSOAS_BEHIND_MM = np.arange(-75.0, 41.0, PSOAS_STEP_MM)
"""Grid behind (negative: in front of) the canal's centre, mm."""

PSOAS_LATERAL_MM = np.arange(-5.0, 101.0, PSOAS_STEP_MM)
"""Grid lateral of the mid-line, mm."""

WIDE_MM = np.arange(-100.0, 101.0, PSOAS_STEP_MM)
"""Grid across the mid-line that holds those of both sides, mm to the left."""

PSOAS_BLUR_MM = 1.5
"""Gaussian sigma with which a slice is smoothed before tissue is told, mm."""

LEAST_LATERAL_MM = 12.0
"""Nothing nearer to the mid-line is psoas, mm."""

PSOAS_TISSUE_HU = (-5.0, 110.0)
"""Muscle in a smoothed image, HU: its core, clear of the fat around it, in which it is followed."""

PSOAS_WALL_HU = -25.0
"""Its wall against fat in a smoothed image, HU: half-way between muscle of 50 and fat of -100."""

BODY_CORTEX_HU = 150.0
"""Above it cortical bone in a smoothed image, HU: fixes the body's half-width."""

HALF_WIDTH_MM = (19.0, 33.0)
"""Half-widths that lumbar bodies have, mm (Zhou 2000, doi 10.1007/s005860050020)."""

HALF_WIDTH_SPARE_MM = 2.0
"""How far outside these a body's side wall is still looked for, mm."""

USUAL_HALF_WIDTH_MM = 24.0
"""Half-width of a body whose side wall is not seen, mm."""

WIDTH_ROWS_MM = (-6.0, 0.0, 4.0)
"""Rows in which that wall is looked for, behind the body's centre, mm."""

BODY_DEPTH_SHARE = 0.86
"""Half the depth of a body over half its width (48 x 45 to 57 x 50 mm on labelled scans)."""

ENDPLATE_FLARE_MM = 3.5
"""How much wider than the waist of its bodies the spine is at a disc, mm (labelled scans)."""

OUTLINE_ACROSS_MM = np.arange(-50.0, 51.0, PSOAS_STEP_MM)
"""Grid across the mid-line on which the spine is outlined, mm."""

OUTLINE_BLUR_MM = 1.0
"""Gaussian sigma with which a slice is smoothed before the spine is outlined, mm."""

OUTLINE_SPARE_MM = 5.0
"""How far outside its expected ellipse the outline may lie, mm."""

OUTLINE_PRICE_HU = 4.0
"""Price of one mm between the outline and its expected ellipse, HU: against 40 HU from a disc to
psoas, and 150 HU to fat."""

BODY_GAP_MM = 2.0
"""Rim beyond the outline that is not taken for muscle, mm."""

PSOAS_OFFSET_MM = {
    DiscLevel.L1_L2: (7.0, 14.0),
    DiscLevel.L2_L3: (11.0, 9.0),
    DiscLevel.L3_L4: (14.0, 4.0),
    DiscLevel.L4_L5: (20.0, -1.0),
    DiscLevel.L5_S1: (24.0, -20.0),
}
"""Expected centre: lateral of the body's side wall, and behind the disc's centre, mm (labelled
scans)."""

USUAL_BESIDE_MM = 40.0
"""Where psoas lies lateral of the mid-line on average, mm: in a spine that leans sideways a slice
cuts the two sides at different heights along the spine."""

STRAY_MM = {
    DiscLevel.L1_L2: 7.0,
    DiscLevel.L2_L3: 9.0,
    DiscLevel.L3_L4: 11.0,
    DiscLevel.L4_L5: 12.0,
    DiscLevel.L5_S1: 13.0,
}
"""How far from the expected centre psoas is looked for, mm: beyond it lie kidney, quadratus
lumborum and iliacus."""

FIELD_SPARE_MM = 12.0
"""Room that the scan must show around the expected centre, mm."""


@dataclass(frozen=True, eq=False)
class PsoasSlice:
    """One side of one slice on the grid of `PSOAS_BEHIND_MM` and `PSOAS_LATERAL_MM`.

    Parameters
    ----------
    frame
        The spine's directions in the slice.
    depth_mm
        float64, shape (behind, lateral): distance to the wall inside muscle-like tissue, mm; 0
        outside of it.
    muscle
        bool, shape (behind, lateral): the same tissue out to its wall against fat.
    expected
        Where the centre of psoas is expected: (behind, lateral), mm.
    stray_mm
        How far from there psoas is looked for, mm.
    """

    frame: AxialFrame
    depth_mm: FloatArray
    muscle: Mask
    expected: tuple[float, float]
    stray_mm: float

    def depth_at(self, point: tuple[float, float]) -> float:
        """Distance to the wall, mm, at (behind, lateral) mm."""
        i = int(np.argmin(np.abs(PSOAS_BEHIND_MM - point[0])))
        j = int(np.argmin(np.abs(PSOAS_LATERAL_MM - point[1])))
        return float(self.depth_mm[i, j])


class SlicesAtSpine:
    """Slices of a scan on the spine's own grid, each sampled once for both sides."""

    def __init__(self, volume: CtVolume, spine: SpineLandmarks) -> None:
        self.volume = volume
        self.spine = spine
        self._known: dict[int, tuple[AxialFrame, npt.NDArray[np.float32]]] = {}

    def frame(self, index: int) -> AxialFrame:
        """The spine's directions in a slice."""
        return self._at(index)[0]

    def image(self, index: int, side: Side, lateral_mm: FloatArray) -> npt.NDArray[np.float32]:
        """HU on the grid of `PSOAS_BEHIND_MM` and of lateral places that is a part of `WIDE_MM`."""
        wide = self._at(index)[1]
        first = int(lateral_mm[0] - WIDE_MM[0])
        from_side = wide if side is Side.LEFT else wide[:, ::-1]
        return from_side[:, first : first + lateral_mm.size]

    def _at(self, index: int) -> tuple[AxialFrame, npt.NDArray[np.float32]]:
        if index not in self._known:
            frame = axial_frame(self.volume, self.spine, index)
            hu = self.volume.effective_slice(index)
            wide = frame.sample(self.volume, hu, PSOAS_BEHIND_MM, WIDE_MM, Side.LEFT)
            self._known[index] = frame, wide
        return self._known[index]


def psoas_slices(
    slices: SlicesAtSpine, side: Side, indices: Sequence[int], widths: FloatArray
) -> Mapping[int, PsoasSlice]:
    """Tissue that may be psoas in some slices, and where psoas is expected.

    Parameters
    ----------
    slices
        The scan with its named spine.
    side, indices
        The side, and the slices' indices in the volume.
    widths
        float64, shape (n, 2): half-width of the spine by height, as `half_widths` returns it.

    Returns
    -------
    mapping
        By index.
    """
    places = [_expected(slices, side, index, widths) for index in indices]
    outlines = _outlines(slices, side, places)
    return {
        place.index: _psoas_slice(slices, side, place, outline)
        for place, outline in zip(places, outlines, strict=True)
    }


@dataclass(frozen=True)
class _Expected:
    """What is expected of one side of a slice, mm: middle and half-width of the spine, psoas."""

    index: int
    spine_behind: float
    half_width: float
    psoas: tuple[float, float]
    stray: float


def _expected(slices: SlicesAtSpine, side: Side, index: int, widths: FloatArray) -> _Expected:
    volume, spine = slices.volume, slices.spine
    frame = slices.frame(index)
    centre = float((frame.body_xy_mm - frame.canal_xy_mm) @ frame.posterior)
    discs = sorted(spine.discs, key=lambda d: float(spine.discs[d].centre_lps_mm[2]))
    heights = [float(spine.discs[d].centre_lps_mm[2]) for d in discs]
    mid = volume.to_index(spine.discs[discs[0]].centre_lps_mm)
    z = float(volume.to_lps([index, mid[1], mid[2]])[2])
    z += USUAL_BESIDE_MM * frame.lean(side)
    half_width = float(np.interp(z, widths[:, 0], widths[:, 1]))
    lateral = half_width + float(np.interp(z, heights, [PSOAS_OFFSET_MM[d][0] for d in discs]))
    behind = centre + float(np.interp(z, heights, [PSOAS_OFFSET_MM[d][1] for d in discs]))
    stray = float(np.interp(z, heights, [STRAY_MM[d] for d in discs]))
    return _Expected(index, centre, half_width, (behind, lateral), stray)


def _psoas_slice(
    slices: SlicesAtSpine, side: Side, place: _Expected, outline_mm: FloatArray
) -> PsoasSlice:
    image = _smooth_image(slices, place.index, side)
    muscle = (image > PSOAS_WALL_HU) & (image < PSOAS_TISSUE_HU[1])
    muscle &= _beside(outline_mm, place.spine_behind)
    muscle &= PSOAS_LATERAL_MM[None, :] > LEAST_LATERAL_MM
    core = muscle & (image > PSOAS_TISSUE_HU[0])
    depth = distance_inside(core) * PSOAS_STEP_MM
    return PsoasSlice(slices.frame(place.index), depth, muscle, place.psoas, place.stray)


def half_widths(slices: SlicesAtSpine, side: Side) -> FloatArray:
    """Half-width of the spine by height: float64, shape (n, 2), (z, half-width), mm."""
    rows = []
    narrowest, widest = HALF_WIDTH_MM
    middle, reach = (narrowest + widest) / 2, (widest - narrowest) / 2 + HALF_WIDTH_SPARE_MM
    within = np.abs(PSOAS_LATERAL_MM - middle) <= reach
    for level, landmark in slices.spine.bodies.items():
        if level is Level.S1:
            continue
        indices = central_slices(slices.volume, landmark.centre_lps_mm)
        if isinstance(indices, Missing):
            continue
        found = []
        for index in indices:
            frame = slices.frame(index)
            image = _smooth_image(slices, index, side)
            centre = float((frame.body_xy_mm - frame.canal_xy_mm) @ frame.posterior)
            for behind_mm in WIDTH_ROWS_MM:
                line = image[int(np.argmin(np.abs(PSOAS_BEHIND_MM - (centre + behind_mm))))]
                bone = np.flatnonzero(within & (line > BODY_CORTEX_HU))
                if bone.size:
                    found.append(float(PSOAS_LATERAL_MM[bone[-1]]))
        width = float(np.median(found)) if found else USUAL_HALF_WIDTH_MM
        rows.append((float(landmark.centre_lps_mm[2]), float(np.clip(width, *HALF_WIDTH_MM))))
    if not rows:
        return np.array([[0.0, USUAL_HALF_WIDTH_MM]])
    return np.array(sorted(rows))


def in_field(volume: CtVolume, part: PsoasSlice, side: Side) -> bool:
    """Whether the expected place of psoas, with room around it, lies in the scan."""
    behind, lateral = (np.array([value]) for value in part.expected)
    rows, columns = part.frame.pixels(volume, behind, lateral, side)
    spare_r, spare_c = FIELD_SPARE_MM / volume.spacing_mm[1:]
    _, height, width = volume.shape
    return bool(
        spare_r <= rows[0] <= height - 1 - spare_r and spare_c <= columns[0] <= width - 1 - spare_c
    )


def _outlines(slices: SlicesAtSpine, side: Side, places: Sequence[_Expected]) -> FloatArray:
    """Radius of the body or disc about its centre on each of `RAY_ANGLES`, mm, in each slice."""
    if not places:
        return np.empty((0, len(RAY_ANGLES)))
    wide = np.array([place.half_width for place in places])[:, None] + ENDPLATE_FLARE_MM
    deep = wide * BODY_DEPTH_SHARE
    usual = 1.0 / np.hypot(np.cos(RAY_ANGLES) / wide, np.sin(RAY_ANGLES) / deep)
    middle = (OUTLINE_ACROSS_MM.size - 1) / 2
    every_row = np.arange(PSOAS_BEHIND_MM.size)
    centres = [
        (float(np.interp(place.spine_behind, PSOAS_BEHIND_MM, every_row)), middle)
        for place in places
    ]
    sigma = OUTLINE_BLUR_MM / PSOAS_STEP_MM
    images = [
        gaussian_smoothed(slices.image(place.index, side, OUTLINE_ACROSS_MM), sigma)
        for place in places
    ]
    pixel_mm, limit = (PSOAS_STEP_MM, PSOAS_STEP_MM), usual + OUTLINE_SPARE_MM
    radius, _ = closed_contours(images, centres, pixel_mm, limit, usual, OUTLINE_PRICE_HU)
    return radius


def _beside(radius_mm: FloatArray, centre_mm: float) -> Mask:
    """Where the grid of one side lies outside the outline and its rim."""
    reach = float(radius_mm.max()) + BODY_GAP_MM
    rows = np.abs(PSOAS_BEHIND_MM - centre_mm) <= reach
    columns = np.abs(PSOAS_LATERAL_MM) <= reach
    behind = PSOAS_BEHIND_MM[rows, None] - centre_mm
    lateral = PSOAS_LATERAL_MM[None, columns]
    angles = np.append(RAY_ANGLES, 2 * np.pi)
    wall = np.interp(
        np.arctan2(behind, lateral) % (2 * np.pi), angles, np.append(radius_mm, radius_mm[0])
    )
    beside = np.ones((PSOAS_BEHIND_MM.size, PSOAS_LATERAL_MM.size), bool)
    beside[np.ix_(rows, columns)] = np.hypot(behind, lateral) > wall + BODY_GAP_MM
    return beside


def _smooth_image(slices: SlicesAtSpine, index: int, side: Side) -> npt.NDArray[np.float32]:
    image = slices.image(index, side, PSOAS_LATERAL_MM)
    return gaussian_smoothed(image, PSOAS_BLUR_MM / PSOAS_STEP_MM)
