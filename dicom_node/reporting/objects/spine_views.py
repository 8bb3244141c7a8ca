"""The spine from the front and from the side, its levels named between the two views."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dicom_node.reporting.objects.canvas import BLACK, DIM, WHITE, YELLOW, Canvas, Colour
from dicom_node.reporting.objects.ct_views import SpineLine, SpineView
from roi_extraction.anatomy import Landmark
from roi_extraction.features import FeatureVector
from roi_extraction.sites import Level
from roi_extraction.volume import CtVolume

__all__ = ["draw_spine_views"]

ABOVE_MM, BELOW_MM = 32.0, 30.0
"""Shown above the uppermost and below the lowest centre, mm: a body's height and half a disc."""

FINEST_MM = 0.5
"""Least scale of a pixel, mm: a short scan is not blown up."""

BODY_FRONT_MM, BODY_SIDE_MM = 20.0, 26.0
"""Where leaders end: just in front of a lumbar body, and just beside it, from its centre, mm."""

IN_FRONT = 0.40
"""Share of the sagittal view in front of the spine's line."""

GUTTER = 104
"""Width of the strip of names, pixels."""

CAPTION = 18
"""Height of the line above the views, pixels."""

LEADER: Colour = (130, 130, 130)

SCALE_BAR_CM = 5


@dataclass(frozen=True)
class _Label:
    """A name in the strip: the row that it points to, and the row at which it stands."""

    name: str
    landmark: Landmark
    row: float
    is_body: bool


def draw_spine_views(
    canvas: Canvas,
    box: tuple[int, int, int, int],
    volume: CtVolume,
    features: FeatureVector,
) -> None:
    """Draw the coronal view, the names, and the sagittal view.

    Parameters
    ----------
    canvas
        What is drawn on.
    box
        Left, top, right and bottom, pixels.
    volume
        The scan.
    features
        Its sites; where no level was found, words stand in place of the views.
    """
    left, top, right, bottom = box
    spine = features.spine
    named: list[tuple[str, Landmark, bool]] = [
        *((str(level), mark, True) for level, mark in spine.bodies.items()),
        *((str(level), mark, False) for level, mark in spine.discs.items()),
    ]
    if not named:
        canvas.text(((left + right) / 2, (top + bottom) / 2), "No level of the spine was found",
                    15, DIM, anchor="mm")  # fmt: skip
        return
    coronal, sagittal = _views(volume, [mark for _, mark, _ in named], box)
    places = ((coronal, left), (sagittal, right - sagittal.size[0]))
    for view, column in places:
        canvas.picture((column, top + CAPTION), view.grey())
        _draw_caption(canvas, view, column, top)
        _draw_measured(canvas, view, (column, top + CAPTION), features)
    labels = [
        _Label(name, mark, float(sagittal.pixels(mark.centre_lps_mm[None])[0, 1]), is_body)
        for name, mark, is_body in named
    ]
    _draw_names(canvas, labels, places, top + CAPTION, features)
    _draw_scale_bar(canvas, left + coronal.size[0], bottom, coronal.mm_per_pixel)


def _views(
    volume: CtVolume, landmarks: list[Landmark], box: tuple[int, int, int, int]
) -> tuple[SpineView, SpineView]:
    left, top, right, bottom = box
    line = SpineLine.through(landmarks)
    points = line.points_lps_mm
    width, height = (right - left - GUTTER) // 2, bottom - top - CAPTION
    shown_mm = float(np.ptp(points[:, 2])) + ABOVE_MM + BELOW_MM
    mm_per_pixel = max(shown_mm / height, FINEST_MM)
    top_mm = float(points[-1, 2]) + ABOVE_MM + (height * mm_per_pixel - shown_mm) / 2
    middle_x, middle_y = (float(points[:, k].min() + np.ptp(points[:, k]) / 2) for k in (0, 1))
    width_mm = width * mm_per_pixel
    coronal = SpineView(
        volume, line, False, (width, height), mm_per_pixel, middle_x - width_mm / 2, top_mm
    )
    sagittal = SpineView(
        volume, line, True, (width, height), mm_per_pixel, middle_y - width_mm * IN_FRONT, top_mm
    )
    return coronal, sagittal


def _draw_caption(canvas: Canvas, view: SpineView, column: int, top: int) -> None:
    first, name, last = ("A", "sagittal", "P") if view.lateral else ("R", "coronal", "L")
    row = top + CAPTION / 2
    canvas.text((column + 2, row), first, 15, WHITE, bold=True, anchor="lm")
    canvas.text((column + view.size[0] / 2, row), name, 13, DIM, anchor="mm")
    canvas.text((column + view.size[0] - 2, row), last, 15, WHITE, bold=True, anchor="rm")


def _draw_measured(
    canvas: Canvas, view: SpineView, at: tuple[int, int], features: FeatureVector
) -> None:
    """The vertebral regions from their edge: a line for each of the three slices."""
    left, top = at
    clip = (left, top, left + view.size[0], top + view.size[1])
    for measurement in features.measurements[: len(Level)]:
        for roi in measurement.rois:
            points = view.pixels(roi.contour_lps_mm)
            ends = points[[points[:, 0].argmin(), points[:, 0].argmax()]]
            canvas.line(ends + at, BLACK, 3.0, clip=clip)  # a rim, for bright bone
            canvas.line(ends + at, YELLOW, 1.5, clip=clip)


def _draw_names(
    canvas: Canvas,
    labels: list[_Label],
    places: tuple[tuple[SpineView, int], tuple[SpineView, int]],
    top: int,
    features: FeatureVector,
) -> None:
    (coronal, coronal_left), (sagittal, sagittal_left) = places
    strip_left = coronal_left + coronal.size[0]
    middle = (strip_left + sagittal_left) / 2
    side = np.array([BODY_SIDE_MM, 0.0, 0.0])
    front = np.array([0.0, -BODY_FRONT_MM, 0.0])
    for label, row in zip(labels, _rows_apart(labels), strict=True):
        size = 15 if label.is_body else 12
        text = str(label.name)
        measurement = features.by_name.get(text)
        half = 24
        if measurement is not None:
            value = "–" if measurement.missing else f"{measurement.mean_hu:.0f}"
            canvas.text((middle - 3, top + row), text, size, YELLOW, bold=True, anchor="rm")
            canvas.text((middle + 3, top + row), value, size, WHITE, anchor="lm")
            half = 34
        else:
            canvas.text((middle, top + row), text, size, DIM, anchor="mm")
        centre = label.landmark.centre_lps_mm
        for view, edge, towards, offset in (
            (coronal, coronal_left, middle - half, side),
            (sagittal, sagittal_left, middle + half, front),
        ):
            end = view.pixels((centre + offset)[None])[0] + (edge, top)
            canvas.line([(towards, top + row), end], LEADER, 1.0 if label.is_body else 0.6)


def _rows_apart(labels: list[_Label]) -> npt.NDArray[np.float64]:
    """The rows of the labels, moved down where they would touch the one above, in their order."""
    rows = np.array([label.row for label in labels])
    free = -np.inf
    for k in np.argsort(rows):
        half = 9.0 if labels[k].is_body else 7.0
        rows[k] = max(rows[k], free + half)
        free = rows[k] + half
    return rows


def _draw_scale_bar(canvas: Canvas, left: int, bottom: int, mm_per_pixel: float) -> None:
    length = SCALE_BAR_CM * 10.0 / mm_per_pixel
    first, row = left + (GUTTER - length) / 2, bottom - 8
    last = first + length
    canvas.box((first, row, last, row + 2), WHITE)
    for column in (first, last):
        canvas.box((column - 1, row - 4, column + 1, row + 6), WHITE)
    canvas.text(((first + last) / 2, row - 5), f"{SCALE_BAR_CM} cm", 13, WHITE, anchor="mb")
