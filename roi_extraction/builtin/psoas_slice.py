"""One axial slice as psoas is looked for in it: tissue beside the spine's outline."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from roi_extraction.anatomy import Missing, SpineLandmarks
from roi_extraction.axial import AxialFrame, axial_frame
from roi_extraction.builtin.contour import RAY_ANGLES, closed_contour
from roi_extraction.sites import DiscLevel, Level, Side
from roi_extraction.slices import central_slices
from roi_extraction.volume import CtVolume

__all__ = [
    "PSOAS_BEHIND_MM",
    "PSOAS_LATERAL_MM",
    "PsoasSlice",
    "half_widths",
    "in_field",
    "psoas_slice",
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

PSOAS_BLUR_MM = 1.5
"""Gaussian sigma with which a slice is smoothed before tissue is told, mm."""

LEAST_LATERAL_MM = 12.0
"""Nothing nearer to the mid-line is psoas, mm."""

PSOAS_TISSUE_HU = (-5.0, 110.0)
"""Muscle in a smoothed image, HU."""

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

BODY_GAP_MM = 2.5
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
    expected
        Where the centre of psoas is expected: (behind, lateral), mm.
    stray_mm
        How far from there psoas is looked for, mm.
    """

    frame: AxialFrame
    depth_mm: FloatArray
    expected: tuple[float, float]
    stray_mm: float

    def depth_at(self, point: tuple[float, float]) -> float:
        """Distance to the wall, mm, at (behind, lateral) mm."""
        i = int(np.argmin(np.abs(PSOAS_BEHIND_MM - point[0])))
        j = int(np.argmin(np.abs(PSOAS_LATERAL_MM - point[1])))
        return float(self.depth_mm[i, j])


def psoas_slice(
    volume: CtVolume, spine: SpineLandmarks, side: Side, index: int, widths: FloatArray
) -> PsoasSlice:
    """Tissue that may be psoas in one slice, and where psoas is expected.

    Parameters
    ----------
    volume, spine, side, index
        The scan, the named spine, the side, and the slice's index in the volume.
    widths
        float64, shape (n, 2): half-width of the spine by height, as `half_widths` returns it.
    """
    frame = axial_frame(volume, spine, index)
    image = _image(volume, frame, side)
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
    hu = volume.effective_slice(index)
    whole = frame.sample(volume, hu, PSOAS_BEHIND_MM, OUTLINE_ACROSS_MM, side)
    outline_mm = _outline(
        ndimage.gaussian_filter(whole, OUTLINE_BLUR_MM / PSOAS_STEP_MM), centre, half_width
    )
    tissue = (
        (image > PSOAS_TISSUE_HU[0]) & (image < PSOAS_TISSUE_HU[1]) & _beside(outline_mm, centre)
    )
    tissue &= PSOAS_LATERAL_MM[None, :] > LEAST_LATERAL_MM
    depth = ndimage.distance_transform_edt(tissue) * PSOAS_STEP_MM
    return PsoasSlice(frame, depth, (behind, lateral), stray)


def half_widths(volume: CtVolume, spine: SpineLandmarks, side: Side) -> FloatArray:
    """Half-width of the spine by height: float64, shape (n, 2), (z, half-width), mm."""
    rows = []
    narrowest, widest = HALF_WIDTH_MM
    middle, reach = (narrowest + widest) / 2, (widest - narrowest) / 2 + HALF_WIDTH_SPARE_MM
    within = np.abs(PSOAS_LATERAL_MM - middle) <= reach
    for level, landmark in spine.bodies.items():
        if level is Level.S1:
            continue
        indices = central_slices(volume, landmark.centre_lps_mm)
        if isinstance(indices, Missing):
            continue
        found = []
        for index in indices:
            frame = axial_frame(volume, spine, index)
            image = _image(volume, frame, side)
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


def _outline(image: npt.NDArray[np.float32], centre_mm: float, half_width_mm: float) -> FloatArray:
    """Radius of the body or disc about its centre on each of `RAY_ANGLES`, mm."""
    wide = half_width_mm + ENDPLATE_FLARE_MM
    deep = wide * BODY_DEPTH_SHARE
    usual = 1.0 / np.hypot(np.cos(RAY_ANGLES) / wide, np.sin(RAY_ANGLES) / deep)
    row = float(np.interp(centre_mm, PSOAS_BEHIND_MM, np.arange(PSOAS_BEHIND_MM.size)))
    middle = (OUTLINE_ACROSS_MM.size - 1) / 2
    pixel_mm, limit = (PSOAS_STEP_MM, PSOAS_STEP_MM), usual + OUTLINE_SPARE_MM
    radius, _ = closed_contour(image, (row, middle), pixel_mm, limit, usual, OUTLINE_PRICE_HU)
    return radius


def _beside(radius_mm: FloatArray, centre_mm: float) -> Mask:
    """Where the grid of one side lies outside the outline and its rim."""
    behind = PSOAS_BEHIND_MM[:, None] - centre_mm
    lateral = PSOAS_LATERAL_MM[None, :]
    angles = np.append(RAY_ANGLES, 2 * np.pi)
    wall = np.interp(
        np.arctan2(behind, lateral) % (2 * np.pi), angles, np.append(radius_mm, radius_mm[0])
    )
    return np.asarray(np.hypot(behind, lateral) > wall + BODY_GAP_MM)


def _image(volume: CtVolume, frame: AxialFrame, side: Side) -> npt.NDArray[np.float32]:
    hu = volume.effective_slice(frame.index)
    image = frame.sample(volume, hu, PSOAS_BEHIND_MM, PSOAS_LATERAL_MM, side)
    return ndimage.gaussian_filter(image, PSOAS_BLUR_MM / PSOAS_STEP_MM)
