"""The ribs."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from roi_extraction.phantom.canvas import Canvas
from roi_extraction.phantom.pathology import LONGEST_RIB_MM, Pathology
from roi_extraction.phantom.shapes import capsule
from roi_extraction.phantom.spine import VERTEBRAE, Spine

__all__ = ["paint_ribs"]

COURSES_MM: dict[int, tuple[tuple[float, float, float], ...]] = {
    12: ((21, 15, 4), (40, 32, -2), (72, 38, -16), (104, 22, -36)),
    11: ((20, 15, 4), (42, 38, 0), (84, 40, -18), (122, 8, -42), (138, -28, -62), (142, -62, -84)),
    10: ((20, 15, 4), (44, 40, 2), (88, 42, -14), (130, 5, -36), (146, -45, -62),
         (132, -88, -80)),
    9: ((20, 15, 4), (46, 42, 2), (92, 44, -12), (136, 6, -34), (150, -45, -60),
        (134, -95, -84)),
}  # fmt: skip
"""Knots of each rib: lateral, behind and above the centre of its vertebra, mm."""


def paint_ribs(canvas: Canvas, spine: Spine, pathology: Pathology) -> None:
    """Paint the ninth to twelfth ribs as far as the scan shows them.

    The highest is there only if its vertebra is in the field too.
    """
    top = float(canvas.z[-1])
    for name, rib in spine.ribs.items():
        if rib not in COURSES_MM or (rib == min(COURSES_MM) and spine.bodies[name].z_mm > top):
            continue
        usual = (LONGEST_RIB_MM, LONGEST_RIB_MM)
        lengths = pathology.last_ribs_mm if rib == max(COURSES_MM) else usual
        _paint_pair(canvas, spine, name, COURSES_MM[rib], lengths)
    first_lumbar = VERTEBRAE[len(VERTEBRAE) - pathology.lumbar_vertebrae]
    _paint_pair(canvas, spine, first_lumbar, COURSES_MM[max(COURSES_MM)], pathology.lumbar_ribs_mm)


def _paint_pair(
    canvas: Canvas,
    spine: Spine,
    name: str,
    course_mm: tuple[tuple[float, float, float], ...],
    lengths_mm: tuple[float, float],
) -> None:
    """Paint the ribs of a vertebra, right and left, up to so long."""
    k = spine.scale
    frame = spine.bodies[name]
    roll = np.deg2rad(frame.roll_deg)
    for side, length_mm in zip((-1, 1), lengths_mm, strict=True):
        points = _shortened(np.array(course_mm, float) * k, length_mm)
        along, up = points[:, 0].copy(), points[:, 2].copy()
        points[:, 0] = along * np.cos(roll) + side * up * np.sin(roll) + side * frame.x_mm
        points[:, 2] = up * np.cos(roll) - side * along * np.sin(roll)
        points += (0.0, frame.y_mm, frame.z_mm)
        for start, end in pairwise(points):
            low, high = np.minimum(start, end) - 8, np.maximum(start, end) + 8
            across = sorted((side * low[0], side * high[0]))
            patch = canvas.patch((across[0], across[1], low[1], high[1], low[2], high[2]))
            if patch is None:
                continue
            bone = capsule(side * patch.x, patch.y, patch.z, start, end, 3.4 * k, (1, 1, 1.6))
            canvas.paint(patch, bone, 420.0)
            canvas.paint(patch, bone + 1.6, 140.0)


def _shortened(points: npt.NDArray[np.float64], length_mm: float) -> npt.NDArray[np.float64]:
    """The first ``length_mm`` of a line through points, shape (n, 3); nothing for 0."""
    before = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    if length_mm >= before[-1]:
        return points
    if length_mm <= 0:
        return points[:0]
    end = [np.interp(length_mm, before, points[:, axis]) for axis in range(3)]
    return np.concatenate([points[before < length_mm], [end]])
