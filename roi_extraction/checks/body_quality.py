"""Vertebral bodies that can be measured but mislead staging: collapsed or dense ones."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import scipy

from roi_extraction.anatomy import Anatomy, Finding, Region
from roi_extraction.checks.body_shape import body_heights, height_loss
from roi_extraction.features import SiteMeasurement
from roi_extraction.kernels import gaussian_smoothed
from roi_extraction.sites import Level
from roi_extraction.volume import EFFECTIVE_SLICE_MM, CtVolume

__all__ = ["body_findings"]

LUMBAR = (Level.L1, Level.L2, Level.L3, Level.L4, Level.L5)

COLLAPSED = 0.23
"""Loss of height above which a body is called collapsed, as a share: Genant's grade 2 begins at
0.25 (Genant 1993, doi 10.1002/jbmr.5650080915), less what a profile off the wall misses; grade 1
(0.20) is not told from normal shapes."""

COLLAPSED_PER_MM = 0.02
"""How much more is asked for each mm by which slices are thicker than the cohort's 3 mm: in 5 mm
slices of two sound spines a height varies by 1.4 mm (SD) with the slices' place, a loss by 0.21 at
most."""

DENSER_HU = 60.0
"""How far a body's mean may lie above the median of the other lumbar bodies, HU: about three SD of
the published cohort's differences between levels (Wang 2025)."""

LESION_ABOVE_HU = 200.0
"""A spot this far above a body's median is cement, sclerosis or a bone island, HU."""

LESION_AREA_MM2 = 30.0
"""Least area of such a spot in one slice, mm2."""

CORTEX_MM = 4.0
"""How far inside the wall spots count, mm; the cortex and its blur lie outside."""

LESION_BLUR_REACH_MM = 6.0
"""Beyond it nothing of a slice smoothed by 1 mm depends on a pixel, mm."""


def body_findings(
    volume: CtVolume, anatomy: Anatomy, measurements: Sequence[SiteMeasurement]
) -> Mapping[str, tuple[Finding, ...]]:
    """Find bodies whose density may not stand for the skeleton's.

    Parameters
    ----------
    volume, anatomy
        The scan, and what the segmenter found.
    measurements
        The measured sites.

    Returns
    -------
    mapping
        Findings by site name.
    """
    found: dict[str, list[Finding]] = defaultdict(list)
    heights = body_heights(volume, anatomy)
    thicker_mm = max(0.0, volume.slice_thickness_mm - EFFECTIVE_SLICE_MM)
    collapsed = COLLAPSED + COLLAPSED_PER_MM * thicker_mm
    for level in heights:
        loss, kind = height_loss(heights, level)
        if loss > collapsed:
            text = f"{level} has lost {loss:.0%} of its height ({kind}); its HU may mislead"
            found[level].append(Finding("roi.fractured", text))
    means = {
        m.site.level: m.mean_hu
        for m in measurements
        if m.site.level is not None and m.site.level in LUMBAR and m.missing is None
    }
    for level, mean in means.items():
        others = [hu for other, hu in means.items() if other is not level]
        if len(others) >= 2 and mean > float(np.median(others)) + DENSER_HU:
            text = f"{level} is {mean - float(np.median(others)):.0f} HU denser than the others"
            found[level].append(Finding("roi.dense_body", text))
    for level in LUMBAR:
        region = anatomy.regions.get(level)
        if isinstance(region, Region) and _holds_lesion(volume, region):
            text = f"{level} holds a dense spot (cement, sclerosis or bone island)"
            found[level].append(Finding("roi.dense_lesion", text))
    return {name: tuple(findings) for name, findings in found.items()}


def _holds_lesion(volume: CtVolume, region: Region) -> bool:
    spacing = volume.spacing_mm[1:]
    spare = np.ceil(LESION_BLUR_REACH_MM / spacing).astype(int)
    for part in region.slices:
        rows, columns = (np.flatnonzero(part.mask.any(axis=axis)) for axis in (1, 0))
        if not rows.size:
            continue
        box = (
            slice(max(0, int(rows[0] - spare[0])), int(rows[-1] + spare[0]) + 1),
            slice(max(0, int(columns[0] - spare[1])), int(columns[-1] + spare[1]) + 1),
        )
        mask, sharp = np.pad(part.mask[box], 1), volume.effective_slice(part.index)[box]
        inside = (
            scipy.ndimage.distance_transform_edt(mask, sampling=spacing)[1:-1, 1:-1] >= CORTEX_MM
        )
        if not inside.any():
            continue
        hu = gaussian_smoothed(sharp, 1.0 / spacing)
        dense = inside & (hu > float(np.median(hu[inside])) + LESION_ABOVE_HU)
        components, count = scipy.ndimage.label(dense)
        if count:
            largest = np.bincount(components.ravel())[1:].max()
            if largest * float(spacing[0] * spacing[1]) >= LESION_AREA_MM2:
                return True
    return False
